//! What must hold in every state of a record.

use std::cell::RefCell;
use std::collections::HashSet;

use stateright::Property;

use super::RecordModel;
use super::state::{State, Stored};

/// Nothing uncommitted is ever published.
pub const NO_PHANTOM: &str = "nothing uncommitted is published";
/// Whatever is committed or published under an id is the same.
pub const ONE_CONTENT: &str = "one id, one content";
/// Nothing owed: the reader has applied every event, and they fold to the stored state.
pub const NOTHING_MISSED: &str = "nothing owed: the reader has everything";
/// What counts as published is in the stream.
pub const PUBLISHED_IS_TRUE: &str = "what counts as published is in the stream";
/// The chunks that the head names are there, and whole.
pub const READABLE: &str = "the record is readable";
/// When all workers die and what is in the air is dropped, one clean refresh brings stream, state and world together.
pub const RECOVERS: &str = "one clean refresh recovers";

pub(super) fn all<const WORKERS: usize>() -> Vec<Property<RecordModel<WORKERS>>> {
    vec![
        Property::always(NO_PHANTOM, |_, state: &State<WORKERS>| !state.stored.broken.phantom),
        Property::always(ONE_CONTENT, |_, state: &State<WORKERS>| !state.stored.broken.two_contents),
        Property::always(NOTHING_MISSED, |_, state: &State<WORKERS>| {
            let stored = &state.stored;
            stored.head.owed
                || (stored.reader == stored.head.sequence
                    && stored.readable().is_none_or(|value| value == stored.folded()))
        }),
        Property::always(PUBLISHED_IS_TRUE, |_, state: &State<WORKERS>| {
            state.stored.head.published <= state.stored.reader
        }),
        Property::always(READABLE, |_, state: &State<WORKERS>| state.stored.readable().is_some()),
        Property::always(RECOVERS, |model: &RecordModel<WORKERS>, state: &State<WORKERS>| {
            recovers(model, state.stored)
        }),
    ]
}

thread_local! {
    /// What is stored is the same in many states, and recovers alike: asked once a thread, of which each run of the
    /// checker has its own.
    static RECOVERED: RefCell<HashSet<Stored>> = RefCell::default();
}

fn recovers<const WORKERS: usize>(model: &RecordModel<WORKERS>, stored: Stored) -> bool {
    if RECOVERED.with_borrow(|known| known.contains(&stored)) {
        return true;
    }
    let after = model.clean_refresh(stored);
    let recovered = !after.head.owed
        && after.reader == after.head.sequence
        && after.readable() == Some(after.world)
        && after.folded() == after.world
        && after.broken == stored.broken;
    if recovered {
        RECOVERED.with_borrow_mut(|known| known.insert(stored));
    }
    recovered
}
