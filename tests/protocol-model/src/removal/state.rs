//! The state of the removal's model: one cluster, one or two discoveries.

use crate::rule::Rule;

/// Epochs and sequences that are told apart.
pub const EPOCHS: usize = 5;
/// Likewise.
pub const SEQUENCES: usize = 5;

/// How far the checker goes.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// The second discovery worker works for another discovery, which always reports the cluster.
    pub rival: bool,
    /// Times that the source changes its mind.
    pub changes: u8,
    /// Claims of discoveries.
    pub discoveries: u8,
    /// Claims of the cluster.
    pub refreshes: u8,
    /// Crashes.
    pub crashes: u8,
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

/// What is known or told of the cluster.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Status {
    /// Nothing.
    #[default]
    Unknown,
    /// It is there.
    Present,
    /// It was removed.
    Removed,
}

/// A discovery's record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Discovery {
    /// Up by one at each claim.
    pub fence: u8,
    /// What it has committed of the cluster.
    pub cluster: Status,
    /// The cluster's item is still to be written.
    pub owed: bool,
}

/// The discovery item of the cluster.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Item {
    /// Which discovery owns it. 0: none yet.
    pub owner: u8,
    /// The fence that wrote it.
    pub fence: u8,
    /// What it says.
    pub status: Status,
}

/// What goes on from one life of the record to the next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tombstone {
    /// The last fence.
    pub fence: u8,
    /// The last epoch. 0: there is no tombstone.
    pub epoch: u8,
}

/// The head of the cluster's record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Head {
    /// Up by one at each claim.
    pub fence: u8,
    /// The epoch of its events.
    pub epoch: u8,
    /// The last committed sequence.
    pub sequence: u8,
    /// Up whenever a discovery asks for it.
    pub wanted: u8,
    /// The last event may not be in the stream.
    pub owed: bool,
    /// What the last event told.
    pub told: Status,
    /// Which life of the record this is: nobody in the system sees it.
    pub life: u8,
}

/// What a discovery worker is about to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DiscoveryStep {
    /// It has no task.
    #[default]
    Idle,
    /// To ask the source.
    Fetch,
    /// To commit this.
    Commit(Status),
    /// To write the cluster's item.
    WriteItem,
    /// To raise `wanted`.
    Want,
    /// There is no head: to look for a tombstone.
    ReadTombstone,
    /// To create the head, from this tombstone.
    Create(Tombstone),
    /// To clear `owed`.
    Release,
}

/// A discovery worker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DiscoveryWorker {
    /// What it is about to do.
    pub step: DiscoveryStep,
    /// The fence of its claim.
    pub fence: u8,
    /// What it delivers.
    pub status: Status,
    /// It delivers what was owed, and has yet to ask the source.
    pub owed_first: bool,
}

/// What a worker of the cluster is about to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RefreshStep {
    /// It has no task.
    #[default]
    Idle,
    /// To publish the event that is owed.
    PublishOwed,
    /// To read the item.
    ReadItem,
    /// To commit this.
    Commit(Status),
    /// To publish what it committed.
    Publish,
    /// To move the head away.
    Bury,
    /// To clear `owed`.
    Release,
}

/// A worker of the cluster: the head is as its claim, or its commit, left it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RefreshWorker {
    /// What it is about to do.
    pub step: RefreshStep,
    /// The head.
    pub head: Head,
}

/// Where the reader is, and what it knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Reader {
    /// The epoch.
    pub epoch: u8,
    /// The last sequence that it applied.
    pub sequence: u8,
    /// What that told.
    pub told: Status,
}

/// What must not happen, and did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Broken {
    /// An event was published that is not committed.
    pub phantom: bool,
    /// An id had two contents.
    pub two_contents: bool,
    /// A worker that claimed an earlier life of the record wrote to a later one.
    pub earlier_life: bool,
    /// The item was taken from its owner.
    pub two_owners: bool,
}

/// A state of the model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct State {
    /// Whether the source reports the cluster.
    pub source: bool,
    /// The discovery, and its rival.
    pub discoveries: [Discovery; 2],
    /// The discovery item.
    pub item: Item,
    /// The head, if there is one.
    pub head: Option<Head>,
    /// The tombstone.
    pub tombstone: Tombstone,
    /// The lives that the record had so far.
    pub lives: u8,
    /// The reader.
    pub reader: Reader,
    /// What each id was committed as: nobody in the system sees this.
    pub log: [[u8; SEQUENCES]; EPOCHS],
    /// The discovery workers. The second is the rival's, if there is one.
    pub discovering: [DiscoveryWorker; 2],
    /// The workers of the cluster.
    pub refreshing: [RefreshWorker; 2],
    /// What must not happen, and did.
    pub broken: Broken,
    /// What may still happen: changes, claims of discoveries, claims of the cluster, crashes.
    pub left: (u8, u8, u8, u8),
}
