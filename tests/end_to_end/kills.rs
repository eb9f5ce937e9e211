//! A worker that is killed at any point loses nothing, repeats nothing and invents nothing.
//!
//! A kill is a future dropped after a number of polls: what it had sent may still land. So the workers run in this
//! process, whatever the environment says; tests/bootstraps kills real ones.

use replicante_fleet::{Change, Kind, StoreState};
use replicante_model::RecordName;
use replicante_tests::System;

#[tokio::test]
async fn a_refresh_killed_at_any_point_is_recovered_by_the_next_claim() {
    let system = System::start_in_process().await.unwrap();
    system.add_cluster("zk", Kind::Zookeeper, 3).unwrap();
    system.apply_discovery("").await.unwrap();
    system.discover().await;
    let record = RecordName::cluster("default", "zk");
    let (mut polls, mut ended_in_a_row, mut killed_owing) = (1, 0, 0);
    // The number of polls of a whole refresh varies; some ends in a row mean that there is no later point.
    while ended_in_a_row < 5 {
        let state = if polls % 2 == 0 { StoreState::Up } else { StoreState::Down };
        system.fleet.apply(Change::store("zk", "node-2", state)).unwrap();
        let ended = System::killed_after(polls, system.refresh("zk")).await;
        ended_in_a_row = if ended { ended_in_a_row + 1 } else { 0 };
        killed_owing += usize::from(system.head(&record).await.unwrap().owed);
        system.expire_lease(&record).await.unwrap();
        assert!(system.refresh("zk").await.batch_item_failures.is_empty(), "killed after {polls} polls");
        let head = system.head(&record).await.unwrap();
        assert!(!head.owed && head.published == head.sequence, "killed after {polls} polls: {head:?}");
        polls += 1;
    }
    let checked = system.check().await.unwrap();
    let downs = checked.told("cluster/default/zk").iter().filter(|told| *told == "node.down node-2").count();
    assert_eq!(downs, polls / 2, "one for each time it went down");
    assert!(polls > 15, "only {polls} points");
    assert!(killed_owing > 0, "no kill fell between commit and delivery");
}

#[tokio::test]
async fn a_discovery_killed_at_any_point_delivers_every_item() {
    let system = System::start_in_process().await.unwrap();
    system.apply_discovery("").await.unwrap();
    let record = RecordName::discovery("default", "fleet");
    let (mut polls, mut ended_in_a_row, mut killed_owing) = (1, 0, 0);
    while ended_in_a_row < 5 {
        system.add_cluster(&format!("zk-{polls}"), Kind::Zookeeper, 1).unwrap();
        let ended = System::killed_after(polls, system.discover()).await;
        ended_in_a_row = if ended { ended_in_a_row + 1 } else { 0 };
        killed_owing += usize::from(system.head(&record).await.unwrap().owed);
        system.expire_lease(&record).await.unwrap();
        assert!(system.discover().await.batch_item_failures.is_empty());
        let cluster = RecordName::cluster("default", format!("zk-{polls}"));
        assert!(system.table.discovery_item(&cluster).await.unwrap().is_some(), "killed after {polls} polls");
        assert!(system.table.head(&cluster).await.unwrap().is_some(), "killed after {polls} polls");
        polls += 1;
    }
    assert!(!system.head(&record).await.unwrap().owed);
    assert!(polls > 12, "only {polls} points");
    assert!(killed_owing > 0, "no kill fell between commit and delivery");
    system.check().await.unwrap();
}
