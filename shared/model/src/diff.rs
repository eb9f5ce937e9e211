//! Diff: the changes that lead from one view to another, in the order in which they are emitted.
//!
//! Any prefix of the list leads to a view as well, so that a list too long for one commit may be cut
//! anywhere: what is stored is the fold of what was emitted, and the next refresh emits the rest.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use crate::change::{AddressChange, Change, ClusterHeader, RecordDifference, RoleOf};
use crate::labels::Labels;
use crate::observation::NodeDetails;
use crate::record::NodeId;
use crate::view::{ClusterView, NodeStatus, NodeView, Primary};

/// The most bytes of one event's data that may grow with the cluster; larger ones are split.
pub const MAX_SPLIT: usize = 256 * 1024;
/// Bytes reserved for an event's envelope and the data's fixed part, out of [`MAX_SPLIT`].
const RESERVED: usize = 8 * 1024;

/// The changes from `old` to `new`, in order: the cluster's record, its nodes, then what follows from them
/// together (identity, primaries, health).
///
/// Who wanted a removed node forgotten is not in the views: [`crate::refresh`] adds it.
pub fn diff(old: Option<&ClusterView>, new: &ClusterView) -> Vec<Change> {
    let mut changes = Vec::new();
    let nothing = ClusterView::default();
    let base = old.unwrap_or(&nothing);
    record(old, new, &mut changes);
    changes.extend(maintenance(base, new));
    for (id, node) in &new.nodes {
        let known = base.nodes.get(id);
        if known != Some(node) {
            nodes(id, known, node, &mut changes);
        }
    }
    // After all that is new: a shard that moved has a holder at any time, and keeps what is known of its primary.
    for (id, known) in &base.nodes {
        if let Some(node) = new.nodes.get(id).filter(|node| node.shards != known.shards) {
            for (shard, role) in known.shards.iter().filter(|(shard, _)| !node.shards.contains_key(*shard)) {
                let before = RoleOf { role: role.clone() };
                changes.push(Change::ShardRemoved { node: id.clone(), shard: shard.clone(), before });
            }
        }
    }
    for (id, known) in base.nodes.iter().filter(|(id, _)| !new.nodes.contains_key(*id)) {
        let missing_since = known.missing_since;
        changes.push(Change::NodeRemoved { node: id.clone(), missing_since, actor: None });
    }
    changes.extend(base.conflicts.difference(&new.conflicts).cloned().map(Change::ClusterIdentityResolved));
    changes.extend(new.conflicts.difference(&base.conflicts).cloned().map(Change::ClusterIdentityConflict));
    primaries(base, new, &mut changes);
    if base.health != new.health {
        changes.push(Change::ClusterHealthChanged { before: base.health, after: new.health });
    }
    changes
}

/// Whether a maintenance window began, ended, or is another.
fn maintenance(base: &ClusterView, new: &ClusterView) -> Option<Change> {
    match (&base.maintenance, &new.maintenance) {
        (before, after) if before == after => None,
        (before, Some(after)) => {
            Some(Change::ClusterMaintenanceBegan { before: before.clone(), after: after.clone() })
        }
        (before, None) => before.clone().map(|before| Change::ClusterMaintenanceEnded { before }),
    }
}

/// The change of the status, named after what it leads to.
pub(crate) fn transition(node: &NodeId, before: &NodeStatus, after: &NodeStatus) -> Change {
    let (node, before, after) = (node.clone(), before.clone(), after.clone());
    match (&before, &after) {
        (_, NodeStatus::AgentDown { .. }) => Change::AgentDown { node, before, after },
        (_, NodeStatus::NodeDown { .. } | NodeStatus::Conflict { .. }) => {
            Change::NodeDown { node, before, after }
        }
        (NodeStatus::AgentDown { .. }, NodeStatus::Up) => Change::AgentUp { node, before, after },
        (_, NodeStatus::Up) => Change::NodeUp { node, before, after },
    }
}

fn record(old: Option<&ClusterView>, new: &ClusterView, changes: &mut Vec<Change>) {
    let header = |view: &ClusterView| ClusterHeader {
        display_name: view.display_name.clone(),
        discovery: view.discovery.clone(),
    };
    let mut difference = RecordDifference::default();
    let nothing = BTreeMap::new();
    let before = old.map_or(&nothing, |view| &view.record);
    if *before != new.record {
        for (id, address) in &new.record {
            match before.get(id) {
                None => {
                    difference.added.insert(id.clone(), address.clone());
                }
                Some(known) if known != address => {
                    let change = AddressChange { before: known.clone(), after: address.clone() };
                    difference.changed.insert(id.clone(), change);
                }
                Some(_) => {}
            }
        }
        difference.removed = before.keys().filter(|id| !new.record.contains_key(*id)).cloned().collect();
    }
    let mut parts = split(difference).into_iter();
    match old {
        None => {
            let first = parts.next().unwrap_or_default();
            changes.push(Change::ClusterNew { after: header(new), nodes: first.added });
        }
        Some(old) if header(old) != header(new) => changes.push(Change::ClusterChanged {
            before: Some(header(old)),
            after: Some(header(new)),
            nodes: parts.next().unwrap_or_default(),
        }),
        Some(_) => {}
    }
    changes.extend(parts.map(|nodes| Change::ClusterChanged { before: None, after: None, nodes }));
    match (old.and_then(|view| view.missing_since), new.missing_since) {
        (before, after) if before == after => {}
        (_, Some(since)) => changes.push(Change::ClusterMissing { since: Some(since) }),
        (missing_since, None) => changes.push(Change::ClusterRestored { missing_since }),
    }
}

/// Splits a difference so that each part's JSON fits one event.
fn split(difference: RecordDifference) -> Vec<RecordDifference> {
    let mut parts = Vec::new();
    let mut part = RecordDifference::default();
    let mut size = 0;
    let mut room = |part: &mut RecordDifference, bytes: usize| {
        if size + bytes > MAX_SPLIT - RESERVED {
            parts.push(std::mem::take(part));
            size = 0;
        }
        size += bytes;
    };
    // JSON escapes one byte as six at the worst; keys, quotes and commas fit the fixed part of each row.
    let weigh = |text: &str| 6 * text.len() + 32;
    for (id, address) in difference.added {
        room(&mut part, weigh(&id) + weigh(&address));
        part.added.insert(id, address);
    }
    for id in difference.removed {
        room(&mut part, weigh(&id));
        part.removed.insert(id);
    }
    for (id, change) in difference.changed {
        room(&mut part, weigh(&id) + weigh(&change.before) + weigh(&change.after));
        part.changed.insert(id, change);
    }
    if !part.is_empty() {
        parts.push(part);
    }
    parts
}

fn nodes(id: &NodeId, known: Option<&NodeView>, node: &NodeView, changes: &mut Vec<Change>) {
    let unseen;
    let known = match known {
        Some(known) => known,
        None => {
            let (address, labels) = (node.address.clone(), node.labels.clone());
            unseen = NodeView { labels: labels.clone(), ..NodeView::unseen(address.clone()) };
            changes.push(Change::AgentNew { node: id.clone(), address, labels });
            &unseen
        }
    };
    match (known.missing_since, node.missing_since) {
        (before, after) if before == after => {}
        (_, Some(since)) => changes.push(Change::NodeMissing { node: id.clone(), since: Some(since) }),
        (missing_since, None) => changes.push(Change::NodeRestored { node: id.clone(), missing_since }),
    }
    match (&known.agent, &node.agent) {
        (before, after) if before == after => {}
        (None, Some(after)) => changes.push(Change::AgentInfoNew { node: id.clone(), after: after.clone() }),
        (Some(before), Some(after)) => changes.push(Change::AgentInfoChanged {
            node: id.clone(),
            before: before.clone(),
            after: after.clone(),
        }),
        // What an agent told once is kept.
        (_, None) => {}
    }
    if (&known.details, &known.address, &known.labels, &known.cluster_name)
        != (&node.details, &node.address, &node.labels, &node.cluster_name)
    {
        let (before, after) = (facts(known), facts(node));
        let node_id = id.clone();
        changes.push(if known.details.is_none() && node.details.is_some() {
            Change::NodeNew { node: node_id, after: merge_patch(&before, &after) }
        } else {
            Change::NodeChanged {
                node: node_id,
                before: merge_patch(&after, &before),
                after: merge_patch(&before, &after),
            }
        });
    }
    if known.status != node.status {
        changes.push(transition(id, &known.status, &node.status));
    }
    for (shard, role) in &node.shards {
        let after = RoleOf { role: role.clone() };
        match known.shards.get(shard) {
            None => changes.push(Change::ShardNew { node: id.clone(), shard: shard.clone(), after }),
            Some(before) if before != role => changes.push(Change::ShardChanged {
                node: id.clone(),
                shard: shard.clone(),
                before: RoleOf { role: before.clone() },
                after,
            }),
            Some(_) => {}
        }
    }
}

fn primaries(old: &ClusterView, new: &ClusterView, changes: &mut Vec<Change>) {
    for (shard, after) in &new.primaries {
        let before = old.primaries.get(shard).cloned();
        if before.as_ref() == Some(after) {
            continue;
        }
        let (shard, after) = (shard.clone(), after.clone());
        changes.push(match after {
            Primary::Elected { .. } => Change::ShardPrimaryChanged { shard, before, after },
            Primary::Lost { .. } => Change::ShardPrimaryLost { shard, before, after },
            Primary::Conflict { .. } => Change::ShardPrimaryConflict { shard, before, after },
        });
    }
}

/// The facts of a node that `node.new` and `node.changed` tell, as one JSON object without nulls.
pub(crate) fn facts(node: &NodeView) -> Map<String, Value> {
    let mut facts = match node.details.as_ref().map(serde_json::to_value) {
        Some(Ok(Value::Object(details))) => details,
        _ => Map::new(),
    };
    facts.insert("address".into(), node.address.clone().into());
    if !node.labels.is_empty() {
        let labels = node.labels.iter().map(|(name, value)| (name.clone(), value.clone().into()));
        facts.insert("labels".into(), Value::Object(labels.collect()));
    }
    if let Some(name) = &node.cluster_name {
        facts.insert("cluster_name".into(), name.clone().into());
    }
    facts
}

/// Sets the facts of a node from what [`facts`] gave. `None` when they are no such facts.
pub(crate) fn set_facts(node: &mut NodeView, mut facts: Map<String, Value>) -> Option<()> {
    let Some(Value::String(address)) = facts.remove("address") else { return None };
    let labels = match facts.remove("labels") {
        None => Labels::new(),
        Some(labels) => serde_json::from_value(labels).ok()?,
    };
    let cluster_name = match facts.remove("cluster_name") {
        None => None,
        Some(Value::String(name)) => Some(name),
        Some(_) => return None,
    };
    let details: Option<NodeDetails> =
        if facts.is_empty() { None } else { Some(serde_json::from_value(Value::Object(facts)).ok()?) };
    (node.address, node.labels, node.cluster_name, node.details) = (address, labels, cluster_name, details);
    Some(())
}

/// The JSON merge patch (RFC 7396) that leads from `before` to `after`. Neither holds a null.
fn merge_patch(before: &Map<String, Value>, after: &Map<String, Value>) -> Map<String, Value> {
    let mut patch = Map::new();
    let keys: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    for key in keys {
        match (before.get(key), after.get(key)) {
            (before, after) if before == after => {}
            (_, None) => {
                patch.insert(key.clone(), Value::Null);
            }
            (Some(Value::Object(before)), Some(Value::Object(after))) => {
                patch.insert(key.clone(), Value::Object(merge_patch(before, after)));
            }
            (_, Some(after)) => {
                patch.insert(key.clone(), after.clone());
            }
        }
    }
    patch
}

/// Applies a JSON merge patch (RFC 7396) of objects.
pub(crate) fn apply_patch(facts: &mut Map<String, Value>, patch: &Map<String, Value>) {
    for (key, value) in patch {
        match (value, facts.get_mut(key)) {
            (Value::Null, _) => {
                facts.remove(key);
            }
            (Value::Object(patch), Some(Value::Object(known))) => apply_patch(known, patch),
            (value, _) => {
                facts.insert(key.clone(), value.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What JSON writes as six times as much, the same for no two numbers.
    fn text(n: usize, length: usize) -> String {
        (0..length).map(|bit| if bit < 16 && n >> bit & 1 == 1 { '\u{2}' } else { '\u{1}' }).collect()
    }

    /// How many rows each part holds, all of them of one kind. Each fits an event.
    fn rows(difference: RecordDifference) -> Vec<usize> {
        let parts = split(difference);
        for nodes in &parts {
            let change = Change::ClusterChanged { before: None, after: None, nodes: nodes.clone() };
            assert!(serde_json::to_vec(&change).unwrap().len() <= MAX_SPLIT);
        }
        parts.iter().map(|part| part.removed.len() + part.added.len() + part.changed.len()).collect()
    }

    #[test]
    fn a_part_takes_what_fits_an_event_at_the_worst_and_no_row_less() {
        // A text of 160 bytes takes 960 of JSON, and 32 with the rest of its row: 256 of them fill a part to the last byte.
        let removed = |rows: usize| (0..rows).map(|n| text(n, 160)).collect();
        let removed = |rows| RecordDifference { removed: removed(rows), ..RecordDifference::default() };
        assert_eq!(rows(removed(256)), [256]);
        assert_eq!(rows(removed(513)), [256, 256, 1]);
        let added = |rows: usize| (0..rows).map(|n| (text(n, 160), text(n, 160))).collect();
        let added = |rows| RecordDifference { added: added(rows), ..RecordDifference::default() };
        assert_eq!(rows(added(128)), [128]);
        assert_eq!(rows(added(257)), [128, 128, 1]);
        // Three texts of 315 bytes in all take 1,986: 127 times in 253,952.
        let change = |n| AddressChange { before: text(n, 100), after: text(n, 55) };
        let changed = |rows: usize| (0..rows).map(|n| (text(n, 160), change(n))).collect();
        let changed = |rows| RecordDifference { changed: changed(rows), ..RecordDifference::default() };
        assert_eq!(rows(changed(127)), [127]);
        assert_eq!(rows(changed(255)), [127, 127, 1]);
    }
}
