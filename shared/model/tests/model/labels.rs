//! What a source says of a node beside its id and address: told, kept, and no byte where it says nothing.

use replicante_model::Timestamp;
use replicante_model::change::Change;
use replicante_model::labels::{Labels, MAX_LABEL, MAX_LABEL_NAME, MAX_LABELS, add_label};
use replicante_model::observation::{MAX_ATTRIBUTES, MAX_TEXT};
use serde_json::{Value, json};

use crate::given::{Heard, NOW, agent_down, heard, item, up, up_with};
use crate::history::{Commit, History};

fn labels(all: &[(&str, &str)]) -> Labels {
    all.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// A cluster whose source says this of its node, refreshed with that answer.
fn relabelled(history: &mut History, all: &[(&str, &str)], answers: &Heard) -> Commit {
    history.input.record.labels.remove("n1");
    if !all.is_empty() {
        history.input.record.labels.insert("n1".into(), labels(all));
    }
    history.refresh(answers)
}

fn patches(commit: &Commit) -> Value {
    assert_eq!(commit.names(), ["node.changed"], "the nodes of the record are as before");
    let Change::NodeChanged { node, before, after } = &commit.changes[0] else {
        panic!("{:?}", commit.changes)
    };
    json!([node, before, after])
}

#[test]
fn labels_come_with_the_node_and_a_change_of_them_is_a_change_of_the_node() {
    let mut input = item(&["n1"]);
    input.record.labels = [("n1".to_string(), labels(&[("rack", "r1"), ("zone", "eu")]))].into();
    let answers = heard([("n1", up("n1", &[]))]);
    let mut history = History::of(input);
    let first = history.refresh(&answers);
    let Change::AgentNew { labels: told, .. } = &first.changes[1] else { panic!("{:?}", first.changes) };
    assert_eq!(*told, labels(&[("rack", "r1"), ("zone", "eu")]));
    let Change::NodeNew { after, .. } = &first.changes[3] else { panic!("{:?}", first.changes) };
    assert!(!after.contains_key("labels"), "they were told already");
    assert!(history.refresh(&answers).is_nothing());

    let other = relabelled(&mut history, &[("rack", "r2"), ("node_class", "kafka")], &answers);
    let (before, after) = (
        json!({ "labels": { "rack": "r1", "zone": "eu", "node_class": null } }),
        json!({ "labels": { "rack": "r2", "zone": null, "node_class": "kafka" } }),
    );
    assert_eq!(patches(&other), json!(["n1", before, after]));
    let none = relabelled(&mut history, &[], &answers);
    let was = json!({ "labels": { "rack": "r2", "node_class": "kafka" } });
    assert_eq!(patches(&none), json!(["n1", was, { "labels": null }]));
    let some = relabelled(&mut history, &[("rack", "r1")], &answers);
    assert_eq!(patches(&some), json!(["n1", { "labels": null }, { "labels": { "rack": "r1" } }]));
    assert_eq!(history.node("n1").labels, labels(&[("rack", "r1")]));
}

#[test]
fn a_node_whose_agent_never_answered_has_its_labels_too() {
    let answers = heard([("n1", agent_down())]);
    let mut history = History::after(item(&["n1"]), &answers);
    let changed = relabelled(&mut history, &[("rack", "r1")], &answers);
    assert_eq!(patches(&changed)[2], json!({ "labels": { "rack": "r1" } }));
    assert!(history.node("n1").details.is_none());
}

#[test]
fn a_missing_node_keeps_its_labels() {
    let answers = heard([("n1", up("n1", &[])), ("n2", up("n2", &[]))]);
    let mut history = History::of(item(&["n1", "n2"]));
    relabelled(&mut history, &[("rack", "r1")], &answers);
    history.input.record.retain_nodes(|id, _| id != "n1");
    history.input.missing_nodes.insert("n1".into(), NOW);
    assert_eq!(history.refresh(&answers).names(), ["cluster.changed", "node.missing"]);
    assert_eq!(history.node("n1").labels, labels(&[("rack", "r1")]));
}

#[test]
fn without_labels_nothing_that_is_stored_or_told_has_a_word_of_them() {
    let answers = heard([("n1", up("n1", &[]))]);
    let history = History::after(item(&["n1"]), &answers);
    let stored = [serde_json::to_string(&history.state), serde_json::to_string(&history.input)];
    let told = history.events.iter().map(serde_json::to_string);
    assert!(stored.into_iter().chain(told).all(|json| !json.unwrap().contains("labels")));
}

#[test]
fn the_longest_labels_and_attributes_change_in_one_event() {
    let all = |letter: char| {
        let mut labels = Labels::new();
        for n in 0..MAX_LABELS {
            let value = String::from(letter).repeat(MAX_LABEL);
            add_label(&mut labels, &format!("{n:\"<width$}", width = MAX_LABEL_NAME), &value);
        }
        assert_eq!(labels.len(), MAX_LABELS);
        labels
    };
    let answers = |value: &str| {
        let attribute =
            |n: usize| (format!("{n:\"<width$}", width = MAX_TEXT), value.repeat(MAX_TEXT / value.len()));
        heard([(
            "n1",
            up_with("n1", |report| {
                report.node.attributes = (0..MAX_ATTRIBUTES).map(attribute).collect();
            }),
        )])
    };
    let mut history = History::of(item(&["n1"]));
    history.input.record.labels = [("n1".to_string(), all('😀'))].into();
    history.settle(&answers("\""));
    history.now = Timestamp(NOW.0 + 1);
    history.input.record.labels = [("n1".to_string(), all('😎'))].into();
    let changed = history.refresh(&answers("\\"));
    assert_eq!(changed.names(), ["node.changed"]);
}
