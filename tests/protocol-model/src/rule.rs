//! The rules of the protocol, each of which can be left out.

/// Defines the rules: the sentence that documents each is the one that tables show.
macro_rules! rules {
    ($(#[doc = $text:literal] $name:ident,)*) => {
        /// A rule of the protocol.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Rule {
            $(#[doc = $text] $name,)*
        }

        impl Rule {
            /// All of them, in the order of the acts.
            pub const ALL: &[Rule] = &[$(Rule::$name),*];

            /// The rule in words.
            pub fn text(self) -> &'static str {
                match self {
                    $(Rule::$name => $text.trim_ascii(),)*
                }
            }
        }
    };
}

rules! {
    /// A claim adds one to the fence.
    ClaimRaisesFence,
    /// A holder id is fresh for each claim.
    FreshHolder,
    /// A claim that is refused by its own holder id is held.
    OwnClaimIsKnown,
    /// The fence of each chunk is checked on load.
    ChunkCheck,
    /// What is owed is delivered before anything new.
    OwedFirst,
    /// The events of a commit are stored as what will be published, never derived again.
    StoredEvents,
    /// The slot that is written is the one that the head does not name.
    OtherSlot,
    /// A chunk is written on condition that it carries no higher fence.
    FenceInChunks,
    /// A commit is on condition that the fence is ours.
    FenceInCommit,
    /// A commit sets absolute values.
    AbsoluteValues,
    /// A commit that has events sets `owed`, in the same write.
    OwedInCommit,
    /// A commit that is refused is dropped: nothing of it is published.
    RefusedIsDropped,
    /// An event is published after its commit.
    CommitFirst,
    /// A claim commits at most once.
    OneCommit,
    /// An event is accepted when it has no error and stands above the one before it.
    AcceptedInOrder,
    /// From the first event that is not accepted, it and all that follow are sent again.
    ResendAll,
    /// `owed` is cleared only when all events are accepted.
    OwedUntilAllIsAccepted,
    /// `owed` is cleared only after the reply to the commit.
    OwedUntilTheReply,
    /// A release is on condition that the fence is ours.
    FenceInRelease,
    /// A lease keeps others away.
    Lease,
    /// A lease ends by itself.
    LeaseEnds,
    /// A task whose stamp is done is refused.
    DuplicateIsRefused,
    /// A task of a record that owes is never a duplicate.
    OwedIsNoDuplicate,
    /// A task is sent first, and the record moved on afterwards.
    SendThenMark,
    /// A record is moved on, on condition that `due` is what was read.
    MarkIfDueIsUnmoved,
    /// A record whose task is still in the queue gets no other.
    OneTask,
    /// A task that was not done for long is given up.
    GiveUp,
    /// A record that owes and has no lease is queued, due and enabled or not.
    OwedIsQueued,
    /// `done_due` is only ever raised.
    DoneIsOnlyRaised,
    /// `done_due` is raised on success alone.
    DoneOnSuccess,
    /// A discarded task raises `done_due` too.
    DiscardedIsDone,
    /// A head is moved away on condition that `wanted` is what the claim returned.
    WantedIsUnchanged,
    /// A head is moved away on condition that the fence is ours.
    RemovalUnderFence,
    /// A head is moved away once its removal is published.
    PublishedBeforeRemoval,
    /// A record that returns goes on from the fence of its tombstone.
    TombstoneKeepsFence,
    /// A record that returns begins a higher epoch than that of its tombstone.
    TombstoneKeepsEpoch,
    /// A head is created in one transaction with the end of the tombstone that was read.
    ReturnIsOneTransaction,
    /// A head is created where there is none.
    CreateIfAbsent,
    /// An item is written on condition that it has no other owner.
    ItemOwner,
    /// An item is written on condition that its fence is not higher than ours.
    ItemFence,
    /// A commit of a discovery owes its items.
    ItemsAreOwed,
    /// An item is written before the cluster is asked for.
    ItemBeforeWanted,
}
