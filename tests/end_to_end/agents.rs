//! Agents that misbehave, over real HTTP.

use replicante_fleet::{AgentState, Change, Fault, Kind, StoreState};
use replicante_model::view::Health;
use replicante_tests::System;

/// Short limits, so that what hangs ends soon.
const AGENTS: &str =
    "  agents: { timeout: 300ms, connect_timeout: 300ms, node_timeout: 1s, max_body: 1MiB }\n";

async fn system(kind: Kind) -> System {
    let system = System::start().await.unwrap();
    system.add_cluster("c", kind, 3).unwrap();
    system.apply_discovery(AGENTS).await.unwrap();
    system.discover().await;
    system.refresh("c").await;
    system
}

async fn status(system: &System) -> (String, Option<String>, bool) {
    let state = system.state("c").await.unwrap();
    let node = &state.view.as_ref().unwrap().nodes["node-2"];
    (node.status.as_str().into(), node.status.reason().map(String::from), state.readings["node-2"].stale)
}

#[tokio::test]
async fn whatever_an_agent_does_its_node_alone_is_called_down_with_a_stable_reason() {
    let fault = |fault| Change::fault("c", "node-2", Some(fault));
    let cases = [
        (
            Kind::Zookeeper,
            Change::agent("c", "node-2", AgentState::Hanging),
            "agent_down",
            "timeout after 300 ms",
        ),
        (Kind::Zookeeper, Change::agent("c", "node-2", AgentState::Gone), "agent_down", "connection"),
        (Kind::Zookeeper, fault(Fault::Garbage), "agent_down", "JSON"),
        (Kind::Zookeeper, fault(Fault::Html), "agent_down", "JSON"),
        (Kind::Zookeeper, fault(Fault::Huge(20 * 1024 * 1024)), "agent_down", "larger than 1 MiB"),
        (Kind::Zookeeper, fault(Fault::ServerError), "agent_down", "HTTP 500"),
        (
            Kind::Zookeeper,
            Change::store("c", "node-2", StoreState::Hanging),
            "node_down",
            "timeout after 300 ms",
        ),
        (Kind::Zookeeper, Change::store("c", "node-2", StoreState::Down), "node_down", "HTTP 500"),
        (Kind::Mongodb, Change::store("c", "node-2", StoreState::Down), "node_down", "UNAVAILABLE"),
        (Kind::Mongodb, Change::store("c", "node-2", StoreState::Hanging), "node_down", "timeout"),
        (Kind::Mongodb, Change::agent("c", "node-2", AgentState::Hanging), "agent_down", "timeout"),
    ];
    for (kind, change, status_word, reason_part) in cases {
        let system = system(kind).await;
        let shards = system.view("c").await.unwrap().nodes["node-2"].shards.clone();
        let told = system.check().await.unwrap().told("cluster/default/c").len();
        system.fleet.apply(change.clone()).unwrap();
        system.refresh("c").await;
        let (word, reason, stale) = status(&system).await;
        let reason = reason.unwrap_or_default();
        println!("{kind:?} {change}: {word}: {reason}");
        assert_eq!(word, status_word, "{change}: {reason}");
        assert!(reason.contains(reason_part), "{change}: {reason}");
        assert!(stale, "{change}");
        let view = system.view("c").await.unwrap();
        assert_eq!(view.nodes["node-2"].shards, shards, "going down does not remove shards");
        assert_eq!(view.health, Some(Health::Degraded));
        system.refresh("c").await;
        system.refresh("c").await;
        let (_, again, _) = status(&system).await;
        assert_eq!(again.unwrap_or_default(), reason, "{change}: the same failure is the same state");
        let all = system.check().await.unwrap().told("cluster/default/c");
        let downs = all[told..].iter().filter(|told| told.contains(".down")).count();
        assert_eq!(downs, 1, "{change}: {:?}", &all[told..]);
    }
}

#[tokio::test]
async fn a_node_that_answers_for_another_cluster_is_a_conflict_and_kept_out() {
    let system = system(Kind::Zookeeper).await;
    let told = system.check().await.unwrap().told("cluster/default/c").len();
    system.fleet.apply(Change::fault("c", "node-2", Some(Fault::OtherCluster("billing".into())))).unwrap();
    system.refresh("c").await;
    system.refresh("c").await;
    let (word, reason, stale) = status(&system).await;
    assert_eq!(
        (word.as_str(), reason.as_deref(), stale),
        ("conflict", Some("answers for cluster billing"), true)
    );
    system.fleet.apply(Change::fault("c", "node-2", None)).unwrap();
    system.refresh("c").await;
    let all = system.check().await.unwrap().told("cluster/default/c");
    let expected = [
        "node.down node-2",
        "cluster.identity_conflict node-2",
        "cluster.health_changed",
        "node.up node-2",
        "cluster.identity_resolved node-2",
        "cluster.health_changed",
    ];
    assert_eq!(all[told..], expected);
}

#[tokio::test]
async fn a_refresh_lasts_as_long_as_its_slowest_agent() {
    let system = System::start().await.unwrap();
    system.add_cluster("c", Kind::Zookeeper, 20).unwrap();
    system.apply_discovery(AGENTS).await.unwrap();
    system.discover().await;
    for n in 1..=20 {
        let node = format!("node-{n}");
        system.fleet.apply(Change::Latency { cluster: "c".into(), node, millis: 100 }).unwrap();
    }
    system.reports();
    system.refresh("c").await;
    let took = system.reports()[0].duration;
    // Three requests of 100 ms a node; one node after the other would be 6 s.
    assert!(took.as_millis() >= 300 && took.as_millis() < 1000, "{took:?}");
}
