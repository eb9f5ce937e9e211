//! What the tests start from: one cluster's record, and what its agents may answer.

use std::collections::BTreeMap;

use replicante_model::Timestamp;
use replicante_model::actions::{ActionView, ActionsReport, NodeActions};
use replicante_model::observation::{
    AgentInfo, AgentVersion, Failure, NodeDetails, NodeReport, Observation, Offset, Role, ShardReport,
};
use replicante_model::record::{AgentApi, ClusterRecord, DiscoveredCluster, NodeId};

/// 2026-01-02T02:04:05.678Z.
pub const NOW: Timestamp = Timestamp(1_767_319_445_678);
pub const CLUSTER: &str = "orders";

pub type Heard = BTreeMap<NodeId, Observation>;

pub fn url(node: &str) -> String {
    format!("http://{node}.example.com:8000")
}

/// The discovery item of the cluster `orders` with these nodes.
pub fn item(nodes: &[&str]) -> DiscoveredCluster {
    DiscoveredCluster {
        record: ClusterRecord {
            cluster_id: CLUSTER.into(),
            nodes: nodes.iter().map(|node| ((*node).into(), url(node))).collect(),
            ..ClusterRecord::default()
        },
        discovery: "fleet".into(),
        ..DiscoveredCluster::default()
    }
}

pub fn agent(number: &str) -> AgentInfo {
    AgentInfo {
        api: AgentApi::V1,
        version: AgentVersion { number: number.into(), ..AgentVersion::default() },
    }
}

/// A good report of a node that calls itself as discovery does.
pub fn report(node: &str, shards: &[(&str, Role)]) -> NodeReport {
    NodeReport {
        agent: agent("0.6.0"),
        node: NodeDetails {
            node_id: node.into(),
            kind: "Zookeeper".into(),
            version: "3.8.0".into(),
            ..NodeDetails::default()
        },
        cluster_id: CLUSTER.into(),
        display_name: None,
        shards: shards
            .iter()
            .map(|(id, role)| {
                let report = ShardReport { role: role.clone(), commit_offset: None, lag: None };
                ((*id).to_string(), report)
            })
            .collect(),
        actions: ActionsReport::Unknown,
    }
}

/// An action as an agent lists it. `DONE` and `FAILED` are finished.
pub fn action(state: &str) -> ActionView {
    let finished = matches!(state, "DONE" | "FAILED");
    let kind = "agent.replicante.io/test.ping".into();
    ActionView { kind, state: state.into(), finished, ..ActionView::default() }
}

/// The list of a node's actions: ids and states.
pub fn listed(actions: &[(&str, &str)]) -> ActionsReport {
    let known = actions.iter().map(|(id, state)| ((*id).into(), action(state))).collect();
    ActionsReport::Listed(NodeActions { known, more: false })
}

/// A good report of a node with these actions.
pub fn acting(node: &str, actions: ActionsReport) -> Heard {
    heard([(node, up_with(node, |report| report.actions = actions))])
}

pub fn up(node: &str, shards: &[(&str, Role)]) -> Observation {
    Observation::Up(Box::new(report(node, shards)))
}

/// A good report, changed.
pub fn up_with(node: &str, change: impl FnOnce(&mut NodeReport)) -> Observation {
    let mut report = report(node, &[]);
    change(&mut report);
    Observation::Up(Box::new(report))
}

/// A report of a node that answers for another cluster.
pub fn foreign(node: &str, cluster: &str) -> Observation {
    up_with(node, |report| report.cluster_id = cluster.into())
}

pub fn agent_down() -> Observation {
    Observation::AgentDown { reason: "connection refused".into(), failure: Failure::Unconnected }
}

pub fn node_down() -> Observation {
    Observation::NodeDown { reason: "info/datastore: status 500".into(), agent: None }
}

pub fn offset(value: i64) -> Option<Offset> {
    Some(Offset { value, unit: "seconds".into() })
}

pub fn heard<const N: usize>(nodes: [(&str, Observation); N]) -> Heard {
    nodes.into_iter().map(|(node, observation)| (node.into(), observation)).collect()
}
