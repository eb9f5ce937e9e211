//! The parsers take anything: bytes, JSON of any shape, and real answers with something wrong in them.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::path::Path;

use proptest::prelude::*;
use replicante_agents::actions::{Listing, details_v1, details_v2};
use replicante_agents::{reason, v1, v2};
use replicante_model::actions::{MAX_ACTION_TEXT, MAX_ACTIONS, is_id};
use replicante_model::observation::{MAX_REASON, MAX_TEXT};
use serde_json::Value;

fn all(body: &[u8]) {
    let _ = v1::agent(body);
    if let Ok(store) = v1::datastore(body) {
        assert!(store.cluster_id.len() <= MAX_TEXT && store.node.version.len() <= MAX_TEXT);
    }
    let _ = v1::shards(body);
    if let Ok(node) = v2::node(body) {
        assert!(node.node.attributes.values().all(|value| value.len() <= MAX_TEXT));
        assert!(node.node.condition.is_none_or(|condition| condition.len() <= MAX_TEXT));
    }
    let _ = v2::store(body);
    for (id, report) in v2::shards(body, "mongo.replica", "c").into_iter().flatten() {
        assert!(id.len() <= MAX_TEXT);
        assert!(report.lag.is_none_or(|lag| lag.unit.len() <= MAX_TEXT));
    }
    let mut listing = Listing::of(None);
    let _ = (listing.add_queue(body), listing.add_finished(body));
    let listed = listing.done().known;
    assert!(listed.len() <= 2 * MAX_ACTIONS && listed.keys().all(|id| is_id(id)));
    assert!(listed.values().all(|action| action.kind.len() <= MAX_ACTION_TEXT));
    for details in [details_v1(body), details_v2(body)].into_iter().flatten() {
        assert!(details.created_at.is_none_or(|text| text.len() <= MAX_ACTION_TEXT));
        assert!(details.error.is_none_or(|text| text.len() <= MAX_ACTION_TEXT));
    }
    assert!(reason::of_answer("shards", 500, body).len() <= MAX_REASON);
}

/// The fields that the parsers know, so that arbitrary JSON gets past the first of them.
const NAMES: [&str; 31] = [
    "version",
    "number",
    "checkout",
    "taint",
    "cluster_id",
    "cluster_display_name",
    "kind",
    "node_id",
    "id",
    "shards",
    "shard_id",
    "role",
    "commit_offset",
    "lag",
    "unit",
    "value",
    "agent_version",
    "attributes",
    "node_status",
    "store_id",
    "store_version",
    "error",
    "error_msg",
    "layers",
    "actions",
    "action",
    "state",
    "phase",
    "created_ts",
    "created_time",
    "requester",
];

fn json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "\\PC{0,20}".prop_map(Value::from),
        "[a-z:. ]{1100,1200}".prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 64, 8, |inner| {
        let name =
            prop_oneof![4 => proptest::sample::select(&NAMES[..]).prop_map(str::to_owned), 1 => "\\PC{0,8}"];
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..8).prop_map(Value::from),
            proptest::collection::vec((name, inner), 0..12)
                .prop_map(|entries| Value::Object(entries.into_iter().collect())),
        ]
    })
}

fn recorded() -> Vec<Vec<u8>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/recorded");
    let mut bodies = Vec::new();
    for scenario in ["v1", "v2"].iter().flat_map(|api| root.join(api).read_dir().unwrap()) {
        for file in scenario.unwrap().path().read_dir().unwrap() {
            let path = file.unwrap().path();
            if path.extension().is_some_and(|ending| ending == "json") {
                bodies.push(std::fs::read(path).unwrap());
            }
        }
    }
    assert!(bodies.len() > 100);
    bodies
}

#[test]
fn every_recorded_body_is_taken_by_every_parser() {
    recorded().iter().for_each(|body| all(body));
}

#[test]
fn deep_nesting_is_refused_without_harm() {
    let deep = |open: &str, close: &str| [open.repeat(100_000), close.repeat(100_000)].concat();
    all(deep("[", "]").as_bytes());
    all(deep("{\"attributes\":", "}").as_bytes());
    all(format!("{{\"shards\":{}}}", deep("[", "]")).as_bytes());
    all(format!("{{\"version\":{}}}", deep("{\"number\":", "}")).as_bytes());
}

#[test]
fn a_field_that_is_given_twice_counts_as_it_stands_first() {
    let agent = v1::agent(br#"{"version":{"number":"1","number":"2"},"version":{"number":"3"}}"#).unwrap();
    assert_eq!(agent.version.number, "1");
    let store = v1::datastore(br#"{"cluster_id":"c","node_id":"n","cluster_id":"d","node_id":"m"}"#).unwrap();
    assert_eq!((store.cluster_id.as_str(), store.node.node_id.as_str()), ("c", "n"));
    let node = v2::node(
        br#"{"node_id":"n","node_status":"HEALTHY","attributes":{"a":1},"node_status":"UNAVAILABLE","attributes":{"a":2}}"#,
    );
    let node = node.unwrap();
    assert!(node.available && node.node.attributes["a"] == "1");
    assert_eq!(v2::store(br#"{"cluster_id":"c","cluster_id":"d"}"#).unwrap().cluster_id, "c");
    let shards = v1::shards(br#"{"shards":[{"id":"s","id":"t"}]}"#).unwrap();
    assert_eq!(shards.keys().collect::<Vec<_>>(), ["s"]);
}

proptest! {
    #[test]
    fn no_bytes_make_a_parser_panic(body: Vec<u8>) {
        all(&body);
    }

    #[test]
    fn no_json_makes_a_parser_panic(value in json()) {
        all(value.to_string().as_bytes());
    }

    #[test]
    fn no_damage_to_a_real_answer_makes_a_parser_panic(which: usize, place: usize, byte: u8, cut: bool) {
        let mut bodies = recorded();
        let count = bodies.len();
        let body = &mut bodies[which % count];
        if !body.is_empty() {
            let place = place % body.len();
            if cut { body.truncate(place) } else { body[place] = byte }
        }
        all(body);
    }
}
