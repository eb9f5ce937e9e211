//! The schemas of docs/schemas: one a type, that takes its events and refuses what is not one.

use std::collections::BTreeSet;

use replicante_event_schemas::{SCHEMAS, validate};
use replicante_model::change::{Change, SCHEMA_VERSION, TYPE_PREFIX, TYPES};
use serde_json::{Value, json};

use crate::examples::examples;
use crate::golden::sealed;

fn event(name: &str) -> Value {
    let change = examples().into_iter().find(|change| change.name() == name).expect("an example");
    serde_json::from_slice(&sealed(&change)).unwrap()
}

fn is_valid(event: &Value) -> bool {
    validate(&serde_json::to_vec(event).unwrap()).is_ok()
}

#[test]
fn every_type_has_a_schema_named_after_it_and_its_version() {
    let names = BTreeSet::from(TYPES);
    assert_eq!(examples().iter().map(Change::name).collect::<BTreeSet<_>>(), names);
    assert_eq!(SCHEMAS.iter().map(|(name, _)| *name).collect::<BTreeSet<_>>(), names);
    for (name, text) in SCHEMAS {
        let schema: Value = serde_json::from_str(text).unwrap();
        assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
        let id = format!("urn:replicante:schema:{name}:{SCHEMA_VERSION}");
        assert_eq!(schema["$id"], id.as_str());
        assert_eq!(schema["properties"]["dataschema"]["const"], id.as_str());
        assert_eq!(schema["properties"]["type"]["const"], format!("{TYPE_PREFIX}{name}").as_str());
        assert!(schema["title"].is_string(), "{name} says what it is");
    }
}

#[test]
fn every_example_fits_its_schema() {
    for change in examples() {
        validate(&sealed(&change)).unwrap_or_else(|findings| panic!("{findings}"));
    }
}

#[test]
fn every_field_of_the_envelope_is_required_and_has_its_form() {
    let good = event("agent.down");
    for field in good.as_object().unwrap().keys() {
        let mut without = good.clone();
        without.as_object_mut().unwrap().remove(field);
        assert!(!is_valid(&without), "without {field}");
    }
    for (field, bad) in [
        ("specversion", json!("0.3")),
        ("id", json!("cluster/default/orders/1767319445")),
        ("id", json!("cluster/default/orders/1767319445/042")),
        ("id", json!("cluster/default/a b/1767319445/42")),
        ("source", json!("replicante")),
        ("type", json!("io.replicante.agent.up")),
        ("subject", json!("orders")),
        ("time", json!("2026-01-02T02:04:05Z")),
        ("time", json!("2026-01-02T02:04:05.678+01:00")),
        ("datacontenttype", json!("text/plain")),
        ("dataschema", json!("urn:replicante:schema:agent.down:2")),
        ("epoch", json!(1767319445)),
        ("epoch", json!("0")),
        ("sequence", json!("42")),
        ("sequence", json!("0".repeat(20))),
        ("cause", json!("chance")),
        ("actor", json!("")),
        ("maintenance", json!("tomorrow")),
        ("data", json!([])),
    ] {
        let mut changed = good.clone();
        changed[field] = bad.clone();
        assert!(!is_valid(&changed), "{field} = {bad}");
    }
}

#[test]
fn every_type_refuses_data_without_a_field_that_its_readers_rest_on() {
    for change in examples() {
        // Its parts are told by what changed: none of them is always there.
        if change.name() == "cluster.changed" {
            continue;
        }
        let mut empty: Value = serde_json::from_slice(&sealed(&change)).unwrap();
        empty["data"] = json!({});
        assert!(!is_valid(&empty), "{}", change.name());
    }
}

#[test]
fn a_field_of_data_that_a_later_version_adds_is_taken() {
    for change in examples() {
        let mut later: Value = serde_json::from_slice(&sealed(&change)).unwrap();
        later["data"]["added_later"] = json!({"any": ["thing"]});
        assert!(is_valid(&later), "{}", change.name());
    }
}

#[test]
fn an_event_tells_only_what_its_type_may_tell() {
    let with = |name: &str, pointer: &str, value: Value| {
        let mut event = event(name);
        *event.pointer_mut(pointer).expect(pointer) = value;
        event
    };
    for bad in [
        with("agent.up", "/data/after", json!({"status": "agent_down", "reason": "r"})),
        with("agent.down", "/data/after", json!({"status": "up"})),
        with("agent.down", "/data/after", json!({"status": "agent_down"})),
        with("node.down", "/data/after", json!({"status": "agent_down", "reason": "r"})),
        with("node.up", "/data/before", json!({"status": "asleep", "reason": "r"})),
        with("shard.primary_lost", "/data/after", json!({"state": "elected", "node": "n1"})),
        with("shard.primary_conflict", "/data/after", json!({"state": "conflict", "nodes": ["n1"]})),
        with("shard.new", "/data/after/role", json!("leader")),
        with("action.new", "/data/action", json!("../x")),
        with("action.new", "/data/after", json!({"kind": "k"})),
        with("action.finished", "/data/after/finished", json!(false)),
        with("cluster.health_changed", "/data/after", json!(null)),
        with("cluster.identity_conflict", "/data/conflict", json!("name")),
        with("node.changed", "/data/after", json!({})),
        with("node.new", "/data/after/attributes", json!({"zone": 1})),
        with("cluster.snapshot", "/data/part", json!(0)),
        with("cluster.missing", "/data/since", json!("yesterday")),
        with("cluster.maintenance_began", "/data/after/actor", json!("")),
        with("cluster.maintenance_began", "/data/before", json!({})),
        with("cluster.maintenance_ended", "/data/before/until", json!("tomorrow")),
    ] {
        assert!(!is_valid(&bad), "{bad}");
    }
    for good in [
        with("node.down", "/data/after", json!({"status": "conflict", "reason": "answers for cluster x"})),
        with("shard.new", "/data/after/role", json!({"other": "arbiter"})),
        with("cluster.health_changed", "/data/before", json!(null)),
        with("shard.primary_changed", "/data/before", json!(null)),
    ] {
        assert!(is_valid(&good), "{good}");
    }
}

#[test]
fn what_is_no_event_is_refused_with_a_reason() {
    assert!(validate(b"{").unwrap_err().starts_with("no JSON"));
    assert!(validate(b"{}").unwrap_err().contains("without a type"));
    let unknown = br#"{"type":"io.replicante.agent.asleep"}"#;
    assert!(validate(unknown).unwrap_err().contains("no schema for the type io.replicante.agent.asleep"));
}
