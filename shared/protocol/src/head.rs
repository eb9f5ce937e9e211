//! The head: the one small item a record that every act of the protocol goes through.

use std::time::Duration;

use replicante_model::{RecordName, Timestamp};
use serde::{Deserialize, Serialize};

use crate::slot::Body;
use crate::task::Task;

/// The most bytes of a head, so that each write of it costs one write unit.
pub const MAX_HEAD: usize = 1024;
/// Longer than any lease that is ever given. A lease that ends further ahead was written by a clock that is
/// wrong, and counts as past.
pub const MAX_LEASE: Duration = Duration::from_secs(30 * 60);

/// The head of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// The record.
    pub record: RecordName,
    /// Up by one at each claim. Every guarded write carries it in its condition.
    pub fence: u64,
    /// When the lease ends; zero when released.
    pub lease_until: Timestamp,
    /// The claim that holds it: fresh for each.
    pub holder: String,
    /// The epoch of its events: seconds since 1970 at its creation.
    pub epoch: u64,
    /// The last committed sequence.
    pub sequence: u64,
    /// A commit's events or items are not known to be all delivered.
    pub owed: bool,
    /// The last sequence known to be in the stream.
    pub published: u64,
    /// Where the state is. Absent before the first commit.
    pub body: Option<Body>,
    /// What a list shows: JSON, see the model's summary.
    pub summary: Option<String>,
    /// Not guarded: when it is due next.
    pub due: Timestamp,
    /// Not guarded: how often it is due.
    pub interval: Duration,
    /// Not guarded: whether it is scheduled at all.
    pub enabled: bool,
    /// Not guarded: the stamp of the task that was queued last.
    pub queued_due: Timestamp,
    /// Not guarded: when that task was sent.
    pub queued_at: Timestamp,
    /// Not guarded: the highest stamp that is done. Only ever raised.
    pub done_due: Timestamp,
    /// Not guarded: raised whenever somebody wants the record to be there.
    pub wanted: u64,
    /// Not guarded: when its maintenance window ends; zero when there is none.
    pub maintenance: Timestamp,
    /// Not guarded: the last change of its object; zero when there is none.
    pub object: u64,
    /// The last change of its object that its events tell.
    pub told: u64,
}

impl Head {
    /// The head of a record that is new: due at `now`, nothing committed.
    pub fn new(record: RecordName, interval: Duration, enabled: bool, now: Timestamp) -> Self {
        Head {
            record,
            fence: 0,
            lease_until: Timestamp::ZERO,
            holder: String::new(),
            epoch: u64::try_from(now.seconds()).unwrap_or(0),
            sequence: 0,
            owed: false,
            published: 0,
            body: None,
            summary: None,
            due: now,
            interval,
            enabled,
            queued_due: Timestamp::ZERO,
            queued_at: Timestamp::ZERO,
            done_due: Timestamp::ZERO,
            wanted: 1,
            maintenance: Timestamp::ZERO,
            object: 0,
            told: 0,
        }
    }

    /// Whether its object changed and no event tells it yet.
    pub fn has_to_tell(&self) -> bool {
        self.object > self.told
    }

    /// Whether somebody holds it.
    pub fn is_held(&self, now: Timestamp) -> bool {
        self.lease_until > now && self.lease_until <= now.plus(MAX_LEASE)
    }
}

/// What a refused claim means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Refusal {
    /// Our first attempt took effect and its reply was lost: we hold it.
    Ours,
    /// The task was done before.
    Duplicate,
    /// Another holds it.
    Held,
}

/// Judges a refused claim by the head that refused it.
pub fn refusal(head: &Head, task: &Task, holder: &str) -> Refusal {
    let done = task.stamp.is_some_and(|stamp| head.done_due >= stamp);
    if head.holder == holder {
        Refusal::Ours
    } else if done && !head.owed {
        Refusal::Duplicate
    } else {
        Refusal::Held
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_000_000_000);

    fn head() -> Head {
        Head::new(RecordName::cluster("default", "orders"), Duration::from_secs(60), true, NOW)
    }

    fn task() -> Task {
        Task::scheduled(head().record, NOW)
    }

    #[test]
    fn a_lease_from_a_wrong_clock_holds_nothing() {
        assert_eq!(MAX_LEASE.as_secs(), 1800, "longer than the longest lease that a setting may ask for");
        let mut head = head();
        assert!(!head.is_held(NOW));
        head.lease_until = NOW.plus(Duration::from_secs(60));
        assert!(head.is_held(NOW));
        assert!(!head.is_held(head.lease_until), "a lease that ends now is past");
        head.lease_until = NOW.plus(MAX_LEASE).plus(Duration::from_millis(1));
        assert!(!head.is_held(NOW));
    }

    #[test]
    fn a_refused_claim_is_ours_a_duplicate_or_held_by_another() {
        let mut head = head();
        head.holder = "other".into();
        head.done_due = NOW;
        assert_eq!(refusal(&head, &task(), "me"), Refusal::Duplicate);
        assert_eq!(refusal(&head, &task(), "other"), Refusal::Ours);
        head.done_due = NOW.minus(Duration::from_millis(1));
        assert_eq!(refusal(&head, &task(), "me"), Refusal::Held);
        assert_eq!(refusal(&head, &Task::manual(head.record.clone(), "ann"), "me"), Refusal::Held);
        head.done_due = NOW;
        head.owed = true;
        assert_eq!(refusal(&head, &task(), "me"), Refusal::Held, "what owes is never a duplicate");
    }
}
