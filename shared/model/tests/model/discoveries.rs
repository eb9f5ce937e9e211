//! Discovery records (events.md, discovery.md): events are numbered and sealed as those of clusters, and a commit
//! takes at most 5,000 clusters.

use std::collections::BTreeMap;

use replicante_model::Timestamp;
use replicante_model::absence::RemovalRules;
use replicante_model::change::Change;
use replicante_model::discovery::{
    ClusterSettings, DiscoveryState, Given, KnownCluster, answered, contested, failed,
};
use replicante_model::discovery::{MAX_CHANGES, MAX_CLUSTERS, Run};
use replicante_model::intent::Intents;
use replicante_model::record::{ClusterRecord, RejectedRecord, SourceAnswer};

use crate::given::NOW;

fn answer(ids: impl IntoIterator<Item = String>) -> SourceAnswer {
    let record = |id: String| (id.clone(), ClusterRecord { cluster_id: id, ..ClusterRecord::default() });
    SourceAnswer { clusters: ids.into_iter().map(record).collect(), ..SourceAnswer::default() }
}

fn ids(count: usize) -> impl Iterator<Item = String> {
    (0..count).map(|n| format!("c{n:06}"))
}

fn run(old: &DiscoveryState, answer: &SourceAnswer, now: Timestamp) -> Run {
    run_with(old, answer, &BTreeMap::new(), now)
}

fn run_with(
    old: &DiscoveryState,
    answer: &SourceAnswer,
    owners: &BTreeMap<String, Option<String>>,
    now: Timestamp,
) -> Run {
    let (settings, intents) = (ClusterSettings::default(), Intents::default());
    let rules = RemovalRules { max_shrink: None, ..RemovalRules::default() };
    let given = Given { name: "fleet", settings: &settings, rules, owners, intents: &intents, now };
    let run = answered(old, answer, &given);
    assert!(run.items.len() <= MAX_CLUSTERS, "{} clusters in one commit", run.items.len());
    assert!(run.changes.len() <= MAX_CHANGES, "{} events in one commit", run.changes.len());
    run
}

fn run_all(old: &DiscoveryState, answer: &SourceAnswer, now: Timestamp) -> (DiscoveryState, Vec<Run>) {
    let mut runs = vec![run(old, answer, now)];
    while runs.last().unwrap().more {
        assert!(runs.len() < 50, "there is more for ever");
        runs.push(run(&runs.last().unwrap().state, answer, now));
    }
    (runs.last().unwrap().state.clone(), runs)
}

#[test]
fn a_large_source_that_goes_and_comes_back_is_a_series_of_commits() {
    let count = 2 * MAX_CLUSTERS + 7;
    let (state, first) = run_all(&DiscoveryState::default(), &answer(ids(count)), NOW);
    assert_eq!(first.iter().map(|run| run.items.len()).sum::<usize>(), count);
    let (gone, missing) = run_all(&state, &answer([]), NOW);
    assert_eq!(missing.iter().map(|run| run.items.len()).sum::<usize>(), count);
    assert!(gone.clusters.keys().all(|id| gone.absences.missing_since(id) == Some(NOW)));
    let (back, _) = run_all(&gone, &answer(ids(count)), NOW);
    assert!(back.absences.is_empty());
    assert!(!run(&back, &answer(ids(count)), NOW).store);
}

#[test]
fn conflicts_that_end_together_are_a_series_of_commits() {
    let count = MAX_CHANGES + 3;
    let mut state = DiscoveryState::default();
    for (id, record) in answer(ids(count)).clusters {
        let owner = Some("other".to_string());
        let known = KnownCluster { record, owner, ..KnownCluster::default() };
        state.clusters.insert(id, known);
    }
    let (state, runs) = run_all(&state, &answer([]), NOW);
    assert_eq!(runs.iter().map(|run| run.changes.len()).sum::<usize>(), count);
    assert!(state.clusters.is_empty());
}

#[test]
fn records_set_aside_in_thousands_are_a_series_of_commits() {
    let mut bad = answer([]);
    let reason = || "it has no cluster_id".to_string();
    bad.rejected = ids(MAX_CHANGES).map(|record| RejectedRecord { record, reason: reason() }).collect();
    let (state, runs) = run_all(&DiscoveryState::default(), &bad, NOW);
    assert!(runs.len() > 1);
    assert_eq!(state.rejected.len(), MAX_CHANGES);
}

#[test]
fn a_run_that_fails_is_an_event_the_first_of_a_row_and_one_that_works_again_is_the_other() {
    let first = run(&DiscoveryState::default(), &answer(ids(1)), NOW);
    let down = failed(&first.state, "status 500", NOW);
    assert_eq!(down.changes, [Change::DiscoveryFailed { reason: "status 500".into() }]);
    assert!(failed(&down.state, "timeout after 30 s", NOW).changes.is_empty());
    let again = run(&down.state, &answer(ids(1)), NOW);
    assert_eq!(again.changes, [Change::DiscoveryRecovered { failed_since: Some(NOW) }]);
}

#[test]
fn a_failed_run_counts_for_no_clusters_absence() {
    let first = run(&DiscoveryState::default(), &answer(ids(2)), NOW);
    let missing = run(&first.state, &answer(ids(1)), NOW);
    let down = failed(&missing.state, "status 500", NOW);
    assert_eq!(down.state.clusters, missing.state.clusters, "only a complete answer counts");
    assert!(down.items.is_empty());
}

#[test]
fn the_first_discovery_owns_a_cluster_and_the_second_is_reported_when_that_changes() {
    let first = run(&DiscoveryState::default(), &answer(ids(1)), NOW);
    let owners = BTreeMap::from([("c000000".to_string(), "other".to_string())]);
    let noted = contested(&first.state, &owners, NOW);
    let (cluster, owner) = ("c000000".to_string(), "other".to_string());
    assert_eq!(noted.changes, [Change::DiscoveryConflict { cluster: cluster.clone(), owner: owner.clone() }]);
    let still = run(&noted.state, &answer(ids(1)), NOW);
    assert!(!still.store && still.items.is_empty(), "an item of another is never written");
    let free = BTreeMap::from([(cluster.clone(), None)]);
    let freed = run_with(&noted.state, &answer(ids(1)), &free, NOW);
    assert_eq!(freed.changes, [Change::DiscoveryConflictResolved { cluster, owner }]);
    assert_eq!(freed.items.len(), 1);
}

#[test]
fn a_discoverys_events_never_go_back_in_time() {
    let down = failed(&DiscoveryState::default(), "r", NOW);
    let up = run(&down.state, &answer(ids(1)), Timestamp(NOW.0 - 5_000));
    assert_eq!(up.state.last_event, NOW);
}
