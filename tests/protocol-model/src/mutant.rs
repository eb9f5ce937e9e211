//! Mutants: the model without one of its rules, and what the checker must say of it.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::hash::Hash;
use std::time::{Duration, Instant};

use stateright::{Checker, HasDiscoveries, Model};

use crate::rule::Rule;

/// What leaving a rule out comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// A promise of the protocol is broken: this property.
    Breaks(&'static str),
    /// No promise is broken. Work is done in vain, or late, which this property tells.
    Costs(&'static str),
    /// No property is broken, for this reason.
    Harmless(&'static str),
}

impl Verdict {
    /// The property that the checker must find broken, if any.
    pub fn property(self) -> Option<&'static str> {
        match self {
            Verdict::Breaks(property) | Verdict::Costs(property) => Some(property),
            Verdict::Harmless(_) => None,
        }
    }
}

/// A rule, the bounds within which the checker goes on without it, and what it must say then.
#[derive(Clone, Copy, Debug)]
pub struct Mutant<B> {
    /// The rule that is left out.
    pub rule: Rule,
    /// How far.
    pub bounds: B,
    /// What the checker must say.
    pub verdict: Verdict,
}

/// What the checker found.
#[derive(Clone, Debug)]
pub struct Checked {
    /// Distinct states.
    pub states: usize,
    /// The longest of the shortest ways to a state.
    pub depth: usize,
    /// How long it took.
    pub time: Duration,
    /// The properties that are broken, each with the way there.
    pub broken: Vec<(&'static str, Vec<String>)>,
}

/// Checks every state that can be reached; or, when a property is named, goes on until it is broken.
pub fn check<M>(model: M, until: Option<&'static str>) -> Checked
where
    M: Model + Send + Sync + 'static,
    M::State: Clone + Debug + Hash + PartialEq + Send + Sync + 'static,
    M::Action: Clone + Debug + PartialEq,
{
    let began = Instant::now();
    let until = match until {
        None => HasDiscoveries::AnyFailures,
        Some(property) => HasDiscoveries::AllOf(BTreeSet::from([property])),
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let checker = model.checker().threads(threads).finish_when(until).spawn_bfs().join();
    let mut broken: Vec<_> = checker
        .discoveries()
        .into_iter()
        .map(|(property, path)| {
            (property, path.into_actions().iter().map(|action| format!("{action:?}")).collect())
        })
        .collect();
    broken.sort_unstable();
    Checked {
        states: checker.unique_state_count(),
        depth: checker.max_depth(),
        time: began.elapsed(),
        broken,
    }
}
