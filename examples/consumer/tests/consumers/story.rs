//! What the stream tells: histories of some clusters, as a publisher sends them that is refused in part, dies, and begins
//! again.

use std::ops::{Range, RangeBounds};

use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use replicante_model::change::{Change, SnapshotPart};
use replicante_model::diff::diff;
use replicante_model::event::{Cause, Sealer};
use replicante_model::fold::fold;
use replicante_model::health::health;
use replicante_model::observation::Role;
use replicante_model::snapshot::snapshot;
use replicante_model::view::{ClusterView, NodeStatus, NodeView};
use replicante_model::{RecordName, Timestamp};

/// Epoch and sequence.
pub type Place = (u64, u64);

/// A record of Kinesis: partition key and data.
pub type Put = (String, Vec<u8>);

/// One cluster's history.
pub struct Tale {
    pub record: RecordName,
    pub view: Option<ClusterView>,
    /// Place and bytes of each event.
    events: Vec<(Place, Vec<u8>)>,
    /// What arrives, by index of `events`.
    arrives: Vec<usize>,
    /// What is told, and has not arrived yet, begins here.
    unsent: usize,
    at: Place,
    random: StdRng,
}

impl Tale {
    pub fn of(cluster: &str, seed: u64) -> Self {
        Tale {
            record: RecordName::cluster("default", cluster),
            view: None,
            events: Vec::new(),
            arrives: Vec::new(),
            unsent: 0,
            at: (1_767_319_445, 0),
            random: StdRng::seed_from_u64(seed),
        }
    }

    fn tell(&mut self, changes: &[Change]) {
        let record = &self.record;
        let sealer = Sealer {
            source: "/replicante/test",
            record,
            epoch: self.at.0,
            sequence: self.at.1,
            time: Timestamp(1_767_319_445_678),
            cause: Cause::Schedule,
            actor: None,
            maintenance: None,
        };
        for sealed in sealer.seal(changes, usize::MAX, usize::MAX).unwrap() {
            self.at.1 = sealed.sequence;
            self.events.push((self.at, sealed.bytes));
        }
    }

    /// Refreshes, each of which finds something. Returns the place of the last event.
    pub fn refreshes(&mut self, count: usize) -> Place {
        for _ in 0..count {
            let mut view = self.view.clone().unwrap_or_else(fleet);
            self.disturb(&mut view);
            view.health = Some(health(&view));
            let changes = diff(self.view.as_ref(), &view);
            assert_eq!(fold(self.view.clone(), &changes).unwrap().as_ref(), Some(&view));
            self.tell(&changes);
            self.view = Some(view);
        }
        self.send();
        self.at
    }

    /// A snapshot in three parts. Returns the place of the first.
    pub fn snapshot(&mut self) -> Place {
        let view = self.view.as_ref().unwrap();
        let whole = snapshot(view);
        let [Change::ClusterSnapshot(whole)] = &whole[..] else { panic!("the view is small") };
        let SnapshotPart { cluster, record, nodes, shards, primaries, conflicts, .. } = *whole.clone();
        let parts = [
            SnapshotPart { cluster, record, ..SnapshotPart::default() },
            SnapshotPart { nodes, ..SnapshotPart::default() },
            SnapshotPart { shards, primaries, conflicts, ..SnapshotPart::default() },
        ];
        let numbered = (1..).zip(parts).map(|(part, it)| SnapshotPart { part, parts: 3, ..it });
        let changes: Vec<Change> = numbered.map(|part| Change::ClusterSnapshot(Box::new(part))).collect();
        assert_eq!(fold(None, &changes).unwrap().as_ref(), Some(view));
        let first = (self.at.0, self.at.1 + 1);
        self.tell(&changes);
        self.send();
        first
    }

    /// The cluster was removed, and returns.
    pub fn returns(&mut self) {
        self.at = (self.at.0 + 1000, 0);
        self.view = None;
    }

    /// The stream was trimmed, or somebody lost them: the events of these numbers, of the present epoch, never arrive.
    pub fn lose(&mut self, numbers: impl RangeBounds<u64>) {
        self.lose_from(0, numbers);
    }

    /// They don't arrive after so many others.
    pub fn lose_from(&mut self, arrived: usize, numbers: impl RangeBounds<u64>) {
        let mut later = self.arrives.split_off(arrived);
        later.retain(|event| {
            let (epoch, sequence) = self.events[*event].0;
            epoch != self.at.0 || !numbers.contains(&sequence)
        });
        self.arrives.extend(later);
    }

    /// How many events arrived, copies included.
    pub fn arrived(&self) -> usize {
        self.arrives.len()
    }

    pub fn puts(&self, arrived: Range<usize>) -> Vec<Put> {
        let key = self.record.key();
        self.arrives[arrived].iter().map(|event| (key.clone(), self.events[*event].1.clone())).collect()
    }

    /// The last event that was told.
    pub fn last(&self) -> Put {
        (self.record.key(), self.events.last().unwrap().1.clone())
    }

    /// Sends what is told and not sent, as `Stream::publish` and those that take over do: from the first event that is
    /// not accepted, it and all that follow again. In the end all are accepted. Sometimes what was sent long ago comes
    /// once more.
    fn send(&mut self) {
        let end = self.events.len();
        while self.unsent < end {
            let size = self.random.random_range(1..12);
            let mut batch: Vec<usize> = (self.unsent..end.min(self.unsent + size)).collect();
            let sent = batch.clone();
            batch.retain(|_| self.random.random_bool(0.8));
            if self.random.random_bool(0.3) {
                batch.shuffle(&mut self.random);
            }
            let place = |event: usize| batch.iter().position(|landed| *landed == event);
            let in_order = |event: &usize| {
                place(*event).is_some() && (*event == sent[0] || place(*event) > place(*event - 1))
            };
            let accepted = sent.iter().copied().take_while(in_order).count();
            let dies = self.random.random_bool(0.2);
            self.unsent += if dies { 0 } else { accepted };
            self.arrives.extend(batch);
        }
        let first = self.random.random_range(0..end);
        self.arrives.extend(first..end.min(first + 10));
    }

    /// Some nodes are not what they were.
    fn disturb(&mut self, view: &mut ClusterView) {
        let chosen = self.random.random_range(0..view.nodes.len());
        let Some(node) = view.nodes.values_mut().nth(chosen) else { return };
        node.status = match &node.status {
            NodeStatus::Up if self.random.random_bool(0.5) => {
                NodeStatus::AgentDown { reason: "connection refused".into() }
            }
            NodeStatus::Up => NodeStatus::NodeDown { reason: "info/datastore: status 500".into() },
            _ => NodeStatus::Up,
        };
        let role = node.shards.get_mut("orders/0").unwrap();
        *role = if *role == Role::Secondary { Role::Recovering } else { Role::Secondary };
    }
}

fn fleet() -> ClusterView {
    let mut view = ClusterView { discovery: Some("fleet".into()), ..ClusterView::default() };
    for id in ["node-1", "node-2", "node-3"] {
        let mut node = NodeView::unseen(format!("http://{id}.example.com:8000"));
        node.status = NodeStatus::Up;
        node.shards.insert("orders/0".into(), Role::Secondary);
        view.record.insert(id.into(), node.address.clone());
        view.nodes.insert(id.into(), node);
    }
    view
}

/// What arrives of all tales, mixed, each in its own order.
pub fn mixed(tales: &[&Tale], random: &mut StdRng) -> Vec<Put> {
    let mut queues: Vec<_> = tales.iter().map(|tale| tale.puts(0..tale.arrived()).into_iter()).collect();
    let mut puts = Vec::new();
    while !queues.is_empty() {
        let queue = random.random_range(0..queues.len());
        match queues[queue].next() {
            Some(put) => puts.push(put),
            None => drop(queues.swap_remove(queue)),
        }
    }
    puts
}

/// Some events of a discovery: nobody's state is made of them.
pub fn of_a_discovery() -> Vec<Put> {
    let record = RecordName::discovery("default", "fleet");
    let sealer = Sealer {
        source: "/replicante/test",
        record: &record,
        epoch: 1,
        sequence: 40,
        time: Timestamp(1_767_319_445_678),
        cause: Cause::Schedule,
        actor: None,
        maintenance: None,
    };
    let failed = Change::DiscoveryFailed { reason: "status 500".into() };
    let sealed = sealer.seal([&failed, &failed], 2, usize::MAX).unwrap();
    sealed.into_iter().map(|event| (record.key(), event.bytes)).collect()
}
