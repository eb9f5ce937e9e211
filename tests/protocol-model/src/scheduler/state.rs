//! The state of the scheduler's model. Times are whole ticks since a beginning; 0 is never.

use std::sync::OnceLock;
use std::time::Duration;

use replicante_model::{RecordName, Timestamp};
use replicante_protocol::head;
use replicante_protocol::schedule::Timing;
use replicante_protocol::task::Task;

use crate::rule::Rule;

/// How often a schedule fires.
pub const TICK: Duration = Duration::from_secs(60);
/// Tasks that are in the queue at most. One more is lost, as if it had been received too often.
pub const QUEUE: usize = 4;
/// A time as it is stored: whole ticks.
pub type Time = u8;

/// How far the checker goes.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Schedulers that may pass at the same time.
    pub schedulers: u8,
    /// The time at which the model ends.
    pub ticks: Time,
    /// How often the record is due, in ticks.
    pub interval: Time,
    /// How long a lease lasts, in ticks.
    pub lease: Time,
    /// When a queued task is given up, in ticks after its sending.
    pub give_up: Time,
    /// Tasks that are sent.
    pub sends: u8,
    /// Crashes of workers and schedulers.
    pub crashes: u8,
    /// Refreshes that fail.
    pub failures: u8,
    /// Tasks that the queue loses.
    pub losses: u8,
    /// Tasks that the queue delivers twice.
    pub copies: u8,
    /// Times that an operator disables the record.
    pub disables: u8,
}

/// A rule that is left out, and how far the checker goes without it.
#[derive(Clone, Copy, Debug)]
pub struct Setup {
    /// How far.
    pub bounds: Bounds,
    /// The rule that is left out.
    pub without: Option<Rule>,
}

impl Setup {
    /// Whether a rule is kept.
    pub fn keeps(&self, rule: Rule) -> bool {
        self.without != Some(rule)
    }

    /// How the scheduler is set.
    pub fn timing(&self) -> Timing {
        let give_up =
            if self.keeps(Rule::GiveUp) { TICK * u32::from(self.bounds.give_up) } else { Duration::MAX };
        Timing { tick: TICK, give_up }
    }

    /// A time in the project's own words. The slots of the record are whole ticks too.
    pub fn timestamp(&self, time: Time) -> Timestamp {
        if time == 0 { Timestamp::ZERO } else { self.beginning().plus(TICK * u32::from(time)) }
    }

    /// And back.
    pub fn time(&self, timestamp: Timestamp) -> Time {
        let ticks = timestamp.since(self.beginning()).as_secs() / TICK.as_secs();
        Time::try_from(ticks).unwrap_or(Time::MAX)
    }

    fn beginning(&self) -> Timestamp {
        let interval = u64::from(self.bounds.interval) * TICK.as_secs() * 1000;
        let hash = HASH.get_or_init(|| record().hash());
        Timestamp(i64::try_from(hash % interval).unwrap_or(0))
    }
}

static HASH: OnceLock<u64> = OnceLock::new();

/// The record. Names cost time to make, and nothing depends on them.
pub fn record() -> RecordName {
    RecordName::cluster("", "")
}

/// The head, without what no scheduler and no claim looks at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Head {
    /// When the lease ends.
    pub lease_until: Time,
    /// Something is left to deliver.
    pub owed: bool,
    /// When it is due next.
    pub due: Time,
    /// An operator wants it to be refreshed.
    pub enabled: bool,
    /// The stamp of the task that was queued last.
    pub queued_due: Time,
    /// When that task was sent.
    pub queued_at: Time,
    /// The highest stamp that is done.
    pub done_due: Time,
}

impl Head {
    /// The head in the project's own words.
    pub fn stored(&self, setup: &Setup) -> head::Head {
        let interval = TICK * u32::from(setup.bounds.interval);
        let mut stored = head::Head::new(record(), interval, self.enabled, setup.timestamp(self.due));
        stored.lease_until = setup.timestamp(self.lease_until);
        stored.owed = self.owed;
        stored.queued_due = setup.timestamp(self.queued_due);
        stored.queued_at = setup.timestamp(self.queued_at);
        stored.done_due = setup.timestamp(self.done_due);
        stored
    }
}

/// A task in the queue, or in the hands of a worker. Without a stamp: none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Message {
    /// The due time that it was sent for.
    pub stamp: Time,
    /// It is delivered from then on.
    pub from: Time,
}

impl Message {
    /// The task that it holds.
    pub fn task(&self, setup: &Setup) -> Task {
        Task::scheduled(record(), setup.timestamp(self.stamp))
    }
}

/// What a worker is about to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Worker {
    /// It has no task.
    #[default]
    Idle,
    /// It has claimed the record, and has yet to finish and release; whether the fence is still its own.
    Working(Message, bool),
    /// Another holds the record: to raise `done_due`, and to acknowledge the task.
    RaiseDone(Message),
    /// To acknowledge the task, which is done.
    Acknowledge(Message),
}

/// What a scheduler is about to do with the record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scheduler {
    /// It has not read the head.
    #[default]
    Idle,
    /// To send the task, or to move the record on, whichever comes first; and then the other.
    Passing(Pass),
}

/// What a scheduler decided when it read the head.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pass {
    /// `due` as it was read.
    pub read_due: Time,
    /// When it was read.
    pub now: Time,
    /// The stamp of the task.
    pub stamp: Time,
    /// Where `due` moves to.
    pub next_due: Time,
    /// The first of both is done.
    pub half: bool,
}

/// What must not happen, and did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Broken {
    /// `done_due` went back.
    pub done_went_back: bool,
    /// A stamp counts as done that nobody finished or discarded.
    pub done_unfinished: bool,
    /// `due` went back.
    pub due_went_back: bool,
    /// A task was worked on that was done before.
    pub worked_twice: bool,
    /// Two workers were at work under leases that are not past.
    pub two_at_once: bool,
    /// A task was sent while the one before it was waiting, and not given up.
    pub backlog: bool,
    /// The record was moved on, and its task was not sent.
    pub marked_unsent: bool,
}

/// A state of the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct State {
    /// The clock, of which all know.
    pub now: Time,
    /// The head.
    pub head: Head,
    /// The queue, in no particular order.
    pub queue: [Message; QUEUE],
    /// The workers.
    pub workers: [Worker; 2],
    /// The schedulers.
    pub schedulers: [Scheduler; 2],
    /// The highest stamp that was finished, or discarded since another was at work: nobody in the system sees this.
    pub finished: Time,
    /// The highest stamp that was sent: likewise.
    pub sent: Time,
    /// A worker was taken over, since its lease ran out under it: likewise.
    pub taken_over: bool,
    /// Likewise.
    pub broken: Broken,
    /// Of each what is left.
    pub left: Left,
}

/// What may still happen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Left {
    /// Tasks that are sent.
    pub sends: u8,
    /// Crashes.
    pub crashes: u8,
    /// Refreshes that fail.
    pub failures: u8,
    /// Tasks that are lost.
    pub losses: u8,
    /// Tasks that are delivered twice.
    pub copies: u8,
    /// Disabling.
    pub disables: u8,
}
