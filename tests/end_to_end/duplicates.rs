//! Tasks that come twice, late, or while another works.

use std::time::Duration;

use replicante_fleet::Kind;
use replicante_model::{RecordName, Timestamp};
use replicante_protocol::machine::Outcome;
use replicante_protocol::task::Task;
use replicante_tests::System;

async fn system() -> (System, RecordName) {
    let system = System::start().await.unwrap();
    system.add_cluster("zk", Kind::Zookeeper, 3).unwrap();
    system.apply_discovery("").await.unwrap();
    system.discover().await;
    system.reports();
    (system, RecordName::cluster("default", "zk"))
}

fn outcomes(system: &System) -> Vec<Outcome> {
    system.reports().iter().map(|report| report.outcome).collect()
}

#[tokio::test]
async fn a_task_that_was_done_is_a_duplicate_and_an_older_one_too() {
    let (system, record) = system().await;
    let now = Timestamp::now();
    let task = Task::scheduled(record.clone(), now);
    system.run_refresh(task.clone()).await;
    system.run_refresh(task).await;
    system.run_refresh(Task::scheduled(record.clone(), now.minus(Duration::from_secs(60)))).await;
    system.run_refresh(Task::scheduled(record.clone(), now.plus(Duration::from_millis(1)))).await;
    let expected = [Outcome::Changed, Outcome::Duplicate, Outcome::Duplicate, Outcome::Unchanged];
    assert_eq!(outcomes(&system), expected);
    assert_eq!(system.head(&record).await.unwrap().done_due, now.plus(Duration::from_millis(1)));
}

#[tokio::test]
async fn a_task_that_finds_another_at_work_is_discarded_and_counts_as_done() {
    let (mut system, record) = system().await;
    // A kill by polls; tests/bootstraps kills real ones.
    system.run_in_process();
    // A worker that claimed and was killed holds its lease.
    let mut polls = 1;
    while system.head(&record).await.unwrap().lease_until == Timestamp::ZERO {
        assert!(polls < 100, "no kill fell between claim and release");
        System::killed_after(polls, system.refresh("zk")).await;
        polls += 1;
    }
    system.reports();
    let stamp = Timestamp::now();
    assert!(system.run_refresh(Task::scheduled(record.clone(), stamp)).await.batch_item_failures.is_empty());
    assert!(system.refresh("zk").await.batch_item_failures.is_empty());
    assert_eq!(outcomes(&system), [Outcome::Discarded, Outcome::Discarded]);
    assert_eq!(system.head(&record).await.unwrap().done_due, stamp, "raised by the scheduled one alone");
}

#[tokio::test]
async fn one_batch_with_one_record_twice_works_on_it_once_at_a_time() {
    let (system, record) = system().await;
    let now = Timestamp::now();
    let tasks: Vec<Task> =
        (0..5).map(|n| Task::scheduled(record.clone(), now.plus(Duration::from_millis(n)))).collect();
    assert!(system.run_refreshes(&tasks).await.batch_item_failures.is_empty());
    let outcomes = outcomes(&system);
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == Outcome::Changed).count(), 1, "{outcomes:?}");
    assert!(outcomes.contains(&Outcome::Discarded), "{outcomes:?}");
    system.check().await.unwrap();
}

#[tokio::test]
async fn a_task_for_a_record_that_is_gone_is_acknowledged() {
    let (system, _) = system().await;
    assert!(system.refresh("nobody").await.batch_item_failures.is_empty());
    assert_eq!(outcomes(&system), [Outcome::Gone]);
}

#[tokio::test]
async fn a_task_that_fails_is_named_to_the_queue_released_and_shown() {
    let (system, _) = system().await;
    let record = RecordName::cluster("default", "unknown");
    let head =
        replicante_protocol::head::Head::new(record.clone(), Duration::from_secs(5), true, Timestamp::now());
    system.table.create_head(&head).await.unwrap();
    let task = Task::scheduled(record.clone(), Timestamp::now());
    let response =
        system.run_refreshes(&[Task::manual(RecordName::cluster("default", "zk"), "ann"), task]).await;
    let failed: Vec<&str> =
        response.batch_item_failures.iter().map(|failure| failure.item_identifier.as_str()).collect();
    assert_eq!(failed, ["m1"], "the other one of the batch is done");
    let head = system.head(&record).await.unwrap();
    assert_eq!(
        (head.lease_until, head.done_due),
        (Timestamp::ZERO, Timestamp::ZERO),
        "its retry is no duplicate"
    );
    let summary = replicante_model::summary::Summary::parse(head.summary.as_deref());
    assert_eq!(summary.outcome, "failed");
    assert!(summary.reason.unwrap().contains("has no discovery item"));
}
