//! What must hold in every state of a schedule.

use std::cell::RefCell;
use std::collections::HashSet;

use stateright::Property;

use super::SchedulerModel;
use super::state::{Head, Message, QUEUE, Scheduler, State, Time, Worker};

/// Whoever dies and whatever the queue loses: passes that nobody disturbs bring the record to a refresh, and what it
/// owes to the stream, within the give-up time, a lease, two intervals and two ticks.
pub const NOT_STARVED: &str = "no record is starved";
/// `done_due` only goes up.
pub const DONE_STAYS: &str = "what is done stays done";
/// No stamp counts as done that nobody finished, and that was not discarded because another was at work.
pub const DONE_IS_TRUE: &str = "what counts as done was done";
/// `due` only goes up.
pub const DUE_STAYS: &str = "due never goes back";
/// A record is moved on only when its task was sent, so that a scheduler that dies delays nothing.
pub const MARKED_IS_SENT: &str = "a record that is moved on was sent";
/// A task whose stamp is done is not worked on again.
pub const WORKED_ONCE: &str = "a task is worked on once";
/// No claim takes effect under a lease that is not past.
pub const ONE_AT_A_TIME: &str = "one worker at a time";
/// A task is sent only when the one before is done, or given up.
pub const ONE_TASK: &str = "a backlog holds one task a record";
/// If nothing crashed, failed, got lost or outlived its lease, a record without a task in the queue may get one.
pub const NOT_DELAYED: &str = "a record without a task is free";

pub(super) fn all() -> Vec<Property<SchedulerModel>> {
    vec![
        Property::always(NOT_STARVED, |model: &SchedulerModel, state: &State| {
            let dropped = [Message::default(); QUEUE];
            [state.queue, dropped].iter().all(|queue| recovers(model, state, *queue))
        }),
        Property::always(DONE_STAYS, |_, state: &State| !state.broken.done_went_back),
        Property::always(DONE_IS_TRUE, |_, state: &State| !state.broken.done_unfinished),
        Property::always(DUE_STAYS, |_, state: &State| !state.broken.due_went_back),
        Property::always(MARKED_IS_SENT, |_, state: &State| !state.broken.marked_unsent),
        Property::always(WORKED_ONCE, |_, state: &State| !state.broken.worked_twice),
        Property::always(ONE_AT_A_TIME, |_, state: &State| !state.broken.two_at_once),
        Property::always(ONE_TASK, |_, state: &State| !state.broken.backlog),
        Property::always(NOT_DELAYED, |model: &SchedulerModel, state: &State| {
            let bounds = &model.setup.bounds;
            let undisturbed = !state.taken_over
                && state.left.crashes == bounds.crashes
                && state.left.failures == bounds.failures
                && state.left.losses == bounds.losses;
            let idle = state.queue.iter().all(|message| message.stamp == 0)
                && state.workers.iter().all(|worker| *worker == Worker::Idle)
                && state.schedulers.iter().all(|scheduler| *scheduler == Scheduler::Idle);
            !(undisturbed && idle) || state.head.queued_due <= state.head.done_due
        }),
    ]
}

thread_local! {
    /// Asked once a thread, of which each run of the checker has its own.
    static RECOVERED: RefCell<HashSet<(Time, Head, [Message; QUEUE])>> = RefCell::default();
}

fn recovers(model: &SchedulerModel, state: &State, queue: [Message; QUEUE]) -> bool {
    let key = (state.now, state.head, queue);
    if RECOVERED.with_borrow(|known| known.contains(&key)) {
        return true;
    }
    let served = model.is_served(State { queue, ..*state });
    if served {
        RECOVERED.with_borrow_mut(|known| known.insert(key));
    }
    served
}

impl SchedulerModel {
    /// Whether passes that nobody disturbs serve the record in time, when all who are at work die now.
    fn is_served(&self, mut state: State) -> bool {
        let bounds = &self.setup.bounds;
        state.workers = [Worker::Idle; 2];
        state.schedulers = [Scheduler::Idle; 2];
        let until = state.now + bounds.give_up + bounds.lease + 2 * bounds.interval + 2;
        let mut refreshed = !state.head.enabled;
        while state.now < until && (!refreshed || state.head.owed) {
            if let Some(pass) = self.read(&state) {
                state.left.sends = 2;
                if let Some(Scheduler::Passing(half)) = self.pass(&mut state, pass) {
                    self.pass(&mut state, half);
                }
            }
            for n in 0..QUEUE {
                if state.queue[n].stamp == 0 || state.queue[n].from > state.now {
                    continue;
                }
                let message = std::mem::take(&mut state.queue[n]);
                let mut worker = self.receive(&mut state, message);
                refreshed |= matches!(worker, Worker::Working(..));
                while worker != Worker::Idle {
                    worker = self.finish(&mut state, worker);
                }
            }
            state.now += 1;
        }
        refreshed && !state.head.owed
    }
}
