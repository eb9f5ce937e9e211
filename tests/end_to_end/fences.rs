//! The conditions of the protocol, one by one, on the table itself; and a worker that wakes up too late.

use std::pin::pin;
use std::time::Duration;

use replicante_aws::{
    Buried, ClaimError, DiscoveryItem, FenceError, ItemWrite, LoadError, ObjectKind, Table,
};
use replicante_fleet::{Change, Kind, StoreState};
use replicante_model::record::{ClusterRecord, DiscoveredCluster};
use replicante_model::{RecordName, Timestamp};
use replicante_protocol::head::{Head, MAX_LEASE};
use replicante_protocol::machine::{Commit, Outcome, Release};
use replicante_protocol::schedule::Plan;
use replicante_protocol::slot::{Part, Slot};
use replicante_protocol::task::Task;
use replicante_tests::{Failure, System};

const LEASE: Duration = Duration::from_secs(60);
const MILLI: Duration = Duration::from_millis(1);

/// A record with a head, and the task that is due for it.
async fn record(system: &System) -> (Table, Task, Timestamp) {
    let now = Timestamp::now();
    let record = RecordName::cluster("default", "orders");
    let head = Head::new(record.clone(), LEASE, true, now);
    assert!(system.table.create_head(&head).await.unwrap());
    assert!(!system.table.create_head(&head).await.unwrap(), "created once");
    (system.table.clone(), Task::scheduled(record, now), now)
}

fn release(done: Option<Timestamp>) -> Release {
    Release { clear_owed: false, published: None, done, due_at_once: false, success: true }
}

#[tokio::test]
async fn a_claim_raises_the_fence_and_holds_the_record_until_its_lease_ends() {
    let system = System::start().await.unwrap();
    let (table, task, now) = record(&system).await;
    let first = table.claim(&task, "a", now, LEASE).await.unwrap();
    assert_eq!((first.fence, first.lease_until, first.holder.as_str()), (1, now.plus(LEASE), "a"));
    let Err(ClaimError::Refused(Some(held))) = table.claim(&task, "b", now.plus(MILLI), LEASE).await else {
        panic!("a held record was claimed");
    };
    assert_eq!((held.fence, held.holder.as_str()), (1, "a"), "the refusal shows who holds it");
    let second = table.claim(&task, "b", now.plus(LEASE), LEASE).await.unwrap();
    assert_eq!(second.fence, 2, "the lease is past");
    let far = now.minus(MAX_LEASE);
    let third = table.claim(&task, "c", far, LEASE).await.unwrap();
    assert_eq!(third.fence, 3, "a lease further ahead than any may be holds nothing");
}

#[tokio::test]
async fn a_claim_for_what_was_done_is_refused_unless_the_record_owes() {
    let system = System::start().await.unwrap();
    let (table, task, now) = record(&system).await;
    let head = table.claim(&task, "a", now, LEASE).await.unwrap();
    table.release(&task.record, head.fence, &release(Some(now)), None, now).await.unwrap();
    assert!(matches!(table.claim(&task, "b", now, LEASE).await, Err(ClaimError::Refused(Some(_)))));
    let manual = Task::manual(task.record.clone(), "ann");
    let head = table.claim(&manual, "b", now, LEASE).await.unwrap();
    let body = table.write_slot(&task.record, Slot::A, head.fence, b"state", b"outbox").await.unwrap();
    let commit = Commit { body, sequence: 1, owed: true, published: 0 };
    table.commit(&task.record, head.fence, &commit, None, None).await.unwrap();
    table.release(&task.record, head.fence, &release(None), None, now).await.unwrap();
    let owing = table.claim(&task, "c", now, LEASE).await.unwrap();
    assert!(owing.owed && owing.sequence == 1, "what owes is claimed, done or not");
}

#[tokio::test]
async fn whoever_was_taken_over_writes_nothing_any_more() {
    let system = System::start().await.unwrap();
    let (table, task, now) = record(&system).await;
    let old = table.claim(&task, "a", now, LEASE).await.unwrap();
    let new = table.claim(&task, "b", now.plus(LEASE), LEASE).await.unwrap();
    let body = table.write_slot(&task.record, Slot::A, new.fence, b"new", b"new events").await.unwrap();
    let late = table.write_slot(&task.record, Slot::A, old.fence, b"old", b"old events").await;
    assert!(matches!(late, Err(FenceError::TakenOver)), "a chunk of a higher fence is not written over");
    let commit = Commit { body, sequence: 5, owed: true, published: 0 };
    let late = table.commit(&task.record, old.fence, &commit, None, None).await;
    assert!(matches!(late, Err(FenceError::TakenOver)));
    let late = table.release(&task.record, old.fence, &release(Some(now)), None, now).await;
    assert!(matches!(late, Err(FenceError::TakenOver)));
    let head = table.head(&task.record).await.unwrap().unwrap();
    assert_eq!((head.fence, head.sequence, head.body, head.done_due), (2, 0, None, Timestamp::ZERO));
    assert_eq!(head.holder, "b", "and its lease stands");
    assert!(head.lease_until > Timestamp::ZERO);
}

#[tokio::test]
async fn whoever_was_taken_over_ends_clears_and_forgets_nothing() {
    let system = System::start().await.unwrap();
    let (table, task, now) = record(&system).await;
    let old = table.claim(&task, "a", now, LEASE).await.unwrap();
    let new = table.claim(&task, "b", now.plus(LEASE), LEASE).await.unwrap();
    let body = table.write_slot(&task.record, Slot::A, new.fence, b"new", b"new events").await.unwrap();
    assert_eq!(table.bury(&old, old.wanted, now).await.unwrap(), Buried::TakenOver);
    table.forget_queued(&old).await.unwrap();
    table.clear_body(&task.record, old.fence).await.unwrap();
    let head = table.head(&task.record).await.unwrap().expect("it did not end");
    assert_eq!((head.fence, head.lease_until), (new.fence, new.lease_until), "its lease stands");
    assert_eq!(table.load(&task.record, &body, Part::State).await.unwrap(), b"new");
    // Of its own.
    table.clear_body(&task.record, new.fence).await.unwrap();
    assert!(matches!(table.load(&task.record, &body, Part::State).await, Err(LoadError::Mismatch(_))));
    table.forget_queued(&new).await.unwrap();
    assert_eq!(table.head(&task.record).await.unwrap().unwrap().lease_until, Timestamp::ZERO);
    assert_eq!(table.bury(&new, new.wanted, now).await.unwrap(), Buried::Done);
}

// Those in which a transaction may be refused while others write run on the embedded services: moto then takes back what these
// wrote.

#[tokio::test]
async fn a_record_that_lives_and_ends_while_its_creation_is_under_way_leaves_it_a_higher_epoch() {
    let system = System::start_embedded(None).await.unwrap();
    let table = &system.table;
    let now = Timestamp::now();
    let bury = async |record: &RecordName| {
        let task = Task { stamp: None, ..Task::scheduled(record.clone(), now) };
        let head = table.claim(&task, "a", now, LEASE).await.unwrap();
        assert_eq!(table.bury(&head, head.wanted, now).await.unwrap(), Buried::Done);
        head.epoch
    };
    for ended_before in [false, true] {
        let (mut created_after, mut created_before, mut polls, mut finished_in_a_row) = (0, 0, 0, 0);
        while finished_in_a_row < 3 {
            let record = RecordName::cluster("default", format!("orders-{ended_before}-{polls}"));
            let head = Head::new(record.clone(), LEASE, true, now);
            if ended_before {
                assert!(table.create_head(&head).await.unwrap());
                bury(&record).await;
            }
            // It may have asked for a tombstone, but not created the record yet; meanwhile that lives, and ends.
            let mut creation = pin!(table.create_head(&head));
            let created = System::asleep_after(polls, creation.as_mut()).await;
            finished_in_a_row = if created.is_some() { finished_in_a_row + 1 } else { 0 };
            table.create_head(&head).await.unwrap();
            let ended = bury(&record).await;
            if created.is_none() {
                creation.await.unwrap();
            }
            if let Some(created) = table.head(&record).await.unwrap() {
                assert!(created.epoch > ended, "asleep after {polls} polls: {} again", created.epoch);
                assert!(table.tombstone(&record).await.unwrap().is_none(), "asleep after {polls} polls");
                created_after += 1;
            } else {
                // The life that ended was its own, or it came upon the other one.
                created_before += 1;
            }
            polls += 1;
        }
        assert!(created_after > 1 && created_before > 0, "{created_after} and {created_before} of {polls}");
    }
}

#[tokio::test]
async fn a_record_that_ends_while_it_is_asked_for_is_not_brought_back_in_part() {
    let system = System::start_embedded(None).await.unwrap();
    let table = &system.table;
    let now = Timestamp::now();
    for by_object in [false, true] {
        let (mut polls, mut finished, mut in_vain) = (0, false, 0);
        while !finished {
            let id = format!("orders-{by_object}-{polls}");
            let record = RecordName::cluster("default", id.as_str());
            // Due before: asking does not pull it forward.
            let head = Head::new(record.clone(), LEASE, true, Timestamp(now.0 - 1));
            assert!(table.create_head(&head).await.unwrap());
            let mut asking = pin!(async {
                if by_object {
                    system.apply(&cluster_object(&id, "30m")).await.inspect_err(assert_refused).is_ok()
                } else {
                    table.want(&record, LEASE, true, None, now).await.unwrap()
                }
            });
            let asked = System::asleep_after(polls, asking.as_mut()).await;
            finished = asked.is_some();
            while let Some(head) = table.head(&record).await.unwrap() {
                table.bury(&head, head.wanted, now).await.unwrap();
            }
            let asked = match asked {
                Some(asked) => asked,
                None => asking.await,
            };
            assert!(asked || !finished, "nothing was beside it");
            in_vain += usize::from(polls > 0 && !asked);
            let left = table.head(&record).await;
            assert!(matches!(left, Ok(None)), "asleep after {polls} polls: {left:?}");
            polls += 1;
        }
        assert!(in_vain > 0, "none of {polls} came upon its end");
    }
}

fn cluster_object(name: &str, interval: &str) -> String {
    format!(
        "apiVersion: replicante.io/v0\nkind: Cluster\nmetadata: {{ name: {name} }}\nspec: {{ interval: {interval} }}\n"
    )
}

/// It was refused since another wrote meanwhile, and failed for no other reason.
fn assert_refused(error: &Failure) {
    let error = error.to_string();
    assert!(error.contains("somebody else wrote one of them at the same time"), "{error}");
}

#[tokio::test]
async fn of_two_who_apply_one_object_at_once_none_goes_unnoticed() {
    let system = System::start_embedded(None).await.unwrap();
    for exists in [false, true] {
        let (mut polls, mut finished, mut refused) = (0, false, 0);
        while !finished {
            let id = format!("orders-{exists}-{polls}");
            if exists {
                system.apply(&cluster_object(&id, "20m")).await.unwrap();
            }
            let (mine, other) = (cluster_object(&id, "30m"), cluster_object(&id, "40m"));
            let mut first = pin!(system.apply(&mine));
            let asleep = System::asleep_after(polls, first.as_mut()).await;
            finished = asleep.is_some();
            let other = system.apply(&other).await;
            let mine = match asleep {
                Some(ended) => ended,
                None => first.await,
            };
            let unapplied = [mine, other].into_iter().filter_map(Result::err).inspect(assert_refused).count();
            refused += unapplied;
            let object = system.table.object(ObjectKind::Cluster, "default", &id).await.unwrap().unwrap();
            let expected = 2 - unapplied + usize::from(exists);
            assert_eq!(object.version, expected as u64, "asleep after {polls} polls");
            polls += 1;
        }
        assert!(refused > 0, "none of {polls} came upon another");
    }
}

#[tokio::test]
async fn a_record_that_is_created_while_its_object_is_deleted_knows_of_it() {
    let system = System::start_embedded(None).await.unwrap();
    let table = &system.table;
    let now = Timestamp::now();
    let (mut polls, mut finished, mut refused) = (0, false, 0);
    while !finished {
        let id = format!("orders-{polls}");
        let record = RecordName::cluster("default", id.as_str());
        system.apply(&cluster_object(&id, "30m")).await.unwrap();
        let mut deletion = pin!(table.delete_object(ObjectKind::Cluster, "default", &id, 1, "ann", now));
        let asleep = System::asleep_after(polls, deletion.as_mut()).await;
        finished = asleep.is_some();
        // As its discovery does, which has read the object.
        let head = Head { object: 1, ..Head::new(record.clone(), LEASE, true, now) };
        assert!(table.create_head(&head).await.unwrap());
        let was_first = table.object(ObjectKind::Cluster, "default", &id).await.unwrap().is_some();
        let deleted = match asleep {
            Some(deleted) => deleted,
            None => deletion.await,
        };
        let deleted = deleted.unwrap();
        if was_first && deleted {
            assert_eq!(system.head(&record).await.unwrap().object, 2, "asleep after {polls} polls");
        }
        refused += usize::from(!deleted);
        polls += 1;
    }
    assert!(refused > 0, "none of {polls} came upon the new record");
}

#[tokio::test]
async fn chunks_count_only_with_the_fence_that_the_head_names() {
    let system = System::start().await.unwrap();
    let (table, task, now) = record(&system).await;
    let first = table.claim(&task, "a", now, LEASE).await.unwrap();
    let body = table.write_slot(&task.record, Slot::A, first.fence, b"one", b"events").await.unwrap();
    assert_eq!(table.load(&task.record, &body, Part::State).await.unwrap(), b"one");
    assert_eq!(table.load(&task.record, &body, Part::Outbox).await.unwrap(), b"events");
    // Two commits later the same slot holds another state of the same size.
    let second = table.claim(&task, "b", now.plus(LEASE), LEASE).await.unwrap();
    table.write_slot(&task.record, Slot::A, second.fence, b"two", b"events").await.unwrap();
    for part in [Part::State, Part::Outbox] {
        let stale = table.load(&task.record, &body, part).await;
        assert!(matches!(stale, Err(LoadError::Mismatch(_))), "{part:?}");
    }
    let absent = replicante_protocol::slot::Body { slot: Slot::B, ..body };
    assert!(matches!(table.load(&task.record, &absent, Part::State).await, Err(LoadError::Mismatch(_))));
}

#[tokio::test]
async fn what_is_done_is_only_ever_raised() {
    let system = System::start().await.unwrap();
    let (table, task, now) = record(&system).await;
    let done = async || table.head(&task.record).await.unwrap().unwrap().done_due;
    let head = table.claim(&task, "a", now, LEASE).await.unwrap();
    let later = now.plus(LEASE);
    table.raise_done(&task.record, later).await.unwrap();
    table.raise_done(&task.record, now).await.unwrap();
    assert_eq!(done().await, later);
    table.release(&task.record, head.fence, &release(Some(now)), Some("{}"), now).await.unwrap();
    let head = table.head(&task.record).await.unwrap().unwrap();
    assert_eq!((head.done_due, head.lease_until), (later, Timestamp::ZERO), "released all the same");
}

#[tokio::test]
async fn a_commit_that_took_only_a_part_is_due_again_at_once() {
    let system = System::start().await.unwrap();
    let (table, task, now) = record(&system).await;
    let head = table.claim(&task, "a", now, LEASE).await.unwrap();
    let later = now.plus(MILLI);
    let release = Release { due_at_once: true, clear_owed: true, published: Some(7), ..release(None) };
    table.release(&task.record, head.fence, &release, Some("{}"), later).await.unwrap();
    let head = table.head(&task.record).await.unwrap().unwrap();
    assert_eq!((head.due, head.published, head.owed, head.summary.as_deref()), (later, 7, false, Some("{}")));
}

#[tokio::test]
async fn a_discovery_item_belongs_to_the_first_that_wrote_it_and_to_its_latest_claim() {
    let system = System::start().await.unwrap();
    let item = |discovery: &str| DiscoveryItem {
        namespace: "default".into(),
        cluster: DiscoveredCluster {
            record: ClusterRecord { cluster_id: "orders".into(), ..ClusterRecord::default() },
            discovery: discovery.into(),
            ..DiscoveredCluster::default()
        },
    };
    let write = async |discovery: &str, fence| {
        system.table.write_discovery_item(&item(discovery), fence).await.unwrap()
    };
    assert_eq!(write("first", 5).await, ItemWrite::Written);
    assert_eq!(write("first", 5).await, ItemWrite::Written, "again, by the same claim");
    assert_eq!(write("second", 9).await, ItemWrite::Contested { owner: "first".into() });
    assert_eq!(write("first", 4).await, ItemWrite::TakenOver);
    assert_eq!(write("first", 6).await, ItemWrite::Written);
}

#[tokio::test]
async fn a_scheduler_moves_on_only_what_it_has_read_and_due_is_never_pushed_back() {
    let system = System::start().await.unwrap();
    let (table, task, now) = record(&system).await;
    let head = table.head(&task.record).await.unwrap().unwrap();
    let plan = Plan { stamp: head.due, delay: 0, next_due: now.plus(LEASE) };
    assert!(table.mark_queued(&head, &plan, now).await.unwrap());
    assert!(!table.mark_queued(&head, &plan, now).await.unwrap(), "another was first");
    let due = async || {
        let head = table.head(&task.record).await.unwrap().unwrap();
        (head.due, head.wanted)
    };
    assert_eq!(due().await, (now.plus(LEASE), 1));
    assert!(table.want(&task.record, LEASE, true, None, now).await.unwrap());
    assert_eq!(due().await, (now, 2), "pulled forward");
    assert!(table.want(&task.record, LEASE, true, None, now.plus(LEASE)).await.unwrap());
    assert_eq!(due().await, (now, 3), "never back, and wanted all the same");
    assert!(!table.want(&RecordName::cluster("default", "nobody"), LEASE, true, None, now).await.unwrap());
}

#[tokio::test]
async fn a_worker_that_wakes_up_after_another_took_over_leaves_no_trace() {
    // A sleeper by polls; tests/bootstraps freezes real ones.
    let system = System::start_in_process().await.unwrap();
    system.add_cluster("zk", Kind::Zookeeper, 3).unwrap();
    system.apply_discovery("").await.unwrap();
    system.discover().await;
    system.refresh("zk").await;
    let record = RecordName::cluster("default", "zk");
    let (mut taken_over, mut finished_in_a_row, mut polls) = (0, 0, 1);
    while finished_in_a_row < 5 {
        let state = if polls % 2 == 0 { StoreState::Up } else { StoreState::Down };
        system.fleet.apply(Change::store("zk", "node-2", state)).unwrap();
        // The sleeper gets as far as this many polls take it, and stops there.
        let mut sleeper = pin!(system.refresh("zk"));
        let finished = System::asleep_after(polls, sleeper.as_mut()).await.is_some();
        finished_in_a_row = if finished { finished_in_a_row + 1 } else { 0 };
        system.reports();
        system.expire_lease(&record).await.unwrap();
        // The world changes back under it; another worker sees that, and commits it.
        let back = if polls % 3 == 0 { state } else { StoreState::Up };
        system.fleet.apply(Change::store("zk", "node-2", back)).unwrap();
        system.refresh("zk").await;
        system.fleet.apply(Change::store("zk", "node-2", StoreState::Up)).unwrap();
        if !finished {
            sleeper.await;
        }
        taken_over += system.reports().iter().filter(|report| report.outcome == Outcome::TakenOver).count();
        system.expire_lease(&record).await.unwrap();
        system.refresh("zk").await;
        system.check().await.unwrap_or_else(|error| panic!("asleep after {polls} polls: {error}"));
        polls += 1;
    }
    assert!(taken_over > 3, "{taken_over} of {polls} sleepers were taken over");
}
