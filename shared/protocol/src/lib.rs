//! The protocol: claim, load, deliver what is owed, work, write the slot, commit, deliver, release.
//!
//! One protocol serves discoveries and clusters. It promises that every committed change of a record reaches
//! the stream, that every copy of an event has the same id and the same bytes, and that nothing is published
//! that was not committed - across crashes at any instruction, lost replies, duplicate tasks, expired leases
//! and clocks that disagree. `docs/architecture.md` walks through it.
//!
//! This crate decides; it does no I/O. [`machine::Machine`] says which act comes next, an adapter carries it
//! out and answers with what came of it. What is stored is described by [`head`] and [`slot`], when records
//! are due by [`schedule`], what is queued by [`task`], and what of a record is asked in which of its slots by
//! [`turns`].

pub mod head;
pub mod machine;
pub mod schedule;
pub mod slot;
pub mod task;
pub mod turns;
