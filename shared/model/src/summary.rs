//! Summaries: what a list of records shows, small enough for the head.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::discovery::DiscoveryState;
use crate::observation::Role;
use crate::time::Timestamp;
use crate::view::{ClusterView, Health, NodeStatus, Primary};

/// The most bytes of a name in a summary.
const MAX_NAME: usize = 60;
/// The most bytes of a kind, and the most kinds.
const MAX_KIND: usize = 20;
const MAX_KINDS: usize = 3;
/// The most bytes of a reason.
const MAX_REASON: usize = 90;

/// What a list shows of a cluster or of a discovery. Counts that are zero are left out of its JSON.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Summary {
    /// Cluster: its health.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub health: Option<Health>,
    /// Cluster: its display name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Cluster: the kinds of its nodes, the first three.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub kinds: Vec<String>,
    /// Cluster: present nodes.
    #[serde(skip_serializing_if = "is_zero")]
    pub nodes: u64,
    /// Cluster: present nodes whose agent answers and whose datastore is down (or another cluster's).
    #[serde(skip_serializing_if = "is_zero")]
    pub nodes_down: u64,
    /// Cluster: present nodes whose agent does not answer.
    #[serde(skip_serializing_if = "is_zero")]
    pub agents_down: u64,
    /// Cluster: shards.
    #[serde(skip_serializing_if = "is_zero")]
    pub shards: u64,
    /// Cluster: shards that one node leads.
    #[serde(skip_serializing_if = "is_zero")]
    pub primaries: u64,
    /// Cluster: nodes that its source no longer reports. Discovery: clusters that it no longer reports.
    #[serde(skip_serializing_if = "is_zero")]
    pub missing: u64,
    /// Discovery: clusters that it reports.
    #[serde(skip_serializing_if = "is_zero")]
    pub clusters: u64,
    /// Discovery: records that are set aside.
    #[serde(skip_serializing_if = "is_zero")]
    pub rejected: u64,
    /// Discovery: clusters and nodes that its source no longer reports and the shrink guard holds.
    #[serde(skip_serializing_if = "is_zero")]
    pub held: u64,
    /// Discovery: clusters that another discovery owns.
    #[serde(skip_serializing_if = "is_zero")]
    pub conflicts: u64,
    /// Discovery: agents that workers which are likely to be cut off could not connect to.
    #[serde(skip_serializing_if = "is_zero")]
    pub unconnected: u64,
    /// Why the last task failed, or the source.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// When the last task began.
    pub at: Timestamp,
    /// How it ended.
    pub outcome: String,
    /// How long it took, in milliseconds.
    pub ms: u64,
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// Short text for a head: without control characters, cut to at most `most` bytes as JSON writes it.
fn short(text: &str, most: usize) -> String {
    let mut bytes = 0;
    let written = |c: &char| if matches!(c, '"' | '\\') { 2 } else { c.len_utf8() };
    let fitting = text.chars().filter(|c| !c.is_control()).take_while(|c| {
        bytes += written(c);
        bytes <= most
    });
    fitting.collect()
}

impl Summary {
    /// What a list shows of a cluster.
    pub fn of_cluster(view: &ClusterView) -> Self {
        let mut summary = Summary {
            health: view.health,
            name: view.display_name.as_deref().map(|name| short(name, MAX_NAME)),
            missing: (view.nodes.len() - view.present().count()) as u64,
            ..Summary::default()
        };
        let mut kinds: BTreeSet<&str> = BTreeSet::new();
        let mut shards: BTreeSet<&str> = BTreeSet::new();
        let mut led: BTreeSet<&str> = BTreeSet::new();
        for (_, node) in view.present() {
            summary.nodes += 1;
            match node.status {
                NodeStatus::Up => {}
                NodeStatus::AgentDown { .. } => summary.agents_down += 1,
                NodeStatus::NodeDown { .. } | NodeStatus::Conflict { .. } => summary.nodes_down += 1,
            }
            kinds.extend(node.details.as_ref().map(|details| details.kind.as_str()));
            for (shard, role) in &node.shards {
                shards.insert(shard);
                // Where the view has a verdict, it counts; a shard with a single holder has none.
                let is_led = match view.primaries.get(shard) {
                    Some(verdict) => matches!(verdict, Primary::Elected { .. }),
                    None => *role == Role::Primary,
                };
                if is_led {
                    led.insert(shard);
                }
            }
        }
        summary.kinds = kinds.into_iter().take(MAX_KINDS).map(|kind| short(kind, MAX_KIND)).collect();
        summary.shards = shards.len() as u64;
        summary.primaries = led.len() as u64;
        summary
    }

    /// What a list shows of a discovery.
    pub fn of_discovery(state: &DiscoveryState) -> Self {
        let conflicts = state.clusters.values().filter(|known| known.owner.is_some()).count();
        let missing = state.absences.absent.values().filter(|absence| absence.missing).count();
        let held_nodes = state.clusters.values().filter_map(|known| known.nodes.held.as_ref());
        let held = state.absences.held.iter().chain(held_nodes);
        let mut summary = Summary {
            clusters: (state.clusters.len() - missing - conflicts) as u64,
            missing: missing as u64,
            conflicts: conflicts as u64,
            held: held.map(|held| held.dropped as u64).sum(),
            rejected: state.rejected.len() as u64,
            unconnected: state.observer.map_or(0, |observer| observer.failed),
            ..Summary::default()
        };
        summary.set_reason(state.failing.as_ref().map(|failing| failing.reason.as_str()));
        summary
    }

    /// Sets the reason, cut to what a head takes.
    pub fn set_reason(&mut self, reason: Option<&str>) {
        self.reason = reason.map(|reason| short(reason, MAX_REASON));
    }

    /// Reads a summary as it is stored. One that can't be read is empty: it is shown, nothing rests on it.
    pub fn parse(json: Option<&str>) -> Self {
        json.and_then(|json| serde_json::from_str(json).ok()).unwrap_or_default()
    }

    /// As it is stored.
    pub fn to_json(&self) -> String {
        // Text and numbers: JSON holds them.
        serde_json::to_string(self).unwrap_or_default()
    }
}
