//! First sight of something large is a series of commits, each within the limits.

use std::time::Duration;

use replicante_fleet::{Change, Kind};
use replicante_model::refresh::MAX_EVENTS;
use replicante_model::{RecordName, Timestamp};
use replicante_tests::System;

#[tokio::test(flavor = "multi_thread")]
async fn a_first_sight_of_thousands_of_shards_is_a_series_of_commits_that_each_fold() {
    let system = System::start_embedded(None).await.unwrap();
    let shards = Some(7_000);
    let change = Change::AddCluster { cluster: "big".into(), kind: Kind::Kafka, nodes: 2, shards };
    system.fleet.apply(change).unwrap();
    system.apply_discovery("").await.unwrap();
    system.discover().await;
    system.reports();
    assert!(system.refresh("big").await.batch_item_failures.is_empty());
    let reports = system.reports();
    assert!(reports.len() >= 3, "{} commits", reports.len());
    assert!(reports.iter().all(|report| report.events <= MAX_EVENTS as u64));
    let more: Vec<bool> = reports.iter().map(|report| report.more).collect();
    assert!(more.split_last().is_some_and(|(last, before)| !last && before.iter().all(|more| *more)));
    system.check().await.unwrap();
    let view = system.view("big").await.unwrap();
    let stored: usize = view.nodes.values().map(|node| node.shards.len()).sum();
    assert_eq!(stored, 14_000);
    system.reports();
    system.refresh("big").await;
    assert_eq!(system.reports()[0].events, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_invocation_has_no_time_for_is_due_at_once() {
    let mut system = System::start().await.unwrap();
    let change =
        Change::AddCluster { cluster: "big".into(), kind: Kind::Kafka, nodes: 1, shards: Some(6_000) };
    system.fleet.apply(change).unwrap();
    system.apply_discovery("").await.unwrap();
    system.discover().await;
    system.reports();
    system
        .fleet
        .apply(Change::Latency { cluster: "big".into(), node: "node-1".into(), millis: 1_350 })
        .unwrap();
    // The agent takes 5.4 s for four requests, and the margin is 2 s: time for one claim, and none for another.
    system.time_left = Duration::from_secs(10);
    assert!(system.refresh("big").await.batch_item_failures.is_empty());
    let reports = system.reports();
    assert!(reports.len() == 1 && reports[0].more, "{reports:?}");
    let head = system.head(&RecordName::cluster("default", "big")).await.unwrap();
    assert!(head.due <= Timestamp::now() && !head.owed && head.sequence == MAX_EVENTS as u64);
    system.check().await.unwrap();
}
