//! First sight of something large is a series of commits, each within the limits.

use replicante_fleet::{Change, Kind};
use replicante_model::refresh::MAX_EVENTS;
use replicante_tests::System;

#[tokio::test(flavor = "multi_thread")]
async fn a_first_sight_of_thousands_of_shards_is_a_series_of_commits_that_each_fold() {
    let system = System::start_embedded(None).await.unwrap();
    let shards = Some(7_000);
    let change = Change::AddCluster { cluster: "big".into(), kind: Kind::Kafka, nodes: 2, shards };
    system.fleet.apply(change).unwrap();
    system.apply_discovery("").await.unwrap();
    system.discover().await;
    let mut commits = 0;
    loop {
        system.reports();
        assert!(system.refresh("big").await.batch_item_failures.is_empty());
        let report = &system.reports()[0];
        assert!(report.events <= MAX_EVENTS as u64);
        system.check().await.unwrap();
        commits += 1;
        let head = system.head(&replicante_model::RecordName::cluster("default", "big")).await.unwrap();
        if !report.more {
            break;
        }
        assert!(head.due <= replicante_model::Timestamp::now(), "due again at once");
    }
    assert!(commits >= 3, "{commits} commits");
    let view = system.view("big").await.unwrap();
    let stored: usize = view.nodes.values().map(|node| node.shards.len()).sum();
    assert_eq!(stored, 14_000);
    system.reports();
    system.refresh("big").await;
    assert_eq!(system.reports()[0].events, 0);
}
