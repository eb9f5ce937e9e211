//! Every source that is asked over HTTP, and `dns`, from its answer to the refreshed clusters; what it gets wrong; and
//! several of different kinds that name the same clusters. `cli/tests/binary/s3.rs` does it for objects of S3.

use std::collections::BTreeSet;

use replicante_fleet::{Change, DiscoveryFault, Fleet, FleetConfig, Kind, Layout, WorldConfig};
use replicante_model::RecordName;
use replicante_model::summary::Summary;
use replicante_model::view::NodeStatus;
use replicante_protocol::task::Task;
use replicante_tests::System;

use crate::name_server::{NameServer, Reply};

/// A fleet with a port for each agent, since a target of Prometheus has no path: a cluster of each protocol.
async fn fleet() -> Fleet {
    let world = WorldConfig { clusters: 0, ..WorldConfig::default() };
    let config = FleetConfig { world, layout: Layout::PortEach, ..FleetConfig::default() };
    let fleet = Fleet::start(config).await.unwrap();
    for (cluster, kind) in [("zk", Kind::Zookeeper), ("mongo", Kind::Mongodb)] {
        fleet.apply(Change::AddCluster { cluster: cluster.into(), kind, nodes: 3, shards: None }).unwrap();
    }
    fleet
}

/// The name of each source, and its settings for a fleet.
fn sources(fleet: &Fleet) -> [(&'static str, String); 3] {
    let base = fleet.base_url();
    let common = "timeout: 2s, limits: { bytes: 1MiB }";
    [
        ("http", format!("{{ url: \"{base}/clusters\", {common} }}")),
        ("platform", format!("{{ url: \"{base}/\", {common} }}")),
        (
            "prometheus",
            format!(
                "{{ url: \"{base}/targets\", cluster_label: cluster, display_name_label: title, {common} }}"
            ),
        ),
    ]
}

async fn apply(system: &System, name: &str, kind: &str, settings: &str) {
    let yaml = format!(
        "apiVersion: replicante.io/v0\nkind: Discovery\nmetadata: {{ name: {name} }}\nspec:\n  interval: 5s\n  \
         refresh: {{ interval: 5s }}\n  source: {{ {kind}: {settings} }}\n"
    );
    system.apply(&yaml).await.unwrap();
}

#[tokio::test]
async fn what_each_source_names_is_discovered_and_refreshed() {
    let fleet = fleet().await;
    for (kind, settings) in sources(&fleet) {
        let system = System::start().await.unwrap();
        apply(&system, "fleet", kind, &settings).await;
        assert!(system.discover().await.batch_item_failures.is_empty());
        let found: Vec<String> = system.discovery_state().await.unwrap().clusters.into_keys().collect();
        assert_eq!(found, ["mongo", "zk"], "{kind}");
        for cluster in ["mongo", "zk"] {
            system.refresh(cluster).await;
            let view = system.view(cluster).await.unwrap();
            assert!(view.nodes.values().all(|node| node.status == NodeStatus::Up), "{kind}: {view:?}");
            let by_address = (1..=3).map(|n| fleet.agent_url(cluster, &format!("node-{n}")).unwrap());
            let by_name = (1..=3).map(|n| format!("node-{n}"));
            let expected: BTreeSet<String> =
                if kind == "prometheus" { by_address.collect() } else { by_name.collect() };
            assert_eq!(view.nodes.keys().cloned().collect::<BTreeSet<_>>(), expected, "{kind}");
            let labels: BTreeSet<&String> = view.nodes.values().flat_map(|node| node.labels.keys()).collect();
            assert_eq!(labels.into_iter().eq(["node_class"]), kind == "platform", "{kind}");
        }
        system.check().await.unwrap();
    }
}

#[tokio::test]
async fn whatever_each_source_answers_the_last_good_answer_stands() {
    let faults = [
        (DiscoveryFault::Down, "status 500"),
        (DiscoveryFault::Html, "content type text/html"),
        (DiscoveryFault::EmptyObject, "the answer "),
        (DiscoveryFault::Huge(2 << 20), "answer larger than 1 MiB"),
        (DiscoveryFault::Redirect, "status 307"),
        (DiscoveryFault::WrongContentType, "content type text/plain"),
        (DiscoveryFault::Close, "connection closed"),
    ];
    let fleet = fleet().await;
    for (kind, settings) in sources(&fleet) {
        let system = System::start().await.unwrap();
        apply(&system, "fleet", kind, &settings).await;
        system.discover().await;
        let good = system.discovery_state().await.unwrap().clusters;
        assert_eq!(good.len(), 2);
        for (fault, expected) in &faults {
            fleet.apply(Change::discovery(Some(fault.clone()))).unwrap();
            system.discover().await;
            let head = system.head(&RecordName::discovery("default", "fleet")).await.unwrap();
            let reason = Summary::parse(head.summary.as_deref()).reason.unwrap_or_default();
            assert!(reason.starts_with(expected), "{kind}, {fault:?}: {reason}");
            assert_eq!(system.discovery_state().await.unwrap().clusters, good, "{kind}, {fault:?}");
        }
        fleet.apply(Change::discovery(Some(DiscoveryFault::BadRecord))).unwrap();
        system.discover().await;
        let state = system.discovery_state().await.unwrap();
        assert_eq!((state.rejected.len(), state.clusters), (1, good), "{kind}: one bad record is set aside");
        fleet.apply(Change::discovery(None)).unwrap();
        system.discover().await;
        let expected = [
            "discovery.failed",
            "discovery.recovered",
            "discovery.record_rejected",
            "discovery.record_accepted",
        ];
        let mut told = system.check().await.unwrap().told("discovery/default/fleet");
        told.dedup();
        assert!(told.starts_with(&["discovery.failed".to_owned()]), "{kind}: {told:?}");
        assert!(expected.iter().all(|word| told.iter().any(|told| told == word)), "{kind}: {told:?}");
    }
}

#[tokio::test]
async fn what_dns_names_is_discovered_and_refreshed_and_its_last_good_answer_stands() {
    let (system, fleet) = (System::start().await.unwrap(), fleet().await);
    let url = |cluster: &str, n: usize| fleet.agent_url(cluster, &format!("node-{n}")).unwrap();
    let targets = |cluster: &str, nodes: usize| {
        let urls = (1..=nodes).map(|n| url(cluster, n));
        let port = |url: String| ("127.0.0.1".to_owned(), url.rsplit_once(':').unwrap().1.parse().unwrap());
        Reply::Targets(urls.map(port).collect())
    };
    let server = NameServer::start(&[("_agent._tcp.zk.test", targets("zk", 3))]);
    server.set("_agent._tcp.mongo.test", targets("mongo", 3));
    let clusters = "{ zk: _agent._tcp.zk.test, mongo: _agent._tcp.mongo.test }";
    let settings = format!("{{ clusters: {clusters}, server: \"{}\", timeout: 2s }}", server.address);
    apply(&system, "fleet", "dns", &settings).await;
    let run = async || {
        assert!(system.discover().await.batch_item_failures.is_empty());
        let head = system.head(&RecordName::discovery("default", "fleet")).await.unwrap();
        Summary::parse(head.summary.as_deref()).reason.unwrap_or_default()
    };
    let nodes = async |cluster: &str| {
        let cluster = RecordName::cluster("default", cluster);
        let item = system.table.discovery_item(&cluster).await.unwrap().unwrap();
        item.record.nodes.into_keys().collect::<BTreeSet<_>>()
    };
    assert_eq!(run().await, "");
    for cluster in ["mongo", "zk"] {
        let expected: BTreeSet<String> = (1..=3).map(|n| url(cluster, n)).collect();
        assert_eq!(nodes(cluster).await, expected);
        system.refresh(cluster).await;
        let view = system.view(cluster).await.unwrap();
        assert!(view.nodes.values().all(|node| node.status == NodeStatus::Up), "{view:?}");
        assert_eq!(view.nodes.keys().cloned().collect::<BTreeSet<_>>(), expected);
    }
    // A record that is gone is a node that the answer has no more.
    server.set("_agent._tcp.zk.test", targets("zk", 2));
    assert_eq!((run().await, nodes("zk").await.len()), (String::new(), 2));
    // A name that can't be looked up keeps what is known of every name, also of those whose lookup went well.
    server.set("_agent._tcp.mongo.test", targets("mongo", 2));
    for (reply, expected) in [
        (Reply::Error(3), "no such name (cluster `zk`)"),
        (Reply::Error(2), "the name server answered SERVFAIL (cluster `zk`)"),
        (Reply::targets(&[]), "the name has no SRV records (cluster `zk`)"),
        (Reply::Bytes(vec![0, 2, b'?', b'!']), "answer is not DNS"),
        (Reply::Silence, "timeout after 2 s"),
    ] {
        server.set("_agent._tcp.zk.test", reply);
        assert_eq!(run().await, expected);
        assert_eq!((nodes("zk").await.len(), nodes("mongo").await.len()), (2, 3), "{expected}");
    }
    server.set("_agent._tcp.zk.test", targets("zk", 3));
    assert_eq!((run().await, nodes("zk").await.len()), (String::new(), 3));
    let mut told = system.check().await.unwrap().told("discovery/default/fleet");
    told.retain(|told| told != "discovery.failed");
    assert_eq!(told, ["discovery.recovered"]);
}

#[tokio::test]
async fn of_sources_of_different_kinds_the_first_owns_a_cluster_and_each_other_is_reported() {
    let (system, fleet) = (System::start().await.unwrap(), fleet().await);
    let file = tempfile::NamedTempFile::with_suffix(".yaml").unwrap();
    std::fs::write(file.path(), "clusters:\n  - { cluster_id: zk, nodes: ['http://127.0.0.1:9'] }\n")
        .unwrap();
    let path = format!("{{ path: \"{}\" }}", file.path().display());
    let mut all: Vec<(&str, String)> = sources(&fleet).into();
    all.push(("file", path));
    all.rotate_left(1);
    let run = async |name: &str| {
        let record = RecordName::discovery("default", name);
        let answer = system.run_discovery(Task::manual(record, "test")).await;
        assert!(answer.batch_item_failures.is_empty());
    };
    for (kind, settings) in &all {
        apply(&system, kind, kind, settings).await;
        run(kind).await;
    }
    let checked = system.check().await.unwrap();
    for (kind, conflicts) in [("platform", 0), ("prometheus", 2), ("file", 1), ("http", 2)] {
        let told = checked.told(&format!("discovery/default/{kind}"));
        assert_eq!(told, vec!["discovery.conflict"; conflicts], "{kind}");
    }
    let item = async || {
        let item = system.table.discovery_item(&RecordName::cluster("default", "zk")).await.unwrap().unwrap();
        (item.discovery, item.record.nodes.keys().next().unwrap().clone())
    };
    let first = ("platform".to_owned(), "node-1".to_owned());
    assert_eq!(item().await, first);
    // None of the others takes over while the first fails, or no longer names it.
    fleet.apply(Change::discovery(Some(DiscoveryFault::Forgets))).unwrap();
    for (kind, _) in &all {
        run(kind).await;
    }
    assert_eq!(item().await, first);
    system.check().await.unwrap();
}
