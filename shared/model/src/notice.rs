//! Notices: what workers leave for a discovery, whose state and events are another worker's to write.

use std::time::Duration;

use crate::change::Change;
use crate::discovery::{DiscoveryState, Run};
use crate::observer::Suspicion;
use crate::time::Timestamp;

/// How long a notice counts: longer than [`RENEWED`], so that one that is renewed never lapses.
pub const COUNTS: Duration = Duration::from_secs(180);
/// How often a process renews its notice, and no more often.
pub const RENEWED: Duration = Duration::from_secs(60);

/// That a process which refreshes clusters of a discovery is likely to be cut off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// Which process: fresh for each.
    pub instance: String,
    /// What it saw.
    pub suspicion: Suspicion,
    /// Until when this counts.
    pub until: Timestamp,
}

/// A run that did not look at the source: nothing changes.
pub fn unchanged(state: DiscoveryState) -> Run {
    Run { state, changes: Vec::new(), items: Vec::new(), store: false, more: false }
}

/// Adds to what a run commits what the notices say: an event when the first one counts, and one when none does any
/// more. What the processes saw is added up; it is kept as it was told.
pub fn add(run: &mut Run, notices: &[Notice], now: Timestamp) {
    let seen = notices.iter().filter(|notice| now < notice.until).map(|notice| notice.suspicion);
    let seen = seen.reduce(|one, other| Suspicion {
        since: one.since.min(other.since),
        polled: one.polled + other.polled,
        failed: one.failed + other.failed,
    });
    let change = match (run.state.observer, seen) {
        (None, Some(Suspicion { since, polled, failed })) => {
            Change::DiscoveryObserverSuspect { since: Some(since), polled, failed }
        }
        (Some(known), None) => Change::DiscoveryObserverTrusted { suspect_since: Some(known.since) },
        _ => return,
    };
    run.state.observer = seen;
    run.state.last_event = now.max(run.state.last_event);
    run.changes.push(change);
    run.store = true;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notice(instance: &str, since: i64, until: i64) -> Notice {
        let suspicion = Suspicion { since: Timestamp(since), polled: 12, failed: 10 };
        Notice { instance: instance.into(), suspicion, until: Timestamp(until) }
    }

    fn run(state: &DiscoveryState, notices: &[Notice], now: i64) -> Run {
        let mut run = unchanged(state.clone());
        add(&mut run, notices, Timestamp(now));
        run
    }

    #[test]
    fn the_first_notice_is_told_once_and_that_none_is_left_too() {
        let none = DiscoveryState::default();
        assert!(!run(&none, &[], 5).store);
        let first = run(&none, &[notice("a", 3, 10), notice("b", 2, 10)], 5);
        let told = Change::DiscoveryObserverSuspect { since: Some(Timestamp(2)), polled: 24, failed: 20 };
        assert_eq!(first.changes, [told], "what they saw is added up");
        assert!(first.store && first.state.last_event == Timestamp(5));
        for notices in [&[notice("a", 3, 10)][..], &[notice("c", 7, 20)]] {
            let next = run(&first.state, notices, 8);
            assert!(!next.store && next.changes.is_empty(), "told once, whoever it is");
        }
        let gone = run(&first.state, &[notice("a", 3, 10)], 10);
        let trusted = Change::DiscoveryObserverTrusted { suspect_since: Some(Timestamp(2)) };
        assert_eq!(gone.changes, [trusted], "one that lapsed does not count");
        assert_eq!(gone.state.observer, None);
        assert!(!run(&gone.state, &[], 11).store);
    }

    #[test]
    fn what_a_run_commits_besides_stays() {
        let mut failed = crate::discovery::failed(&DiscoveryState::default(), "status 500", Timestamp(5));
        add(&mut failed, &[notice("a", 3, 10)], Timestamp(5));
        let names: Vec<_> = failed.changes.iter().map(Change::name).collect();
        assert_eq!(names, ["discovery.failed", "discovery.observer_suspect"]);
        assert!(failed.state.failing.is_some() && failed.state.observer.is_some());
    }
}
