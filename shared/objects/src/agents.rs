//! How the agents' settings are written in a discovery.

use replicante_model::record::{AgentApi, AgentSettings, ClusterIdCheck, TlsSettings};

use crate::error::Problem;
use crate::fields::Fields;
use crate::reference::Reference;
use crate::tree::Value;
use crate::values::{KIB, MIB};

/// Reads `spec.agents`. What is absent has the model's default.
pub(crate) fn read(fields: &mut Fields<'_>) -> AgentSettings {
    let default = AgentSettings::default();
    let count = |count: u64| u32::try_from(count).unwrap_or(u32::MAX);
    AgentSettings {
        api: read_api(fields),
        timeout: fields.timeout("timeout").unwrap_or(default.timeout),
        connect_timeout: fields.timeout("connect_timeout").unwrap_or(default.connect_timeout),
        node_timeout: fields.timeout("node_timeout").unwrap_or(default.node_timeout),
        failures_before_down: fields
            .whole("failures_before_down", 1..=1000)
            .map_or(default.failures_before_down, count),
        successes_before_up: fields
            .whole("successes_before_up", 1..=1000)
            .map_or(default.successes_before_up, count),
        cluster_id: read_cluster_id(fields),
        max_body: fields.size("max_body", KIB..=256 * MIB).unwrap_or(default.max_body),
        tls: fields.nested("tls", read_tls).unwrap_or_default(),
    }
}

fn read_api(fields: &mut Fields<'_>) -> Option<AgentApi> {
    let entry = fields.take("api")?;
    match &entry.node.value {
        Value::Text(text) if text == "auto" => None,
        Value::Text(text) if text == "v1" => Some(AgentApi::V1),
        Value::Text(text) if text == "v2" => Some(AgentApi::V2),
        Value::Integer(1) => Some(AgentApi::V1),
        Value::Integer(2) => Some(AgentApi::V2),
        _ => {
            fields.refuse(entry, "auto, v1 or v2");
            None
        }
    }
}

fn read_cluster_id(fields: &mut Fields<'_>) -> ClusterIdCheck {
    let Some(entry) = fields.take("cluster_id") else { return ClusterIdCheck::default() };
    match &entry.node.value {
        Value::Text(text) if text == "check" => ClusterIdCheck::Check,
        Value::Text(text) if text == "ignore" => ClusterIdCheck::Ignore,
        _ => {
            fields.refuse(entry, "check or ignore");
            ClusterIdCheck::default()
        }
    }
}

/// Reads a `tls` mapping: of agents or of a source.
pub(crate) fn read_tls(fields: &mut Fields<'_>) -> TlsSettings {
    TlsSettings {
        ca_bundle: read_reference(fields, "ca_bundle"),
        client_certificate: read_reference(fields, "client_certificate"),
    }
}

/// A reference, kept as its text. Anything else may be key material, and is not shown.
fn read_reference(fields: &mut Fields<'_>, name: &'static str) -> Option<String> {
    const EXPECTED: &str = "env:NAME, ssm:/name or file:/path";
    let entry = fields.take(name)?;
    if let Value::Text(text) = &entry.node.value
        && let Ok(reference) = text.parse::<Reference>()
    {
        return Some(reference.to_string());
    }
    let field = fields.field(name);
    match &entry.node.value {
        Value::Null => fields.refuse(entry, format!("a reference: {EXPECTED}")),
        _ => fields.errors.push(entry.line, Problem::SecretInTheOpen { field, expected: EXPECTED }),
    }
    None
}
