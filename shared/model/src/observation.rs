//! Observations: what one refresh heard of one node, whatever protocol its agent speaks.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::actions::ActionsReport;
use crate::record::AgentApi;

/// The longest stored reason, in characters.
pub const MAX_REASON: usize = 200;
/// The longest stored text of an agent (an id, a kind, a version, the value of an attribute), in bytes.
/// Longer text is cut, so that no event outgrows what the stream takes.
pub const MAX_TEXT: usize = 1024;
/// The most attributes of a node that are kept, in the order of their names.
pub const MAX_ATTRIBUTES: usize = 64;

/// An agent's version as it reports it. Text, never parsed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentVersion {
    /// The number, like `0.6.0`.
    pub number: String,
    /// The commit it was built from.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub checkout: String,
    /// Whether that commit was changed before the build.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub taint: String,
}

/// What is known of an agent: its protocol and version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentInfo {
    /// The protocol it speaks.
    pub api: AgentApi,
    /// Its version.
    pub version: AgentVersion,
}

/// What a datastore node says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeDetails {
    /// The id that the datastore itself uses for the node.
    pub node_id: String,
    /// The kind of datastore, like `Zookeeper` or `mongo.replica`.
    pub kind: String,
    /// The datastore's version. Text, never parsed.
    pub version: String,
    /// The node's own word on its health, where it is not healthy (version 2: `UNHEALTHY`,
    /// `JOINING_CLUSTER`, ...). Absent for healthy nodes and for protocols that do not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub condition: Option<String>,
    /// Attributes of the node and its store. Values are kept as text: strings as they are, others as JSON.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, String>,
}

/// The role of a node for a shard.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// It takes writes for the shard.
    Primary,
    /// It follows the primary.
    Secondary,
    /// It is catching up and does not serve.
    Recovering,
    /// Anything else, in the store's own words.
    Other(String),
}

/// How an offset or a lag is counted: `seconds`, `milliseconds`, or the store's own unit (`zxid`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offset {
    /// The value: signed 64 bits, as on the wire.
    pub value: i64,
    /// The unit's name.
    pub unit: String,
}

/// What a node reports of one shard.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShardReport {
    /// The node's role.
    pub role: Role,
    /// How far the node has committed. Volatile: alone it makes no change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit_offset: Option<Offset>,
    /// How far the node is behind. Volatile: alone it makes no change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lag: Option<Offset>,
}

/// Everything that a node whose agent and store answered has reported.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeReport {
    /// The agent.
    pub agent: AgentInfo,
    /// The datastore node.
    pub node: NodeDetails,
    /// The cluster id that the node answers for.
    pub cluster_id: String,
    /// The cluster's display name as this agent reports it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// The shards on the node, by id.
    pub shards: BTreeMap<String, ShardReport>,
    /// The actions on its agent.
    #[serde(default)]
    pub actions: ActionsReport,
}

/// How far a poll got with an agent that is down.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Failure {
    /// No connection came about: it is refused, there is no route, the name is unknown, or nothing came within the
    /// limit for opening one.
    Unconnected,
    /// A connection, and no answer: the limit of the request was over, or the other side closed it.
    Unanswered,
    /// Something answered, but not as an agent does; or it was not asked at all, for a reason of our own.
    #[default]
    Wrong,
}

impl Failure {
    /// Whether nothing answered.
    pub fn is_silence(self) -> bool {
        self != Failure::Wrong
    }
}

/// What one refresh heard of one node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "heard", rename_all = "snake_case")]
pub enum Observation {
    /// The refresh ran out of time before it got to the node: that says nothing of the node.
    NotPolled,
    /// The agent did not answer as an agent does.
    AgentDown {
        /// Why: short, stable text.
        reason: String,
        /// How far it got.
        #[serde(default)]
        failure: Failure,
    },
    /// The agent answers, the datastore behind it does not.
    NodeDown {
        /// Why: short, stable text.
        reason: String,
        /// The agent, where it told.
        agent: Option<AgentInfo>,
    },
    /// Agent and datastore answered.
    Up(Box<NodeReport>),
}

/// Text of an agent as it is kept: without control characters (JSON writes one as six bytes), cut to `most` bytes.
pub fn clean(text: &str, most: usize) -> String {
    let kept = cut(text, most);
    if kept.chars().any(char::is_control) {
        kept.chars().filter(|c| !c.is_control()).collect()
    } else {
        kept.to_owned()
    }
}

/// Cuts text to `most` bytes at a character's boundary.
pub fn cut(text: &str, most: usize) -> &str {
    if text.len() <= most {
        return text;
    }
    let mut end = most;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}
