//! The machine: which act comes next, from what came of the last one.
//!
//! It holds no state of the record and no payload, only what decides: the head as the claim returned it, what
//! was committed and delivered since, and what may be said in the release. The adapter keeps the rest.
//!
//! ```text
//! Claim -> Load -> [LoadOutbox -> Deliver] -> Work -> WriteSlot -> Commit -> Deliver -> Release -> Finish
//!   |        |            (what is owed)        | nothing to store                       |
//!   |        |                                  +----------------------------------------+
//!   |        |                                  +-- the record is over: Bury -> Finish
//!   |        +-- chunks of another fence: Finish, without a trace
//!   +-- held by another: RaiseDone -> Finish
//! ```
//!
//! A claim commits at most once. A first attempt of a commit may land after its repetition; it then sets what is
//! set already. After a second commit under the same fence it would set back the head to the first. So when
//! items turn out to be contested, the claim that is about to note it in a commit does nothing else: if it finds
//! out behind a commit of its own, it leaves the record owing, due at once; the next claim delivers again and
//! notes it, and the one after that works.

use replicante_model::Timestamp;

use crate::head::{Head, Refusal, refusal};
use crate::slot::{Body, Slot};
use crate::task::Task;

/// The next act.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// One conditional update of the head: takes the lease and raises the fence.
    Claim,
    /// Raise `done_due` to the task's stamp: another holds the record, this task is discarded.
    RaiseDone,
    /// Read the state's chunks and check the fence of each. `None`: there is no state yet.
    Load(Option<Body>),
    /// Read the outbox's chunks and check the fence of each.
    LoadOutbox(Body),
    /// Publish the outbox's events above `published`, and write its items.
    Deliver {
        /// The last sequence known to be in the stream.
        published: u64,
    },
    /// Fetch the source or poll the agents, and compute the new state and its events.
    Work {
        /// The last committed sequence: the events go on from it.
        sequence: u64,
        /// Whether what was owed has items that were refused because another owns them: no I/O is needed, only
        /// the state is to take note of them.
        contested: bool,
    },
    /// Write the chunks of the slot that the head does not name.
    WriteSlot(Slot),
    /// Name the new slot in the head.
    Commit(Commit),
    /// Move the head away: the record is over.
    Bury {
        /// What `wanted` must still be: nobody asked for the record since the claim.
        wanted: u64,
    },
    /// Give the lease back.
    Release(Release),
    /// That was all.
    Finish(Outcome),
}

/// What a commit sets: absolute values, so that repeating it is harmless.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commit {
    /// The slot and its fence.
    pub body: Body,
    /// The last sequence, with this commit's events.
    pub sequence: u64,
    /// Whether the commit has anything to deliver.
    pub owed: bool,
    /// The last sequence known to be in the stream: those before this commit's events.
    pub published: u64,
}

/// What a release sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Release {
    /// Clears `owed`: everything is seen delivered. Otherwise it is not mentioned.
    pub clear_owed: bool,
    /// The last sequence known to be in the stream. Not mentioned when nothing is known.
    pub published: Option<u64>,
    /// Raises `done_due` to this stamp.
    pub done: Option<Timestamp>,
    /// Due again at once: something is left to do.
    pub due_at_once: bool,
    /// Whether the task succeeded.
    pub success: bool,
}

/// What came of an act.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// The claim took effect; the head is as it left it.
    Claimed(Box<Head>),
    /// The claim was refused by this head, or because there is none.
    ClaimRefused(Option<Box<Head>>),
    /// The chunks were read, and carry the fence that the head names.
    Loaded,
    /// They don't: someone else has moved on.
    Mismatch,
    /// Delivery ended.
    Delivered {
        /// The last sequence that was accepted.
        published: u64,
        /// Whether all events were accepted and all items written.
        complete: bool,
        /// Whether items were refused because another owns them.
        contested: bool,
    },
    /// Work ended with something to store.
    Worked {
        /// How many events the commit has.
        events: u64,
        /// Whether it has items to write.
        items: bool,
        /// Whether more is to come than one commit takes.
        more: bool,
    },
    /// Work ended and changed nothing.
    Unchanged,
    /// Work found that the record is over, and that its last event is published.
    Ended,
    /// Somebody asked for the record again: it goes on.
    Wanted,
    /// Delivering what was owed has left no time to work.
    NoTime,
    /// The chunks were written.
    Written(Body),
    /// The commit took effect.
    Committed,
    /// Done, whatever came of it (a release, or raising `done_due`).
    Done,
    /// Refused by a fence: someone else took over.
    TakenOver,
    /// The act failed. For a call: whether it took effect is not known.
    Failed,
}

/// How a task ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing changed.
    Unchanged,
    /// Changes were committed and delivered.
    Changed,
    /// Nothing but what was owed was delivered: the record is not enabled, or there was no time for more.
    Delivered,
    /// Done before: acknowledged.
    Duplicate,
    /// Another holds the record: acknowledged and counted, never queued again.
    Discarded,
    /// Someone else took over half way: acknowledged; what was not committed is dropped.
    TakenOver,
    /// The record was over, and has ended.
    Ended,
    /// The record does not exist (any more): acknowledged.
    Gone,
    /// Failed: reported, so that the queue delivers it again.
    Failed,
}

impl Outcome {
    /// All of them.
    pub const ALL: [Outcome; 9] = [
        Outcome::Unchanged,
        Outcome::Changed,
        Outcome::Delivered,
        Outcome::Duplicate,
        Outcome::Discarded,
        Outcome::TakenOver,
        Outcome::Ended,
        Outcome::Gone,
        Outcome::Failed,
    ];

    /// Whether the task's message may be deleted.
    pub fn is_acknowledged(self) -> bool {
        self != Outcome::Failed
    }

    /// The word used in logs and summaries.
    pub fn as_str(self) -> &'static str {
        match self {
            Outcome::Unchanged => "unchanged",
            Outcome::Changed => "changed",
            Outcome::Delivered => "delivered",
            Outcome::Duplicate => "duplicate",
            Outcome::Discarded => "discarded",
            Outcome::TakenOver => "taken_over",
            Outcome::Ended => "ended",
            Outcome::Gone => "gone",
            Outcome::Failed => "failed",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    Claim,
    RaiseDone,
    Load,
    LoadOutbox,
    Work,
    WriteSlot,
    Commit,
    Deliver,
    Bury,
    Release(Outcome),
    Finished,
}

/// The protocol for one task, step by step.
#[derive(Clone, Debug)]
pub struct Machine {
    task: Task,
    holder: String,
    at: At,
    head: Option<Box<Head>>,
    /// The last committed sequence.
    sequence: u64,
    /// The last sequence known to be in the stream.
    published: u64,
    /// Everything committed so far is seen delivered. `None`: the outcome of a commit is not known.
    delivered: Option<bool>,
    /// This claim has made its commit.
    committed: bool,
    /// The work under way only takes note of contested items.
    contested: bool,
    /// What the commit on its way has: events, items.
    pending: (u64, bool),
    /// Something is left to do when this claim is over.
    more: bool,
}

impl Machine {
    /// A machine for one task. The holder id is fresh for each claim and kept over its retries.
    pub fn new(task: Task, holder: String) -> Self {
        Machine {
            task,
            holder,
            at: At::Claim,
            head: None,
            sequence: 0,
            published: 0,
            delivered: Some(false),
            committed: false,
            contested: false,
            pending: (0, false),
            more: false,
        }
    }

    /// The first act.
    pub fn start(&self) -> Step {
        Step::Claim
    }

    /// The head as the claim returned it.
    pub fn head(&self) -> Option<&Head> {
        self.head.as_deref()
    }

    /// The next act, from what came of the last one. A reply that does not belong to the last act counts as
    /// a failure of it.
    pub fn next(&mut self, reply: Reply) -> Step {
        match (self.at, reply) {
            (At::Claim, Reply::Claimed(head)) => self.claimed(head),
            (At::Claim, Reply::ClaimRefused(None)) => self.finish(Outcome::Gone),
            (At::Claim, Reply::ClaimRefused(Some(head))) => match refusal(&head, &self.task, &self.holder) {
                Refusal::Ours => self.claimed(head),
                Refusal::Duplicate => self.finish(Outcome::Duplicate),
                Refusal::Held if self.task.stamp.is_some() => {
                    self.at = At::RaiseDone;
                    Step::RaiseDone
                }
                Refusal::Held => self.finish(Outcome::Discarded),
            },
            (At::Claim, _) => self.finish(Outcome::Failed),
            (At::RaiseDone, _) => self.finish(Outcome::Discarded),

            (At::Load, Reply::Loaded) => self.loaded(),
            (At::LoadOutbox, Reply::Loaded) => self.deliver(),
            (At::Load | At::LoadOutbox, Reply::Mismatch) => self.finish(Outcome::TakenOver),

            (At::Deliver, Reply::Delivered { published, complete, contested }) => {
                self.published = self.published.max(published);
                if !complete {
                    return self.release(Outcome::Failed);
                }
                match (contested, self.committed) {
                    (false, _) => self.all_delivered(),
                    (true, false) => self.work(true),
                    (true, true) => {
                        self.more = true;
                        self.release(Outcome::Changed)
                    }
                }
            }

            // Items that were contested and are noted already: nothing is left of them.
            (At::Work, Reply::Unchanged) if self.contested => self.all_delivered(),
            (At::Work, Reply::Unchanged) => self.release(Outcome::Unchanged),
            (At::Work, Reply::Ended) if !self.contested => self.bury(),
            (At::Work, Reply::NoTime) => {
                self.more = true;
                self.release(Outcome::Delivered)
            }
            (At::Work, Reply::Worked { events, items, more }) => {
                self.pending = (events, items);
                // What was noted is not what the task is there for.
                self.more = more || self.contested;
                self.at = At::WriteSlot;
                Step::WriteSlot(self.other_slot())
            }

            (At::WriteSlot, Reply::Written(body)) => {
                let (events, items) = self.pending;
                self.at = At::Commit;
                Step::Commit(Commit {
                    body,
                    sequence: self.sequence + events,
                    owed: events > 0 || items,
                    published: self.published,
                })
            }
            (At::Commit, Reply::Committed) => {
                let (events, items) = self.pending;
                self.committed = true;
                if events > 0 || items {
                    self.delivered = Some(false);
                    self.deliver()
                } else {
                    // The commit itself said that nothing is owed.
                    self.all_delivered()
                }
            }
            (At::Commit, Reply::Failed) => {
                // It may land later, or have landed: nothing may be said of what is owed.
                self.delivered = None;
                self.release(Outcome::Failed)
            }

            (At::Bury, Reply::Done) => self.finish(Outcome::Ended),
            (At::Bury, Reply::Wanted) => {
                self.more = true;
                self.release(Outcome::Unchanged)
            }

            (At::Release(outcome), Reply::Done | Reply::TakenOver) => self.finish(outcome),
            (At::Release(_), _) => self.finish(Outcome::Failed),
            (At::Finished, _) => Step::Finish(Outcome::Failed),

            (_, Reply::TakenOver) => self.finish(Outcome::TakenOver),
            (_, _) => self.release(Outcome::Failed),
        }
    }

    fn claimed(&mut self, head: Box<Head>) -> Step {
        self.sequence = head.sequence;
        self.published = head.published;
        let body = head.body;
        self.head = Some(head);
        self.at = At::Load;
        Step::Load(body)
    }

    fn loaded(&mut self) -> Step {
        match self.head() {
            Some(Head { owed: true, body: Some(body), .. }) => {
                let body = *body;
                self.at = At::LoadOutbox;
                Step::LoadOutbox(body)
            }
            _ => self.nothing_owed(),
        }
    }

    /// Everything committed so far is seen delivered.
    fn all_delivered(&mut self) -> Step {
        self.delivered = Some(true);
        if self.committed { self.release(Outcome::Changed) } else { self.nothing_owed() }
    }

    /// Nothing is owed (any more): work, unless the record is not to be worked on. What changed of its object is told whether
    /// it is or not.
    fn nothing_owed(&mut self) -> Step {
        let has_work = self.head().is_some_and(|head| head.enabled || head.has_to_tell());
        if !has_work && self.task.stamp.is_some() {
            return self.release(Outcome::Delivered);
        }
        self.work(false)
    }

    /// The slot that the head does not name.
    fn other_slot(&self) -> Slot {
        let named = self.head().and_then(|head| head.body);
        named.map_or(Slot::A, |body| body.slot.other())
    }

    fn work(&mut self, contested: bool) -> Step {
        self.contested = contested;
        self.at = At::Work;
        Step::Work { sequence: self.sequence, contested }
    }

    fn bury(&mut self) -> Step {
        self.at = At::Bury;
        Step::Bury { wanted: self.head().map_or(0, |head| head.wanted) }
    }

    fn deliver(&mut self) -> Step {
        self.at = At::Deliver;
        Step::Deliver { published: self.published }
    }

    fn release(&mut self, outcome: Outcome) -> Step {
        let owed_before = self.head().is_some_and(|head| head.owed);
        let success = outcome != Outcome::Failed;
        let release = Release {
            clear_owed: self.delivered == Some(true) && (owed_before || self.committed),
            published: self.delivered.is_some().then_some(self.published),
            done: if success { self.task.stamp } else { None },
            due_at_once: success && self.more,
            success,
        };
        self.at = At::Release(outcome);
        Step::Release(release)
    }

    fn finish(&mut self, outcome: Outcome) -> Step {
        self.at = At::Finished;
        Step::Finish(outcome)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use replicante_model::RecordName;

    use super::*;
    use crate::slot::FORMAT;

    const STAMP: Timestamp = Timestamp(1_000);

    fn body(slot: Slot, fence: u64) -> Body {
        Body {
            slot,
            fence,
            state_chunks: 1,
            outbox_chunks: 1,
            state_bytes: 1,
            outbox_bytes: 1,
            format: FORMAT,
        }
    }

    fn head(owed: bool) -> Box<Head> {
        let mut head =
            Head::new(RecordName::cluster("default", "orders"), Duration::from_secs(60), true, STAMP);
        (head.fence, head.sequence, head.published, head.owed) = (7, 10, if owed { 8 } else { 10 }, owed);
        head.holder = "me".into();
        head.body = Some(body(Slot::A, 6));
        Box::new(head)
    }

    fn machine() -> Machine {
        Machine::new(Task::scheduled(RecordName::cluster("default", "orders"), STAMP), "me".into())
    }

    fn delivered(published: u64) -> Reply {
        Reply::Delivered { published, complete: true, contested: false }
    }

    #[test]
    fn an_unchanged_refresh_claims_loads_works_and_releases() {
        let mut m = machine();
        assert_eq!(m.start(), Step::Claim);
        assert_eq!(m.next(Reply::Claimed(head(false))), Step::Load(Some(body(Slot::A, 6))));
        assert_eq!(m.next(Reply::Loaded), Step::Work { sequence: 10, contested: false });
        let release = Release {
            clear_owed: false,
            published: Some(10),
            done: Some(STAMP),
            due_at_once: false,
            success: true,
        };
        assert_eq!(m.next(Reply::Unchanged), Step::Release(release));
        assert_eq!(m.next(Reply::Done), Step::Finish(Outcome::Unchanged));
    }

    #[test]
    fn a_changed_refresh_writes_the_other_slot_commits_delivers_and_then_clears_what_it_owed() {
        let mut m = machine();
        m.next(Reply::Claimed(head(false)));
        m.next(Reply::Loaded);
        assert_eq!(m.next(Reply::Worked { events: 2, items: false, more: true }), Step::WriteSlot(Slot::B));
        let commit = Commit { body: body(Slot::B, 7), sequence: 12, owed: true, published: 10 };
        assert_eq!(m.next(Reply::Written(body(Slot::B, 7))), Step::Commit(commit));
        assert_eq!(m.next(Reply::Committed), Step::Deliver { published: 10 });
        let Step::Release(release) = m.next(delivered(12)) else { panic!("no release") };
        assert!(release.clear_owed && release.due_at_once);
        assert_eq!((release.published, release.done), (Some(12), Some(STAMP)));
        assert_eq!(m.next(Reply::Done), Step::Finish(Outcome::Changed));
    }

    #[test]
    fn a_commit_that_owes_nothing_is_released_at_once() {
        let mut m = machine();
        m.next(Reply::Claimed(head(false)));
        m.next(Reply::Loaded);
        m.next(Reply::Worked { events: 0, items: false, more: false });
        let Step::Commit(commit) = m.next(Reply::Written(body(Slot::B, 7))) else { panic!("no commit") };
        assert_eq!((commit.owed, commit.sequence), (false, 10));
        assert!(matches!(m.next(Reply::Committed), Step::Release(_)), "there is nothing to deliver");
    }

    #[test]
    fn all_but_a_failed_task_is_acknowledged_and_each_has_its_word() {
        let all = [
            (Outcome::Unchanged, "unchanged"),
            (Outcome::Changed, "changed"),
            (Outcome::Delivered, "delivered"),
            (Outcome::Duplicate, "duplicate"),
            (Outcome::Discarded, "discarded"),
            (Outcome::TakenOver, "taken_over"),
            (Outcome::Ended, "ended"),
            (Outcome::Gone, "gone"),
            (Outcome::Failed, "failed"),
        ];
        for (outcome, word) in all {
            assert_eq!((outcome.as_str(), outcome.is_acknowledged()), (word, word != "failed"));
        }
    }

    #[test]
    fn what_is_owed_is_delivered_before_any_work_and_nothing_is_done_when_that_fails() {
        let mut m = machine();
        m.next(Reply::Claimed(head(true)));
        assert_eq!(m.next(Reply::Loaded), Step::LoadOutbox(body(Slot::A, 6)));
        assert_eq!(m.next(Reply::Loaded), Step::Deliver { published: 8 });
        let mut failing = m.clone();
        let failed = Reply::Delivered { published: 9, complete: false, contested: false };
        let Step::Release(release) = failing.next(failed) else { panic!("no release") };
        assert!(!release.clear_owed && !release.success && release.done.is_none());
        assert_eq!(release.published, Some(9));
        assert_eq!(m.next(delivered(10)), Step::Work { sequence: 10, contested: false });
        let Step::Release(release) = m.next(Reply::Unchanged) else { panic!("no release") };
        assert!(release.clear_owed);
    }

    #[test]
    fn after_a_commit_of_unknown_outcome_the_release_says_nothing_of_what_is_owed() {
        for owed in [false, true] {
            let mut m = machine();
            m.next(Reply::Claimed(head(owed)));
            m.next(Reply::Loaded);
            if owed {
                m.next(Reply::Loaded);
                m.next(delivered(10));
            }
            m.next(Reply::Worked { events: 1, items: false, more: false });
            m.next(Reply::Written(body(Slot::B, 7)));
            let Step::Release(release) = m.next(Reply::Failed) else { panic!("no release") };
            assert!(!release.clear_owed && release.published.is_none() && release.done.is_none());
            assert_eq!(m.next(Reply::Done), Step::Finish(Outcome::Failed));
        }
    }

    #[test]
    fn chunks_of_another_fence_end_the_task_without_a_trace() {
        let mut m = machine();
        m.next(Reply::Claimed(head(false)));
        assert_eq!(m.next(Reply::Mismatch), Step::Finish(Outcome::TakenOver));
        let mut m = machine();
        m.next(Reply::Claimed(head(true)));
        m.next(Reply::Loaded);
        assert_eq!(m.next(Reply::Mismatch), Step::Finish(Outcome::TakenOver));
    }

    #[test]
    fn a_claim_whose_reply_was_lost_is_ours() {
        let mut m = machine();
        assert_eq!(m.next(Reply::ClaimRefused(Some(head(false)))), Step::Load(Some(body(Slot::A, 6))));
    }

    #[test]
    fn a_discarded_task_raises_what_is_done_and_is_acknowledged() {
        let mut held = head(false);
        held.holder = "other".into();
        let mut m = machine();
        assert_eq!(m.next(Reply::ClaimRefused(Some(held.clone()))), Step::RaiseDone);
        assert_eq!(m.next(Reply::Failed), Step::Finish(Outcome::Discarded));
        let mut manual = Machine::new(Task::manual(held.record.clone(), "ann"), "me".into());
        assert_eq!(manual.next(Reply::ClaimRefused(Some(held))), Step::Finish(Outcome::Discarded));
        assert_eq!(machine().next(Reply::ClaimRefused(None)), Step::Finish(Outcome::Gone));
    }

    #[test]
    fn a_disabled_record_only_delivers_what_it_owes_unless_somebody_asked() {
        let mut disabled = head(true);
        disabled.enabled = false;
        let mut m = machine();
        m.next(Reply::Claimed(disabled.clone()));
        m.next(Reply::Loaded);
        m.next(Reply::Loaded);
        assert!(matches!(m.next(delivered(10)), Step::Release(Release { clear_owed: true, .. })));
        assert_eq!(m.next(Reply::Done), Step::Finish(Outcome::Delivered));
        let mut m = Machine::new(Task::manual(disabled.record.clone(), "ann"), "me".into());
        disabled.owed = false;
        m.next(Reply::Claimed(disabled));
        assert!(matches!(m.next(Reply::Loaded), Step::Work { .. }));
        let Step::Release(release) = m.next(Reply::Unchanged) else { panic!("no release") };
        assert_eq!(release.done, None, "a manual task leaves done_due alone");
    }

    #[test]
    fn a_disabled_record_tells_what_changed_of_its_object() {
        for (told, works) in [(2, true), (3, false)] {
            let mut disabled = head(false);
            (disabled.enabled, disabled.object, disabled.told) = (false, 3, told);
            let mut m = machine();
            m.next(Reply::Claimed(disabled));
            assert_eq!(matches!(m.next(Reply::Loaded), Step::Work { .. }), works, "{told}");
        }
    }

    #[test]
    fn contested_items_are_noted_by_the_claim_after_the_one_that_committed_them() {
        let contested = |published| Reply::Delivered { published, complete: true, contested: true };
        let mut m = machine();
        m.next(Reply::Claimed(head(false)));
        m.next(Reply::Loaded);
        m.next(Reply::Worked { events: 0, items: true, more: false });
        m.next(Reply::Written(body(Slot::B, 7)));
        m.next(Reply::Committed);
        let Step::Release(release) = m.next(contested(10)) else { panic!("no release") };
        assert!(!release.clear_owed && release.due_at_once && release.success);

        let mut m = machine();
        m.next(Reply::Claimed(head(true)));
        m.next(Reply::Loaded);
        m.next(Reply::Loaded);
        assert_eq!(m.next(contested(10)), Step::Work { sequence: 10, contested: true });
        assert_eq!(m.next(Reply::Worked { events: 1, items: false, more: false }), Step::WriteSlot(Slot::B));
        m.next(Reply::Written(body(Slot::B, 7)));
        assert_eq!(m.next(Reply::Committed), Step::Deliver { published: 10 });
        let Step::Release(release) = m.next(delivered(11)) else { panic!("no release") };
        assert!(release.clear_owed && release.due_at_once, "the task's own work is for the next claim");

        let mut m = machine();
        m.next(Reply::Claimed(head(true)));
        m.next(Reply::Loaded);
        m.next(Reply::Loaded);
        m.next(contested(10));
        assert_eq!(m.next(Reply::Unchanged), Step::Work { sequence: 10, contested: false }, "noted before");
    }

    #[test]
    fn a_claim_whose_time_went_into_what_was_owed_leaves_the_work_to_the_next() {
        let mut m = machine();
        m.next(Reply::Claimed(head(true)));
        m.next(Reply::Loaded);
        m.next(Reply::Loaded);
        m.next(delivered(10));
        let Step::Release(release) = m.next(Reply::NoTime) else { panic!("no release") };
        assert!(release.clear_owed && release.due_at_once && release.success);
        assert_eq!(m.next(Reply::Done), Step::Finish(Outcome::Delivered));
    }

    #[test]
    fn a_record_that_is_over_ends_unless_somebody_asked_for_it_since_the_claim() {
        let mut over = head(true);
        over.wanted = 5;
        let mut m = machine();
        m.next(Reply::Claimed(over));
        m.next(Reply::Loaded);
        m.next(Reply::Loaded);
        m.next(delivered(10));
        assert_eq!(m.next(Reply::Ended), Step::Bury { wanted: 5 });
        let mut wanted = m.clone();
        let Step::Release(release) = wanted.next(Reply::Wanted) else { panic!("no release") };
        assert!(release.clear_owed && release.due_at_once && release.success);
        assert_eq!(wanted.next(Reply::Done), Step::Finish(Outcome::Unchanged));
        let mut late = m.clone();
        assert_eq!(late.next(Reply::TakenOver), Step::Finish(Outcome::TakenOver));
        let mut unknown = m.clone();
        let Step::Release(release) = unknown.next(Reply::Failed) else { panic!("no release") };
        assert!(!release.success, "the task comes again, and finds it ended or ends it");
        assert_eq!(m.next(Reply::Done), Step::Finish(Outcome::Ended));
    }

    /// Every reply after every act: whatever happens, the rules hold and the task ends.
    #[test]
    fn no_sequence_of_replies_breaks_a_rule() {
        fn replies(step: &Step) -> Vec<Reply> {
            let mut all = vec![Reply::Failed, Reply::TakenOver];
            match step {
                Step::Claim => all.extend([
                    Reply::Claimed(head(false)),
                    Reply::Claimed(head(true)),
                    Reply::ClaimRefused(Some(head(true))),
                    Reply::ClaimRefused(None),
                ]),
                Step::RaiseDone | Step::Release(_) => all.push(Reply::Done),
                Step::Bury { .. } => all.extend([Reply::Done, Reply::Wanted]),
                Step::Load(_) | Step::LoadOutbox(_) => all.extend([Reply::Loaded, Reply::Mismatch]),
                Step::Deliver { .. } => all.extend([
                    delivered(99),
                    Reply::Delivered { published: 9, complete: false, contested: false },
                    Reply::Delivered { published: 99, complete: true, contested: true },
                ]),
                Step::Work { .. } => all.extend([
                    Reply::Unchanged,
                    Reply::NoTime,
                    Reply::Ended,
                    Reply::Worked { events: 0, items: false, more: false },
                    Reply::Worked { events: 3, items: true, more: true },
                ]),
                Step::WriteSlot(slot) => all.push(Reply::Written(body(*slot, 7))),
                Step::Commit(_) => all.push(Reply::Committed),
                Step::Finish(_) => all.clear(),
            }
            all
        }

        struct Seen {
            named: Slot,
            written: Option<Slot>,
            undelivered: bool,
            unknown: bool,
            commits: u32,
            released: bool,
        }

        fn explore(machine: &Machine, step: &Step, seen: &Seen, depth: usize, ends: &mut usize) {
            if let Step::Finish(_) = step {
                *ends += 1;
                return;
            }
            assert!(depth < 20, "it goes on for ever");
            for reply in replies(step) {
                let mut machine = machine.clone();
                let mut now = Seen { written: None, ..*seen };
                match (step, &reply) {
                    (Step::Claim, Reply::Claimed(head) | Reply::ClaimRefused(Some(head))) => {
                        now.undelivered = head.owed;
                    }
                    (Step::WriteSlot(slot), Reply::Written(_)) => now.written = Some(*slot),
                    (Step::Commit(commit), Reply::Committed) => {
                        now.named = commit.body.slot;
                        now.undelivered = commit.owed;
                    }
                    (Step::Commit(_), Reply::Failed) => now.unknown = true,
                    (Step::Deliver { .. }, Reply::Delivered { complete: true, contested: false, .. }) => {
                        now.undelivered = false;
                    }
                    (Step::Work { contested: true, .. }, Reply::Unchanged) => now.undelivered = false,
                    (Step::Release(_), _) => now.released = true,
                    _ => {}
                }
                let next = machine.next(reply.clone());
                match &next {
                    Step::WriteSlot(slot) => {
                        assert_ne!(*slot, now.named, "the slot that the head names is never written");
                    }
                    Step::Commit(commit) => {
                        assert_eq!(Some(commit.body.slot), now.written, "{reply:?}");
                        now.commits += 1;
                        assert_eq!(now.commits, 1, "a late first attempt would undo the second commit");
                    }
                    Step::Work { contested: false, .. } => {
                        assert!(!now.undelivered, "work before what is owed")
                    }
                    Step::Bury { .. } => {
                        assert!(!now.undelivered && now.commits == 0, "what is owed is published first");
                    }
                    Step::Release(release) => {
                        assert!(!(release.clear_owed && (now.undelivered || now.unknown)), "{reply:?}");
                        assert_eq!(release.done.is_some(), release.success);
                        assert!(!now.released);
                    }
                    _ => {}
                }
                explore(&machine, &next, &now, depth + 1, ends);
            }
        }

        let seen = Seen {
            named: Slot::A,
            written: None,
            undelivered: false,
            unknown: false,
            commits: 0,
            released: false,
        };
        let mut ends = 0;
        explore(&machine(), &Step::Claim, &seen, 0, &mut ends);
        assert!(ends > 200, "{ends} ends");
    }
}
