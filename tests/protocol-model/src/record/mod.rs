//! The record: its head, its slots, its stream, and the workers that refresh it.

mod acts;
mod decide;
mod mutants;
mod properties;
mod state;
mod work;

use stateright::{Model, Property};

pub use self::mutants::{FAR, MUTANTS, THREE_WORKERS, TWO_WORKERS};
pub use self::properties::*;
pub use self::state::{Bounds, Setup};
use self::state::{Call, Head, Left, Reply, State, Step, Stored, Value, Worker};
use crate::rule::Rule;

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
