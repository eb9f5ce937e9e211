//! Of agents: all that was recorded, JSON of any shape with the names that the parsers know, and deep nesting.

use proptest::prelude::*;
use replicante_outside_input::agents::{check, recorded};
use serde_json::Value;

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

#[test]
fn every_recorded_body_is_taken_by_every_parser() {
    recorded().iter().for_each(|body| check(body));
}

#[test]
fn deep_nesting_is_refused_without_harm() {
    let deep = |open: &str, close: &str| [open.repeat(100_000), close.repeat(100_000)].concat();
    check(deep("[", "]").as_bytes());
    check(deep("{\"attributes\":", "}").as_bytes());
    check(format!("{{\"shards\":{}}}", deep("[", "]")).as_bytes());
    check(format!("{{\"version\":{}}}", deep("{\"number\":", "}")).as_bytes());
}

proptest! {
    #![proptest_config(super::cases(super::CASES))]
    #[test]
    fn any_json_of_an_agent_stays_within_its_bounds(value in json()) {
        check(value.to_string().as_bytes());
    }
}
