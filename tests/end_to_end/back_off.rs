//! Agents that stay silent and sources that keep failing are asked less and less often.

use std::time::Duration;

use replicante_fleet::{AgentState, Change, DiscoveryFault, Endpoint, Kind, StoreState};
use replicante_model::view::NodeStatus;
use replicante_model::{RecordName, Timestamp};
use replicante_protocol::machine::Outcome;
use replicante_protocol::schedule::next_slot;
use replicante_protocol::task::Task;
use replicante_tests::System;

/// How often clusters and the discovery are due, as [`System::apply_discovery`] says.
const INTERVAL: Duration = Duration::from_secs(5);
/// What fits the longest back-off of the tests: 8 slots.
const MOST: Duration = Duration::from_secs(40);

/// A cluster `c` of so many nodes.
async fn system(nodes: usize) -> System {
    let mut system = System::start().await.unwrap();
    system.add_cluster("c", Kind::Zookeeper, nodes).unwrap();
    system.apply_discovery("").await.unwrap();
    system.local.settings.back_off = MOST;
    system.restart_workers();
    system.discover().await;
    system.refresh("c").await;
    system
}

fn cluster() -> RecordName {
    RecordName::cluster("default", "c")
}

fn discovery() -> RecordName {
    RecordName::discovery("default", "fleet")
}

/// The slots of a record from now on.
fn slots(record: &RecordName) -> impl Iterator<Item = Timestamp> {
    let first = next_slot(record, INTERVAL, Timestamp::ZERO, Timestamp::now());
    (0..).map(move |n| first.plus(INTERVAL * n))
}

/// Agents that are polled begin with this endpoint.
fn polls(system: &System) -> u64 {
    system.fleet.requests()[&Endpoint::InfoAgent]
}

fn fetches(system: &System) -> u64 {
    system.fleet.requests()[&Endpoint::Discovery]
}

/// Runs the scheduled refresh of each slot; the numbers of those in which more than `others` agents were asked.
async fn turns(system: &System, slots: &[Timestamp], others: u64) -> Vec<usize> {
    let mut turns = Vec::new();
    for (number, slot) in slots.iter().enumerate() {
        let before = polls(system);
        let done = system.run_refresh(Task::scheduled(cluster(), *slot)).await;
        assert!(done.batch_item_failures.is_empty());
        if polls(system) > before + others {
            turns.push(number);
        }
    }
    turns
}

#[tokio::test]
async fn an_agent_that_stays_silent_is_polled_less_and_less_often_and_every_time_once_it_answers() {
    let system = system(3).await;
    system.fleet.apply(Change::agent("c", "node-2", AgentState::Gone)).unwrap();
    system.refresh("c").await;
    let slots: Vec<Timestamp> = slots(&cluster()).take(60).collect();
    let asked = turns(&system, &slots[..32], 2).await;
    assert!((5..=9).contains(&asked.len()), "{asked:?}");
    let late: Vec<usize> = asked.iter().copied().filter(|slot| *slot >= 10).collect();
    assert!(late.windows(2).all(|pair| pair[1] - pair[0] == 8), "{asked:?}");

    system.fleet.apply(Change::agent("c", "node-2", AgentState::Up)).unwrap();
    let node = async |system: &System| system.view("c").await.unwrap().nodes["node-2"].status.clone();
    turns(&system, &slots[32..40], 2).await;
    assert_eq!(node(&system).await, NodeStatus::Up, "within 8 slots");
    let asked = turns(&system, &slots[40..44], 2).await;
    assert_eq!(asked, [0, 1, 2, 3], "every time");
    let told = system.check().await.unwrap().told("cluster/default/c");
    let count = |word: &str| told.iter().filter(|event| event.starts_with(word)).count();
    assert_eq!((count("agent.down node-2"), count("agent.up node-2")), (1, 2), "{told:?}");
}

#[tokio::test]
async fn whoever_asks_for_a_refresh_has_every_agent_polled() {
    let system = system(1).await;
    system.fleet.apply(Change::agent("c", "node-1", AgentState::Gone)).unwrap();
    system.refresh("c").await;
    let slots: Vec<Timestamp> = slots(&cluster()).take(20).collect();
    turns(&system, &slots, 0).await;
    for _ in 0..3 {
        let before = polls(&system);
        system.refresh("c").await;
        assert!(polls(&system) > before, "a manual task");
    }
    let before = polls(&system);
    let asked_for = slots[19].plus(Duration::from_millis(1));
    system.run_refresh(Task::scheduled(cluster(), asked_for)).await;
    assert!(polls(&system) > before, "a task out of turn");
}

#[tokio::test]
async fn an_agent_that_answers_is_polled_every_time_whatever_its_datastore_does() {
    let system = system(1).await;
    system.fleet.apply(Change::store("c", "node-1", StoreState::Down)).unwrap();
    system.refresh("c").await;
    let slots: Vec<Timestamp> = slots(&cluster()).take(12).collect();
    assert_eq!(turns(&system, &slots, 0).await, (0..12).collect::<Vec<_>>());
}

#[tokio::test]
async fn an_unchanged_refresh_costs_the_same_with_silent_agents_polled_or_not() {
    let system = System::start_embedded(None).await.unwrap();
    system.add_cluster("c", Kind::Zookeeper, 3).unwrap();
    system.apply_discovery("").await.unwrap();
    system.discover().await;
    system.refresh("c").await;
    system.fleet.apply(Change::agent("c", "node-2", AgentState::Gone)).unwrap();
    system.refresh("c").await;
    system.reports();
    let slots: Vec<Timestamp> = slots(&cluster()).take(12).collect();
    let asked = turns(&system, &slots, 2).await;
    assert!(asked.len() < 12, "{asked:?}");
    for report in system.reports() {
        let cost = (report.outcome, report.cost.write_units, report.cost.read_units);
        assert_eq!(cost, (Outcome::Unchanged, 2.0, 2.0), "claim and release; state and discovery item");
    }
}

#[tokio::test]
async fn a_source_that_keeps_failing_is_asked_less_and_less_often_and_at_once_when_somebody_asks() {
    let system = system(1).await;
    system.fleet.apply(Change::discovery(Some(DiscoveryFault::Down))).unwrap();
    system.discover().await;
    let slots: Vec<Timestamp> = slots(&discovery()).take(60).collect();
    let mut asked = Vec::new();
    for (number, slot) in slots[..32].iter().enumerate() {
        let before = fetches(&system);
        system.run_discovery(Task::scheduled(discovery(), *slot)).await;
        asked.extend((fetches(&system) > before).then_some(number));
    }
    assert!((5..=9).contains(&asked.len()), "{asked:?}");
    let failing = system.discovery_state().await.unwrap().failing;
    assert!(failing.is_some_and(|failing| failing.reason.contains("500")), "what is known stays");

    let before = fetches(&system);
    system.discover().await;
    assert_eq!(fetches(&system), before + 1, "a manual run");
    system.run_discovery(Task::scheduled(discovery(), slots[31].plus(Duration::from_millis(1)))).await;
    assert_eq!(fetches(&system), before + 2, "its object was applied again");

    system.fleet.apply(Change::discovery(None)).unwrap();
    for slot in &slots[32..40] {
        system.run_discovery(Task::scheduled(discovery(), *slot)).await;
    }
    assert_eq!(system.discovery_state().await.unwrap().failing, None, "within 8 slots");
    let before = fetches(&system);
    for slot in &slots[40..44] {
        system.run_discovery(Task::scheduled(discovery(), *slot)).await;
    }
    assert!(fetches(&system) >= before + 4, "every time");
    let told = system.check().await.unwrap().told("discovery/default/fleet");
    assert_eq!(told, ["discovery.failed", "discovery.recovered"]);
}
