//! The removal's model: how far it is checked, and its mutants.

use super::properties::{NO_EARLIER_LIFE, NOTHING_MISSED, ONE_CONTENT, ONE_OWNER, SETTLES};
use super::state::Bounds;
use crate::mutant::{Mutant, Verdict};
use crate::rule::Rule;

/// Reported, no longer reported, and reported again.
const RETURN: Bounds = Bounds { rival: false, changes: 2, discoveries: 3, refreshes: 4, crashes: 1 };
/// The same, and another discovery reports the cluster all the time.
const RIVAL: Bounds = Bounds { rival: true, discoveries: 4, ..RETURN };

/// How far it is checked.
pub const BOUNDS: &[Bounds] = &[RETURN, Bounds { changes: 3, discoveries: 4, refreshes: 2, ..RETURN }, RIVAL];

/// The mutants.
pub const MUTANTS: &[Mutant<Bounds>] = &[
    mutant(Rule::WantedIsUnchanged, RETURN, Verdict::Breaks(SETTLES)),
    mutant(Rule::RemovalUnderFence, RETURN, Verdict::Breaks(NOTHING_MISSED)),
    mutant(Rule::PublishedBeforeRemoval, RETURN, Verdict::Breaks(NOTHING_MISSED)),
    mutant(
        Rule::TombstoneKeepsFence,
        Bounds { refreshes: 5, crashes: 0, ..RETURN },
        Verdict::Breaks(NO_EARLIER_LIFE),
    ),
    mutant(Rule::TombstoneKeepsEpoch, RETURN, Verdict::Breaks(ONE_CONTENT)),
    mutant(Rule::ReturnIsOneTransaction, RETURN, Verdict::Breaks(ONE_CONTENT)),
    mutant(Rule::CreateIfAbsent, RETURN, Verdict::Breaks(NO_EARLIER_LIFE)),
    mutant(Rule::ItemOwner, RIVAL, Verdict::Breaks(ONE_OWNER)),
    mutant(Rule::ItemFence, RETURN, Verdict::Breaks(SETTLES)),
    mutant(Rule::ItemsAreOwed, RETURN, Verdict::Breaks(SETTLES)),
    mutant(Rule::ItemBeforeWanted, RETURN, Verdict::Breaks(SETTLES)),
];

const fn mutant(rule: Rule, bounds: Bounds, verdict: Verdict) -> Mutant<Bounds> {
    Mutant { rule, bounds, verdict }
}
