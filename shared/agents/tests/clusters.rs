//! All nodes of a cluster at once: limits, rotation, deadline.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod agent;
#[path = "../../outbound/tests/server/mod.rs"]
mod server;

use std::sync::Arc;
use std::time::Duration;

use agent::*;
use replicante_agents::{Agents, ClusterLimits, DEFAULT_IN_FLIGHT, Observation, Target};
use replicante_model::record::AgentSettings;
use replicante_outbound::{AddressPolicy, Outbound};
use tokio::time::Instant;

/// Addresses of nodes `a`, `b`, ... behind one server, told apart by the beginning of the path.
fn addresses(server: &Server, count: u8) -> Vec<(String, String)> {
    let name = |place| char::from(b'a' + place).to_string();
    (0..count).map(|place| (name(place), server.url(&format!("/{}", name(place))))).collect()
}

fn targets(addresses: &[(String, String)]) -> Vec<Target<'_>> {
    addresses
        .iter()
        .map(|(node_id, address)| Target { node_id, address, was_down: false, last_api: None, actions: None })
        .collect()
}

fn limits(in_flight: usize, start: u64) -> ClusterLimits {
    ClusterLimits { in_flight, start }
}

/// How many nodes had their turn before the time of their clusters was up, when none of them answers.
async fn turns(agents: &Agents, clusters: usize, in_flight: usize) -> usize {
    let server = Server::start(|_| Reply::Hang).await;
    let nodes = addresses(&server, 12);
    let targets = targets(&nodes);
    let settings = AgentSettings::default();
    let deadline = Instant::now() + SHORT;
    let poll = |_| agents.poll_cluster(&targets, "lab", &settings, limits(in_flight, 0), deadline);
    for found in futures::future::join_all((0..clusters).map(poll)).await {
        assert_eq!(found.into_values().collect::<Vec<_>>(), vec![Observation::NotPolled; 12]);
    }
    server.requests().len()
}

#[tokio::test]
async fn all_nodes_of_a_cluster_are_polled_at_once_within_its_limit() {
    for (in_flight, expected) in [(64, 12), (5, 5), (0, 1)] {
        assert_eq!(turns(&agents(), 1, in_flight).await, expected);
    }
    assert_eq!(ClusterLimits::default().in_flight, 64);
}

#[tokio::test]
async fn a_function_polls_no_more_nodes_at_once_than_its_limit_whatever_their_clusters() {
    let agents = Agents::new(Arc::new(Outbound::new(AddressPolicy::local())), 3);
    assert_eq!(turns(&agents, 2, 64).await, 3);
    assert_eq!(turns(&agents, 2, 1).await, 2);
    assert_eq!(DEFAULT_IN_FLIGHT, 512);
}

#[tokio::test]
async fn a_turn_is_given_on_when_a_node_is_done() {
    let server = answering([V1_AGENT, V1_STORE, V1_SHARDS]).await;
    let nodes = addresses(&server, 12);
    let agents = Agents::new(Arc::new(Outbound::new(AddressPolicy::local())), 2);
    let found = agents.poll_cluster(&targets(&nodes), "lab", &soon(), limits(3, 0), far()).await;
    found.into_values().for_each(|observation| drop(up(observation)));
    assert_eq!(server.requests().len(), 48);
}

#[tokio::test]
async fn the_start_rotates() {
    for (start, order) in [(0, "abcd"), (1, "bcda"), (3, "dabc"), (4, "abcd"), (u64::MAX, "dabc")] {
        let server = answering([("info/agent", (|| Reply::answer(500, "", "")) as fn() -> Reply)]).await;
        let nodes = addresses(&server, 4);
        agents().poll_cluster(&targets(&nodes), "lab", &soon(), limits(1, start), far()).await;
        let seen: String =
            server.requests().iter().map(|line| line.chars().nth("GET /".len()).unwrap()).collect();
        assert_eq!(seen, order, "{start}");
    }
    let none = agents().poll_cluster(&[], "lab", &soon(), limits(1, 7), far()).await;
    assert!(none.is_empty());
}

#[tokio::test]
async fn nodes_that_the_deadline_cuts_off_or_leaves_out_were_not_polled() {
    // `a` answers, the others hang for longer than the cluster has; one at a time, `c` and `d` have no turn.
    let server = Server::start(|line| match line {
        "GET /a/api/unstable/info/agent" => V1_AGENT.1(),
        "GET /a/api/unstable/info/datastore" => V1_STORE.1(),
        "GET /a/api/unstable/shards" => V1_SHARDS.1(),
        _ => Reply::Hang,
    })
    .await;
    let nodes = addresses(&server, 4);
    let deadline = Instant::now() + SHORT;
    let settings = AgentSettings::default();
    let found = agents().poll_cluster(&targets(&nodes), "lab", &settings, limits(1, 0), deadline).await;
    assert!(deadline.elapsed() < Duration::from_secs(5));
    assert_eq!(found.keys().collect::<Vec<_>>(), ["a", "b", "c", "d"]);
    assert!(matches!(found["a"], Observation::Up(_)), "{:?}", found["a"]);
    for node in ["b", "c", "d"] {
        assert_eq!(found[node], Observation::NotPolled, "{node}");
    }
    assert!(!server.requests().iter().any(|line| line.starts_with("GET /c") || line.starts_with("GET /d")));
}

#[tokio::test]
async fn no_node_is_called_down_because_the_time_of_its_cluster_was_up() {
    let hanging: [Case; 4] = [
        ("info/agent", || Reply::Hang),
        ("info/datastore", || Reply::Hang),
        ("shards", || Reply::Hang),
        ("info/node", || Reply::Hang),
    ];
    for hangs in hanging {
        let others = [V1_AGENT, V1_STORE, V1_SHARDS].into_iter().filter(|_| hangs.0 != "info/node");
        let server = answering(others.chain([hangs])).await;
        let address = server.url("");
        for was_down in [false, true] {
            let target = Target { node_id: "n", address: &address, was_down, last_api: None, actions: None };
            let deadline = Instant::now() + Duration::from_millis(150);
            let found = agents().poll(&target, "lab", &AgentSettings::default(), deadline).await;
            assert_eq!(found, Observation::NotPolled, "{}", hangs.0);
        }
    }
    let server = answering([V1_AGENT]).await;
    let address = server.url("");
    let target = Target { node_id: "n", address: &address, was_down: false, last_api: None, actions: None };
    assert_eq!(agents().poll(&target, "lab", &soon(), Instant::now()).await, Observation::NotPolled);
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn a_warm_function_finds_its_connections_again() {
    let server = answering([V1_AGENT, V1_STORE, V1_SHARDS]).await;
    let agents = agents();
    let address = server.url("");
    let target = Target { node_id: "n", address: &address, was_down: false, last_api: None, actions: None };
    for _ in 0..3 {
        up(agents.poll(&target, "lab", &soon(), far()).await);
    }
    assert_eq!((server.requests().len(), server.connections()), (12, 1));
}

#[test]
fn a_poll_can_be_moved_between_threads() {
    fn movable<T: Send>(_: T) {}
    let agents = agents();
    movable(agents.poll_cluster(&[], "lab", &soon(), ClusterLimits::default(), far()));
}
