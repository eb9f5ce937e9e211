//! The way of a task: from the scheduler through the queue to the worker, by hand and with one consumer.

use std::time::Duration;

use replicante_aws::{Message, Queue};
use replicante_fleet::Kind;
use replicante_model::{Kind as RecordKind, RecordName, Timestamp};
use replicante_protocol::machine::Outcome;
use replicante_protocol::task::Task;
use replicante_scheduler::Scheduler;
use replicante_tests::System;
use tokio::time::Instant;

async fn receive(queue: &Queue) -> Vec<Task> {
    let messages = queue.receive(1).await.unwrap();
    let receipts: Vec<String> = messages.iter().map(|message| message.receipt.clone()).collect();
    if !receipts.is_empty() {
        queue.delete(&receipts).await.unwrap();
    }
    let task = |message: &Message| serde_json::from_str(&message.body).unwrap();
    messages.iter().map(task).collect()
}

#[tokio::test]
async fn each_due_record_is_queued_once_and_its_task_is_done_once() {
    let system = System::start().await.unwrap();
    let ids: Vec<String> = (0..12).map(|n| format!("zk-{n:02}")).collect();
    for id in &ids {
        system.add_cluster(id, Kind::Zookeeper, 1).unwrap();
    }
    system.apply_discovery("").await.unwrap();
    system.discover().await;
    system.reports();
    let settings = &system.local.settings;
    let queue = Queue::new(&system.local.clients, &settings.refresh_queue);
    let scheduler = Scheduler::new(RecordKind::Cluster, system.table.clone(), queue.clone(), settings);

    let now = Timestamp::now();
    let until = Instant::now() + Duration::from_secs(60);
    let pass = scheduler.pass(now, until).await;
    assert_eq!((pass.records, pass.queued, pass.refused), (12, 12, 0), "{pass:?}");
    assert_eq!(scheduler.pass(now, until).await.queued, 0, "queued until it is done");

    let mut tasks = Vec::new();
    while tasks.len() < ids.len() {
        let more = receive(&queue).await;
        assert!(!more.is_empty(), "only {tasks:?}");
        tasks.extend(more);
    }
    assert!(receive(&queue).await.is_empty(), "what was deleted does not come again");
    let mut records: Vec<RecordName> = tasks.iter().map(|task| task.record.clone()).collect();
    records.sort();
    assert_eq!(records, ids.iter().map(|id| RecordName::cluster("default", id)).collect::<Vec<_>>());

    assert!(system.run_refreshes(&tasks).await.batch_item_failures.is_empty());
    assert!(system.run_refreshes(&tasks).await.batch_item_failures.is_empty());
    let outcomes: Vec<Outcome> = system.reports().iter().map(|report| report.outcome).collect();
    assert!(outcomes[..12].iter().all(|outcome| *outcome == Outcome::Changed), "{outcomes:?}");
    assert!(outcomes[12..].iter().all(|outcome| *outcome == Outcome::Duplicate), "{outcomes:?}");
    assert_eq!(system.check().await.unwrap().views.len(), 12);
}
