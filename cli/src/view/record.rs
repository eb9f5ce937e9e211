//! Records as lists show them, and as JSON.

use replicante_model::Timestamp;
use replicante_model::summary::Summary;
use replicante_model::time::human;
use replicante_protocol::head::Head;
use serde_json::{Value, json};

use crate::view::clusters::Row;
use crate::view::text::short;

/// What lists show of a head.
pub fn row(head: &Head) -> Row {
    let summary = Summary::parse(head.summary.as_deref());
    let refreshed = Some(summary.at).filter(|at| *at > Timestamp::ZERO);
    Row { record: head.record.clone(), summary, refreshed }
}

/// A head as JSON: what lists show, and when it is due. Names are those of the stored summary.
pub fn json(head: &Head) -> Value {
    let summary = Summary::parse(head.summary.as_deref());
    let mut value = serde_json::to_value(&summary).unwrap_or_default();
    let fields = json!({
        "record": head.record.key(),
        "namespace": head.record.namespace,
        "id": head.record.id,
        "enabled": head.enabled,
        "interval_ms": replicante_model::time::millis(head.interval),
        "due": head.due.rfc3339(),
        "at": (summary.at > Timestamp::ZERO).then(|| summary.at.rfc3339()),
        "epoch": head.epoch,
        "sequence": head.sequence,
        "published": head.published,
    });
    if let (Value::Object(value), Value::Object(fields)) = (&mut value, fields) {
        value.extend(fields);
    }
    value
}

/// When it runs: `every 1m, next in 12s`.
pub fn schedule(head: &Head, now: Timestamp) -> String {
    let every = human(head.interval);
    if !head.enabled {
        return format!("disabled (else every {every})");
    }
    if head.due <= now {
        return format!("every {every}, due now");
    }
    format!("every {every}, next in {}", short(head.due.since(now)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::given::cluster_head;

    #[test]
    fn a_head_as_json_has_the_names_of_the_summary() {
        insta::assert_snapshot!(serde_json::to_string_pretty(&json(&cluster_head())).unwrap(), @r#"
        {
          "agents_down": 1,
          "at": "2026-01-02T02:04:03.000Z",
          "due": "2026-01-02T02:05:03.000Z",
          "enabled": true,
          "epoch": 1767315845,
          "health": "degraded",
          "id": "orders",
          "interval_ms": 60000,
          "kinds": [
            "Kafka"
          ],
          "ms": 12,
          "name": "Orders [31mEU",
          "namespace": "default",
          "nodes": 3,
          "outcome": "ok",
          "primaries": 2,
          "published": 0,
          "record": "cluster/default/orders",
          "sequence": 42,
          "shards": 2
        }
        "#);
    }
}
