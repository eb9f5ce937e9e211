//! Agents for tests: recorded ones, and ones that answer what a test says.
#![allow(dead_code, missing_docs, clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use replicante_agents::{Agents, DEFAULT_IN_FLIGHT, Observation, Target};
use replicante_model::record::{AgentApi, AgentSettings};
use replicante_outbound::{AddressPolicy, Outbound};
use tokio::time::Instant;

pub use crate::server::{Reply, Server};

/// An endpoint, or what is expected of it, and the answer.
pub type Case = (&'static str, fn() -> Reply);

/// A limit for requests that are to fail: long enough for a local answer on a busy machine.
pub const SHORT: Duration = Duration::from_millis(300);

pub fn agents() -> Agents {
    Agents::new(Arc::new(Outbound::new(AddressPolicy::local())), DEFAULT_IN_FLIGHT)
}

pub fn soon() -> AgentSettings {
    AgentSettings { timeout: SHORT, ..AgentSettings::default() }
}

pub fn pinned(api: AgentApi) -> AgentSettings {
    AgentSettings { api: Some(api), ..soon() }
}

pub fn far() -> Instant {
    Instant::now() + Duration::from_secs(60)
}

/// Polls the agent at this address once, as a node that nothing is known of.
pub async fn poll(address: &str, settings: &AgentSettings) -> Observation {
    poll_known(address, settings, false, None).await
}

pub async fn poll_known(
    address: &str,
    settings: &AgentSettings,
    was_down: bool,
    last_api: Option<AgentApi>,
) -> Observation {
    let target = Target { node_id: "n", address, was_down, last_api, actions: None };
    agents().poll(&target, "lab", settings, far()).await
}

/// A server with these answers, by the endpoint below `/api/unstable/`; 404 for all others.
pub async fn answering(answers: impl IntoIterator<Item = Case> + Send) -> Server {
    let answers: BTreeMap<_, _> = answers.into_iter().collect();
    Server::start(move |line| match line.split_once("/api/unstable/") {
        Some((_, endpoint)) if answers.contains_key(endpoint) => answers[endpoint](),
        _ => Reply::answer(404, "", ""),
    })
    .await
}

/// A recorded agent: a scenario like `v1/healthy` and a node like `node1` or `node1.tls`. What was not recorded
/// over TLS is answered as without.
pub async fn recorded(scenario: &str, node: &str) -> Server {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/recorded").join(scenario);
    let (node, plain) = (node.to_owned(), node.split('.').next().unwrap().to_owned());
    Server::start(move |line| {
        let endpoint = line.split_once("/api/unstable/").unwrap().1.replace('/', "-");
        for name in [format!("{node}.{endpoint}"), format!("{plain}.{endpoint}")] {
            if let Ok(text) = std::fs::read_to_string(folder.join(format!("{name}.http"))) {
                let status = text.split("# -> ").nth(1).unwrap()[..3].parse().unwrap();
                let body = || std::fs::read(folder.join(format!("{name}.json"))).unwrap();
                return if status == 0 { Reply::Hang } else { Reply::json(status, body()) };
            }
        }
        Reply::answer(404, "", "")
    })
    .await
}

/// The endpoints that were asked, in order.
pub fn asked(server: &Server) -> Vec<String> {
    let requests = server.requests();
    requests.iter().map(|line| line.split_once("/api/unstable/").unwrap().1.to_owned()).collect()
}

pub fn agent_down(observation: Observation) -> String {
    match observation {
        Observation::AgentDown { reason, .. } => reason,
        other => panic!("expected the agent to be down: {other:?}"),
    }
}

/// The reason, and the protocol where the agent told of itself.
pub fn node_down(observation: Observation) -> (String, Option<AgentApi>) {
    match observation {
        Observation::NodeDown { reason, agent } => (reason, agent.map(|agent| agent.api)),
        other => panic!("expected the node to be down: {other:?}"),
    }
}

pub fn up(observation: Observation) -> Box<replicante_model::observation::NodeReport> {
    match observation {
        Observation::Up(report) => report,
        other => panic!("expected the node to be up: {other:?}"),
    }
}

pub const V1_AGENT: Case = ("info/agent", || Reply::json(200, r#"{"version":{"number":"0.6.0"}}"#));
pub const V1_STORE: Case =
    ("info/datastore", || Reply::json(200, r#"{"cluster_id":"lab","kind":"K","node_id":"1","version":"1"}"#));
pub const V1_SHARDS: Case = ("shards", || Reply::json(200, r#"{"shards":[]}"#));
pub const V2_QUEUE: Case = ("actions/queue", || Reply::json(200, r#"{"actions":[]}"#));
pub const V2_NODE: Case = ("info/node", || {
    Reply::json(200, r#"{"node_id":"1","node_status":"HEALTHY","store_id":"mongo.replica"}"#)
});
pub const V2_STORE: Case = ("info/store", || Reply::json(200, r#"{"cluster_id":"other","attributes":{}}"#));
pub const V2_SHARDS: Case =
    ("info/shards", || Reply::json(200, r#"{"shards":[{"id":"10.0.0.1:1","role":"Primary"}]}"#));
