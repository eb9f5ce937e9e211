//! Maintenance windows: the worker tells them, and what it sees within one carries it.

use std::time::Duration;

use replicante_fleet::{Change, Kind, StoreState};
use replicante_model::maintenance::Maintenance;
use replicante_model::{RecordName, Timestamp};
use replicante_tests::System;

#[tokio::test]
async fn a_window_is_told_and_what_is_seen_within_it_carries_it_and_only_then_costs_a_read_unit() {
    let mut system = System::start_embedded(None).await.unwrap();
    system.run_in_process();
    system.add_cluster("c", Kind::Zookeeper, 3).unwrap();
    system.apply_discovery("").await.unwrap();
    system.discover().await;
    let record = RecordName::cluster("default", "c");
    let table = system.table.clone();
    let now = Timestamp::now();
    let window = |until| Maintenance { since: now, until, reason: Some("racks".into()), actor: "ann".into() };
    let until = now.plus(Duration::from_secs(3600));
    assert!(!table.begin_maintenance(&RecordName::cluster("default", "d"), &window(until)).await.unwrap());
    assert!(!table.end_maintenance(&record).await.unwrap(), "there is none");
    system.refresh("c").await;
    system.reports();
    system.refresh("c").await;
    let reads = system.reports()[0].cost.read_units;

    assert!(table.begin_maintenance(&record, &window(until)).await.unwrap());
    system.refresh("c").await;
    assert_eq!(system.reports()[0].cost.read_units, reads + 1.0);
    system.fleet.apply(Change::store("c", "node-2", StoreState::Down)).unwrap();
    system.refresh("c").await;
    assert_eq!(system.view("c").await.unwrap().maintenance, Some(window(until)));
    assert!(table.end_maintenance(&record).await.unwrap());
    system.fleet.apply(Change::store("c", "node-2", StoreState::Up)).unwrap();
    system.refresh("c").await;

    // One whose time is over is none, whoever forgot it.
    assert!(table.begin_maintenance(&record, &window(Timestamp::now())).await.unwrap());
    system.refresh("c").await;
    assert_eq!(system.view("c").await.unwrap().maintenance, None);

    let history = system.check().await.unwrap();
    let told = history.told(&record.key());
    let begin = told.iter().position(|told| told == "cluster.maintenance_began").unwrap();
    let expected = [
        "cluster.maintenance_began",
        "node.down node-2",
        "cluster.health_changed",
        "cluster.maintenance_ended",
        "node.up node-2",
        "cluster.health_changed",
    ];
    assert_eq!(told[begin..], expected);
}
