//! Records as lists show them, and as JSON.

use replicante_model::Timestamp;
use replicante_model::pause::{Pause, Pauses};
use replicante_model::summary::Summary;
use replicante_model::time::human;
use replicante_objects::Object;
use replicante_protocol::head::Head;
use serde::Serialize;
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

/// Everything that is stored of a record, as JSON.
pub fn stored<S: Serialize>(
    head: &Head,
    object: Option<&Object>,
    state: Option<&S>,
    pauses: &Pauses,
    now: Timestamp,
) -> Value {
    json!({ "head": json_at(head, pauses, now), "object": object, "state": state })
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
    use crate::files::parse_text;
    use crate::view::given::{NOW, cluster_head, pause, state, written};
    use replicante_model::view::ClusterState;
    use std::time::Duration;

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

    #[test]
    fn a_head_as_json_says_what_it_is_under() {
        let mut head = cluster_head();
        head.maintenance = NOW.plus(Duration::from_secs(60));
        let pauses = Pauses { all: Some(pause()), ..Pauses::default() };
        let value = json_at(&head, &pauses, NOW);
        let told = json!({ "maintenance_until": value["maintenance_until"], "paused": value["paused"] });
        insta::assert_snapshot!(written(&told).0, @r#"
        {
          "maintenance_until": "2026-01-02T02:05:05.000Z",
          "paused": {
            "actor": "ann",
            "reason": "new racks",
            "since": "2026-01-02T02:04:05.000Z",
            "until": "2026-01-02T03:04:05.000Z"
          }
        }
        "#);
    }

    #[test]
    fn everything_that_is_stored_of_a_cluster_is_shown_to_programs() {
        let (head, state) = (cluster_head(), state());
        let text = "apiVersion: replicante.io/v0\nkind: Cluster\nmetadata: { name: orders }\nspec: { interval: 90m }\n";
        let object = parse_text("x", text, Duration::from_secs(60)).unwrap().remove(0);
        let value = stored(&head, Some(&object), Some(&state), &Pauses::default(), NOW);
        let (json, yaml) = written(&value);
        insta::assert_snapshot!(json, @r#"
        {
          "head": {
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
          },
          "object": {
            "kind": "Cluster",
            "metadata": {
              "name": "orders",
              "namespace": "default"
            },
            "spec": {
              "enabled": true,
              "interval": 5400000
            }
          },
          "state": {
            "counters": {},
            "last_event": 0,
            "read_at": 1767319355000,
            "readings": {
              "node-1": {
                "last_seen": "2026-01-02T02:02:35.000Z",
                "shards": {
                  "orders/0": {}
                }
              },
              "node-2": {
                "last_seen": "2026-01-02T02:02:35.000Z",
                "shards": {
                  "orders/0": {
                    "lag": {
                      "unit": "offset",
                      "value": 10
                    }
                  }
                }
              },
              "node-3": {
                "last_seen": "2026-01-02T02:02:35.000Z",
                "shards": {
                  "orders/0": {}
                },
                "stale": true
              }
            },
            "snapshots": {
              "commits": 0,
              "last": 0
            },
            "view": {
              "conflicts": [
                {
                  "conflict": "node_id",
                  "node": "node-2",
                  "reported": "b7:9092"
                }
              ],
              "discovery": "fleet",
              "display_name": "Orders \u001b[31mEU",
              "health": "degraded",
              "nodes": {
                "node-1": {
                  "address": "http://10.0.0.1:8000",
                  "agent": {
                    "api": "v1",
                    "version": {
                      "number": "0.6.0"
                    }
                  },
                  "details": {
                    "kind": "Kafka",
                    "node_id": "b1:9092",
                    "version": "3.7.0"
                  },
                  "shards": {
                    "clicks/0": "primary",
                    "orders/0": "primary"
                  },
                  "status": "up"
                },
                "node-2": {
                  "address": "http://10.0.0.2:8000",
                  "agent": {
                    "api": "v1",
                    "version": {
                      "number": "0.6.0"
                    }
                  },
                  "details": {
                    "kind": "Kafka",
                    "node_id": "b2:9092",
                    "version": "3.7.0"
                  },
                  "shards": {
                    "orders/0": "secondary"
                  },
                  "status": "up"
                },
                "node-3": {
                  "address": "http://10.0.0.3:8000",
                  "agent": {
                    "api": "v1",
                    "version": {
                      "number": "0.6.0"
                    }
                  },
                  "details": {
                    "kind": "Kafka",
                    "node_id": "b3:9092",
                    "version": "3.7.0"
                  },
                  "reason": "connection refused",
                  "shards": {
                    "orders/0": "recovering"
                  },
                  "status": "agent_down"
                }
              },
              "primaries": {
                "orders/0": {
                  "node": "node-1",
                  "state": "elected"
                }
              },
              "record": {
                "node-1": "http://10.0.0.1:8000",
                "node-2": "http://10.0.0.2:8000",
                "node-3": "http://10.0.0.3:8000"
              }
            }
          }
        }
        "#);
        insta::assert_snapshot!(yaml, @r#"
        head:
          agents_down: 1
          at: "2026-01-02T02:04:03.000Z"
          due: "2026-01-02T02:05:03.000Z"
          enabled: true
          epoch: 1767315845
          health: degraded
          id: orders
          interval_ms: 60000
          kinds:
          - Kafka
          ms: 12
          name: Orders [31mEU
          namespace: default
          nodes: 3
          outcome: ok
          primaries: 2
          published: 0
          record: cluster/default/orders
          sequence: 42
          shards: 2
        object:
          kind: Cluster
          metadata:
            name: orders
            namespace: default
          spec:
            enabled: true
            interval: 5400000
        state:
          counters: {}
          last_event: 0
          read_at: 1767319355000
          readings:
            node-1:
              last_seen: "2026-01-02T02:02:35.000Z"
              shards:
                orders/0: {}
            node-2:
              last_seen: "2026-01-02T02:02:35.000Z"
              shards:
                orders/0:
                  lag:
                    unit: offset
                    value: 10
            node-3:
              last_seen: "2026-01-02T02:02:35.000Z"
              shards:
                orders/0: {}
              stale: true
          snapshots:
            commits: 0
            last: 0
          view:
            conflicts:
            - conflict: node_id
              node: node-2
              reported: b7:9092
            discovery: fleet
            display_name: "Orders \e[31mEU"
            health: degraded
            nodes:
              node-1:
                address: http://10.0.0.1:8000
                agent:
                  api: v1
                  version:
                    number: "0.6.0"
                details:
                  kind: Kafka
                  node_id: b1:9092
                  version: "3.7.0"
                shards:
                  clicks/0: primary
                  orders/0: primary
                status: up
              node-2:
                address: http://10.0.0.2:8000
                agent:
                  api: v1
                  version:
                    number: "0.6.0"
                details:
                  kind: Kafka
                  node_id: b2:9092
                  version: "3.7.0"
                shards:
                  orders/0: secondary
                status: up
              node-3:
                address: http://10.0.0.3:8000
                agent:
                  api: v1
                  version:
                    number: "0.6.0"
                details:
                  kind: Kafka
                  node_id: b3:9092
                  version: "3.7.0"
                reason: connection refused
                shards:
                  orders/0: recovering
                status: agent_down
            primaries:
              orders/0:
                node: node-1
                state: elected
            record:
              node-1: http://10.0.0.1:8000
              node-2: http://10.0.0.2:8000
              node-3: http://10.0.0.3:8000
        "#);
        let unseen = stored::<ClusterState>(&head, None, None, &Pauses::default(), NOW);
        assert_eq!((&unseen["object"], &unseen["state"]), (&Value::Null, &Value::Null));
    }
}
