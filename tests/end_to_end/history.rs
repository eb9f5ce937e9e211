//! A scripted history of a fleet gives exactly the expected events, in order.

use replicante_fleet::{AgentState, Change, Endpoint, Kind, StoreState};
use replicante_tests::System;

#[tokio::test]
async fn a_scripted_history_gives_exactly_the_expected_events_in_order() {
    let system = System::start().await.unwrap();
    system.add_cluster("zk", Kind::Zookeeper, 3).unwrap();
    // A source of one cluster that no longer reports it would be held.
    system.apply_discovery("  removal: { max_shrink: off }\n").await.unwrap();
    let mut told = Vec::new();
    let mut step = async |changes: Vec<Change>, refreshes: usize| -> Vec<String> {
        for change in changes {
            system.fleet.apply(change).unwrap();
        }
        assert!(system.discover().await.batch_item_failures.is_empty());
        for _ in 0..refreshes {
            assert!(system.refresh("zk").await.batch_item_failures.is_empty());
        }
        let now = system.check().await.unwrap().told("cluster/default/zk");
        let new = now[told.len()..].to_vec();
        told = now;
        new
    };

    let first_sight = [
        "cluster.new",
        "agent.new node-1",
        "agent.info_new node-1",
        "node.new node-1",
        "agent.up node-1",
        "shard.new node-1 zk",
        "agent.new node-2",
        "agent.info_new node-2",
        "node.new node-2",
        "agent.up node-2",
        "shard.new node-2 zk",
        "agent.new node-3",
        "agent.info_new node-3",
        "node.new node-3",
        "agent.up node-3",
        "shard.new node-3 zk",
        "shard.primary_changed zk",
        "cluster.health_changed",
    ];
    assert_eq!(step(vec![], 1).await, first_sight);
    assert_eq!(step(vec![], 3).await, [""; 0], "nothing changed");

    let leader_dies = step(vec![Change::store("zk", "node-1", StoreState::Down)], 3).await;
    let expected =
        ["node.down node-1", "shard.changed node-2 zk", "shard.primary_changed zk", "cluster.health_changed"];
    assert_eq!(leader_dies, expected, "a fail-over is no conflict, and a node that is down keeps its shards");

    let its_agent_too = step(vec![Change::agent("zk", "node-1", AgentState::Gone)], 2).await;
    assert_eq!(its_agent_too, ["agent.down node-1"]);
    let agent_returns = step(vec![Change::agent("zk", "node-1", AgentState::Up)], 1).await;
    assert_eq!(agent_returns, ["node.down node-1"]);
    let store_returns = step(vec![Change::store("zk", "node-1", StoreState::Up)], 2).await;
    assert_eq!(store_returns, ["node.up node-1", "shard.changed node-1 zk", "cluster.health_changed"]);

    let fail_over = Change::FailOver { cluster: "zk".into(), shard: None, to: Some("node-3".into()) };
    let expected = ["shard.changed node-2 zk", "shard.changed node-3 zk", "shard.primary_changed zk"];
    assert_eq!(step(vec![fail_over], 2).await, expected);

    let added = step(vec![Change::AddNode { cluster: "zk".into() }], 1).await;
    let expected = [
        "cluster.changed",
        "agent.new node-4",
        "agent.info_new node-4",
        "node.new node-4",
        "agent.up node-4",
        "shard.new node-4 zk",
    ];
    assert_eq!(added, expected);
    let moved = step(vec![Change::MoveNode { cluster: "zk".into(), node: "node-2".into() }], 1).await;
    assert_eq!(moved, ["cluster.changed", "node.changed node-2"], "a new address is the same node");
    let removed = step(vec![Change::RemoveNode { cluster: "zk".into(), node: "node-4".into() }], 2).await;
    assert_eq!(removed, ["cluster.changed", "node.missing node-4"], "it is kept, and no longer polled");

    let polls = || system.fleet.requests().get(&Endpoint::InfoAgent).copied();
    let before = polls();
    let unlisted = step(vec![Change::list("zk", false)], 2).await;
    assert_eq!(unlisted, ["cluster.missing"]);
    assert_eq!(polls(), before, "what its source no longer reports is no longer polled");
    assert_eq!(step(vec![Change::list("zk", true)], 2).await, ["cluster.restored"]);
}

#[tokio::test]
async fn a_replica_set_of_protocol_2_is_followed_through_recovery_and_upgrade() {
    let system = System::start().await.unwrap();
    system.add_cluster("rs", Kind::Mongodb, 3).unwrap();
    system.apply_discovery("").await.unwrap();
    system.discover().await;
    system.refresh("rs").await;
    let view = system.view("rs").await.unwrap();
    assert_eq!(view.nodes["node-1"].details.as_ref().unwrap().kind, "mongo.replica");
    assert!(view.nodes["node-1"].shards.contains_key("rs"), "the shard of a replica set is the cluster");
    let before = system.check().await.unwrap().told("cluster/default/rs").len();

    system.fleet.apply(Change::store("rs", "node-2", StoreState::Recovering)).unwrap();
    system.refresh("rs").await;
    system.fleet.apply(Change::store("rs", "node-2", StoreState::Up)).unwrap();
    let node = || "node-3".to_string();
    system
        .fleet
        .apply(Change::UpgradeStore { cluster: "rs".into(), node: node(), version: "9.9.9".into() })
        .unwrap();
    system.refresh("rs").await;
    let told = system.check().await.unwrap().told("cluster/default/rs");
    let expected = [
        "node.changed node-2",
        "shard.changed node-2 rs",
        "cluster.health_changed",
        "node.changed node-2",
        "shard.changed node-2 rs",
        "node.changed node-3",
        "cluster.health_changed",
    ];
    assert_eq!(told[before..], expected);
    assert_eq!(system.view("rs").await.unwrap().nodes["node-3"].details.as_ref().unwrap().version, "9.9.9");
}
