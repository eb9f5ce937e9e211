//! Every call of a scheduler's pass, with each fault in turn: the next pass makes up for it, and nothing is done twice.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use replicante_aws::Queue;
use replicante_fleet::Kind as Store;
use replicante_model::{Kind, RecordName, Timestamp};
use replicante_protocol::machine::Outcome;
use replicante_protocol::schedule::next_slot;
use replicante_protocol::task::Task;
use replicante_scheduler::{Pass, Scheduler};
use replicante_settings::Settings;
use replicante_tests::System;
use replicante_tests::faults::{Fault, Faults, Layer};
use tokio::time::Instant;

/// How often each record is due.
const INTERVAL: Duration = Duration::from_secs(5);
/// None: nothing is sent ahead of its time, which the queue would hold back.
const TICK: Duration = Duration::ZERO;

/// Services, a few records of a kind, and two schedulers of theirs: the calls of one go through the faults.
struct Rig {
    system: System,
    records: Vec<RecordName>,
    settings: Settings,
    faults: Faults,
    faulted: Scheduler,
    sound: Scheduler,
    queue: Queue,
    now: Cell<Timestamp>,
}

impl Rig {
    async fn start(kind: Kind) -> Self {
        let system = System::start_embedded(None).await.unwrap();
        let records = match kind {
            Kind::Discovery => vec![RecordName::discovery("default", "fleet")],
            Kind::Cluster => clusters(),
        };
        for record in records.iter().filter(|record| record.kind == Kind::Cluster) {
            system.add_cluster(&record.id, Store::Redis, 1).unwrap();
        }
        system.apply_discovery("").await.unwrap();
        system.discover().await;
        let settings = Settings { tick: TICK, ..system.local.settings.clone() };
        let faults = Faults::default();
        let clients = system.clients_through(Layer::new(&faults));
        let queue = match kind {
            Kind::Discovery => &settings.discovery_queue,
            Kind::Cluster => &settings.refresh_queue,
        };
        let rig = Rig {
            faulted: Scheduler::of(kind, &clients, &settings),
            sound: Scheduler::of(kind, &system.local.clients, &settings),
            queue: Queue::new(&system.local.clients, queue),
            now: Cell::new(Timestamp::now().plus(INTERVAL)),
            system,
            records,
            settings,
            faults,
        };
        // From here on every record has a slot, a task that is done and nothing new to tell.
        rig.pass(&rig.sound).await;
        rig.work_off().await;
        rig.system.reports();
        rig
    }

    async fn pass(&self, scheduler: &Scheduler) -> Option<Pass> {
        self.faults.run(scheduler.pass(self.now.get(), Instant::now() + Duration::from_secs(60))).await
    }

    fn later(&self, by: Duration) {
        self.now.set(self.now.get().plus(by));
    }

    async fn due(&self) -> Vec<Timestamp> {
        let mut due = Vec::new();
        for record in &self.records {
            due.push(self.system.head(record).await.unwrap().due);
        }
        due
    }

    /// The tasks that wait in the queue, which holds them no longer.
    async fn take(&self) -> Vec<Task> {
        let mut tasks = Vec::new();
        loop {
            let messages = self.queue.receive(0).await.unwrap();
            if messages.is_empty() {
                return tasks;
            }
            let receipts: Vec<String> = messages.iter().map(|message| message.receipt.clone()).collect();
            self.queue.delete(&receipts).await.unwrap();
            tasks.extend(messages.iter().map(|message| serde_json::from_str::<Task>(&message.body).unwrap()));
        }
    }

    /// Delivers what waits in the queue, each twice, the second time in the opposite order.
    async fn work_off(&self) {
        let tasks = self.take().await;
        for task in tasks.iter().chain(tasks.iter().rev()) {
            let response = match task.record.kind {
                Kind::Discovery => self.system.run_discovery(task.clone()).await,
                Kind::Cluster => self.system.run_refresh(task.clone()).await,
            };
            assert!(response.batch_item_failures.is_empty(), "{task:?}");
        }
    }

    /// The calls of a pass, by label, each of whose kind one stands for all.
    async fn calls(&self) -> BTreeSet<String> {
        self.later(INTERVAL);
        self.faults.disarm();
        self.pass(&self.faulted).await;
        let labels = self.faults.labels();
        self.work_off().await;
        self.system.reports();
        let of_shard = |record: &RecordName| format!("Query {}#{:02}", record.kind, record.spread_shard());
        let with_records: BTreeSet<String> = self.records.iter().map(of_shard).collect();
        let pauses = "Query intent#pause".to_owned();
        let is_shard = |label: &&String| label.starts_with("Query") && **label != pauses;
        let empty = labels.iter().filter(is_shard).find(|label| !with_records.contains(*label));
        let others = labels.iter().filter(|label| !label.starts_with("Query"));
        assert_eq!(labels.iter().filter(is_shard).count(), 64);
        assert_eq!(labels[0], pauses, "before anything else");
        others.chain(empty).cloned().chain(with_records).chain([pauses]).collect()
    }

    /// All records are due; a call of the pass is struck; then a pass that nothing strikes.
    async fn strike(&self, label: &str, fault: Fault) {
        self.later(INTERVAL);
        let stamps = self.due().await;
        self.faults.aim(label, fault);
        let pass = self.pass(&self.faulted).await;
        assert!(self.faults.struck().is_some(), "{label}, {fault:?}");
        self.faults.disarm();

        let sending = label.starts_with("SendMessageBatch");
        match (&pass, fault) {
            (Some(pass), Fault::UnsentForGood | Fault::UnansweredForGood) => {
                assert!(pass.error.is_some(), "{label}, {fault:?}: it must be told: {pass:?}");
            }
            (Some(pass), Fault::InPart) => assert!(pass.error.is_some() && pass.refused > 0, "{pass:?}"),
            (Some(pass), _) => assert_eq!(pass.error, None, "{label}, {fault:?}: it was tried again"),
            (None, _) => assert!(matches!(fault, Fault::CrashBefore | Fault::CrashAfter)),
        }
        if sending && fault == Fault::UnsentForGood {
            let moved = self.due().await;
            for (record, (due, before)) in self.records.iter().zip(moved.iter().zip(&stamps)) {
                let refused = label.split(' ').skip(1).any(|id| id == record.id);
                assert_eq!(due == before, refused, "a refused send moves nothing, another does: {record}");
            }
        }
        self.work_off().await;
        let again = self.pass(&self.sound).await.unwrap();
        assert_eq!(again.error, None);
        self.work_off().await;

        let reports = self.system.reports();
        for (record, stamp) in self.records.iter().zip(stamps) {
            let head = self.system.head(record).await.unwrap();
            assert_eq!((head.done_due, head.queued_due), (stamp, stamp), "{record}: {label}, {fault:?}");
            assert_eq!(head.due, next_slot(record, INTERVAL, stamp, self.now.get()), "{record}");
            let outcomes = reports.iter().filter(|report| report.task.record == *record);
            let worked = outcomes.filter(|report| report.outcome != Outcome::Duplicate);
            let worked: Vec<_> = worked.map(|report| (report.task.stamp, report.outcome)).collect();
            assert_eq!(worked, [(Some(stamp), Outcome::Unchanged)], "{record}: {label}, {fault:?}");
        }
    }
}

/// Whether a fault can strike a call: two of them are of batches of several.
fn strikes(fault: Fault, label: &str) -> bool {
    let is_batch = label.starts_with("SendMessageBatch") && label.split(' ').count() > 2;
    is_batch || !matches!(fault, Fault::InPart | Fault::OutOfOrder)
}

/// Three clusters of one spread shard, so that their tasks are one batch, and two of others.
fn clusters() -> Vec<RecordName> {
    let all = || (0..).map(|n| RecordName::cluster("default", format!("c{n}")));
    let shard = all().next().unwrap().spread_shard();
    let together = all().filter(|record| record.spread_shard() == shard).take(3);
    together.chain(all().filter(|record| record.spread_shard() != shard).take(2)).collect()
}

async fn every_call_of_a_pass(kind: Kind) {
    let rig = Rig::start(kind).await;
    let calls = rig.calls().await;
    let mut points: BTreeMap<&str, usize> = BTreeMap::new();
    for label in &calls {
        for fault in Fault::ALL.into_iter().filter(|fault| strikes(*fault, label)) {
            rig.strike(label, fault).await;
            *points.entry(label.split(' ').next().unwrap()).or_default() += 1;
        }
    }
    println!("a pass over {} records: faults of {} calls: {points:?}", rig.records.len(), calls.len());
    assert_eq!(points.keys().copied().collect::<Vec<_>>(), ["Query", "SendMessageBatch", "UpdateItem"]);
}

#[tokio::test]
async fn every_call_of_a_refresh_pass() {
    every_call_of_a_pass(Kind::Cluster).await;
}

#[tokio::test]
async fn every_call_of_a_discovery_pass() {
    every_call_of_a_pass(Kind::Discovery).await;
}

#[tokio::test]
async fn a_task_that_the_queue_lost_delays_its_record_by_the_give_up_time_not_for_ever() {
    let rig = Rig::start(Kind::Cluster).await;
    rig.later(INTERVAL);
    assert_eq!(rig.pass(&rig.sound).await.unwrap().queued, 5);
    assert_eq!(rig.take().await.len(), 5);
    rig.later(rig.settings.give_up() - Duration::from_millis(1));
    assert_eq!(rig.pass(&rig.sound).await.unwrap().queued, 0, "they may still come");
    rig.later(Duration::from_millis(1));
    assert_eq!(rig.pass(&rig.sound).await.unwrap().queued, 5);
    rig.work_off().await;
    assert_eq!(rig.system.reports().iter().filter(|report| report.outcome == Outcome::Unchanged).count(), 5);
}
