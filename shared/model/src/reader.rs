//! The reader: keeps a position a record and applies every change exactly once, in order.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use crate::change::Change;
use crate::event::Event;
use crate::time::Timestamp;

/// After this long without the next number a gap is reported: the stream was trimmed, or the reader started late.
pub const GAP_AFTER: Duration = Duration::from_secs(600);

/// Where a reader stands in one record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// The epoch; 0 before the first event.
    pub epoch: u64,
    /// The last sequence that was applied.
    pub sequence: u64,
}

/// What to do with an event that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is the next: apply it.
    Apply,
    /// It was applied before: a copy.
    Copy,
    /// Others come before it, and they come again: the event is passed over.
    Wait,
    /// It starts where the reader can go on after a gap (a snapshot, complete or its first part): apply it.
    Restart {
        /// The first sequence that was missed, and the last.
        missed: (u64, u64),
    },
    /// It can't be placed: epoch or sequence are no numbers.
    Unreadable,
}

/// Positions of one reader, over all records of a stream.
#[derive(Clone, Debug, Default)]
pub struct Reader {
    records: HashMap<String, Place>,
}

#[derive(Clone, Debug, Default)]
struct Place {
    position: Position,
    /// Since when the next number is awaited, and the number.
    waiting: Option<(Timestamp, u64)>,
}

impl Reader {
    /// A reader that has seen nothing. It may start anywhere in the stream: records whose first event it
    /// missed are joined at their next snapshot.
    pub fn new() -> Self {
        Self::default()
    }

    /// Judges an event of a record, in the order of the stream, and moves on when it is to be applied.
    pub fn judge(&mut self, record: &str, event: &Event, now: Timestamp) -> Verdict {
        let Some((epoch, sequence)) = event.position() else { return Verdict::Unreadable };
        let place = match self.records.get_mut(record) {
            Some(place) => place,
            None => self.records.entry(record.to_owned()).or_default(),
        };
        let at = place.position;
        if (epoch, sequence) <= (at.epoch, at.sequence) {
            return Verdict::Copy;
        }
        let next = if epoch == at.epoch { at.sequence + 1 } else { 1 };
        let first_part = matches!(&event.change, Change::ClusterSnapshot(part) if part.part == 1);
        if sequence == next || first_part {
            *place = Place { position: Position { epoch, sequence }, waiting: None };
            return if sequence == next {
                Verdict::Apply
            } else {
                Verdict::Restart { missed: (next, sequence - 1) }
            };
        }
        if place.waiting.is_none_or(|(_, awaited)| awaited != next) {
            place.waiting = Some((now, next));
        }
        Verdict::Wait
    }

    /// Joins a record at a place, whatever came before it: the number after it is the next. Never goes back.
    pub fn join(&mut self, record: &str, at: Position) {
        let place = self.records.entry(record.to_owned()).or_default();
        if at > place.position {
            *place = Place { position: at, waiting: None };
        }
    }

    /// Where the reader stands in a record.
    pub fn position(&self, record: &str) -> Position {
        self.records.get(record).map_or_else(Position::default, |place| place.position)
    }

    /// The records whose next number has been awaited for longer than [`GAP_AFTER`], with that number.
    pub fn gaps(&self, now: Timestamp) -> BTreeMap<&str, u64> {
        self.missing_for(now, GAP_AFTER)
    }

    /// The records whose next number has been awaited for at least this long, with that number.
    pub fn missing_for(&self, now: Timestamp, patience: Duration) -> BTreeMap<&str, u64> {
        self.records
            .iter()
            .filter_map(|(record, place)| {
                let (since, awaited) = place.waiting?;
                (now.since(since) >= patience).then_some((record.as_str(), awaited))
            })
            .collect()
    }

    /// The records whose next number is awaited at all, with that number.
    pub fn waiting(&self) -> BTreeMap<&str, u64> {
        let awaited = |(record, place): (_, &Place)| Some((record, place.waiting?.1));
        self.records.iter().map(|(record, place)| (record.as_str(), place)).filter_map(awaited).collect()
    }
}
