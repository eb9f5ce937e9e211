//! The state of the record's model: small numbers, so that millions of states fit.

use crate::rule::Rule;

/// The most events that all commits of one run have together.
pub const EVENTS: usize = 16;
/// The most events of one commit.
pub const MOST_EVENTS: u8 = 3;
/// The most replies that a worker hears between its claim and its release.
pub const REPLIES: usize = 8;

/// What the world looks like, a state says, or an event tells. 0: nothing yet.
pub type Value = u8;

/// How far the checker goes.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Claims that take effect.
    pub claims: u8,
    /// Changes of the world.
    pub changes: u8,
    /// Crashes of workers.
    pub crashes: u8,
    /// Calls that stay in the air: they land later or never, after a second attempt, a give-up, a release or a crash.
    pub airborne: u8,
    /// Failures: a read that fails, a PutRecords that stores in part or out of order, items that another owns.
    pub failures: u8,
    /// Contents that the world has: with two it can only change back, with three it can also go on.
    pub values: Value,
    /// Chunks of a state. With two, every second content has one, so that both kinds follow each other.
    pub chunks: u8,
    /// Events of a commit that has any.
    pub events: u8,
}

impl Bounds {
    /// How many chunks the state with this content has.
    pub fn chunks_of(&self, value: Value) -> u8 {
        if value.is_multiple_of(2) { self.chunks } else { 1 }
    }
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
}

/// Where the state is, as the head names it. Without a fence: nowhere yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Body {
    /// 0 for A, 1 for B.
    pub slot: u8,
    /// The fence of each chunk.
    pub fence: u8,
    /// How many chunks the state has.
    pub chunks: u8,
    /// Whether there are events.
    pub outbox: bool,
}

/// The head.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Head {
    /// Up by one at each claim.
    pub fence: u8,
    /// Not released. Whether it is past is anybody's guess: clocks disagree.
    pub lease: bool,
    /// The claim that holds it. 0: of somebody who got the answer at once, and never asks again.
    pub holder: u8,
    /// The last committed sequence.
    pub sequence: u8,
    /// Something may be left to deliver.
    pub owed: bool,
    /// The last sequence known to be in the stream.
    pub published: u8,
    /// Where the state is.
    pub body: Body,
}

/// A chunk of a state. Without a fence: absent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Chunk {
    /// The fence that wrote it.
    pub fence: u8,
    /// The content of the state that it is a part of.
    pub value: Value,
}

/// The events of a commit: `first`, `first + 1`, ... tell the way to `value`. Without a value: none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Outbox {
    /// The sequence of the first event.
    pub first: u8,
    /// What they tell.
    pub value: Value,
}

/// One slot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot {
    /// The chunks of the state.
    pub state: [Chunk; 2],
    /// The fence that wrote the chunk of events.
    pub outbox_fence: u8,
    /// The events.
    pub outbox: Outbox,
}

/// What a worker is about to do: what the machine asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Step {
    /// It has no task.
    #[default]
    Idle,
    /// To claim once more: its first attempt is in the air. With the holder id of both.
    Claim(u8),
    /// To read the state's chunks.
    Load(Body),
    /// To read the events.
    LoadOutbox(Body),
    /// To publish the events above.
    Deliver(u8),
    /// To look at the world. The events go on from this sequence.
    Work(u8),
    /// To take note of items that another record owns, as events that go on from this sequence.
    Note(u8),
    /// To write the chunks of a slot.
    WriteSlot(u8),
    /// To name the new slot in the head.
    Commit(Commit),
    /// To give the lease back.
    Release(Release),
}

/// What a commit sets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Commit {
    /// The slot.
    pub body: Body,
    /// The last sequence, with this commit's events.
    pub sequence: u8,
    /// Whether there is anything to deliver.
    pub owed: bool,
    /// The last sequence known to be in the stream.
    pub published: u8,
}

/// What a release sets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Release {
    /// Clears `owed`.
    pub clear_owed: bool,
    /// The last sequence known to be in the stream, if it is mentioned.
    pub published: Option<u8>,
}

/// What came of an act, as far as it decides what comes next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reply {
    /// Nothing yet.
    #[default]
    None,
    /// The chunks are those that the head names.
    Loaded,
    /// They are not.
    Mismatch,
    /// Published up to here; whether that is all.
    Delivered(u8, bool),
    /// The same, all of it; but items were refused, since another owns them.
    Contested(u8),
    /// There are so many events to commit.
    Worked(u8),
    /// The world is as it was.
    Unchanged,
    /// There is no time left to look.
    NoTime,
    /// The slot is written: so many chunks, and whether there are events.
    Written(u8, bool),
    /// The commit took effect.
    Committed,
    /// Refused by the fence.
    TakenOver,
    /// It failed, or its outcome is not known.
    Failed,
}

/// A worker, from its claim to its release.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Worker {
    /// What it is about to do.
    pub step: Step,
    /// The head as its claim returned it. The lease and the holder are left out: nothing depends on them.
    pub claimed: Head,
    /// What it heard since.
    pub heard: [Reply; REPLIES],
    /// The state that it loaded, or is about to store.
    pub value: Value,
    /// The events that it loaded, or is about to store.
    pub outbox: Outbox,
    /// Of an act of several calls, which of them: chunks that are read or written, events that are still to be sent.
    pub parts: u8,
}

/// A call that was sent and whose answer nobody waits for any more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Call {
    /// None.
    #[default]
    None,
    /// A claim by this holder.
    Claim(u8),
    /// The write of a chunk of a state: slot, number, and the chunk.
    WriteState(u8, u8, Chunk),
    /// The write of a chunk of events: slot, fence, and the events.
    WriteOutbox(u8, u8, Outbox),
    /// A commit under this fence, with its events and how many they are.
    Commit(u8, Commit, Outbox, u8),
    /// A release under this fence.
    Release(u8, Release),
    /// PutRecords of those events of an outbox whose bit is set.
    Publish(Outbox, u8),
}

/// What must never happen, and did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Broken {
    /// An event was published that is not committed.
    pub phantom: bool,
    /// An id had two contents.
    pub two_contents: bool,
}

/// What outlives every worker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Stored {
    /// What there is to see.
    pub world: Value,
    /// The head.
    pub head: Head,
    /// Both slots.
    pub slots: [Slot; 2],
    /// The sequence up to which the reader has applied every event. It reads the stream as it grows.
    pub reader: u8,
    /// What each sequence number was committed as: nobody in the system sees this.
    pub log: [u8; EVENTS],
    /// Likewise.
    pub broken: Broken,
}

/// A state of the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct State<const WORKERS: usize> {
    /// What is stored.
    pub stored: Stored,
    /// The workers, in no particular order: they are sorted, since all are alike.
    pub workers: [Worker; WORKERS],
    /// What is in the air.
    pub air: [Call; 2],
    /// Claims, changes, crashes, calls in the air and failures that are left.
    pub left: Left,
}

/// What may still happen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Left {
    /// Claims.
    pub claims: u8,
    /// Changes of the world.
    pub changes: u8,
    /// Crashes.
    pub crashes: u8,
    /// Calls that may stay in the air.
    pub airborne: u8,
    /// Failures.
    pub failures: u8,
}
