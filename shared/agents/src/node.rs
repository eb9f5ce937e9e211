//! One node: which requests, in which order, and what their outcome means.
//!
//! | found | observation |
//! | --- | --- |
//! | `info/agent` (`info/node`) fails | `AgentDown` |
//! | version 2: `info/node` fails other than with 404, another endpoint gives any HTTP answer | `NodeDown` |
//! | another request fails, or the node says `UNAVAILABLE` | `NodeDown` |
//! | the cluster's time is up before it is known, or this process lacks descriptors | `NotPolled` |
//! | all answer | `Up` |
//!
//! The first failure ends the poll: a hanging datastore takes an agent's few threads with each request. The actions
//! come last, see `actions.rs`: whatever becomes of them, the node is up.

use std::time::Duration;

use replicante_model::actions::ActionsReport;
use replicante_model::observation::{AgentInfo, Failure, NodeReport, Observation};
use replicante_model::record::{AgentApi, AgentSettings, ClusterIdCheck};
use replicante_outbound::{FetchError, Fetched, Outbound, Request};
use tokio::time::Instant;

use crate::liberal::Malformed;
use crate::poll::Target;
use crate::{reason, v1, v2};

/// Where every endpoint of both protocols is, below the agent's base URL.
const PREFIX: &str = "/api/unstable/";

/// The poll of one node.
pub(crate) struct NodePoll<'a> {
    pub(crate) outbound: &'a Outbound,
    pub(crate) target: &'a Target<'a>,
    pub(crate) cluster_id: &'a str,
    pub(crate) settings: &'a AgentSettings,
    /// When the whole node has had its time.
    pub(crate) node_end: Instant,
    /// When the cluster has had its time.
    pub(crate) deadline: Instant,
}

/// What ends a poll before its report.
enum End {
    /// What is known by now.
    Known(Observation),
    /// The first endpoint of the protocol is 404: the agent may speak the other one.
    NotSpoken,
}

/// Why a request brought nothing that can be used.
pub(crate) enum Miss {
    /// What was lacking is ours, the cluster's time or this process's descriptors: that says nothing of the node.
    Ours,
    /// No HTTP answer.
    Silent(String, Failure),
    /// A HTTP answer that is not the one asked for.
    Answered(String),
    /// A HTTP answer with status 404.
    NotFound(String),
}

impl NodePoll<'_> {
    /// Polls the node. Requests go one after the other, so that they share a connection.
    pub(crate) async fn observe(self) -> Observation {
        let pinned = self.settings.api;
        let first = pinned.or(self.target.last_api).unwrap_or(AgentApi::V1);
        let second = match first {
            AgentApi::V1 => AgentApi::V2,
            AgentApi::V2 => AgentApi::V1,
        };
        match self.ask(first, false).await {
            Ok(report) => self.up(report).await,
            Err(End::Known(observation)) => observation,
            Err(End::NotSpoken) if pinned.is_some() => not_spoken(&[first]),
            Err(End::NotSpoken) => match self.ask(second, true).await {
                Ok(report) => self.up(report).await,
                Err(End::Known(observation)) => observation,
                Err(End::NotSpoken) => not_spoken(&[AgentApi::V1, AgentApi::V2]),
            },
        }
    }

    /// The report, with the actions. Those of another cluster's node are not asked for: they don't enter the view.
    async fn up(&self, mut report: NodeReport) -> Observation {
        if self.settings.cluster_id == ClusterIdCheck::Ignore || report.cluster_id == self.cluster_id {
            report.actions = self.actions(report.agent.api).await;
        }
        Observation::Up(Box::new(report))
    }

    /// `answers`: the agent's address gave a HTTP answer in this poll, to a question of the other protocol.
    async fn ask(&self, api: AgentApi, answers: bool) -> Result<NodeReport, End> {
        match api {
            AgentApi::V1 => self.ask_v1().await,
            AgentApi::V2 => self.ask_v2(answers).await,
        }
    }

    /// The first request is also the probe of a node that was down: it needs the agent alone.
    async fn ask_v1(&self) -> Result<NodeReport, End> {
        let agent = match self.get(v1::INFO_AGENT, v1::agent).await {
            Ok(agent) => agent,
            Err(Miss::NotFound(_)) => return Err(End::NotSpoken),
            Err(miss) => return Err(End::agent_down(miss)),
        };
        let store = self.get(v1::INFO_DATASTORE, v1::datastore).await;
        let store = store.map_err(|miss| End::node_down(miss, &agent))?;
        let shards = self.get(v1::SHARDS, v1::shards).await;
        let shards = shards.map_err(|miss| End::node_down(miss, &agent))?;
        let v1::Datastore { cluster_id, display_name, node } = store;
        let actions = ActionsReport::Unknown;
        Ok(NodeReport { agent, node, cluster_id, display_name, shards, actions })
    }

    async fn ask_v2(&self, mut answers: bool) -> Result<NodeReport, End> {
        if self.target.was_down && !answers {
            match self.probe().await {
                Ok(()) => answers = true,
                Err(miss) => return Err(End::agent_down(miss)),
            }
        }
        let v2::Node { agent, available, mut node } = match self.get(v2::INFO_NODE, v2::node).await {
            Ok(node) => node,
            Err(Miss::NotFound(_)) => return Err(End::NotSpoken),
            Err(miss) => return Err(self.without_info_node(miss, answers).await),
        };
        if !available {
            let reason = format!("{} says UNAVAILABLE", v2::INFO_NODE);
            return Err(End::Known(Observation::NodeDown { reason, agent: Some(agent) }));
        }
        let store = self.get(v2::INFO_STORE, v2::store).await;
        let store = store.map_err(|miss| End::node_down(miss, &agent))?;
        let shard_owner = match self.settings.cluster_id {
            ClusterIdCheck::Check => store.cluster_id.as_str(),
            // The agent can't know: all nodes of the cluster must name the same shard.
            ClusterIdCheck::Ignore => self.cluster_id,
        };
        let parse = |body: &[u8]| v2::shards(body, &node.kind, shard_owner);
        let shards = self.get(v2::INFO_SHARDS, parse).await;
        let shards = shards.map_err(|miss| End::node_down(miss, &agent))?;
        let cluster_id = store.cluster_id.clone();
        store.add_to(&mut node);
        let (display_name, actions) = (None, ActionsReport::Unknown);
        Ok(NodeReport { agent, node, cluster_id, display_name, shards, actions })
    }

    /// Version 2's `info/node` failed: whether another endpoint answers tells the agent from the store.
    async fn without_info_node(&self, miss: Miss, answers: bool) -> End {
        let (reason, failure) = match miss {
            Miss::Ours => return End::Known(Observation::NotPolled),
            Miss::Silent(reason, failure) => (reason, failure),
            Miss::Answered(reason) | Miss::NotFound(reason) => (reason, Failure::Wrong),
        };
        let probed = if answers { Ok(()) } else { self.probe().await };
        End::Known(match probed {
            Ok(()) => Observation::NodeDown { reason, agent: None },
            Err(Miss::Ours) => Observation::NotPolled,
            Err(_) => Observation::AgentDown { reason, failure },
        })
    }

    /// One request that version 2's agent answers without its store. Any HTTP answer will do.
    async fn probe(&self) -> Result<(), Miss> {
        match self.get(v2::ACTIONS_QUEUE, |_| Ok(())).await {
            Ok(()) | Err(Miss::Answered(_) | Miss::NotFound(_)) => Ok(()),
            Err(miss) => Err(miss),
        }
    }

    /// Asks one endpoint and reads its answer.
    async fn get<T>(
        &self,
        endpoint: &str,
        parse: impl FnOnce(&[u8]) -> Result<T, Malformed>,
    ) -> Result<T, Miss> {
        match self.fetch(endpoint).await? {
            Fetched { status: 200, body, .. } => {
                parse(&body).map_err(|malformed| Miss::Answered(format!("{malformed} from {endpoint}")))
            }
            Fetched { status, body, .. } => {
                let reason = reason::of_answer(endpoint, status, &body);
                Err(if status == 404 { Miss::NotFound(reason) } else { Miss::Answered(reason) })
            }
        }
    }

    /// Asks one endpoint, within the limits of the request, the node and the cluster.
    pub(crate) async fn fetch(&self, endpoint: &str) -> Result<Fetched, Miss> {
        let now = Instant::now();
        let own_end =
            now.checked_add(self.settings.timeout).map_or(self.node_end, |end| end.min(self.node_end));
        let end = own_end.min(self.deadline);
        if self.deadline <= now {
            return Err(Miss::Ours);
        }
        let url = [self.target.address.trim_end_matches('/'), PREFIX, endpoint].concat();
        let request = Request {
            tls: &self.settings.tls,
            connect_timeout: self.settings.connect_timeout,
            timeout: end.saturating_duration_since(now),
            max_body: self.settings.max_body,
            ..Request::get(&url)
        };
        let fetched = if end <= now {
            Err(FetchError::Timeout(Duration::ZERO))
        } else {
            self.outbound.fetch(&request).await
        };
        match fetched {
            Err(FetchError::Timeout(_)) if self.deadline < own_end => Err(Miss::Ours),
            fetched => fetched.map_err(|error| self.miss(&error)),
        }
    }

    fn miss(&self, error: &FetchError) -> Miss {
        match error {
            FetchError::Exhausted(_) => Miss::Ours,
            // Whether the request or the whole node had its time first depends on how fast the answers before were:
            // both read the same.
            FetchError::Timeout(_) => {
                let limit = self.settings.timeout.min(self.settings.node_timeout);
                Miss::Silent(FetchError::Timeout(limit).reason(), Failure::Unanswered)
            }
            FetchError::TooLarge(_) => Miss::Answered(error.reason()),
            error => Miss::Silent(reason::bounded(error.reason()), failure(error)),
        }
    }
}

impl End {
    fn agent_down(miss: Miss) -> End {
        End::Known(match miss {
            Miss::Ours => Observation::NotPolled,
            Miss::Silent(reason, failure) => Observation::AgentDown { reason, failure },
            Miss::Answered(reason) | Miss::NotFound(reason) => {
                Observation::AgentDown { reason, failure: Failure::Wrong }
            }
        })
    }

    fn node_down(miss: Miss, agent: &AgentInfo) -> End {
        End::Known(match miss {
            Miss::Ours => Observation::NotPolled,
            Miss::Silent(reason, _) | Miss::Answered(reason) | Miss::NotFound(reason) => {
                Observation::NodeDown { reason, agent: Some(agent.clone()) }
            }
        })
    }
}

/// No agent of these protocols is there.
fn not_spoken(asked: &[AgentApi]) -> Observation {
    let reason = match asked {
        [AgentApi::V1] => "HTTP 404 from info/agent",
        [AgentApi::V2] => "HTTP 404 from info/node",
        _ => "HTTP 404 from info/agent and info/node",
    };
    Observation::AgentDown { reason: reason.to_owned(), failure: Failure::Wrong }
}

/// How far a request got that brought no HTTP answer.
fn failure(error: &FetchError) -> Failure {
    match error {
        FetchError::ConnectTimeout(_)
        | FetchError::ConnectionRefused
        | FetchError::Unreachable
        | FetchError::Dns => Failure::Unconnected,
        FetchError::Timeout(_) | FetchError::ConnectionClosed => Failure::Unanswered,
        _ => Failure::Wrong,
    }
}

#[cfg(test)]
mod tests {
    use replicante_outbound::AddressPolicy;

    use super::*;

    #[test]
    fn a_lack_of_our_own_does_not_call_the_node_down() {
        let (outbound, settings) = (Outbound::new(AddressPolicy::local()), AgentSettings::default());
        let target =
            Target { node_id: "n", address: "http://a", was_down: false, last_api: None, actions: None };
        let now = Instant::now();
        let poll = NodePoll {
            outbound: &outbound,
            target: &target,
            cluster_id: "c",
            settings: &settings,
            node_end: now,
            deadline: now,
        };
        let end = End::agent_down(poll.miss(&FetchError::Exhausted("too many open files")));
        assert!(matches!(end, End::Known(Observation::NotPolled)));
        let end = End::agent_down(poll.miss(&FetchError::ConnectionRefused));
        assert!(matches!(end, End::Known(Observation::AgentDown { .. })));
    }
}
