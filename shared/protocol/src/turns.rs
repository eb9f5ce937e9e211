//! Turns: in which of its slots a record asks what has given no answer for a while. An agent that stays down, or a
//! source that keeps failing, is asked less and less often, so that waiting for it does not make others late.
//!
//! Nothing is counted and nothing is written for it. The slots of a record have numbers; what has been silent for k
//! intervals has its turn in every 2^n-th of them, 2^n being at most k + 1. So what comes back is heard of at the
//! latest after about as long again as it was away, and never later than the longest back-off, or the interval where that
//! is longer.
//!
//! - Turns of twice the distance are among those of the distance: growing older never skips one.
//! - A turn that fell into slots without a refresh (a backlog, an outage) is made up for in the next.
//! - All that a record has to ask waits in the same refresh, since that lasts as long as the slowest of them anyway; the
//!   hash of the record's name keeps records apart. Of more than can be asked at once, [`group`] makes several groups.
//! - A task that somebody asked for asks everything: a manual one, and one whose stamp is no slot.

use std::time::Duration;

use replicante_model::Timestamp;
use replicante_model::event::Cause;
use replicante_model::name::spread;
use replicante_model::time::millis;

use crate::head::Head;
use crate::schedule::is_slot;
use crate::task::Task;

/// The most slots between two turns, as a power of two: far above what the settings allow.
const MOST_LEVEL: u32 = 20;

/// The slot of a task, and what has its turn in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turns {
    /// Everything is asked, whatever was silent.
    everything: bool,
    /// When the slot is.
    at: Timestamp,
    /// How often there is one.
    interval: Duration,
    /// The longest time between two turns. Zero: everything has its turn in each slot.
    most: Duration,
    /// The number of the slot, of the last one that was done, and where in the distance between turns the record is.
    slot: u64,
    last: u64,
    phase: u64,
}

impl Turns {
    /// The turns of the slot that a task was sent for, from the head as its claim returned it.
    pub fn of(head: &Head, task: &Task, now: Timestamp, most: Duration) -> Self {
        let interval = millis(head.interval).max(1);
        let number = |time: Timestamp| time.0.div_euclid(interval).max(0).unsigned_abs();
        let at = task.stamp.unwrap_or(now);
        let asked_for = |stamp| !is_slot(&head.record, head.interval, stamp);
        Turns {
            everything: task.cause == Cause::Manual || task.stamp.is_some_and(asked_for),
            at,
            interval: head.interval,
            most,
            slot: number(at),
            last: number(head.done_due),
            phase: head.record.hash() >> (64 - MOST_LEVEL),
        }
    }

    /// Whether what has been silent since then has its turn. `group` is zero, or from [`group`].
    pub fn has(&self, silent_since: Timestamp, group: u64) -> bool {
        let distance = self.distance(self.at.since(silent_since));
        let turn = |slot: u64| slot.saturating_add(self.phase).saturating_add(group) / distance;
        self.everything || distance == 1 || turn(self.slot) > turn(self.last)
    }

    /// Slots from one turn to the next: a power of two, at most one more than the intervals that it has been silent,
    /// and no longer than `most` in time.
    fn distance(&self, silent: Duration) -> u64 {
        let intervals = |span: Duration| span.as_millis() / self.interval.as_millis().max(1);
        let level = (intervals(silent) + 1).ilog2();
        let cap = intervals(self.most).max(1).ilog2();
        1 << level.min(cap).min(MOST_LEVEL)
    }
}

/// Which of a record's groups something belongs to, by the hash of its name, when `count` of them are asked at most
/// `at_once` at once: groups have their turns one slot after the other.
pub fn group(name: &str, count: usize, at_once: usize) -> u64 {
    match count.div_ceil(at_once.max(1)) {
        0 | 1 => 0,
        groups => spread(name) % groups as u64,
    }
}

#[cfg(test)]
mod tests {
    use replicante_model::RecordName;

    use super::*;
    use crate::schedule::next_slot;

    const MINUTE: Duration = Duration::from_secs(60);
    const MOST: Duration = Duration::from_secs(600);
    const NOW: Timestamp = Timestamp(1_767_319_445_000);

    fn head(id: &str, interval: Duration) -> Head {
        Head::new(RecordName::cluster("default", id), interval, true, NOW)
    }

    /// The slots, from 0, in which something that fell silent at the first of them is asked; each is done but for
    /// those that `lost` names.
    fn asked(
        id: &str,
        interval: Duration,
        most: Duration,
        slots: u32,
        lost: impl Fn(u32) -> bool,
    ) -> Vec<u32> {
        let mut head = head(id, interval);
        let first = next_slot(&head.record, interval, Timestamp::ZERO, NOW);
        head.done_due = first;
        (1..=slots)
            .filter(|n| {
                let stamp = first.plus(interval * *n);
                if lost(*n) {
                    return false;
                }
                let task = Task::scheduled(head.record.clone(), stamp);
                let turn = Turns::of(&head, &task, stamp, most).has(first, 0);
                head.done_due = stamp;
                turn
            })
            .collect()
    }

    fn gaps(slots: &[u32]) -> impl Iterator<Item = u32> {
        slots.windows(2).map(|pair| pair[1] - pair[0])
    }

    #[test]
    fn what_stays_silent_is_asked_less_and_less_often_and_never_later_than_the_setting_says() {
        for n in 0..50 {
            let slots = asked(&format!("c{n}"), MINUTE, MOST, 200, |_| false);
            for pair in slots.windows(2) {
                let gap = pair[1] - pair[0];
                assert!(gap <= 8, "10 minutes are at least every 8 slots: {slots:?}");
                assert!(gap <= pair[1] + 1, "at the latest after as long again: {slots:?}");
            }
            assert!(slots[0] <= 2, "{slots:?}");
            let late: Vec<u32> = slots.iter().copied().filter(|slot| *slot > 20).collect();
            assert!(gaps(&late).all(|gap| gap == 8), "{late:?}");
        }
    }

    #[test]
    fn records_are_spread_over_the_slots() {
        let mut slots = [0; 8];
        for n in 0..800 {
            let last = asked(&format!("c{n}"), MINUTE, MOST, 100, |_| false).pop().unwrap();
            slots[last as usize % 8] += 1;
        }
        assert!(slots.iter().all(|count| (60..=140).contains(count)), "{slots:?}");
    }

    #[test]
    fn an_interval_as_long_as_the_setting_or_none_at_all_asks_in_every_slot() {
        for (interval, most) in [(MOST, MOST), (2 * MOST, MOST), (MINUTE, Duration::ZERO), (MINUTE, MINUTE)] {
            assert_eq!(asked("c", interval, most, 20, |_| false), (1..=20).collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_turn_that_fell_into_a_slot_without_a_refresh_is_made_up_for() {
        // Every second slot is lost, whichever of the two: by number alone some records would never be asked.
        for odd in [0, 1] {
            for n in 0..20 {
                let slots = asked(&format!("c{n}"), MINUTE, MOST, 200, |slot| slot % 2 == odd);
                assert!(gaps(&slots).all(|gap| gap <= 9), "{slots:?}");
            }
        }
    }

    #[test]
    fn what_somebody_asked_for_asks_everything() {
        let mut head = head("c", MINUTE);
        let since = NOW.minus(100 * MINUTE);
        let slots: Vec<Timestamp> =
            (1..=8).map(|n| next_slot(&head.record, MINUTE, Timestamp::ZERO, NOW).plus(MINUTE * n)).collect();
        let has = |head: &Head, task: &Task, at| Turns::of(head, task, at, MOST).has(since, 0);
        let mut turns = 0;
        for slot in slots {
            head.done_due = slot.minus(MINUTE);
            turns += usize::from(has(&head, &Task::scheduled(head.record.clone(), slot), slot));
            assert!(has(&head, &Task::manual(head.record.clone(), "ann"), slot));
            let asked_for = slot.plus(Duration::from_millis(1));
            assert!(has(&head, &Task::scheduled(head.record.clone(), asked_for), slot));
        }
        assert_eq!(turns, 1, "by itself once in 8 slots");
    }

    #[test]
    fn a_record_that_was_never_done_asks_everything() {
        let head = head("c", MINUTE);
        let slot = next_slot(&head.record, MINUTE, Timestamp::ZERO, NOW);
        let turns = Turns::of(&head, &Task::scheduled(head.record.clone(), slot), slot, MOST);
        assert!(turns.has(NOW.minus(100 * MINUTE), 0));
    }

    #[test]
    fn more_than_can_be_asked_at_once_are_several_groups() {
        assert!((0..64).all(|n| group(&format!("n{n}"), 64, 64) == 0));
        let mut groups = [0; 4];
        for n in 0..256 {
            groups[usize::try_from(group(&format!("n{n}"), 256, 64)).unwrap()] += 1;
        }
        assert!(groups.iter().all(|count| (40..=90).contains(count)), "{groups:?}");
    }
}
