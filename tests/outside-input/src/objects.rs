//! What operators apply, and the form in which it is stored.

use std::time::Duration;

use replicante_model::name::check_name;
use replicante_objects::{Object, ObjectError, parse};
use replicante_sources::{kinds, open};
use serde_json::{Value, json};

use crate::choices::Choices;
use crate::damage;

const TICK: Duration = Duration::from_secs(60);
const FILE: &str = "fleet.yaml";

/// Objects that are accepted, one of each source and a cluster.
fn valid() -> Vec<Value> {
    let discovery = |source: Value| {
        json!({
            "apiVersion": "replicante.io/v0", "kind": "Discovery",
            "metadata": { "namespace": "default", "name": "fleet" },
            "spec": {
                "enabled": true, "interval": "60s", "source": source, "refresh": { "interval": "5m" },
                "agents": {
                    "api": "auto", "timeout": "10s", "connect_timeout": "3s", "node_timeout": "15s",
                    "failures_before_down": 1, "successes_before_up": 2, "cluster_id": "ignore", "max_body": "8MiB",
                    "tls": { "ca_bundle": "file:/ca.pem", "client_certificate": "env:CERTIFICATE" },
                },
                "removal": { "grace": "10m", "confirmations": 3, "max_shrink": "30%" },
            },
        })
    };
    let limits = json!({
        "pages": 10, "bytes": "1MiB", "total_bytes": "2MiB", "clusters": 5, "nodes": 6, "total_nodes": 7,
    });
    let endpoint = |more: Value| {
        let mut all = json!({
            "url": "https://inventory.example.com/clusters?a=b", "timeout": "30s", "limits": limits,
            "headers": { "x-team": "data", "authorization": "env:TOKEN" }, "tls": { "ca_bundle": "file:/ca.pem" },
        });
        all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        all
    };
    vec![
        discovery(
            json!({ "http": endpoint(json!({ "method": "POST", "body": { "region": ["eu", 1, null] } })) }),
        ),
        discovery(json!({ "platform": endpoint(json!({})) })),
        discovery(json!({ "prometheus": endpoint(json!({
            "cluster_label": "cluster", "display_name_label": "title", "scheme": "https", "path_prefix": "/agent",
        })) })),
        discovery(json!({ "file": { "path": "s3://my-inventory/clusters.yaml", "limits": limits } })),
        discovery(json!({ "dns": {
            "clusters": { "orders": "_agent._tcp.orders.example.com", "b/c": "b.example." }, "server": "10.0.0.2:53",
            "timeout": "5s", "scheme": "https", "path_prefix": "/agent", "limits": limits,
        } })),
        json!({
            "apiVersion": "replicante.io/v0", "kind": "Cluster",
            "metadata": { "namespace": "default", "name": "orders" }, "spec": { "enabled": false, "interval": "30m" },
        }),
    ]
}

fn read(text: &str) -> Result<Vec<Object>, Vec<ObjectError>> {
    let objects = parse(FILE, text, TICK, &kinds())?;
    Ok(objects.into_iter().map(|located| located.value).collect())
}

/// Any text is objects that can be stored, read back and worked with, or errors with the lines they stand in.
pub fn check(text: &[u8]) {
    let text = String::from_utf8_lossy(text);
    if let Ok(object) = Object::from_json(&text) {
        reads_back(&object);
    }
    match read(&text) {
        Ok(objects) => {
            assert!(!objects.is_empty());
            objects.iter().for_each(accepted);
        }
        Err(errors) => {
            assert!(!errors.is_empty() && errors.is_sorted_by_key(|error| error.line));
            // In YAML a carriage return ends a line, too.
            let lines = text.matches(['\n', '\r']).count() as u64 + 1;
            for error in &errors {
                assert!((1..=lines).contains(&error.line), "{error} of {lines} lines");
                let shown = error.to_string();
                assert!(shown.starts_with(&format!("{FILE}:{}: ", error.line)), "{shown}");
                assert!(!shown.contains(['\n', '\u{1b}', '\u{0}']), "{shown:?}");
                assert!(shown.len() <= 4_096, "{shown}");
            }
        }
    }
}

fn accepted(object: &Object) {
    let metadata = object.metadata();
    assert!(check_name(&metadata.namespace).is_ok() && check_name(&metadata.name).is_ok());
    reads_back(object);
    let intervals = match object {
        Object::Discovery(discovery) => {
            let spec = &discovery.spec;
            assert!(open(&spec.source).is_ok(), "what is accepted can be opened: {object:?}");
            vec![spec.interval, spec.refresh.interval]
        }
        Object::Cluster(cluster) => Vec::from_iter(cluster.spec.interval),
    };
    assert!(intervals.iter().all(|interval| *interval >= TICK), "{object:?}");
}

/// What is stored is what was applied.
fn reads_back(object: &Object) {
    let json = object.to_json();
    let back = Object::from_json(&json).unwrap();
    assert_eq!(back, *object);
    assert_eq!(back.to_json(), json);
}

/// Objects with something wrong in them, as JSON, several to a file, or stored.
pub fn damaged(choices: &mut Choices<'_>) {
    let mut objects = valid();
    let mut text = Vec::new();
    for _ in 0..=choices.below(3) {
        let mut object = objects.swap_remove(choices.below(objects.len()));
        if choices.once_in(4) {
            let stored = read(&object.to_string()).unwrap().remove(0).to_json();
            object = serde_json::from_str(&stored).unwrap();
        }
        damage::document(&mut object, choices);
        text.extend(damage::text(&object, choices));
        text.extend(choices.one_of(&["\n", "\n---\n", "\n...\n"]).bytes());
    }
    check(&text);
}

/// A field that does not exist is refused with its path and nothing of its file is applied, wherever it stands.
pub fn unknown_field(choices: &mut Choices<'_>) {
    let mut objects = valid();
    assert_eq!(read(&objects[0].to_string()).map(|objects| objects.len()), Ok(1), "without it all is well");
    let places = [
        "",
        "/metadata",
        "/spec",
        "/spec/refresh",
        "/spec/agents",
        "/spec/agents/tls",
        "/spec/removal",
        "/spec/source/http",
        "/spec/source/http/limits",
        "/spec/source/http/tls",
        "/spec/source/platform",
        "/spec/source/prometheus",
        "/spec/source/prometheus/limits",
        "/spec/source/file",
        "/spec/source/file/limits",
        "/spec/source/dns",
        "/spec/source/dns/limits",
    ];
    let place = *choices.one_of(&places);
    let which = choices.below(objects.len());
    let Some(mapping) = objects[which].pointer_mut(place) else { return };
    let mut value = json!({ "a": ["b"] });
    damage::document(&mut value, choices);
    mapping["zzz"] = value;
    // Enough of good ones, in any order around it.
    let by = choices.below(objects.len());
    objects.rotate_left(by);
    let text: Vec<String> = objects.iter().map(Value::to_string).collect();
    let errors = read(&text.join("\n---\n")).unwrap_err();
    let path = format!("{}.zzz", place.trim_start_matches('/').replace('/', "."));
    let expected = format!("unknown field `{}`", path.trim_start_matches('.'));
    assert!(errors.iter().any(|error| error.to_string().contains(&expected)), "{expected}: {errors:?}");
}

/// Either of both, as the first choice says.
pub fn some_damage(choices: &mut Choices<'_>) {
    match choices.below(2) {
        0 => damaged(choices),
        _ => unknown_field(choices),
    }
}
