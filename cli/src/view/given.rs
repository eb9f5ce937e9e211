//! What the golden tests show.

use std::time::Duration;

use replicante_model::change::Change;
use replicante_model::event::{Cause, Sealer};
use replicante_model::observation::{AgentInfo, AgentVersion, NodeDetails, Offset, Role};
use replicante_model::pause::Pause;
use replicante_model::record::AgentApi;
use replicante_model::summary::Summary;
use replicante_model::view::{
    ClusterState, ClusterView, Health, IdentityConflict, NodeReadings, NodeStatus, NodeView, Primary,
    ShardReading,
};
use replicante_model::{RecordName, Timestamp};
use replicante_protocol::head::Head;

use crate::order::{Arrived, Order, Seen};

/// The time of all golden texts.
pub const NOW: Timestamp = Timestamp(1_767_319_445_000);

/// Text without colours.
pub fn plain(lines: &[String]) -> String {
    anstream::adapter::strip_str(&lines.join("\n")).to_string()
}

/// JSON and YAML as they are written.
pub fn written(value: &impl serde::Serialize) -> (String, String) {
    (serde_json::to_string_pretty(value).unwrap(), crate::out::as_yaml(value).unwrap())
}

/// A pause that somebody began, for a reason.
pub fn pause() -> Pause {
    let until = Some(NOW.plus(Duration::from_secs(3600)));
    Pause { since: NOW, until, reason: Some("new racks".into()), actor: "ann".into(), ended_by: None }
}

/// A cluster of three nodes: one up, one up and behind, one whose agent is down.
pub fn state() -> ClusterState {
    let mut view = ClusterView {
        display_name: Some("Orders \x1b[31mEU".into()),
        discovery: Some("fleet".into()),
        health: Some(Health::Degraded),
        ..ClusterView::default()
    };
    let mut state = ClusterState { read_at: NOW.minus(Duration::from_secs(90)), ..ClusterState::default() };
    for (number, role) in [(1, Role::Primary), (2, Role::Secondary), (3, Role::Recovering)] {
        let id = format!("node-{number}");
        let address = format!("http://10.0.0.{number}:8000");
        let mut node = NodeView::unseen(address.clone());
        node.status = match number {
            3 => NodeStatus::AgentDown { reason: "connection refused".into() },
            _ => NodeStatus::Up,
        };
        node.agent = Some(AgentInfo {
            api: AgentApi::V1,
            version: AgentVersion { number: "0.6.0".into(), ..AgentVersion::default() },
        });
        node.details = Some(NodeDetails {
            node_id: format!("b{number}:9092"),
            kind: "Kafka".into(),
            version: "3.7.0".into(),
            ..NodeDetails::default()
        });
        node.shards.insert("orders/0".into(), role);
        if number == 1 {
            node.shards.insert("clicks/0".into(), Role::Primary);
        }
        let lag = Offset { value: 10, unit: "offset".into() };
        let reading = ShardReading { commit_offset: None, lag: (number == 2).then_some(lag) };
        let readings = NodeReadings {
            last_seen: Some(NOW.minus(Duration::from_secs(90))),
            stale: number == 3,
            shards: [("orders/0".to_string(), reading)].into(),
        };
        state.readings.insert(id.clone(), readings);
        view.record.insert(id.clone(), address);
        view.nodes.insert(id, node);
    }
    view.primaries.insert("orders/0".into(), Primary::Elected { node: "node-1".into() });
    view.conflicts.insert(IdentityConflict::NodeId { node: "node-2".into(), reported: "b7:9092".into() });
    state.view = Some(view);
    state
}

/// A head that was worked on two seconds ago.
pub fn head(record: RecordName, summary: Summary) -> Head {
    let mut head = Head::new(record, Duration::from_secs(60), true, NOW.minus(Duration::from_secs(3600)));
    let at = NOW.minus(Duration::from_secs(2));
    head.summary = Some(Summary { at, outcome: "ok".into(), ms: 12, ..summary }.to_json());
    head.due = NOW.plus(Duration::from_secs(58));
    head.sequence = 42;
    head
}

/// The head of [`state`].
pub fn cluster_head() -> Head {
    let summary = state().view.as_ref().map(Summary::of_cluster).unwrap_or_default();
    head(RecordName::cluster("default", "orders"), summary)
}

/// The events of one commit, from the first on.
pub fn events(record: &RecordName, changes: &[Change]) -> Vec<Seen> {
    let sealer = Sealer {
        source: "/replicante/test",
        record,
        epoch: 7,
        sequence: 0,
        time: NOW,
        cause: Cause::Schedule,
        actor: None,
        maintenance: None,
    };
    let mut order = Order::default();
    let sealed = sealer.seal(changes, 1000, 1 << 20).unwrap();
    sealed.into_iter().flat_map(|event| order.take(Arrived::read(record.key(), event.bytes), NOW)).collect()
}
