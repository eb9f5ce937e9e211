//! Several workers and schedulers at once, with faults, crashes, expired leases and calls that land late, as a seed says.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use replicante_aws::{Clients, ObjectKind, Queue};
use replicante_discovery_worker::DiscoveryWorker;
use replicante_fleet::{AgentState, Change, Kind as Store, StoreState};
use replicante_model::{Kind, RecordName, Timestamp};
use replicante_protocol::head::Head;
use replicante_protocol::task::Task;
use replicante_refresh_worker::RefreshWorker;
use replicante_scheduler::Scheduler;
use replicante_settings::Settings;
use replicante_tests::System;
use replicante_tests::faults::{Fault, InTheAir, Turnstile, Waiting};
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// Seeds of a quick run. `REPLICANTE_SEEDS` runs as many as one likes, `REPLICANTE_SEED` the one that it names.
const SEEDS: u64 = 40;
/// What happens in a run, until all is recovered.
const TURNS: usize = 120;
const WORKERS: usize = 4;
const ZK: &str = "zk";
const REMOVAL: &str = "  removal: { grace: 0s, confirmations: 1, max_shrink: off }\n";
/// Of the same spread shard, so that a pass sends the tasks of both in one batch.
const RS: &str = "rs-34";
/// The schedulers' time at the beginning: later than any slot that the real time may give a record.
const START: Timestamp = Timestamp(4_102_444_800_000);

/// A worker or a scheduler.
struct Worker {
    number: usize,
    what: String,
    running: JoinHandle<()>,
}

/// Longer than a pass takes.
const LONG: Duration = Duration::from_secs(60);

struct Run {
    seed: u64,
    system: System,
    random: StdRng,
    turnstile: Turnstile,
    workers: Vec<Worker>,
    started: usize,
    in_the_air: Vec<InTheAir>,
    /// Whether the source reports the cluster that comes and goes.
    listed: bool,
    /// The schedulers' time.
    now: Timestamp,
    /// What the queues gave, some of it more than once.
    mailbox: Vec<Task>,
    faults: usize,
    calls: usize,
    trace: Vec<String>,
}

impl Run {
    async fn start(seed: u64) -> Self {
        let mut system = System::start_embedded(None).await.unwrap();
        system.time_left = Duration::from_secs(60);
        system.add_cluster(ZK, Store::Zookeeper, 3).unwrap();
        system.add_cluster(RS, Store::Mongodb, 2).unwrap();
        system.apply_discovery(REMOVAL).await.unwrap();
        Run {
            seed,
            system,
            random: StdRng::seed_from_u64(seed),
            turnstile: Turnstile::default(),
            workers: Vec::new(),
            started: 0,
            in_the_air: Vec::new(),
            listed: true,
            now: START,
            mailbox: Vec::new(),
            faults: 0,
            calls: 0,
            trace: Vec::new(),
        }
    }

    fn told(&mut self, what: impl Into<String>) {
        self.trace.push(what.into());
    }

    fn records() -> [RecordName; 3] {
        [
            RecordName::discovery("default", "fleet"),
            RecordName::cluster("default", ZK),
            RecordName::cluster("default", RS),
        ]
    }

    /// Waits until all workers wait. Of a scheduler's reads, 64 a pass, few are worth a turn: the others go through.
    async fn settle(&mut self) {
        loop {
            let (turnstile, workers) = (&self.turnstile, &self.workers);
            turnstile
                .until(|| workers.iter().all(|w| w.running.is_finished() || turnstile.waiting(w.number) > 0))
                .await;
            self.leave(self.turnstile.take_given_up());
            let read = self.turnstile.queue().iter().position(|(_, operation)| operation == "Query");
            match read {
                Some(place) if self.random.random_bool(0.95) => self.turnstile.take(place).pass(None).await,
                _ => break,
            }
        }
        self.workers.retain(|worker| !worker.running.is_finished());
    }

    /// One thing happens.
    async fn turn(&mut self) {
        self.settle().await;
        let waiting = self.turnstile.queue().len();
        match self.random.random_range(0..100) {
            0..10 if self.workers.len() < WORKERS => self.begin().await,
            10..16 => self.change(),
            16..19 => self.expire().await,
            19..22 => self.jump(),
            32..35 => self.apply().await,
            22..30 if !self.in_the_air.is_empty() => {
                let place = self.random.random_range(0..self.in_the_air.len());
                let call = self.in_the_air.swap_remove(place);
                self.told(format!("{call:?} lands"));
                self.turnstile.land(call).await;
            }
            30..32 if !self.workers.is_empty() => self.crash().await,
            _ if waiting > 0 => self.pass(waiting).await,
            _ => self.begin().await,
        }
    }

    /// A scheduler begins, whether another is at work or not, or a worker.
    async fn begin(&mut self) {
        if self.random.random_bool(0.2) {
            let kind = if self.random.random_bool(0.5) { Kind::Discovery } else { Kind::Cluster };
            return self.begin_pass(kind);
        }
        self.receive().await;
        let record = Self::records().choose(&mut self.random).unwrap().clone();
        let task = match self.random.random_range(0..3) {
            0 => Task::manual(record, "test"),
            _ if self.mailbox.is_empty() => Task::scheduled(record, self.now),
            n => {
                // Out of order, and one in two comes again.
                let place = self.random.random_range(0..self.mailbox.len());
                if n == 1 { self.mailbox[place].clone() } else { self.mailbox.swap_remove(place) }
            }
        };
        let (clients, event) = (self.clients_of_next(), self.system.event(std::slice::from_ref(&task)));
        let settings = self.system.local.settings.clone();
        let what =
            format!("{} {}", task.record, if task.stamp.is_some() { "in its turn" } else { "by hand" });
        self.spawn(what, async move {
            match task.record.kind {
                Kind::Discovery => DiscoveryWorker::new(&clients, &settings).handle(event).await,
                Kind::Cluster => RefreshWorker::new(&clients, &settings).handle(event).await,
            };
        });
    }

    fn begin_pass(&mut self, kind: Kind) {
        let scheduler = Scheduler::of(kind, &self.clients_of_next(), &self.timing());
        let (now, until) = (self.now, Instant::now() + LONG);
        self.spawn(format!("a pass over all of {kind}"), async move {
            scheduler.pass(now, until).await;
        });
    }

    fn clients_of_next(&self) -> Clients {
        self.system.clients_through(self.turnstile.gate(self.started))
    }

    fn spawn(&mut self, what: String, work: impl Future<Output = ()> + Send + 'static) {
        let number = self.started;
        self.started += 1;
        self.told(format!("{number} begins: {what}"));
        let turnstile = self.turnstile.clone();
        let running = tokio::spawn(async move {
            work.await;
            turnstile.ended();
        });
        self.workers.push(Worker { number, what, running });
    }

    /// The settings of schedulers that send nothing ahead of its time, which the queue would hold back.
    fn timing(&self) -> Settings {
        Settings { tick: Duration::ZERO, ..self.system.local.settings.clone() }
    }

    /// Takes what the queues hold.
    async fn receive(&mut self) {
        let settings = &self.system.local.settings;
        for url in [&settings.discovery_queue, &settings.refresh_queue] {
            let queue = Queue::new(&self.system.local.clients, url);
            let messages = queue.receive(0).await.unwrap();
            if messages.is_empty() {
                continue;
            }
            let receipts: Vec<String> = messages.iter().map(|message| message.receipt.clone()).collect();
            queue.delete(&receipts).await.unwrap();
            let tasks = messages.iter().map(|message| serde_json::from_str::<Task>(&message.body).unwrap());
            let mut tasks: Vec<Task> = tasks.collect();
            tasks.sort_by(|a, b| (&a.record, a.stamp).cmp(&(&b.record, b.stamp)));
            self.mailbox.extend(tasks);
        }
    }

    /// The world changes, and perhaps back.
    fn change(&mut self) {
        let node = *["node-1", "node-2"].choose(&mut self.random).unwrap();
        let version = format!("9.0.{}", self.random.random_range(0..3));
        let changes = [
            Change::store(ZK, node, StoreState::Down),
            Change::store(ZK, node, StoreState::Up),
            Change::agent(RS, node, AgentState::Gone),
            Change::agent(RS, node, AgentState::Up),
            Change::UpgradeStore { cluster: RS.into(), node: node.into(), version },
            Change::list(RS, false),
            Change::list(RS, true),
        ];
        let change = changes.choose(&mut self.random).unwrap().clone();
        self.told(format!("{change:?}"));
        if let Change::ListCluster { listed, .. } = change {
            self.listed = listed;
        }
        // One that does not fit changes nothing.
        let _ = self.system.fleet.apply(change);
    }

    /// An operator applies an object, or deletes one.
    async fn apply(&mut self) {
        let record = Self::records().choose(&mut self.random).unwrap().clone();
        let seconds = self.random.random_range(5..8);
        if record.kind == Kind::Discovery {
            self.told(format!("{record} is applied: {seconds} s"));
            let more = format!("{REMOVAL}  agents: {{ timeout: {seconds}s }}\n");
            return self.system.apply_discovery(&more).await.unwrap();
        }
        let table = &self.system.table;
        match table.object(ObjectKind::Cluster, "default", &record.id).await.unwrap() {
            Some(object) if self.random.random_bool(0.3) => {
                let (version, now) = (object.version, Timestamp::now());
                table
                    .delete_object(ObjectKind::Cluster, "default", &record.id, version, "test", now)
                    .await
                    .unwrap();
                self.told(format!("the object of {record} is deleted"));
            }
            _ => {
                self.told(format!("an object of {record} is applied: {seconds} s"));
                let object = format!(
                    "apiVersion: replicante.io/v0\nkind: Cluster\nmetadata: {{ name: {} }}\nspec: {{ interval: {seconds}s }}\n",
                    record.id
                );
                self.system.apply(&object).await.unwrap();
            }
        }
    }

    async fn expire(&mut self) {
        let record = Self::records().choose(&mut self.random).unwrap().clone();
        self.told(format!("the lease of {record} expires"));
        self.system.expire_lease(&record).await.unwrap();
    }

    /// Time passes, for the schedulers: less than an interval, or more than they wait for a task.
    fn jump(&mut self) {
        let seconds = *[1, 5, 30, 600].choose(&mut self.random).unwrap();
        self.told(format!("{seconds} s pass"));
        self.now = self.now.plus(Duration::from_secs(seconds));
    }

    /// A worker dies. Its calls are lost, or stay in the air.
    async fn crash(&mut self) {
        let place = self.random.random_range(0..self.workers.len());
        let worker = self.workers.swap_remove(place);
        self.told(format!("{} dies: {}", worker.number, worker.what));
        self.end(worker).await;
    }

    async fn end(&mut self, worker: Worker) {
        worker.running.abort();
        let _ = worker.running.await;
        self.leave(self.turnstile.take_all(worker.number));
    }

    /// Of calls that nobody waits for any more, some are lost, and some stay in the air.
    fn leave(&mut self, calls: Vec<Waiting>) {
        for call in calls {
            if self.random.random_bool(0.5) {
                self.in_the_air.push(call.abandoned());
            }
        }
    }

    /// A call goes through the turnstile: as it is, under a fault, or into the air.
    async fn pass(&mut self, waiting: usize) {
        let place = self.random.random_range(0..waiting);
        let (worker, operation) = self.turnstile.queue().swap_remove(place);
        let call = self.turnstile.take(place);
        self.calls += 1;
        if self.random.random_bool(0.8) {
            self.told(format!("{worker}: {operation}"));
            return call.pass(None).await;
        }
        self.faults += 1;
        if self.random.random_bool(0.2) {
            self.told(format!("{worker}: {operation}: in the air"));
            let call = call.fly().await;
            return self.in_the_air.push(call);
        }
        let faults = [
            Fault::Unsent,
            Fault::Unanswered,
            Fault::Throttled,
            Fault::CrashAfter,
            Fault::InPart,
            Fault::OutOfOrder,
        ];
        let fault = faults[..if call.is_batch() { 6 } else { 4 }].choose(&mut self.random).copied();
        self.told(format!("{worker}: {operation}: {fault:?}"));
        call.pass(fault).await;
        if fault == Some(Fault::CrashAfter) {
            let place = self.workers.iter().position(|known| known.number == worker).unwrap();
            let worker = self.workers.swap_remove(place);
            self.end(worker).await;
        }
    }

    /// A worker that nothing disturbs.
    async fn work(&self, task: Task) -> Result<(), String> {
        let record = task.record.clone();
        self.system.expire_lease(&record).await.map_err(|error| error.to_string())?;
        let response = match record.kind {
            Kind::Discovery => self.system.run_discovery(task).await,
            Kind::Cluster => self.system.run_refresh(task).await,
        };
        match response.batch_item_failures.is_empty() {
            true => Ok(()),
            false => Err(format!("{record} can't be worked on: {:?}", self.system.reports().pop())),
        }
    }

    /// Once they no longer wait for what they sent, the schedulers find every record, whatever became of it.
    async fn find_all(&mut self) -> Result<(), String> {
        let timing = self.timing();
        self.now = self.now.plus(timing.give_up()).plus(LONG);
        self.receive().await;
        self.mailbox.clear();
        for kind in [Kind::Discovery, Kind::Cluster] {
            let scheduler = Scheduler::of(kind, &self.system.local.clients, &timing);
            let pass = scheduler.pass(self.now, Instant::now() + LONG).await;
            let mut records = 0;
            for record in Self::records().iter().filter(|record| record.kind == kind) {
                records += u64::from(self.head(record).await?.is_some());
            }
            if pass.error.is_some() || (pass.records, pass.queued) != (records, records) {
                return Err(format!("of {records} records of {kind}: {pass:?}"));
            }
        }
        self.receive().await;
        for task in std::mem::take(&mut self.mailbox) {
            let (record, stamp) = (task.record.clone(), task.stamp);
            self.work(task).await?;
            // One that has ended is done for good.
            if let Some(head) = self.head(&record).await?
                && Some(head.done_due) < stamp
            {
                return Err(format!("{record} is done until {}, and was due at {stamp:?}", head.done_due));
            }
        }
        Ok(())
    }

    async fn head(&self, record: &RecordName) -> Result<Option<Head>, String> {
        self.system.table.head(record).await.map_err(|error| error.to_string())
    }

    /// All workers die, what is in the air lands or is lost, and clean runs follow: nothing is lost, repeated or
    /// invented, and what is stored is how the world is.
    async fn recover(&mut self) -> Result<(), String> {
        while let Some(worker) = self.workers.pop() {
            self.end(worker).await;
        }
        while let Some(call) = self.in_the_air.pop() {
            if self.random.random_bool(0.5) {
                self.told(format!("{call:?} lands at last"));
                self.turnstile.land(call).await;
            }
        }
        self.find_all().await?;
        let mut told = 0;
        for round in 0..3 {
            for record in Self::records() {
                self.work(Task::manual(record, "test")).await?;
            }
            let now = self.system.history().await.map_err(|error| error.to_string())?.records.len();
            if round == 2 && now != told {
                return Err(format!("{} events more, and nothing changed", now - told));
            }
            told = now;
        }
        let there = self.head(&RecordName::cluster("default", RS)).await?.is_some();
        if there != self.listed {
            return Err(format!("{RS} is listed: {}; it has a record: {there}", self.listed));
        }
        let checked = self.system.check().await.map_err(|error| error.to_string())?;
        for record in Self::records() {
            // Of one that has ended, what came since is told when it returns.
            let Some(head) = self.head(&record).await? else { continue };
            let told = checked.changes_told(&record.key());
            if head.has_to_tell() || !told.iter().copied().eq(1..=head.told) {
                return Err(format!("{record} tells {told:?} of its object: {head:?}"));
            }
        }
        Ok(())
    }
}

struct Came {
    calls: usize,
    faults: usize,
}

async fn run(seed: u64) -> Came {
    let mut run = Run::start(seed).await;
    // The first discovery is undisturbed, so that there is something to disturb.
    run.system.discover().await;
    for _ in 0..TURNS {
        run.turn().await;
    }
    if let Err(problem) = run.recover().await {
        panic!(
            "{problem}\n\nwhat happened:\n  {}\n\nagain: REPLICANTE_SEED={} cargo test -p replicante-tests --test \
             faults at_random",
            run.trace.join("\n  "),
            run.seed
        );
    }
    Came { calls: run.calls, faults: run.faults }
}

/// The seeds of one of the tests, which share them so that they keep two processors busy.
fn seeds(first: u64) -> Vec<u64> {
    let number = |name: &str| std::env::var(name).ok().map(|value| value.parse::<u64>().unwrap());
    match number("REPLICANTE_SEED") {
        Some(seed) => (seed % 2 == first).then_some(seed).into_iter().collect(),
        None => (first..number("REPLICANTE_SEEDS").unwrap_or(SEEDS)).step_by(2).collect(),
    }
}

async fn all(first: u64) {
    let (mut calls, mut faults, seeds) = (0, 0, seeds(first));
    for seed in &seeds {
        let came = run(*seed).await;
        calls += came.calls;
        faults += came.faults;
    }
    println!("{} seeds: {calls} calls, {faults} faults", seeds.len());
    if seeds.len() > 10 {
        assert!(faults > seeds.len() && calls > 10 * seeds.len());
    }
}

#[tokio::test]
async fn even_seeds_keep_the_promise() {
    all(0).await;
}

#[tokio::test]
async fn odd_seeds_keep_the_promise() {
    all(1).await;
}

#[tokio::test]
async fn a_seed_repeats_exactly() {
    let mut traces = Vec::new();
    for _ in 0..2 {
        let mut run = Run::start(7).await;
        run.system.discover().await;
        for _ in 0..TURNS {
            run.turn().await;
        }
        traces.push(std::mem::take(&mut run.trace));
        run.recover().await.unwrap();
    }
    assert_eq!(traces[0], traces[1]);
}
