//! The scheduler's model: how far it is checked, and its mutants.

use super::properties::{
    DONE_IS_TRUE, DONE_STAYS, DUE_STAYS, MARKED_IS_SENT, NOT_DELAYED, NOT_STARVED, ONE_AT_A_TIME, ONE_TASK,
    WORKED_ONCE,
};
use super::state::Bounds;
use crate::mutant::{Mutant, Verdict};
use crate::rule::Rule;

/// One scheduler, and everything that can go wrong goes wrong once.
const ONE: Bounds = Bounds {
    schedulers: 1,
    ticks: 5,
    interval: 1,
    lease: 1,
    give_up: 3,
    sends: 3,
    crashes: 1,
    failures: 1,
    losses: 1,
    copies: 1,
    disables: 1,
};

/// How far it is checked.
pub const BOUNDS: &[Bounds] = &[
    ONE,
    Bounds { ticks: 7, interval: 2, crashes: 2, copies: 0, disables: 0, ..ONE },
    Bounds { schedulers: 2, ticks: 4, failures: 0, ..ONE },
];

/// The mutants.
pub const MUTANTS: &[Mutant<Bounds>] = &[
    mutant(Rule::Lease, Verdict::Costs(ONE_AT_A_TIME)),
    mutant(Rule::LeaseEnds, Verdict::Breaks(NOT_STARVED)),
    mutant(Rule::DuplicateIsRefused, Verdict::Costs(WORKED_ONCE)),
    mutant(
        Rule::OwedIsNoDuplicate,
        Verdict::Harmless("saves a tick: the next pass queues a task, whose stamp is not done"),
    ),
    mutant(Rule::SendThenMark, Verdict::Costs(MARKED_IS_SENT)),
    Mutant { bounds: BOUNDS[2], ..mutant(Rule::MarkIfDueIsUnmoved, Verdict::Costs(DUE_STAYS)) },
    mutant(Rule::OneTask, Verdict::Costs(ONE_TASK)),
    mutant(Rule::GiveUp, Verdict::Breaks(NOT_STARVED)),
    mutant(Rule::OwedIsQueued, Verdict::Breaks(NOT_STARVED)),
    mutant(Rule::DoneIsOnlyRaised, Verdict::Costs(DONE_STAYS)),
    mutant(Rule::DoneOnSuccess, Verdict::Costs(DONE_IS_TRUE)),
    mutant(Rule::DiscardedIsDone, Verdict::Costs(NOT_DELAYED)),
];

const fn mutant(rule: Rule, verdict: Verdict) -> Mutant<Bounds> {
    Mutant { rule, bounds: ONE, verdict }
}
