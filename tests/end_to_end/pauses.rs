//! What is paused gets no tasks from its scheduler, and goes on in its next slot.

use std::time::Duration;

use replicante_fleet::Kind;
use replicante_model::pause::Pause;
use replicante_model::{Kind as RecordKind, RecordName, Timestamp};
use replicante_protocol::machine::Outcome;
use replicante_protocol::schedule::is_slot;
use replicante_scheduler::{Pass, Scheduler};
use replicante_tests::System;
use tokio::time::Instant;

const HOUR: Duration = Duration::from_secs(3600);

async fn pass(scheduler: &Scheduler, now: Timestamp) -> Pass {
    let pass = scheduler.pass(now, Instant::now() + Duration::from_secs(60)).await;
    assert_eq!(pass.error, None);
    pass
}

fn pause(since: Timestamp, until: Option<Timestamp>) -> Pause {
    Pause { since, until, reason: Some("new racks".into()), actor: "ann".into(), ended_by: None }
}

#[tokio::test]
async fn what_is_paused_is_not_queued_until_its_slot_after_the_pause_and_a_manual_task_works() {
    let system = System::start().await.unwrap();
    for id in ["a", "b"] {
        system.add_cluster(id, Kind::Zookeeper, 1).unwrap();
    }
    system.apply_discovery("").await.unwrap();
    system.discover().await;
    let scheduler = Scheduler::of(RecordKind::Cluster, &system.local.clients, &system.local.settings);
    let table = &system.table;
    let (a, b) = (RecordName::cluster("default", "a"), RecordName::cluster("default", "b"));
    let now = Timestamp::now();

    table.put_pause(Some(&a), &pause(now, None)).await.unwrap();
    let first = pass(&scheduler, now).await;
    assert_eq!((first.records, first.paused, first.queued, first.due), (2, 1, 1, 1), "{first:?}");
    system.refresh("a").await;
    assert!(system.view("a").await.is_ok_and(|view| !view.nodes.is_empty()), "a manual refresh works");
    // Nothing of it counts as late, however long it lasts.
    let later = pass(&scheduler, now.plus(HOUR)).await;
    assert_eq!((later.paused, later.queued, later.due), (1, 1, 1), "{later:?}");

    // Ended, it is due at its slot after the end.
    let end = now.plus(HOUR);
    table.put_pause(Some(&a), &pause(now, Some(end))).await.unwrap();
    let interval = system.head(&a).await.unwrap().interval;
    let resumed = pass(&scheduler, end.plus(interval)).await;
    assert_eq!((resumed.paused, resumed.queued), (0, 1), "{resumed:?}");
    let head = system.head(&a).await.unwrap();
    assert!(head.queued_due > end && is_slot(&a, head.interval, head.queued_due), "{head:?}");

    // Everything: both kinds, whatever the records' own pauses say.
    table.put_pause(None, &pause(now, Some(now.plus(3 * HOUR)))).await.unwrap();
    let all = pass(&scheduler, now.plus(2 * HOUR)).await;
    assert_eq!((all.paused, all.queued), (2, 0), "{all:?}");
    let discoveries = Scheduler::of(RecordKind::Discovery, &system.local.clients, &system.local.settings);
    let runs = pass(&discoveries, now.plus(2 * HOUR)).await;
    assert_eq!((runs.records, runs.paused, runs.queued), (1, 1, 0), "{runs:?}");
    let after = pass(&scheduler, now.plus(4 * HOUR)).await;
    assert_eq!((after.paused, after.queued), (0, 2), "it ended by itself: {after:?}");
    assert!(system.head(&b).await.unwrap().queued_due > now.plus(3 * HOUR));
    assert!(system.reports().iter().all(|report| report.outcome != Outcome::Failed));
}

#[tokio::test]
async fn a_pass_that_can_not_read_the_pauses_sends_nothing_and_fails() {
    use replicante_tests::faults::{Fault, Faults, Layer};

    let system = System::start_embedded(None).await.unwrap();
    system.add_cluster("a", Kind::Zookeeper, 1).unwrap();
    system.apply_discovery("").await.unwrap();
    system.discover().await;
    let faults = Faults::default();
    let clients = system.clients_through(Layer::new(&faults));
    let scheduler = Scheduler::of(RecordKind::Cluster, &clients, &system.local.settings);
    faults.arm(0, Fault::UnsentForGood);
    let pass = scheduler.pass(Timestamp::now(), Instant::now() + Duration::from_secs(60)).await;
    assert_eq!((pass.records, pass.queued), (0, 0), "{pass:?}");
    assert!(pass.error.is_some_and(|error| error.contains("reading the pauses")));
}
