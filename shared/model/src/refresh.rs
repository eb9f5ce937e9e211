//! Refresh: what one refresh commits. `(old state, discovery item, observations, now) -> (new state, events)`.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::actions;
use crate::change::Change;
use crate::diff::diff;
use crate::event::{Sealed, Sealer, TooLarge};
use crate::fold::{FoldError, fold};
use crate::observation::Observation;
use crate::observe::observe;
use crate::record::{DiscoveredCluster, NodeId, Removal};
use crate::snapshot::{is_due, snapshot};
use crate::time::Timestamp;
use crate::view::{ClusterState, ClusterView, Snapshots};

/// The most events of one commit.
pub const MAX_EVENTS: usize = 5_000;
/// The most bytes of the events of one commit.
pub const MAX_BYTES: usize = 4 * 1024 * 1024;

/// What a refresh goes by, besides what it heard.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// The readings are stored when the stored ones are older.
    pub readings_age: Duration,
    /// How long the stream keeps an event.
    pub retention: Duration,
}

/// What a refresh commits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refreshed {
    /// The new state.
    pub state: ClusterState,
    /// Its events.
    pub events: Vec<Sealed>,
    /// Whether there is anything to store: an event, a counter, actions, or readings that are due.
    pub store: bool,
    /// Whether more is to come than one commit takes, or the end of a record whose removal this one tells: it is due again
    /// at once.
    pub more: bool,
    /// Whether the cluster is removed and that has been told: the record is to go.
    pub ended: bool,
}

/// A refresh that can't be committed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RefreshError {
    /// An event is larger than the stream takes.
    #[error(transparent)]
    TooLarge(#[from] TooLarge),
    /// The changes that one commit takes do not lead to a view: the law is broken. Nothing is committed.
    #[error("the changes of a commit do not fit the view they were made from: {0}")]
    Fold(#[from] FoldError),
}

/// Decides what a refresh commits. The sealer's time is moved on to the record's last event where it is earlier.
///
/// More changes than one commit takes are cut: the state is then the fold of those that it took, and the next
/// refresh goes on from there.
///
/// # Errors
/// [`RefreshError`] for an event that the stream would refuse.
pub fn refresh(
    old: ClusterState,
    input: &DiscoveredCluster,
    observations: &BTreeMap<NodeId, Observation>,
    sealer: &Sealer<'_>,
    rules: Rules,
) -> Result<Refreshed, RefreshError> {
    let now = sealer.time;
    if let Some(removal) = &input.removed {
        return remove(&old, input.missing_since, removal, sealer);
    }
    let mut state = observe(&old, input, observations, now);
    if let Some(view) = &mut state.view {
        view.maintenance = sealer.maintenance.cloned();
    }
    let Some(view) = state.view.as_ref() else {
        return Ok(Refreshed { state, events: Vec::new(), store: false, more: false, ended: false });
    };
    let mut changes = diff(old.view.as_ref(), view);
    for change in &mut changes {
        if let Change::NodeRemoved { node, actor, .. } = change {
            *actor = input.forgotten_nodes.get(node).cloned();
        }
    }
    // A node that is removed takes its actions along.
    let is_of_view = |change: &Change| change.about().0.is_some_and(|node| view.nodes.contains_key(node));
    changes.extend(actions::diff(&old.actions, &state.actions).into_iter().filter(is_of_view));
    let sealer = Sealer { time: now.max(old.last_event), ..sealer.clone() };
    let mut events = sealer.seal(&changes, MAX_EVENTS, MAX_BYTES)?;
    let more = events.len() < changes.len();

    state.snapshots = if old.view.is_none() { Snapshots { commits: 0, last: now } } else { old.snapshots };
    if is_due(state.snapshots, now, rules.retention) {
        let after = Sealer { sequence: sealer.sequence + events.len() as u64, ..sealer.clone() };
        let parts = after.seal(&snapshot(view), usize::MAX, usize::MAX)?;
        let bytes: usize = events.iter().chain(&parts).map(|event| event.bytes.len()).sum();
        let fits = events.len() + parts.len() <= MAX_EVENTS && bytes <= MAX_BYTES;
        if events.is_empty() || (!more && fits) {
            events.extend(parts);
            state.snapshots = Snapshots { commits: 0, last: now };
        } else if let Some(known) = &old.view {
            // It does not fit beside the changes: what was known before them is this commit, and they are the
            // next, at once. The other way round, a cluster that always changes would never have a snapshot.
            let events = sealer.seal(&snapshot(known), usize::MAX, usize::MAX)?;
            let snapshots = Snapshots { commits: 0, last: now };
            let state = ClusterState { snapshots, last_event: sealer.time, ..old };
            return Ok(Refreshed { state, events, store: true, more: true, ended: false });
        }
    }
    if more {
        // By the law, what the changes so far lead to is a view as well. They were made from it, so they fit.
        let (taken, left) = changes.split_at(events.len());
        let kept = fold(old.view.clone(), taken)?;
        hold_back(&mut state, &old, kept);
        actions::hold_back(&old.actions, &mut state.actions, taken, left);
    }
    if !events.is_empty() {
        state.last_event = sealer.time;
        state.snapshots.commits += u32::from(!changes.is_empty());
    }
    let readings_due = now.since(old.read_at) >= rules.readings_age && state.readings != old.readings;
    let beside = state.counters != old.counters || state.actions != old.actions;
    let store = !events.is_empty() || beside || readings_due;
    Ok(Refreshed { state, events, store, more, ended: false })
}

/// The last commit of a cluster's record tells that it is removed. After it there is nothing to tell: the record ends.
fn remove(
    old: &ClusterState,
    missing_since: Option<Timestamp>,
    removal: &Removal,
    sealer: &Sealer<'_>,
) -> Result<Refreshed, RefreshError> {
    let Some(view) = &old.view else {
        let state = old.clone();
        return Ok(Refreshed { state, events: Vec::new(), store: false, more: false, ended: true });
    };
    let mut changes = Vec::new();
    if missing_since.is_some() && view.missing_since != missing_since {
        changes.push(Change::ClusterMissing { since: missing_since });
    }
    changes.push(Change::ClusterRemoved { missing_since, actor: removal.actor.clone() });
    let sealer = Sealer { time: sealer.time.max(old.last_event), ..sealer.clone() };
    let events = sealer.seal(&changes, MAX_EVENTS, MAX_BYTES)?;
    let state = ClusterState { last_event: sealer.time, ..ClusterState::default() };
    Ok(Refreshed { state, events, store: true, more: true, ended: false })
}

/// Takes the view that the changes of a cut commit lead to. Nodes that are not yet what they were found to be keep
/// their old counters and readings too, so that the next refresh goes on from there.
fn hold_back(state: &mut ClusterState, old: &ClusterState, kept: Option<ClusterView>) {
    let found = std::mem::replace(&mut state.view, kept);
    for (id, node) in found.iter().flat_map(|view| &view.nodes) {
        if state.view.as_ref().and_then(|view| view.nodes.get(id)) != Some(node) {
            restore(&mut state.counters.nodes, &old.counters.nodes, id);
            restore(&mut state.readings, &old.readings, id);
        }
    }
}

fn restore<V: Clone>(new: &mut BTreeMap<NodeId, V>, old: &BTreeMap<NodeId, V>, id: &NodeId) {
    match old.get(id) {
        Some(known) => new.insert(id.clone(), known.clone()),
        None => new.remove(id),
    };
}
