//! A worker that is cut off takes every agent for down: it is found out, and calls none of them down for a while.

use std::time::Duration;

use replicante_fleet::{AgentState, Change, Fleet, FleetConfig, Kind, Layout, WorldConfig};
use replicante_model::RecordName;
use replicante_protocol::task::Task;
use replicante_tests::System;
use tokio::time::{Instant, sleep};

const CLUSTERS: [&str; 3] = ["a", "b", "c"];

/// Three clusters of so many nodes each, seen up. Each agent has a port of its own: one that is gone refuses
/// connections.
async fn system(nodes: [usize; 3], hold: Duration) -> System {
    let mut system = System::start().await.unwrap();
    let world = WorldConfig { clusters: 0, ..WorldConfig::default() };
    let config = FleetConfig { world, layout: Layout::PortEach, ..FleetConfig::default() };
    system.fleet = Fleet::start(config).await.unwrap();
    for (cluster, nodes) in CLUSTERS.iter().zip(nodes) {
        system.add_cluster(cluster, Kind::Zookeeper, nodes).unwrap();
    }
    system.local.settings.observer_hold = hold;
    system.restart_workers();
    system.apply_discovery("").await.unwrap();
    system.discover().await;
    refresh(&system).await;
    system
}

/// Refreshes all clusters in one invocation.
async fn refresh(system: &System) {
    let tasks = CLUSTERS.map(|cluster| Task::manual(RecordName::cluster("default", cluster), "test"));
    assert!(system.run_refreshes(&tasks).await.batch_item_failures.is_empty());
}

/// What all agents of a cluster do from now on.
fn all(system: &System, cluster: &str, agents: AgentState) {
    let nodes: Vec<String> =
        system.fleet.with_world(|world| world.cluster(cluster).unwrap().nodes.keys().cloned().collect());
    for node in nodes {
        system.fleet.apply(Change::agent(cluster, node, agents)).unwrap();
    }
}

/// How many agents of a cluster were told to be down, but for the first sight of each.
async fn downs(system: &System, cluster: &str) -> usize {
    let told = system.check().await.unwrap().told(&format!("cluster/default/{cluster}"));
    told.iter().filter(|event| event.starts_with("agent.down")).count()
}

/// What was told of the discovery.
async fn told(system: &System) -> Vec<String> {
    system.check().await.unwrap().told("discovery/default/fleet")
}

#[tokio::test]
async fn all_agents_gone_at_once_are_not_called_down_until_others_prove_the_worker_right() {
    let system = system([4, 4, 4], Duration::from_secs(300)).await;
    for cluster in CLUSTERS {
        all(&system, cluster, AgentState::Gone);
    }
    system.metrics().unwrap();
    for _ in 0..2 {
        refresh(&system).await;
        system.discover().await;
        for cluster in CLUSTERS {
            assert_eq!(downs(&system, cluster).await, 0, "{cluster}");
        }
        assert_eq!(told(&system).await, ["discovery.observer_suspect"], "once");
        let metrics = system.metrics().unwrap();
        let sum = |name: &str| metrics.iter().map(|line| line.sum(name)).sum::<f64>();
        assert_eq!((sum("AgentsPolled"), sum("AgentsFailed")), (12.0, 12.0));
        assert_eq!(sum("ObserverSuspect"), 3.0, "each refresh of it held something back");
    }
    let observer = system.discovery_state().await.unwrap().observer.unwrap();
    assert_eq!(observer.polled, 12);
    assert!((7..=12).contains(&observer.failed), "{observer:?}");

    for cluster in ["a", "b"] {
        all(&system, cluster, AgentState::Up);
    }
    // The first may judge the third cluster before it hears of the others.
    refresh(&system).await;
    refresh(&system).await;
    assert_eq!([downs(&system, "a").await, downs(&system, "b").await], [0, 0]);
    assert_eq!(downs(&system, "c").await, 4, "what is down is told");
    system.discover().await;
    system.discover().await;
    assert_eq!(told(&system).await, ["discovery.observer_suspect", "discovery.observer_trusted"]);
    assert_eq!(system.discovery_state().await.unwrap().observer, None);
}

#[tokio::test]
async fn what_stays_gone_is_called_down_once_the_setting_is_over() {
    let hold = Duration::from_secs(3);
    let system = system([4, 4, 4], hold).await;
    for cluster in CLUSTERS {
        all(&system, cluster, AgentState::Gone);
    }
    let began = Instant::now();
    refresh(&system).await;
    system.discover().await;
    if began.elapsed() < hold {
        assert_eq!(downs(&system, "a").await, 0);
    }
    while downs(&system, "a").await == 0 {
        assert!(began.elapsed() < 20 * hold, "it is held for ever");
        sleep(Duration::from_millis(200)).await;
        refresh(&system).await;
    }
    assert!(began.elapsed() >= hold, "told after {:?}", began.elapsed());
    refresh(&system).await;
    for cluster in CLUSTERS {
        assert_eq!(downs(&system, cluster).await, 4, "{cluster}");
    }
    system.discover().await;
    assert_eq!(told(&system).await, ["discovery.observer_suspect", "discovery.observer_trusted"]);
}

#[tokio::test]
async fn a_cluster_that_dies_while_others_live_is_told_at_once() {
    let system = system([6, 6, 3], Duration::from_secs(300)).await;
    all(&system, "c", AgentState::Gone);
    refresh(&system).await;
    assert_eq!(downs(&system, "c").await, 3);
    system.discover().await;
    assert!(told(&system).await.is_empty(), "and nobody is suspect");
}
