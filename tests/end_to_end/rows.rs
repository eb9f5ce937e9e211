//! Failures in a row before a node is called down, successes in a row before it is called up.

use std::path::Path;
use std::time::Duration;

use replicante_fleet::{AgentState, Change, Fleet, Kind};
use replicante_model::view::{NodeCounters, NodeStatus};
use replicante_tests::System;

const SPEC: &str = "  agents: { failures_before_down: 3, successes_before_up: 3 }\n";

/// A cluster of one node that was heard of, with its data in this folder.
async fn system(folder: &Path) -> System {
    let system = System::start_embedded(Some(folder)).await.unwrap();
    system.add_cluster("c", Kind::Zookeeper, 1).unwrap();
    system.apply_discovery(SPEC).await.unwrap();
    system.discover().await;
    system
}

/// What is left of a system when everything else has ended.
fn only_fleet(system: System) -> Fleet {
    system.fleet
}

/// Ends the process, but for its fleet, and starts another on the same data.
async fn restart(system: System, folder: &Path) -> System {
    let fleet = only_fleet(system);
    let mut system = System::start_embedded(Some(folder)).await.unwrap();
    system.fleet = fleet;
    system
}

/// Refreshes once while the agent is in this state.
async fn refresh(system: &System, agent: AgentState) {
    system.fleet.apply(Change::agent("c", "node-1", agent)).unwrap();
    system.refresh("c").await;
}

/// Refreshes once without the time to hear the node.
async fn not_polled(system: &mut System) {
    let usual = std::mem::replace(&mut system.time_left, Duration::from_secs(2));
    // A request may take 10 s.
    refresh(system, AgentState::Hanging).await;
    system.time_left = usual;
}

async fn told(system: &System) -> Vec<String> {
    system.check().await.unwrap().told("cluster/default/c")
}

async fn counters(system: &System) -> (u32, u32) {
    let rows = system.state("c").await.unwrap().counters.nodes;
    let NodeCounters { failures, successes, .. } = rows.get("node-1").cloned().unwrap_or_default();
    (failures, successes)
}

async fn is_up(system: &System) -> bool {
    system.view("c").await.unwrap().nodes["node-1"].status == NodeStatus::Up
}

#[tokio::test]
async fn a_node_is_called_down_by_the_last_of_its_failures_in_a_row_also_by_another_process() {
    use AgentState::{Gone, Up};
    let folder = tempfile::tempdir().unwrap();
    let mut system = system(folder.path()).await;
    for _ in 0..3 {
        refresh(&system, Up).await;
    }
    let before = told(&system).await;
    for (agent, count) in [(Gone, 1), (Gone, 2), (Up, 0), (Gone, 1), (Gone, 2)] {
        refresh(&system, agent).await;
        assert_eq!(counters(&system).await, (count, 0));
        assert!(is_up(&system).await);
    }
    not_polled(&mut system).await;
    let mut system = restart(system, folder.path()).await;
    not_polled(&mut system).await;
    assert_eq!(counters(&system).await, (2, 0), "kept, and not to be polled is no failure");
    assert_eq!(told(&system).await, before, "a count is no event");
    refresh(&system, Gone).await;
    assert_eq!(told(&system).await[before.len()..], ["agent.down node-1", "cluster.health_changed"]);
    refresh(&system, Gone).await;
    assert_eq!(told(&system).await.len(), before.len() + 2);
}

#[tokio::test]
async fn a_node_is_called_up_by_the_last_of_its_successes_in_a_row_also_by_another_process() {
    use AgentState::{Gone, Up};
    let folder = tempfile::tempdir().unwrap();
    let mut system = system(folder.path()).await;
    refresh(&system, Gone).await;
    let before = told(&system).await;
    for (agent, counts) in [(Up, (0, 1)), (Up, (0, 2)), (Gone, (1, 0)), (Up, (0, 1)), (Up, (0, 2))] {
        refresh(&system, agent).await;
        assert_eq!(counters(&system).await, counts);
        assert!(!is_up(&system).await);
    }
    not_polled(&mut system).await;
    let mut system = restart(system, folder.path()).await;
    not_polled(&mut system).await;
    assert_eq!(counters(&system).await, (0, 2), "kept, and not to be polled is neither");
    assert_eq!(told(&system).await, before, "a count is no event");
    refresh(&system, Up).await;
    assert!(is_up(&system).await);
    let after = told(&system).await;
    assert!(after[before.len()..].contains(&"agent.up node-1".to_owned()), "{after:?}");
    assert_eq!(counters(&system).await, (0, 0));
}
