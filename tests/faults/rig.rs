//! A system whose workers' calls can be faulted, one act at a time.

use std::cell::Cell;
use std::time::Duration;

use replicante_discovery_worker::DiscoveryWorker;
use replicante_fleet::Change;
use replicante_model::{Kind, RecordName, Timestamp};
use replicante_protocol::task::Task;
use replicante_refresh_worker::RefreshWorker;
use replicante_tests::System;
use replicante_tests::faults::{Fault, Faults, Layer};
use replicante_tests::story::{CLUSTERS, REMOVAL};

/// Deliveries of a task until it must have succeeded: a fault strikes the first alone.
const DELIVERIES: usize = 3;

/// Services, fleet, and workers whose calls go through the faults.
pub struct Rig {
    pub system: System,
    discovery: DiscoveryWorker,
    refresh: RefreshWorker,
    faults: Faults,
    acts: Cell<u64>,
}

/// What an act did until it was first delivered.
#[derive(Debug)]
pub struct Act {
    /// The calls that it made, by operation.
    pub calls: Vec<String>,
    /// The operation that was struck, if any.
    pub struck: Option<String>,
}

impl Rig {
    pub async fn start() -> Self {
        let mut system = System::start_embedded(None).await.unwrap();
        system.time_left = Duration::from_secs(30);
        system.apply_discovery(REMOVAL).await.unwrap();
        let faults = Faults::default();
        let clients = system.clients_through(Layer::new(&faults));
        let settings = &system.local.settings;
        let (discovery, refresh) =
            (DiscoveryWorker::new(&clients, settings), RefreshWorker::new(&clients, settings));
        Rig { system, discovery, refresh, faults, acts: Cell::new(0) }
    }

    /// Before some of the acts an operator applies an object.
    pub async fn apply(&self, number: usize) {
        match number % 5 {
            1 => {
                let object = format!(
                    "apiVersion: replicante.io/v0\nkind: Cluster\nmetadata: {{ name: zk }}\nspec: {{ interval: {number}m }}\n"
                );
                self.system.apply(&object).await.unwrap();
            }
            3 => {
                let more = format!("{REMOVAL}  agents: {{ timeout: {number}s }}\n");
                self.system.apply_discovery(&more).await.unwrap();
            }
            _ => {}
        }
    }

    /// What happens next in the world, then a discovery and a refresh of each cluster. In each of these acts the call of
    /// this number is faulted, and the act recovered, before the next begins.
    pub async fn step(&self, changes: Vec<Change>, fault: Option<(usize, Fault)>) -> Vec<Act> {
        for change in changes {
            self.system.fleet.apply(change).unwrap();
        }
        let mut acts = vec![self.act(RecordName::discovery("default", "fleet"), fault).await];
        for cluster in CLUSTERS {
            let record = RecordName::cluster("default", cluster);
            if self.system.table.head(&record).await.unwrap().is_some() {
                acts.push(self.act(record, fault).await);
            }
        }
        acts
    }

    async fn act(&self, record: RecordName, fault: Option<(usize, Fault)>) -> Act {
        // Every other task is one that somebody asked for.
        self.acts.set(self.acts.get() + 1);
        let task = if self.acts.get().is_multiple_of(2) {
            let done = self.system.head(&record).await.unwrap().done_due;
            Task::scheduled(record.clone(), Timestamp(done.0 + 1))
        } else {
            Task::manual(record.clone(), "test")
        };
        match fault {
            Some((call, fault)) => self.faults.arm(call, fault),
            None => self.faults.disarm(),
        }
        let mut done = self.deliver(&task).await;
        let act = Act { calls: self.faults.calls(), struck: self.faults.struck() };
        self.faults.disarm();
        let mut deliveries = 1;
        while !done {
            assert!(deliveries < DELIVERIES, "{task:?} fails without a fault, after {act:?}");
            self.system.expire_lease(&record).await.unwrap();
            done = self.deliver(&task).await;
            deliveries += 1;
        }
        if act.struck.is_some() {
            // What an acknowledged task left undone is for the next.
            self.system.expire_lease(&record).await.unwrap();
            assert!(self.deliver(&Task::manual(record.clone(), "test")).await, "after {act:?}");
        }
        // A record that has ended has no head.
        if let Some(head) = self.system.table.head(&record).await.unwrap() {
            assert!(!head.owed && head.published == head.sequence, "{head:?} after {act:?}");
        }
        act
    }

    /// Whether the task's message may be deleted.
    async fn deliver(&self, task: &Task) -> bool {
        let event = self.system.event(std::slice::from_ref(task));
        let handled = async {
            match task.record.kind {
                Kind::Discovery => self.discovery.handle(event).await,
                Kind::Cluster => self.refresh.handle(event).await,
            }
        };
        let response = self.faults.run(handled).await;
        response.is_some_and(|response| response.batch_item_failures.is_empty())
    }
}
