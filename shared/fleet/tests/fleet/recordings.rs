//! Answers against `tests/recorded`: same status, same content type, same keys in the same order, same types.

use std::fmt;
use std::fs;
use std::path::PathBuf;

use replicante_fleet::{
    ActionsMode, AgentState, Answer, Change, Endpoint, Kind, StoreState, World, WorldConfig,
};
use replicante_model::Timestamp;
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};

/// The shape of a JSON text: keys in their order, values by type, equal neighbours in a list once.
struct Shape(String);

impl<'de> Deserialize<'de> for Shape {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Walk;
        impl<'de> Visitor<'de> for Walk {
            type Value = Shape;
            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("JSON")
            }
            fn visit_unit<E>(self) -> Result<Shape, E> {
                Ok(Shape("null".into()))
            }
            fn visit_bool<E>(self, _: bool) -> Result<Shape, E> {
                Ok(Shape("bool".into()))
            }
            fn visit_u64<E>(self, _: u64) -> Result<Shape, E> {
                Ok(Shape("integer".into()))
            }
            fn visit_str<E>(self, _: &str) -> Result<Shape, E> {
                Ok(Shape("string".into()))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Shape, A::Error> {
                let mut shapes: Vec<String> = Vec::new();
                while let Some(Shape(shape)) = seq.next_element()? {
                    shapes.push(shape);
                }
                shapes.dedup();
                Ok(Shape(format!("[{}]", shapes.join(","))))
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Shape, A::Error> {
                let mut fields: Vec<String> = Vec::new();
                while let Some((key, Shape(shape))) = map.next_entry::<String, Shape>()? {
                    fields.push(format!("{key}:{shape}"));
                }
                Ok(Shape(format!("{{{}}}", fields.join(","))))
            }
        }
        deserializer.deserialize_any(Walk)
    }
}

fn shape(json: &[u8]) -> String {
    if json.is_empty() { String::new() } else { serde_json::from_slice::<Shape>(json).unwrap().0 }
}

/// The status, content type and shape of a recording.
fn recorded(name: &str) -> (u16, String, String) {
    let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/recorded"));
    let http = fs::read_to_string(folder.join(format!("{name}.http"))).unwrap();
    let status = http.lines().find_map(|line| line.strip_prefix("# -> ")).unwrap();
    let kind = http.lines().find_map(|line| line.strip_prefix("content-type: ")).unwrap_or_default();
    let body = fs::read(folder.join(format!("{name}.json"))).unwrap();
    (status[..3].parse().unwrap(), kind.to_owned(), shape(&body))
}

/// A world of one cluster of three nodes, `lab`, of which `node-1` is primary and has no display name.
fn lab(kind: Kind) -> World {
    let mut world = World::new(WorldConfig { clusters: 0, ..WorldConfig::default() });
    let cluster = "lab".to_owned();
    world.apply(Change::AddCluster { cluster: cluster.clone(), kind, nodes: 3, shards: None }).unwrap();
    world.apply(Change::RenameCluster { cluster, display_name: None }).unwrap();
    world
}

fn answer(world: &World, node: &str, endpoint: Endpoint) -> Answer {
    world.answer("lab", node, 0, endpoint, Timestamp(1_795_407_995_000)).0
}

fn answered(world: &World, node: &str, endpoint: Endpoint) -> (u16, String, String) {
    match answer(world, node, endpoint) {
        Answer::Reply { status, content_type, body } => (status, content_type.to_owned(), shape(&body)),
        other => panic!("{endpoint:?} of {node}: {other:?}"),
    }
}

#[track_caller]
fn same(world: &World, node: &str, endpoint: Endpoint, recording: &str) {
    assert_eq!(answered(world, node, endpoint), recorded(recording), "{endpoint:?} as {recording}");
}

#[test]
fn a_healthy_version_1_node_answers_as_recorded() {
    let mut world = lab(Kind::Zookeeper);
    same(&world, "node-1", Endpoint::InfoAgent, "v1/healthy/node3.info-agent");
    same(&world, "node-1", Endpoint::InfoDatastore, "v1/healthy/node3.info-datastore");
    same(&world, "node-1", Endpoint::Shards, "v1/healthy/node3.shards");
    same(&world, "node-2", Endpoint::Shards, "v1/healthy/node1.shards");
    same(&world, "node-1", Endpoint::Other, "v1/healthy/node1.not-found");
    same(&world, "node-1", Endpoint::InfoNode, "v1/healthy/node1.not-found");
    let display_name = Some("ZooKeeper lab".to_owned());
    world.apply(Change::RenameCluster { cluster: "lab".into(), display_name }).unwrap();
    same(&world, "node-1", Endpoint::InfoDatastore, "v1/healthy/node1.tls.info-datastore");
}

#[test]
fn version_1_actions_are_not_found_until_they_are_switched_on() {
    let mut world = lab(Kind::Zookeeper);
    same(&world, "node-1", Endpoint::ActionsQueue, "v1/healthy/node1.actions-disabled.queue");
    same(&world, "node-1", Endpoint::ActionsFinished, "v1/healthy/node1.actions-disabled.finished");
    for (id, state) in [("a", "DONE"), ("b", "NEW"), ("c", "DONE")] {
        world.apply(Change::action("lab", "node-1", id, state)).unwrap();
    }
    same(&world, "node-1", Endpoint::ActionsFinished, "v1/default-4lw-whitelist/node1.tls.actions-finished");
    assert_eq!(finished(&world), ["c", "a"], "newest first");
    world.apply(Change::actions("lab", "node-1", ActionsMode::Reversed)).unwrap();
    assert_eq!(finished(&world), ["a", "c"]);
}

/// The ids of the finished actions of `node-1`, as they are listed.
fn finished(world: &World) -> Vec<String> {
    let Answer::Reply { body, .. } = answer(world, "node-1", Endpoint::ActionsFinished) else { panic!() };
    let listed: serde_json::Value = serde_json::from_slice(&body).unwrap();
    let list = listed.get("actions").unwrap_or(&listed).as_array().unwrap();
    list.iter().map(|action| action["id"].as_str().unwrap().to_owned()).collect()
}

/// Status and shape of the answer to a request for one action.
fn action_of(world: &World, path: &str) -> (u16, String) {
    let now = Timestamp(1_795_407_995_000);
    match world.answer_at("lab", "node-1", 0, (Endpoint::of_agent(path), path), now).0 {
        Answer::Reply { status, body, .. } => (status, shape(&body)),
        other => panic!("{path}: {other:?}"),
    }
}

/// Status and shape of a recorded answer of the folder `actions`.
fn recorded_action(name: &str) -> (u16, String) {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/recorded");
    let status = fs::read_to_string(folder.join(format!("{name}.status")));
    let status = status.map_or(200, |status| status.trim().parse().unwrap());
    (status, shape(&fs::read(folder.join(format!("{name}.json"))).unwrap()))
}

#[test]
fn one_action_of_version_1_is_told_as_recorded() {
    let mut world = lab(Kind::Zookeeper);
    let path = |id: &str| format!("/api/unstable/actions/info/{id}");
    world.apply(Change::action("lab", "node-1", "a", "NEW")).unwrap();
    assert_eq!(action_of(&world, &path("a")), recorded_action("v1/actions/4b.info-new"));
    assert_eq!(action_of(&world, &path("b")), recorded_action("v1/actions/8.info-unknown"));
    world.apply(Change::action("lab", "node-1", "a", "DONE")).unwrap();
    let told = action_of(&world, &path("a")).1;
    let recorded = recorded_action("v1/actions/7.info-done").1;
    // That action had arguments, a header and a result, and so had its history.
    let recorded = recorded.replace("args:{n:integer}", "args:{}").replace("{x-lab-header:string}", "{}");
    let recorded = recorded.replace("state_payload:[string]", "state_payload:null");
    let entry = "{action_id:string,timestamp:string,state:string,state_payload:null}";
    assert_eq!(told, recorded.replace(&format!("[{entry},{entry}]"), &format!("[{entry}]")));
}

#[test]
fn one_action_of_version_2_is_told_as_recorded() {
    let mut world = lab(Kind::Mongodb);
    let path = |id: &str| format!("/api/unstable/action/{id}");
    // Those that were recorded unfinished or done had an argument and metadata.
    let bare = |recorded: (u16, String)| {
        (recorded.0, recorded.1.replace("args:{n:integer}", "args:null").replace("{who:string}", "{}"))
    };
    for (state, name) in [("NEW", "3.lookup-new"), ("DONE", "8.lookup-done"), ("FAILED", "9.lookup-failed")] {
        world.apply(Change::action("lab", "node-1", "a", state)).unwrap();
        let recorded = bare(recorded_action(&format!("v2/actions/{name}")));
        assert_eq!(action_of(&world, &path("a")), recorded, "{state}");
    }
    assert_eq!(action_of(&world, &path("b")), recorded_action("v2/actions/10.lookup-unknown"));
}

#[test]
fn actions_are_forgotten_switched_off_and_fail_as_they_are_told_to() {
    for kind in [Kind::Zookeeper, Kind::Mongodb] {
        let mut world = lab(kind);
        for id in ["a", "b"] {
            world.apply(Change::action("lab", "node-1", id, "DONE")).unwrap();
        }
        let forget =
            Change::ForgetAction { cluster: "lab".into(), node: "node-1".into(), action: "a".into() };
        world.apply(forget).unwrap();
        assert_eq!(finished(&world), ["b"]);
        let mut with = |mode| {
            world.apply(Change::actions("lab", "node-1", mode)).unwrap();
            [Endpoint::ActionsQueue, Endpoint::ActionsFinished, Endpoint::ActionInfo]
                .map(|endpoint| answer(&world, "node-1", endpoint))
        };
        let status = |answer: &Answer| match answer {
            Answer::Reply { status, body, .. } => Some((*status, body.is_empty())),
            _ => None,
        };
        assert!(with(ActionsMode::Off).iter().all(|answer| status(answer) == Some((404, true))));
        assert!(with(ActionsMode::Failing).iter().all(|answer| status(answer) == Some((500, false))));
        assert!(with(ActionsMode::Hanging).iter().all(|answer| *answer == Answer::Hang));
        with(ActionsMode::Listed);
        assert_eq!(finished(&world), ["b"], "and they are there again");
    }
}

#[test]
fn a_version_1_store_that_is_down_or_without_quorum_answers_as_recorded() {
    let mut world = lab(Kind::Zookeeper);
    world.apply(Change::store("lab", "node-2", StoreState::Down)).unwrap();
    same(&world, "node-2", Endpoint::InfoAgent, "v1/no-quorum/node2.info-agent");
    same(&world, "node-2", Endpoint::InfoDatastore, "v1/no-quorum/node2.info-datastore");
    same(&world, "node-2", Endpoint::Shards, "v1/no-quorum/node2.shards");
    world.apply(Change::store("lab", "node-1", StoreState::NotInCluster)).unwrap();
    same(&world, "node-1", Endpoint::InfoDatastore, "v1/no-quorum/node1.info-datastore");
    same(&world, "node-1", Endpoint::Shards, "v1/no-quorum/node1.shards");
}

#[test]
fn a_version_1_store_that_hangs_stalls_the_endpoints_that_ask_it() {
    let mut world = lab(Kind::Zookeeper);
    world.apply(Change::store("lab", "node-2", StoreState::Hanging)).unwrap();
    same(&world, "node-2", Endpoint::InfoAgent, "v1/node2-hung/node2.info-agent");
    assert_eq!(answer(&world, "node-2", Endpoint::InfoDatastore), Answer::Hang);
    assert_eq!(answer(&world, "node-2", Endpoint::Shards), Answer::Hang);
}

#[test]
fn a_healthy_version_2_node_answers_as_recorded() {
    let world = lab(Kind::Mongodb);
    same(&world, "node-1", Endpoint::InfoNode, "v2/healthy/node1.info-node");
    same(&world, "node-1", Endpoint::InfoStore, "v2/healthy/node1.info-store");
    same(&world, "node-1", Endpoint::InfoShards, "v2/healthy/node1.info-shards");
    same(&world, "node-2", Endpoint::InfoShards, "v2/healthy/node2.info-shards");
    same(&world, "node-1", Endpoint::ActionsQueue, "v2/healthy/node1.actions-queue");
    same(&world, "node-1", Endpoint::InfoAgent, "v2/healthy/node1.not-found");
}

#[test]
fn version_2_lists_actions_as_recorded() {
    let mut world = lab(Kind::Mongodb);
    world.apply(Change::action("lab", "node-1", "a", "FAILED")).unwrap();
    same(&world, "node-1", Endpoint::ActionsFinished, "v2/not-initialised/node1.actions-finished");
    same(&world, "node-1", Endpoint::ActionsQueue, "v2/not-initialised/node1.actions-queue");
}

#[test]
fn a_version_2_store_that_is_ill_answers_as_recorded() {
    for (state, folder, node, status) in [
        (StoreState::Down, "v2/store-down/node2", "node-2", "UNAVAILABLE"),
        (StoreState::NotInCluster, "v2/not-initialised/node1", "node-2", "NOT_IN_CLUSTER"),
        (StoreState::Recovering, "v2/recovering-rollback/node2", "node-2", "UNHEALTHY"),
        (StoreState::RollingBack, "v2/recovering-rollback/node3", "node-3", "UNHEALTHY"),
    ] {
        let mut world = lab(Kind::Mongodb);
        world.apply(Change::store("lab", node, state)).unwrap();
        same(&world, node, Endpoint::InfoNode, &format!("{folder}.info-node"));
        same(&world, node, Endpoint::InfoStore, &format!("{folder}.info-store"));
        same(&world, node, Endpoint::InfoShards, &format!("{folder}.info-shards"));
        let Answer::Reply { body, .. } = answer(&world, node, Endpoint::InfoNode) else { panic!() };
        let told: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(told["node_status"], status);
    }
}

#[test]
fn a_version_2_store_that_hangs_answers_as_recorded() {
    let mut world = lab(Kind::Mongodb);
    world.apply(Change::store("lab", "node-3", StoreState::Hanging)).unwrap();
    assert_eq!(answer(&world, "node-3", Endpoint::InfoNode), Answer::Hang);
    same(&world, "node-3", Endpoint::InfoStore, "v2/store-hung/node3.info-store");
    same(&world, "node-3", Endpoint::InfoShards, "v2/store-hung/node3.info-shards");
    same(&world, "node-3", Endpoint::ActionsQueue, "v2/store-hung/node3.actions-queue");
}

#[test]
fn mongodb_reports_its_own_address_as_shard_and_kafka_reports_shards() {
    let shard = |world: &World, endpoint| {
        let Answer::Reply { body, .. } = answer(world, "node-2", endpoint) else { panic!() };
        serde_json::from_slice::<serde_json::Value>(&body).unwrap()["shards"].clone()
    };
    let mongodb = shard(&lab(Kind::Mongodb), Endpoint::InfoShards);
    assert_eq!(mongodb[0]["id"], "node-2.lab.fleet.internal:27017");
    let kafka = shard(&lab(Kind::Kafka), Endpoint::Shards);
    assert_eq!(kafka.as_array().map(Vec::len), Some(4));
    assert_eq!((&kafka[0]["id"], &kafka[0]["role"]), (&"orders/0".into(), &"secondary".into()));
    assert_eq!(kafka[1]["role"], "primary");
}

#[test]
fn offsets_advance_with_time() {
    for (kind, endpoint) in [(Kind::Zookeeper, Endpoint::Shards), (Kind::Redis, Endpoint::InfoShards)] {
        let world = lab(kind);
        let offset = |seconds: i64| {
            let now = Timestamp(1_795_407_995_000 + seconds * 1000);
            let (Answer::Reply { body, .. }, _) = world.answer("lab", "node-1", 0, endpoint, now) else {
                panic!()
            };
            let told: serde_json::Value = serde_json::from_slice(&body).unwrap();
            told["shards"][0]["commit_offset"]["value"].as_i64().unwrap()
        };
        assert!(offset(0) < offset(1) && offset(1) < offset(60), "{kind:?}");
    }
}

#[test]
fn a_former_address_and_an_unknown_node_are_silent() {
    let mut world = lab(Kind::Redis);
    world.apply(Change::MoveNode { cluster: "lab".into(), node: "node-1".into() }).unwrap();
    assert_eq!(answer(&world, "node-1", Endpoint::InfoNode), Answer::Close);
    assert_eq!(answer(&world, "node-9", Endpoint::InfoNode), Answer::Close);
    let now = Timestamp(1_795_407_995_000);
    assert!(matches!(world.answer("lab", "node-1", 1, Endpoint::InfoNode, now).0, Answer::Reply { .. }));
    world.apply(Change::agent("lab", "node-1", AgentState::Gone)).unwrap();
    assert_eq!(world.answer("lab", "node-1", 1, Endpoint::InfoNode, now).0, Answer::Close);
}
