//! What a fleet goes through, change by change.

use replicante_fleet::{AgentState, Change, Kind, StoreState};

/// What is no longer reported is removed at once, so that an answer more, after a fault, changes nothing.
pub const REMOVAL: &str = "  removal: { grace: 0s, confirmations: 1, max_shrink: off }\n";

/// The clusters of the story, in the order in which they are refreshed.
pub const CLUSTERS: [&str; 3] = ["late", "rs", "zk"];

/// About thirty changes of every kind. What stands together is seen by one refresh.
pub fn story() -> Vec<Vec<Change>> {
    let store = |node: &str, state| Change::store("zk", node, state);
    let agent = |node: &str, state| Change::agent("zk", node, state);
    let fail_over = |to: &str| Change::FailOver { cluster: "zk".into(), shard: None, to: Some(to.into()) };
    let version = |node: &str, version: &str| Change::UpgradeStore {
        cluster: "rs".into(),
        node: node.into(),
        version: version.into(),
    };
    let attribute = |value: Option<&str>| Change::Attribute {
        cluster: "rs".into(),
        node: "node-1".into(),
        name: "rack".into(),
        value: value.map(Into::into),
    };
    let rename = |name: Option<&str>| Change::RenameCluster {
        cluster: "rs".into(),
        display_name: name.map(Into::into),
    };
    let add = |cluster: &str, kind, nodes| Change::AddCluster {
        cluster: cluster.into(),
        kind,
        nodes,
        shards: None,
    };
    vec![
        vec![add("zk", Kind::Zookeeper, 3), add("rs", Kind::Mongodb, 3)],
        vec![],
        vec![store("node-1", StoreState::Down)],
        vec![agent("node-1", AgentState::Gone), version("node-2", "9.0.1")],
        vec![store("node-1", StoreState::Up), agent("node-1", AgentState::Up)],
        vec![fail_over("node-3")],
        vec![Change::AddNode { cluster: "zk".into() }, rename(Some("the replica set"))],
        vec![Change::MoveNode { cluster: "zk".into(), node: "node-2".into() }],
        vec![add("late", Kind::Redis, 2), attribute(Some("r1"))],
        vec![Change::RemoveNode { cluster: "zk".into(), node: "node-4".into() }, attribute(Some("r2"))],
        vec![Change::store("rs", "node-3", StoreState::Recovering)],
        vec![Change::list("late", false), attribute(None)],
        vec![Change::store("rs", "node-3", StoreState::Up), store("node-2", StoreState::Down)],
        vec![Change::list("late", true), store("node-2", StoreState::Up)],
        vec![Change::action("zk", "node-1", "0f3c1f66-1d9b-4c9e-9c47-1d2f0a5e7b10", "NEW")],
        vec![fail_over("node-2"), rename(None)],
    ]
}
