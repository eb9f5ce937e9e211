//! "What an answer means" (agents.md), the transitions (events.md), failures and successes in a row, and what is
//! volatile.

use std::time::Duration;

use replicante_model::change::Change;
use replicante_model::observation::{Failure, Observation, Role};
use replicante_model::view::{Health, NodeCounters, NodeStatus};

use crate::given::{agent, agent_down, foreign, heard, item, node_down, offset, report, up, up_with, url};
use crate::history::History;

const MINUTE: Duration = Duration::from_secs(60);

fn shards() -> Vec<(&'static str, Role)> {
    vec![("s1", Role::Primary), ("s2", Role::Secondary)]
}

fn one_up() -> History {
    History::after(item(&["n1"]), &heard([("n1", up("n1", &shards()))]))
}

#[test]
fn an_agent_that_fails_is_agent_down_with_the_reason() {
    let mut history = one_up();
    assert_eq!(
        history.refresh(&heard([("n1", agent_down())])).names(),
        ["agent.down", "cluster.health_changed"]
    );
    let reason = "connection refused".to_string();
    assert_eq!(history.node("n1").status, NodeStatus::AgentDown { reason });
    assert_eq!(history.view().health, Some(Health::Unknown));
}

#[test]
fn an_agent_that_answers_for_a_store_that_does_not_is_node_down_with_the_reason() {
    let mut history = one_up();
    assert_eq!(
        history.refresh(&heard([("n1", node_down())])).names(),
        ["node.down", "cluster.health_changed"]
    );
    let reason = "info/datastore: status 500".to_string();
    assert_eq!(history.node("n1").status, NodeStatus::NodeDown { reason });
    assert_eq!(history.view().health, Some(Health::Down));
}

#[test]
fn a_node_that_answers_for_another_cluster_is_in_conflict_and_its_data_stays_out_of_the_view() {
    let mut history = one_up();
    let known = history.node("n1").clone();
    let other = up_with("n1", |report| {
        report.cluster_id = "billing".into();
        report.display_name = Some("Billing".into());
        report.node.kind = "mongo.replica".into();
        report.shards = crate::given::report("n1", &[("b1", Role::Primary)]).shards;
    });
    let commit = history.refresh(&heard([("n1", other)]));
    assert_eq!(commit.names(), ["node.down", "cluster.identity_conflict", "cluster.health_changed"]);
    let node = history.node("n1");
    assert_eq!(node.status.as_str(), "conflict");
    assert_eq!(
        (&node.details, &node.shards, &node.cluster_name),
        (&known.details, &known.shards, &known.cluster_name)
    );
    assert!(history.readings("n1").stale);
    assert_eq!(history.view().display_name, None);
}

#[test]
fn a_node_of_which_all_answer_is_up_with_what_it_reported() {
    let history = one_up();
    let node = history.node("n1");
    assert_eq!(node.status, NodeStatus::Up);
    assert_eq!(node.agent, Some(agent("0.6.0")));
    assert_eq!(node.details, Some(report("n1", &[]).node));
    assert_eq!(node.shards.len(), 2);
    assert_eq!(history.view().health, Some(Health::Healthy));
    assert!(!history.readings("n1").stale);
}

/// The sentence of events.md, and the same for a node in conflict, which counts as node down.
#[test]
fn each_transition_of_a_status_has_the_originals_name() {
    let states = |state: &str| match state {
        "agent down" => agent_down(),
        "node down" => node_down(),
        "conflict" => foreign("n1", "billing"),
        _ => up("n1", &[]),
    };
    for (before, after, name) in [
        ("agent down", "up", "agent.up"),
        ("agent down", "node down", "node.down"),
        ("agent down", "conflict", "node.down"),
        ("node down", "up", "node.up"),
        ("node down", "agent down", "agent.down"),
        ("node down", "conflict", "node.down"),
        ("up", "agent down", "agent.down"),
        ("up", "node down", "node.down"),
        ("up", "conflict", "node.down"),
        ("conflict", "up", "node.up"),
        ("conflict", "agent down", "agent.down"),
        ("conflict", "node down", "node.down"),
    ] {
        let mut history = History::after(item(&["n1"]), &heard([("n1", states(before))]));
        let was = history.node("n1").status.clone();
        let commit = history.refresh(&heard([("n1", states(after))]));
        let transitions: Vec<_> = commit
            .changes
            .iter()
            .filter(|change| matches!(change.name(), "agent.up" | "agent.down" | "node.up" | "node.down"))
            .collect();
        let [transition] = transitions.as_slice() else {
            panic!("{before} -> {after}: {:?}", commit.names())
        };
        assert_eq!(transition.name(), name, "{before} -> {after}");
        let (Change::AgentUp { before: b, after: a, .. }
        | Change::AgentDown { before: b, after: a, .. }
        | Change::NodeUp { before: b, after: a, .. }
        | Change::NodeDown { before: b, after: a, .. }) = transition
        else {
            panic!("no transition");
        };
        assert_eq!((b, a), (&was, &history.node("n1").status), "it carries before and after");
    }
}

#[test]
fn a_newly_seen_agent_starts_as_down_and_goes_to_what_was_found() {
    for (found, names) in [
        (up("n1", &shards()), vec!["agent.info_new", "node.new", "agent.up", "shard.new", "shard.new"]),
        (agent_down(), vec!["agent.down"]),
        (node_down(), vec!["node.down"]),
    ] {
        let mut history = History::of(item(&["n1"]));
        let commit = history.refresh(&heard([("n1", found)]));
        let mut expected = vec!["cluster.new", "agent.new"];
        expected.extend(names);
        expected.push("cluster.health_changed");
        assert_eq!(commit.names(), expected);
        assert!(matches!(&commit.changes[1], Change::AgentNew { address, .. } if *address == url("n1")));
    }
}

#[test]
fn the_same_failure_is_no_change_at_the_next_refresh_and_another_reason_is_one() {
    let mut history = one_up();
    history.refresh(&heard([("n1", agent_down())]));
    assert!(history.refresh(&heard([("n1", agent_down())])).is_nothing());
    let timeout =
        Observation::AgentDown { reason: "timeout after 10 s".into(), failure: Failure::Unanswered };
    assert_eq!(history.refresh(&heard([("n1", timeout)])).names(), ["agent.down"]);
}

#[test]
fn going_down_keeps_details_and_shards_marks_them_stale_and_emits_nothing_for_shards() {
    for down in [agent_down(), node_down()] {
        let mut history = one_up();
        let known = history.node("n1").clone();
        let commit = history.refresh(&heard([("n1", down)]));
        assert!(commit.names().iter().all(|name| !name.starts_with("shard.")), "{:?}", commit.names());
        let node = history.node("n1");
        assert_eq!((&node.agent, &node.details, &node.shards), (&known.agent, &known.details, &known.shards));
        assert!(history.readings("n1").stale);
        let back = history.refresh(&heard([("n1", up("n1", &shards()))]));
        assert!(back.names().iter().all(|name| !name.starts_with("shard.")), "they are where they were");
        assert!(!history.readings("n1").stale);
    }
}

#[test]
fn a_node_that_was_not_reached_keeps_its_last_state_marked_stale_without_an_event() {
    let mut history = one_up();
    let known = history.node("n1").clone();
    for not_polled in [heard([("n1", Observation::NotPolled)]), heard([])] {
        history.pass(history.rules.readings_age);
        let commit = history.refresh(&not_polled);
        assert_eq!(commit.names(), [""; 0]);
        assert_eq!(history.node("n1"), &known);
        assert!(history.readings("n1").stale);
        history.pass(history.rules.readings_age);
        history.refresh(&heard([("n1", up("n1", &shards()))]));
        assert!(!history.readings("n1").stale);
    }
}

#[test]
fn a_node_is_called_down_after_so_many_failures_in_a_row_and_no_sooner() {
    let mut history = one_up();
    history.input.agents.failures_before_down = 3;
    let failures = |history: &History| history.state.counters.nodes.get("n1").map(|row| row.failures);
    let down = heard([("n1", agent_down())]);
    for failed in 1..=2 {
        let commit = history.refresh(&down);
        assert_eq!(commit.names(), [""; 0]);
        assert!(commit.store, "a count is stored without an event");
        assert_eq!(failures(&history), Some(failed));
        assert_eq!(history.node("n1").status, NodeStatus::Up);
    }
    // One success in between, and it starts anew.
    assert!(history.refresh(&heard([("n1", up("n1", &shards()))])).store);
    assert_eq!(failures(&history), None);
    history.refresh(&down);
    history.refresh(&heard([("n1", node_down())]));
    // Not to be polled says nothing: the row goes on.
    assert!(history.refresh(&heard([("n1", Observation::NotPolled)])).is_nothing());
    assert_eq!(history.refresh(&down).names(), ["agent.down", "cluster.health_changed"]);
    assert!(history.refresh(&down).is_nothing(), "the count ends where it decides");
}

#[test]
fn a_node_is_called_up_after_so_many_successes_in_a_row_and_no_sooner() {
    let mut history = one_up();
    history.refresh(&heard([("n1", agent_down())]));
    history.input.agents.successes_before_up = 3;
    let answer = heard([("n1", up("n1", &[("s1", Role::Secondary)]))]);
    let known = history.node("n1").clone();
    for good in 1..=2 {
        let commit = history.refresh(&answer);
        assert_eq!(commit.names(), [""; 0]);
        assert!(commit.store, "a count is stored without an event");
        assert_eq!(
            history.state.counters.nodes["n1"],
            NodeCounters { failures: 0, successes: good, silent_since: None }
        );
        assert_eq!(history.node("n1"), &known, "what it says counts once it is up");
    }
    history.refresh(&heard([("n1", agent_down())]));
    history.refresh(&answer);
    history.refresh(&answer);
    assert_eq!(
        history.refresh(&answer).names(),
        ["agent.up", "shard.changed", "shard.removed", "cluster.health_changed"]
    );
    assert!(history.state.counters.nodes.is_empty());
    assert!(history.refresh(&answer).is_nothing());
}

#[test]
fn an_agent_may_tell_its_version_while_its_store_is_down() {
    let mut history = History::of(item(&["n1"]));
    let reason = String::from("r");
    let answer = Observation::NodeDown { reason: reason.clone(), agent: Some(agent("0.7.0")) };
    assert_eq!(
        history.refresh(&heard([("n1", answer)])).names(),
        ["cluster.new", "agent.new", "agent.info_new", "node.down", "cluster.health_changed"]
    );
    // One that does not tell takes nothing away.
    assert!(history.refresh(&heard([("n1", Observation::NodeDown { reason, agent: None })])).is_nothing());
    assert_eq!(history.node("n1").agent, Some(agent("0.7.0")));
}

#[test]
fn a_new_version_of_the_agent_or_of_the_node_is_a_change() {
    let mut history = one_up();
    let newer = up_with("n1", |answer| {
        answer.shards = report("n1", &shards()).shards;
        answer.agent = agent("0.7.0");
        answer.node.version = "3.9.0".into();
        answer.node.attributes.insert("zone".into(), "a".into());
    });
    let commit = history.refresh(&heard([("n1", newer)]));
    assert_eq!(commit.names(), ["agent.info_changed", "node.changed"]);
    let Change::NodeChanged { before, after, .. } = &commit.changes[1] else { panic!("no change") };
    assert_eq!(serde_json::json!(before), serde_json::json!({"version": "3.8.0", "attributes": null}));
    assert_eq!(
        serde_json::json!(after),
        serde_json::json!({"version": "3.9.0", "attributes": {"zone": "a"}})
    );
}

#[test]
fn a_role_is_a_change_and_offset_or_lag_alone_never_is() {
    let answer = |value, role: Role| {
        heard([(
            "n1",
            up_with("n1", |answer| {
                answer.shards = report("n1", &[("s1", role)]).shards;
                let shard = answer.shards.get_mut("s1").unwrap();
                (shard.commit_offset, shard.lag) = (offset(value), offset(value / 2));
            }),
        )])
    };
    let mut history = History::after(item(&["n1"]), &answer(1, Role::Primary));
    assert!(history.refresh(&answer(20, Role::Primary)).is_nothing());
    assert_eq!(history.refresh(&answer(20, Role::Secondary)).names(), ["shard.changed"]);
    assert_eq!(history.refresh(&heard([("n1", up("n1", &[]))])).names(), ["shard.removed"]);
}

#[test]
fn volatile_readings_are_stored_with_the_next_change_or_when_the_stored_ones_are_old() {
    let answer = |value, number: &str| {
        let number = number.to_string();
        heard([(
            "n1",
            up_with("n1", |answer| {
                answer.shards = report("n1", &[("s1", Role::Primary)]).shards;
                answer.shards.get_mut("s1").unwrap().commit_offset = offset(value);
                answer.agent = agent(&number);
            }),
        )])
    };
    let stored =
        |history: &History| history.readings("n1").shards["s1"].commit_offset.as_ref().unwrap().value;
    let mut history = History::after(item(&["n1"]), &answer(1, "1"));
    history.pass(MINUTE);
    assert!(history.refresh(&answer(2, "1")).is_nothing());
    assert_eq!(stored(&history), 1, "young ones are not worth a write");
    assert!(history.refresh(&answer(3, "2")).store);
    assert_eq!(stored(&history), 3, "written with the next change");
    let written = history.now;
    history.pass(history.rules.readings_age - Duration::from_millis(1));
    assert!(history.refresh(&answer(4, "2")).is_nothing());
    history.pass(Duration::from_millis(1));
    let commit = history.refresh(&answer(5, "2"));
    assert!(commit.store && commit.changes.is_empty());
    assert_eq!(stored(&history), 5, "written when the stored ones are old");
    assert_eq!(history.readings("n1").last_seen, Some(written.plus(history.rules.readings_age)));
}

#[test]
fn a_node_that_says_it_is_not_healthy_degrades_the_cluster_and_that_is_a_change() {
    let mut history = one_up();
    let unwell = up_with("n1", |answer| {
        answer.shards = report("n1", &shards()).shards;
        answer.node.condition = Some("JOINING_CLUSTER".into());
    });
    assert_eq!(history.refresh(&heard([("n1", unwell)])).names(), ["node.changed", "cluster.health_changed"]);
    assert_eq!(history.view().health, Some(Health::Degraded));
}
