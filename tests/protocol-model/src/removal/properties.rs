//! What must hold in every state of a cluster that comes and goes.

use std::cell::RefCell;
use std::collections::HashSet;

use stateright::Property;

use super::RemovalModel;
use super::state::{DiscoveryStep, DiscoveryWorker, RefreshStep, RefreshWorker, State, Status};

/// Nothing uncommitted is ever published.
pub const NO_PHANTOM: &str = "nothing uncommitted is published";
/// Whatever is committed or published under an id, of whichever life, is the same.
pub const ONE_CONTENT: &str = "one id, one content";
/// A worker that claimed an earlier life of the record changes nothing of a later one.
pub const NO_EARLIER_LIFE: &str = "an earlier life writes nothing";
/// The item stays with the discovery that wrote it first.
pub const ONE_OWNER: &str = "one cluster, one owner";
/// Nothing owed, or no record any more: the reader has applied every event.
pub const NOTHING_MISSED: &str = "nothing owed: the reader has everything";
/// When all workers die, one clean run of each discovery and three clean refreshes bring source, record and reader
/// together: a record where one is reported, none where none is.
pub const SETTLES: &str = "a clean run settles";

pub(super) fn all() -> Vec<Property<RemovalModel>> {
    vec![
        Property::always(NO_PHANTOM, |_, state: &State| !state.broken.phantom),
        Property::always(ONE_CONTENT, |_, state: &State| !state.broken.two_contents),
        Property::always(NO_EARLIER_LIFE, |_, state: &State| !state.broken.earlier_life),
        Property::always(ONE_OWNER, |_, state: &State| !state.broken.two_owners),
        Property::always(NOTHING_MISSED, |_, state: &State| match state.head {
            Some(head) if head.owed || head.sequence == 0 => true,
            Some(head) => (state.reader.epoch, state.reader.sequence) == (head.epoch, head.sequence),
            None => state.reader.told != Status::Present,
        }),
        Property::always(SETTLES, |model: &RemovalModel, state: &State| {
            let dead = State {
                discovering: [DiscoveryWorker::default(); 2],
                refreshing: [RefreshWorker::default(); 2],
                left: (0, 0, 0, 0),
                ..*state
            };
            if SETTLED.with_borrow(|known| known.contains(&dead)) {
                return true;
            }
            let settles = model.settles(dead);
            if settles {
                SETTLED.with_borrow_mut(|known| known.insert(dead));
            }
            settles
        }),
    ]
}

thread_local! {
    /// What is stored is the same in many states: asked once a thread, of which each run of the checker has its own.
    static SETTLED: RefCell<HashSet<State>> = RefCell::default();
}

impl RemovalModel {
    fn settles(&self, mut state: State) -> bool {
        for discovery in 0..if self.setup.bounds.rival { 2 } else { 1 } {
            let mut worker = self.discover(&mut state, DiscoveryWorker::default(), discovery);
            // Far more steps than a run has.
            for _ in 0..30 {
                if worker.step != DiscoveryStep::Idle {
                    worker = self.discover(&mut state, worker, discovery);
                }
            }
        }
        for _ in 0..3 {
            let mut worker = self.refresh(&mut state, RefreshWorker::default());
            for _ in 0..20 {
                if worker.step != RefreshStep::Idle {
                    worker = self.refresh(&mut state, worker);
                }
            }
        }
        let reported = state.source || state.item.owner == 2;
        let Some(head) = state.head else { return !reported && state.reader.told != Status::Present };
        let at_end = (state.reader.epoch, state.reader.sequence) == (head.epoch, head.sequence);
        reported && !head.owed && at_end && state.reader.told == Status::Present
    }
}
