//! One cluster: what is known of it.

use replicante_model::Timestamp;
use replicante_model::view::{ClusterState, ClusterView, Health, NodeReadings, NodeStatus, NodeView};
use replicante_protocol::head::Head;

use crate::view::change::{agent, contradiction, primary, role};
use crate::view::clusters::ago;
use crate::view::record::{row, schedule};
use crate::view::style::{Tone, bold, of_health};
use crate::view::table::{Cell, table};
use crate::view::text::{clean, count, list, pad};

/// Shards that are shown.
const SHARDS: usize = 100;
/// Roles of a shard that are shown.
const ROLES: usize = 8;

/// The lines.
pub fn cluster(
    head: &Head,
    state: Option<&ClusterState>,
    now: Timestamp,
    most: Option<usize>,
) -> Vec<String> {
    let row = row(head);
    let view = state.and_then(|state| state.view.as_ref());
    let health = view.and_then(|view| view.health);
    let title = format!("{}  {}", bold(&clean(&head.record.id)), of_health(health).paint(health.map_or("new", Health::as_str)));
    let mut lines = vec![title];
    let mut fact = |name: &str, what: &str| lines.push(format!("  {}  {}", pad(name, 9), clean(what)));
    fact("record", &head.record.key());
    if let Some(name) = view.and_then(|view| view.display_name.as_deref()) {
        fact("name", name);
    }
    if let Some(discovery) = view.and_then(|view| view.discovery.as_deref()) {
        fact("discovery", discovery);
    }
    let mut refreshed = ago(row.refreshed, now);
    if row.refreshed.is_some() {
        refreshed.push_str(&format!(" ({}, in {} ms)", row.summary.outcome, row.summary.ms));
    }
    fact("refreshed", &format!("{refreshed}; {}", schedule(head, now)));
    if let Some(reason) = &row.summary.reason {
        fact("reason", reason);
    }
    fact("history", &format!("{} in epoch {}", count(head.sequence, "event"), head.epoch));
    if let Some(since) = view.and_then(|view| view.missing_since) {
        fact("missing", &format!("since {since}: its source no longer reports it, what is shown is stale"));
    }
    let Some((view, state)) = view.zip(state) else {
        lines.push(String::new());
        lines.push("  nothing is known of it yet: it was discovered, and its first refresh is to come".into());
        return lines;
    };
    for conflict in &view.conflicts {
        let text = clean(&contradiction(conflict)).into_owned();
        lines.push(format!("  {}  {}", pad("conflict", 9), Tone::Bad.paint(&text)));
    }
    lines.push(String::new());
    lines.extend(nodes(view, state, now, most));
    if !view.nodes.values().all(|node| node.shards.is_empty()) {
        lines.push(String::new());
        lines.extend(shards(view, state, most));
    }
    lines
}

fn nodes(view: &ClusterView, state: &ClusterState, now: Timestamp, most: Option<usize>) -> Vec<String> {
    let none = NodeReadings::default();
    let row = |(id, node): (&String, &NodeView)| {
        let readings = state.readings.get(id).unwrap_or(&none);
        let detail = |of: fn(&replicante_model::observation::NodeDetails) -> &str| {
            node.details.as_ref().map_or("-", of).to_owned()
        };
        vec![
            Cell::text(id),
            status(node),
            Cell::text(detail(|details| &details.kind)),
            Cell::text(detail(|details| &details.version)),
            Cell::text(node.agent.as_ref().map_or_else(|| "-".into(), agent)),
            Cell::text(ago(readings.last_seen, now)),
            Cell::text(&node.address),
        ]
    };
    let rows: Vec<Vec<Cell>> = view.nodes.iter().map(row).collect();
    let mut lines =
        table(&["NODE", "STATUS", "KIND", "VERSION", "AGENT", "LAST SEEN", "ADDRESS"], &rows, most);
    for (id, node) in &view.nodes {
        let condition = node.details.as_ref().and_then(|details| details.condition.as_deref());
        if let Some(reason) = node.status.reason().or(condition) {
            lines.push(format!("  {}", clean(&format!("{id}: {reason}"))));
        }
    }
    lines
}

fn status(node: &NodeView) -> Cell {
    let (word, tone) = match &node.status {
        _ if node.missing_since.is_some() => ("missing", Tone::Quiet),
        NodeStatus::Up if node.details.as_ref().is_some_and(|details| details.condition.is_some()) => {
            ("up, not healthy", Tone::Warn)
        }
        NodeStatus::Up => ("up", Tone::Good),
        NodeStatus::AgentDown { .. } => ("agent down", Tone::Bad),
        NodeStatus::NodeDown { .. } => ("node down", Tone::Bad),
        NodeStatus::Conflict { .. } => ("conflict", Tone::Bad),
    };
    Cell::text(word).toned(tone)
}

fn shards(view: &ClusterView, state: &ClusterState, most: Option<usize>) -> Vec<String> {
    let mut ids: Vec<&String> = view.nodes.values().flat_map(|node| node.shards.keys()).collect();
    ids.sort_unstable();
    ids.dedup();
    let row = |id: &&String| {
        let roles = view.nodes.iter().filter_map(|(node_id, node)| {
            let word = role(node.shards.get(*id)?);
            let lag = state
                .readings
                .get(node_id)
                .and_then(|readings| readings.shards.get(*id)?.lag.as_ref())
                .filter(|lag| lag.value != 0)
                .map(|lag| format!(" {} {} behind", lag.value, lag.unit));
            Some(format!("{node_id} {word}{}", lag.unwrap_or_default()))
        });
        let leads = view.primaries.get(*id).map_or_else(|| "-".into(), primary);
        vec![Cell::text(id), Cell::text(leads), Cell::text(list(roles, ROLES))]
    };
    let rows: Vec<Vec<Cell>> = ids.iter().take(SHARDS).map(row).collect();
    let mut lines = table(&["SHARD", "PRIMARY", "ROLES"], &rows, most);
    if ids.len() > SHARDS {
        lines.push(format!("and {}: -o json shows them all", count((ids.len() - SHARDS) as u64, "more shard")));
    }
    lines
}
