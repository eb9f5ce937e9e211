//! Capacity: what a fleet needs of AWS, and what that costs. Pure: from the size of a fleet to figures.
//!
//! ```text
//! counted.rs  what one refresh costs, as it was counted
//! load.rs     the fleet's figures a second, from these
//! prices.rs   the price list: data, with its date and its pages
//! bill.rs     the month, by item; and what would be cheaper
//! quotas.rs   which quota is met first
//! ```

pub mod bill;
pub mod counted;
pub mod load;
pub mod prices;
pub mod quotas;

use std::time::Duration;

use serde::Serialize;

/// A fleet, and how it is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Fleet {
    /// Clusters.
    pub clusters: u64,
    /// Nodes of each.
    pub nodes: u64,
    /// How often each is refreshed, in seconds.
    #[serde(rename = "interval_seconds", serialize_with = "seconds")]
    pub interval: Duration,
    /// Tasks of one invocation, 1 to 10.
    pub batch: u64,
    /// Changes of each cluster in an hour: refreshes that have something to tell.
    pub changes: f64,
    /// How long an agent takes for an answer, in seconds.
    #[serde(rename = "latency_seconds", serialize_with = "seconds")]
    pub latency: Duration,
}

fn seconds<S: serde::Serializer>(span: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(span.as_secs_f64())
}
