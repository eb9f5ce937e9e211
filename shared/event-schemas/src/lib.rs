//! The JSON Schemas of the events (`docs/schemas`), compiled once, for the tests of every crate that emits or
//! reads events. A dev-dependency: no function ships it.
//!
//! A schema describes a whole event: it refers to `envelope.json` for the CloudEvents envelope and to `common.json`
//! for what several types tell in the same form. Both are in the validator's registry; nothing is fetched.
//! Unknown fields of `data` are allowed: a later version may add some.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use jsonschema::{Registry, Validator};
use serde_json::Value;

/// What every type's name starts with.
pub const TYPE_PREFIX: &str = "io.replicante.";
/// The `$id` and the text of the schema of the envelope.
pub const ENVELOPE: (&str, &str) =
    ("urn:replicante:schema:envelope:1", include_str!("../../../docs/schemas/envelope.json"));
/// The `$id` and the text of what the schemas share.
pub const COMMON: (&str, &str) =
    ("urn:replicante:schema:common:1", include_str!("../../../docs/schemas/common.json"));

/// Name of the type after [`TYPE_PREFIX`], and the text of its schema.
macro_rules! schemas {
    ($($name:literal,)*) => {
        &[$(($name, include_str!(concat!("../../../docs/schemas/", $name, ".json"))),)*]
    };
}

/// Every type, by its name after [`TYPE_PREFIX`], with the text of its schema.
pub const SCHEMAS: &[(&str, &str)] = schemas![
    "cluster.new",
    "cluster.changed",
    "cluster.missing",
    "cluster.restored",
    "cluster.removed",
    "cluster.maintenance_began",
    "cluster.maintenance_ended",
    "cluster.health_changed",
    "cluster.identity_conflict",
    "cluster.identity_resolved",
    "cluster.snapshot",
    "agent.new",
    "agent.up",
    "agent.down",
    "agent.info_new",
    "agent.info_changed",
    "node.new",
    "node.changed",
    "node.up",
    "node.down",
    "node.missing",
    "node.restored",
    "node.removed",
    "shard.new",
    "shard.changed",
    "shard.removed",
    "shard.primary_changed",
    "shard.primary_lost",
    "shard.primary_conflict",
    "action.new",
    "action.changed",
    "action.finished",
    "action.lost",
    "discovery.failed",
    "discovery.recovered",
    "discovery.record_rejected",
    "discovery.record_accepted",
    "discovery.conflict",
    "discovery.conflict_resolved",
    "discovery.shrink_held",
    "discovery.shrink_confirmed",
    "discovery.shrink_resolved",
    "discovery.observer_suspect",
    "discovery.observer_trusted",
    "object.applied",
    "object.deleted",
];

static VALIDATORS: LazyLock<Result<BTreeMap<&'static str, Validator>, String>> = LazyLock::new(compile);

fn compile() -> Result<BTreeMap<&'static str, Validator>, String> {
    let bad = |name: &str, error: String| format!("the schema {name} is broken: {error}");
    let mut registry = Registry::new();
    for (id, text) in [ENVELOPE, COMMON] {
        let schema: Value = serde_json::from_str(text).map_err(|error| bad(id, error.to_string()))?;
        registry = registry.add(id, schema).map_err(|error| bad(id, error.to_string()))?;
    }
    let registry = registry.prepare().map_err(|error| bad("registry", error.to_string()))?;
    let mut validators = BTreeMap::new();
    for (name, text) in SCHEMAS {
        let schema: Value = serde_json::from_str(text).map_err(|error| bad(name, error.to_string()))?;
        let validator = jsonschema::draft202012::options()
            .with_registry(&registry)
            .build(&schema)
            .map_err(|error| bad(name, error.to_string()))?;
        validators.insert(*name, validator);
    }
    Ok(validators)
}

/// Checks one event, as it is published, against the schema of its type.
///
/// # Errors
/// Says which type, where in the event, and what was expected: one line for each finding. An event that is no
/// JSON or of a type without a schema is an error too.
pub fn validate(event_json: &[u8]) -> Result<(), String> {
    let event: Value = serde_json::from_slice(event_json).map_err(|error| format!("no JSON: {error}"))?;
    let full = event.get("type").and_then(Value::as_str).ok_or("an event without a type")?;
    let validators = VALIDATORS.as_ref()?;
    let validator = full
        .strip_prefix(TYPE_PREFIX)
        .and_then(|name| validators.get(name))
        .ok_or_else(|| format!("no schema for the type {full}"))?;
    let findings: Vec<String> = validator
        .iter_errors(&event)
        .map(|error| format!("{full} at {}: {error}", error.instance_path()))
        .collect();
    if findings.is_empty() { Ok(()) } else { Err(findings.join("\n")) }
}
