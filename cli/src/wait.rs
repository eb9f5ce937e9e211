//! Waiting for a task: its record's head tells when it was worked on, and how that ended.
//!
//! A head does not name the task that its holder works for. What is waited for is a claim that came after the task was
//! asked for, and its release: whatever sent it, it looked at the world later than that.

use std::time::Duration;

use replicante_aws::{AwsError, Table};
use replicante_model::Timestamp;
use replicante_model::summary::Summary;
use replicante_protocol::head::Head;
use tokio::time::{Instant, sleep};

use crate::progress;

/// Between two looks at a head: at first, and at most. A look costs a read unit.
const FIRST: Duration = Duration::from_millis(20);
const MOST: Duration = Duration::from_millis(250);

/// How far a task is that was asked for when its record's head was `before`.
#[derive(Clone, Debug, PartialEq)]
pub enum Stage {
    /// Nobody has claimed the record since.
    Queued,
    /// Somebody holds it.
    AtWork,
    /// It was worked on, and given back.
    Done(Box<Done>),
    /// There is no such record any more: it has ended.
    Ended,
}

/// How a task ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Done {
    /// The head as the worker left it.
    pub head: Head,
    /// What it says.
    pub summary: Summary,
    /// Events that were committed meanwhile.
    pub events: u64,
}

/// Reads the stage off a head.
pub fn stage(before: &Head, head: Option<Head>, now: Timestamp) -> Stage {
    let Some(head) = head else { return Stage::Ended };
    if head.fence <= before.fence {
        return Stage::Queued;
    }
    // A worker that gives a record back says when it began: a lease that was merely taken away leaves that as it was.
    if head.lease_until == Timestamp::ZERO && head.summary != before.summary {
        let earlier = if head.epoch == before.epoch { before.sequence } else { 0 };
        let events = head.sequence.saturating_sub(earlier);
        let summary = Summary::parse(head.summary.as_deref());
        return Stage::Done(Box::new(Done { head, summary, events }));
    }
    if head.is_held(now) { Stage::AtWork } else { Stage::Queued }
}

/// Until when to wait, with what is told meanwhile.
#[derive(Debug)]
pub struct Wait {
    what: String,
    until: Instant,
}

impl Wait {
    /// Waits for `what`, for so long at most.
    pub fn start(what: String, timeout: Duration) -> Self {
        Wait { what, until: Instant::now() + timeout }
    }

    /// The head once nobody holds the record: a task that comes while somebody does would be dropped. `None` when time is
    /// over before that.
    ///
    /// # Errors
    /// When the table can't be read.
    pub async fn free(&self, table: &Table, mut head: Head) -> Result<Option<Head>, AwsError> {
        let mut pause = FIRST;
        while head.is_held(Timestamp::now()) {
            if !self.go_on("another is at work on it", &mut pause).await {
                return Ok(None);
            }
            match table.head(&head.record).await? {
                Some(now) => head = now,
                None => break,
            }
        }
        Ok(Some(head))
    }

    /// The last stage of a task that was asked for when its record's head was `before`: done, ended, or how far it was
    /// when time was over.
    ///
    /// # Errors
    /// When the table can't be read.
    pub async fn end(&self, table: &Table, before: &Head) -> Result<Stage, AwsError> {
        let mut pause = FIRST;
        loop {
            let stage = stage(before, table.head(&before.record).await?, Timestamp::now());
            let told = match stage {
                Stage::Queued => "in the queue",
                Stage::AtWork => "at work",
                Stage::Done(_) | Stage::Ended => return Ok(stage),
            };
            if !self.go_on(told, &mut pause).await {
                return Ok(stage);
            }
        }
    }

    /// Waits for the time of the next look. False when time is over.
    async fn go_on(&self, told: &str, pause: &mut Duration) -> bool {
        let now = Instant::now();
        if now >= self.until {
            return false;
        }
        progress::say(format!("{}: {told}", self.what));
        sleep((*pause).min(self.until - now)).await;
        *pause = (*pause * 2).min(MOST);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::given::{NOW, cluster_head};

    fn later(change: impl FnOnce(&mut Head)) -> Stage {
        let before = cluster_head();
        let mut head = before.clone();
        change(&mut head);
        stage(&before, Some(head), NOW)
    }

    fn told(head: &mut Head, outcome: &str) {
        let summary = Summary { at: NOW, outcome: outcome.into(), ..Summary::default() };
        head.summary = Some(summary.to_json());
    }

    #[test]
    fn a_task_is_done_once_a_later_claim_gave_the_record_back() {
        assert_eq!(later(|_| ()), Stage::Queued);
        // Given back by who held it before.
        assert_eq!(later(|head| told(head, "ok")), Stage::Queued);
        let claimed =
            |head: &mut Head| (head.fence, head.lease_until) = (1, NOW.plus(Duration::from_secs(9)));
        assert_eq!(later(claimed), Stage::AtWork);
        // It died: another will claim the record.
        assert_eq!(later(|head| (head.fence, head.lease_until) = (1, NOW)), Stage::Queued);
        assert_eq!(later(|head| head.fence = 1), Stage::Queued, "the lease was taken away by `up`");
        let done = later(|head| {
            (head.fence, head.sequence) = (2, head.sequence + 3);
            told(head, "failed");
        });
        let Stage::Done(done) = done else { panic!("{done:?}") };
        assert_eq!((done.summary.outcome.as_str(), done.events), ("failed", 3));
        assert_eq!(stage(&cluster_head(), None, NOW), Stage::Ended);
    }

    #[test]
    fn events_of_a_new_epoch_are_counted_from_its_first() {
        let returned = later(|head| {
            (head.fence, head.epoch, head.sequence) = (9, head.epoch + 1, 5);
            told(head, "ok");
        });
        assert!(matches!(&returned, Stage::Done(done) if done.events == 5), "{returned:?}");
    }
}
