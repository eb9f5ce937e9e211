//! A system with deployed workers, and one process more, whose calls go through a tap.

use std::pin::pin;
use std::time::Duration;

use replicante_fleet::{Change, Kind as Store};
use replicante_local::task_payload;
use replicante_model::{Kind, RecordName};
use replicante_protocol::task::Task;
use replicante_tests::System;
use replicante_tests::bootstraps::{Ended, Function, Moment, Sandbox, Signals, Tap};

/// An invocation that nothing hurries.
pub const LONG: Duration = Duration::from_secs(60);

pub struct Rig {
    pub system: System,
    pub tap: Tap,
    kind: Kind,
    told: u64,
}

/// A system with these settings; `None` where no bootstraps are named.
pub async fn deployed(settings: &[(&str, &str)]) -> Option<System> {
    let system = System::start_with(settings).await.unwrap();
    if system.deployed().is_none() {
        println!("skipped: REPLICANTE_TEST_BOOTSTRAPS names no bootstraps");
        return None;
    }
    Some(system)
}

/// A new process for this kind of record, whose calls go through the tap.
pub async fn process(system: &System, tap: &Tap, kind: Kind) -> Sandbox {
    let function = match kind {
        Kind::Discovery => Function::DiscoveryWorker,
        Kind::Cluster => Function::RefreshWorker,
    };
    let mut image = system.deployed().unwrap().image(function);
    image.environment.extend(tap.environment.clone());
    Sandbox::start(&image).await.unwrap()
}

/// Hands the process a task, and does something to it at its call of this number. Whether there was such a call.
pub async fn disturbed(
    tap: &Tap,
    process: &mut Sandbox,
    task: Task,
    (call, moment): (usize, Moment),
    most: Duration,
    disturb: impl AsyncFnOnce(Signals),
) -> (Ended, bool) {
    let payload = task_payload(&[task]).unwrap();
    let (there, signals) = (tap.stop_at(call, moment), process.signals().unwrap());
    let mut invoking = pin!(process.invoke(&payload, most));
    tokio::select! {
        ended = &mut invoking => (ended.unwrap(), false),
        Ok(()) = there => {
            disturb(signals).await;
            (invoking.await.unwrap(), true)
        }
    }
}

impl Rig {
    /// A cluster that was heard of, and a process for this kind of record.
    pub async fn start(kind: Kind, settings: &[(&str, &str)]) -> Option<Self> {
        let system = deployed(settings).await?;
        let tap = Tap::start(&system.local.environment).await.unwrap();
        system.add_cluster("zk", Store::Zookeeper, 3).unwrap();
        system.apply_discovery("").await.unwrap();
        system.discover().await;
        system.refresh("zk").await;
        let mut rig = Rig { system, tap, kind, told: 0 };
        rig.told = rig.recovered().await;
        Some(rig)
    }

    pub fn record(&self) -> RecordName {
        match self.kind {
            Kind::Discovery => RecordName::discovery("default", "fleet"),
            Kind::Cluster => RecordName::cluster("default", "zk"),
        }
    }

    fn task(&self) -> Task {
        Task::manual(self.record(), "test")
    }

    /// A new process whose calls go through the tap.
    pub async fn process(&self) -> Sandbox {
        process(&self.system, &self.tap, self.kind).await
    }

    /// The world changes in a way that this kind of record has to tell.
    pub fn change(&self, name: &str) {
        let change = Change::RenameCluster { cluster: "zk".into(), display_name: Some(name.into()) };
        self.system.fleet.apply(change).unwrap();
    }

    /// Hands the process a task, and does something to it at its call of this number. Whether there was such a call.
    pub async fn disturbed(
        &self,
        process: &mut Sandbox,
        at: (usize, Moment),
        most: Duration,
        disturb: impl AsyncFnOnce(Signals),
    ) -> (Ended, bool) {
        disturbed(&self.tap, process, self.task(), at, most, disturb).await
    }

    /// Another process does the task.
    pub async fn work(&self) {
        let response = match self.kind {
            Kind::Discovery => self.system.run_discovery(self.task()).await,
            Kind::Cluster => self.system.run_refresh(self.task()).await,
        };
        assert!(response.batch_item_failures.is_empty(), "{:?}", self.system.reports());
    }

    /// The lease is over, the task comes again, and one more finds nothing to tell: the stream holds what is stored, and
    /// what is stored is how the world is. Returns the last number that was told.
    pub async fn recovered(&self) -> u64 {
        self.system.expire_lease(&self.record()).await.unwrap();
        self.work().await;
        let told = self.system.head(&self.record()).await.unwrap();
        assert!(!told.owed && told.published == told.sequence, "{told:?}");
        self.work().await;
        let head = self.system.head(&self.record()).await.unwrap();
        assert_eq!(head.sequence, told.sequence, "nothing changed, and something was told");
        self.system.check().await.unwrap();
        head.sequence
    }

    /// The same, after something changed: it is told, by whom it may.
    pub async fn told(&mut self) {
        let told = self.recovered().await;
        assert!(self.kind == Kind::Discovery || told > self.told, "the change was lost");
        self.told = told;
    }

    /// What was in the air lands at last, and changes nothing any more.
    pub async fn landed(&mut self) {
        self.tap.release().await;
        self.system.check().await.unwrap();
        assert_eq!(self.recovered().await, self.told, "what landed late counts");
    }
}
