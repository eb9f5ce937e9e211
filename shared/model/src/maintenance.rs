//! Maintenance windows: operators say that what happens to a cluster for a while is expected.
//!
//! A window hides nothing: the events that are observed within it carry its end, and its beginning and end are events too.

use serde::{Deserialize, Serialize};

use crate::time::Timestamp;

/// A maintenance window of a cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Maintenance {
    /// Since when.
    #[serde(with = "crate::time::as_text")]
    pub since: Timestamp,
    /// Until when: from then on nothing carries it.
    #[serde(with = "crate::time::as_text")]
    pub until: Timestamp,
    /// What is done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Who said so.
    pub actor: String,
}

impl Maintenance {
    /// Whether it is in force.
    pub fn is_on(&self, now: Timestamp) -> bool {
        now < self.until
    }
}
