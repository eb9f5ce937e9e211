//! The refresh worker: polls the agents of a cluster, and commits what changed.
//!
//! Triggered by the queue of refresh tasks. It reads the cluster's record and discovery item, polls, and
//! leaves the rest to the protocol (`replicante-worker`).

mod watch;

use std::sync::Arc;
use std::time::Duration;

use replicante_agents::{Agents, ClusterLimits, Target};
use replicante_aws::{AwsError, Clients, Untold};
use replicante_metrics::{Measures, Metric};
use replicante_model::Kind;
use replicante_model::event::{Sealed, Sealer};
use replicante_model::object::tell;
use replicante_model::observation::Observation;
use replicante_model::refresh::{Refreshed, Rules, refresh};
use replicante_model::summary::Summary;
use replicante_model::view::{ClusterState, NodeStatus};
use replicante_outbound::{Outbound, Secrets};
use replicante_protocol::turns::{Turns, group};
use replicante_settings::{AddressPolicy, Settings};
use replicante_ssm::Parameters;
use replicante_worker::{Context, Delivered, Function, Job, WorkError, Worked};

use crate::watch::Watch;

/// The function.
pub type RefreshWorker = Function<Refresh>;

/// The work on a cluster's record.
pub struct Refresh {
    agents: Agents,
    polls_per_cluster: usize,
    back_off: Duration,
    rules: Rules,
    watch: Watch,
}

impl Job for Refresh {
    const KIND: Kind = Kind::Cluster;

    type State = ClusterState;

    fn new(clients: &Clients, settings: &Settings) -> Self {
        let Settings { addresses, secrets_age, polls_per_function, .. } = settings;
        Refresh {
            agents: agents(clients, addresses.clone(), *secrets_age, *polls_per_function),
            polls_per_cluster: settings.polls_per_cluster,
            back_off: settings.back_off,
            rules: Rules { readings_age: settings.readings_age, retention: settings.retention },
            watch: Watch::new(settings.observer_hold),
        }
    }

    async fn work(
        &self,
        context: &Context<'_>,
        state: ClusterState,
    ) -> Result<Worked<ClusterState>, WorkError> {
        let record = &context.head.record;
        let Some(item) = context.table.discovery_item(record).await? else {
            return Err(WorkError::Input(format!(
                "{record} has no discovery item: its discovery has yet to write it"
            )));
        };
        // After its removal is told there is no word of it any more: what is left to tell is told when it returns.
        let untold = match item.removed.is_some() && state.view.is_none() {
            true => Untold::default(),
            false => context.untold().await?,
        };
        if context.only_tells(&untold) {
            let unchanged = Refreshed { state, events: Vec::new(), store: false, more: false, ended: false };
            let told = tell(&untold.audits, &context.sealer(), unchanged.state.last_event)?;
            return Ok(worked(context, unchanged, told, &untold, Measures::default()));
        }
        let turns = Turns::of(context.head, context.task, context.now, self.back_off);
        let count = item.record.nodes.len();
        // An agent that stays silent is not asked every time: it makes the whole refresh wait for its timeout.
        let has_turn = |id: &str| {
            let silent_since = state.counters.nodes.get(id).and_then(|counters| counters.silent_since);
            silent_since.is_none_or(|since| turns.has(since, group(id, count, self.polls_per_cluster)))
        };
        let targets: Vec<Target<'_>> = item
            .record
            .nodes
            .iter()
            .filter(|(id, _)| has_turn(id))
            .map(|(id, address)| target(id, address, &state))
            .collect();
        // A cluster that its source no longer reports is no longer polled: what is shown of it is stale.
        let targets =
            if item.missing_since.is_some() || item.removed.is_some() { &[] } else { targets.as_slice() };
        let slot = context.task.stamp.unwrap_or(context.now).0
            / i64::try_from(context.head.interval.as_millis()).unwrap_or(1).max(1);
        // Each refresh begins behind those that the one before was sure to reach.
        let start = slot.unsigned_abs().wrapping_mul(self.polls_per_cluster as u64);
        let limits = ClusterLimits { in_flight: self.polls_per_cluster, start };
        let cluster_id = &item.record.cluster_id;
        let mut observations =
            self.agents.poll_cluster(targets, cluster_id, &item.agents, limits, context.gather_until).await;
        let mut measures = measures(observations.values());
        if self.watch.hold_back(context, &item, &state, &mut observations).await {
            measures.count(Metric::ObserverSuspect, 1.0);
        }

        // The head says whether there is a window to be read: a refresh without one costs nothing more.
        let window = match context.head.maintenance > context.now {
            true => context.table.maintenance(record).await?.filter(|window| window.is_on(context.now)),
            false => None,
        };
        let mut sealer = Sealer { maintenance: window.as_ref(), ..context.sealer() };
        let told = tell(&untold.audits, &sealer, state.last_event)?;
        sealer.sequence += told.len() as u64;
        let refreshed = refresh(state, &item, &observations, &sealer, self.rules)?;
        Ok(worked(context, refreshed, told, &untold, measures))
    }

    fn contested(
        &self,
        _: &Context<'_>,
        _: ClusterState,
        _: &[(String, String)],
    ) -> Result<Worked<ClusterState>, WorkError> {
        Err(WorkError::Input("a cluster's commit delivers no items that could be contested".into()))
    }

    async fn deliver(&self, context: &Context<'_>, _: &[u8]) -> Result<Delivered, AwsError> {
        Err(AwsError::Stored {
            what: format!("the outbox of {}", context.head.record),
            problem: "a cluster's commit delivers no items".into(),
        })
    }
}

/// What a refresh commits: first the changes of its object that are told, then what it found.
fn worked(
    context: &Context<'_>,
    refreshed: Refreshed,
    told: Vec<Sealed>,
    untold: &Untold,
    measures: Measures,
) -> Worked<ClusterState> {
    let Refreshed { mut state, events, store, more, ended } = refreshed;
    if !told.is_empty() {
        state.last_event = state.last_event.max(context.now);
    }
    Worked {
        summary: state.view.as_ref().map(Summary::of_cluster).unwrap_or_default(),
        state,
        events: told.into_iter().chain(events).collect(),
        items: Vec::new(),
        store: store || untold.told.is_some(),
        more: more || untold.more,
        ended,
        told: untold.told,
        measures,
    }
}

/// The agents, as a worker reaches them: where `addresses` allows, at most `in_flight` nodes at once. What is read of a
/// secret counts for `secrets_age`.
pub fn agents(
    clients: &Clients,
    addresses: AddressPolicy,
    secrets_age: Duration,
    in_flight: usize,
) -> Agents {
    let secrets = Secrets::new(Parameters::of(clients.account()), secrets_age);
    Agents::new(Arc::new(Outbound::with_secrets(addresses, secrets)), in_flight)
}

/// A node to poll, with what is remembered of it.
pub fn target<'a>(id: &'a str, address: &'a str, state: &'a ClusterState) -> Target<'a> {
    let known = state.view.as_ref().and_then(|view| view.nodes.get(id));
    Target {
        node_id: id,
        address,
        // A node that was never heard is asked as one that is new: what it speaks is not known.
        was_down: known.is_some_and(|node| node.status != NodeStatus::Up && node.agent.is_some()),
        last_api: known.and_then(|node| node.agent.as_ref()).map(|agent| agent.api),
        actions: state.actions.get(id),
    }
}

/// What is measured of the polls of a cluster.
fn measures<'a>(observations: impl Iterator<Item = &'a Observation>) -> Measures {
    let mut measures = Measures::default();
    for observation in observations {
        let polled = !matches!(observation, Observation::NotPolled);
        let failed = matches!(observation, Observation::AgentDown { .. });
        measures.count(Metric::AgentsPolled, f64::from(u8::from(polled)));
        measures.count(Metric::AgentsFailed, f64::from(u8::from(failed)));
    }
    measures
}

#[cfg(test)]
mod tests {
    use super::*;
    use replicante_model::observation::{AgentInfo, AgentVersion, Failure};
    use replicante_model::record::AgentApi;
    use replicante_model::view::{ClusterView, NodeView};

    #[test]
    fn a_node_that_was_heard_and_is_not_up_was_down() {
        let reason = || "connection refused".to_owned();
        for (status, was_down) in [
            (NodeStatus::Up, false),
            (NodeStatus::Conflict { reason: reason() }, true),
            (NodeStatus::AgentDown { reason: reason() }, true),
            (NodeStatus::NodeDown { reason: reason() }, true),
        ] {
            let heard = AgentInfo { api: AgentApi::V2, version: AgentVersion::default() };
            for agent in [None, Some(heard)] {
                let expected = was_down && agent.is_some();
                let node = NodeView { status: status.clone(), agent, ..NodeView::unseen("http://a") };
                let view = ClusterView { nodes: [("n".to_owned(), node)].into(), ..ClusterView::default() };
                let state = ClusterState { view: Some(view), ..ClusterState::default() };
                assert_eq!(target("n", "http://a", &state).was_down, expected, "{status:?}");
            }
        }
        assert!(!target("new", "http://a", &ClusterState::default()).was_down);
    }

    #[test]
    fn agents_that_were_asked_are_counted_and_those_of_them_that_failed() {
        let failure = Failure::Unanswered;
        let observations = [
            Observation::NotPolled,
            Observation::AgentDown { reason: "timeout".into(), failure },
            Observation::NodeDown { reason: "the datastore is down".into(), agent: None },
        ];
        let measured = measures(observations.iter());
        assert_eq!(measured.of(Metric::AgentsPolled), [2.0]);
        assert_eq!(measured.of(Metric::AgentsFailed), [1.0], "an agent that answers has not failed");
        assert_eq!(measures(observations[..1].iter()), Measures::default());
    }
}
