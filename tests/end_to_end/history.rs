//! A scripted history of a fleet gives exactly the expected events, in order.

use replicante_fleet::{Change, Kind, StoreState};
use replicante_tests::System;

#[tokio::test]
async fn a_scripted_history_gives_exactly_the_expected_events_in_order() {
    let system = System::start().await.unwrap();
    system.add_cluster("zk", Kind::Zookeeper, 3).unwrap();
    system.apply_discovery("").await.unwrap();
    assert!(system.discover().await.batch_item_failures.is_empty());
    assert!(system.refresh("zk").await.batch_item_failures.is_empty());
    println!("{:#?}", system.reports());
    system.fleet.apply(Change::store("zk", "node-1", StoreState::Down)).unwrap();
    system.refresh("zk").await;
    let checked = system.check().await.unwrap();
    println!("{:#?}", checked.told("cluster/default/zk"));
}
