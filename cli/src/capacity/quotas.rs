//! Quotas: how much of each a fleet takes, and which it meets first.

use serde::Serialize;

use crate::capacity::counted::{SPREAD, WRITES};
use crate::capacity::load::Load;

/// Something that ends.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Quota {
    /// What.
    pub what: &'static str,
    /// How much of it there is.
    pub limit: f64,
    /// How much of it the fleet takes.
    pub used: f64,
    /// Whether AWS raises it when asked.
    pub can_be_raised: bool,
}

impl Quota {
    /// The part that is taken: 1 is all.
    pub fn taken(&self) -> f64 {
        self.used / self.limit
    }
}

/// The quotas, the one that is met first at the front. Limits of AWS as they are by default in us-east-1.
pub fn quotas(load: &Load) -> Vec<Quota> {
    let quota = |what, limit, used, can_be_raised| Quota { what, limit, used, can_be_raised };
    let mut quotas = vec![
        quota("Lambda: concurrent executions of the account", 1_000.0, load.all_concurrency, true),
        quota("DynamoDB: write units a second of a table", 40_000.0, load.writes, true),
        quota("DynamoDB: read units a second of a table", 40_000.0, load.reads, true),
        // The heads of a kind are spread over 64 partition keys.
        quota(
            "DynamoDB: write units a second of one partition of heads",
            1_000.0,
            load.refreshes * WRITES / SPREAD,
            false,
        ),
        // 8 shards at a time, 500 a second each, for the 45 s that a pass has.
        quota("refresh scheduler: records that one pass moves on", 180_000.0, load.due, false),
        quota(
            "SQS: messages in flight of a queue",
            120_000.0,
            load.refreshes * load.invocation_seconds,
            true,
        ),
        quota("Kinesis: shards of the account", 20_000.0, load.shards as f64, true),
    ];
    quotas.sort_by(|a, b| b.taken().total_cmp(&a.taken()));
    quotas
}
