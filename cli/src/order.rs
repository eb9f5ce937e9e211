//! The order of events: each change once, in its record's order, whatever copies and detours the stream holds.
//!
//! The model's `Reader` judges; what it tells to wait for is kept here until what comes before it arrives. Whoever
//! must have every event of a record waits for its first one too. Whoever shows what there is joins each record at
//! the first event that is read ([`Order::joining`]): a stream that was trimmed never gives what was before.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use replicante_model::event::Event;
use replicante_model::reader::{Position, Reader, Verdict};
use replicante_model::{RecordName, Timestamp};

/// An event that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The record it belongs to.
    pub record: RecordName,
    /// The event.
    pub event: Event,
    /// Its bytes, as they were published.
    pub bytes: Vec<u8>,
}

/// A record of the stream, read as far as it can be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arrived {
    /// Its partition key.
    pub key: String,
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// The event that they are, or why they are none.
    pub event: Result<Event, String>,
}

impl Arrived {
    /// Reads the bytes.
    pub fn read(key: String, bytes: Vec<u8>) -> Self {
        let event = serde_json::from_slice(&bytes).map_err(|error| error.to_string());
        Arrived { key, bytes, event }
    }

    /// When the event was observed; the beginning of time for what is none, so that it comes first.
    pub fn time(&self) -> Timestamp {
        let event = self.event.as_ref().ok();
        event.and_then(|event| Timestamp::parse(&event.time).ok()).unwrap_or_default()
    }
}

/// Something about the history that a reader should know.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Oddity {
    /// The stream does not hold the record's first events.
    #[error("{record}: the stream begins at event {first}: what was before it is older than the retention")]
    Late {
        /// The record.
        record: String,
        /// The first event that is there.
        first: u64,
    },
    /// Events are missing.
    #[error("{record}: events {from} to {to} are missing from the stream")]
    Gap {
        /// The record.
        record: String,
        /// The first that is missing.
        from: u64,
        /// The last that is missing.
        to: u64,
    },
    /// A record of the stream that is no event of this system, or of a later release.
    #[error("{key}: a record of the stream is no event that this release can read: {problem}")]
    Unreadable {
        /// The partition key.
        key: String,
        /// What is wrong.
        problem: String,
    },
}

impl Oddity {
    /// The record it is about, where it is known.
    pub fn record(&self) -> Option<&str> {
        match self {
            Oddity::Late { record, .. } | Oddity::Gap { record, .. } => Some(record),
            Oddity::Unreadable { .. } => None,
        }
    }

    /// Whether it only says that the record's first events were not read.
    pub fn is_late(&self) -> bool {
        matches!(self, Oddity::Late { .. })
    }
}

/// Puts events in order.
#[derive(Debug, Default)]
pub struct Order {
    reader: Reader,
    waiting: HashMap<String, BTreeMap<Position, Seen>>,
    /// Whether records are joined at the first event that is read.
    joins: bool,
    joined: HashMap<String, Joined>,
    oddities: Vec<Oddity>,
    /// Copies that were dropped.
    pub copies: u64,
}

/// A record that was joined where it was not at its beginning.
#[derive(Debug)]
struct Joined {
    at: Position,
    /// Events of before `at` that were read after it: they had been published again.
    earlier: BTreeSet<Position>,
}

impl Order {
    /// Joins each record at the first of its events that is read.
    pub fn joining() -> Self {
        Order { joins: true, ..Order::default() }
    }

    /// Takes an event as the stream gives it; returns those whose turn it is.
    pub fn take(&mut self, arrived: Arrived, now: Timestamp) -> Vec<Seen> {
        let Arrived { key, bytes, event } = arrived;
        let unreadable = |problem: String| Oddity::Unreadable { key, problem };
        let event = match event {
            Ok(event) => event,
            Err(problem) => {
                self.oddities.push(unreadable(problem));
                return Vec::new();
            }
        };
        let (Some(at), Ok(record)) = (position(&event), event.record()) else {
            self.oddities.push(unreadable(format!("its id is `{}`", event.id)));
            return Vec::new();
        };
        let key = record.key();
        let seen = Seen { record, event, bytes };
        let before = self.reader.position(&key);
        match self.reader.judge(&key, &seen.event, now) {
            Verdict::Apply => {
                let mut due = vec![seen];
                due.extend(self.follow(&key, now));
                due
            }
            Verdict::Copy => {
                let joined = self.joined.get_mut(&key).filter(|joined| at < joined.at);
                if joined.is_some_and(|joined| joined.earlier.insert(at)) {
                    return vec![seen];
                }
                self.copies += 1;
                Vec::new()
            }
            Verdict::Restart { .. } => {
                let mut due = self.release(&key, before, Some(at));
                let last = due.last().and_then(|seen| position(&seen.event)).unwrap_or(before);
                self.join(&key, last, at);
                due.push(seen);
                due.extend(self.follow(&key, now));
                due
            }
            Verdict::Wait if self.joins && before == Position::default() => {
                self.join(&key, before, at);
                vec![seen]
            }
            Verdict::Wait => {
                self.waiting.entry(key).or_default().insert(at, seen);
                Vec::new()
            }
            Verdict::Unreadable => Vec::new(),
        }
    }

    /// Goes on from `at`, where the record was read up to `before`.
    fn join(&mut self, key: &str, before: Position, at: Position) {
        self.hole(key, before, at);
        self.reader.join(key, at);
        if self.joins && before == Position::default() {
            self.joined.insert(key.to_owned(), Joined { at, earlier: BTreeSet::new() });
        }
    }

    /// What waited for the event that was just applied.
    fn follow(&mut self, key: &str, now: Timestamp) -> Vec<Seen> {
        let Some(mut waiting) = self.waiting.remove(key) else { return Vec::new() };
        let mut due = Vec::new();
        while let Some((at, seen)) = waiting.pop_first() {
            match self.reader.judge(key, &seen.event, now) {
                Verdict::Apply | Verdict::Restart { .. } => due.push(seen),
                Verdict::Wait => {
                    waiting.insert(at, seen);
                    break;
                }
                Verdict::Copy | Verdict::Unreadable => self.copies += 1,
            }
        }
        if !waiting.is_empty() {
            self.waiting.insert(key.to_owned(), waiting);
        }
        due
    }

    /// Gives up waiting at the end of the history: returns, record by record, what is there. What comes later for
    /// these records goes on from there.
    pub fn settle(&mut self) -> Vec<Seen> {
        let mut keys: Vec<String> = self.waiting.keys().cloned().collect();
        keys.sort_unstable();
        self.release_all(&keys)
    }

    /// The same for the records whose next event has been awaited for long: the protocol's time for a gap.
    pub fn settle_gaps(&mut self, now: Timestamp) -> Vec<Seen> {
        let keys: Vec<String> = self.reader.gaps(now).into_keys().map(str::to_owned).collect();
        self.release_all(&keys)
    }

    fn release_all(&mut self, keys: &[String]) -> Vec<Seen> {
        let mut due = Vec::new();
        for key in keys {
            let at = self.reader.position(key);
            due.extend(self.release(key, at, None));
        }
        due
    }

    /// Gives what waits for a record that was applied up to `at`, as far as it is before `end`, and tells what is
    /// missing before and between.
    fn release(&mut self, key: &str, mut at: Position, end: Option<Position>) -> Vec<Seen> {
        let Some(mut waiting) = self.waiting.remove(key) else { return Vec::new() };
        if let Some(later) = end.map(|end| waiting.split_off(&end)).filter(|later| !later.is_empty()) {
            self.waiting.insert(key.to_owned(), later);
        }
        for next in waiting.keys() {
            self.hole(key, at, *next);
            at = *next;
        }
        self.reader.join(key, at);
        waiting.into_values().collect()
    }

    /// Tells what is missing between two events of a record.
    fn hole(&mut self, key: &str, at: Position, next: Position) {
        let from = if at.epoch == next.epoch { at.sequence + 1 } else { 1 };
        if next.sequence <= from {
            return;
        }
        let record = key.to_owned();
        self.oddities.push(if at == Position::default() {
            Oddity::Late { record, first: next.sequence }
        } else {
            Oddity::Gap { record, from, to: next.sequence - 1 }
        });
    }

    /// What was odd since the last call.
    pub fn oddities(&mut self) -> Vec<Oddity> {
        std::mem::take(&mut self.oddities)
    }
}

fn position(event: &Event) -> Option<Position> {
    event.position().map(|(epoch, sequence)| Position { epoch, sequence })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;
    use replicante_model::change::{Change, SnapshotPart};
    use replicante_model::event::{Cause, Sealer};
    use replicante_model::view::Health;

    fn event(sequence: u64, change: Change) -> Vec<u8> {
        let record = RecordName::cluster("default", "zk-01");
        let sealer = Sealer {
            source: "/replicante/test",
            record: &record,
            epoch: 7,
            sequence: sequence - 1,
            time: Timestamp(1_767_319_445_000),
            cause: Cause::Schedule,
            actor: None,
            maintenance: None,
        };
        sealer.seal([&change], 1, 1 << 20).unwrap().remove(0).bytes
    }

    fn health(sequence: u64) -> Vec<u8> {
        event(sequence, Change::ClusterHealthChanged { before: None, after: Some(Health::Healthy) })
    }

    fn snapshot(sequence: u64) -> Vec<u8> {
        let part = SnapshotPart { part: 1, parts: 1, ..SnapshotPart::default() };
        event(sequence, Change::ClusterSnapshot(Box::new(part)))
    }

    fn numbers(seen: &[Seen]) -> Vec<u64> {
        seen.iter().filter_map(|seen| Some(seen.event.position()?.1)).collect()
    }

    fn take(order: &mut Order, events: impl IntoIterator<Item = Vec<u8>>) -> Vec<u64> {
        let now = Timestamp(1_767_319_446_000);
        let due: Vec<Seen> = events
            .into_iter()
            .flat_map(|bytes| order.take(Arrived::read("cluster/default/zk-01".into(), bytes), now))
            .collect();
        numbers(&due)
    }

    #[test]
    fn copies_are_dropped_and_what_came_too_early_follows_in_its_turn() {
        let mut order = Order::default();
        assert_eq!(take(&mut order, [1, 3, 4, 1, 2, 3, 4, 5].map(health)), [1, 2, 3, 4, 5]);
        assert_eq!(order.copies, 3);
        assert!(order.oddities().is_empty() && order.settle().is_empty());
    }

    #[test]
    fn a_history_without_its_beginning_is_shown_from_where_it_begins() {
        let mut order = Order::default();
        assert!(take(&mut order, [5, 6].map(health)).is_empty());
        assert_eq!(numbers(&order.settle()), [5, 6]);
        assert_eq!(order.oddities(), [Oddity::Late { record: "cluster/default/zk-01".into(), first: 5 }]);
        assert_eq!(take(&mut order, [6, 7, 8].map(health)), [7, 8], "what comes later follows");
        assert_eq!(take(&mut order, [snapshot(9), health(10)]), [9, 10], "and joins at a snapshot");
        assert!(order.oddities().is_empty());
    }

    #[test]
    fn who_joins_in_the_middle_is_given_each_event_as_it_is_read() {
        let mut order = Order::joining();
        assert_eq!(take(&mut order, [health(5)]), [5], "not at the end");
        assert_eq!(order.oddities(), [Oddity::Late { record: "cluster/default/zk-01".into(), first: 5 }]);
        assert_eq!(take(&mut order, [8, 6, 7, 8].map(health)), [6, 7, 8], "in order from there on");
        // A publisher's second try: what came first was not the first.
        assert_eq!(take(&mut order, [4, 5, 4, 6, 9].map(health)), [4, 9]);
        assert!(order.oddities().is_empty() && order.settle().is_empty());
        let mut order = Order::joining();
        assert_eq!(take(&mut order, [1, 3, 2].map(health)), [1, 2, 3], "the beginning is waited for");
        let mut order = Order::joining();
        assert_eq!(take(&mut order, [snapshot(5), health(4), health(6)]), [5, 4, 6]);
    }

    #[test]
    fn what_waits_beyond_a_snapshot_is_given_once_and_after_it() {
        let mut order = Order::default();
        assert_eq!(take(&mut order, [health(1), health(6), snapshot(5), health(6), health(7)]), [1, 5, 6, 7]);
        assert_eq!(order.copies, 1);
    }

    #[test]
    fn a_gap_is_told_and_passed_at_the_next_snapshot_or_at_the_end() {
        let mut order = Order::default();
        assert_eq!(take(&mut order, [health(1), health(3), snapshot(5), health(6)]), [1, 3, 5, 6]);
        let gap = |from, to| Oddity::Gap { record: "cluster/default/zk-01".into(), from, to };
        assert_eq!(order.oddities(), [gap(2, 2), gap(4, 4)]);
        assert_eq!(take(&mut order, [snapshot(9)]), [9]);
        assert_eq!(order.oddities(), [gap(7, 8)]);
        assert!(take(&mut order, [health(12)]).is_empty());
        assert_eq!(numbers(&order.settle()), [12]);
        assert_eq!(order.oddities(), [gap(10, 11)]);
    }

    #[test]
    fn what_is_no_event_is_named_by_its_key() {
        let mut order = Order::default();
        assert!(order.take(Arrived::read("k".into(), b"{}".to_vec()), Timestamp(1)).is_empty());
        assert!(order.oddities()[0].to_string().starts_with("k: a record of the stream is no event"));
    }

    /// An event of any number and epoch, or bytes that are none.
    fn any_event() -> impl Strategy<Value = Vec<u8>> {
        let number = prop_oneof![6 => 1..9_u64, 1 => Just(0), 1 => Just(u64::MAX)];
        let numbered =
            (number, 6..9_u64, prop::bool::weighted(0.2)).prop_map(|(sequence, epoch, is_snapshot)| {
                let bytes = if is_snapshot { snapshot(1) } else { health(1) };
                let text = String::from_utf8(bytes).unwrap();
                let text = text.replace(&format!("{:020}", 1), &format!("{sequence:020}"));
                text.replace("\"epoch\":\"7\"", &format!("\"epoch\":\"{epoch}\"")).into_bytes()
            });
        prop_oneof![9 => numbered, 1 => vec(any::<u8>(), 0..20)]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_048))]

        #[test]
        fn whatever_a_stream_holds_each_event_is_given_once_and_forwards(
            events in vec(any_event(), 0..16), joins: bool,
        ) {
            let mut order = if joins { Order::joining() } else { Order::default() };
            let now = Timestamp(1_767_319_446_000);
            let mut due: Vec<Seen> =
                events.iter().flat_map(|event| order.take(Arrived::read("k".into(), event.clone()), now)).collect();
            due.extend(order.settle());
            let mut given: Vec<Position> = due.iter().filter_map(|seen| position(&seen.event)).collect();
            prop_assert_eq!(given.len(), due.len());
            if !joins {
                prop_assert!(given.is_sorted(), "{given:?}");
            }
            given.sort_unstable();
            prop_assert!(given.is_sorted_by(|one, next| one < next), "{given:?}");
            prop_assert!(given.iter().all(|at| at.sequence > 0));
            for oddity in order.oddities() {
                if let Oddity::Gap { from, to, .. } = oddity {
                    prop_assert!(0 < from && from <= to, "{from} to {to}");
                }
            }
        }
    }
}
