//! The record: its head, its slots, its stream, and the workers that refresh it.

mod acts;
mod decide;
mod mutants;
mod properties;
mod state;

use stateright::{Model, Property};

pub use self::mutants::{MUTANTS, THREE_WORKERS, TWO_WORKERS};
pub use self::properties::*;
pub use self::state::{Bounds, Setup};
use self::state::{Call, Head, Left, MOST_EVENTS, Outbox, Reply, State, Step, Stored, Value, Worker};
use crate::rule::Rule;

/// The bit of the chunk of events among the chunks of a slot; those of the state come before it.
const OUTBOX: u8 = 2;

/// The model of one record, with so many workers.
#[derive(Clone, Debug)]
pub struct RecordModel<const WORKERS: usize> {
    /// Bounds, and the rule that is left out.
    pub setup: Setup,
}

/// What happens next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// The world changes to this, maybe back.
    Change(Value),
    /// A worker makes its next call, and hears the answer. An idle one takes a task and claims: tasks are delivered
    /// twice, late and out of order, so there always is one.
    Act(usize),
    /// A worker that claims is refused, since the lease is not past.
    Refused(usize),
    /// A worker writes one of the chunks of its slot; they are under way at once.
    Write(usize, u8),
    /// A worker finds the world unchanged, and stores volatile readings alone.
    StoreReadings(usize),
    /// A worker finds no time to look at the world: it went into what was owed.
    NoTime(usize),
    /// A worker delivers everything, but for items that another record owns.
    Contest(usize),
    /// PutRecords stores these events in this order; the worker sends again what was not accepted, or its time is up.
    Part(usize, &'static [u8], bool),
    /// A call (of those that write a slot: this one) stays in the air; the worker tries again, or gives up.
    Lose(usize, u8, bool),
    /// A read fails.
    Fail(usize),
    /// A worker dies.
    Crash(usize),
    /// A call that was in the air lands.
    Land(usize),
}

impl<const WORKERS: usize> Model for RecordModel<WORKERS> {
    type State = State<WORKERS>;
    type Action = Action;

    fn init_states(&self) -> Vec<Self::State> {
        let Bounds { claims, changes, crashes, airborne, failures, .. } = self.setup.bounds;
        let head = Head { fence: 1, ..Head::default() };
        vec![State {
            stored: Stored { world: 1, head, ..Stored::default() },
            workers: [Worker::default(); WORKERS],
            air: [Call::None; 2],
            left: Left { claims, changes, crashes, airborne, failures },
        }]
    }

    fn actions(&self, state: &Self::State, actions: &mut Vec<Action>) {
        let left = &state.left;
        if left.changes > 0 {
            let others = (1..=self.setup.bounds.values).filter(|value| *value != state.stored.world);
            actions.extend(others.map(Action::Change));
        }
        for (w, worker) in state.workers.iter().enumerate() {
            // Of workers that are alike, one is enough.
            if w > 0 && *worker == state.workers[w - 1] {
                continue;
            }
            self.worker_actions(state, w, actions);
        }
        let landing = |call: &Call| match call {
            Call::None => false,
            Call::Claim(_) => left.claims > 0,
            _ => true,
        };
        actions.extend((0..state.air.len()).filter(|n| landing(&state.air[*n])).map(Action::Land));
    }

    fn next_state(&self, last: &Self::State, action: Action) -> Option<Self::State> {
        let mut state = *last;
        let (stored, left) = (&mut state.stored, &mut state.left);
        match action {
            Action::Change(value) => {
                left.changes -= 1;
                stored.world = value;
            }
            Action::Act(w) => {
                let worker = &mut state.workers[w];
                if matches!(worker.step, Step::Idle | Step::Claim(_)) {
                    left.claims -= 1;
                }
                *worker = self.act(stored, *worker);
            }
            Action::Refused(w) => {
                let worker = &mut state.workers[w];
                let holder = match worker.step {
                    Step::Claim(holder) => holder,
                    _ => self.usual_holder(),
                };
                *worker = Worker::refused(holder, &stored.head, &self.setup);
            }
            Action::Write(w, chunk) => state.workers[w] = self.write(stored, state.workers[w], chunk),
            Action::StoreReadings(w) => {
                state.workers[w] = state.workers[w].hears(Reply::Worked(0), &self.setup);
            }
            Action::NoTime(w) => state.workers[w] = state.workers[w].hears(Reply::NoTime, &self.setup),
            Action::Contest(w) => {
                left.failures -= 1;
                let worker = state.workers[w];
                stored.carry_out(self.call(&worker, 0, 0)?, &self.setup);
                let published = self.known_published(&worker, 0);
                state.workers[w] = worker.hears(Reply::Contested(published), &self.setup);
            }
            Action::Part(w, order, again) => {
                left.failures -= 1;
                state.workers[w] = self.publish_in_part(stored, state.workers[w], order, again);
            }
            Action::Lose(w, chunk, again) => {
                let worker = &mut state.workers[w];
                let holder = self.setup.bounds.airborne - left.airborne + 1;
                left.airborne -= 1;
                let call = self.call(worker, chunk, holder)?;
                *state.air.iter_mut().find(|call| **call == Call::None)? = call;
                *worker = match (worker.step, again) {
                    (Step::Idle, true) => Worker { step: Step::Claim(holder), ..Worker::default() },
                    (Step::Idle | Step::Claim(_), false) => Worker::default(),
                    (_, true) => *worker,
                    (Step::Deliver(_), false) => {
                        let published = self.known_published(worker, self.to_send(worker));
                        worker.hears(Reply::Delivered(published, false), &self.setup)
                    }
                    (Step::Release(_), false) => Worker::default(),
                    (_, false) => worker.hears(Reply::Failed, &self.setup),
                };
            }
            Action::Fail(w) => {
                left.failures -= 1;
                state.workers[w] = state.workers[w].hears(Reply::Failed, &self.setup);
            }
            Action::Crash(w) => {
                left.crashes -= 1;
                state.workers[w] = Worker::default();
            }
            Action::Land(n) => {
                let call = std::mem::take(&mut state.air[n]);
                if let Call::Claim(_) = call {
                    left.claims -= 1;
                }
                stored.carry_out(call, &self.setup);
            }
        }
        state.workers.sort_unstable();
        state.air.sort_unstable();
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        properties::all()
    }
}

impl<const WORKERS: usize> RecordModel<WORKERS> {
    fn worker_actions(&self, state: &State<WORKERS>, w: usize, actions: &mut Vec<Action>) {
        let (worker, left) = (&state.workers[w], &state.left);
        let mut calls = 1;
        match worker.step {
            Step::Idle | Step::Claim(_) => {
                if left.claims == 0 && worker.step == Step::Idle {
                    return;
                }
                if left.claims > 0 {
                    actions.push(Action::Act(w));
                }
                let known = worker.step != Step::Idle || !self.setup.keeps(Rule::FreshHolder);
                if state.stored.head.lease && known {
                    actions.push(Action::Refused(w));
                }
            }
            Step::Load(_) | Step::LoadOutbox(_) => {
                actions.push(Action::Act(w));
                calls = 0;
            }
            Step::Work(_) => {
                actions.push(Action::Act(w));
                if worker.value == state.stored.world {
                    actions.push(Action::StoreReadings(w));
                }
                if worker.claimed.owed {
                    actions.push(Action::NoTime(w));
                }
                calls = 0;
            }
            Step::Note(_) => {
                actions.push(Action::Act(w));
                calls = 0;
            }
            Step::WriteSlot(_) => {
                calls = 3;
                let open = (0..calls).filter(|chunk| self.open_chunks(worker) & (1 << chunk) != 0);
                actions.extend(open.map(|chunk| Action::Write(w, chunk)));
            }
            Step::Deliver(_) => {
                actions.push(Action::Act(w));
                if left.failures > 0 {
                    actions.push(Action::Contest(w));
                    let orders = orders(self.to_send(worker).count_ones());
                    actions.extend(orders.iter().map(|order| Action::Part(w, order, false)));
                    let some = orders.iter().filter(|order| !order.is_empty());
                    actions.extend(some.map(|order| Action::Part(w, order, true)));
                }
            }
            Step::Commit(_) | Step::Release(_) => actions.push(Action::Act(w)),
        }
        if left.failures > 0 && calls == 0 {
            actions.push(Action::Fail(w));
        }
        if left.airborne > 0 {
            for chunk in (0..calls).filter(|chunk| self.call(worker, *chunk, 1).is_some()) {
                actions.extend([Action::Lose(w, chunk, true), Action::Lose(w, chunk, false)]);
            }
        }
        if left.crashes > 0 && worker.step != Step::Idle {
            actions.push(Action::Crash(w));
        }
    }

    /// The call that a worker is about to make, if it writes.
    fn call(&self, worker: &Worker, chunk: u8, holder: u8) -> Option<Call> {
        let fence = worker.claimed.fence;
        Some(match worker.step {
            Step::Idle => Call::Claim(holder),
            Step::Claim(holder) => Call::Claim(holder),
            Step::WriteSlot(_) if self.open_chunks(worker) & (1 << chunk) == 0 => return None,
            Step::WriteSlot(slot) if chunk == OUTBOX => Call::WriteOutbox(slot, fence, worker.outbox),
            Step::WriteSlot(slot) => {
                Call::WriteState(slot, chunk, state::Chunk { fence, value: worker.value })
            }
            Step::Commit(commit) => Call::Commit(fence, commit, worker.outbox, self.events(worker)),
            Step::Release(release) => Call::Release(fence, release),
            Step::Deliver(_) => Call::Publish(worker.outbox, self.to_send(worker)),
            Step::Load(_) | Step::LoadOutbox(_) | Step::Work(_) | Step::Note(_) => return None,
        })
    }

    /// The next call of a worker, with its answer.
    fn act(&self, stored: &mut Stored, worker: Worker) -> Worker {
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
    fn write(&self, stored: &mut Stored, worker: Worker, chunk: u8) -> Worker {
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
    fn publish_in_part(&self, stored: &mut Stored, worker: Worker, order: &[u8], again: bool) -> Worker {
        let sent = self.to_send(&worker);
        // `order` counts among the events that are sent.
        let nth = |n: u8| (0..MOST_EVENTS).filter(|index| sent & (1 << index) != 0).nth(usize::from(n));
        let order: Vec<u8> = order.iter().filter_map(|n| nth(*n)).collect();
        order.iter().for_each(|index| stored.publish(worker.outbox, *index));
        let failed = acts::accepted(sent, &order, &self.setup);
        if again && failed != 0 {
            return Worker { parts: failed, ..worker };
        }
        let published = self.known_published(&worker, failed);
        worker.hears(Reply::Delivered(published, failed == 0), &self.setup)
    }

    /// The last sequence that is known to be in the stream when these events are not.
    fn known_published(&self, worker: &Worker, missing: u8) -> u8 {
        let Step::Deliver(published) = worker.step else { return 0 };
        let events = self.events(worker);
        let seen = if missing == 0 { events } else { small(missing.trailing_zeros()) };
        published.max((worker.outbox.first + seen).saturating_sub(1))
    }

    /// The events that a delivery still has to send, as bits.
    fn to_send(&self, worker: &Worker) -> u8 {
        let Step::Deliver(published) = worker.step else { return 0 };
        if worker.parts != 0 {
            return worker.parts;
        }
        let above = |index: &u8| worker.outbox.first + index > published;
        (0..self.events(worker)).filter(above).fold(0, |bits, index| bits | 1 << index)
    }

    /// The chunks that a worker has still to write, as bits.
    fn open_chunks(&self, worker: &Worker) -> u8 {
        let state = (1 << self.setup.bounds.chunks_of(worker.value)) - 1;
        let outbox = if worker.outbox.value > 0 { 1 << OUTBOX } else { 0 };
        (state | outbox) & !worker.parts
    }

    fn events(&self, worker: &Worker) -> u8 {
        if worker.outbox.value > 0 { self.setup.bounds.events } else { 0 }
    }

    /// The holder of a claim that is answered at once. Each is another; but since nobody asks again with one, all can
    /// be written alike.
    fn usual_holder(&self) -> u8 {
        u8::from(!self.setup.keeps(Rule::FreshHolder))
    }

    /// What one refresh makes of what is stored, when nobody and nothing disturbs it.
    fn clean_refresh(&self, mut stored: Stored) -> Stored {
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

/// What PutRecords may have stored of so many events, and in which order; all of them in order is no failure.
fn orders(events: u32) -> &'static [&'static [u8]] {
    match events {
        0 => &[],
        1 => &[&[]],
        2 => &[&[], &[0], &[1], &[1, 0]],
        _ => &[
            &[],
            &[0],
            &[1],
            &[2],
            &[0, 1],
            &[0, 2],
            &[1, 0],
            &[1, 2],
            &[2, 0],
            &[2, 1],
            &[0, 2, 1],
            &[1, 0, 2],
            &[1, 2, 0],
            &[2, 0, 1],
            &[2, 1, 0],
        ],
    }
}

fn small(number: u32) -> u8 {
    u8::try_from(number).unwrap_or(u8::MAX)
}
