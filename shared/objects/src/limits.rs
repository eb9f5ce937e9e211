//! What a source may answer at most.

use serde::{Deserialize, Serialize};

use crate::fields::Fields;
use crate::values::MIB;

/// What an answer may hold at most. An answer beyond a limit fails the run: the last good one stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Limits {
    /// Pages. Default 1,000.
    pub pages: u64,
    /// Bytes of one answer (of a page, where there are pages). Default 32 MiB.
    pub bytes: u64,
    /// Bytes of all pages together. Default 128 MiB.
    pub total_bytes: u64,
    /// Records of clusters in all pages together, those set aside included. Default 100,000.
    pub clusters: u64,
    /// Nodes of a cluster. Default 10,000.
    pub nodes: u64,
    /// Nodes of all clusters together. Default 500,000: a run holds each some three times (what was known, what is
    /// new, what is stored), with names of usual length at 200 bytes, and the worker has 1,024 MB.
    pub total_nodes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            pages: 1_000,
            bytes: 32 * MIB,
            total_bytes: 128 * MIB,
            clusters: 100_000,
            nodes: 10_000,
            total_nodes: 500_000,
        }
    }
}

impl Limits {
    /// Reads them. What is absent has its default.
    pub fn read(fields: &mut Fields<'_>) -> Limits {
        let default = Limits::default();
        Limits {
            pages: fields.whole("pages", 1..=100_000).unwrap_or(default.pages),
            bytes: fields.size("bytes", 1..=256 * MIB).unwrap_or(default.bytes),
            total_bytes: fields.size("total_bytes", 1..=1024 * MIB).unwrap_or(default.total_bytes),
            clusters: fields.whole("clusters", 1..=1_000_000).unwrap_or(default.clusters),
            nodes: fields.whole("nodes", 1..=100_000).unwrap_or(default.nodes),
            total_nodes: fields.whole("total_nodes", 1..=10_000_000).unwrap_or(default.total_nodes),
        }
    }
}
