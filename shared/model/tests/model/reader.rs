//! The reader (protocol.md): each change exactly once, in order, whatever the stream repeats; and it can tell whether
//! it has missed one.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;
use replicante_model::change::{Change, SnapshotPart};
use replicante_model::event::Event;
use replicante_model::fold::Fold;
use replicante_model::observation::Role;
use replicante_model::reader::{GAP_AFTER, Position, Reader, Verdict};
use replicante_model::snapshot::MAX_AGE;

use crate::given::{Heard, NOW, agent_down, heard, item, node_down, up};
use crate::golden::sealed;
use crate::history::History;

const RECORD: &str = "cluster/default/orders";

fn placed(change: &Change, epoch: u64, sequence: u64) -> Event {
    let mut event: Event = serde_json::from_slice(&sealed(change)).unwrap();
    event.epoch = epoch.to_string();
    event.sequence = format!("{sequence:020}");
    event.id = format!("{RECORD}/{epoch}/{sequence}");
    event
}

fn at(epoch: u64, sequence: u64) -> Event {
    placed(&Change::ClusterMissing { since: Some(NOW) }, epoch, sequence)
}

fn part(epoch: u64, sequence: u64, part: u32, parts: u32) -> Event {
    let part = SnapshotPart { part, parts, ..SnapshotPart::default() };
    placed(&Change::ClusterSnapshot(Box::new(part)), epoch, sequence)
}

fn judge(reader: &mut Reader, event: &Event) -> Verdict {
    reader.judge(RECORD, event, NOW)
}

/// A reader that has applied these numbers of epoch 1.
fn applied(last: u64) -> Reader {
    let mut reader = Reader::new();
    for sequence in 1..=last {
        assert_eq!(judge(&mut reader, &at(1, sequence)), Verdict::Apply);
    }
    reader
}

#[test]
fn the_next_number_is_applied_and_a_lower_or_equal_one_is_a_copy() {
    let mut reader = applied(3);
    for sequence in 1..=3 {
        assert_eq!(judge(&mut reader, &at(1, sequence)), Verdict::Copy);
    }
    assert_eq!(judge(&mut reader, &at(1, 4)), Verdict::Apply);
    assert_eq!(reader.position(RECORD), Position { epoch: 1, sequence: 4 });
}

#[test]
fn a_number_further_ahead_is_waited_for_until_the_missing_ones_come_again() {
    let mut reader = applied(3);
    assert_eq!(judge(&mut reader, &at(1, 5)), Verdict::Wait);
    assert_eq!(reader.waiting(), BTreeMap::from([(RECORD, 4)]));
    for (sequence, verdict) in [(4, Verdict::Apply), (5, Verdict::Apply), (6, Verdict::Apply)] {
        assert_eq!(judge(&mut reader, &at(1, sequence)), verdict);
    }
    assert!(reader.waiting().is_empty());
}

#[test]
fn a_higher_epoch_starts_anew_at_its_1_and_a_lower_one_is_a_copy() {
    let mut reader = applied(3);
    assert_eq!(judge(&mut reader, &at(2, 2)), Verdict::Wait, "its 1 comes first");
    assert_eq!(judge(&mut reader, &at(2, 4)), Verdict::Wait, "not the next of the epoch before");
    assert_eq!(judge(&mut reader, &at(2, 1)), Verdict::Apply);
    assert_eq!(judge(&mut reader, &at(1, 4)), Verdict::Copy);
    assert_eq!(judge(&mut reader, &at(1, 900)), Verdict::Copy);
    assert_eq!(judge(&mut reader, &at(2, 2)), Verdict::Apply);
}

#[test]
fn a_snapshot_that_is_further_ahead_is_applied_in_place_of_the_gap() {
    let mut reader = applied(3);
    assert_eq!(judge(&mut reader, &at(1, 5)), Verdict::Wait);
    assert_eq!(judge(&mut reader, &part(1, 7, 2, 2)), Verdict::Wait, "not in its middle");
    assert_eq!(judge(&mut reader, &part(1, 10, 1, 2)), Verdict::Restart { missed: (4, 9) });
    assert!(reader.waiting().is_empty());
    assert_eq!(judge(&mut reader, &part(1, 11, 2, 2)), Verdict::Apply);
    assert_eq!(judge(&mut reader, &at(1, 4)), Verdict::Copy, "what the snapshot stands for");
    assert_eq!(judge(&mut reader, &at(1, 12)), Verdict::Apply);
    assert_eq!(
        judge(&mut reader, &part(2, 40, 1, 1)),
        Verdict::Restart { missed: (1, 39) },
        "of a higher epoch too"
    );
    assert_eq!(judge(&mut reader, &part(2, 41, 1, 1)), Verdict::Apply, "the next is the next");
}

#[test]
fn a_reader_may_start_anywhere_and_joins_at_the_next_snapshot() {
    let mut reader = Reader::new();
    assert_eq!(judge(&mut reader, &at(7, 40)), Verdict::Wait);
    assert_eq!(judge(&mut reader, &part(7, 41, 1, 1)), Verdict::Restart { missed: (1, 40) });
    assert_eq!(judge(&mut reader, &at(7, 42)), Verdict::Apply);
}

#[test]
fn a_reader_that_joins_at_a_place_goes_on_from_it_and_never_back() {
    let mut reader = Reader::new();
    assert_eq!(judge(&mut reader, &at(1, 5)), Verdict::Wait);
    reader.join(RECORD, Position { epoch: 1, sequence: 5 });
    assert!(reader.waiting().is_empty());
    assert_eq!(judge(&mut reader, &at(1, 5)), Verdict::Copy);
    assert_eq!(judge(&mut reader, &at(1, 6)), Verdict::Apply);
    reader.join(RECORD, Position { epoch: 1, sequence: 2 });
    assert_eq!(reader.position(RECORD), Position { epoch: 1, sequence: 6 });
}

#[test]
fn a_gap_is_reported_after_ten_minutes_and_not_before() {
    assert_eq!(GAP_AFTER, Duration::from_secs(600));
    let mut reader = applied(3);
    assert_eq!(reader.judge(RECORD, &at(1, 5), NOW), Verdict::Wait);
    // Others that come in the meantime start no new clock, nor do copies.
    assert_eq!(reader.judge(RECORD, &at(1, 6), NOW.plus(GAP_AFTER / 2)), Verdict::Wait);
    assert_eq!(reader.judge(RECORD, &at(1, 2), NOW.plus(GAP_AFTER / 2)), Verdict::Copy);
    assert!(reader.gaps(NOW.plus(GAP_AFTER - Duration::from_millis(1))).is_empty());
    assert_eq!(reader.gaps(NOW.plus(GAP_AFTER)), BTreeMap::from([(RECORD, 4)]));
    // The next gap is another one.
    assert_eq!(reader.judge(RECORD, &at(1, 4), NOW.plus(GAP_AFTER)), Verdict::Apply);
    assert!(reader.gaps(NOW.plus(GAP_AFTER)).is_empty());
    reader.judge(RECORD, &at(1, 6), NOW.plus(GAP_AFTER));
    assert!(reader.gaps(NOW.plus(GAP_AFTER)).is_empty());
    assert_eq!(reader.gaps(NOW.plus(GAP_AFTER * 2)), BTreeMap::from([(RECORD, 5)]));
    // It goes on at the next snapshot.
    judge(&mut reader, &part(1, 9, 1, 1));
    assert!(reader.gaps(NOW.plus(GAP_AFTER * 9)).is_empty());
}

#[test]
fn each_record_has_its_own_position() {
    let mut reader = applied(3);
    assert_eq!(reader.judge("cluster/default/billing", &at(9, 1), NOW), Verdict::Apply);
    assert_eq!(judge(&mut reader, &at(1, 4)), Verdict::Apply);
    assert_eq!(reader.position("cluster/default/billing"), Position { epoch: 9, sequence: 1 });
    assert_eq!(reader.position("cluster/default/none"), Position::default());
}

#[test]
fn an_event_without_numbers_is_unreadable_and_moves_nothing() {
    let mut reader = applied(3);
    let mut bad = at(1, 4);
    bad.sequence = "four".into();
    assert_eq!(judge(&mut reader, &bad), Verdict::Unreadable);
    assert_eq!(reader.position(RECORD), Position { epoch: 1, sequence: 3 });
}

/// A history with shards, failures and, when asked for, snapshots.
fn history(snapshots: bool) -> History {
    let role = |role| heard([("n1", up("n1", &[("s", role)])), ("n2", up("n2", &[("s", Role::Secondary)]))]);
    let steps: [Heard; 5] = [
        role(Role::Primary),
        heard([("n1", agent_down()), ("n2", node_down())]),
        role(Role::Secondary),
        role(Role::Recovering),
        role(Role::Primary),
    ];
    let mut history = History::of(item(&["n1", "n2"]));
    for step in steps.iter().cycle().take(10) {
        if snapshots {
            history.pass(MAX_AGE);
        }
        history.refresh(step);
    }
    history
}

/// One call of a publisher: how many events it sends, in what order they land and which are lost, and whether the
/// publisher dies before it takes note (another begins where it began).
type Call = (usize, Vec<u16>, Vec<bool>, bool);

/// What lands in the stream. A call sends from the first event that is not known to be accepted; accepted is the
/// longest start of it that landed in order.
fn landed(events: usize, calls: &[Call]) -> Vec<usize> {
    let mut stream = Vec::new();
    let mut published = 0;
    for (size, order, lost, dies) in calls {
        let batch: Vec<usize> = (published..events.min(published + size)).collect();
        let mut places: Vec<usize> = (0..batch.len()).filter(|place| !lost[*place]).collect();
        places.sort_by_key(|place| order[*place] / 40_000 * 1000 + *place as u16);
        stream.extend(places.iter().map(|place| batch[*place]));
        let position = |place: usize| places.iter().position(|landed| *landed == place);
        let accepted = (0..batch.len())
            .take_while(|place| {
                let here = position(*place);
                here.is_some() && (*place == 0 || here > position(*place - 1))
            })
            .count();
        published += if *dies { 0 } else { accepted };
    }
    // In the end somebody gets through.
    stream.extend(published..events);
    stream
}

fn calls() -> impl Strategy<Value = Vec<Call>> {
    let call = (
        1..12usize,
        prop::collection::vec(any::<u16>(), 12),
        prop::collection::vec(prop::bool::weighted(0.25), 12),
        prop::bool::weighted(0.2),
    );
    prop::collection::vec(call, 0..30)
}

fn config() -> ProptestConfig {
    ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(256) }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn whatever_is_sent_again_every_change_is_applied_once_and_in_order(calls in calls(), other in calls()) {
        thread_local!(static HISTORY: History = history(false));
        HISTORY.with(|history| {
            let events = &history.events;
            // Two records share the stream; each is published on its own.
            let (first, second) = (landed(events.len(), &calls), landed(events.len(), &other));
            let mut stream: Vec<(&str, usize)> = Vec::new();
            for index in 0..first.len().max(second.len()) {
                stream.extend(first.get(index).map(|event| ("cluster/default/a", *event)));
                stream.extend(second.get(index).map(|event| ("cluster/default/b", *event)));
            }
            let mut reader = Reader::new();
            let mut applied: BTreeMap<&str, (Vec<usize>, Fold)> = BTreeMap::new();
            for (record, event) in stream {
                match reader.judge(record, &events[event], NOW) {
                    Verdict::Apply => {
                        let (numbers, fold) = applied.entry(record).or_default();
                        numbers.push(event);
                        fold.apply(&events[event].change).expect("it fits what was before");
                    }
                    Verdict::Copy | Verdict::Wait => {}
                    other => panic!("{other:?}"),
                }
            }
            let all: Vec<usize> = (0..events.len()).collect();
            for (numbers, fold) in applied.values() {
                assert_eq!(numbers, &all);
                assert_eq!(fold.view, history.state.view);
            }
            assert_eq!(applied.len(), 2);
            assert!(reader.waiting().is_empty() && reader.gaps(NOW.plus(GAP_AFTER * 2)).is_empty());
        });
    }

    #[test]
    fn with_snapshots_no_change_is_applied_twice_and_the_view_is_the_stored_one(
        calls in calls(),
        trimmed in 0..60usize,
    ) {
        thread_local!(static HISTORY: History = history(true));
        HISTORY.with(|history| {
            let events = &history.events;
            assert!(history.check_snapshots() > 3);
            let last_snapshot =
                events.iter().rposition(|event| event.change.name() == "cluster.snapshot").unwrap();
            // The stream was trimmed: what is left still holds a snapshot.
            let stream: Vec<usize> =
                landed(events.len(), &calls).into_iter().filter(|event| *event >= trimmed.min(last_snapshot)).collect();
            let (mut reader, mut fold, mut last) = (Reader::new(), Fold::default(), None);
            for event in stream {
                let verdict = reader.judge(RECORD, &events[event], NOW);
                if matches!(verdict, Verdict::Apply | Verdict::Restart { .. }) {
                    assert!(last < Some(event), "{event} after {last:?}");
                    if verdict == Verdict::Apply {
                        assert_eq!(event, last.map_or(0, |last| last + 1), "nothing is passed over unsaid");
                    }
                    last = Some(event);
                    fold.apply(&events[event].change).expect("it fits what was before");
                }
            }
            assert_eq!(last, Some(events.len() - 1));
            assert_eq!(fold.view, history.state.view);
        });
    }
}
