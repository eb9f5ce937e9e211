//! The protocol, model-checked: every interleaving within bounds holds what the protocol promises, and each rule that
//! is left out is missed by a named property.
//!
//! Three models, since one of everything would be too large to check:
//!
//! - [`record`]: one record with its head, its two slots, its stream, a reader, and workers that claim, load, deliver
//!   what is owed, work, write a slot, commit, deliver and release. The world changes and may change back. Leases end
//!   at any moment, workers die at any step, calls stay in the air and land later or never, PutRecords stores in part
//!   or out of order, items turn out to be another's, tasks come at any time and any number of times.
//! - [`scheduler`]: one record's schedule, `due`, `queued_due`, `queued_at`, `done_due`, the queue, and what is owed.
//! - [`removal`]: one cluster that comes and goes, between discoveries that write its item and workers that end its
//!   record.
//!
//! # What is the project's own code
//!
//! The workers of a record are not told again: what they do next is asked of `replicante_protocol`'s `Machine`, for
//! each state and reply. What a pass of a scheduler does is asked of `schedule::plan`, what a refused claim means of
//! `head::refusal`. Written by hand are the conditions and effects of the writes (in the code they are expressions that
//! DynamoDB evaluates), the stream, the acceptance of what PutRecords stored, and the reader. The end-to-end tests hold
//! those against the real calls.
//!
//! A machine has names, a boxed head and no equality, and so can't be part of a state of which there are millions. A
//! worker keeps what the machine has heard, and a machine is played through it: see `record::decide`.
//!
//! # What is abstracted, and why nothing is lost by it
//!
//! - *Content.* A state is one small number, and a commit's events tell the way to it. An event's content is that number
//!   and its place, so that any two events that differ are told apart.
//! - *Clocks.* In the model of a record no clock exists: a lease that is not released may be past for one and not for
//!   another, at any time. That is more than any clock does.
//! - *Tasks.* In the model of a record an idle worker may claim at any time. A stamp only refuses claims, and a claim
//!   that is refused is one that is not made; that refusing never starves a record is the scheduler model's subject.
//! - *Reader.* It reads what is stored at once: what it makes of the stream depends on the order alone. Gaps by trimmed
//!   streams, and snapshots, are not modelled.
//! - *Epochs.* They matter when a record returns: in the model of removal.
//! - *Chunks of events.* One a commit. Those of states are one or two, so that halves of two states can meet.
//! - *Commits, within the models of schedule and removal.* One step each: the model of a record has the rest.
//! - *Workers* are alike, so states that differ in who is who are one: workers are sorted.
//!
//! # Recovery
//!
//! "From every reachable state one clean refresh brings stream, stored state and world together" is no path that the
//! checker happens to take. In each state it is tried: on a copy in which all workers are dead and the air is empty.
//!
//! # Mutants
//!
//! A [`rule::Rule`] can be left out. For each there are bounds and a [`mutant::Verdict`]: the promise that breaks, the
//! work or time that is lost, or the reason why nothing is. `docs/model.md` has the table; a test holds it against this
//! crate.
//!
//! The checker keeps 64 bits of each state. That two of some ten million states share them, and one goes unchecked, has
//! a chance of about one in 400,000.

pub mod mutant;
pub mod record;
pub mod removal;
pub mod rule;
pub mod scheduler;
