//! What a worker does with its next act: which call it makes, and what it hears.

use super::state::{Call, Chunk, MOST_EVENTS, Outbox, Reply, Step, Stored, Worker};
use super::{RecordModel, acts};
use crate::rule::Rule;

/// The bit of the chunk of events among the chunks of a slot; those of the state come before it.
const OUTBOX: u8 = 2;

impl<const WORKERS: usize> RecordModel<WORKERS> {
    /// The call that a worker is about to make, if it writes.
    pub(super) fn call(&self, worker: &Worker, chunk: u8, holder: u8) -> Option<Call> {
        let fence = worker.claimed.fence;
        Some(match worker.step {
            Step::Idle => Call::Claim(holder),
            Step::Claim(holder) => Call::Claim(holder),
            Step::WriteSlot(_) if self.open_chunks(worker) & (1 << chunk) == 0 => return None,
            Step::WriteSlot(slot) if chunk == OUTBOX => Call::WriteOutbox(slot, fence, worker.outbox),
            Step::WriteSlot(slot) => Call::WriteState(slot, chunk, Chunk { fence, value: worker.value }),
            Step::Commit(commit) => Call::Commit(fence, commit, worker.outbox, self.events(worker)),
            Step::Release(release) => Call::Release(fence, release),
            Step::Deliver(_) => Call::Publish(worker.outbox, self.to_send(worker)),
            Step::Load(_) | Step::LoadOutbox(_) | Step::Work(_) | Step::Note(_) => return None,
        })
    }

    /// The next call of a worker, with its answer.
    pub(super) fn act(&self, stored: &mut Stored, worker: Worker) -> Worker {
        let setup = &self.setup;
        let heard = |reply| worker.hears(reply, setup);
        let call = self.call(&worker, 0, self.usual_holder());
        match worker.step {
            Step::Idle | Step::Claim(_) => {
                stored.carry_out(call.unwrap_or_default(), setup);
                Worker::claimed(&stored.head, setup)
            }
            Step::Load(body) if body.fence == 0 => heard(Reply::Loaded),
            Step::Load(body) => {
                let chunk = stored.slots[usize::from(body.slot)].state[usize::from(worker.parts)];
                if chunk.fence != body.fence && setup.keeps(Rule::ChunkCheck) {
                    return heard(Reply::Mismatch);
                }
                if worker.parts > 0 && chunk.value != worker.value {
                    // Halves of two states: they can't be decoded.
                    return heard(Reply::Failed);
                }
                let parts = worker.parts + 1;
                let read = Worker { value: chunk.value, parts, ..worker };
                if parts < body.chunks { read } else { read.hears(Reply::Loaded, setup) }
            }
            Step::LoadOutbox(body) => {
                let slot = &stored.slots[usize::from(body.slot)];
                if slot.outbox_fence != body.fence && setup.keeps(Rule::ChunkCheck) {
                    return heard(Reply::Mismatch);
                }
                let mut outbox = slot.outbox;
                if !setup.keeps(Rule::StoredEvents) {
                    outbox.value = stored.world;
                }
                Worker { outbox, ..worker }.hears(Reply::Loaded, setup)
            }
            Step::Work(_) if worker.value == stored.world => heard(Reply::Unchanged),
            Step::Work(sequence) | Step::Note(sequence) => {
                // A note is told by events like any other; it says nothing new of the world.
                let value = if let Step::Note(_) = worker.step { worker.value } else { stored.world };
                let outbox = Outbox { first: sequence + 1, value };
                let worked = Worker { value, outbox, ..worker };
                worked.hears(Reply::Worked(setup.bounds.events), setup)
            }
            Step::WriteSlot(_) => {
                let open = self.open_chunks(&worker);
                (0..=OUTBOX)
                    .filter(|chunk| open & (1 << chunk) != 0)
                    .fold(worker, |worker, chunk| self.write(stored, worker, chunk))
            }
            Step::Commit(_) => {
                let ours = stored.carry_out(call.unwrap_or_default(), setup);
                heard(if ours { Reply::Committed } else { Reply::TakenOver })
            }
            Step::Deliver(_) => {
                stored.carry_out(call.unwrap_or_default(), setup);
                heard(Reply::Delivered(self.known_published(&worker, 0), true))
            }
            Step::Release(_) => {
                stored.carry_out(call.unwrap_or_default(), setup);
                Worker::default()
            }
        }
    }

    /// Writes one chunk of a slot.
    pub(super) fn write(&self, stored: &mut Stored, worker: Worker, chunk: u8) -> Worker {
        let Some(call) = self.call(&worker, chunk, 0) else { return worker };
        if !stored.carry_out(call, &self.setup) {
            return worker.hears(Reply::TakenOver, &self.setup);
        }
        let written = Worker { parts: worker.parts | 1 << chunk, ..worker };
        if self.open_chunks(&written) != 0 {
            return written;
        }
        if !self.setup.keeps(Rule::CommitFirst) {
            (0..self.events(&worker)).for_each(|index| stored.publish(worker.outbox, index));
        }
        let chunks = self.setup.bounds.chunks_of(worker.value);
        written.hears(Reply::Written(chunks, worker.outbox.value > 0), &self.setup)
    }

    /// PutRecords that stores some of the events, in some order.
    pub(super) fn publish_in_part(
        &self,
        stored: &mut Stored,
        worker: Worker,
        order: &[u8],
        again: bool,
    ) -> Worker {
        let sent = self.to_send(&worker);
        // `order` counts among the events that are sent.
        let nth = |n: u8| (0..MOST_EVENTS).filter(|index| sent & (1 << index) != 0).nth(usize::from(n));
        let order: Vec<u8> = order.iter().filter_map(|n| nth(*n)).collect();
        order.iter().for_each(|index| stored.publish(worker.outbox, *index));
        let failed = acts::to_resend(sent, &order, &self.setup);
        if again && failed != 0 {
            return Worker { parts: failed, ..worker };
        }
        let published = self.known_published(&worker, failed);
        worker.hears(Reply::Delivered(published, failed == 0), &self.setup)
    }

    /// The last sequence that is known to be in the stream when these events are not.
    pub(super) fn known_published(&self, worker: &Worker, missing: u8) -> u8 {
        let Step::Deliver(published) = worker.step else { return 0 };
        let events = self.events(worker);
        let seen = if missing == 0 { events } else { small(missing.trailing_zeros()) };
        published.max((worker.outbox.first + seen).saturating_sub(1))
    }

    /// The events that a delivery still has to send, as bits.
    pub(super) fn to_send(&self, worker: &Worker) -> u8 {
        let Step::Deliver(published) = worker.step else { return 0 };
        if worker.parts != 0 {
            return worker.parts;
        }
        let above = |index: &u8| worker.outbox.first + index > published;
        (0..self.events(worker)).filter(above).fold(0, |bits, index| bits | 1 << index)
    }

    /// The chunks that a worker has still to write, as bits.
    pub(super) fn open_chunks(&self, worker: &Worker) -> u8 {
        let state = (1 << self.setup.bounds.chunks_of(worker.value)) - 1;
        let outbox = if worker.outbox.value > 0 { 1 << OUTBOX } else { 0 };
        (state | outbox) & !worker.parts
    }

    fn events(&self, worker: &Worker) -> u8 {
        if worker.outbox.value > 0 { self.setup.bounds.events } else { 0 }
    }

    /// The holder of a claim that is answered at once. Each is another; but since nobody asks again with one, all can
    /// be written alike.
    pub(super) fn usual_holder(&self) -> u8 {
        u8::from(!self.setup.keeps(Rule::FreshHolder))
    }

    /// What one refresh makes of what is stored, when nobody and nothing disturbs it.
    pub(super) fn clean_refresh(&self, mut stored: Stored) -> Stored {
        let mut worker = self.act(&mut stored, Worker::default());
        // Far more acts than a claim has.
        for _ in 0..40 {
            if worker.step == Step::Idle {
                break;
            }
            worker = self.act(&mut stored, worker);
        }
        stored
    }
}

fn small(number: u32) -> u8 {
    u8::try_from(number).unwrap_or(u8::MAX)
}
