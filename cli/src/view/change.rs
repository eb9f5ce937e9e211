//! What changed, in one line: one sentence for each type of event.

use replicante_model::actions::ActionView;
use replicante_model::change::{Change, ClusterHeader, RecordDifference, Shrink, SnapshotPart};
use replicante_model::maintenance::Maintenance;
use replicante_model::object::ObjectChange;
use replicante_model::observation::{AgentInfo, Role};
use replicante_model::record::AgentApi;
use replicante_model::time::Timestamp;
use replicante_model::view::{Health, IdentityConflict, NodeStatus, Primary};
use serde_json::{Map, Value};

use crate::view::style::Tone;
use crate::view::text::{count, list};

/// Names of a list that are shown.
const NAMES: usize = 5;

/// What changed, from before to after. Not yet made safe to show: see `clean`.
pub fn describe(change: &Change) -> String {
    match change {
        Change::ClusterNew { after, nodes } => new_cluster(after, nodes.len()),
        Change::ClusterChanged { before, after, nodes } => {
            let mut parts = header(before.as_ref(), after.as_ref());
            parts.extend(difference(nodes));
            parts.join("; ")
        }
        // Since when is the event's own time, or a moment before.
        Change::ClusterMissing { .. } => "no longer reported by its source".into(),
        Change::ClusterRestored { missing_since } => {
            format!("reported by its source again{}", at("missing since", missing_since))
        }
        Change::ClusterRemoved { missing_since, actor } => {
            format!("removed{}{}", by(actor), at("missing since", missing_since))
        }
        Change::ClusterMaintenanceBegan { before, after } => {
            let verb = if before.is_some() { "now" } else { "in maintenance" };
            format!("{verb} {}", window(after))
        }
        Change::ClusterMaintenanceEnded { before } => {
            let why = before.reason.as_deref().map(|reason| format!(": {reason}")).unwrap_or_default();
            format!("no longer in maintenance, as it was since {}{why}", before.since)
        }
        Change::ClusterHealthChanged { before, after } => {
            format!("{} -> {}", health(*before), health(*after))
        }
        Change::ClusterIdentityConflict(conflict) => contradiction(conflict),
        Change::ClusterIdentityResolved(conflict) => format!("no longer: {}", contradiction(conflict)),
        Change::ClusterSnapshot(part) => snapshot(part),
        Change::AgentNew { node, address, .. } => format!("{node} at {address}"),
        Change::AgentUp { node, before, after }
        | Change::AgentDown { node, before, after }
        | Change::NodeUp { node, before, after }
        | Change::NodeDown { node, before, after } => {
            format!("{node}: {} -> {}", status(before), status(after))
        }
        Change::AgentInfoNew { node, after } => format!("{node}: {}", agent(after)),
        Change::AgentInfoChanged { node, before, after } => {
            format!("{node}: {} -> {}", agent(before), agent(after))
        }
        Change::NodeNew { node, after } => format!("{node}: {}", new_node(after)),
        Change::NodeChanged { node, before, after } => format!("{node}: {}", patch(before, after)),
        Change::NodeMissing { node, .. } => format!("{node}: no longer reported by its source"),
        Change::NodeRestored { node, missing_since } => {
            format!("{node}: reported by its source again{}", at("missing since", missing_since))
        }
        Change::NodeRemoved { node, missing_since, actor } => {
            format!("{node}: removed{}{}", by(actor), at("missing since", missing_since))
        }
        Change::ShardNew { node, shard, after } => format!("{shard} on {node}: {}", role(&after.role)),
        Change::ShardChanged { node, shard, before, after } => {
            format!("{shard} on {node}: {} -> {}", role(&before.role), role(&after.role))
        }
        Change::ShardRemoved { node, shard, before } => {
            format!("{shard} on {node}: {} -> gone", role(&before.role))
        }
        Change::ShardPrimaryChanged { shard, before, after }
        | Change::ShardPrimaryLost { shard, before, after }
        | Change::ShardPrimaryConflict { shard, before, after } => {
            let before = before.as_ref().map_or_else(|| "unknown".into(), primary);
            format!("{shard}: {before} -> {}", primary(after))
        }
        Change::ActionNew { node, action, after } => {
            let requester = after.details.requester.as_ref().map(|who| format!(", asked for by {who}"));
            format!("{} on {node}: {}{}", named(action, after), after.state, requester.unwrap_or_default())
        }
        Change::ActionChanged { node, action, before, after }
        | Change::ActionFinished { node, action, before, after } => {
            let error = after.details.error.as_ref().map(|error| format!(" ({error})")).unwrap_or_default();
            format!("{} on {node}: {} -> {}{error}", named(action, after), before.state, after.state)
        }
        Change::ActionLost { node, action, before } => {
            format!("{} on {node}: {} -> no longer listed", named(action, before), before.state)
        }
        Change::DiscoveryFailed { reason } => reason.clone(),
        Change::DiscoveryRecovered { failed_since } => {
            format!("works again{}", at("failed since", failed_since))
        }
        Change::DiscoveryRecordRejected { record, reason } => format!("{record} is set aside: {reason}"),
        Change::DiscoveryRecordAccepted { record } => format!("{record} is good now, or gone"),
        Change::DiscoveryConflict { cluster, owner } => {
            format!("{cluster} belongs to discovery {owner}: what this one says of it is not used")
        }
        Change::DiscoveryConflictResolved { cluster, owner } => {
            format!("{cluster} no longer belongs to discovery {owner}")
        }
        Change::DiscoveryShrinkHeld(shrink) => {
            format!("{} would go: held until confirmed (answer {})", what_shrinks(shrink), shrink.answer)
        }
        Change::DiscoveryShrinkConfirmed(shrink) => {
            format!("{} are gone: confirmed{}", what_shrinks(shrink), by(&shrink.actor))
        }
        Change::DiscoveryShrinkResolved(shrink) => {
            format!("no longer held: {}", what_shrinks(shrink))
        }
        Change::DiscoveryObserverSuspect { since, polled, failed } => format!(
            "a worker may be cut off: no connection to {failed} of {polled} agents{}; what seems down is held back",
            at("since", since)
        ),
        Change::DiscoveryObserverTrusted { suspect_since } => {
            format!("no worker seems cut off{}", at("as one did since", suspect_since))
        }
        Change::ObjectApplied(change) => applied(change),
        Change::ObjectDeleted(_) => "its object is gone".into(),
    }
}

/// What an operator changed: the first of the settings that are others now.
fn applied(change: &ObjectChange) -> String {
    match (&change.before, &change.after) {
        _ if change.left_out => "what is in it is too large to be told".into(),
        (None, _) => "it is new".into(),
        (Some(before), Some(after)) if before == after => "nothing that is shown".into(),
        (Some(before), after) => patch(before, after.as_ref().unwrap_or(&Map::new())),
    }
}

/// A maintenance window in words: `until 2026-01-02T03:04:05.000Z by ann: new racks`.
pub fn window(window: &Maintenance) -> String {
    let why = window.reason.as_deref().map(|reason| format!(": {reason}")).unwrap_or_default();
    format!("until {} by {}{why}", window.until, window.actor)
}

fn by(actor: &Option<String>) -> String {
    actor.as_ref().map(|actor| format!(" by {actor}")).unwrap_or_default()
}

/// `3 of 10 clusters`, `2 of 3 nodes of orders`.
fn what_shrinks(shrink: &Shrink) -> String {
    match &shrink.cluster {
        None => format!("{} of {}", shrink.dropped, count(shrink.known, "cluster")),
        Some(cluster) => format!("{} of {} of {cluster}", shrink.dropped, count(shrink.known, "node")),
    }
}

/// How a change is to be seen.
pub fn tone(change: &Change) -> Tone {
    match change {
        Change::ClusterHealthChanged { after, .. } => crate::view::style::of_health(*after),
        Change::AgentDown { .. }
        | Change::NodeDown { .. }
        | Change::ShardPrimaryLost { .. }
        | Change::ShardPrimaryConflict { .. }
        | Change::ClusterIdentityConflict(_)
        | Change::DiscoveryShrinkHeld(_)
        | Change::DiscoveryFailed { .. } => Tone::Bad,
        Change::ClusterMissing { .. }
        | Change::ClusterRemoved { .. }
        | Change::NodeRemoved { .. }
        | Change::DiscoveryShrinkConfirmed(_)
        | Change::NodeMissing { .. }
        | Change::ShardRemoved { .. }
        | Change::ActionLost { .. }
        | Change::ObjectDeleted(_)
        | Change::DiscoveryRecordRejected { .. }
        | Change::DiscoveryConflict { .. }
        | Change::DiscoveryObserverSuspect { .. } => Tone::Warn,
        Change::AgentUp { .. }
        | Change::NodeUp { .. }
        | Change::ClusterNew { .. }
        | Change::ClusterRestored { .. }
        | Change::NodeRestored { .. }
        | Change::ClusterIdentityResolved(_)
        | Change::DiscoveryRecovered { .. }
        | Change::DiscoveryRecordAccepted { .. }
        | Change::DiscoveryShrinkResolved(_)
        | Change::DiscoveryConflictResolved { .. }
        | Change::DiscoveryObserverTrusted { .. } => Tone::Good,
        Change::ClusterSnapshot(_) => Tone::Quiet,
        Change::ClusterChanged { .. }
        | Change::ClusterMaintenanceBegan { .. }
        | Change::ClusterMaintenanceEnded { .. }
        | Change::AgentNew { .. }
        | Change::AgentInfoNew { .. }
        | Change::AgentInfoChanged { .. }
        | Change::NodeNew { .. }
        | Change::NodeChanged { .. }
        | Change::ShardNew { .. }
        | Change::ShardChanged { .. }
        | Change::ShardPrimaryChanged { .. }
        | Change::ObjectApplied(_)
        | Change::ActionNew { .. }
        | Change::ActionChanged { .. } => Tone::Plain,
        Change::ActionFinished { after, .. } => of_action(after),
    }
}

/// An action by its kind and id.
fn named(id: &str, action: &ActionView) -> String {
    format!("{} {id}", action.kind)
}

/// How an action is to be seen.
pub fn of_action(action: &ActionView) -> Tone {
    match action {
        ActionView { finished: false, .. } => Tone::Plain,
        ActionView { state, .. } if state.eq_ignore_ascii_case("FAILED") => Tone::Bad,
        _ => Tone::Good,
    }
}

fn new_cluster(header: &ClusterHeader, nodes: usize) -> String {
    let from = header.discovery.as_ref().map(|name| format!(" from discovery {name}"));
    let name = header.display_name.as_ref().map(|name| format!(", called {name}"));
    let nodes = count(nodes as u64, "node");
    format!("{nodes}{}{}", from.unwrap_or_default(), name.unwrap_or_default())
}

fn snapshot(part: &SnapshotPart) -> String {
    format!("part {} of {}: {}", part.part, part.parts, count(part.nodes.len() as u64, "node"))
}

fn new_node(details: &Map<String, Value>) -> String {
    let text = |name: &str| details.get(name).and_then(Value::as_str).unwrap_or("?");
    format!("{} {}, calls itself {}", text("kind"), text("version"), text("node_id"))
}

fn health(health: Option<Health>) -> &'static str {
    health.map_or("new", Health::as_str)
}

fn at(words: &str, time: &Option<Timestamp>) -> String {
    time.map_or_else(String::new, |time| format!(", {words} {time}"))
}

fn header(before: Option<&ClusterHeader>, after: Option<&ClusterHeader>) -> Vec<String> {
    let (Some(before), Some(after)) = (before, after) else { return Vec::new() };
    let word = |value: &Option<String>| value.clone().unwrap_or_else(|| "none".into());
    let mut parts = Vec::new();
    for (name, before, after) in [
        ("name", &before.display_name, &after.display_name),
        ("discovery", &before.discovery, &after.discovery),
    ] {
        if before != after {
            parts.push(format!("{name} {} -> {}", word(before), word(after)));
        }
    }
    parts
}

fn difference(nodes: &RecordDifference) -> Vec<String> {
    let mut parts = Vec::new();
    if !nodes.added.is_empty() {
        parts.push(format!("{} added", list(nodes.added.keys(), NAMES)));
    }
    if !nodes.removed.is_empty() {
        parts.push(format!("{} removed", list(&nodes.removed, NAMES)));
    }
    let moved = |(node, change): (&String, &replicante_model::change::AddressChange)| {
        format!("{node} {} -> {}", change.before, change.after)
    };
    if !nodes.changed.is_empty() {
        parts.push(list(nodes.changed.iter().map(moved), 2));
    }
    parts
}

/// What stands against what.
pub fn contradiction(conflict: &IdentityConflict) -> String {
    match conflict {
        IdentityConflict::ClusterId { node, reported } => format!("{node} answers for cluster {reported}"),
        IdentityConflict::NodeId { node, reported } => format!("{node} says it is {reported}"),
        IdentityConflict::RepeatedNodeId { reported, nodes } => {
            format!("{} all say they are {reported}", list(nodes, NAMES))
        }
        IdentityConflict::DisplayName { names } => format!("the nodes call it {}", list(names, NAMES)),
    }
}

/// A node's status, with its reason.
pub fn status(status: &NodeStatus) -> String {
    match status {
        NodeStatus::Up => "up".into(),
        NodeStatus::AgentDown { reason } => format!("agent down ({reason})"),
        NodeStatus::NodeDown { reason } => format!("node down ({reason})"),
        NodeStatus::Conflict { reason } => format!("conflict ({reason})"),
    }
}

/// An agent's protocol and version.
pub fn agent(info: &AgentInfo) -> String {
    let api = match info.api {
        AgentApi::V1 => "v1",
        AgentApi::V2 => "v2",
    };
    format!("agent {} ({api})", info.version.number)
}

/// A role, in one word.
pub fn role(role: &Role) -> &str {
    match role {
        Role::Primary => "primary",
        Role::Secondary => "secondary",
        Role::Recovering => "recovering",
        Role::Other(word) => word,
    }
}

/// Who leads a shard.
pub fn primary(primary: &Primary) -> String {
    match primary {
        Primary::Elected { node } => node.clone(),
        Primary::Lost { .. } => "nobody".into(),
        Primary::Conflict { nodes } => list(nodes, NAMES),
    }
}

/// `version 3.8.0 -> 3.8.1, attributes.rack none -> r1`.
fn patch(before: &Map<String, Value>, after: &Map<String, Value>) -> String {
    let mut parts = Vec::new();
    changes("", before, after, &mut parts);
    list(parts, NAMES)
}

fn changes(path: &str, before: &Map<String, Value>, after: &Map<String, Value>, parts: &mut Vec<String>) {
    let mut names: Vec<&String> = before.keys().chain(after.keys()).collect();
    names.sort_unstable();
    names.dedup();
    for name in names {
        let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        match (before.get(name), after.get(name)) {
            (Some(Value::Object(before)), Some(Value::Object(after))) => {
                changes(&path, before, after, parts);
            }
            (before, after) if before == after => {}
            (before, after) => parts.push(format!("{path} {} -> {}", word(before), word(after))),
        }
    }
}

fn word(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => "none".into(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

#[cfg(test)]
#[path = "change_tests.rs"]
mod tests;
