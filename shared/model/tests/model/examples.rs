//! One example of each change.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use replicante_model::Kind;
use replicante_model::absence::{Held, answer_hash};
use replicante_model::actions::{ActionDetails, ActionView};
use replicante_model::change::{
    AddressChange, Change, ClusterHeader, RecordDifference, RoleOf, Shrink, SnapshotHeader, SnapshotPart,
};
use replicante_model::labels::Labels;
use replicante_model::maintenance::Maintenance;
use replicante_model::object::ObjectChange;
use replicante_model::observation::{AgentInfo, AgentVersion, NodeDetails, Role};
use replicante_model::record::AgentApi;
use replicante_model::view::{Health, IdentityConflict, NodeStatus, NodeView, Primary};
use serde_json::{Map, Value, json};

use crate::given::NOW;

/// How many types there are. A new variant of [`Change`] does not compile in [`number`] until it has one.
pub const TYPES: usize = 46;

/// The number of a type. No wildcard: whoever adds a variant comes by here, raises [`TYPES`] and adds an example.
pub fn number(change: &Change) -> usize {
    match change {
        Change::ClusterNew { .. } => 0,
        Change::ClusterChanged { .. } => 1,
        Change::ClusterMissing { .. } => 2,
        Change::ClusterRestored { .. } => 3,
        Change::ClusterHealthChanged { .. } => 4,
        Change::ClusterIdentityConflict(_) => 5,
        Change::ClusterIdentityResolved(_) => 6,
        Change::ClusterSnapshot(_) => 7,
        Change::AgentNew { .. } => 8,
        Change::AgentUp { .. } => 9,
        Change::AgentDown { .. } => 10,
        Change::AgentInfoNew { .. } => 11,
        Change::AgentInfoChanged { .. } => 12,
        Change::NodeNew { .. } => 13,
        Change::NodeChanged { .. } => 14,
        Change::NodeUp { .. } => 15,
        Change::NodeDown { .. } => 16,
        Change::NodeMissing { .. } => 17,
        Change::NodeRestored { .. } => 18,
        Change::ShardNew { .. } => 19,
        Change::ShardChanged { .. } => 20,
        Change::ShardRemoved { .. } => 21,
        Change::ShardPrimaryChanged { .. } => 22,
        Change::ShardPrimaryLost { .. } => 23,
        Change::ShardPrimaryConflict { .. } => 24,
        Change::ActionNew { .. } => 25,
        Change::ActionChanged { .. } => 26,
        Change::ActionFinished { .. } => 27,
        Change::ActionLost { .. } => 28,
        Change::DiscoveryFailed { .. } => 29,
        Change::DiscoveryRecovered { .. } => 30,
        Change::DiscoveryRecordRejected { .. } => 31,
        Change::DiscoveryRecordAccepted { .. } => 32,
        Change::DiscoveryConflict { .. } => 33,
        Change::DiscoveryConflictResolved { .. } => 34,
        Change::ClusterRemoved { .. } => 35,
        Change::NodeRemoved { .. } => 36,
        Change::DiscoveryShrinkHeld(_) => 37,
        Change::DiscoveryShrinkConfirmed(_) => 38,
        Change::DiscoveryShrinkResolved(_) => 39,
        Change::DiscoveryObserverSuspect { .. } => 40,
        Change::DiscoveryObserverTrusted { .. } => 41,
        Change::ClusterMaintenanceBegan { .. } => 42,
        Change::ClusterMaintenanceEnded { .. } => 43,
        Change::ObjectApplied(_) => 44,
        Change::ObjectDeleted(_) => 45,
    }
}

pub fn window() -> Maintenance {
    let until = NOW.plus(Duration::from_secs(7200));
    Maintenance { since: NOW, until, reason: Some("new racks".into()), actor: "ann".into() }
}

fn node() -> String {
    "mongo-2.example.com:27017".into()
}

fn address() -> String {
    "https://mongo-2.example.com:8000".into()
}

fn agent(number: &str) -> AgentInfo {
    let (checkout, taint) = ("3ac2d4f".to_string(), "not tainted".to_string());
    AgentInfo { api: AgentApi::V2, version: AgentVersion { number: number.into(), checkout, taint } }
}

fn details() -> NodeDetails {
    NodeDetails {
        node_id: node(),
        kind: "mongo.replica".into(),
        version: "5.0.15".into(),
        condition: None,
        attributes: [("zone".to_string(), "eu-1a".to_string())].into(),
    }
}

fn labels() -> Labels {
    [("node_class".to_string(), "mongo".to_string())].into()
}

fn agent_down() -> NodeStatus {
    NodeStatus::AgentDown { reason: "connect timeout".into() }
}

fn node_down() -> NodeStatus {
    NodeStatus::NodeDown { reason: "info/store: status 500".into() }
}

fn header(name: &str) -> ClusterHeader {
    ClusterHeader { display_name: Some(name.into()), discovery: Some("fleet".into()) }
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => panic!("an object"),
    }
}

fn conflict() -> IdentityConflict {
    IdentityConflict::ClusterId { node: node(), reported: "billing".into() }
}

fn elected(node: &str) -> Primary {
    Primary::Elected { node: node.into() }
}

fn action(state: &str) -> ActionView {
    let details = ActionDetails {
        created_at: Some("2026-01-02T02:03:59Z".into()),
        scheduled_at: Some("2026-01-02T02:04:00Z".into()),
        requester: Some("CORE_API".into()),
        ..ActionDetails::default()
    };
    let kind = "agent.replicante.io/test.ping".into();
    ActionView { kind, state: state.into(), finished: false, details }
}

fn failed_action() -> ActionView {
    let mut action = action("FAILED");
    action.finished = true;
    action.details.finished_at = Some("2026-01-02T02:04:05Z".into());
    action.details.error = Some("no route to the node".into());
    action
}

fn snapshot() -> SnapshotPart {
    let up = NodeView {
        status: NodeStatus::Up,
        agent: Some(agent("0.1.0")),
        details: Some(details()),
        cluster_name: Some("Orders".into()),
        labels: labels(),
        ..NodeView::unseen(address())
    };
    let down = NodeView { missing_since: Some(NOW), ..NodeView::unseen("https://mongo-3.example.com:8000") };
    SnapshotPart {
        part: 1,
        parts: 1,
        cluster: Some(SnapshotHeader {
            header: header("Orders"),
            missing_since: None,
            maintenance: None,
            health: Some(Health::Degraded),
        }),
        record: [(node(), address())].into(),
        nodes: [(node(), up), ("mongo-3.example.com:27017".into(), down)].into(),
        shards: [(
            node(),
            BTreeMap::from([
                ("orders".into(), Role::Primary),
                ("audit".into(), Role::Other("arbiter".into())),
            ]),
        )]
        .into(),
        primaries: [("orders".into(), elected(&node()))].into(),
        conflicts: [IdentityConflict::DisplayName { names: vec!["Orders".into(), "Sales".into()] }].into(),
    }
}

fn shrink(cluster: Option<String>) -> Shrink {
    let answer = answer_hash(&["billing", "orders"]);
    Shrink::of(cluster, Held { since: NOW, answer, dropped: 2, known: 3 })
}

fn object_change(after: Option<Value>) -> ObjectChange {
    let before = Some(object(json!({"interval": "1h", "enabled": true})));
    ObjectChange {
        kind: Kind::Cluster,
        version: 3,
        at: NOW,
        before,
        after: after.map(object),
        left_out: false,
    }
}

/// One example of each type, in the order of [`number`].
pub fn examples() -> Vec<Change> {
    let role_of = |role| RoleOf { role };
    let shard = || "orders".to_string();
    let action_id = || "b0fcf14e-6b54-4ff7-b0ba-375bac9a1ef2".to_string();
    let nodes = vec!["mongo-1.example.com:27017".to_string(), node()];
    vec![
        Change::ClusterNew { after: header("Orders"), nodes: [(node(), address())].into() },
        Change::ClusterChanged {
            before: Some(header("Orders")),
            after: Some(header("Orders of the shop")),
            nodes: RecordDifference {
                added: [(node(), address())].into(),
                removed: BTreeSet::from(["mongo-1.example.com:27017".into()]),
                changed: [(
                    "mongo-3.example.com:27017".into(),
                    AddressChange {
                        before: "https://10.0.0.3:8000".into(),
                        after: "https://10.0.0.4:8000".into(),
                    },
                )]
                .into(),
            },
        },
        Change::ClusterMissing { since: Some(NOW) },
        Change::ClusterRestored { missing_since: Some(NOW) },
        Change::ClusterHealthChanged { before: Some(Health::Healthy), after: Some(Health::Degraded) },
        Change::ClusterIdentityConflict(conflict()),
        Change::ClusterIdentityResolved(conflict()),
        Change::ClusterSnapshot(Box::new(snapshot())),
        Change::AgentNew { node: node(), address: address(), labels: labels() },
        Change::AgentUp { node: node(), before: agent_down(), after: NodeStatus::Up },
        Change::AgentDown { node: node(), before: NodeStatus::Up, after: agent_down() },
        Change::AgentInfoNew { node: node(), after: agent("0.1.0") },
        Change::AgentInfoChanged { node: node(), before: agent("0.1.0"), after: agent("0.2.0") },
        Change::NodeNew {
            node: node(),
            after: object(json!({
                "node_id": "mongo-2.example.com:27017", "kind": "mongo.replica", "version": "5.0.15",
                "attributes": {"zone": "eu-1a"}, "cluster_name": "Orders",
            })),
        },
        Change::NodeChanged {
            node: node(),
            before: object(
                json!({"version": "5.0.15", "condition": "JOINING_CLUSTER", "attributes": {"zone": "eu-1a"}, "labels": {"rack": null}}),
            ),
            after: object(
                json!({"version": "5.0.16", "condition": null, "attributes": {"zone": "eu-1b"}, "labels": {"rack": "r1"}}),
            ),
        },
        Change::NodeUp { node: node(), before: node_down(), after: NodeStatus::Up },
        Change::NodeDown { node: node(), before: NodeStatus::Up, after: node_down() },
        Change::NodeMissing { node: node(), since: Some(NOW) },
        Change::NodeRestored { node: node(), missing_since: Some(NOW) },
        Change::ShardNew { node: node(), shard: shard(), after: role_of(Role::Secondary) },
        Change::ShardChanged {
            node: node(),
            shard: shard(),
            before: role_of(Role::Secondary),
            after: role_of(Role::Primary),
        },
        Change::ShardRemoved { node: node(), shard: shard(), before: role_of(Role::Recovering) },
        Change::ShardPrimaryChanged {
            shard: shard(),
            before: Some(elected(&nodes[0])),
            after: elected(&node()),
        },
        Change::ShardPrimaryLost {
            shard: shard(),
            before: Some(elected(&node())),
            after: Primary::Lost { last: Some(node()) },
        },
        Change::ShardPrimaryConflict { shard: shard(), before: None, after: Primary::Conflict { nodes } },
        Change::ActionNew { node: node(), action: action_id(), after: action("NEW") },
        Change::ActionChanged {
            node: node(),
            action: action_id(),
            before: action("NEW"),
            after: action("RUNNING"),
        },
        Change::ActionFinished {
            node: node(),
            action: action_id(),
            before: action("RUNNING"),
            after: failed_action(),
        },
        Change::ActionLost { node: node(), action: action_id(), before: action("RUNNING") },
        Change::DiscoveryFailed { reason: "status 500".into() },
        Change::DiscoveryRecovered { failed_since: Some(NOW) },
        Change::DiscoveryRecordRejected {
            record: "(no cluster_id)".into(),
            reason: "it has no cluster_id".into(),
        },
        Change::DiscoveryRecordAccepted { record: "(no cluster_id)".into() },
        Change::DiscoveryConflict { cluster: "orders".into(), owner: "other".into() },
        Change::DiscoveryConflictResolved { cluster: "orders".into(), owner: "other".into() },
        Change::ClusterRemoved { missing_since: Some(NOW), actor: None },
        Change::NodeRemoved { node: node(), missing_since: None, actor: Some("ann".into()) },
        Change::DiscoveryShrinkHeld(Shrink {
            sample: vec!["billing".into(), "orders".into()],
            ..shrink(None)
        }),
        Change::DiscoveryShrinkConfirmed(Shrink { actor: Some("ann".into()), ..shrink(None) }),
        Change::DiscoveryShrinkResolved(shrink(Some("orders".into()))),
        Change::DiscoveryObserverSuspect { since: Some(NOW), polled: 120, failed: 118 },
        Change::DiscoveryObserverTrusted { suspect_since: Some(NOW) },
        Change::ClusterMaintenanceBegan { before: None, after: window() },
        Change::ClusterMaintenanceEnded { before: window() },
        Change::ObjectApplied(object_change(Some(json!({"interval": "30m", "enabled": true})))),
        Change::ObjectDeleted(object_change(None)),
    ]
}
