//! Sources that misbehave, records that are bad, and discoveries that contradict each other.

use replicante_fleet::{Change, DiscoveryFault, Kind};
use replicante_model::RecordName;
use replicante_model::summary::Summary;
use replicante_tests::System;

async fn system() -> System {
    let system = System::start().await.unwrap();
    for n in 0..3 {
        system.add_cluster(&format!("zk-{n}"), Kind::Zookeeper, 1).unwrap();
    }
    let limits = "      limits: { pages: 5, bytes: 1MiB }\n".trim_start();
    system.apply_discovery("").await.unwrap();
    let yaml = format!(
        "apiVersion: replicante.io/v0\nkind: Discovery\nmetadata: {{ name: fleet }}\nspec:\n  interval: 5s\n  \
         refresh: {{ interval: 5s }}\n  source:\n    http:\n      url: \"{}\"\n      timeout: 1s\n      {limits}",
        system.fleet.discovery_url()
    );
    system.apply(&yaml).await.unwrap();
    system.discover().await;
    system
}

fn told(checked: &replicante_tests::Checked) -> Vec<String> {
    checked.told("discovery/default/fleet")
}

async fn reason(system: &System) -> Option<String> {
    let head = system.head(&RecordName::discovery("default", "fleet")).await.unwrap();
    Summary::parse(head.summary.as_deref()).reason
}

#[tokio::test]
async fn whatever_a_source_answers_the_last_good_answer_stands() {
    let system = system().await;
    let good = system.discovery_state().await.unwrap().clusters;
    assert_eq!(good.len(), 3);
    let faults = [
        (DiscoveryFault::Close, "closed"),
        (DiscoveryFault::Down, "500"),
        (DiscoveryFault::Html, "content type"),
        (DiscoveryFault::EmptyObject, "clusters"),
        (DiscoveryFault::EndlessCursor, "5 pages"),
        (DiscoveryFault::RepeatedCursor, "cursor"),
        (DiscoveryFault::Huge(40 * 1024 * 1024), "1 MiB"),
        (DiscoveryFault::Redirect, "307"),
        (DiscoveryFault::WrongContentType, "content type"),
        (DiscoveryFault::Hang, "timeout"),
    ];
    let mut runs = 0;
    for (fault, expected) in faults {
        system.fleet.apply(Change::discovery(Some(fault.clone()))).unwrap();
        for _ in 0..2 {
            assert!(system.discover().await.batch_item_failures.is_empty(), "the run itself is over");
        }
        let reason = reason(&system).await.unwrap_or_default();
        assert!(reason.to_lowercase().contains(&expected.to_lowercase()), "{fault:?}: {reason}");
        println!("{fault:?}: {reason}");
        assert_eq!(system.discovery_state().await.unwrap().clusters, good, "{fault:?}");
        system.fleet.apply(Change::discovery(None)).unwrap();
        system.discover().await;
        runs += 1;
        let told = told(&system.check().await.unwrap());
        assert_eq!(told.len(), 2 * runs, "one failed and one recovered for each row: {told:?}");
        assert_eq!(told[told.len() - 2..], ["discovery.failed", "discovery.recovered"]);
    }
}

#[tokio::test]
async fn one_bad_record_is_set_aside_and_reported_and_the_others_count() {
    let system = system().await;
    system.fleet.apply(Change::discovery(Some(DiscoveryFault::BadRecord))).unwrap();
    system.add_cluster("zk-9", Kind::Zookeeper, 1).unwrap();
    system.discover().await;
    system.discover().await;
    let state = system.discovery_state().await.unwrap();
    assert_eq!(state.clusters.len(), 4);
    assert_eq!(state.rejected.len(), 1);
    system.fleet.apply(Change::discovery(None)).unwrap();
    system.discover().await;
    let expected = ["discovery.record_rejected", "discovery.record_accepted"];
    assert_eq!(told(&system.check().await.unwrap()), expected);
}

#[tokio::test]
async fn a_source_that_forgets_everything_removes_nothing() {
    let system = system().await;
    for n in 0..3 {
        system.refresh(&format!("zk-{n}")).await;
    }
    system.fleet.apply(Change::discovery(Some(DiscoveryFault::Forgets))).unwrap();
    for _ in 0..3 {
        system.discover().await;
    }
    let state = system.discovery_state().await.unwrap();
    assert_eq!((state.clusters.len(), state.absences.held.map(|held| held.dropped)), (3, Some(3)));
    assert!(state.absences.absent.values().all(|absence| absence.answers == 3 && !absence.missing));
    let item = system.table.discovery_item(&RecordName::cluster("default", "zk-0")).await.unwrap().unwrap();
    assert_eq!((item.missing_since, item.record.nodes.len()), (None, 1), "held: it is polled on");
}

#[tokio::test]
async fn the_first_discovery_owns_a_cluster_and_the_second_is_reported() {
    let system = system().await;
    let file = tempfile::NamedTempFile::with_suffix(".json").unwrap();
    let write = |ids: &[&str]| {
        let clusters: Vec<_> = ids
            .iter()
            .map(|id| serde_json::json!({ "cluster_id": id, "nodes": ["http://127.0.0.1:9"] }))
            .collect();
        std::fs::write(file.path(), serde_json::json!({ "clusters": clusters }).to_string()).unwrap();
    };
    write(&["zk-1", "other"]);
    let yaml = format!(
        "apiVersion: replicante.io/v0\nkind: Discovery\nmetadata: {{ name: second }}\nspec:\n  interval: 5s\n  \
         refresh: {{ interval: 5s }}\n  source:\n    file: {{ path: \"{}\" }}\n",
        file.path().display()
    );
    system.apply(&yaml).await.unwrap();
    let second = RecordName::discovery("default", "second");
    let run = async || {
        let task = replicante_protocol::task::Task::manual(second.clone(), "test");
        assert!(system.run_discovery(task).await.batch_item_failures.is_empty());
        system.check().await.unwrap().told("discovery/default/second")
    };
    assert_eq!(run().await, ["discovery.conflict"], "found when its item was refused");
    let claims = system.head(&second).await.unwrap().fence;
    assert_eq!(claims, 3, "one commits the item, one that it is contested, one finds nothing left to do");
    assert_eq!(run().await.len(), 1, "told once");
    let item = system.table.discovery_item(&RecordName::cluster("default", "zk-1")).await.unwrap().unwrap();
    assert_eq!(item.discovery, "fleet");
    assert!(!system.head(&second).await.unwrap().owed);
    write(&["other"]);
    assert_eq!(run().await, ["discovery.conflict", "discovery.conflict_resolved"]);
}

/// `count` nodes, each with an id made by `id` from its number and from one that looks random.
fn many_nodes(count: u64, id: impl Fn(u64, u64) -> String) -> Vec<serde_json::Value> {
    let mix =
        |n: u64| n.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let node = |n: u64| {
        let address = format!("http://10.{}.{}.{}:8000", mix(n) % 256, (mix(n) >> 8) % 256, n % 256);
        serde_json::json!({ "node_id": id(n, mix(n)), "agent_address": address })
    };
    (0..count).map(node).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_nodes_are_stored_and_a_record_that_is_too_large_is_set_aside() {
    let system = System::start().await.unwrap();
    let usual = many_nodes(10_000, |n, mixed| {
        format!("ip-10-{:03}-{:03}-{n:05}.eu-north-1.computing", mixed % 256, (mixed >> 8) % 256)
    });
    assert_eq!(usual[0]["node_id"].as_str().unwrap().len(), 40);
    let instances =
        many_nodes(10_000, |n, mixed| format!("i-{:017x}", u128::from(mixed) << 4 | u128::from(n % 16)));
    let urls: Vec<_> = usual.iter().map(|node| node["agent_address"].clone()).collect();
    let long = many_nodes(10_000, |n, mixed| {
        (1..8).fold(n.to_string(), |id, k| {
            format!("{id}-{:x}", mixed.rotate_left(k * 9).wrapping_mul(mixed | 1))
        })
    });
    let file = tempfile::NamedTempFile::with_suffix(".json").unwrap();
    let cluster =
        |(id, nodes): (&str, serde_json::Value)| serde_json::json!({ "cluster_id": id, "nodes": nodes });
    let clusters = [
        ("long", long.into()),
        ("usual", usual.into()),
        ("instances", instances.into()),
        ("urls", urls.into()),
        ("small", serde_json::json!(["http://a"])),
    ];
    let answer = serde_json::json!({ "clusters": clusters.map(cluster) }).to_string();
    std::fs::write(file.path(), answer).unwrap();
    let yaml = format!(
        "apiVersion: replicante.io/v0\nkind: Discovery\nmetadata: {{ name: fleet }}\nspec:\n  interval: 5s\n  \
         refresh: {{ interval: 5s }}\n  source:\n    file: {{ path: \"{}\" }}\n",
        file.path().display()
    );
    system.apply(&yaml).await.unwrap();
    for _ in 0..2 {
        assert!(system.discover().await.batch_item_failures.is_empty());
    }
    let item =
        async |id: &str| system.table.discovery_item(&RecordName::cluster("default", id)).await.unwrap();
    for (id, nodes) in [("usual", 10_000), ("instances", 10_000), ("small", 1)] {
        assert_eq!(item(id).await.unwrap().record.nodes.len(), nodes, "{id}");
    }
    assert!(item("urls").await.unwrap().record.nodes.len() > 9_000, "some of the addresses are the same");
    assert!(item("long").await.is_none());
    let state = system.discovery_state().await.unwrap();
    let reason = "its record is larger than the 350 KiB that are stored: expected fewer nodes, or shorter ids and addresses";
    assert_eq!(state.rejected, [("long".to_owned(), reason.to_owned())].into());
    assert_eq!(told(&system.check().await.unwrap()), ["discovery.record_rejected"]);
}

#[tokio::test]
async fn a_cluster_object_overrides_what_the_discovery_says() {
    let system = system().await;
    let record = RecordName::cluster("default", "zk-1");
    let apply = async |spec: &str| {
        let yaml = format!(
            "apiVersion: replicante.io/v0\nkind: Cluster\nmetadata: {{ name: zk-1 }}\nspec: {spec}\n"
        );
        system.apply(&yaml).await.unwrap();
        let head = system.head(&record).await.unwrap();
        (head.interval.as_secs(), head.enabled)
    };
    assert_eq!(apply("{ interval: 30m }").await, (1800, true));
    // Both are asked for again.
    for cluster in ["zk-1", "zk-2"] {
        system.fleet.apply(Change::AddNode { cluster: cluster.into() }).unwrap();
    }
    system.discover().await;
    assert_eq!(system.head(&record).await.unwrap().interval.as_secs(), 1800, "the discovery keeps to it");
    let other = system.head(&RecordName::cluster("default", "zk-2")).await.unwrap();
    assert_eq!(other.interval.as_secs(), 5, "of this cluster alone");
    assert_eq!(apply("{ enabled: false }").await, (5, false));
}
