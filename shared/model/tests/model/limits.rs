//! What one commit takes (protocol.md): at most 5,000 events and 4 MiB of them, cut so that each commit makes
//! progress; and what may be large is split at 256 KiB.

use replicante_model::change::Change;
use replicante_model::diff::MAX_SPLIT;
use replicante_model::observation::Role;
use replicante_model::refresh::MAX_EVENTS;
use replicante_model::view::{IdentityConflict, MAX_NAMED, NodeStatus, Primary};

use crate::given::{Heard, heard, item, up, up_with, url};
use crate::history::History;

/// Three nodes that hold the same shards, with ids of that many letters.
fn large(shards: usize, letters: usize) -> Heard {
    let ids: Vec<String> = (0..shards).map(|shard| format!("{shard:0>letters$}")).collect();
    let roles = |leads: usize| -> Vec<(&str, Role)> {
        let role = |at: usize| if at % 3 == leads { Role::Primary } else { Role::Secondary };
        ids.iter().enumerate().map(|(at, id)| (id.as_str(), role(at))).collect()
    };
    heard([("n1", up("n1", &roles(0))), ("n2", up("n2", &roles(1))), ("n3", up("n3", &roles(2)))])
}

#[test]
fn a_first_sight_of_thousands_of_shards_is_a_series_of_commits_of_at_most_5000_events() {
    let answers = large(4_000, 8);
    let mut history = History::of(item(&["n1", "n2", "n3"]));
    let commits = history.refresh_all(&answers);
    let events: Vec<usize> = commits.iter().map(|commit| commit.changes.len()).collect();
    assert_eq!(events[..3], [MAX_EVENTS; 3], "each takes as much as it may");
    assert_eq!(events.len(), 4);
    assert!(commits[..3].iter().all(|commit| commit.more) && !commits[3].more);
    assert_eq!(history.view().nodes.values().map(|node| node.shards.len()).sum::<usize>(), 12_000);
    assert_eq!(history.view().primaries.len(), 4_000);
    history.settle(&answers);
}

#[test]
fn a_first_sight_of_long_ids_is_a_series_of_commits_of_at_most_4_mib() {
    let answers = large(1_000, 900);
    let mut history = History::of(item(&["n1", "n2", "n3"]));
    let commits = history.refresh_all(&answers);
    assert!(commits.len() > 2, "{} commits", commits.len());
    assert!(commits[0].changes.len() < MAX_EVENTS);
    assert_eq!(history.view().primaries.len(), 1_000);
}

#[test]
fn nodes_that_did_not_fit_a_commit_keep_their_old_state_with_its_counters_and_readings() {
    let mut input = item(&["n1", "n2"]);
    input.agents.successes_before_up = 2;
    let ids: Vec<String> = (0..MAX_EVENTS).map(|shard| shard.to_string()).collect();
    let shards: Vec<(&str, Role)> = ids.iter().map(|id| (id.as_str(), Role::Secondary)).collect();
    let answers = heard([("n1", up("n1", &shards)), ("n2", up("n2", &[]))]);
    let mut history = History::of(input);
    history.refresh(&answers);
    assert!(history.refresh(&answers).more);
    assert_ne!(history.node("n2").status, NodeStatus::Up, "n1 alone fills the commit");
    assert_eq!(history.state.counters.nodes["n2"].successes, 1, "its success was not taken in");
    assert!(history.readings("n2").stale && history.readings("n2").last_seen.is_none());
    history.refresh(&answers);
    assert_eq!(history.node("n2").status, NodeStatus::Up, "so the next commit goes on where it stood");
}

#[test]
fn a_large_change_of_a_record_is_split_at_256_kib_into_several_events_of_the_type() {
    let mut history = History::after(item(&["n1"]), &heard([]));
    for n in 0..2_000 {
        let id = format!("node-{n:05}-{}", "x".repeat(100));
        history.input.record.nodes.insert(id.clone(), url(&id));
    }
    let whole = history.input.record.nodes.clone();
    let split = |history: &mut History, at_least: usize| {
        let commits = history.refresh_all(&heard([]));
        let parts: Vec<&Change> = commits
            .iter()
            .flat_map(|commit| &commit.changes)
            .filter(|change| matches!(change, Change::ClusterChanged { .. }))
            .collect();
        assert!(parts.len() >= at_least, "{} parts", parts.len());
        for part in parts {
            assert!(serde_json::to_vec(part).unwrap().len() <= MAX_SPLIT);
        }
    };
    split(&mut history, 2);
    assert_eq!(history.view().record, whole);
    history.input.record.nodes.values_mut().for_each(|address| *address = format!("{address}/agent"));
    split(&mut history, 3);
    history.input = item(&["n1"]);
    split(&mut history, 2);
    assert_eq!(history.view().record, item(&["n1"]).record.nodes);
}

#[test]
fn the_first_event_of_a_large_cluster_is_split_too() {
    let mut input = item(&[]);
    for n in 0..3_000 {
        let id = format!("\u{1}\u{1}\u{1}\u{1}\u{1}-{n:05}-{}", "x".repeat(60));
        input.record.nodes.insert(id.clone(), url(&id));
    }
    let mut history = History::of(input.clone());
    let commits = history.refresh_all(&heard([]));
    assert_eq!(&commits[0].names()[..2], ["cluster.new", "cluster.changed"]);
    assert!(
        commits[0].changes[..2].iter().all(|change| serde_json::to_vec(change).unwrap().len() <= MAX_SPLIT)
    );
    assert_eq!(history.view().record, input.record.nodes);
}

#[test]
fn a_conflict_lists_as_many_nodes_as_fit_an_event_however_many_there_are() {
    let ids: Vec<String> = (0..3 * MAX_NAMED).map(|n| format!("n{n:04}")).collect();
    let input = item(&ids.iter().map(String::as_str).collect::<Vec<_>>());
    let answers: Heard = ids
        .iter()
        .map(|id| {
            let answer = up_with("the same", |report| {
                report.display_name = Some(format!("{id} {}", "\u{1}".repeat(1_000)));
                report.shards = crate::given::report(id, &[("s", Role::Primary)]).shards;
            });
            (id.clone(), answer)
        })
        .collect();
    let mut history = History::of(input);
    history.refresh_all(&answers);
    history.settle(&answers);
    let listed: Vec<usize> = history
        .view()
        .conflicts
        .iter()
        .filter_map(|conflict| match conflict {
            IdentityConflict::RepeatedNodeId { nodes, .. } => Some(nodes.len()),
            IdentityConflict::DisplayName { names } => Some(names.len()),
            IdentityConflict::ClusterId { .. } | IdentityConflict::NodeId { .. } => None,
        })
        .collect();
    assert_eq!(listed, [MAX_NAMED; 2]);
    let Primary::Conflict { nodes } = &history.view().primaries["s"] else { panic!("no conflict") };
    assert_eq!(nodes.len(), MAX_NAMED);
}
