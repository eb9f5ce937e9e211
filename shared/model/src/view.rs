//! The cluster view: the last observation of each node, and what follows from them together.
//!
//! [`ClusterView`] is exactly what the events of a cluster tell: folding them gives it back. What is stored
//! beside it but no event tells (readings that change at every refresh, counters of failures, the actions that
//! were there at first contact) is kept apart in [`ClusterState`], so that the types say what the law covers.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::actions::NodeActions;
use crate::labels::Labels;
use crate::maintenance::Maintenance;
use crate::observation::{AgentInfo, NodeDetails, Offset, Role};
use crate::record::NodeId;
use crate::time::Timestamp;

/// The id of a shard.
pub type ShardId = String;

/// The most nodes or names that one conflict lists, the first in order: an event must fit the stream.
pub const MAX_NAMED: usize = 100;

/// How a cluster is, in one word.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Health {
    /// No agent answered, or there are no nodes.
    #[default]
    Unknown,
    /// Agents answer and no node is up.
    Down,
    /// Something is wrong with a part of it.
    Degraded,
    /// All is well.
    Healthy,
}

impl Health {
    /// The word.
    pub fn as_str(self) -> &'static str {
        match self {
            Health::Unknown => "unknown",
            Health::Down => "down",
            Health::Degraded => "degraded",
            Health::Healthy => "healthy",
        }
    }
}

/// What a node's own agent says of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum NodeStatus {
    /// The agent does not answer.
    AgentDown {
        /// Why: short, stable text.
        reason: String,
    },
    /// The agent answers, the datastore does not.
    NodeDown {
        /// Why: short, stable text.
        reason: String,
    },
    /// It answers for another cluster: what it says is kept out of this view.
    Conflict {
        /// Whose node it says it is.
        reason: String,
    },
    /// Agent and datastore answer.
    Up,
}

impl NodeStatus {
    /// The status of a node that was discovered and not yet polled.
    pub fn unseen() -> Self {
        NodeStatus::AgentDown { reason: "not polled yet".into() }
    }

    /// The word, as in stored views and events.
    pub fn as_str(&self) -> &'static str {
        match self {
            NodeStatus::AgentDown { .. } => "agent_down",
            NodeStatus::NodeDown { .. } => "node_down",
            NodeStatus::Conflict { .. } => "conflict",
            NodeStatus::Up => "up",
        }
    }

    /// The reason, where there is one.
    pub fn reason(&self) -> Option<&str> {
        match self {
            NodeStatus::AgentDown { reason }
            | NodeStatus::NodeDown { reason }
            | NodeStatus::Conflict { reason } => Some(reason),
            NodeStatus::Up => None,
        }
    }
}

/// One node of the view.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeView {
    /// The base URL that the agent was last polled at.
    pub address: String,
    /// What its source says of it beside that. Kept while it is missing.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: Labels,
    /// What its agent says of it.
    #[serde(flatten)]
    pub status: NodeStatus,
    /// The agent, once it has answered. Kept while it is down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<AgentInfo>,
    /// The datastore node, once it has answered. Kept while it is down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub details: Option<NodeDetails>,
    /// The cluster's display name as this agent reports it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster_name: Option<String>,
    /// The shards on the node and its role for each. Kept while it is down.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub shards: BTreeMap<ShardId, Role>,
    /// Since when its source no longer reports it.
    #[serde(default, with = "crate::time::as_rfc3339", skip_serializing_if = "Option::is_none")]
    pub missing_since: Option<Timestamp>,
}

impl NodeView {
    /// A node that was discovered and not yet polled.
    pub fn unseen(address: impl Into<String>) -> Self {
        NodeView {
            address: address.into(),
            labels: Labels::new(),
            status: NodeStatus::unseen(),
            agent: None,
            details: None,
            cluster_name: None,
            shards: BTreeMap::new(),
            missing_since: None,
        }
    }
}

/// What is known of the primary of a shard that at least two nodes report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "lowercase")]
pub enum Primary {
    /// One node is primary.
    Elected {
        /// The node.
        node: NodeId,
    },
    /// No holder is primary.
    Lost {
        /// The last node that was, if any.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        last: Option<NodeId>,
    },
    /// More than one node is primary.
    Conflict {
        /// These, ordered.
        nodes: Vec<NodeId>,
    },
}

/// A contradiction about who is who.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "conflict", rename_all = "snake_case")]
pub enum IdentityConflict {
    /// An agent answers for another cluster.
    ClusterId {
        /// The node.
        node: NodeId,
        /// The cluster id that it reports.
        reported: String,
    },
    /// The datastore's own id is not the one that discovery gave.
    NodeId {
        /// The node, by the id that discovery gave.
        node: NodeId,
        /// The id that the datastore reports.
        reported: String,
    },
    /// Several nodes report one datastore id.
    RepeatedNodeId {
        /// The id.
        reported: String,
        /// The nodes that report it, ordered.
        nodes: Vec<NodeId>,
    },
    /// Several display names are reported for the cluster.
    DisplayName {
        /// The names, ordered.
        names: Vec<String>,
    },
}

/// The approximate picture of one cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterView {
    /// A name for people: the discovery record's, else the one that the first node reports.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// The discovery that reports it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub discovery: Option<String>,
    /// Since when its source no longer reports it.
    #[serde(default, with = "crate::time::as_rfc3339", skip_serializing_if = "Option::is_none")]
    pub missing_since: Option<Timestamp>,
    /// The maintenance window that it was in when it was last refreshed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub maintenance: Option<Maintenance>,
    /// How it is: see [`crate::health`]. Absent until the first refresh is complete.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health: Option<Health>,
    /// Where its source says that the agents are.
    pub record: BTreeMap<NodeId, String>,
    /// Its nodes.
    pub nodes: BTreeMap<NodeId, NodeView>,
    /// The primaries of the shards that several nodes hold.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub primaries: BTreeMap<ShardId, Primary>,
    /// The contradictions that stand.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub conflicts: BTreeSet<IdentityConflict>,
}

impl ClusterView {
    /// The nodes that the source still reports.
    pub fn present(&self) -> impl Iterator<Item = (&NodeId, &NodeView)> {
        self.nodes.iter().filter(|(_, node)| node.missing_since.is_none())
    }
}

/// What was last read of one node and changes all the time. Alone it makes no change.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeReadings {
    /// When agent and datastore last answered.
    #[serde(default, with = "crate::time::as_rfc3339", skip_serializing_if = "Option::is_none")]
    pub last_seen: Option<Timestamp>,
    /// Whether what is shown of the node is older than the last refresh.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub stale: bool,
    /// Offset and lag of its shards.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub shards: BTreeMap<ShardId, ShardReading>,
}

/// Offset and lag of one shard on one node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShardReading {
    /// How far the node has committed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit_offset: Option<Offset>,
    /// How far it is behind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lag: Option<Offset>,
}

/// How often in a row a node failed or answered, each capped at the number that decides; and since when it is silent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeCounters {
    /// Failures in a row, at most `failures_before_down`.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub failures: u32,
    /// Successes in a row, at most `successes_before_up`.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub successes: u32,
    /// Since when its agent gives no answer, once it is called down for that: it is then asked less and less often.
    #[serde(default, with = "crate::time::as_rfc3339", skip_serializing_if = "Option::is_none")]
    pub silent_since: Option<Timestamp>,
}

/// How often in a row a shard was seen without a primary or with several, each capped at 2.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShardCounters {
    /// Refreshes in a row in which every holder answered and none was primary.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub lost: u32,
    /// Refreshes in a row in which more than one holder was primary.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub conflict: u32,
}

fn is_zero(count: &u32) -> bool {
    *count == 0
}

/// Counters that decide. They are stored when they change, without an event.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {
    /// Of nodes; those that are all zero are left out.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub nodes: BTreeMap<NodeId, NodeCounters>,
    /// Of shards; those that are all zero are left out.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub shards: BTreeMap<ShardId, ShardCounters>,
}

/// The state of a cluster's record: what is stored.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterState {
    /// What the events tell. Absent before the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub view: Option<ClusterView>,
    /// Counters that decide.
    #[serde(default)]
    pub counters: Counters,
    /// Actions, by node: those with whose actions there was contact. Stored when they change; see [`crate::actions`].
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub actions: BTreeMap<NodeId, NodeActions>,
    /// Readings, by node.
    #[serde(default)]
    pub readings: BTreeMap<NodeId, NodeReadings>,
    /// When the readings were taken.
    #[serde(default)]
    pub read_at: Timestamp,
    /// Where the record stands with its snapshots.
    #[serde(default)]
    pub snapshots: Snapshots,
    /// The time of the record's last event: the next is not earlier.
    #[serde(default)]
    pub last_event: Timestamp,
}

/// When the last snapshot was emitted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshots {
    /// Commits since then.
    pub commits: u32,
    /// The time of it, or of the cluster's first event.
    pub last: Timestamp,
}
