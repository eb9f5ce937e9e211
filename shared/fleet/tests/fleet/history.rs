//! Elections, random changes and scripts.

use std::time::Duration;

use rand::SeedableRng;
use rand::rngs::StdRng;
use replicante_fleet::{
    AgentState, Change, ChangeError, Fleet, FleetConfig, FleetError, Kind, Script, StoreState, World,
    WorldConfig,
};

fn cluster(kind: Kind, nodes: usize) -> World {
    let mut world = World::new(WorldConfig { clusters: 0, ..WorldConfig::default() });
    world.apply(Change::AddCluster { cluster: "lab".into(), kind, nodes, shards: Some(6) }).unwrap();
    world
}

fn leader(world: &World) -> Option<&str> {
    world.cluster("lab").unwrap().shards[0].primary.as_deref()
}

#[test]
fn a_primary_whose_store_or_agent_dies_fails_over() {
    for death in [
        Change::store("lab", "node-1", StoreState::Down),
        Change::store("lab", "node-1", StoreState::Hanging),
        Change::agent("lab", "node-1", AgentState::Gone),
    ] {
        let mut world = cluster(Kind::Mongodb, 3);
        assert_eq!(leader(&world), Some("node-1"));
        let applied = world.apply(death).unwrap();
        assert_eq!(leader(&world), Some("node-2"));
        assert_eq!(applied.elections.len(), 1);
        assert!(applied.to_string().ends_with("; node-2 leads lab"), "{applied}");
    }
}

#[test]
fn a_secondary_that_dies_or_returns_changes_no_primary() {
    let mut world = cluster(Kind::Zookeeper, 3);
    for state in [StoreState::Down, StoreState::Recovering, StoreState::Up] {
        assert!(world.apply(Change::store("lab", "node-2", state)).unwrap().elections.is_empty());
    }
}

#[test]
fn without_a_majority_nobody_leads_until_it_is_back() {
    let mut world = cluster(Kind::Zookeeper, 3);
    world.apply(Change::store("lab", "node-2", StoreState::Down)).unwrap();
    let applied = world.apply(Change::store("lab", "node-3", StoreState::Down)).unwrap();
    assert_eq!(
        (leader(&world), applied.to_string().as_str()),
        (None, "lab/node-3: store stopped; nobody leads lab")
    );
    let refused = world.apply(Change::fail_over("lab"));
    assert_eq!(refused, Err(ChangeError::NobodyCanLead("lab".into())));
    world.apply(Change::store("lab", "node-2", StoreState::Up)).unwrap();
    assert_eq!(leader(&world), Some("node-1"));
}

#[test]
fn stores_without_a_majority_rule_lead_on_and_spread_their_shards() {
    let mut world = cluster(Kind::Kafka, 3);
    let primaries: Vec<_> =
        world.cluster("lab").unwrap().shards.iter().filter_map(|s| s.primary.clone()).collect();
    assert_eq!(primaries, ["node-1", "node-2", "node-3", "node-1", "node-2", "node-3"]);
    world.apply(Change::store("lab", "node-1", StoreState::Down)).unwrap();
    let applied = world.apply(Change::store("lab", "node-2", StoreState::Down)).unwrap();
    assert_eq!(applied.to_string(), "lab/node-2: store stopped; node-3 leads 4 more shards");
    assert_eq!(world.cluster("lab").unwrap().leader(), Some("node-3"));
}

#[test]
fn a_failover_moves_to_the_node_that_was_asked_for() {
    let mut world = cluster(Kind::Redis, 3);
    let to = |node: &str| Change::FailOver { cluster: "lab".into(), shard: None, to: Some(node.into()) };
    world.apply(to("node-3")).unwrap();
    assert_eq!(leader(&world), Some("node-3"));
    world.apply(Change::store("lab", "node-2", StoreState::Recovering)).unwrap();
    assert_eq!(world.apply(to("node-2")), Err(ChangeError::NobodyCanLead("lab".into())));
    assert_eq!(leader(&world), Some("node-3"));
}

#[test]
fn a_change_that_does_not_fit_leaves_the_world_as_it_was() {
    let mut world = World::new(WorldConfig::default());
    let before = world.clone();
    let add = |cluster: &str, nodes| Change::AddCluster {
        cluster: cluster.into(),
        kind: Kind::Redis,
        nodes,
        shards: None,
    };
    for change in [
        Change::agent("nope", "node-1", AgentState::Gone),
        Change::agent("zk-01", "nope", AgentState::Gone),
        Change::FailOver { cluster: "zk-01".into(), shard: Some("nope".into()), to: None },
        Change::RemoveCluster { cluster: "nope".into() },
        add("zk-01", 3),
        add("with a space", 3),
        add("without-nodes", 0),
    ] {
        let told = world.apply(change.clone()).unwrap_err().to_string();
        assert!(!told.is_empty() && world == before, "{change}: {told}");
    }
}

#[test]
fn node_numbers_are_never_reused() {
    let mut world = cluster(Kind::Cassandra, 3);
    world.apply(Change::RemoveNode { cluster: "lab".into(), node: "node-3".into() }).unwrap();
    world.apply(Change::AddNode { cluster: "lab".into() }).unwrap();
    let nodes: Vec<_> = world.cluster("lab").unwrap().nodes.keys().cloned().collect();
    assert_eq!(nodes, ["node-1", "node-2", "node-4"]);
}

#[test]
fn the_same_seed_gives_the_same_world_and_the_same_changes() {
    let history = |seed: u64| {
        let mut world = World::new(WorldConfig { seed, ..WorldConfig::default() });
        let mut rng = StdRng::seed_from_u64(seed);
        let mut told = Vec::new();
        for _ in 0..500 {
            let change = world.random_change(&mut rng);
            told.push(world.apply(change).unwrap().to_string());
        }
        (world, told)
    };
    assert_eq!(history(7), history(7));
    assert_ne!(history(7).1, history(8).1);
}

#[test]
fn random_changes_always_apply_and_keep_every_cluster_alive() {
    for seed in 0..20 {
        let nodes = if seed % 4 == 0 { 1..=3 } else { 3..=7 };
        let clusters = if seed == 19 { 1 } else { 24 };
        let mut world = World::new(WorldConfig { seed, nodes, clusters, ..WorldConfig::default() });
        let mut rng = StdRng::seed_from_u64(seed);
        for step in 0..2_000 {
            let change = world.random_change(&mut rng);
            let told = world.apply(change).unwrap();
            assert!(
                world.clusters().values().any(|cluster| cluster.listed),
                "seed {seed}, step {step}: {told}"
            );
            for (id, cluster) in world.clusters() {
                let fewest = match cluster.nodes.len() {
                    2 => 1,
                    nodes => nodes / 2 + 1,
                };
                assert!(
                    cluster.healthy_nodes() >= fewest,
                    "seed {seed}, step {step}: {told}: {id} is {cluster:?}"
                );
            }
        }
    }
}

#[test]
fn random_changes_are_of_many_kinds_and_all_damage_is_repaired_in_time() {
    let mut world = World::new(WorldConfig::default());
    let mut rng = StdRng::seed_from_u64(3);
    let mut kinds = std::collections::BTreeMap::new();
    for _ in 0..5_000 {
        let change = world.random_change(&mut rng);
        *kinds.entry(serde_json::to_value(&change).unwrap()["change"].to_string()).or_insert(0) += 1;
        world.apply(change).unwrap();
        let broken: usize = world.clusters().values().map(|c| c.nodes.len() - c.healthy_nodes()).sum();
        let nodes: usize = world.clusters().values().map(|c| c.nodes.len()).sum();
        assert!(broken * 5 < nodes, "{broken} of {nodes} nodes are broken");
    }
    assert!(kinds.len() >= 11, "{kinds:?}");
}

#[test]
fn a_script_is_read_from_json_and_written_as_it_was() {
    let text =
        r#"[{"at":"1m30s","change":{"change":"agent","cluster":"zk-01","node":"node-2","state":"gone"}}]"#;
    let script = Script::from_json(text).unwrap();
    assert_eq!(script.steps[0].at, Duration::from_secs(90));
    assert_eq!(script.steps[0].change.to_string(), "zk-01/node-2: agent stopped");
    assert_eq!(serde_json::to_string(&script).unwrap(), text);
    let wrong = Script::from_json(r#"[{"at":"soon","change":{"change":"add_node","cluster":"zk-01"}}]"#);
    assert!(wrong.unwrap_err().to_string().contains("`soon` is no duration"));
}

#[tokio::test]
async fn a_script_is_played_to_its_end_and_tells_what_does_not_fit() {
    let fleet = Fleet::start(FleetConfig::default()).await.unwrap();
    let script = Script::from_json(
        r#"[{"change":{"change":"store","cluster":"zk-01","node":"node-1","state":"down"}},
            {"at":"1ms","change":{"change":"add_node","cluster":"nope"}},
            {"at":"2ms","change":{"change":"list_cluster","cluster":"zk-01","listed":false}}]"#,
    )
    .unwrap();
    let mut changes = fleet.play(script);
    assert!(changes.next().await.unwrap().unwrap().to_string().starts_with("zk-01/node-1: store stopped"));
    assert!(matches!(changes.next().await.unwrap(), Err(FleetError::Change(ChangeError::NoCluster(_)))));
    assert!(changes.next().await.unwrap().is_ok());
    assert!(changes.next().await.is_none());
    assert!(!fleet.with_world(|world| world.cluster("zk-01").unwrap().listed));
    fleet.shutdown().await;
}

#[tokio::test]
async fn a_running_fleet_changes_as_its_seed_says() {
    let mut histories = Vec::new();
    for _ in 0..2 {
        let fleet = Fleet::start(FleetConfig::default()).await.unwrap();
        let mut changes = fleet.start_changes(5, Duration::from_millis(1));
        let mut told = Vec::new();
        while told.len() < 30 {
            told.push(changes.next().await.unwrap().unwrap().to_string());
        }
        histories.push(told);
        fleet.shutdown().await;
        while changes.next().await.is_some() {}
    }
    assert_eq!(histories[0], histories[1]);
}
