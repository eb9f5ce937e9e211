//! State and history survive the process.

use replicante_fleet::{Change, Kind, StoreState};
use replicante_local::{Local, LocalConfig, LocalError};
use replicante_tests::System;

#[tokio::test]
async fn state_and_history_survive_a_restart_and_go_on_from_there() {
    let folder = tempfile::tempdir().unwrap();
    let system = System::start_embedded(Some(folder.path())).await.unwrap();
    system.add_cluster("zk", Kind::Zookeeper, 3).unwrap();
    system.apply_discovery("").await.unwrap();
    system.discover().await;
    system.refresh("zk").await;
    let (before, history) = (system.state("zk").await.unwrap(), system.history().await.unwrap());
    drop(system);

    // As a kill would leave it: a last line without its end.
    let archive = folder.path().join("stream.events");
    let mut bytes = std::fs::read(&archive).unwrap();
    bytes.extend_from_slice(b"cluster/default/zk\t{\"half");
    std::fs::write(&archive, &bytes).unwrap();

    let system = System::start_embedded(Some(folder.path())).await.unwrap();
    assert_eq!(system.state("zk").await.unwrap(), before);
    let mut records = (history.records.clone(), system.history().await.unwrap().records);
    records.0.sort();
    records.1.sort();
    assert_eq!(records.0, records.1, "to the byte");

    // The old fleet is gone: every agent is down, and the history goes on without a gap.
    system.refresh("zk").await;
    let told = system.check().await.unwrap().told("cluster/default/zk");
    assert_eq!(told.iter().filter(|told| told.starts_with("agent.down")).count(), 3, "{told:?}");
    assert_eq!(told.last().map(String::as_str), Some("cluster.health_changed"));
}

#[tokio::test]
async fn a_data_folder_serves_one_process_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let config = LocalConfig { data: Some(folder.path().to_owned()), ..LocalConfig::default() };
    let first = Local::start(&config).await.unwrap();
    let second = Local::start(&config).await;
    assert!(matches!(second, Err(LocalError::Locked(_))));
    drop(first);
    Local::start(&config).await.unwrap();
}

#[tokio::test]
async fn history_older_than_the_retention_is_dropped_at_start() {
    let folder = tempfile::tempdir().unwrap();
    let system = System::start_embedded(Some(folder.path())).await.unwrap();
    system.add_cluster("zk", Kind::Zookeeper, 1).unwrap();
    system.apply_discovery("").await.unwrap();
    system.discover().await;
    system.refresh("zk").await;
    drop(system);
    let archive = folder.path().join("stream.events");
    let text = std::fs::read_to_string(&archive).unwrap();
    let lines = text.lines().count();
    let year = &text.split("\"time\":\"").nth(1).unwrap()[..4];
    let aged = text.replacen(&format!("\"time\":\"{year}"), "\"time\":\"2001", 2);
    std::fs::write(&archive, aged).unwrap();

    let config = LocalConfig { data: Some(folder.path().to_owned()), ..LocalConfig::default() };
    let local = Local::start(&config).await.unwrap();
    assert_eq!(local.replayed, lines - 2);
    assert_eq!(std::fs::read_to_string(&archive).unwrap().lines().count(), lines - 2);
}

#[tokio::test]
async fn what_was_queued_is_forgotten_with_the_queues() {
    let folder = tempfile::tempdir().unwrap();
    let system = System::start_embedded(Some(folder.path())).await.unwrap();
    system.add_cluster("zk", Kind::Zookeeper, 1).unwrap();
    system.apply_discovery("").await.unwrap();
    system.discover().await;
    let record = replicante_model::RecordName::cluster("default", "zk");
    let head = system.head(&record).await.unwrap();
    let plan = replicante_protocol::schedule::Plan { stamp: head.due, delay: 0, next_due: head.due };
    assert!(system.table.mark_queued(&head, &plan, head.due).await.unwrap());
    system.fleet.apply(Change::store("zk", "node-1", StoreState::Down)).unwrap();
    drop(system);
    let config = LocalConfig { data: Some(folder.path().to_owned()), ..LocalConfig::default() };
    let local = Local::start(&config).await.unwrap();
    assert_eq!(local.requeued, 1);
    let table = replicante_aws::Table::new(&local.clients, &local.settings.table);
    assert_eq!(table.head(&record).await.unwrap().unwrap().queued_due, replicante_model::Timestamp::ZERO);
}
