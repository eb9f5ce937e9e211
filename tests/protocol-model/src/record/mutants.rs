//! The record's model: how far it is checked, and its mutants.

use super::properties::{NO_PHANTOM, NOTHING_MISSED, ONE_CONTENT, READABLE, RECOVERS};
use super::state::Bounds;
use crate::mutant::{Mutant, Verdict};
use crate::rule::Rule;

/// What the promise is checked with at least: a world that changes and changes back, a state of one chunk or two.
pub const BOUNDS: Bounds =
    Bounds { claims: 3, changes: 2, crashes: 2, airborne: 1, failures: 1, values: 2, chunks: 2, events: 2 };

/// Bounds of two workers. Each goes further than the others in something.
pub const TWO_WORKERS: &[Bounds] = &[
    Bounds { values: 3, ..BOUNDS },
    Bounds { failures: 2, airborne: 0, events: 3, ..BOUNDS },
    Bounds { claims: 4, changes: 3, crashes: 1, failures: 0, chunks: 1, ..BOUNDS },
];

/// Bounds for an occasion: two calls in the air, at some minutes and gigabytes.
pub const FAR: Bounds = Bounds { airborne: 2, ..BOUNDS };

/// Bounds of three workers.
pub const THREE_WORKERS: &[Bounds] = &[Bounds { crashes: 1, failures: 0, ..BOUNDS }];

/// Enough for most mutants.
const USUAL: Bounds = Bounds { crashes: 1, ..BOUNDS };
/// For what only calls that land late can break.
const LATE: Bounds = Bounds { crashes: 0, failures: 0, ..BOUNDS };
/// For a slot that is written over twice while a worker reads it. Halves of two slots can't be decoded and do no harm,
/// so the state has one chunk.
const SWAPPED: Bounds =
    Bounds { claims: 4, changes: 3, crashes: 1, airborne: 0, failures: 0, chunks: 1, ..BOUNDS };

/// The mutants.
pub const MUTANTS: &[Mutant<Bounds>] = &[
    mutant(Rule::ClaimRaisesFence, USUAL, Verdict::Breaks(RECOVERS)),
    mutant(Rule::FreshHolder, USUAL, Verdict::Breaks(RECOVERS)),
    mutant(
        Rule::OwnClaimIsKnown,
        USUAL,
        Verdict::Harmless("saves a lease: the claim is made again when the lease is past"),
    ),
    mutant(Rule::ChunkCheck, SWAPPED, Verdict::Breaks(NO_PHANTOM)),
    mutant(Rule::OwedFirst, USUAL, Verdict::Breaks(RECOVERS)),
    mutant(Rule::StoredEvents, USUAL, Verdict::Breaks(ONE_CONTENT)),
    mutant(Rule::OtherSlot, USUAL, Verdict::Breaks(READABLE)),
    mutant(Rule::FenceInChunks, USUAL, Verdict::Breaks(READABLE)),
    mutant(Rule::FenceInCommit, USUAL, Verdict::Breaks(ONE_CONTENT)),
    mutant(Rule::AbsoluteValues, USUAL, Verdict::Breaks(NOTHING_MISSED)),
    mutant(Rule::OwedInCommit, USUAL, Verdict::Breaks(NOTHING_MISSED)),
    mutant(Rule::RefusedIsDropped, USUAL, Verdict::Breaks(NO_PHANTOM)),
    mutant(Rule::CommitFirst, USUAL, Verdict::Breaks(NO_PHANTOM)),
    mutant(Rule::OneCommit, LATE, Verdict::Breaks(ONE_CONTENT)),
    mutant(Rule::AcceptedInOrder, USUAL, Verdict::Breaks(NOTHING_MISSED)),
    mutant(Rule::ResendAll, USUAL, Verdict::Breaks(NOTHING_MISSED)),
    mutant(Rule::OwedUntilAllIsAccepted, USUAL, Verdict::Breaks(NOTHING_MISSED)),
    mutant(Rule::OwedUntilTheReply, USUAL, Verdict::Breaks(NOTHING_MISSED)),
    mutant(Rule::FenceInRelease, USUAL, Verdict::Breaks(NOTHING_MISSED)),
];

const fn mutant(rule: Rule, bounds: Bounds, verdict: Verdict) -> Mutant<Bounds> {
    Mutant { rule, bounds, verdict }
}
