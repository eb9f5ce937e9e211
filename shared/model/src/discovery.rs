//! Discovery: what one run of a discovery commits. `(old state, answer, settings, now) -> (new state, changes,
//! items)`.

mod answered;

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use self::answered::{Given, answered, forgotten};
use crate::absence::Absences;
use crate::change::Change;
use crate::intent::Intents;
use crate::observer::Suspicion;
use crate::record::{AgentSettings, ClusterRecord, DiscoveredCluster, NodeId};
use crate::time::Timestamp;

/// The most clusters whose items one commit writes.
pub const MAX_CLUSTERS: usize = 5_000;
/// The most changes of one commit: conflicts and rejected records.
pub const MAX_CHANGES: usize = 5_000;

/// What a discovery says of all its clusters.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterSettings {
    /// How their agents are polled.
    pub agents: AgentSettings,
    /// How often they are refreshed.
    #[serde(with = "crate::time::as_millis")]
    pub refresh_interval: Duration,
}

/// One cluster, as its discovery knows it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownCluster {
    /// The record as it was reported last, with the nodes that the shrink guard holds, and without those that are missing.
    pub record: ClusterRecord,
    /// Its nodes that are not reported.
    #[serde(default, skip_serializing_if = "Absences::is_empty")]
    pub nodes: Absences,
    /// Its nodes that operators want forgotten, and who: no word of the source counts for them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub forgotten: BTreeMap<NodeId, String>,
    /// The generation of the settings that its item was written with.
    #[serde(default)]
    pub generation: u32,
    /// The discovery that owns it, when that is another one: its item is not written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
}

/// A row of failed runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failing {
    /// Since when.
    pub since: Timestamp,
    /// Why, the last time.
    pub reason: String,
}

/// The state of a discovery's record.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiscoveryState {
    /// The clusters it has reported and that are not removed, by id.
    pub clusters: BTreeMap<String, KnownCluster>,
    /// Those of them that are not reported.
    #[serde(default, skip_serializing_if = "Absences::is_empty")]
    pub absences: Absences,
    /// The records that are set aside, with the reason.
    #[serde(default)]
    pub rejected: BTreeMap<String, String>,
    /// Set while runs fail.
    #[serde(default)]
    pub failing: Option<Failing>,
    /// Set while workers that refresh its clusters are likely to be cut off: as it was told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observer: Option<Suspicion>,
    /// The settings of its clusters, as of the last run.
    #[serde(default)]
    pub settings: ClusterSettings,
    /// Up by one whenever they change.
    #[serde(default)]
    pub generation: u32,
    /// The time of the record's last event: the next is not earlier.
    #[serde(default)]
    pub last_event: Timestamp,
}

impl DiscoveryState {
    /// Whether operators want anything forgotten that is known.
    pub fn has_to_forget(&self, intents: &Intents) -> bool {
        let forgotten = |(id, nodes): (&String, &BTreeMap<NodeId, String>)| {
            self.clusters.get(id).is_some_and(|known| known.forgotten != *nodes)
        };
        intents.forgotten.keys().any(|id| self.clusters.contains_key(id))
            || intents.forgotten_nodes.iter().any(forgotten)
    }
}

/// What a run commits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// The new state.
    pub state: DiscoveryState,
    /// The changes, in order.
    pub changes: Vec<Change>,
    /// The clusters whose items are to be written.
    pub items: Vec<DiscoveredCluster>,
    /// Whether anything changed at all: an event, an item or a counter.
    pub store: bool,
    /// Whether more is to come than one commit takes.
    pub more: bool,
}

/// What a run of a failed source commits: the first failure of a row is a change. Those after it are none; what is
/// stored and shown is the reason of the last.
pub fn failed(old: &DiscoveryState, reason: &str, now: Timestamp) -> Run {
    let mut state = old.clone();
    let mut changes = Vec::new();
    if let Some(failing) = &mut state.failing {
        failing.reason = reason.into();
    } else {
        state.failing = Some(Failing { since: now, reason: reason.into() });
        changes.push(Change::DiscoveryFailed { reason: reason.into() });
    }
    finish(old, state, changes, Vec::new(), false, now)
}

/// What a commit takes note of when items it delivered were refused because other discoveries own the clusters.
pub fn contested(old: &DiscoveryState, owners: &BTreeMap<String, String>, now: Timestamp) -> Run {
    let mut state = old.clone();
    let mut changes = Vec::new();
    for (id, owner) in owners {
        let Some(known) = state.clusters.get_mut(id) else { continue };
        if known.owner.as_ref() != Some(owner) {
            known.owner = Some(owner.clone());
            changes.push(Change::DiscoveryConflict { cluster: id.clone(), owner: owner.clone() });
        }
    }
    finish(old, state, changes, Vec::new(), false, now)
}

fn finish(
    old: &DiscoveryState,
    mut state: DiscoveryState,
    changes: Vec<Change>,
    items: Vec<DiscoveredCluster>,
    more: bool,
    now: Timestamp,
) -> Run {
    if !changes.is_empty() {
        state.last_event = now.max(old.last_event);
    }
    let store = !changes.is_empty() || !items.is_empty() || state != *old;
    Run { state, changes, items, store, more }
}

/// The discovery item of a cluster that is there: what the discovery `name` says of it.
pub fn item(
    name: &str,
    known: &KnownCluster,
    missing_since: Option<Timestamp>,
    settings: &ClusterSettings,
) -> DiscoveredCluster {
    let missing = known.nodes.absent.iter().filter(|(_, absence)| absence.missing);
    DiscoveredCluster {
        record: known.record.clone(),
        missing_nodes: missing.map(|(id, absence)| (id.clone(), absence.since)).collect(),
        forgotten_nodes: known.forgotten.clone(),
        discovery: name.into(),
        missing_since,
        removed: None,
        agents: settings.agents.clone(),
        refresh_interval: settings.refresh_interval,
    }
}
