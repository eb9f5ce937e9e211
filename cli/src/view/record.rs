//! Records as lists show them, and as JSON.

use replicante_model::Timestamp;
use replicante_model::pause::{Pause, Pauses};
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
    Row { record: head.record.clone(), summary, refreshed, pause: None, maintenance: head.maintenance }
}

/// What lists show of a head, with the pause that it is under.
pub fn row_at(head: &Head, pauses: &Pauses, now: Timestamp) -> Row {
    Row { pause: pauses.on(&head.record, now).cloned(), ..row(head) }
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

/// The same, with the pause that it is under.
pub fn json_at(head: &Head, pauses: &Pauses, now: Timestamp) -> Value {
    let mut value = json(head);
    if head.maintenance > now {
        value["maintenance_until"] = head.maintenance.rfc3339().into();
    }
    if let Some(pause) = pauses.on(&head.record, now) {
        value["paused"] = json_of_pause(pause);
    }
    value
}

/// A pause as JSON.
pub fn json_of_pause(pause: &Pause) -> Value {
    json!({
        "since": pause.since.rfc3339(), "until": pause.until.map(Timestamp::rfc3339), "reason": pause.reason,
        "actor": pause.actor,
    })
}

/// A pause in words: `until 2026-01-02T03:04:05.000Z by ann: new racks`.
pub fn paused(pause: &Pause) -> String {
    let end = pause.until.map_or_else(|| format!("since {}", pause.since), |until| format!("until {until}"));
    let why = pause.reason.as_deref().map(|reason| format!(": {reason}")).unwrap_or_default();
    format!("{end} by {}{why}", pause.actor)
}

/// When it runs: `every 1m, next in 12s`.
pub fn schedule(head: &Head, pause: Option<&Pause>, now: Timestamp) -> String {
    let every = human(head.interval);
    if !head.enabled {
        return format!("disabled (else every {every})");
    }
    if let Some(pause) = pause {
        return format!("paused {} (else every {every})", paused(pause));
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
