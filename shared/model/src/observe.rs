//! Observe: the new state of a cluster, from the old one and what this refresh heard.

use std::collections::{BTreeMap, BTreeSet};

use crate::actions::take;
use crate::health::health;
use crate::labels::Labels;
use crate::observation::{MAX_REASON, NodeReport, Observation, cut};
use crate::primaries::{Heard, judge};
use crate::record::{AgentSettings, ClusterIdCheck, DiscoveredCluster, NodeId};
use crate::silence;
use crate::time::Timestamp;
use crate::view::{
    ClusterState, ClusterView, IdentityConflict, MAX_NAMED, NodeCounters, NodeReadings, NodeStatus, NodeView,
    ShardReading,
};

/// The state after a refresh: `(old state, discovery item, observations, now) -> new state`.
///
/// A node's own report alone decides what is said of it. Nodes of the record without an observation count as
/// [`Observation::NotPolled`]; nodes that the record no longer names are kept while they are missing.
pub fn observe(
    old: &ClusterState,
    input: &DiscoveredCluster,
    observations: &BTreeMap<NodeId, Observation>,
    now: Timestamp,
) -> ClusterState {
    let mut state = old.clone();
    let mut view = state.view.take().unwrap_or_default();
    view.discovery = Some(input.discovery.clone());
    view.record.clone_from(&input.record.nodes);
    view.missing_since = input.missing_since;
    state.read_at = now;

    let mut heard: BTreeMap<&str, Heard> = BTreeMap::new();
    for (id, address) in &input.record.nodes {
        let node = view.nodes.entry(id.clone()).or_insert_with(|| NodeView::unseen(address.clone()));
        node.missing_since = None;
        let mut counters = state.counters.nodes.remove(id).unwrap_or_default();
        if node.address != *address {
            // Of the new address nothing is known.
            counters.silent_since = None;
            node.address.clone_from(address);
        }
        let readings = state.readings.entry(id.clone()).or_default();
        let nothing = Labels::new();
        let labels = input.record.labels.get(id).unwrap_or(&nothing);
        if node.labels != *labels {
            node.labels.clone_from(labels);
        }
        let observation = observations.get(id).unwrap_or(&Observation::NotPolled);
        let found = observe_node(node, &mut counters, readings, observation, input, now);
        silence::note(&mut counters, &node.status, observation, now);
        heard.insert(id, found);
        if let (Heard::Up, Observation::Up(report)) = (found, observation) {
            let known = take(state.actions.remove(id), &report.actions);
            state.actions.extend(known.map(|known| (id.clone(), known)));
        }
        if counters != NodeCounters::default() {
            state.counters.nodes.insert(id.clone(), counters);
        }
    }
    view.nodes.retain(|id, node| {
        if input.record.nodes.contains_key(id) {
            return true;
        }
        state.counters.nodes.remove(id);
        let Some(since) = input.missing_nodes.get(id) else {
            state.readings.remove(id);
            state.actions.remove(id);
            return false;
        };
        node.missing_since = Some(*since);
        state.readings.entry(id.clone()).or_default().stale = true;
        true
    });
    let reported_name = || view.present().find_map(|(_, node)| node.cluster_name.clone());
    view.display_name = input.record.display_name.clone().or_else(reported_name);
    view.conflicts = conflicts(&view, input, observations);
    judge(&mut view, &mut state.counters, |id| heard.get(id).copied().unwrap_or(Heard::Nothing));
    view.health = Some(health(&view));
    state.view = Some(view);
    state
}

/// Takes in what was heard of one node; says what that means for the shards on it.
fn observe_node(
    node: &mut NodeView,
    counters: &mut NodeCounters,
    readings: &mut NodeReadings,
    observation: &Observation,
    input: &DiscoveredCluster,
    now: Timestamp,
) -> Heard {
    readings.stale = true;
    match observation {
        Observation::NotPolled => Heard::Nothing,
        Observation::AgentDown { reason, .. } => {
            failed(node, counters, &input.agents, NodeStatus::AgentDown { reason: reason.clone() });
            Heard::Nothing
        }
        Observation::NodeDown { reason, agent } => {
            if agent.is_some() {
                node.agent.clone_from(agent);
            }
            failed(node, counters, &input.agents, NodeStatus::NodeDown { reason: reason.clone() });
            // A failure that does not count yet says nothing of what the node leads.
            if matches!(node.status, NodeStatus::NodeDown { .. }) { Heard::Down } else { Heard::Nothing }
        }
        Observation::Up(report) if is_foreign(report, input) => {
            *counters = NodeCounters::default();
            let reason = format!("answers for cluster {}", report.cluster_id);
            node.status = NodeStatus::Conflict { reason: cut(&reason, MAX_REASON).into() };
            Heard::Nothing
        }
        Observation::Up(report) => {
            counters.failures = 0;
            if node.status != NodeStatus::Up {
                counters.successes =
                    counters.successes.saturating_add(1).min(input.agents.successes_before_up);
                if counters.successes < input.agents.successes_before_up {
                    return Heard::Nothing;
                }
            }
            counters.successes = 0;
            readings.stale = false;
            readings.last_seen = Some(now);
            take_report(node, readings, report);
            Heard::Up
        }
    }
}

/// Counts a failure, and calls the node down once there are enough in a row.
fn failed(node: &mut NodeView, counters: &mut NodeCounters, settings: &AgentSettings, status: NodeStatus) {
    counters.successes = 0;
    counters.failures = counters.failures.saturating_add(1).min(settings.failures_before_down);
    let was_up = matches!(node.status, NodeStatus::Up);
    if !was_up || counters.failures >= settings.failures_before_down {
        node.status = status;
    }
}

fn take_report(node: &mut NodeView, readings: &mut NodeReadings, report: &NodeReport) {
    node.status = NodeStatus::Up;
    node.agent = Some(report.agent.clone());
    node.details = Some(report.node.clone());
    node.cluster_name.clone_from(&report.display_name);
    node.shards = report.shards.iter().map(|(id, shard)| (id.clone(), shard.role.clone())).collect();
    readings.shards.clear();
    for (id, shard) in &report.shards {
        if shard.commit_offset.is_some() || shard.lag.is_some() {
            let reading = ShardReading { commit_offset: shard.commit_offset.clone(), lag: shard.lag.clone() };
            readings.shards.insert(id.clone(), reading);
        }
    }
}

/// Whether a node answers for another cluster, and that matters.
fn is_foreign(report: &NodeReport, input: &DiscoveredCluster) -> bool {
    input.agents.cluster_id == ClusterIdCheck::Check && report.cluster_id != input.record.cluster_id
}

/// The contradictions that stand, over the present nodes. One about a silent node stands as it stood.
fn conflicts(
    view: &ClusterView,
    input: &DiscoveredCluster,
    observations: &BTreeMap<NodeId, Observation>,
) -> BTreeSet<IdentityConflict> {
    let mut found = BTreeSet::new();
    let mut reporters: BTreeMap<&str, Vec<NodeId>> = BTreeMap::new();
    let mut names: BTreeSet<&str> = BTreeSet::new();
    let mut foreign: BTreeSet<&NodeId> = BTreeSet::new();
    for conflict in &view.conflicts {
        if let IdentityConflict::ClusterId { node, .. } = conflict {
            let silent = !matches!(observations.get(node), Some(Observation::Up(_)));
            if silent && input.record.nodes.contains_key(node) {
                found.insert(conflict.clone());
                foreign.insert(node);
            }
        }
    }
    for (id, node) in view.present() {
        if let Some(Observation::Up(report)) = observations.get(id)
            && is_foreign(report, input)
        {
            let reported = report.cluster_id.clone();
            found.insert(IdentityConflict::ClusterId { node: id.clone(), reported });
            foreign.insert(id);
        }
        if foreign.contains(id) {
            // What it said before, as a node of this cluster, says nothing of who it is now.
            continue;
        }
        let Some(details) = &node.details else { continue };
        reporters.entry(&details.node_id).or_default().push(id.clone());
        names.extend(node.cluster_name.as_deref());
        // An id that is the agent's URL was not given by discovery: there is nothing to contradict.
        let given = input.record.nodes.get(id).is_some_and(|address| address != id);
        if given && details.node_id != *id {
            found.insert(IdentityConflict::NodeId { node: id.clone(), reported: details.node_id.clone() });
        }
    }
    for (reported, mut nodes) in reporters {
        if nodes.len() > 1 {
            nodes.truncate(MAX_NAMED);
            found.insert(IdentityConflict::RepeatedNodeId { reported: reported.into(), nodes });
        }
    }
    if names.len() > 1 {
        found.insert(IdentityConflict::DisplayName {
            names: names.into_iter().take(MAX_NAMED).map(String::from).collect(),
        });
    }
    found
}
