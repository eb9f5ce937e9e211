//! Several workers at once, with faults, crashes, expired leases and calls that land late, as a seed says.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use replicante_discovery_worker::DiscoveryWorker;
use replicante_fleet::{AgentState, Change, Kind as Store, StoreState};
use replicante_model::{Kind, RecordName, Timestamp};
use replicante_protocol::task::Task;
use replicante_refresh_worker::RefreshWorker;
use replicante_tests::System;
use replicante_tests::faults::{Fault, InTheAir, Turnstile};
use tokio::task::JoinHandle;

/// Seeds of a quick run. `REPLICANTE_SEEDS` runs as many as one likes, `REPLICANTE_SEED` the one that it names.
const SEEDS: u64 = 12;
/// What happens in a run, until all is recovered.
const TURNS: usize = 120;
const WORKERS: usize = 4;
const ZK: &str = "zk";
const RS: &str = "rs";

struct Worker {
    number: usize,
    record: RecordName,
    running: JoinHandle<()>,
}

struct Run {
    seed: u64,
    system: System,
    random: StdRng,
    turnstile: Turnstile,
    workers: Vec<Worker>,
    started: usize,
    in_the_air: Vec<InTheAir>,
    stamps: i64,
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
        system.apply_discovery("").await.unwrap();
        Run {
            seed,
            system,
            random: StdRng::seed_from_u64(seed),
            turnstile: Turnstile::default(),
            workers: Vec::new(),
            started: 0,
            in_the_air: Vec::new(),
            stamps: 0,
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

    /// One thing happens.
    async fn turn(&mut self) {
        let turnstile = self.turnstile.clone();
        let workers = &self.workers;
        turnstile
            .until(|| workers.iter().all(|w| w.running.is_finished() || turnstile.waiting(w.number) > 0))
            .await;
        self.workers.retain(|worker| !worker.running.is_finished());
        let waiting = self.turnstile.queue().len();
        match self.random.random_range(0..100) {
            0..10 if self.workers.len() < WORKERS => self.begin(),
            10..16 => self.change(),
            16..22 => self.expire().await,
            22..30 if !self.in_the_air.is_empty() => {
                let place = self.random.random_range(0..self.in_the_air.len());
                let call = self.in_the_air.swap_remove(place);
                self.told(format!("{call:?} lands"));
                self.turnstile.land(call).await;
            }
            30..32 if !self.workers.is_empty() => self.crash().await,
            _ if waiting > 0 => self.pass(waiting).await,
            _ => self.begin(),
        }
    }

    /// A worker begins, with a task that is new or that came before.
    fn begin(&mut self) {
        let record = Self::records().choose(&mut self.random).unwrap().clone();
        let task = match self.random.random_range(0..3) {
            0 => Task::manual(record.clone(), "test"),
            n => {
                // One in two is a copy of an earlier one, or comes out of order.
                self.stamps += i64::from(n == 1);
                let late = self.random.random_range(0..=2);
                Task::scheduled(record.clone(), Timestamp((self.stamps - late).max(1)))
            }
        };
        let number = self.started;
        self.started += 1;
        self.told(format!("worker {number} begins {task:?}"));
        let clients = self.system.clients_through(self.turnstile.gate(number));
        let (settings, event) = (self.system.local.settings.clone(), self.system.event(&[task]));
        let turnstile = self.turnstile.clone();
        let kind = record.kind;
        let running = tokio::spawn(async move {
            match kind {
                Kind::Discovery => DiscoveryWorker::new(&clients, &settings).handle(event).await,
                Kind::Cluster => RefreshWorker::new(&clients, &settings).handle(event).await,
            };
            turnstile.ended();
        });
        self.workers.push(Worker { number, record, running });
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
        // One that does not fit changes nothing.
        let _ = self.system.fleet.apply(change);
    }

    async fn expire(&mut self) {
        let record = Self::records().choose(&mut self.random).unwrap().clone();
        self.told(format!("the lease of {record} expires"));
        self.system.expire_lease(&record).await.unwrap();
    }

    /// A worker dies. Its calls are lost, or stay in the air.
    async fn crash(&mut self) {
        let place = self.random.random_range(0..self.workers.len());
        let worker = self.workers.swap_remove(place);
        self.told(format!("worker {} of {} dies", worker.number, worker.record));
        self.end(worker).await;
    }

    async fn end(&mut self, worker: Worker) {
        worker.running.abort();
        let _ = worker.running.await;
        for waiting in self.turnstile.take_all(worker.number) {
            if self.random.random_bool(0.5) {
                self.in_the_air.push(waiting.abandoned());
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
            self.told(format!("worker {worker}: {operation}"));
            return call.pass(None).await;
        }
        self.faults += 1;
        if self.random.random_bool(0.2) {
            self.told(format!("worker {worker}: {operation}: in the air"));
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
        self.told(format!("worker {worker}: {operation}: {fault:?}"));
        call.pass(fault).await;
        if fault == Some(Fault::CrashAfter) {
            let place = self.workers.iter().position(|known| known.number == worker).unwrap();
            let worker = self.workers.swap_remove(place);
            self.end(worker).await;
        }
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
        let mut told = 0;
        for round in 0..3 {
            for record in Self::records() {
                if self.system.table.head(&record).await.map_err(|error| error.to_string())?.is_none() {
                    return Err(format!("{record} has no head in round {round}"));
                }
                self.system.expire_lease(&record).await.map_err(|error| error.to_string())?;
                let task = Task::manual(record.clone(), "test");
                let response = match record.kind {
                    Kind::Discovery => self.system.run_discovery(task).await,
                    Kind::Cluster => self.system.run_refresh(task).await,
                };
                if !response.batch_item_failures.is_empty() {
                    return Err(format!("{record} can't be worked on: {:?}", self.system.reports().pop()));
                }
            }
            let now = self.system.history().await.map_err(|error| error.to_string())?.records.len();
            if round == 2 && now != told {
                return Err(format!("{} events more, and nothing changed", now - told));
            }
            told = now;
        }
        self.system.check().await.map_err(|error| error.to_string())?;
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
#[ignore = "takes minutes"]
async fn even_seeds_keep_the_promise() {
    all(0).await;
}

#[tokio::test]
#[ignore = "takes minutes"]
async fn odd_seeds_keep_the_promise() {
    all(1).await;
}

#[tokio::test]
#[ignore = "takes minutes"]
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
