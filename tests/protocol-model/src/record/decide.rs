//! What a worker does next: asked of the project's own [`Machine`].
//!
//! A machine holds names and a boxed head, too much for millions of states. What it decides follows from the task, the
//! head as it was claimed, and the replies since. So a worker keeps those, and a machine is played through them
//! whenever its worker hears something new. A rule that is left out bends what the machine hears or what it says.

use std::time::Duration;

use replicante_model::{RecordName, Timestamp};
use replicante_protocol::machine::{self, Machine};
use replicante_protocol::task::Task;
use replicante_protocol::{head, slot};

use super::state::{Body, Commit, Head, Outbox, REPLIES, Release, Reply, Setup, Step, Worker};
use crate::rule::Rule;

impl Worker {
    /// A worker whose claim took effect and returned this head.
    pub fn claimed(head: &Head, setup: &Setup) -> Self {
        let claimed = Head { lease: false, holder: 0, ..*head };
        let mut worker = Worker { claimed, ..Worker::default() };
        worker.step = worker.decide(setup);
        worker
    }

    /// A worker whose claim was refused by this head: it goes on if the head says that the claim is its own.
    pub fn refused(holder: u8, head: &Head, setup: &Setup) -> Self {
        let mut machine = machine(holder);
        if setup.keeps(Rule::OwnClaimIsKnown)
            && let machine::Step::Load(_) =
                machine.next(machine::Reply::ClaimRefused(Some(stored_head(head))))
        {
            return Self::claimed(head, setup);
        }
        Worker::default()
    }

    /// The same worker, after this reply to its last act.
    #[must_use]
    pub fn hears(mut self, reply: Reply, setup: &Setup) -> Self {
        let reply = match reply {
            Reply::TakenOver
                if matches!(self.step, Step::Commit(_)) && !setup.keeps(Rule::RefusedIsDropped) =>
            {
                Reply::Committed
            }
            reply => reply,
        };
        let Some(place) = self.heard.iter_mut().find(|heard| **heard == Reply::None) else {
            unreachable!("no claim takes so many acts: {self:?}")
        };
        *place = reply;
        self.parts = 0;
        self.step = self.decide(setup);
        self.forget(setup)
    }

    /// What a machine asks for that heard the same.
    fn decide(&self, setup: &Setup) -> Step {
        let mut head = stored_head(&self.claimed);
        if !setup.keeps(Rule::OwedFirst) {
            head.owed = false;
        }
        let mut machine = machine(0);
        let mut step = machine.next(machine::Reply::Claimed(head));
        for reply in self.heard.iter().take_while(|reply| **reply != Reply::None) {
            step = machine.next(self.reply(*reply, &step));
        }
        self.bent(compact(&step), setup)
    }

    /// What a worker does instead, of which a rule is left out.
    fn bent(&self, step: Step, setup: &Setup) -> Step {
        match step {
            Step::WriteSlot(slot) if !setup.keeps(Rule::OtherSlot) => Step::WriteSlot(1 - slot),
            Step::Release(mut release) => {
                let last = self.heard.iter().rfind(|reply| **reply != Reply::None);
                let unknown = last == Some(&Reply::Failed) && release.published.is_none();
                let undelivered = matches!(last, Some(Reply::Delivered(_, false)));
                release.clear_owed |= (unknown && !setup.keeps(Rule::OwedUntilTheReply))
                    || (undelivered && !setup.keeps(Rule::OwedUntilAllIsAccepted));
                Step::Release(release)
            }
            step => step,
        }
    }

    /// Forgets what nothing depends on any more, so that states which differ in it alone are one.
    fn forget(mut self, setup: &Setup) -> Self {
        match self.step {
            Step::Idle => Worker::default(),
            Step::Release(_) if !setup.keeps(Rule::OneCommit) && self.heard.contains(&Reply::Committed) => {
                // It goes on under the same fence, as if it had claimed what it has committed, and had delivered it.
                let last = self.heard.iter().rfind(|reply| **reply != Reply::None);
                let written = self.heard.iter().find_map(|reply| match reply {
                    Reply::Written(chunks, outbox) => Some((*chunks, *outbox)),
                    _ => None,
                });
                let (Some(Reply::Delivered(sequence, true)), Some((chunks, outbox))) = (last, written) else {
                    return self;
                };
                let body = Body { slot: self.other_slot(), fence: self.claimed.fence, chunks, outbox };
                let claimed =
                    Head { sequence: *sequence, published: *sequence, owed: true, body, ..self.claimed };
                let mut heard = [Reply::None; REPLIES];
                heard[..3].copy_from_slice(&[
                    Reply::Loaded,
                    Reply::Loaded,
                    Reply::Delivered(*sequence, true),
                ]);
                let mut again = Worker { claimed, heard, value: self.value, ..Worker::default() };
                again.step = again.decide(setup);
                again
            }
            Step::Release(_) => {
                let claimed = Head { fence: self.claimed.fence, ..Head::default() };
                Worker { step: self.step, claimed, ..Worker::default() }
            }
            Step::Work(_) | Step::Note(_) => {
                self.outbox = Outbox::default();
                self
            }
            _ => self,
        }
    }

    fn other_slot(&self) -> u8 {
        if self.claimed.body.fence == 0 { 0 } else { 1 - self.claimed.body.slot }
    }

    /// A reply in the machine's own words.
    fn reply(&self, reply: Reply, step: &machine::Step) -> machine::Reply {
        match reply {
            Reply::None | Reply::Failed => machine::Reply::Failed,
            Reply::Loaded => machine::Reply::Loaded,
            Reply::Mismatch => machine::Reply::Mismatch,
            Reply::Delivered(published, complete) => {
                machine::Reply::Delivered { published: published.into(), complete, contested: false }
            }
            Reply::Contested(published) => {
                machine::Reply::Delivered { published: published.into(), complete: true, contested: true }
            }
            Reply::Worked(events) => {
                machine::Reply::Worked { events: events.into(), items: false, more: false }
            }
            Reply::Unchanged => machine::Reply::Unchanged,
            Reply::NoTime => machine::Reply::NoTime,
            Reply::Written(chunks, outbox) => {
                let slot = match step {
                    machine::Step::WriteSlot(slot::Slot::B) => 1,
                    _ => 0,
                };
                let body = Body { slot, fence: self.claimed.fence, chunks, outbox };
                machine::Reply::Written(stored_body(body))
            }
            Reply::Committed => machine::Reply::Committed,
            Reply::TakenOver => machine::Reply::TakenOver,
        }
    }
}

/// Names cost time to make, and nothing depends on them: the record's are empty.
fn record() -> RecordName {
    RecordName::cluster("", "")
}

/// Nothing that is modelled here depends on a task's stamp: it only says which claims are refused, and a claim that is
/// refused is one that is not made. Stamps are the subject of the scheduler's model.
fn machine(holder: u8) -> Machine {
    Machine::new(Task::manual(record(), ""), holder_name(holder))
}

fn holder_name(holder: u8) -> String {
    char::from(b'0' + holder).to_string()
}

fn stored_head(head: &Head) -> Box<head::Head> {
    let mut stored = head::Head::new(record(), Duration::ZERO, true, Timestamp::ZERO);
    stored.fence = head.fence.into();
    stored.holder = holder_name(head.holder);
    stored.sequence = head.sequence.into();
    stored.owed = head.owed;
    stored.published = head.published.into();
    stored.body = (head.body.fence > 0).then(|| stored_body(head.body));
    Box::new(stored)
}

fn stored_body(body: Body) -> slot::Body {
    slot::Body {
        slot: if body.slot == 0 { slot::Slot::A } else { slot::Slot::B },
        fence: body.fence.into(),
        state_chunks: body.chunks.into(),
        outbox_chunks: body.outbox.into(),
        state_bytes: 0,
        outbox_bytes: 0,
        format: slot::FORMAT,
    }
}

fn compact(step: &machine::Step) -> Step {
    match step {
        machine::Step::Load(body) => Step::Load(body.as_ref().map(compact_body).unwrap_or_default()),
        machine::Step::LoadOutbox(body) => Step::LoadOutbox(compact_body(body)),
        machine::Step::Deliver { published } => Step::Deliver(small(*published)),
        machine::Step::Work { sequence, contested: false } => Step::Work(small(*sequence)),
        machine::Step::Work { sequence, contested: true } => Step::Note(small(*sequence)),
        machine::Step::WriteSlot(slot) => Step::WriteSlot(compact_slot(*slot)),
        machine::Step::Commit(commit) => Step::Commit(Commit {
            body: compact_body(&commit.body),
            sequence: small(commit.sequence),
            owed: commit.owed,
            published: small(commit.published),
        }),
        machine::Step::Release(release) => {
            Step::Release(Release { clear_owed: release.clear_owed, published: release.published.map(small) })
        }
        // The end of a record is the removal's model.
        machine::Step::Claim
        | machine::Step::RaiseDone
        | machine::Step::Bury { .. }
        | machine::Step::Finish(_) => Step::Idle,
    }
}

fn compact_slot(slot: slot::Slot) -> u8 {
    match slot {
        slot::Slot::A => 0,
        slot::Slot::B => 1,
    }
}

fn compact_body(body: &slot::Body) -> Body {
    Body {
        slot: compact_slot(body.slot),
        fence: small(body.fence),
        chunks: small(u64::from(body.state_chunks)),
        outbox: body.outbox_chunks > 0,
    }
}

/// Within the bounds every number is small.
fn small(number: u64) -> u8 {
    u8::try_from(number).unwrap_or(u8::MAX)
}
