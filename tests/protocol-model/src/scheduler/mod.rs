//! The scheduler's dance: `due`, `queued_due`, `done_due`, giving up, and what is owed.
//!
//! What a pass does with the record is asked of the project's own [`plan`], what a refused claim means of its own
//! [`refusal`]. The work itself is one step here, that succeeds, fails or dies, since the record's model has the rest.

mod mutants;
mod properties;
mod state;

use replicante_model::Timestamp;
use replicante_protocol::head::{Refusal, refusal};
use replicante_protocol::schedule::plan;
use stateright::{Model, Property};

pub use self::mutants::{BOUNDS, MUTANTS};
pub use self::properties::*;
pub use self::state::{Bounds, Setup};
use self::state::{Broken, Head, Left, Message, Pass, QUEUE, Scheduler, State, Time, Worker};
use crate::rule::Rule;

/// When the model begins.
const BEGIN: Time = 2;

/// The model of one record's schedule, with two workers.
#[derive(Clone, Debug)]
pub struct SchedulerModel {
    /// Bounds, and the rule that is left out.
    pub setup: Setup,
}

/// What happens next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Time goes on by a tick.
    Tick,
    /// An operator disables the record.
    Disable,
    /// A scheduler reads the head.
    Read(usize),
    /// A scheduler sends, or moves the record on.
    Pass(usize),
    /// A scheduler dies.
    CrashScheduler(usize),
    /// A worker receives this task and claims.
    Receive(usize, usize),
    /// A worker finishes: releases as done, raises `done_due`, or acknowledges.
    Finish(usize),
    /// A worker fails, and releases as failed: its task comes again.
    Fail(usize),
    /// A worker dies, before or behind a commit that owes; its task comes again.
    Crash(usize, bool),
    /// The queue loses a task, which was received too often.
    LoseTask(usize),
    /// The queue delivers a task twice.
    CopyTask(usize),
}

impl Model for SchedulerModel {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let Bounds { sends, crashes, failures, losses, copies, disables, .. } = self.setup.bounds;
        vec![State {
            now: BEGIN,
            head: Head { due: BEGIN, enabled: true, ..Head::default() },
            queue: [Message::default(); QUEUE],
            workers: [Worker::Idle; 2],
            schedulers: [Scheduler::Idle; 2],
            finished: 0,
            sent: 0,
            taken_over: false,
            broken: Broken::default(),
            left: Left { sends, crashes, failures, losses, copies, disables },
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        let left = &state.left;
        if state.now < self.setup.bounds.ticks {
            actions.push(Action::Tick);
        }
        if left.disables > 0 && state.head.enabled {
            actions.push(Action::Disable);
        }
        let passing = state.schedulers.iter().filter(|scheduler| **scheduler != Scheduler::Idle).count();
        if left.sends > 0 && passing < self.setup.bounds.schedulers.into() {
            // They are sorted, the idle ones first.
            actions.push(Action::Read(0));
        }
        for s in state.schedulers.len() - passing..state.schedulers.len() {
            actions.push(Action::Pass(s));
            if left.crashes > 0 {
                actions.push(Action::CrashScheduler(s));
            }
        }
        let tasks = || (0..QUEUE).filter(|n| state.queue[*n].stamp > 0);
        for (w, worker) in state.workers.iter().enumerate() {
            if w > 0 && *worker == state.workers[w - 1] {
                continue;
            }
            if *worker == Worker::Idle {
                let ready = tasks().filter(|n| state.queue[*n].from <= state.now);
                actions.extend(ready.map(|n| Action::Receive(w, n)));
                continue;
            }
            actions.push(Action::Finish(w));
            let working = matches!(worker, Worker::Working(..));
            if left.failures > 0 && working {
                actions.push(Action::Fail(w));
            }
            if left.crashes > 0 {
                actions.push(Action::Crash(w, false));
                actions.extend(working.then_some(Action::Crash(w, true)));
            }
        }
        if left.losses > 0 {
            actions.extend(tasks().map(Action::LoseTask));
        }
        if left.copies > 0 {
            actions.extend(tasks().map(Action::CopyTask));
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = *last;
        match action {
            Action::Tick => state.now += 1,
            Action::Disable => {
                state.left.disables -= 1;
                (state.head.enabled, state.head.due) = (false, state.now);
            }
            Action::Read(s) => {
                state.schedulers[s] = Scheduler::Passing(self.read(&state)?);
                state.broken.backlog |= self.is_waiting(&state);
            }
            Action::Pass(s) => {
                let Scheduler::Passing(pass) = state.schedulers[s] else { return None };
                state.schedulers[s] = self.pass(&mut state, pass)?;
            }
            Action::CrashScheduler(s) => {
                state.left.crashes -= 1;
                state.schedulers[s] = Scheduler::Idle;
            }
            Action::Receive(w, n) => {
                let message = std::mem::take(&mut state.queue[n]);
                state.workers[w] = self.receive(&mut state, message);
            }
            Action::Finish(w) => state.workers[w] = self.finish(&mut state, last.workers[w]),
            Action::Fail(w) => {
                state.left.failures -= 1;
                let Worker::Working(message, ours) = std::mem::take(&mut state.workers[w]) else {
                    return None;
                };
                if ours {
                    state.head.lease_until = 0;
                    if !self.setup.keeps(Rule::DoneOnSuccess) {
                        self.raise_done(&mut state, message.stamp);
                    }
                }
                state.put(message);
            }
            Action::Crash(w, owes) => {
                state.left.crashes -= 1;
                match std::mem::take(&mut state.workers[w]) {
                    Worker::Working(message, ours) => {
                        state.head.owed |= owes && ours;
                        state.put(message);
                    }
                    Worker::RaiseDone(message) | Worker::Acknowledge(message) => state.put(message),
                    Worker::Idle => return None,
                }
            }
            Action::LoseTask(n) => {
                state.left.losses -= 1;
                state.queue[n] = Message::default();
            }
            Action::CopyTask(n) => {
                state.left.copies -= 1;
                state.put(state.queue[n]);
            }
        }
        state.queue.sort_unstable();
        state.workers.sort_unstable();
        state.schedulers.sort_unstable();
        state.broken.due_went_back |= state.head.due < last.head.due && action != Action::Disable;
        state.broken.done_went_back |= state.head.done_due < last.head.done_due;
        state.broken.done_unfinished |= state.head.done_due > state.finished;
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        properties::all()
    }
}

impl State {
    /// Puts a task into the queue; one that finds no room is lost.
    fn put(&mut self, message: Message) {
        if let Some(free) = self.queue.iter_mut().find(|place| place.stamp == 0) {
            *free = message;
        }
    }
}

impl SchedulerModel {
    /// What a scheduler decides that reads the head now.
    fn read(&self, state: &State) -> Option<Pass> {
        let setup = &self.setup;
        let mut head = state.head.stored(setup);
        if !setup.keeps(Rule::OneTask) {
            head.queued_due = head.done_due;
        }
        head.owed &= setup.keeps(Rule::OwedIsQueued);
        let plan = plan(&head, Timestamp::ZERO, setup.timestamp(state.now), setup.timing())?;
        Some(Pass {
            read_due: state.head.due,
            now: state.now,
            stamp: setup.time(plan.stamp),
            next_due: setup.time(plan.next_due),
            half: false,
        })
    }

    /// The next of both halves of a pass.
    fn pass(&self, state: &mut State, pass: Pass) -> Option<Scheduler> {
        if pass.half == self.setup.keeps(Rule::SendThenMark) {
            let unmoved = state.head.due == pass.read_due;
            if unmoved || !self.setup.keeps(Rule::MarkIfDueIsUnmoved) {
                let head = &mut state.head;
                (head.due, head.queued_due, head.queued_at) = (pass.next_due, pass.stamp, pass.now);
                state.broken.marked_unsent |= state.sent < pass.stamp;
            }
        } else {
            state.left.sends = state.left.sends.checked_sub(1)?;
            state.sent = state.sent.max(pass.stamp);
            let from = pass.stamp.max(pass.now);
            state.put(Message { stamp: pass.stamp, from });
        }
        Some(if pass.half { Scheduler::Idle } else { Scheduler::Passing(Pass { half: true, ..pass }) })
    }

    /// Whether the task that the head knows of is still waiting, and not given up.
    fn is_waiting(&self, state: &State) -> bool {
        let Head { queued_due, queued_at, done_due, .. } = state.head;
        let waits = |message: &Message| message.stamp == queued_due && queued_due > done_due;
        state.now < queued_at + self.setup.bounds.give_up && state.queue.iter().any(waits)
    }

    /// A worker receives a task and claims.
    fn receive(&self, state: &mut State, message: Message) -> Worker {
        let setup = &self.setup;
        let (now, head) = (state.now, &mut state.head);
        let held = head.lease_until > now && setup.keeps(Rule::Lease);
        let forever = head.lease_until > 0 && !setup.keeps(Rule::LeaseEnds);
        let owed = head.owed && setup.keeps(Rule::OwedIsNoDuplicate);
        let done = message.stamp <= head.done_due;
        let duplicate = done && !owed && setup.keeps(Rule::DuplicateIsRefused);
        if !held && !forever && !duplicate {
            for other in &mut state.workers {
                if let Worker::Working(_, ours) = other {
                    state.broken.two_at_once |= head.lease_until > now;
                    *ours = false;
                    state.taken_over = true;
                }
            }
            state.broken.worked_twice |= done && !head.owed;
            head.lease_until = now + setup.bounds.lease;
            return Worker::Working(message, true);
        }
        let mut stored = head.stored(setup);
        stored.owed = owed;
        stored.holder = "another".into();
        match refusal(&stored, &message.task(setup), "") {
            Refusal::Held if setup.keeps(Rule::DiscardedIsDone) => Worker::RaiseDone(message),
            Refusal::Held | Refusal::Duplicate | Refusal::Ours => Worker::Idle,
        }
    }

    /// What follows on success.
    fn finish(&self, state: &mut State, worker: Worker) -> Worker {
        match worker {
            Worker::Working(message, ours) => {
                if ours {
                    (state.head.lease_until, state.head.owed) = (0, false);
                    state.finished = state.finished.max(message.stamp);
                    self.raise_done(state, message.stamp);
                }
                Worker::Acknowledge(message)
            }
            Worker::RaiseDone(message) => {
                state.finished = state.finished.max(message.stamp);
                self.raise_done(state, message.stamp);
                Worker::Idle
            }
            Worker::Acknowledge(_) | Worker::Idle => Worker::Idle,
        }
    }

    fn raise_done(&self, state: &mut State, stamp: Time) {
        if state.head.done_due < stamp || !self.setup.keeps(Rule::DoneIsOnlyRaised) {
            state.head.done_due = stamp;
        }
    }
}
