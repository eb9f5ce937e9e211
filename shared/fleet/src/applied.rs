//! What became of a change: applied, with what followed from it, or refused.

use std::fmt;

use serde::Serialize;

use crate::change::Change;

/// A shard's primary changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Election {
    /// The shard's id.
    pub shard: String,
    /// Who led it.
    pub from: Option<String>,
    /// Who leads it now; `None` when too few nodes are left.
    pub to: Option<String>,
}

/// A change that was applied, with what followed from it. `Display` tells both in one line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Applied {
    /// The change.
    pub change: Change,
    /// The primaries that changed with it, in the order of the cluster's shards.
    pub elections: Vec<Election>,
}

impl fmt::Display for Applied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.change)?;
        let mut told: Vec<&Option<String>> = Vec::new();
        for election in &self.elections {
            if told.contains(&&election.to) {
                continue;
            }
            f.write_str(if told.is_empty() { "; " } else { ", " })?;
            told.push(&election.to);
            match (&election.to, self.elections.iter().filter(|other| other.to == election.to).count()) {
                (Some(to), 1) => write!(f, "{to} leads {}", election.shard)?,
                (Some(to), shards) => write!(f, "{to} leads {shards} more shards")?,
                (None, 1) => write!(f, "nobody leads {}", election.shard)?,
                (None, shards) => write!(f, "nobody leads {shards} shards")?,
            }
        }
        Ok(())
    }
}

/// Why a change can't be applied. The world is as it was.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChangeError {
    /// There is no such cluster.
    #[error("there is no cluster `{0}` in the fleet")]
    NoCluster(String),
    /// The cluster has no such node.
    #[error("cluster `{cluster}` has no node `{node}`")]
    NoNode {
        /// The cluster's id.
        cluster: String,
        /// The id that was looked for.
        node: String,
    },
    /// The cluster has no such shard.
    #[error("cluster `{cluster}` has no shard `{shard}`")]
    NoShard {
        /// The cluster's id.
        cluster: String,
        /// The id that was looked for.
        shard: String,
    },
    /// A cluster with that id exists.
    #[error("the fleet has a cluster `{0}` already")]
    Exists(String),
    /// A cluster needs a name that fits a URL's path and at least one node.
    #[error(
        "no cluster `{0}` of {1} nodes can be: its id must be 1 to 63 of A-Z a-z 0-9 . _ - and it needs a node"
    )]
    BadCluster(String, usize),
    /// No other node can lead.
    #[error("in cluster `{0}` no other node can lead, or not the one asked for")]
    NobodyCanLead(String),
    /// The last node of a cluster can't be removed: remove the cluster.
    #[error("node `{node}` is the last of cluster `{cluster}`: remove the cluster instead")]
    LastNode {
        /// The cluster's id.
        cluster: String,
        /// The node's id.
        node: String,
    },
}
