//! Primaries (events.md): shards that at least two nodes report, judged over the nodes that are up in this refresh.

use replicante_model::change::Change;
use replicante_model::observation::{Observation, Role};
use replicante_model::view::{Health, Primary};

use crate::given::{Heard, agent_down, heard, item, node_down, up};
use crate::history::History;
use Role::{Primary as P, Recovering as R, Secondary as S};

fn roles(roles: [Role; 2]) -> Heard {
    let [first, second] = roles;
    heard([("n1", up("n1", &[("s", first)])), ("n2", up("n2", &[("s", second)]))])
}

fn with(first: Observation, role: Role) -> Heard {
    heard([("n1", first), ("n2", up("n2", &[("s", role)]))])
}

fn led_by_n1() -> History {
    History::after(item(&["n1", "n2"]), &roles([P, S]))
}

fn elected(node: &str) -> Primary {
    Primary::Elected { node: node.into() }
}

#[test]
fn another_node_as_the_only_primary_is_a_change_at_once() {
    let mut history = led_by_n1();
    assert_eq!(history.view().primaries["s"], elected("n1"));
    let commit = history.refresh(&roles([S, P]));
    assert_eq!(commit.names(), ["shard.changed", "shard.changed", "shard.primary_changed"]);
    let (before, after) = (Some(elected("n1")), elected("n2"));
    assert_eq!(commit.changes[2], Change::ShardPrimaryChanged { shard: "s".into(), before, after });
}

#[test]
fn a_shard_that_one_node_alone_reports_has_no_primary_events() {
    let mut history = History::of(item(&["n1", "n2"]));
    let one = |role| heard([("n1", up("n1", &[("s", role)])), ("n2", up("n2", &[]))]);
    for role in [P, S, S, S] {
        let commit = history.refresh(&one(role));
        assert!(commit.names().iter().all(|name| !name.starts_with("shard.primary")), "{:?}", commit.names());
    }
}

#[test]
fn a_primary_is_lost_when_every_holder_answered_and_none_leads_twice_in_a_row() {
    for lost in [roles([S, S]), with(node_down(), S)] {
        let mut history = led_by_n1();
        let first = history.refresh(&lost);
        assert!(!first.names().contains(&"shard.primary_lost") && first.store, "once is counted");
        let second = history.refresh(&lost);
        assert_eq!(second.names()[0], "shard.primary_lost");
        assert_eq!(history.view().primaries["s"], Primary::Lost { last: Some("n1".into()) });
        assert_eq!(history.view().health, Some(Health::Degraded));
        assert!(history.refresh(&lost).is_nothing());
        let back = history.refresh(&roles([P, S]));
        assert!(back.names().contains(&"shard.primary_changed"), "the same node may lead again");
        assert_eq!(history.view().health, Some(Health::Healthy));
    }
}

#[test]
fn a_primary_is_lost_when_all_that_is_left_of_a_shard_is_recovering() {
    let other = || Role::Other("ROLLBACK".into());
    for lost in [roles([R, R]), roles([other(), other()])] {
        let mut history = led_by_n1();
        history.refresh(&lost);
        assert_eq!(history.refresh(&lost).names(), ["shard.primary_lost", "cluster.health_changed"]);
    }
}

#[test]
fn a_shard_that_never_had_a_primary_is_lost_unless_its_store_knows_none() {
    let peer = || Role::Other("peer".into());
    for (first, second, lost) in [(S, S, true), (R, R, true), (peer(), peer(), false)] {
        let mut history = History::of(item(&["n1", "n2"]));
        history.settle(&roles([first, second]));
        let expected = lost.then_some(Primary::Lost { last: None });
        assert_eq!(history.view().primaries.get("s"), expected.as_ref());
    }
}

#[test]
fn a_lost_primary_degrades_the_cluster_only_while_two_nodes_hold_the_shard() {
    let mut history = led_by_n1();
    history.settle(&roles([S, S]));
    assert_eq!(history.view().health, Some(Health::Degraded));
    history.input = item(&["n2"]);
    history.refresh(&roles([S, S]));
    assert_eq!(history.view().health, Some(Health::Healthy));
}

#[test]
fn a_holder_that_did_not_answer_never_loses_a_primary_and_ends_the_row() {
    let mut history = led_by_n1();
    for silent in [agent_down(), Observation::NotPolled, crate::given::foreign("n1", "billing")] {
        for _ in 0..3 {
            history.refresh(&with(silent.clone(), S));
        }
        assert_eq!(history.view().primaries["s"], elected("n1"));
    }
    let mut history = led_by_n1();
    history.refresh(&roles([S, S]));
    history.refresh(&with(Observation::NotPolled, S));
    history.refresh(&roles([S, S]));
    assert_eq!(history.view().primaries["s"], elected("n1"), "not in a row");
}

#[test]
fn two_primaries_are_a_conflict_when_seen_twice_in_a_row_and_a_fail_over_seen_half_way_is_none() {
    let mut history = led_by_n1();
    history.refresh(&roles([P, P]));
    history.refresh(&roles([S, P]));
    history.refresh(&roles([P, P]));
    assert_eq!(history.view().primaries["s"], elected("n2"), "half way");
    let commit = history.refresh(&roles([P, P]));
    assert_eq!(commit.names(), ["shard.primary_conflict", "cluster.health_changed"]);
    let nodes = vec!["n1".to_string(), "n2".to_string()];
    assert_eq!(history.view().primaries["s"], Primary::Conflict { nodes });
    assert!(history.refresh(&roles([P, P])).is_nothing());
}

#[test]
fn only_nodes_that_are_up_in_this_refresh_lead() {
    let mut history = led_by_n1();
    // n1's last known role is primary, and says nothing once it is silent.
    let commit = history.refresh(&with(agent_down(), P));
    assert!(commit.names().contains(&"shard.primary_changed"), "{:?}", commit.names());
    assert_eq!(history.view().primaries["s"], elected("n2"));
}

#[test]
fn a_missing_node_is_no_holder() {
    let mut history = led_by_n1();
    history.input = item(&["n2"]);
    for role in [S, S, S, P, P] {
        history.refresh(&with(Observation::NotPolled, role));
        assert_eq!(history.view().primaries["s"], elected("n1"), "one holder is left: no verdict");
    }
    assert_eq!(history.view().health, Some(Health::Healthy));
    // Two are left, both answered: what the missing one may be does not matter.
    let three = |first| {
        let mut answers = with(up("n1", &[("s", first)]), S);
        answers.insert("n3".into(), up("n3", &[("s", S)]));
        answers
    };
    let mut history = History::after(item(&["n1", "n2", "n3"]), &three(P));
    history.input = item(&["n2", "n3"]);
    history.settle(&three(P));
    assert_eq!(history.view().primaries["s"], Primary::Lost { last: Some("n1".into()) });
}

#[test]
fn a_shard_that_moves_keeps_what_is_known_of_its_primary_and_one_that_is_gone_does_not() {
    let nodes = ["n1", "n2", "n3", "n4"];
    let on = |holders: &[&str]| -> Heard {
        nodes
            .iter()
            .map(|node| {
                let shards = if holders.contains(node) {
                    vec![("s", if holders[0] == *node { P } else { S })]
                } else {
                    vec![]
                };
                ((*node).to_string(), up(node, &shards))
            })
            .collect()
    };
    let mut history = History::after(item(&nodes), &on(&["n1", "n2"]));
    let commit = history.refresh(&on(&["n3", "n4"]));
    let (before, after) = (Some(elected("n1")), elected("n3"));
    let change = Change::ShardPrimaryChanged { shard: "s".into(), before, after };
    assert!(commit.changes.contains(&change), "{:?}", commit.changes);
    history.refresh(&on(&[]));
    assert!(history.view().primaries.is_empty());
}
