//! Discovery's word on a cluster, as its own refresh tells it: new, changed, missing and restored (events.md,
//! "Removal" and "Sources" of discovery.md).

use std::time::Duration;

use replicante_model::Timestamp;
use replicante_model::change::{Change, ClusterHeader};
use replicante_model::observation::Role;
use replicante_model::record::{DiscoveredCluster, Removal};
use replicante_model::view::{Health, NodeStatus, NodeView};

use crate::given::{NOW, agent_down, heard, item, up, url};
use crate::history::History;

fn shards() -> [(&'static str, Role); 1] {
    [("s1", Role::Other("peer".into()))]
}

fn without_n2(since: Timestamp) -> DiscoveredCluster {
    DiscoveredCluster { missing_nodes: [("n2".to_string(), since)].into(), ..item(&["n1"]) }
}

#[test]
fn the_first_refresh_of_a_cluster_tells_what_its_discovery_says() {
    let mut input = item(&["n1", "n2"]);
    input.record.display_name = Some("Orders".into());
    let commit = History::of(input).refresh(&heard([]));
    let Change::ClusterNew { after, nodes } = &commit.changes[0] else { panic!("{:?}", commit.names()) };
    let header = ClusterHeader { display_name: Some("Orders".into()), discovery: Some("fleet".into()) };
    assert_eq!(after, &header);
    assert_eq!(nodes.keys().collect::<Vec<_>>(), ["n1", "n2"]);
}

#[test]
fn a_node_that_the_source_no_longer_reports_is_missing_and_kept_and_no_longer_counts() {
    let answers = heard([("n1", up("n1", &shards())), ("n2", up("n2", &shards()))]);
    let mut history = History::after(item(&["n1", "n2"]), &answers);
    history.pass(Duration::from_secs(60));
    history.input = without_n2(history.now);
    let commit = history.refresh(&answers);
    assert_eq!(commit.names(), ["cluster.changed", "node.missing"]);
    let since = history.now;
    assert_eq!(commit.changes[1], Change::NodeMissing { node: "n2".into(), since: Some(since) });
    let node = history.node("n2");
    assert_eq!((node.missing_since, node.shards.len()), (Some(since), 1), "its last state is kept");
    assert!(history.readings("n2").stale, "and shown as stale");
    assert_eq!(history.view().health, Some(Health::Healthy));
    // What is heard of it counts no more, and the time stays.
    history.pass(Duration::from_secs(60));
    let down = heard([("n1", up("n1", &shards())), ("n2", agent_down())]);
    assert!(history.refresh(&down).is_nothing());
    assert_eq!(history.node("n2").missing_since, Some(since));
    assert_eq!(history.node("n2").status, NodeStatus::Up);
}

#[test]
fn a_node_that_is_seen_again_is_restored_as_the_same_thing_with_its_history() {
    let answers = heard([("n1", up("n1", &shards())), ("n2", up("n2", &shards()))]);
    let mut history = History::after(item(&["n1", "n2"]), &answers);
    let known = history.node("n2").clone();
    let since = history.now;
    history.input = without_n2(since);
    history.refresh(&answers);
    history.pass(Duration::from_secs(60));
    history.input = item(&["n1", "n2"]);
    let commit = history.refresh(&answers);
    assert_eq!(commit.names(), ["cluster.changed", "node.restored"]);
    assert_eq!(commit.changes[1], Change::NodeRestored { node: "n2".into(), missing_since: Some(since) });
    assert_eq!(history.node("n2"), &known);
}

#[test]
fn the_failures_of_a_missing_node_are_not_counted_on_when_it_returns() {
    let answers = heard([("n1", up("n1", &[]))]);
    let mut history = History::after(item(&["n1"]), &answers);
    history.input.agents.failures_before_down = 2;
    history.refresh(&heard([("n1", agent_down())]));
    let present = history.input.clone();
    history.input.record.nodes.clear();
    history.input.missing_nodes.insert("n1".into(), history.now);
    history.refresh(&heard([]));
    history.input = present;
    history.refresh(&heard([("n1", agent_down())]));
    assert_eq!(history.node("n1").status, NodeStatus::Up, "they were not in a row");
}

#[test]
fn a_cluster_that_the_source_no_longer_reports_is_missing_and_then_restored() {
    let answers = heard([("n1", up("n1", &shards()))]);
    let mut history = History::after(item(&["n1"]), &answers);
    let known = history.view().clone();
    let since = Some(NOW.plus(Duration::from_secs(5)));
    history.input.missing_since = since;
    let commit = history.refresh(&heard([]));
    assert_eq!(commit.changes, [Change::ClusterMissing { since }]);
    assert!(history.readings("n1").stale);
    assert!(history.refresh(&heard([])).is_nothing());
    history.input.missing_since = None;
    let commit = history.refresh(&answers);
    assert_eq!(commit.changes, [Change::ClusterRestored { missing_since: since }]);
    assert_eq!(history.view(), &known);
}

#[test]
fn a_cluster_may_be_missing_when_it_is_first_refreshed() {
    let mut input = item(&["n1"]);
    input.missing_since = Some(Timestamp(NOW.0 - 1000));
    let commit = History::of(input).refresh(&heard([]));
    assert_eq!(&commit.names()[..2], ["cluster.new", "cluster.missing"]);
}

#[test]
fn a_cluster_that_is_reported_again_is_restored_with_all_that_was_known_of_it() {
    let answers = heard([("n1", up("n1", &shards())), ("n2", agent_down())]);
    let mut history = History::after(item(&["n1", "n2"]), &answers);
    let known = history.view().clone();
    history.input.missing_since = Some(history.now);
    assert_eq!(history.refresh(&heard([])).names(), ["cluster.missing"]);
    history.input.missing_since = None;
    // Before any of its agents has answered again.
    assert_eq!(history.refresh(&heard([])).names(), ["cluster.restored"]);
    assert_eq!(*history.view(), known);
}

#[test]
fn a_new_address_under_the_same_node_id_is_the_same_node() {
    let answers = heard([("n1", up("n1", &shards()))]);
    let mut history = History::after(item(&["n1"]), &answers);
    history.input.record.nodes.insert("n1".into(), url("moved"));
    let commit = history.refresh(&answers);
    assert_eq!(commit.names(), ["cluster.changed", "node.changed"]);
    let Change::NodeChanged { before, after, .. } = &commit.changes[1] else { panic!("no change") };
    assert_eq!(
        serde_json::json!([before, after]),
        serde_json::json!([
            {"address": url("n1")},
            {"address": url("moved")}
        ])
    );
    assert_eq!(history.node("n1").shards.len(), 1);
    // What is known of it stays, though nothing was heard at its address yet.
    let known = history.node("n1").clone();
    history.input.record.nodes.insert("n1".into(), url("again"));
    assert_eq!(history.refresh(&heard([])).names(), ["cluster.changed", "node.changed"]);
    assert_eq!(*history.node("n1"), NodeView { address: url("again"), ..known });
}

#[test]
fn a_changed_record_tells_the_nodes_added_removed_and_changed() {
    let mut history = History::after(item(&["n1", "n2"]), &heard([]));
    let mut input = item(&["n2", "n3"]);
    input.record.nodes.insert("n2".into(), url("moved"));
    history.input = input;
    let commit = history.refresh(&heard([]));
    let Change::ClusterChanged { before: None, after: None, nodes } = &commit.changes[0] else {
        panic!("{:?}", commit.changes)
    };
    assert_eq!(nodes.added.keys().collect::<Vec<_>>(), ["n3"]);
    assert_eq!(nodes.removed.iter().collect::<Vec<_>>(), ["n1"]);
    assert_eq!((&nodes.changed["n2"].before, &nodes.changed["n2"].after), (&url("n2"), &url("moved")));
}

#[test]
fn a_node_that_is_removed_goes_with_its_shards_whether_it_was_missing_or_not() {
    let answers = heard([("n1", up("n1", &shards())), ("n2", up("n2", &shards()))]);
    for (missing_since, actor) in [(Some(NOW), None), (None, Some("ann".to_string()))] {
        let mut history = History::after(item(&["n1", "n2"]), &answers);
        if missing_since.is_some() {
            history.input = without_n2(NOW);
            history.refresh(&answers);
        }
        history.input = item(&["n1"]);
        history.input.forgotten_nodes.extend(actor.clone().map(|actor| ("n2".into(), actor)));
        let commit = history.refresh(&answers);
        let removed = Change::NodeRemoved { node: "n2".into(), missing_since, actor };
        assert!(commit.changes.contains(&removed), "{:?}", commit.changes);
        assert!(!history.view().nodes.contains_key("n2"));
        assert!(
            !history.state.readings.contains_key("n2") && !history.state.counters.nodes.contains_key("n2")
        );
        assert!(history.refresh(&answers).is_nothing());
        history.input = item(&["n1", "n2"]);
        assert!(history.refresh(&answers).names().contains(&"agent.new"), "it returns as something new");
    }
}

#[test]
fn the_removal_of_a_cluster_is_its_last_event_and_then_its_record_ends() {
    let answers = heard([("n1", up("n1", &shards()))]);
    let mut history = History::after(item(&["n1"]), &answers);
    history.input.missing_since = Some(NOW);
    history.input.removed = Some(Removal { at: NOW, actor: Some("ann".into()) });
    let commit = history.refresh(&heard([]));
    let removed = Change::ClusterRemoved { missing_since: Some(NOW), actor: Some("ann".into()) };
    assert_eq!(commit.changes, [Change::ClusterMissing { since: Some(NOW) }, removed]);
    assert!(commit.more && !commit.ended, "it ends once that is published");
    assert_eq!(history.state.view, None);
    let commit = history.refresh(&heard([]));
    assert!(commit.ended && commit.is_nothing());
    // Back before it has ended.
    history.input = item(&["n1"]);
    assert_eq!(history.refresh(&answers).names()[0], "cluster.new");
}

#[test]
fn a_cluster_that_is_removed_before_its_first_refresh_ends_without_a_word() {
    let mut input = item(&["n1"]);
    input.removed = Some(Removal { at: NOW, actor: None });
    let commit = History::of(input).refresh(&heard([]));
    assert!(commit.ended && commit.is_nothing());
}
