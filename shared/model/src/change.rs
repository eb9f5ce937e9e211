//! Changes: what each event type says. One variant a type; its fields are the event's `data`.
//!
//! A change carries `before` and `after` of what changed, and names the node, shard or action it is about, so
//! that it is understood without a look-up and can be folded.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::absence::Held;
use crate::actions::{ActionId, ActionView};
use crate::labels::Labels;
use crate::maintenance::Maintenance;
use crate::object::ObjectChange;
use crate::observation::{AgentInfo, Role};
use crate::record::NodeId;
use crate::time::Timestamp;
use crate::view::{Health, IdentityConflict, NodeStatus, NodeView, Primary, ShardId};

/// The discovery record's word on a cluster, but its nodes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterHeader {
    /// A name for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// The discovery that reports it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub discovery: Option<String>,
}

/// An agent whose address the discovery record changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddressChange {
    /// The address before.
    pub before: String,
    /// The address after.
    pub after: String,
}

/// How the nodes of a discovery record changed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordDifference {
    /// Nodes that it names now, with their addresses.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub added: BTreeMap<NodeId, String>,
    /// Nodes that it no longer names.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub removed: BTreeSet<NodeId>,
    /// Nodes that it gives another address.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub changed: BTreeMap<NodeId, AddressChange>,
}

impl RecordDifference {
    /// Whether nothing changed.
    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty() && self.changed.is_empty()
    }
}

/// The role of a node for a shard, as an event tells it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoleOf {
    /// The role.
    pub role: Role,
}

/// A piece of a snapshot: what fits one event.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotPart {
    /// Which part it is, from 1.
    pub part: u32,
    /// How many parts there are.
    pub parts: u32,
    /// In the first part: the view without its record, nodes, primaries and conflicts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<SnapshotHeader>,
    /// Some of the discovery record's nodes.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub record: BTreeMap<NodeId, String>,
    /// Some of the nodes, without their shards.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub nodes: BTreeMap<NodeId, NodeView>,
    /// Some of the shards, by node.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub shards: BTreeMap<NodeId, BTreeMap<ShardId, Role>>,
    /// Some of the primaries.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub primaries: BTreeMap<ShardId, Primary>,
    /// Some of the identity conflicts.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub conflicts: BTreeSet<IdentityConflict>,
}

/// What a snapshot says of the cluster as a whole.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotHeader {
    /// Display name and discovery.
    #[serde(flatten)]
    pub header: ClusterHeader,
    /// Since when its source no longer reports it.
    #[serde(default, with = "crate::time::as_rfc3339", skip_serializing_if = "Option::is_none")]
    pub missing_since: Option<Timestamp>,
    /// Its maintenance window.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub maintenance: Option<Maintenance>,
    /// Its health.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health: Option<Health>,
}

/// One change, as one event tells it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", content = "data")]
pub enum Change {
    /// First refresh of a discovered cluster.
    #[serde(rename = "io.replicante.cluster.new")]
    ClusterNew {
        /// What its discovery says.
        after: ClusterHeader,
        /// The nodes of its record, as many as fit one event; the others follow in `cluster.changed`.
        nodes: BTreeMap<NodeId, String>,
    },
    /// Its discovery record changed.
    #[serde(rename = "io.replicante.cluster.changed")]
    ClusterChanged {
        /// Name and discovery before, where they changed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        before: Option<ClusterHeader>,
        /// Name and discovery after, where they changed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        after: Option<ClusterHeader>,
        /// Nodes added, removed, changed.
        #[serde(default, skip_serializing_if = "RecordDifference::is_empty")]
        nodes: RecordDifference,
    },
    /// Its source no longer reports it.
    #[serde(rename = "io.replicante.cluster.missing")]
    ClusterMissing {
        /// Since when.
        #[serde(with = "crate::time::as_rfc3339")]
        since: Option<Timestamp>,
    },
    /// Its source reports it again.
    #[serde(rename = "io.replicante.cluster.restored")]
    ClusterRestored {
        /// Since when it was missing.
        #[serde(with = "crate::time::as_rfc3339")]
        missing_since: Option<Timestamp>,
    },
    /// It is removed: the last event of its epoch.
    #[serde(rename = "io.replicante.cluster.removed")]
    ClusterRemoved {
        /// Since when its source no longer reported it.
        #[serde(with = "crate::time::as_rfc3339")]
        missing_since: Option<Timestamp>,
        /// Who said that it is gone; null when it was missing for long enough.
        actor: Option<String>,
    },
    /// A maintenance window of it began, or is another than before.
    #[serde(rename = "io.replicante.cluster.maintenance_began")]
    ClusterMaintenanceBegan {
        /// The window before; null when there was none.
        before: Option<Maintenance>,
        /// The window.
        after: Maintenance,
    },
    /// Its maintenance window ended: its time is over, or an operator said so.
    #[serde(rename = "io.replicante.cluster.maintenance_ended")]
    ClusterMaintenanceEnded {
        /// The window.
        before: Maintenance,
    },
    /// Its health changed.
    #[serde(rename = "io.replicante.cluster.health_changed")]
    ClusterHealthChanged {
        /// Before; null for a new cluster.
        before: Option<Health>,
        /// After.
        after: Option<Health>,
    },
    /// A contradiction about who is who.
    #[serde(rename = "io.replicante.cluster.identity_conflict")]
    ClusterIdentityConflict(IdentityConflict),
    /// A contradiction that no longer stands.
    #[serde(rename = "io.replicante.cluster.identity_resolved")]
    ClusterIdentityResolved(IdentityConflict),
    /// A part of the whole view, so that a reader can start here.
    #[serde(rename = "io.replicante.cluster.snapshot")]
    ClusterSnapshot(Box<SnapshotPart>),
    /// An agent is polled for the first time. It starts as down.
    #[serde(rename = "io.replicante.agent.new")]
    AgentNew {
        /// The node.
        node: NodeId,
        /// Where its agent listens.
        address: String,
        /// What its source says of it beside that.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        labels: Labels,
    },
    /// The agent answers again, and its datastore is up.
    #[serde(rename = "io.replicante.agent.up")]
    AgentUp {
        /// The node.
        node: NodeId,
        /// Status before.
        before: NodeStatus,
        /// Status after.
        after: NodeStatus,
    },
    /// The agent does not answer.
    #[serde(rename = "io.replicante.agent.down")]
    AgentDown {
        /// The node.
        node: NodeId,
        /// Status before.
        before: NodeStatus,
        /// Status after.
        after: NodeStatus,
    },
    /// The agent told its protocol and version for the first time.
    #[serde(rename = "io.replicante.agent.info_new")]
    AgentInfoNew {
        /// The node.
        node: NodeId,
        /// Protocol and version.
        after: AgentInfo,
    },
    /// The agent's protocol or version changed.
    #[serde(rename = "io.replicante.agent.info_changed")]
    AgentInfoChanged {
        /// The node.
        node: NodeId,
        /// Before.
        before: AgentInfo,
        /// After.
        after: AgentInfo,
    },
    /// The datastore node told of itself for the first time.
    #[serde(rename = "io.replicante.node.new")]
    NodeNew {
        /// The node.
        node: NodeId,
        /// What it told: id, kind, version, attributes.
        after: Map<String, Value>,
    },
    /// What the datastore tells of itself changed, where its agent listens, or what the source says of it.
    #[serde(rename = "io.replicante.node.changed")]
    NodeChanged {
        /// The node.
        node: NodeId,
        /// What changed, before: a JSON merge patch (RFC 7396) back.
        before: Map<String, Value>,
        /// What changed, after: a JSON merge patch (RFC 7396).
        after: Map<String, Value>,
    },
    /// The datastore is up again.
    #[serde(rename = "io.replicante.node.up")]
    NodeUp {
        /// The node.
        node: NodeId,
        /// Status before.
        before: NodeStatus,
        /// Status after.
        after: NodeStatus,
    },
    /// The agent answers and the datastore is down, or is another cluster's.
    #[serde(rename = "io.replicante.node.down")]
    NodeDown {
        /// The node.
        node: NodeId,
        /// Status before.
        before: NodeStatus,
        /// Status after.
        after: NodeStatus,
    },
    /// The source no longer reports the node.
    #[serde(rename = "io.replicante.node.missing")]
    NodeMissing {
        /// The node.
        node: NodeId,
        /// Since when.
        #[serde(with = "crate::time::as_rfc3339")]
        since: Option<Timestamp>,
    },
    /// The source reports the node again.
    #[serde(rename = "io.replicante.node.restored")]
    NodeRestored {
        /// The node.
        node: NodeId,
        /// Since when it was missing.
        #[serde(with = "crate::time::as_rfc3339")]
        missing_since: Option<Timestamp>,
    },
    /// The node is removed, with its shards and actions.
    #[serde(rename = "io.replicante.node.removed")]
    NodeRemoved {
        /// The node.
        node: NodeId,
        /// Since when the source no longer reported it.
        #[serde(with = "crate::time::as_rfc3339")]
        missing_since: Option<Timestamp>,
        /// Who wanted it forgotten; null when it was missing for long enough.
        actor: Option<String>,
    },
    /// A shard on a node.
    #[serde(rename = "io.replicante.shard.new")]
    ShardNew {
        /// The node.
        node: NodeId,
        /// The shard.
        shard: ShardId,
        /// The node's role for it.
        after: RoleOf,
    },
    /// The role of a node for a shard changed.
    #[serde(rename = "io.replicante.shard.changed")]
    ShardChanged {
        /// The node.
        node: NodeId,
        /// The shard.
        shard: ShardId,
        /// The role before.
        before: RoleOf,
        /// The role after.
        after: RoleOf,
    },
    /// A shard is no longer on a node.
    #[serde(rename = "io.replicante.shard.removed")]
    ShardRemoved {
        /// The node.
        node: NodeId,
        /// The shard.
        shard: ShardId,
        /// The role it had.
        before: RoleOf,
    },
    /// One node leads the shard, and it is not what was known before.
    #[serde(rename = "io.replicante.shard.primary_changed")]
    ShardPrimaryChanged {
        /// The shard.
        shard: ShardId,
        /// What was known; null when nothing was.
        before: Option<Primary>,
        /// The node that leads it.
        after: Primary,
    },
    /// No node leads the shard.
    #[serde(rename = "io.replicante.shard.primary_lost")]
    ShardPrimaryLost {
        /// The shard.
        shard: ShardId,
        /// What was known; null when nothing was.
        before: Option<Primary>,
        /// That it is lost.
        after: Primary,
    },
    /// Several nodes lead the shard.
    #[serde(rename = "io.replicante.shard.primary_conflict")]
    ShardPrimaryConflict {
        /// The shard.
        shard: ShardId,
        /// What was known; null when nothing was.
        before: Option<Primary>,
        /// The nodes that lead it.
        after: Primary,
    },
    /// An action on an agent.
    #[serde(rename = "io.replicante.action.new")]
    ActionNew {
        /// The node.
        node: NodeId,
        /// The action.
        action: ActionId,
        /// What it is. It starts as unfinished.
        after: ActionView,
    },
    /// An action got on, without coming to its end.
    #[serde(rename = "io.replicante.action.changed")]
    ActionChanged {
        /// The node.
        node: NodeId,
        /// The action.
        action: ActionId,
        /// What it was.
        before: ActionView,
        /// What it is.
        after: ActionView,
    },
    /// An action came to its end.
    #[serde(rename = "io.replicante.action.finished")]
    ActionFinished {
        /// The node.
        node: NodeId,
        /// The action.
        action: ActionId,
        /// What it was.
        before: ActionView,
        /// What it is.
        after: ActionView,
    },
    /// An unfinished action that its agent no longer lists.
    #[serde(rename = "io.replicante.action.lost")]
    ActionLost {
        /// The node.
        node: NodeId,
        /// The action.
        action: ActionId,
        /// What it was.
        before: ActionView,
    },
    /// A run of a discovery failed, the first of a row.
    #[serde(rename = "io.replicante.discovery.failed")]
    DiscoveryFailed {
        /// Why: short, stable text.
        reason: String,
    },
    /// A discovery works again.
    #[serde(rename = "io.replicante.discovery.recovered")]
    DiscoveryRecovered {
        /// Since when it failed.
        #[serde(with = "crate::time::as_rfc3339")]
        failed_since: Option<Timestamp>,
    },
    /// A record was set aside.
    #[serde(rename = "io.replicante.discovery.record_rejected")]
    DiscoveryRecordRejected {
        /// The record: its cluster id, or its place in the answer.
        record: String,
        /// Why.
        reason: String,
    },
    /// A record that was set aside is good now, or gone.
    #[serde(rename = "io.replicante.discovery.record_accepted")]
    DiscoveryRecordAccepted {
        /// The record.
        record: String,
    },
    /// Another discovery owns a cluster that this one reports.
    #[serde(rename = "io.replicante.discovery.conflict")]
    DiscoveryConflict {
        /// The cluster.
        cluster: String,
        /// The discovery that owns it.
        owner: String,
    },
    /// That is no longer so.
    #[serde(rename = "io.replicante.discovery.conflict_resolved")]
    DiscoveryConflictResolved {
        /// The cluster.
        cluster: String,
        /// The discovery that owned it.
        owner: String,
    },
    /// The shrink guard holds what the source no longer reports, or holds something else than before.
    #[serde(rename = "io.replicante.discovery.shrink_held")]
    DiscoveryShrinkHeld(Shrink),
    /// An operator confirmed that what was held is gone.
    #[serde(rename = "io.replicante.discovery.shrink_confirmed")]
    DiscoveryShrinkConfirmed(Shrink),
    /// The guard lets go of what it held.
    #[serde(rename = "io.replicante.discovery.shrink_resolved")]
    DiscoveryShrinkResolved(Shrink),
    /// Workers that refresh its clusters are likely to be cut off: what they take for failures is held back.
    #[serde(rename = "io.replicante.discovery.observer_suspect")]
    DiscoveryObserverSuspect {
        /// Since when.
        #[serde(with = "crate::time::as_rfc3339")]
        since: Option<Timestamp>,
        /// Agents that they asked within the last minute.
        polled: u64,
        /// Those that they could not connect to.
        failed: u64,
    },
    /// None is any more.
    #[serde(rename = "io.replicante.discovery.observer_trusted")]
    DiscoveryObserverTrusted {
        /// Since when the first was.
        #[serde(with = "crate::time::as_rfc3339")]
        suspect_since: Option<Timestamp>,
    },
    /// An operator applied an object: there was none, or another.
    #[serde(rename = "io.replicante.object.applied")]
    ObjectApplied(ObjectChange),
    /// An operator deleted an object.
    #[serde(rename = "io.replicante.object.deleted")]
    ObjectDeleted(ObjectChange),
}

/// What the shrink guard held.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shrink {
    /// The cluster whose nodes it is about; null when it is about the clusters of the discovery.
    pub cluster: Option<String>,
    /// What names exactly what would go: see [`crate::absence::answer_hash`].
    pub answer: String,
    /// How many would go.
    pub dropped: u64,
    /// Of how many.
    pub known: u64,
    /// Since when it was held.
    #[serde(with = "crate::time::as_rfc3339")]
    pub since: Option<Timestamp>,
    /// The first ids of what would go.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sample: Vec<String>,
    /// Who confirmed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
}

impl Shrink {
    /// Of the clusters, or of the nodes of one.
    pub fn of(cluster: Option<String>, held: Held) -> Self {
        Shrink {
            cluster,
            answer: held.answer,
            dropped: held.dropped as u64,
            known: held.known as u64,
            since: Some(held.since),
            sample: Vec::new(),
            actor: None,
        }
    }
}

/// The version of each type's schema, the last part of `dataschema`.
pub const SCHEMA_VERSION: u32 = 1;
/// What every type's name starts with.
pub const TYPE_PREFIX: &str = "io.replicante.";
/// Every type, by its name after [`TYPE_PREFIX`].
pub const TYPES: [&str; 46] = [
    "cluster.new",
    "cluster.changed",
    "cluster.missing",
    "cluster.restored",
    "cluster.removed",
    "cluster.maintenance_began",
    "cluster.maintenance_ended",
    "cluster.health_changed",
    "cluster.identity_conflict",
    "cluster.identity_resolved",
    "cluster.snapshot",
    "agent.new",
    "agent.up",
    "agent.down",
    "agent.info_new",
    "agent.info_changed",
    "node.new",
    "node.changed",
    "node.up",
    "node.down",
    "node.missing",
    "node.restored",
    "node.removed",
    "shard.new",
    "shard.changed",
    "shard.removed",
    "shard.primary_changed",
    "shard.primary_lost",
    "shard.primary_conflict",
    "action.new",
    "action.changed",
    "action.finished",
    "action.lost",
    "discovery.failed",
    "discovery.recovered",
    "discovery.record_rejected",
    "discovery.record_accepted",
    "discovery.conflict",
    "discovery.conflict_resolved",
    "discovery.shrink_held",
    "discovery.shrink_confirmed",
    "discovery.shrink_resolved",
    "discovery.observer_suspect",
    "discovery.observer_trusted",
    "object.applied",
    "object.deleted",
];

impl Change {
    /// The type's name after [`TYPE_PREFIX`].
    pub fn name(&self) -> &'static str {
        match self {
            Change::ClusterNew { .. } => "cluster.new",
            Change::ClusterChanged { .. } => "cluster.changed",
            Change::ClusterMissing { .. } => "cluster.missing",
            Change::ClusterRestored { .. } => "cluster.restored",
            Change::ClusterRemoved { .. } => "cluster.removed",
            Change::ClusterMaintenanceBegan { .. } => "cluster.maintenance_began",
            Change::ClusterMaintenanceEnded { .. } => "cluster.maintenance_ended",
            Change::ClusterHealthChanged { .. } => "cluster.health_changed",
            Change::ClusterIdentityConflict(_) => "cluster.identity_conflict",
            Change::ClusterIdentityResolved(_) => "cluster.identity_resolved",
            Change::ClusterSnapshot(_) => "cluster.snapshot",
            Change::AgentNew { .. } => "agent.new",
            Change::AgentUp { .. } => "agent.up",
            Change::AgentDown { .. } => "agent.down",
            Change::AgentInfoNew { .. } => "agent.info_new",
            Change::AgentInfoChanged { .. } => "agent.info_changed",
            Change::NodeNew { .. } => "node.new",
            Change::NodeChanged { .. } => "node.changed",
            Change::NodeUp { .. } => "node.up",
            Change::NodeDown { .. } => "node.down",
            Change::NodeMissing { .. } => "node.missing",
            Change::NodeRestored { .. } => "node.restored",
            Change::NodeRemoved { .. } => "node.removed",
            Change::ShardNew { .. } => "shard.new",
            Change::ShardChanged { .. } => "shard.changed",
            Change::ShardRemoved { .. } => "shard.removed",
            Change::ShardPrimaryChanged { .. } => "shard.primary_changed",
            Change::ShardPrimaryLost { .. } => "shard.primary_lost",
            Change::ShardPrimaryConflict { .. } => "shard.primary_conflict",
            Change::ActionNew { .. } => "action.new",
            Change::ActionChanged { .. } => "action.changed",
            Change::ActionFinished { .. } => "action.finished",
            Change::ActionLost { .. } => "action.lost",
            Change::DiscoveryFailed { .. } => "discovery.failed",
            Change::DiscoveryRecovered { .. } => "discovery.recovered",
            Change::DiscoveryRecordRejected { .. } => "discovery.record_rejected",
            Change::DiscoveryRecordAccepted { .. } => "discovery.record_accepted",
            Change::DiscoveryConflict { .. } => "discovery.conflict",
            Change::DiscoveryConflictResolved { .. } => "discovery.conflict_resolved",
            Change::DiscoveryShrinkHeld(_) => "discovery.shrink_held",
            Change::DiscoveryShrinkConfirmed(_) => "discovery.shrink_confirmed",
            Change::DiscoveryShrinkResolved(_) => "discovery.shrink_resolved",
            Change::DiscoveryObserverSuspect { .. } => "discovery.observer_suspect",
            Change::DiscoveryObserverTrusted { .. } => "discovery.observer_trusted",
            Change::ObjectApplied(_) => "object.applied",
            Change::ObjectDeleted(_) => "object.deleted",
        }
    }

    /// The node and the shard or action it is about, as far as it is about one.
    pub fn about(&self) -> (Option<&str>, Option<&str>) {
        match self {
            Change::AgentNew { node, .. }
            | Change::AgentUp { node, .. }
            | Change::AgentDown { node, .. }
            | Change::AgentInfoNew { node, .. }
            | Change::AgentInfoChanged { node, .. }
            | Change::NodeNew { node, .. }
            | Change::NodeChanged { node, .. }
            | Change::NodeUp { node, .. }
            | Change::NodeDown { node, .. }
            | Change::NodeMissing { node, .. }
            | Change::NodeRestored { node, .. }
            | Change::NodeRemoved { node, .. } => (Some(node), None),
            Change::ClusterIdentityConflict(conflict) | Change::ClusterIdentityResolved(conflict) => {
                match conflict {
                    IdentityConflict::ClusterId { node, .. } | IdentityConflict::NodeId { node, .. } => {
                        (Some(node), None)
                    }
                    IdentityConflict::RepeatedNodeId { .. } | IdentityConflict::DisplayName { .. } => {
                        (None, None)
                    }
                }
            }
            Change::ShardNew { node, shard, .. }
            | Change::ShardChanged { node, shard, .. }
            | Change::ShardRemoved { node, shard, .. } => (Some(node), Some(shard)),
            Change::ActionNew { node, action, .. }
            | Change::ActionChanged { node, action, .. }
            | Change::ActionFinished { node, action, .. }
            | Change::ActionLost { node, action, .. } => (Some(node), Some(action)),
            Change::ShardPrimaryChanged { shard, .. }
            | Change::ShardPrimaryLost { shard, .. }
            | Change::ShardPrimaryConflict { shard, .. } => (None, Some(shard)),
            _ => (None, None),
        }
    }

    /// Whether it follows from the discovery record, not from what the agents say.
    pub fn from_discovery(&self) -> bool {
        matches!(
            self,
            Change::ClusterNew { .. }
                | Change::ClusterChanged { .. }
                | Change::ClusterMissing { .. }
                | Change::ClusterRestored { .. }
                | Change::ClusterRemoved { .. }
                | Change::AgentNew { .. }
                | Change::NodeMissing { .. }
                | Change::NodeRestored { .. }
                | Change::NodeRemoved { .. }
        )
    }
}
