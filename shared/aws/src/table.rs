//! The table: keys, and what its parts share.

use std::sync::Arc;

use aws_sdk_dynamodb::Client;
use replicante_model::RecordName;

use crate::clients::Clients;
use crate::meter::{Cost, Meter};

/// The DynamoDB table. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Table {
    pub(crate) client: Client,
    pub(crate) name: Arc<str>,
    pub(crate) meter: Arc<Meter>,
}

impl Table {
    /// The table of this name.
    pub fn new(clients: &Clients, name: &str) -> Self {
        Table { client: clients.dynamodb.clone(), name: name.into(), meter: Arc::default() }
    }

    /// The same table with a meter of its own, at zero.
    #[must_use]
    pub fn metered(&self) -> Self {
        Table { meter: Arc::default(), ..self.clone() }
    }

    /// What the calls through this meter have cost.
    pub fn cost(&self) -> Cost {
        self.meter.cost()
    }
}

/// The partition key of a head: its kind and spread shard.
pub(crate) fn head_partition(kind: replicante_model::Kind, shard: u64) -> String {
    format!("{kind}#{shard:02}")
}

/// The partition key of a record's body.
pub(crate) fn body_partition(record: &RecordName) -> String {
    format!("body#{}#{}", record.kind, record.path())
}
