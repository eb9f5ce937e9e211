//! Identity conflicts (events.md, agents.md): an agent answers for another cluster id, a node id is reported twice or
//! is not the one that discovery gave, or two display names are reported. And the cluster's display name.

use replicante_model::change::Change;
use replicante_model::observation::{MAX_REASON, Observation};
use replicante_model::record::ClusterIdCheck;
use replicante_model::view::{Health, IdentityConflict, NodeStatus};

use crate::given::{Heard, agent_down, foreign, heard, item, node_down, up, up_with};
use crate::history::{Commit, History};

fn conflicts(history: &History) -> Vec<IdentityConflict> {
    history.view().conflicts.iter().cloned().collect()
}

fn called(node: &str, id: &str) -> Observation {
    up_with(node, |report| report.node.node_id = id.into())
}

fn names_it(node: &str, name: Option<&str>) -> Observation {
    up_with(node, |report| report.display_name = name.map(String::from))
}

fn both_up() -> Heard {
    heard([("n1", up("n1", &[])), ("n2", up("n2", &[]))])
}

/// The conflict is reported once, degrades the cluster, stands, and is resolved by good answers.
fn comes_and_goes(trouble: &Heard, expected: &IdentityConflict) {
    let mut history = History::after(item(&["n1", "n2"]), &both_up());
    let told = |commit: &Commit, change: Change| commit.changes.contains(&change);
    let commit = history.refresh(trouble);
    assert!(told(&commit, Change::ClusterIdentityConflict(expected.clone())), "{:?}", commit.changes);
    assert_eq!(history.view().conflicts, [expected.clone()].into());
    assert_eq!(history.view().health, Some(Health::Degraded));
    assert!(history.refresh(trouble).is_nothing(), "it is reported once");
    let commit = history.refresh(&both_up());
    assert!(told(&commit, Change::ClusterIdentityResolved(expected.clone())), "{:?}", commit.changes);
    assert_eq!(conflicts(&history), []);
    assert_eq!(history.view().health, Some(Health::Healthy));
}

#[test]
fn an_agent_that_answers_for_another_cluster_id_is_a_conflict_until_it_answers_for_this_one() {
    comes_and_goes(
        &heard([("n1", foreign("n1", "billing")), ("n2", up("n2", &[]))]),
        &IdentityConflict::ClusterId { node: "n1".into(), reported: "billing".into() },
    );
}

#[test]
fn of_an_agent_that_answers_for_another_cluster_nothing_but_the_short_reason_is_taken_in() {
    let mut history = History::after(item(&["n1", "n2"]), &both_up());
    let agent = history.view().nodes["n1"].agent.clone();
    let mut other = foreign("n1", &"ü".repeat(500));
    if let Observation::Up(report) = &mut other {
        report.agent.version.number = "9.9.9".into();
    }
    history.refresh(&heard([("n1", other), ("n2", up("n2", &[]))]));
    let node = &history.view().nodes["n1"];
    assert_eq!(node.agent, agent);
    let reason = node.status.reason().unwrap();
    assert!(reason.starts_with("answers for cluster ü") && reason.len() <= MAX_REASON, "{reason}");
}

#[test]
fn a_node_id_that_is_not_the_one_that_discovery_gave_is_a_conflict() {
    comes_and_goes(
        &heard([("n1", called("n1", "n9")), ("n2", up("n2", &[]))]),
        &IdentityConflict::NodeId { node: "n1".into(), reported: "n9".into() },
    );
}

#[test]
fn two_display_names_are_a_conflict() {
    comes_and_goes(
        &heard([("n1", names_it("n1", Some("Orders"))), ("n2", names_it("n2", Some("Sales")))]),
        &IdentityConflict::DisplayName { names: vec!["Orders".into(), "Sales".into()] },
    );
}

#[test]
fn a_node_id_that_is_reported_twice_is_a_conflict() {
    // Ids that are URLs were not given by discovery, so that only the repetition is left.
    let (a, b) = ("http://a:8000", "http://b:8000");
    let mut input = item(&[]);
    input.record.nodes = [(a.into(), a.into()), (b.into(), b.into())].into();
    let good = heard([(a, called(a, "1")), (b, called(b, "2"))]);
    let mut history = History::after(input, &good);
    assert_eq!(conflicts(&history), [], "an id that is a URL is no id that discovery gave");
    let bad = heard([(a, called(a, "1")), (b, called(b, "1"))]);
    history.refresh(&bad);
    let repeated = IdentityConflict::RepeatedNodeId { reported: "1".into(), nodes: vec![a.into(), b.into()] };
    assert_eq!(history.view().conflicts, [repeated.clone()].into());
    assert!(history.refresh(&bad).is_nothing());
    let commit = history.refresh(&good);
    assert!(commit.changes.contains(&Change::ClusterIdentityResolved(repeated)));
}

#[test]
fn a_conflict_about_a_silent_node_stands_as_it_stood() {
    let mut history = History::after(item(&["n1", "n2"]), &both_up());
    history.refresh(&heard([("n1", foreign("n1", "billing")), ("n2", called("n2", "n9"))]));
    let standing = conflicts(&history);
    assert_eq!(standing.len(), 2);
    for silent in [Observation::NotPolled, agent_down(), node_down()] {
        history.refresh(&heard([("n1", silent.clone()), ("n2", silent)]));
        assert_eq!(conflicts(&history), standing);
    }
}

#[test]
fn a_silent_node_that_answered_for_another_cluster_does_not_bring_back_what_it_said_before() {
    let mut history = History::after(item(&["n1"]), &heard([("n1", called("n1", "n9"))]));
    assert_eq!(conflicts(&history).len(), 1);
    history.refresh(&heard([("n1", foreign("n1", "billing"))]));
    let standing = [IdentityConflict::ClusterId { node: "n1".into(), reported: "billing".into() }];
    assert_eq!(conflicts(&history), standing);
    let commit = history.refresh(&heard([("n1", agent_down())]));
    assert_eq!(conflicts(&history), standing);
    assert_eq!(commit.names(), ["agent.down", "cluster.health_changed"]);
}

#[test]
fn the_setting_ignore_takes_what_the_agents_of_a_store_say_that_cannot_know() {
    let mut input = item(&["n1"]);
    input.agents.cluster_id = ClusterIdCheck::Ignore;
    let history = History::after(input, &heard([("n1", foreign("n1", "billing"))]));
    assert_eq!(history.node("n1").status, NodeStatus::Up);
    assert_eq!(conflicts(&history), []);
}

#[test]
fn a_conflict_about_a_missing_node_is_resolved() {
    for trouble in
        [foreign("n1", "billing"), called("n1", "n9"), called("n1", "n2"), names_it("n1", Some("a"))]
    {
        let other = if matches!(&trouble, Observation::Up(report) if report.display_name.is_some()) {
            names_it("n2", Some("b"))
        } else {
            up("n2", &[])
        };
        let answers = heard([("n1", trouble), ("n2", other)]);
        let mut silent = answers.clone();
        silent.remove("n1");
        // Whether its agent is still heard of makes no difference.
        for then in [&answers, &silent] {
            let mut history = History::after(item(&["n1", "n2"]), &answers);
            assert_ne!(conflicts(&history), []);
            history.input.record.nodes.remove("n1");
            history.refresh(then);
            assert_eq!(conflicts(&history), []);
        }
    }
}

#[test]
fn the_display_name_is_the_records_else_that_of_the_node_that_sorts_first() {
    let answers = heard([
        ("n1", names_it("n1", None)),
        ("n2", names_it("n2", Some("B"))),
        ("n3", names_it("n3", Some("A"))),
    ]);
    let mut history = History::after(item(&["n3", "n2", "n1"]), &answers);
    let name = |history: &History| history.view().display_name.clone();
    assert_eq!(name(&history).as_deref(), Some("B"));
    history.input.record.display_name = Some("Orders".into());
    assert_eq!(history.refresh(&answers).names(), ["cluster.changed"]);
    assert_eq!(name(&history).as_deref(), Some("Orders"));
    history.input.record.display_name = None;
    history.input.record.nodes.remove("n2");
    history.refresh(&answers);
    assert_eq!(name(&history).as_deref(), Some("A"), "a missing node names nothing");
    // It is kept while the agent is down.
    history.refresh(&heard([("n3", agent_down())]));
    assert_eq!(name(&history).as_deref(), Some("A"));
}
