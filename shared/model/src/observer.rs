//! Observer: whether it is the worker that is cut off, not the agents that are down.
//!
//! When more than half of all agents that a process asked within the last minute can't be connected to, it is more
//! likely that the process lost its network. What it then takes for failures is held back: for a limited time, and only
//! until other answers prove it wrong. The process keeps an [`Observer`]; time comes in as a value.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::observation::{Failure, Observation};
use crate::time::Timestamp;

/// How far back polls count.
pub const WINDOW: Duration = Duration::from_secs(60);
/// The fewest agents that there is an opinion about.
pub const FEWEST_AGENTS: usize = 10;
/// The fewest clusters of theirs.
pub const FEWEST_CLUSTERS: usize = 2;
/// The most agents that are remembered: of more, these are a sample.
const MOST_AGENTS: usize = 10_000;

/// That a process is likely to be cut off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Suspicion {
    /// Since when.
    pub since: Timestamp,
    /// Agents that it asked within [`WINDOW`].
    pub polled: u64,
    /// Those of them that it could not connect to.
    pub failed: u64,
}

/// What one process asked within [`WINDOW`], and what it makes of it.
#[derive(Clone, Debug, Default)]
pub struct Observer {
    /// By the hashes of cluster and node: when it was asked last, and whether there was a connection.
    polls: BTreeMap<(u64, u64), (Timestamp, bool)>,
    since: Option<Timestamp>,
}

/// What an observation says of the process that made it: whether there was a connection. `None`: nothing.
pub fn connected(observation: &Observation) -> Option<bool> {
    match observation {
        Observation::NotPolled => None,
        Observation::AgentDown { failure, .. } => Some(*failure != Failure::Unconnected),
        Observation::NodeDown { .. } | Observation::Up(_) => Some(true),
    }
}

impl Observer {
    /// Takes down that an agent was asked, and whether there was a connection.
    ///
    /// An agent that was known to be silent before is none of the failures: it says nothing new.
    pub fn note(&mut self, cluster: u64, node: u64, connected: bool, now: Timestamp) {
        let key = (cluster, node);
        if self.polls.len() >= MOST_AGENTS && !self.polls.contains_key(&key) {
            self.polls.retain(|_, (at, _)| is_within(*at, now));
            if self.polls.len() >= MOST_AGENTS {
                return;
            }
        }
        self.polls.insert(key, (now, connected));
    }

    /// What is to be thought of the process now.
    ///
    /// A suspicion stands until more than too few agents are proof against it, or all of the few. So one whose agents
    /// are asked more seldom than [`WINDOW`] is not begun anew with each of them.
    pub fn suspicion(&mut self, now: Timestamp) -> Option<Suspicion> {
        self.polls.retain(|_, (at, _)| is_within(*at, now));
        let polled = self.polls.len();
        let failed = self.polls.values().filter(|(_, connected)| !connected).count();
        let clusters: BTreeSet<u64> =
            self.polls.keys().map(|(cluster, _)| *cluster).take(MOST_AGENTS).collect();
        let enough = polled >= FEWEST_AGENTS && clusters.len() >= FEWEST_CLUSTERS;
        if enough && failed * 2 > polled {
            self.since.get_or_insert(now);
        } else if enough || (polled > 0 && failed == 0) {
            self.since = None;
        }
        self.since.map(|since| Suspicion { since, polled: polled as u64, failed: failed as u64 })
    }
}

impl Suspicion {
    /// Whether what the process takes for failures is held back, for at most `hold` since it began.
    pub fn holds(&self, hold: Duration, now: Timestamp) -> bool {
        now < self.since.plus(hold)
    }
}

fn is_within(at: Timestamp, now: Timestamp) -> bool {
    now.since(at) < WINDOW
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: Timestamp = Timestamp(1_767_319_445_000);
    const SECOND: Duration = Duration::from_secs(1);

    /// An observer that asked agents, spread over so many clusters: `good` with a connection and `bad` without.
    fn after(good: u64, bad: u64, clusters: u64) -> Observer {
        let mut observer = Observer::default();
        for n in 0..good + bad {
            observer.note(n % clusters, n, n < good, NOW);
        }
        observer
    }

    #[test]
    fn more_than_half_without_a_connection_is_suspect_and_half_is_not() {
        assert_eq!(after(6, 6, 3).suspicion(NOW), None);
        let expected = Suspicion { since: NOW, polled: 12, failed: 7 };
        assert_eq!(after(5, 7, 3).suspicion(NOW), Some(expected));
    }

    #[test]
    fn of_too_few_agents_or_of_one_cluster_there_is_no_opinion() {
        assert_eq!(after(0, 9, 3).suspicion(NOW), None);
        assert!(after(0, 10, 3).suspicion(NOW).is_some());
        assert_eq!(after(0, 100, 1).suspicion(NOW), None);
    }

    #[test]
    fn each_agent_counts_once_with_its_last_poll() {
        let mut observer = after(12, 0, 3);
        for _ in 0..100 {
            observer.note(0, 0, false, NOW.plus(SECOND));
        }
        assert_eq!(observer.suspicion(NOW.plus(SECOND)), None);
        for n in 0..12 {
            observer.note(n % 3, n, false, NOW.plus(SECOND));
        }
        let expected = Suspicion { since: NOW.plus(SECOND), polled: 12, failed: 12 };
        assert_eq!(observer.suspicion(NOW.plus(SECOND)), Some(expected));
    }

    #[test]
    fn it_lets_go_as_soon_as_half_have_a_connection_and_begins_anew_after_that() {
        let mut observer = after(0, 12, 3);
        assert!(observer.suspicion(NOW).is_some());
        for n in 0..6 {
            assert!(observer.suspicion(NOW.plus(SECOND)).is_some());
            observer.note(n % 3, n, true, NOW.plus(SECOND));
        }
        assert_eq!(observer.suspicion(NOW.plus(SECOND)), None);
        observer.note(0, 0, false, NOW.plus(2 * SECOND));
        let again = observer.suspicion(NOW.plus(2 * SECOND)).unwrap();
        assert_eq!(again.since, NOW.plus(2 * SECOND));
    }

    #[test]
    fn it_is_not_begun_anew_by_agents_that_are_asked_more_seldom_than_the_window() {
        let mut observer = after(0, 12, 3);
        observer.suspicion(NOW);
        let later = NOW.plus(10 * WINDOW);
        observer.note(0, 0, false, later);
        let suspicion = observer.suspicion(later).unwrap();
        assert_eq!(suspicion.since, NOW);
        assert!(!suspicion.holds(5 * WINDOW, later), "its time is over");
        assert!(suspicion.holds(5 * WINDOW, NOW.plus(5 * WINDOW - SECOND)));
        observer.note(0, 0, true, later);
        assert_eq!(observer.suspicion(later), None, "all that was asked of late has a connection");
    }

    #[test]
    fn a_timeout_after_the_connection_and_a_wrong_answer_are_no_lack_of_one() {
        let down = |failure| Observation::AgentDown { reason: String::new(), failure };
        assert_eq!(connected(&down(Failure::Unconnected)), Some(false));
        assert_eq!(connected(&down(Failure::Unanswered)), Some(true));
        assert_eq!(connected(&down(Failure::Wrong)), Some(true));
        assert_eq!(connected(&Observation::NodeDown { reason: String::new(), agent: None }), Some(true));
        assert_eq!(connected(&Observation::NotPolled), None);
    }

    proptest! {
        /// Whatever is asked when: a suspicion that begins is about enough agents of enough clusters, more than half of
        /// them without a connection by their last poll within the window.
        #[test]
        fn what_begins_a_suspicion_is_a_majority_of_enough(
            polls in prop::collection::vec((0..4u64, 0..8u64, prop::bool::ANY, 0..20_000i64), 1..200)
        ) {
            let mut observer = Observer::default();
            let mut now = NOW;
            let mut all = Vec::new();
            let mut before: Option<Suspicion> = None;
            for (cluster, node, connected, passed) in polls {
                now = Timestamp(now.0 + passed);
                observer.note(cluster, node, connected, now);
                all.push((cluster, node, connected, now));
                let mut last = BTreeMap::new();
                for (cluster, node, connected, at) in &all {
                    if now.since(*at) < WINDOW {
                        last.insert((*cluster, *node), *connected);
                    }
                }
                let failed = last.values().filter(|connected| !**connected).count();
                let clusters: BTreeSet<u64> = last.keys().map(|(cluster, _)| *cluster).collect();
                let enough = last.len() >= 10 && clusters.len() >= 2;
                let suspicion = observer.suspicion(now);
                if enough {
                    prop_assert_eq!(suspicion.is_some(), failed * 2 > last.len());
                } else if before.is_none() {
                    prop_assert_eq!(suspicion, None);
                }
                if let (Some(before), Some(now)) = (before, suspicion) {
                    prop_assert_eq!(before.since, now.since);
                }
                before = suspicion;
            }
        }
    }
}
