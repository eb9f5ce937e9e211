//! Settings and objects reach what they are about: the workers, their limits, each poll, each head.

use std::time::Duration;

use replicante_fleet::{AgentState, Change, DiscoveryFault, Endpoint, Kind};
use replicante_model::summary::Summary;
use replicante_model::view::NodeStatus;
use replicante_model::{RecordName, Timestamp};
use replicante_protocol::task::Task;
use replicante_tests::System;

const LOOPBACK: &str = "address is loopback, which is not allowed";
const NODES: [&str; 3] = ["node-1", "node-2", "node-3"];

async fn system(kind: Kind, nodes: usize, spec: &str) -> System {
    let system = System::start().await.unwrap();
    system.add_cluster("c", kind, nodes).unwrap();
    system.apply_discovery(spec).await.unwrap();
    system.discover().await;
    system
}

async fn node_reason(system: &System, node: &str) -> (String, String) {
    let view = system.view("c").await.unwrap();
    let status = &view.nodes[node].status;
    (status.as_str().into(), status.reason().unwrap_or_default().into())
}

async fn discovery_reason(system: &System) -> Option<String> {
    let head = system.head(&RecordName::discovery("default", "fleet")).await.unwrap();
    Summary::parse(head.summary.as_deref()).reason
}

fn asked(system: &System, endpoint: Endpoint) -> u64 {
    system.fleet.requests()[&endpoint]
}

/// The nodes that the last refresh heard.
async fn fresh(system: &System) -> Vec<&'static str> {
    let state = system.state("c").await.unwrap();
    NODES.into_iter().filter(|node| !state.readings[*node].stale).collect()
}

#[tokio::test]
async fn the_address_policy_of_the_settings_holds_for_both_workers() {
    let mut system = system(Kind::Zookeeper, 1, "").await;
    system.local.settings.addresses = Default::default();
    system.restart_workers();
    system.refresh("c").await;
    assert_eq!(node_reason(&system, "node-1").await, ("agent_down".into(), LOOPBACK.into()));
    system.discover().await;
    assert_eq!(discovery_reason(&system).await.as_deref(), Some(LOOPBACK));
}

#[tokio::test]
async fn the_protocol_is_remembered_and_a_node_that_was_down_is_probed_first() {
    let system = system(Kind::Mongodb, 1, "  agents: { timeout: 300ms }\n").await;
    system.refresh("c").await;
    assert_eq!((asked(&system, Endpoint::InfoAgent), asked(&system, Endpoint::InfoNode)), (1, 1));
    system.refresh("c").await;
    assert_eq!((asked(&system, Endpoint::InfoAgent), asked(&system, Endpoint::InfoNode)), (1, 2));
    system.fleet.apply(Change::agent("c", "node-1", AgentState::Hanging)).unwrap();
    system.refresh("c").await;
    assert_eq!(node_reason(&system, "node-1").await.0, "agent_down");
    let before = (asked(&system, Endpoint::InfoNode), asked(&system, Endpoint::ActionsQueue));
    system.refresh("c").await;
    let after = (asked(&system, Endpoint::InfoNode), asked(&system, Endpoint::ActionsQueue));
    assert_eq!(after, (before.0, before.1 + 1), "one request, to what the agent answers alone");
}

#[tokio::test]
async fn the_protocol_of_an_object_is_the_one_that_is_asked() {
    let system = system(Kind::Zookeeper, 1, "  agents: { api: v2 }\n").await;
    system.refresh("c").await;
    let expected = ("agent_down".to_owned(), "HTTP 404 from info/node".to_owned());
    assert_eq!(node_reason(&system, "node-1").await, expected);
    assert_eq!(asked(&system, Endpoint::InfoAgent), 0);
}

/// Three nodes of which the time of an invocation is enough for one at a time.
async fn one_at_a_time(per_cluster: usize, per_function: usize) -> System {
    let mut system = system(Kind::Zookeeper, 3, "").await;
    system.refresh("c").await;
    let settings = &mut system.local.settings;
    (settings.polls_per_cluster, settings.polls_per_function) = (per_cluster, per_function);
    settings.readings_age = Duration::ZERO;
    system.restart_workers();
    for node in NODES {
        system.fleet.apply(Change::Latency { cluster: "c".into(), node: node.into(), millis: 400 }).unwrap();
    }
    // Half of it is for polling. A node takes three requests.
    system.time_left = Duration::from_secs(4);
    system
}

#[tokio::test]
async fn what_the_time_of_a_cluster_does_not_reach_keeps_its_state_and_the_first_to_be_polled_rotates() {
    let system = one_at_a_time(1, 512).await;
    let told = system.check().await.unwrap().told("cluster/default/c");
    let record = RecordName::cluster("default", "c");
    let now = Timestamp::now();
    for slots in 0..3 {
        // The interval is 5 s.
        let stamp = now.plus(Duration::from_secs(5 * slots));
        assert!(
            system.run_refresh(Task::scheduled(record.clone(), stamp)).await.batch_item_failures.is_empty()
        );
        let first = usize::try_from(stamp.0 / 5_000 % 3).unwrap();
        assert_eq!(fresh(&system).await, [NODES[first]]);
    }
    let view = system.view("c").await.unwrap();
    assert!(view.nodes.values().all(|node| node.status == NodeStatus::Up));
    assert_eq!(system.check().await.unwrap().told("cluster/default/c"), told, "it says nothing of the nodes");
}

#[tokio::test]
async fn a_function_polls_as_many_nodes_at_once_as_its_setting_says() {
    let system = one_at_a_time(64, 1).await;
    system.refresh("c").await;
    assert_eq!(fresh(&system).await.len(), 1);
}

#[tokio::test]
async fn a_discovery_that_the_deadline_cuts_off_is_a_failed_run() {
    let mut system = system(Kind::Zookeeper, 1, "").await;
    system.fleet.apply(Change::discovery(Some(DiscoveryFault::Hang))).unwrap();
    // The source's own limit is 2 s.
    system.time_left = Duration::from_secs(2);
    assert!(system.discover().await.batch_item_failures.is_empty(), "the run itself is over");
    let reason = "no complete answer before the function's deadline";
    assert_eq!(discovery_reason(&system).await.as_deref(), Some(reason));
    assert_eq!(system.discovery_state().await.unwrap().clusters.len(), 1);
}

#[tokio::test]
async fn a_disabled_discovery_has_a_disabled_head() {
    let system = System::start().await.unwrap();
    let record = RecordName::discovery("default", "fleet");
    for (spec, enabled) in [("  enabled: false\n", false), ("", true), ("  enabled: false\n", false)] {
        system.apply_discovery(spec).await.unwrap();
        assert_eq!(system.head(&record).await.unwrap().enabled, enabled);
    }
}

#[tokio::test]
async fn a_discovery_is_due_as_often_as_it_says() {
    let system = System::start().await.unwrap();
    for seconds in [7, 90] {
        let yaml = format!(
            "apiVersion: replicante.io/v0\nkind: Discovery\nmetadata: {{ name: fleet }}\n\
             spec: {{ interval: {seconds}s, source: {{ file: {{ path: x }} }} }}\n"
        );
        system.apply(&yaml).await.unwrap();
        let head = system.head(&RecordName::discovery("default", "fleet")).await.unwrap();
        assert_eq!(head.interval.as_secs(), seconds);
    }
}

#[tokio::test]
async fn a_cluster_object_waits_for_the_discovery_that_finds_its_cluster() {
    let system = System::start().await.unwrap();
    system.add_cluster("c", Kind::Zookeeper, 1).unwrap();
    let yaml = "apiVersion: replicante.io/v0\nkind: Cluster\nmetadata: { name: c }\n\
                spec: { interval: 30m, enabled: false }\n";
    system.apply(yaml).await.unwrap();
    let record = RecordName::cluster("default", "c");
    assert!(system.head(&record).await.is_err());
    system.apply_discovery("").await.unwrap();
    system.discover().await;
    let head = system.head(&record).await.unwrap();
    assert_eq!((head.interval.as_secs(), head.enabled), (1800, false));
}

/// Applies the discovery `fleet` of a file with these records, and runs it.
pub async fn discover_file(system: &System, namespace: &str, records: serde_json::Value) {
    let file = tempfile::NamedTempFile::with_suffix(".json").unwrap();
    std::fs::write(file.path(), serde_json::json!({ "clusters": records }).to_string()).unwrap();
    let yaml = format!(
        "apiVersion: replicante.io/v0\nkind: Discovery\nmetadata: {{ namespace: {namespace}, name: fleet }}\n\
         spec:\n  interval: 5s\n  source: {{ file: {{ path: \"{}\" }} }}\n",
        file.path().display()
    );
    system.apply(&yaml).await.unwrap();
    let task = Task::manual(RecordName::discovery(namespace, "fleet"), "test");
    assert!(system.run_discovery(task).await.batch_item_failures.is_empty());
}

#[tokio::test]
async fn one_id_in_two_namespaces_is_two_clusters() {
    let system = System::start().await.unwrap();
    for (namespace, port) in [("default", 1), ("other", 2)] {
        let address = format!("http://127.0.0.1:{port}");
        discover_file(&system, namespace, serde_json::json!([{ "cluster_id": "c", "nodes": [address] }]))
            .await;
    }
    for (namespace, port) in [("default", 1), ("other", 2)] {
        let record = RecordName::cluster(namespace, "c");
        system.run_refresh(Task::manual(record.clone(), "test")).await;
        let view = system.state_of(&record).await.unwrap().view.unwrap();
        assert_eq!(view.nodes.keys().collect::<Vec<_>>(), [&format!("http://127.0.0.1:{port}")]);
    }
    let checked = system.check().await.unwrap();
    assert_eq!(
        checked.told("cluster/default/c"),
        checked.told("cluster/other/c").iter().map(|told| told.replace(":2", ":1")).collect::<Vec<_>>()
    );
    assert!(checked.told("discovery/other/fleet").is_empty(), "no conflict");
}

#[tokio::test]
async fn a_record_without_an_id_is_reported_once_wherever_it_stands() {
    let system = System::start().await.unwrap();
    let (good, bad) =
        (serde_json::json!({ "cluster_id": "c", "nodes": [] }), serde_json::json!({ "nodes": [] }));
    for records in [[&bad, &good], [&good, &bad]] {
        discover_file(&system, "default", serde_json::json!(records)).await;
    }
    let told = system.check().await.unwrap().told("discovery/default/fleet");
    assert_eq!(told, ["discovery.record_rejected"]);
}
