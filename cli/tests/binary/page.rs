//! The page of a cluster, of a running deployment.

use std::time::Duration;

use replicante_aws::Table;
use replicante_model::change::{Change, SnapshotPart};
use replicante_model::view::Health;
use replicante_model::{RecordName, Timestamp};
use replicante_protocol::head::Head;
use serde_json::Value;

use crate::history::Rig;
use crate::removal::Deployment;

#[test]
fn the_page_of_a_cluster_ends_with_its_last_events_and_its_tasks_are_in_the_log() {
    let deployment = Deployment::start(&["a", "b"]);
    deployment.wait_for(&["a", "b"]);
    let (code, out, errors) = deployment.run(&["get", "cluster", "a"]);
    assert_eq!(code, Some(0), "{errors}");
    let events: Vec<&str> = out.lines().skip_while(|line| !line.starts_with("WHEN ")).skip(1).collect();
    assert!(events.len() == 4 && out.contains("agent.down"), "{out}");
    let (_, told, _) = deployment.run(&["events", "--cluster", "a", "-o", "json"]);
    let types: Vec<String> = told
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["type"].as_str().unwrap().to_owned())
        .collect();
    for (line, name) in events.iter().zip(&types) {
        assert!(line.contains(name.strip_prefix("io.replicante.").unwrap()), "{line}: {types:?}");
    }
    let (_, out, _) = deployment.run(&["get", "cluster", "a", "--events", "1"]);
    assert_eq!(out.lines().skip_while(|line| !line.starts_with("WHEN ")).count(), 2, "{out}");
    let (_, out, _) = deployment.run(&["get", "cluster", "a", "--events", "0"]);
    assert!(!out.contains("WHEN "), "{out}");
    let (code, out, errors) = deployment.run(&["runs", "a", "--limit", "10000"]);
    assert!(code == Some(0) && out.starts_with("WHEN ") && out.contains("changed "), "{out}{errors}");
    let (_, out, _) = deployment.run(&["runs", "--discovery", "fleet", "-o", "json", "--limit", "1"]);
    let runs: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(runs.as_array().map(Vec::len), Some(1), "{out}");
    assert_eq!(runs[0]["record"], "discovery/default/fleet");
    let (code, _, errors) = deployment.run(&["runs", "a", "--failed"]);
    assert!(code == Some(0) && errors.contains("no task of cluster/default/a failed"), "{errors}");
    let (code, _, errors) = deployment.run(&["runs", "c"]);
    assert!(code == Some(1) && errors.contains("there is no cluster `c`"), "{errors}");
    let (_, out, _) = deployment.run(&["get", "cluster", "a", "-o", "json"]);
    assert!(serde_json::from_str::<Value>(&out).is_ok(), "{out}");
}

#[test]
fn the_last_events_are_those_of_the_cluster_of_the_last_hour_without_snapshots() {
    let mut rig = Rig::start();
    let table = Table::new(&rig.local.clients, &rig.local.settings.table);
    let at = |minutes: u64| Timestamp::now().minus(Duration::from_secs(60 * minutes));
    let health = |after| Change::ClusterHealthChanged { before: None, after: Some(after) };
    let clusters: Vec<String> = (0..8).map(|number| format!("c-{number}")).collect();
    for id in &clusters {
        let mut head = Head::new(RecordName::cluster("default", id), Duration::from_secs(60), true, at(0));
        head.sequence = 3;
        assert!(rig.runtime.block_on(table.create_head(&head)).unwrap());
        rig.publish(id, at(90), &[health(Health::Healthy)]);
        rig.publish(id, at(30), &[health(Health::Down)]);
        let snapshot = SnapshotPart { part: 1, parts: 1, ..SnapshotPart::default() };
        rig.publish(id, at(20), &[Change::ClusterSnapshot(Box::new(snapshot))]);
    }
    // Two shards hold the events of eight clusters.
    for id in &clusters {
        let (code, out, errors) = rig.run(&["get", "cluster", id]);
        assert_eq!(code, Some(0), "{errors}");
        let events: Vec<&str> = out.lines().skip_while(|line| !line.starts_with("WHEN ")).skip(1).collect();
        assert!(matches!(events.as_slice(), [one] if one.contains("m ago  cluster.health_changed")), "{out}");
    }
}
