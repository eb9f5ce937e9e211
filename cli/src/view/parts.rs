//! The parts of many clusters: nodes, shards, actions.

use std::collections::{BTreeMap, BTreeSet};

use replicante_model::RecordName;
use replicante_model::actions::ActionView;
use replicante_model::observation::Role;
use replicante_model::view::{ClusterState, NodeView};
use serde_json::{Value, json};

use crate::view::change::{agent, of_action, primary};
use crate::view::cluster::status;
use crate::view::event::name;
use crate::view::style::Tone;
use crate::view::table::{Cell, table};
use crate::view::text::list;

/// Names of a list that are shown.
const NAMES: usize = 5;

/// The nodes. Wide, with what their source says of them, where it says something of any.
pub fn nodes(nodes: &[(&RecordName, &str, &NodeView)], wide: bool, most: Option<usize>) -> Vec<String> {
    let has_labels = wide && nodes.iter().any(|(_, _, node)| !node.labels.is_empty());
    let row = |(record, id, node): &(&RecordName, &str, &NodeView)| {
        let details = node.details.as_ref();
        let leads = node.shards.values().filter(|role| **role == Role::Primary).count();
        let condition = details.and_then(|details| details.condition.as_deref());
        let mut cells = vec![
            Cell::text(name(record)),
            Cell::text(*id),
            status(node),
            Cell::text(details.map_or("-", |details| &details.kind)),
            Cell::text(details.map_or("-", |details| &details.version)),
            Cell::text(node.agent.as_ref().map_or_else(|| "-".into(), agent)),
            Cell::number(node.shards.len() as u64),
            Cell::number(leads as u64),
            Cell::text(&node.address),
            Cell::text(node.status.reason().or(condition).unwrap_or("-")),
        ];
        cells.extend(has_labels.then(|| Cell::text(labels(node))));
        cells
    };
    let mut heading =
        vec!["CLUSTER", "NODE", "STATUS", "KIND", "VERSION", "AGENT", "SHARDS", "LEADS", "ADDRESS", "REASON"];
    heading.extend(has_labels.then_some("LABELS"));
    table(&heading, &nodes.iter().map(row).collect::<Vec<_>>(), most)
}

/// What its source says of a node: `node_class=kafka,rack=r1`.
fn labels(node: &NodeView) -> String {
    let labels: Vec<String> = node.labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
    if labels.is_empty() { "-".into() } else { labels.join(",") }
}

/// A node as JSON.
pub fn node_json(record: &RecordName, id: &str, node: &NodeView) -> Value {
    json!({ "cluster": record.key(), "node": id, "view": node })
}

/// A shard of a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shard<'s> {
    /// The cluster.
    pub record: &'s RecordName,
    /// The shard.
    pub id: &'s str,
    /// Who leads it, in words; nobody where it is empty.
    pub primary: String,
    /// Nodes that hold it otherwise.
    pub others: Vec<&'s str>,
}

/// The shards of clusters that some node holds that is meant.
pub fn of_clusters<'s>(
    clusters: impl IntoIterator<Item = (&'s RecordName, &'s ClusterState)>,
    is_meant: impl Fn(&NodeView) -> bool,
) -> Vec<Shard<'s>> {
    let mut all = Vec::new();
    for (record, state) in clusters {
        let Some(view) = &state.view else { continue };
        let mut shards: BTreeMap<&str, (BTreeSet<&str>, Vec<&str>, bool)> = BTreeMap::new();
        for (node, held) in &view.nodes {
            let meant = is_meant(held);
            for (shard, role) in &held.shards {
                let (leads, others, is_held) = shards.entry(shard).or_default();
                *is_held |= meant;
                if *role == Role::Primary {
                    leads.insert(node);
                } else {
                    others.push(node);
                }
            }
        }
        let shards = shards.into_iter().filter(|(_, (_, _, is_held))| *is_held);
        all.extend(shards.map(|(id, (leads, others, _))| {
            let primary = view.primaries.get(id).map_or_else(|| list(leads, NAMES), primary);
            Shard { record, id, primary, others }
        }));
    }
    all
}

/// A shard as JSON.
pub fn shard_json(shard: &Shard<'_>) -> Value {
    json!({ "cluster": shard.record.key(), "shard": shard.id, "primary": shard.primary, "others": shard.others })
}

/// The lines of shards.
pub fn shards(shards: &[Shard<'_>], most: Option<usize>) -> Vec<String> {
    let row = |shard: &Shard<'_>| {
        let nobody = shard.primary.is_empty();
        let primary = if nobody { "-" } else { &shard.primary };
        vec![
            Cell::text(name(shard.record)),
            Cell::text(shard.id),
            Cell::text(primary).toned(if nobody { Tone::Warn } else { Tone::Plain }),
            Cell::text(list(&shard.others, NAMES)),
        ]
    };
    table(&["CLUSTER", "SHARD", "PRIMARY", "OTHERS"], &shards.iter().map(row).collect::<Vec<_>>(), most)
}

/// An action of an agent.
#[derive(Clone, Copy, Debug)]
pub struct Action<'a> {
    /// The cluster.
    pub record: &'a RecordName,
    /// The node.
    pub node: &'a str,
    /// Its id.
    pub id: &'a str,
    /// What is known of it.
    pub action: &'a ActionView,
}

/// An action as JSON.
pub fn action_json(listed: &Action<'_>) -> Value {
    json!({ "cluster": listed.record.key(), "node": listed.node, "id": listed.id, "action": listed.action })
}

/// The lines of actions.
pub fn actions(actions: &[Action<'_>], most: Option<usize>) -> Vec<String> {
    let row = |listed: &Action<'_>| {
        let action = listed.action;
        vec![
            Cell::text(name(listed.record)),
            Cell::text(listed.node),
            Cell::text(listed.id),
            Cell::text(&action.state).toned(of_action(action)),
            Cell::text(&action.kind),
            Cell::text(action.details.requester.as_deref().unwrap_or("-")),
            Cell::text(action.details.error.as_deref().unwrap_or_default()),
        ]
    };
    let heading = ["CLUSTER", "NODE", "ACTION", "STATE", "KIND", "REQUESTER", "ERROR"];
    table(&heading, &actions.iter().map(row).collect::<Vec<_>>(), most)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::given::{plain, state, written};

    #[test]
    fn the_parts_of_clusters_are_tables() {
        let (record, other) =
            (RecordName::cluster("default", "orders"), RecordName::cluster("prod", "orders"));
        let mut state = state();
        let view = state.view.as_mut().unwrap();
        view.primaries.clear();
        view.nodes.get_mut("node-1").unwrap().shards.remove("clicks/0");
        view.nodes.get_mut("node-3").unwrap().shards.insert("clicks/0".into(), Role::Secondary);
        let view = state.view.as_ref().unwrap();
        let listed: Vec<(&RecordName, &str, &NodeView)> =
            view.nodes.iter().map(|(id, node)| (&record, id.as_str(), node)).collect();
        insta::assert_snapshot!(plain(&nodes(&listed, true, None)), @"
        CLUSTER  NODE    STATUS      KIND   VERSION  AGENT             SHARDS  LEADS  ADDRESS               REASON
        orders   node-1  up          Kafka  3.7.0    agent 0.6.0 (v1)       1      1  http://10.0.0.1:8000  -
        orders   node-2  up          Kafka  3.7.0    agent 0.6.0 (v1)       1      0  http://10.0.0.2:8000  -
        orders   node-3  agent down  Kafka  3.7.0    agent 0.6.0 (v1)       2      0  http://10.0.0.3:8000  connection refused
        ");
        let mut labelled = state.clone();
        let node = labelled.view.as_mut().unwrap().nodes.get_mut("node-2").unwrap();
        node.labels = [("rack".into(), "r1".into()), ("node_class".into(), "kafka".into())].into();
        let view = labelled.view.as_ref().unwrap();
        let listed: Vec<(&RecordName, &str, &NodeView)> =
            view.nodes.iter().map(|(id, node)| (&record, id.as_str(), node)).skip(1).collect();
        insta::assert_snapshot!(plain(&nodes(&listed, true, None)), @"
        CLUSTER  NODE    STATUS      KIND   VERSION  AGENT             SHARDS  LEADS  ADDRESS               REASON              LABELS
        orders   node-2  up          Kafka  3.7.0    agent 0.6.0 (v1)       1      0  http://10.0.0.2:8000  -                   node_class=kafka,rack=r1
        orders   node-3  agent down  Kafka  3.7.0    agent 0.6.0 (v1)       2      0  http://10.0.0.3:8000  connection refused  -
        ");
        assert!(!plain(&nodes(&listed, false, None)).contains("LABELS"), "of a wide table alone");
        let unseen = ClusterState::default();
        let of = of_clusters([(&record, &state), (&other, &unseen)], |_| true);
        insta::assert_snapshot!(plain(&shards(&of, None)), @"
        CLUSTER  SHARD     PRIMARY  OTHERS
        orders   clicks/0  -        node-3
        orders   orders/0  node-1   node-2 and node-3
        ");
        let held = |node: &NodeView| node.labels.contains_key("rack");
        let of = of_clusters([(&record, &labelled)], held);
        insta::assert_snapshot!(plain(&shards(&of, None)), @"
        CLUSTER  SHARD     PRIMARY  OTHERS
        orders   orders/0  node-1   node-2 and node-3
        ");
        let action =
            ActionView { kind: "store.backup".into(), state: "RUNNING".into(), ..ActionView::default() };
        let listed = [Action { record: &other, node: "node-1", id: "a1", action: &action }];
        insta::assert_snapshot!(plain(&actions(&listed, None)), @"
        CLUSTER      NODE    ACTION  STATE    KIND          REQUESTER  ERROR
        prod/orders  node-1  a1      RUNNING  store.backup  -
        ");
    }

    #[test]
    fn the_parts_of_clusters_are_lists_for_programs() {
        let record = RecordName::cluster("default", "orders");
        let state = state();
        let view = state.view.as_ref().unwrap();
        let nodes: Vec<Value> = view.nodes.iter().map(|(id, node)| node_json(&record, id, node)).collect();
        let (json, yaml) = written(&&nodes[2..]);
        insta::assert_snapshot!(json, @r#"
        [
          {
            "cluster": "cluster/default/orders",
            "node": "node-3",
            "view": {
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
          }
        ]
        "#);
        insta::assert_snapshot!(yaml, @r#"
        - cluster: cluster/default/orders
          node: node-3
          view:
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
        "#);
        let shards: Vec<Value> = of_clusters([(&record, &state)], |_| true).iter().map(shard_json).collect();
        let (json, yaml) = written(&shards);
        insta::assert_snapshot!(json, @r#"
        [
          {
            "cluster": "cluster/default/orders",
            "others": [],
            "primary": "node-1",
            "shard": "clicks/0"
          },
          {
            "cluster": "cluster/default/orders",
            "others": [
              "node-2",
              "node-3"
            ],
            "primary": "node-1",
            "shard": "orders/0"
          }
        ]
        "#);
        insta::assert_snapshot!(yaml, @"
        - cluster: cluster/default/orders
          others: []
          primary: node-1
          shard: clicks/0
        - cluster: cluster/default/orders
          others:
          - node-2
          - node-3
          primary: node-1
          shard: orders/0
        ");
        let action =
            ActionView { kind: "store.backup".into(), state: "RUNNING".into(), ..ActionView::default() };
        let listed = Action { record: &record, node: "node-1", id: "a1", action: &action };
        let (json, yaml) = written(&[action_json(&listed)]);
        insta::assert_snapshot!(json, @r#"
        [
          {
            "action": {
              "kind": "store.backup",
              "state": "RUNNING"
            },
            "cluster": "cluster/default/orders",
            "id": "a1",
            "node": "node-1"
          }
        ]
        "#);
        insta::assert_snapshot!(yaml, @"
        - action:
            kind: store.backup
            state: RUNNING
          cluster: cluster/default/orders
          id: a1
          node: node-1
        ");
    }
}
