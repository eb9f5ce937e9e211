//! Discovery with removal: items and their owner, `wanted`, tombstones, and the return of what was removed.
//!
//! What a discovery and a cluster do within their own records is the record's model; a commit is one step here. This
//! one is about what passes between them: the discovery item, the creation of heads, and the end of a record, by the claim
//! after the one that told of its removal.

mod mutants;
mod properties;
mod state;

use stateright::{Model, Property};

pub use self::mutants::{BOUNDS, MUTANTS};
pub use self::properties::*;
pub use self::state::{Bounds, Setup};
use self::state::{
    Discovery, DiscoveryStep, DiscoveryWorker, Head, Item, RefreshStep, RefreshWorker, State, Status,
    Tombstone,
};
use crate::rule::Rule;

/// The model of one cluster, with two discovery workers and two refresh workers.
#[derive(Clone, Debug)]
pub struct RemovalModel {
    /// Bounds, and the rule that is left out.
    pub setup: Setup,
}

/// What happens next. A call that lands late is a worker that makes it late: each may wait at any step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// The source reports the cluster, or no longer.
    Change,
    /// A discovery worker takes its next step; an idle one claims.
    Discover(usize),
    /// A refresh worker takes its next step; an idle one claims.
    Refresh(usize),
    /// A discovery worker dies.
    CrashDiscovery(usize),
    /// A refresh worker dies.
    CrashRefresh(usize),
}

impl Model for RemovalModel {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let Bounds { changes, discoveries, refreshes, crashes, .. } = self.setup.bounds;
        vec![State { source: true, left: (changes, discoveries, refreshes, crashes), ..State::default() }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        let (changes, discoveries, refreshes, crashes) = state.left;
        if changes > 0 {
            actions.push(Action::Change);
        }
        for (w, worker) in state.discovering.iter().enumerate() {
            let idle = worker.step == DiscoveryStep::Idle;
            if !idle || discoveries > 0 {
                actions.push(Action::Discover(w));
            }
            if !idle && crashes > 0 {
                actions.push(Action::CrashDiscovery(w));
            }
        }
        for (w, worker) in state.refreshing.iter().enumerate() {
            let idle = worker.step == RefreshStep::Idle;
            if !idle || (refreshes > 0 && state.head.is_some()) {
                actions.push(Action::Refresh(w));
            }
            if !idle && crashes > 0 {
                actions.push(Action::CrashRefresh(w));
            }
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = *last;
        match action {
            Action::Change => {
                state.left.0 -= 1;
                state.source = !state.source;
            }
            Action::Discover(w) => {
                if state.discovering[w].step == DiscoveryStep::Idle {
                    state.left.1 -= 1;
                }
                state.discovering[w] = self.discover(&mut state, last.discovering[w], self.discovery_of(w));
            }
            Action::Refresh(w) => {
                if state.refreshing[w].step == RefreshStep::Idle {
                    state.left.2 -= 1;
                }
                state.refreshing[w] = self.refresh(&mut state, last.refreshing[w]);
            }
            Action::CrashDiscovery(w) => {
                state.left.3 -= 1;
                state.discovering[w] = DiscoveryWorker::default();
            }
            Action::CrashRefresh(w) => {
                state.left.3 -= 1;
                state.refreshing[w] = RefreshWorker::default();
            }
        }
        if !self.setup.bounds.rival {
            state.discovering.sort_unstable();
        }
        state.refreshing.sort_unstable();
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        properties::all()
    }
}

impl RemovalModel {
    /// Which discovery a discovery worker works for.
    fn discovery_of(&self, worker: usize) -> usize {
        if self.setup.bounds.rival { worker } else { 0 }
    }

    /// The next step of a discovery worker.
    fn discover(&self, state: &mut State, worker: DiscoveryWorker, discovery: usize) -> DiscoveryWorker {
        let owner = u8::from(discovery == 1) + 1;
        let present = state.source || discovery == 1;
        let record = &mut state.discoveries[discovery];
        let then = |step| DiscoveryWorker { step, ..worker };
        match worker.step {
            DiscoveryStep::Idle => {
                record.fence += 1;
                let Discovery { fence, cluster, owed } = *record;
                let step = if owed { self.first_of_delivery() } else { DiscoveryStep::Fetch };
                DiscoveryWorker { step, fence, status: cluster, owed_first: owed }
            }
            DiscoveryStep::Fetch => {
                let found = match (present, worker.status) {
                    (true, _) => Status::Present,
                    (false, Status::Unknown) => Status::Unknown,
                    (false, _) => Status::Removed,
                };
                let unchanged = found == worker.status;
                then(if unchanged { DiscoveryStep::Release } else { DiscoveryStep::Commit(found) })
            }
            DiscoveryStep::Commit(found) => {
                if record.fence != worker.fence {
                    return DiscoveryWorker::default();
                }
                record.cluster = found;
                record.owed = self.setup.keeps(Rule::ItemsAreOwed);
                DiscoveryWorker { status: found, owed_first: false, ..then(self.first_of_delivery()) }
            }
            DiscoveryStep::WriteItem => {
                let Item { owner: stored, fence, .. } = state.item;
                if stored != 0 && stored != owner && self.setup.keeps(Rule::ItemOwner) {
                    // Contested: that is noted, and nothing is left to deliver.
                    return then(DiscoveryStep::Release);
                }
                if stored == owner && fence > worker.fence && self.setup.keeps(Rule::ItemFence) {
                    return DiscoveryWorker::default();
                }
                state.broken.two_owners |= stored != 0 && stored != owner;
                state.item = Item { owner, fence: worker.fence, status: worker.status };
                if self.setup.keeps(Rule::ItemBeforeWanted) {
                    then(DiscoveryStep::Want)
                } else {
                    Self::delivered(worker)
                }
            }
            DiscoveryStep::Want => match &mut state.head {
                Some(head) => {
                    head.wanted += 1;
                    self.asked(worker)
                }
                None if worker.status == Status::Present => then(DiscoveryStep::ReadTombstone),
                None => self.asked(worker),
            },
            DiscoveryStep::ReadTombstone => then(DiscoveryStep::Create(state.tombstone)),
            DiscoveryStep::Create(read) => self.create(state, worker, read),
            DiscoveryStep::Release => {
                if record.fence == worker.fence {
                    record.owed = false;
                }
                DiscoveryWorker::default()
            }
        }
    }

    fn first_of_delivery(&self) -> DiscoveryStep {
        if self.setup.keeps(Rule::ItemBeforeWanted) { DiscoveryStep::WriteItem } else { DiscoveryStep::Want }
    }

    /// The cluster is asked for.
    fn asked(&self, worker: DiscoveryWorker) -> DiscoveryWorker {
        if self.setup.keeps(Rule::ItemBeforeWanted) {
            Self::delivered(worker)
        } else {
            DiscoveryWorker { step: DiscoveryStep::WriteItem, ..worker }
        }
    }

    fn delivered(worker: DiscoveryWorker) -> DiscoveryWorker {
        let step = if worker.owed_first { DiscoveryStep::Fetch } else { DiscoveryStep::Release };
        DiscoveryWorker { step, ..worker }
    }

    /// Creates the head where there is none: a new record, or one that returns and goes on from its tombstone.
    fn create(&self, state: &mut State, worker: DiscoveryWorker, read: Tombstone) -> DiscoveryWorker {
        let taken = state.head.is_some() && self.setup.keeps(Rule::CreateIfAbsent);
        let moved = state.tombstone != read && self.setup.keeps(Rule::ReturnIsOneTransaction);
        if taken || moved {
            return DiscoveryWorker { step: DiscoveryStep::Want, ..worker };
        }
        state.lives += 1;
        let head = Head { fence: read.fence, epoch: read.epoch + 1, wanted: 1, ..Head::default() };
        state.head = Some(Head { life: state.lives, ..head });
        state.tombstone = Tombstone::default();
        self.asked(worker)
    }

    /// The next step of a refresh worker.
    fn refresh(&self, state: &mut State, worker: RefreshWorker) -> RefreshWorker {
        let setup = &self.setup;
        let ours = worker.head;
        let then = |step| RefreshWorker { step, ..worker };
        match worker.step {
            RefreshStep::Idle => {
                let Some(head) = &mut state.head else { return worker };
                head.fence += 1;
                let step = if head.owed { RefreshStep::PublishOwed } else { RefreshStep::ReadItem };
                RefreshWorker { step, head: *head }
            }
            RefreshStep::PublishOwed => {
                state.publish(&ours);
                then(RefreshStep::ReadItem)
            }
            RefreshStep::ReadItem => then(match (state.item.status, ours.told) {
                (Status::Present, Status::Unknown | Status::Removed) => RefreshStep::Commit(Status::Present),
                (Status::Removed, Status::Present) => RefreshStep::Commit(Status::Removed),
                (Status::Removed, _) => RefreshStep::Bury,
                (Status::Unknown, _) | (Status::Present, Status::Present) => RefreshStep::Release,
            }),
            RefreshStep::Commit(told) => {
                let Some(head) = state.head.as_mut().filter(|head| head.fence == ours.fence) else {
                    return RefreshWorker::default();
                };
                state.broken.earlier_life |= head.life != ours.life;
                (head.sequence, head.told, head.owed) = (ours.sequence + 1, told, true);
                let committed = Head { wanted: ours.wanted, ..*head };
                state.commit(&committed);
                let publish = told == Status::Present || setup.keeps(Rule::PublishedBeforeRemoval);
                let step = if publish { RefreshStep::Publish } else { RefreshStep::Bury };
                RefreshWorker { step, head: committed }
            }
            RefreshStep::Publish => {
                state.publish(&ours);
                then(RefreshStep::Release)
            }
            RefreshStep::Bury => {
                let Some(head) = state.head else { return RefreshWorker::default() };
                if head.fence != ours.fence && setup.keeps(Rule::RemovalUnderFence) {
                    return RefreshWorker::default();
                }
                if head.wanted != ours.wanted && setup.keeps(Rule::WantedIsUnchanged) {
                    return then(RefreshStep::Release);
                }
                state.broken.earlier_life |= head.life != ours.life;
                state.head = None;
                state.tombstone = Tombstone {
                    fence: if setup.keeps(Rule::TombstoneKeepsFence) { head.fence } else { 0 },
                    epoch: if setup.keeps(Rule::TombstoneKeepsEpoch) { head.epoch } else { 0 },
                };
                RefreshWorker::default()
            }
            RefreshStep::Release => {
                if let Some(head) = state.head.as_mut().filter(|head| head.fence == ours.fence) {
                    state.broken.earlier_life |= head.life != ours.life;
                    head.owed = false;
                }
                RefreshWorker::default()
            }
        }
    }
}

impl State {
    /// The content of the last event of a head. Never 0.
    fn content(head: &Head) -> u8 {
        head.life * 4 + head.told as u8
    }

    fn commit(&mut self, head: &Head) {
        let told = Self::content(head);
        let logged = &mut self.log[usize::from(head.epoch)][usize::from(head.sequence)];
        self.broken.two_contents |= *logged != 0 && *logged != told;
        *logged = told;
    }

    /// An event arrives in the stream, and the reader reads it.
    fn publish(&mut self, head: &Head) {
        let committed = self.log[usize::from(head.epoch)][usize::from(head.sequence)];
        self.broken.phantom |= committed == 0;
        self.broken.two_contents |= committed != 0 && committed != Self::content(head);
        let reader = &mut self.reader;
        let next = if head.epoch == reader.epoch { reader.sequence + 1 } else { 1 };
        if head.epoch >= reader.epoch && head.sequence == next {
            *reader = state::Reader { epoch: head.epoch, sequence: head.sequence, told: head.told };
        }
    }
}
