//! Schedule arithmetic: when a record is due, and what one pass of a scheduler does with it.

use std::time::Duration;

use replicante_model::summary::Summary;
use replicante_model::time::{from_millis, millis};
use replicante_model::{RecordName, Timestamp};

use crate::head::Head;

/// The longest delay that the queue takes, in seconds.
pub const MAX_DELAY: u64 = 900;

/// The next slot of a record after both `due` and `now`: `(hash(record) mod interval)` after a multiple of
/// the interval. Load is spread evenly by itself, also after an outage.
pub fn next_slot(record: &RecordName, interval: Duration, due: Timestamp, now: Timestamp) -> Timestamp {
    let interval = millis(interval).max(1);
    let offset = i64::try_from(record.hash() % interval.unsigned_abs()).unwrap_or(0);
    let after = due.max(now).0;
    let slot = after.saturating_sub(offset).div_euclid(interval).saturating_add(1);
    Timestamp(slot.saturating_mul(interval).saturating_add(offset))
}

/// Whether a due time is one of the record's slots. If it is not, somebody asked for the record: an object was
/// applied, its source said something new, or it owes.
pub fn is_slot(record: &RecordName, interval: Duration, due: Timestamp) -> bool {
    let before = Timestamp(due.0.saturating_sub(1));
    next_slot(record, interval, before, before) == due
}

/// How a scheduler is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// How often its schedule fires.
    pub tick: Duration,
    /// How long a queued task may stay unseen before another is sent: the visibility timeout of its queue
    /// times the receives before the dead-letter queue.
    pub give_up: Duration,
}

/// What a pass does with one record: sends a task, and then moves the record on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The task's stamp, stored as `queued_due`.
    pub stamp: Timestamp,
    /// How long the queue holds it back, in whole seconds, at most [`MAX_DELAY`].
    pub delay: u64,
    /// Where `due` moves to.
    pub next_due: Timestamp,
}

/// When a record is due that is paused until then, or was (zero: never): what fell into the pause is due at the first slot
/// after it. So load is spread when many go on at once, and nothing counts as late for having been paused.
pub fn due(head: &Head, paused_until: Timestamp) -> Timestamp {
    if head.due >= paused_until {
        return head.due;
    }
    next_slot(&head.record, head.interval, paused_until, paused_until)
}

/// What one pass at `now` does with a record: nothing, unless it is due before the end of the next tick but
/// one, or owes and is held by nobody. A pause, which lasts until `paused_until`, holds nothing back that is owed. One that
/// is disabled has a task as well when its object changed: that is told, and nobody is asked.
pub fn plan(head: &Head, paused_until: Timestamp, now: Timestamp, timing: Timing) -> Option<Plan> {
    if is_queued(head, now, timing.give_up) {
        return None;
    }
    let due = due(head, paused_until);
    let horizon = now.plus(2 * timing.tick);
    let owes = (head.owed || (head.has_to_tell() && !head.enabled)) && !head.is_held(now);
    if owes && !(head.enabled && due <= now) {
        return Some(Plan { stamp: now, delay: 0, next_due: head.due });
    }
    if !head.enabled || due >= horizon {
        return None;
    }
    // Rounded up: work never starts before it is due.
    let delay = due.since(now).as_millis().div_ceil(1000);
    Some(Plan {
        stamp: due,
        delay: u64::try_from(delay).unwrap_or(MAX_DELAY).min(MAX_DELAY),
        next_due: next_slot(&head.record, head.interval, due, now),
    })
}

/// How long an enabled record has been due and is not done, whether its task was sent or not. `None`: it is not due.
pub fn overdue(head: &Head, paused_until: Timestamp, now: Timestamp) -> Option<Duration> {
    let due = due(head, paused_until);
    let stamp = under_way(head, paused_until).map_or(due, |stamp| stamp.min(due));
    (head.enabled && stamp <= now).then(|| now.since(stamp))
}

/// The stamp of a record's task that was sent and is not done. `None` also if it was sent for a time before the end of a
/// pause: should it be lost, no other is sent until the pause ends, so it makes nothing late.
pub fn under_way(head: &Head, paused_until: Timestamp) -> Option<Timestamp> {
    (head.queued_due > head.done_due && head.queued_due >= paused_until).then_some(head.queued_due)
}

/// How long a record that owes has been held by nobody: since its lease ended, or since its last holder gave it back
/// owing. `None`: it owes nothing, or its holder is about to deliver it.
pub fn unattended(head: &Head, now: Timestamp) -> Option<Duration> {
    if !head.owed || head.is_held(now) {
        return None;
    }
    let since = if head.lease_until != Timestamp::ZERO {
        head.lease_until
    } else {
        // A release says when the task began and how long it took. Where it can't be read, nothing is known.
        match Summary::parse(head.summary.as_deref()) {
            Summary { at: Timestamp::ZERO, .. } => now,
            Summary { at, ms, .. } => at.plus(from_millis(ms)),
        }
    };
    Some(now.since(since))
}

/// Whether the record's last task is still in the queue: sent, not done, and not given up.
fn is_queued(head: &Head, now: Timestamp, give_up: Duration) -> bool {
    head.queued_due > head.done_due && now < head.queued_at.plus(give_up)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_767_319_445_000);
    const TIMING: Timing = Timing { tick: Duration::from_secs(60), give_up: Duration::from_secs(900) };
    const MINUTE: Duration = Duration::from_secs(60);
    /// The end of the last pause of a record that had none.
    const NEVER: Timestamp = Timestamp::ZERO;

    fn head() -> Head {
        let mut head = Head::new(RecordName::cluster("default", "orders"), 5 * MINUTE, true, NOW);
        head.done_due = NOW.minus(5 * MINUTE);
        head.queued_due = head.done_due;
        head
    }

    #[test]
    fn slots_keep_their_place_in_the_interval_whatever_the_time() {
        let record = RecordName::cluster("default", "orders");
        let first = next_slot(&record, 5 * MINUTE, Timestamp::ZERO, NOW);
        assert!(first > NOW && first <= NOW.plus(5 * MINUTE));
        assert_eq!(
            next_slot(&record, 5 * MINUTE, first, NOW),
            first.plus(5 * MINUTE),
            "after the present due"
        );
        let late = NOW.plus(50 * MINUTE);
        let after_outage = next_slot(&record, 5 * MINUTE, first, late);
        assert!(after_outage > late && after_outage <= late.plus(5 * MINUTE), "after now");
        assert_eq!(after_outage.since(first).as_millis() % (5 * MINUTE).as_millis(), 0);
    }

    #[test]
    fn a_due_time_that_somebody_asked_for_is_no_slot() {
        let record = RecordName::cluster("default", "orders");
        let slot = next_slot(&record, MINUTE, Timestamp::ZERO, NOW);
        assert!(is_slot(&record, MINUTE, slot) && is_slot(&record, MINUTE, slot.plus(7 * MINUTE)));
        assert!(!is_slot(&record, MINUTE, slot.plus(Duration::from_millis(1))));
        assert!(!is_slot(&record, MINUTE, slot.minus(Duration::from_millis(1))));
    }

    #[test]
    fn a_records_place_in_the_interval_is_its_hash() {
        let record = RecordName::cluster("default", "orders");
        let slot = next_slot(&record, MINUTE, NOW, NOW);
        assert_eq!(slot.0.rem_euclid(60_000).unsigned_abs(), record.hash() % 60_000);
    }

    #[test]
    fn a_record_that_owes_and_is_due_is_sent_in_its_turn() {
        let mut head = head();
        (head.owed, head.due) = (true, NOW);
        let sent = plan(&head, NEVER, NOW, TIMING).unwrap();
        assert!(sent.stamp == NOW && sent.next_due > NOW, "its turn is used up: {sent:?}");
        head.due = NOW.plus(Duration::from_millis(1));
        assert_eq!(
            plan(&head, NEVER, NOW, TIMING).unwrap(),
            Plan { stamp: NOW, delay: 0, next_due: head.due }
        );
        (head.enabled, head.due) = (false, NOW);
        assert_eq!(plan(&head, NEVER, NOW, TIMING).unwrap().next_due, head.due, "it has no turn");
    }

    #[test]
    fn slots_are_spread_over_the_interval() {
        let mut seconds = [0_u32; 60];
        for n in 0..6000 {
            let slot =
                next_slot(&RecordName::cluster("default", format!("c{n}")), MINUTE, Timestamp::ZERO, NOW);
            seconds[usize::try_from(slot.seconds() % 60).unwrap()] += 1;
        }
        assert!(seconds.iter().all(|count| (60..=150).contains(count)), "{seconds:?}");
    }

    #[test]
    fn a_record_due_before_the_end_of_the_next_tick_but_one_is_sent_ahead() {
        let mut head = head();
        head.due = NOW.plus(2 * MINUTE);
        assert_eq!(plan(&head, NEVER, NOW, TIMING), None);
        head.due = NOW.plus(Duration::from_millis(119_001));
        let sent = plan(&head, NEVER, NOW, TIMING).unwrap();
        assert_eq!((sent.stamp, sent.delay), (head.due, 120));
        assert!(sent.next_due > head.due);
        head.due = NOW.minus(MINUTE);
        let late = plan(&head, NEVER, NOW, TIMING).unwrap();
        assert_eq!((late.stamp, late.delay), (head.due, 0));
        assert!(late.next_due > NOW);
    }

    #[test]
    fn a_record_is_due_again_one_interval_after_its_slot() {
        let mut head = head();
        head.due = next_slot(&head.record, head.interval, Timestamp::ZERO, NOW);
        let sent = plan(&head, NEVER, head.due, TIMING).unwrap();
        assert_eq!(sent.next_due, head.due.plus(head.interval));
    }

    #[test]
    fn a_paused_record_is_sent_at_its_first_slot_after_the_pause() {
        let mut head = head();
        head.due = NOW.minus(MINUTE);
        for until in [Timestamp(i64::MAX), NOW.plus(60 * MINUTE)] {
            assert_eq!((plan(&head, until, NOW, TIMING), overdue(&head, until, NOW)), (None, None));
        }
        // Its slot after the pause lies before the end of the next tick but one: sent ahead, like any other.
        let slot = next_slot(&head.record, head.interval, NOW, NOW);
        let until = slot.minus(Duration::from_millis(1));
        let sent = plan(&head, until, slot.minus(MINUTE), TIMING).unwrap();
        assert_eq!((sent.stamp, sent.next_due), (slot, slot.plus(head.interval)));
        // It is due from its slot on, and not since the time that fell into the pause.
        assert_eq!(overdue(&head, until, slot.minus(MINUTE)), None);
        assert_eq!(overdue(&head, until, slot.plus(MINUTE)), Some(MINUTE));
        assert_eq!(plan(&head, until, slot.plus(MINUTE), TIMING).unwrap().stamp, slot);
        // Neither has a task that was sent before the pause, and lost.
        (head.due, head.queued_due) = (NOW.plus(5 * MINUTE), NOW.minus(MINUTE));
        for until in [Timestamp(i64::MAX), NOW.plus(60 * MINUTE)] {
            assert_eq!(under_way(&head, until), None);
            assert_eq!(overdue(&head, until, NOW.plus(30 * MINUTE)), None);
        }
        assert_eq!(under_way(&head, NEVER), Some(head.queued_due));
        assert_eq!(overdue(&head, NEVER, NOW), Some(MINUTE));
        head.queued_due = head.done_due;
        // What was due after it is as if there had been none.
        head.due = slot.plus(Duration::from_secs(7));
        assert_eq!(due(&head, until), head.due);
        assert_eq!(plan(&head, head.due, NOW, TIMING), plan(&head, NEVER, NOW, TIMING));
    }

    #[test]
    fn what_is_owed_is_delivered_in_a_pause_too_and_its_turn_stays() {
        let mut head = head();
        (head.owed, head.due) = (true, NOW.minus(MINUTE));
        let sent = plan(&head, Timestamp(i64::MAX), NOW, TIMING).unwrap();
        assert_eq!(sent, Plan { stamp: NOW, delay: 0, next_due: head.due });
    }

    #[test]
    fn records_that_go_on_together_are_spread_over_their_interval() {
        let until = NOW.plus(60 * MINUTE);
        let mut seconds = [0_u32; 60];
        for n in 0..6000 {
            let record = RecordName::cluster("default", format!("c{n}"));
            let head = Head::new(record, MINUTE, true, NOW);
            let after = due(&head, until).since(until);
            assert!(after > Duration::ZERO && after <= MINUTE);
            seconds[usize::try_from(after.as_secs() % 60).unwrap()] += 1;
        }
        assert!(seconds.iter().all(|count| (60..=150).contains(count)), "{seconds:?}");
    }

    #[test]
    fn a_disabled_record_is_not_sent() {
        let mut head = head();
        head.enabled = false;
        assert_eq!(plan(&head, NEVER, NOW, TIMING), None);
    }

    #[test]
    fn a_disabled_record_whose_object_changed_is_sent_until_that_is_told() {
        let mut head = head();
        (head.enabled, head.object, head.told) = (false, 3, 2);
        let sent = plan(&head, Timestamp(i64::MAX), NOW, TIMING).unwrap();
        assert_eq!(
            sent,
            Plan { stamp: NOW, delay: 0, next_due: head.due },
            "in a pause too: nobody is asked"
        );
        head.lease_until = NOW.plus(MINUTE);
        assert_eq!(plan(&head, NEVER, NOW, TIMING), None, "its holder may tell it");
        (head.lease_until, head.told) = (Timestamp::ZERO, 3);
        assert_eq!(plan(&head, NEVER, NOW, TIMING), None);
        (head.enabled, head.told, head.due) = (true, 2, NOW.plus(60 * MINUTE));
        assert_eq!(plan(&head, NEVER, NOW, TIMING), None, "with its next task");
    }

    #[test]
    fn a_queued_record_is_sent_again_only_after_the_give_up_time_counted_from_sending() {
        let mut head = head();
        head.queued_due = NOW.minus(60 * MINUTE);
        head.done_due = NOW.minus(61 * MINUTE);
        head.queued_at = NOW;
        assert_eq!(plan(&head, NEVER, NOW.plus(14 * MINUTE), TIMING), None);
        assert!(plan(&head, NEVER, NOW.plus(15 * MINUTE), TIMING).is_some());
        head.done_due = head.queued_due;
        assert!(plan(&head, NEVER, NOW, TIMING).is_some(), "done: the next may go");
    }

    #[test]
    fn a_record_that_owes_and_has_no_lease_is_sent_due_and_enabled_or_not() {
        let mut head = head();
        head.owed = true;
        head.enabled = false;
        head.due = NOW.plus(60 * MINUTE);
        let sent = plan(&head, NEVER, NOW, TIMING).unwrap();
        assert_eq!(sent, Plan { stamp: NOW, delay: 0, next_due: head.due });
        head.lease_until = NOW.plus(MINUTE);
        assert_eq!(plan(&head, NEVER, NOW, TIMING), None, "its holder delivers it");
        head.lease_until = Timestamp::ZERO;
        (head.queued_due, head.queued_at) = (NOW, NOW);
        assert_eq!(plan(&head, NEVER, NOW.plus(MINUTE), TIMING), None, "the one-task rule holds");
    }

    #[test]
    fn a_record_is_overdue_from_its_due_time_until_it_is_done_queued_or_not() {
        let mut head = head();
        head.due = NOW.plus(Duration::from_millis(1));
        assert_eq!(overdue(&head, NEVER, NOW), None);
        head.due = NOW.minus(MINUTE);
        assert_eq!(overdue(&head, NEVER, NOW), Some(MINUTE));
        assert_eq!(overdue(&head, NEVER, head.due), Some(Duration::ZERO), "from that very moment");

        let sent = plan(&head, NEVER, NOW, TIMING).unwrap();
        (head.queued_due, head.queued_at, head.due) = (sent.stamp, NOW, sent.next_due);
        assert_eq!(overdue(&head, NEVER, NOW.plus(MINUTE)), Some(2 * MINUTE), "its task is not done");
        head.done_due = head.queued_due;
        assert_eq!(overdue(&head, NEVER, NOW.plus(MINUTE)), None);

        // Sent ahead: its task waits in the queue until it is due.
        (head.queued_due, head.due) = (NOW.plus(MINUTE), NOW.plus(6 * MINUTE));
        assert_eq!(overdue(&head, NEVER, NOW), None);
        head.due = NOW.minus(MINUTE);
        assert_eq!(overdue(&head, NEVER, NOW), Some(MINUTE), "somebody asked for it meanwhile");
        head.enabled = false;
        assert_eq!(overdue(&head, NEVER, NOW), None);
    }

    #[test]
    fn what_is_owed_is_unattended_since_its_lease_ended_or_was_given_back() {
        let mut head = head();
        head.lease_until = NOW.minus(MINUTE);
        assert_eq!(unattended(&head, NOW), None, "it owes nothing");
        head.owed = true;
        assert_eq!(unattended(&head, NOW), Some(MINUTE));
        assert_eq!(unattended(&head, head.lease_until), Some(Duration::ZERO));
        assert_eq!(unattended(&head, NOW.minus(2 * MINUTE)), None, "its holder is at it");

        head.lease_until = Timestamp::ZERO;
        assert_eq!(unattended(&head, NOW), Some(Duration::ZERO), "since when is not known");
        head.summary = Some(Summary { at: NOW.minus(MINUTE), ms: 20_000, ..Summary::default() }.to_json());
        assert_eq!(unattended(&head, NOW), Some(Duration::from_secs(40)));
        head.lease_until = NOW.plus(60 * MINUTE);
        assert_eq!(unattended(&head, NOW), Some(Duration::ZERO), "a lease from a wrong clock");
    }
}
