//! Schemas change only in compatible ways, or under a new version.
//!
//! The shape of each schema - every field by its path, whether it is required, what it may hold - is frozen in
//! `tests/golden/schemas/<type>.v<version>.json`. [`incompatibilities`] compares it with the schema as it is now.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use replicante_event_schemas::{COMMON, ENVELOPE, SCHEMAS};
use replicante_model::change::SCHEMA_VERSION;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::golden::{compare, golden};

/// What a schema says of one field.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Field {
    required: bool,
    /// Its JSON types; none when any will do.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    types: BTreeSet<String>,
    /// The values it may have; none when any will do.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    values: BTreeSet<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pattern: Option<String>,
}

/// Every field by its path. The alternatives of a field are told by their titles: `/data/before(up)/status`.
type Shape = BTreeMap<String, Field>;

fn texts(value: Option<&Value>) -> BTreeSet<String> {
    match value {
        None => BTreeSet::new(),
        Some(Value::Array(all)) => all.iter().map(text).collect(),
        Some(one) => [text(one)].into(),
    }
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), String::from)
}

/// Takes in what a schema, and what it refers to, says of the field at `path`.
fn walk(schema: &Value, path: &str, documents: &BTreeMap<&str, Value>, shape: &mut Shape) {
    if let Some(reference) = schema.get("$ref").and_then(Value::as_str) {
        let (document, pointer) = reference.split_once('#').unwrap_or((reference, ""));
        let target =
            documents[document].pointer(pointer).unwrap_or_else(|| panic!("{reference} leads nowhere"));
        walk(target, path, documents, shape);
    }
    let field = shape.entry(path.into()).or_default();
    field.types.extend(texts(schema.get("type")));
    let values: BTreeSet<String> =
        texts(schema.get("enum")).union(&texts(schema.get("const"))).cloned().collect();
    if field.values.is_empty() {
        field.values = values;
    } else if !values.is_empty() {
        field.values = field.values.intersection(&values).cloned().collect();
    }
    if let Some(pattern) = schema.get("pattern").and_then(Value::as_str) {
        field.pattern = Some(pattern.into());
    }
    for part in schema.get("allOf").and_then(Value::as_array).into_iter().flatten() {
        walk(part, path, documents, shape);
    }
    for alternative in schema.get("oneOf").and_then(Value::as_array).into_iter().flatten() {
        let title =
            alternative["title"].as_str().unwrap_or_else(|| panic!("an alternative of {path} has no title"));
        walk(alternative, &format!("{path}({title})"), documents, shape);
    }
    for (name, property) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
        walk(property, &format!("{path}/{name}"), documents, shape);
    }
    for name in texts(schema.get("required")) {
        shape.entry(format!("{path}/{name}")).or_default().required = true;
    }
    for (keyword, step) in [("additionalProperties", "/*"), ("items", "/[]")] {
        if let Some(each) = schema.get(keyword).filter(|each| each.is_object()) {
            walk(each, &format!("{path}{step}"), documents, shape);
        }
    }
}

fn shape(schema: &Value) -> Shape {
    let documents = [ENVELOPE, COMMON].map(|(id, text)| (id, serde_json::from_str(text).unwrap())).into();
    let mut shape = Shape::new();
    walk(schema, "", &documents, &mut shape);
    shape
}

/// What of `new` breaks those who rest on `old`: readers, and events that are in the stream already. None for a
/// compatible change: a new optional field, another value where values are listed.
fn incompatibilities(old: &Shape, new: &Shape) -> Vec<String> {
    let mut found = Vec::new();
    for (path, was) in old {
        let Some(is) = new.get(path) else {
            found.push(format!("{path} is gone"));
            continue;
        };
        if was.types != is.types {
            found.push(format!("{path} was {:?} and is {:?}", was.types, is.types));
        }
        if was.required && !is.required {
            found.push(format!("{path} is no longer required"));
        }
        if !was.required && is.required {
            found.push(format!("{path} is required now"));
        }
        let gone: Vec<&String> = was.values.difference(&is.values).collect();
        if (was.values.is_empty() && !is.values.is_empty()) || !gone.is_empty() {
            found.push(format!("{path} may no longer be {gone:?}, only {:?}", is.values));
        }
        if was.pattern != is.pattern {
            found.push(format!("{path} has another pattern"));
        }
    }
    for (path, is) in new.iter().filter(|(path, is)| is.required && !old.contains_key(*path)) {
        // A required field of what is new itself demands nothing of the old.
        let parent = path.rsplit_once('/').map_or("", |(parent, _)| parent);
        if old.contains_key(parent) {
            found.push(format!("{path} is new and required: {is:?}"));
        }
    }
    found
}

#[test]
fn no_schema_changed_incompatibly_without_a_new_version() {
    let mut found = Vec::new();
    for (name, schema) in SCHEMAS {
        let now = shape(&serde_json::from_str(schema).unwrap());
        let file = format!("{name}.v{SCHEMA_VERSION}.json");
        // Written anew only where it is missing: a frozen shape is never thawed by the way.
        if !golden("schemas").join(&file).exists() {
            compare("schemas", &file, &format!("{}\n", serde_json::to_string_pretty(&now).unwrap())).unwrap();
        }
        let frozen: Shape =
            serde_json::from_str(&fs::read_to_string(golden("schemas").join(&file)).unwrap()).unwrap();
        found.extend(incompatibilities(&frozen, &now).into_iter().map(|what| format!("{name}: {what}")));
    }
    assert!(found.is_empty(), "raise SCHEMA_VERSION, or take back:\n{}", found.join("\n"));
}

#[test]
fn every_frozen_shape_is_of_a_type_that_still_exists() {
    for entry in fs::read_dir(golden("schemas")).unwrap() {
        let file = entry.unwrap().file_name().into_string().unwrap();
        let name = file.rsplit_once(".v").expect("type.vN.json").0;
        assert!(SCHEMAS.iter().any(|(known, _)| *known == name), "the type {name} is gone");
    }
}

fn example() -> Value {
    json!({
        "type": "object",
        "required": ["node"],
        "properties": {
            "node": {"type": "string", "pattern": "^n"},
            "reason": {"type": "string"},
            "health": {"enum": ["up", "down"]},
            "status": {"oneOf": [
                {"title": "up", "type": "object", "required": ["at"], "properties": {"at": {"type": "string"}}},
                {"title": "nothing", "type": "null"},
            ]},
            "map": {"type": "object", "additionalProperties": {"$ref": "urn:replicante:schema:common:1#/$defs/role_of"}},
        },
    })
}

fn found(change: impl FnOnce(&mut Value)) -> Vec<String> {
    let mut changed = example();
    change(&mut changed);
    incompatibilities(&shape(&example()), &shape(&changed))
}

#[test]
fn compatible_changes_are_let_through() {
    assert_eq!(found(|_| {}), [""; 0]);
    assert_eq!(
        found(|schema| schema["properties"]["added"] = json!({"type": "string"})),
        [""; 0],
        "a new field"
    );
    let object = json!({"type": "object", "required": ["x"], "properties": {"x": {"type": "string"}}});
    assert_eq!(
        found(|schema| schema["properties"]["added"] = object),
        [""; 0],
        "an object with a required field"
    );
    assert_eq!(
        found(|schema| schema["properties"]["health"]["enum"] = json!(["up", "down", "odd"])),
        [""; 0]
    );
    assert_eq!(found(|schema| schema["title"] = json!("words")), [""; 0], "words");
    let order =
        json!([example()["properties"]["status"]["oneOf"][1], example()["properties"]["status"]["oneOf"][0]]);
    assert_eq!(found(|schema| schema["properties"]["status"]["oneOf"] = order), [""; 0], "the order");
}

#[test]
fn incompatible_changes_are_found() {
    let one = |what: &str, findings: Vec<String>| assert!(!findings.is_empty(), "{what}");
    one(
        "a field is gone",
        found(|schema| drop(schema["properties"].as_object_mut().unwrap().remove("reason"))),
    );
    one("a type changed", found(|schema| schema["properties"]["reason"]["type"] = json!("integer")));
    one(
        "a type was widened",
        found(|schema| schema["properties"]["reason"]["type"] = json!(["string", "null"])),
    );
    one("an optional field became required", found(|schema| schema["required"] = json!(["node", "reason"])));
    one("a required field became optional", found(|schema| schema["required"] = json!([])));
    one(
        "a new required field",
        found(|schema| {
            schema["properties"]["added"] = json!({"type": "string"});
            schema["required"] = json!(["node", "added"]);
        }),
    );
    one(
        "a required field that is not described",
        found(|schema| schema["required"] = json!(["node", "added"])),
    );
    one("a value is gone", found(|schema| schema["properties"]["health"]["enum"] = json!(["up"])));
    one("values are listed now", found(|schema| schema["properties"]["reason"]["enum"] = json!(["x"])));
    one("a pattern changed", found(|schema| schema["properties"]["node"]["pattern"] = json!("^m")));
    one(
        "an alternative is gone",
        found(|schema| drop(schema["properties"]["status"]["oneOf"].as_array_mut().unwrap().remove(0))),
    );
    one(
        "within an alternative",
        found(|schema| schema["properties"]["status"]["oneOf"][0]["required"] = json!([])),
    );
    one(
        "within a map",
        found(|schema| schema["properties"]["map"]["additionalProperties"] = json!({"type": "string"})),
    );
}
