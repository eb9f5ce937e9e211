//! Silence: since when an agent gives no answer. Kept beside the view, so that the next refreshes can ask less often.

use crate::observation::Observation;
use crate::time::Timestamp;
use crate::view::{NodeCounters, NodeStatus};

/// Takes down what a refresh heard of a node whose status is now `status`.
///
/// Silence begins when an agent is called down because it gave no answer. Any answer ends it, a wrong one too; a
/// refresh that did not ask says nothing. The time is stored once, with the change that it belongs to, and read from
/// then on: nothing is counted.
pub(crate) fn note(
    counters: &mut NodeCounters,
    status: &NodeStatus,
    observation: &Observation,
    now: Timestamp,
) {
    counters.silent_since = match (observation, status) {
        (Observation::NotPolled, _) => counters.silent_since,
        (Observation::AgentDown { failure, .. }, NodeStatus::AgentDown { .. }) if failure.is_silence() => {
            counters.silent_since.or(Some(now))
        }
        _ => None,
    };
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observation::Failure;

    const DOWN: fn() -> NodeStatus = || NodeStatus::AgentDown { reason: "timeout after 10 s".into() };

    fn agent_down(failure: Failure) -> Observation {
        Observation::AgentDown { reason: "r".into(), failure }
    }

    fn after(before: Option<i64>, status: &NodeStatus, observation: &Observation) -> Option<i64> {
        let mut counters = NodeCounters { silent_since: before.map(Timestamp), ..NodeCounters::default() };
        note(&mut counters, status, observation, Timestamp(9));
        counters.silent_since.map(|since| since.0)
    }

    #[test]
    fn silence_begins_with_the_first_failure_to_answer_and_lasts_until_any_answer() {
        for failure in [Failure::Unconnected, Failure::Unanswered] {
            assert_eq!(after(None, &DOWN(), &agent_down(failure)), Some(9));
            assert_eq!(after(Some(5), &DOWN(), &agent_down(failure)), Some(5), "the time is stored once");
            assert_eq!(after(None, &NodeStatus::Up, &agent_down(failure)), None, "not called down yet");
        }
        assert_eq!(after(Some(5), &DOWN(), &agent_down(Failure::Wrong)), None, "a wrong answer is one");
        let reason = String::new();
        let node_down = Observation::NodeDown { reason: reason.clone(), agent: None };
        assert_eq!(after(Some(5), &NodeStatus::NodeDown { reason }, &node_down), None);
        let up = Observation::Up(Box::new(crate::observation::NodeReport {
            agent: crate::observation::AgentInfo {
                api: crate::record::AgentApi::V1,
                version: crate::observation::AgentVersion::default(),
            },
            node: crate::observation::NodeDetails::default(),
            cluster_id: "c".into(),
            display_name: None,
            shards: Default::default(),
            actions: Default::default(),
        }));
        assert_eq!(after(Some(5), &NodeStatus::Up, &up), None);
        assert_eq!(after(Some(5), &DOWN(), &up), None, "the first answer of several that it takes to be up");
    }

    #[test]
    fn a_refresh_that_did_not_ask_says_nothing() {
        assert_eq!(after(Some(5), &DOWN(), &Observation::NotPolled), Some(5));
        assert_eq!(after(None, &NodeStatus::Up, &Observation::NotPolled), None);
    }
}
