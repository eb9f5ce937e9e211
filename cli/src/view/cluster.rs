//! One cluster: what is known of it.

use std::time::Duration;

use replicante_model::Timestamp;
use replicante_model::actions::{ActionView, NodeActions};
use replicante_model::observation::{Offset, Role};
use replicante_model::pause::Pauses;
use replicante_model::time::human;
use replicante_model::view::{ClusterState, ClusterView, Health, NodeStatus, NodeView, ShardReading};
use replicante_protocol::head::Head;

use crate::view::change::{agent, contradiction, of_action, primary, role, window};
use crate::view::clusters::ago;
use crate::view::record::{row_at, schedule};
use crate::view::style::{Tone, bold, of_health};
use crate::view::table::{Cell, table};
use crate::view::text::{clean, count, list, pad};

/// Shards that are shown.
const SHARDS: usize = 100;
/// Actions that are shown.
const ACTIONS: usize = 20;
/// Intervals after which a refresh is said to be missing.
const LATE: u32 = 3;
/// Holders of a shard that are shown.
const HOLDERS: usize = 9;

/// The lines.
pub fn cluster(
    head: &Head,
    state: Option<&ClusterState>,
    pauses: &Pauses,
    now: Timestamp,
    most: Option<usize>,
) -> Vec<String> {
    let row = row_at(head, pauses, now);
    let view = state.and_then(|state| state.view.as_ref());
    let health = view.and_then(|view| view.health);
    let title = format!(
        "{}  {}",
        bold(&clean(&head.record.id)),
        of_health(health).paint(health.map_or("new", Health::as_str))
    );
    let mut lines = vec![title];
    let mut fact = |name: &str, what: &str| lines.push(format!("  {}  {}", pad(name, 9), clean(what)));
    fact("record", &head.record.key());
    if let Some(name) = view.and_then(|view| view.display_name.as_deref()) {
        fact("name", name);
    }
    if let Some(discovery) = view.and_then(|view| view.discovery.as_deref()) {
        fact("discovery", discovery);
    }
    let refreshed_at = ago(row.refreshed, now);
    let mut refreshed = refreshed_at.clone();
    if row.refreshed.is_some() {
        refreshed.push_str(&format!(" ({}, in {} ms)", row.summary.outcome, row.summary.ms));
    }
    fact("refreshed", &format!("{refreshed}; {}", schedule(head, row.pause.as_ref(), now)));
    if let Some(reason) = &row.summary.reason {
        fact("reason", reason);
    }
    if let Some(state) =
        state.filter(|state| row.summary.outcome == "failed" && state.read_at > Timestamp::ZERO)
    {
        // Whatever was found since then is stored at the latest some minutes after.
        fact("shown", &format!("as of {}, or somewhat later: refreshes fail", ago(Some(state.read_at), now)));
    } else if head.enabled
        && row.pause.is_none()
        && row.refreshed.is_some_and(|at| now.since(at) > head.interval * LATE)
    {
        fact("shown", &format!("as of {refreshed_at}: no refresh since, is a worker running?"));
    }
    fact("history", &format!("{} in epoch {}", count(head.sequence, "event"), head.epoch));
    if let Some(since) = view.and_then(|view| view.missing_since) {
        fact("missing", &format!("since {since}: its source no longer reports it, what is shown is stale"));
    }
    match view.and_then(|view| view.maintenance.as_ref()).filter(|window| window.until == head.maintenance) {
        Some(known) if known.is_on(now) => fact("expected", &format!("in maintenance {}", window(known))),
        // Its next refresh reads who and why.
        None if head.maintenance > now => {
            fact("expected", &format!("in maintenance until {}", head.maintenance));
        }
        _ => {}
    }
    let Some((view, state)) = view.zip(state) else {
        lines.push(String::new());
        lines
            .push("  nothing is known of it yet: it was discovered, and its first refresh is to come".into());
        return lines;
    };
    lines.extend(conflicts(view));
    lines.push(String::new());
    // Readings are stored now and then alone: a refresh that found all as before has seen the nodes all the same.
    let refreshed = row.refreshed.filter(|_| row.summary.outcome == "ok" && view.missing_since.is_none());
    let seen = |id: &str, node: &NodeView| {
        let up = node.status == NodeStatus::Up && node.missing_since.is_none();
        let stored = state.readings.get(id).and_then(|readings| readings.last_seen);
        ago(stored.max(refreshed.filter(|_| up)), now)
    };
    lines.extend(nodes(view, Some((&seen, state)), most));
    if !view.nodes.values().all(|node| node.shards.is_empty()) {
        lines.push(String::new());
        lines.extend(shards(view, state, most));
        if state.readings.values().any(|readings| !readings.shards.is_empty()) {
            lines.push(
                Tone::Quiet
                    .paint(&format!("how far they are behind was stored {}", ago(Some(state.read_at), now))),
            );
        }
    }
    lines.extend(actions(state, most));
    lines
}

/// The nodes and shards of a view of the past: nothing is known of readings then.
pub fn then(view: &ClusterView, most: Option<usize>) -> Vec<String> {
    let mut lines: Vec<String> = conflicts(view).collect();
    let state = ClusterState::default();
    lines.push(String::new());
    lines.extend(nodes(view, None, most));
    if !view.nodes.values().all(|node| node.shards.is_empty()) {
        lines.push(String::new());
        lines.extend(shards(view, &state, most));
    }
    lines
}

fn conflicts(view: &ClusterView) -> impl Iterator<Item = String> {
    view.conflicts.iter().map(|conflict| {
        let text = clean(&contradiction(conflict)).into_owned();
        format!("  {}  {}", pad("conflict", 9), Tone::Bad.paint(&text))
    })
}

/// The actions of all nodes: the unfinished ones first.
fn actions(state: &ClusterState, most: Option<usize>) -> Vec<String> {
    let of_node = |(node, actions)| {
        let actions: &NodeActions = actions;
        actions.known.iter().map(move |(id, action)| (action.finished, node, id, action))
    };
    let mut all: Vec<(bool, &String, &String, &ActionView)> =
        state.actions.iter().flat_map(of_node).collect();
    if all.is_empty() {
        return Vec::new();
    }
    all.sort_unstable_by_key(|(finished, node, id, _)| (*finished, *node, *id));
    let row = |(_, node, id, action): &(bool, &String, &String, &ActionView)| {
        vec![
            Cell::text(*id),
            Cell::text(*node),
            Cell::text(&action.state).toned(of_action(action)),
            Cell::text(&action.kind),
            Cell::text(action.details.error.as_deref().unwrap_or_default()),
        ]
    };
    let rows: Vec<Vec<Cell>> = all.iter().take(ACTIONS).map(row).collect();
    let mut lines = vec![String::new()];
    lines.extend(table(&["ACTION", "NODE", "STATE", "KIND", "ERROR"], &rows, most));
    if all.len() > ACTIONS {
        let more = count((all.len() - ACTIONS) as u64, "more action");
        lines.push(format!("and {more}: -o json shows them all"));
    }
    lines
}

/// When a node was seen last, in words.
type Seen<'s> = &'s dyn Fn(&str, &NodeView) -> String;

/// `known`: when nodes were seen last, and their readings; none of a view of the past.
fn nodes(view: &ClusterView, known: Option<(Seen<'_>, &ClusterState)>, most: Option<usize>) -> Vec<String> {
    let lags = |id: &str| known.and_then(|(_, state)| furthest(state, id));
    let has_lags = view.nodes.keys().any(|id| lags(id).is_some());
    let row = |(id, node): (&String, &NodeView)| {
        let detail = |of: fn(&replicante_model::observation::NodeDetails) -> &str| {
            node.details.as_ref().map_or("-", of).to_owned()
        };
        let mut cells = vec![
            Cell::text(named(id, node)),
            status(node),
            Cell::text(detail(|details| &details.kind)),
            Cell::text(detail(|details| &details.version)),
            Cell::text(node.agent.as_ref().map_or_else(|| "-".into(), agent)),
        ];
        if has_lags {
            cells.push(Cell::text(lags(id).unwrap_or_else(|| "-".into())));
        }
        cells.extend(known.map(|(seen, _)| Cell::text(seen(id, node))));
        cells.push(Cell::text(&node.address));
        cells
    };
    let rows: Vec<Vec<Cell>> = view.nodes.iter().map(row).collect();
    let mut heading = vec!["NODE", "STATUS", "KIND", "VERSION", "AGENT"];
    heading.extend(has_lags.then_some("BEHIND"));
    heading.extend(known.map(|_| "LAST SEEN"));
    heading.push("ADDRESS");
    let mut lines = table(&heading, &rows, most);
    for (id, node) in &view.nodes {
        let condition = node.details.as_ref().and_then(|details| details.condition.as_deref());
        if let Some(reason) = node.status.reason().or(condition) {
            lines.push(format!("  {}", clean(&format!("{id}: {reason}"))));
        }
    }
    lines
}

/// The status of a node in its colour.
pub fn status(node: &NodeView) -> Cell {
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
        let others = view.nodes.iter().filter_map(|(node_id, node)| {
            let role = node.shards.get(*id)?;
            let reading = state.readings.get(node_id).and_then(|readings| readings.shards.get(*id));
            holder(node_id, role, reading)
        });
        let leads = view.primaries.get(*id).map_or_else(|| sole_primary(view, id), primary);
        vec![Cell::text(id), Cell::text(leads), Cell::text(list(others, HOLDERS))]
    };
    let rows: Vec<Vec<Cell>> = ids.iter().take(SHARDS).map(row).collect();
    let mut lines = table(&["SHARD", "PRIMARY", "OTHERS"], &rows, most);
    if ids.len() > SHARDS {
        lines.push(format!(
            "and {}: -o json shows them all",
            count((ids.len() - SHARDS) as u64, "more shard")
        ));
    }
    lines
}

/// A node, and beside it what its datastore calls itself where that is something else: `node-2 (b7:9092)`.
fn named(id: &str, node: &NodeView) -> String {
    match &node.details {
        Some(details) if details.node_id != id => format!("{id} ({})", details.node_id),
        _ => id.to_owned(),
    }
}

/// A node that holds a shard and does not lead it: `node-2`, `node-2 (recovering, 10 behind)`.
fn holder(node: &str, held: &Role, reading: Option<&ShardReading>) -> Option<String> {
    let mut notes = match held {
        Role::Primary => return None,
        Role::Secondary => Vec::new(),
        other => vec![role(other).to_owned()],
    };
    if let Some(lag) = reading.and_then(|reading| reading.lag.as_ref()).filter(|lag| lag.value != 0) {
        notes.push(format!("{} behind", behind(lag)));
    }
    Some(if notes.is_empty() { node.to_owned() } else { format!("{node} ({})", notes.join(", ")) })
}

/// How far a node is behind, in words. Spans are written as such; the store's own unit goes without saying.
fn behind(lag: &Offset) -> String {
    let value = u64::try_from(lag.value).unwrap_or(0);
    match lag.unit.as_str() {
        "seconds" => human(Duration::from_secs(value)),
        "milliseconds" => human(Duration::from_millis(value)),
        _ => lag.value.to_string(),
    }
}

/// How far a node is behind with the shard that it is furthest behind with. Shards of a node count in one unit.
fn furthest(state: &ClusterState, node: &str) -> Option<String> {
    let shards = &state.readings.get(node)?.shards;
    let lags = shards.values().filter_map(|reading| reading.lag.as_ref());
    lags.max_by_key(|lag| lag.value).map(behind)
}

/// Who leads a shard that one node alone holds.
fn sole_primary(view: &ClusterView, shard: &str) -> String {
    let leads = |node: &NodeView| node.shards.get(shard) == Some(&Role::Primary);
    let nodes = view.nodes.iter().filter(|(_, node)| leads(node)).map(|(id, _)| id);
    let text = list(nodes, HOLDERS);
    if text.is_empty() { "-".into() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::given::{NOW, cluster_head, pause, plain, state};
    use replicante_model::maintenance::Maintenance;
    use replicante_model::summary::Summary;

    #[test]
    fn a_cluster_is_shown_with_its_nodes_and_who_leads_its_shards() {
        insta::assert_snapshot!(plain(&cluster(&cluster_head(), Some(&state()), &Pauses::default(), NOW, None)), @"
        orders  degraded
          record     cluster/default/orders
          name       Orders �[31mEU
          discovery  fleet
          refreshed  2s ago (ok, in 12 ms); every 1m, next in 58s
          history    42 events in epoch 1767315845
          conflict   node-2 says it is b7:9092

        NODE              STATUS      KIND   VERSION  AGENT             BEHIND  LAST SEEN  ADDRESS
        node-1 (b1:9092)  up          Kafka  3.7.0    agent 0.6.0 (v1)  -       2s ago     http://10.0.0.1:8000
        node-2 (b2:9092)  up          Kafka  3.7.0    agent 0.6.0 (v1)  10      2s ago     http://10.0.0.2:8000
        node-3 (b3:9092)  agent down  Kafka  3.7.0    agent 0.6.0 (v1)  -       90s ago    http://10.0.0.3:8000
          node-3: connection refused

        SHARD     PRIMARY  OTHERS
        clicks/0  node-1
        orders/0  node-1   node-2 (10 behind) and node-3 (recovering)
        how far they are behind was stored 90s ago
        ");
    }

    #[test]
    fn what_is_shown_is_said_to_be_old_when_refreshes_fail_or_do_not_come() {
        let shown = |head: &Head, now| {
            let lines = cluster(head, Some(&state()), &Pauses::default(), now, None);
            lines.into_iter().find(|line| line.starts_with("  shown")).unwrap_or_default()
        };
        let mut head = cluster_head();
        assert_eq!(shown(&head, NOW.plus(Duration::from_secs(170))), "");
        let later = NOW.plus(Duration::from_secs(240));
        insta::assert_snapshot!(shown(&head, later), @"  shown      as of 4m ago: no refresh since, is a worker running?");
        head.enabled = false;
        assert_eq!(shown(&head, later), "", "nobody waits for it");
        let mut summary = Summary::parse(head.summary.as_deref());
        summary.outcome = "failed".into();
        head.summary = Some(summary.to_json());
        insta::assert_snapshot!(shown(&head, NOW), @"  shown      as of 90s ago, or somewhat later: refreshes fail");
    }

    #[test]
    fn a_cluster_that_was_never_refreshed_says_so() {
        let mut head = cluster_head();
        (head.summary, head.sequence, head.due) = (None, 0, NOW);
        insta::assert_snapshot!(plain(&cluster(&head, None, &Pauses::default(), NOW, None)), @"
        orders  new
          record     cluster/default/orders
          refreshed  never; every 1m, due now
          history    0 events in epoch 1767315845

          nothing is known of it yet: it was discovered, and its first refresh is to come
        ");
    }

    #[test]
    fn the_unfinished_actions_of_all_nodes_come_first_and_many_are_cut() {
        let mut state = state();
        let action = |kind: &str, state: &str, finished| ActionView {
            kind: kind.into(),
            state: state.into(),
            finished,
            ..ActionView::default()
        };
        let of = |actions: &[(&str, ActionView)]| NodeActions {
            known: actions.iter().map(|(id, action)| ((*id).to_string(), action.clone())).collect(),
            more: false,
        };
        let mut failed = action("test.ping", "FAILED", true);
        failed.details.error = Some("no route".into());
        state.actions.insert("node-1".into(), of(&[("a1", failed)]));
        state.actions.insert("node-2".into(), of(&[("b1", action("store.backup", "RUNNING", false))]));
        let text = plain(&actions(&state, None));
        insta::assert_snapshot!(text.trim_start(), @"
        ACTION  NODE    STATE    KIND          ERROR
        b1      node-2  RUNNING  store.backup
        a1      node-1  FAILED   test.ping     no route
        ");
        let many = (0..50).map(|id| (format!("c{id}"), action("k", "DONE", true))).collect();
        state.actions.insert("node-3".into(), NodeActions { known: many, more: false });
        let text = plain(&actions(&state, None));
        assert!(text.ends_with("and 32 more actions: -o json shows them all"), "{text}");
    }

    #[test]
    fn a_page_says_what_is_expected_what_is_missing_what_is_paused_and_which_actions_there_are() {
        let (mut head, mut state) = (cluster_head(), state());
        let until = NOW.plus(Duration::from_secs(1800));
        head.maintenance = until;
        let window = Maintenance { since: NOW, until, reason: Some("new racks".into()), actor: "ann".into() };
        let view = state.view.as_mut().unwrap();
        view.maintenance = Some(window);
        view.missing_since = Some(NOW.minus(Duration::from_secs(600)));
        view.nodes.get_mut("node-3").unwrap().missing_since = view.missing_since;
        let action =
            ActionView { kind: "store.backup".into(), state: "RUNNING".into(), ..ActionView::default() };
        let known = [("a1".to_string(), action)].into();
        state.actions.insert("node-2".into(), NodeActions { known, more: false });
        let pauses = Pauses { records: [(head.record.clone(), pause())].into(), ..Pauses::default() };
        insta::assert_snapshot!(plain(&cluster(&head, Some(&state), &pauses, NOW, None)), @"
        orders  degraded
          record     cluster/default/orders
          name       Orders �[31mEU
          discovery  fleet
          refreshed  2s ago (ok, in 12 ms); paused until 2026-01-02T03:04:05.000Z by ann: new racks (else every 1m)
          history    42 events in epoch 1767315845
          missing    since 2026-01-02T01:54:05.000Z: its source no longer reports it, what is shown is stale
          expected   in maintenance until 2026-01-02T02:34:05.000Z by ann: new racks
          conflict   node-2 says it is b7:9092

        NODE              STATUS   KIND   VERSION  AGENT             BEHIND  LAST SEEN  ADDRESS
        node-1 (b1:9092)  up       Kafka  3.7.0    agent 0.6.0 (v1)  -       90s ago    http://10.0.0.1:8000
        node-2 (b2:9092)  up       Kafka  3.7.0    agent 0.6.0 (v1)  10      90s ago    http://10.0.0.2:8000
        node-3 (b3:9092)  missing  Kafka  3.7.0    agent 0.6.0 (v1)  -       90s ago    http://10.0.0.3:8000
          node-3: connection refused

        SHARD     PRIMARY  OTHERS
        clicks/0  node-1
        orders/0  node-1   node-2 (10 behind) and node-3 (recovering)
        how far they are behind was stored 90s ago

        ACTION  NODE    STATE    KIND          ERROR
        a1      node-2  RUNNING  store.backup
        ");
        // What the workers have yet to read of it.
        let lines = cluster(&head, None, &Pauses { all: Some(pause()), ..Pauses::default() }, NOW, None);
        insta::assert_snapshot!(plain(&lines), @"
        orders  new
          record     cluster/default/orders
          refreshed  2s ago (ok, in 12 ms); paused until 2026-01-02T03:04:05.000Z by ann: new racks (else every 1m)
          history    42 events in epoch 1767315845
          expected   in maintenance until 2026-01-02T02:34:05.000Z

          nothing is known of it yet: it was discovered, and its first refresh is to come
        ");
        // It is over.
        let lines = plain(&cluster(&head, Some(&state), &Pauses::default(), until, None));
        assert!(!lines.contains("in maintenance"), "{lines}");
    }

    #[test]
    fn thousands_of_shards_are_cut() {
        let mut state = state();
        let node = state.view.as_mut().unwrap().nodes.get_mut("node-1").unwrap();
        for number in 0..3000 {
            node.shards.insert(format!("s{number}"), Role::Secondary);
        }
        let text = plain(&cluster(&cluster_head(), Some(&state), &Pauses::default(), NOW, None));
        assert!(text.contains("and 2,902 more shards: -o json shows them all"), "{text}");
    }
}
