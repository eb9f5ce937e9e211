//! The bill of a month, by item; and what the same fleet would cost by other means.

use serde::Serialize;

use crate::capacity::counted::{METRICS, SERVER};
use crate::capacity::load::Load;
use crate::capacity::prices::Prices;

/// Hours and seconds of a month, as AWS counts it.
const HOURS: f64 = 730.0;
const SECONDS: f64 = HOURS * 3600.0;
const MILLION: f64 = 1_000_000.0;
const GB: f64 = 1_000_000_000.0;
/// How much of its provisioned capacity a table uses that scales by itself.
const USED: f64 = 0.7;

/// One item of the bill.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Item {
    /// What is paid for.
    pub what: &'static str,
    /// A month.
    pub cost: f64,
}

/// The bill of a month.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Bill {
    /// Its items: table on demand, stream provisioned.
    pub items: Vec<Item>,
    /// All of them.
    pub total: f64,
    /// For a million refreshes.
    pub by_million: f64,
    /// Units of a table that is provisioned: written and read in a second.
    pub provisioned_units: (u64, u64),
    /// All, with the table provisioned.
    pub with_provisioned_table: f64,
    /// All, with the stream on demand.
    pub with_stream_on_demand: f64,
    /// Servers of an always-on system that keeps its state in memory: what the polls need, and one to spare.
    pub servers: u64,
    /// What that costs, with the same stream, and a table that holds what changed.
    pub always_on: f64,
}

impl Bill {
    /// The bill of a load.
    pub fn of(load: &Load, prices: &Prices) -> Self {
        let millions = |by_second: f64| by_second * SECONDS / MILLION;
        let gigabytes = |by_second: f64| by_second * SECONDS / GB;
        let stored = load.stored_bytes / GB;
        let shard = prices.stream_shard_hour + prices.stream_long_retention_shard_hour;
        let shards = load.shards as f64 * shard * HOURS;
        let puts = millions(load.put_units) * prices.stream_put_unit_million;
        let storage = stored * (prices.table_gb_month + prices.table_recovery_gb_month);
        let items = [
            ("DynamoDB: write units, on demand", millions(load.writes) * prices.table_write_million),
            ("DynamoDB: read units, on demand", millions(load.reads) * prices.table_read_million),
            ("DynamoDB: storage and recovery", storage),
            ("Kinesis: shards, kept for 7 days", shards),
            ("Kinesis: PUT units", puts),
            ("SQS: requests", millions(load.requests) * prices.queue_request_million),
            ("Lambda: GB-seconds, arm64", load.gb_seconds * SECONDS * prices.function_gb_second),
            ("Lambda: invocations", millions(load.invocations) * prices.function_request_million),
            ("CloudWatch: logs", gigabytes(load.log_bytes) * prices.log_gb),
            ("CloudWatch: metrics", METRICS * prices.metric_month),
        ];
        let items: Vec<Item> = items.into_iter().map(|(what, cost)| Item { what, cost }).collect();
        let total: f64 = items.iter().map(|item| item.cost).sum();
        let on_demand: f64 = items.iter().take(2).map(|item| item.cost).sum();

        let units = |by_second: f64| (by_second / USED).ceil().max(1.0);
        let (writes, reads) = (units(load.writes), units(load.reads));
        let provisioned =
            HOURS * (writes * prices.table_write_unit_hour + reads * prices.table_read_unit_hour);
        let stream =
            prices.stream_on_demand_hour * HOURS + gigabytes(load.event_bytes) * prices.stream_on_demand_gb;
        let servers = (load.node_refreshes / SERVER).ceil().max(1.0) + 1.0;
        let kept = millions(load.kept_writes) * prices.table_write_million;
        let metrics = METRICS * prices.metric_month;
        Bill {
            total,
            by_million: total / millions(load.refreshes),
            provisioned_units: (super::load::whole(writes), super::load::whole(reads)),
            with_provisioned_table: total - on_demand + provisioned,
            with_stream_on_demand: total - shards - puts + stream,
            servers: super::load::whole(servers),
            always_on: servers * prices.server_hour * HOURS + kept + storage + shards + puts + metrics,
            items,
        }
    }
}
