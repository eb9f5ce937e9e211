//! Actions of agents, over real HTTP: scripted actions give exactly the expected events.

use replicante_fleet::{ActionsMode, Change, Endpoint, Kind};
use replicante_model::change::Change as Told;
use replicante_protocol::machine::Outcome;
use replicante_tests::System;

/// Short limits, so that what hangs ends soon.
const AGENTS: &str = "  agents: { timeout: 300ms, connect_timeout: 300ms, node_timeout: 2s }\n";
/// One of each protocol.
const KINDS: [Kind; 2] = [Kind::Zookeeper, Kind::Mongodb];

/// A system with one cluster of three whose agents have actions; these are on `node-1` at the first contact.
async fn system(kind: Kind, actions: &[(&str, &str)]) -> System {
    with_actions(System::start().await.unwrap(), kind, actions).await
}

async fn with_actions(system: System, kind: Kind, actions: &[(&str, &str)]) -> System {
    system.add_cluster("c", kind, 3).unwrap();
    for node in ["node-1", "node-2", "node-3"] {
        system.fleet.apply(Change::actions("c", node, ActionsMode::Listed)).unwrap();
    }
    for (id, state) in actions {
        act(&system, id, state);
    }
    system.apply_discovery(AGENTS).await.unwrap();
    system.discover().await;
    assert_eq!(told(&system).await, [""; 0], "the first contact is recorded without events");
    system
}

fn act(system: &System, id: &str, state: &str) {
    system.fleet.apply(Change::action("c", "node-1", id, state)).unwrap();
}

fn mode(system: &System, mode: ActionsMode) {
    system.fleet.apply(Change::actions("c", "node-1", mode)).unwrap();
}

fn forget(system: &System, id: &str) {
    let (cluster, node) = ("c".into(), "node-1".into());
    system.fleet.apply(Change::ForgetAction { cluster, node, action: id.into() }).unwrap();
}

/// Refreshes once; the events of actions that came of it.
async fn told(system: &System) -> Vec<String> {
    let before = all(system).await.len();
    system.refresh("c").await;
    let mut told = all(system).await.split_off(before);
    told.retain(|told| told.starts_with("action."));
    told
}

async fn all(system: &System) -> Vec<String> {
    system.check().await.unwrap().told("cluster/default/c")
}

#[tokio::test]
async fn an_action_is_told_from_its_queue_to_its_end_with_its_details() {
    for kind in KINDS {
        let system = system(kind, &[("old", "DONE"), ("first", "NEW")]).await;
        act(&system, "a", "NEW");
        assert_eq!(told(&system).await, ["action.new node-1 a"]);
        act(&system, "a", "RUNNING");
        act(&system, "first", "RUNNING");
        assert_eq!(told(&system).await, ["action.changed node-1 a", "action.changed node-1 first"]);
        assert_eq!(told(&system).await, [""; 0]);
        act(&system, "a", "FAILED");
        act(&system, "first", "DONE");
        assert_eq!(told(&system).await, ["action.finished node-1 a", "action.finished node-1 first"]);
        assert_eq!(told(&system).await, [""; 0]);

        let events = system.check().await.unwrap().events.remove("cluster/default/c").unwrap();
        let failed = events.iter().find_map(|event| match &event.change {
            Told::ActionFinished { action, before, after, .. } if action == "a" => {
                Some((event, before, after))
            }
            _ => None,
        });
        let (event, before, after) = failed.unwrap();
        assert_eq!(event.subject, "cluster/default/c/node-1/a");
        assert_eq!((before.state.as_str(), after.state.as_str()), ("RUNNING", "FAILED"));
        assert_eq!((before.finished, after.finished), (false, true));
        let details = &after.details;
        assert!(details.created_at.is_some() && details.finished_at.is_some(), "{details:?}");
        assert_eq!(details.requester.is_some(), kind == Kind::Zookeeper, "{details:?}");
        assert_eq!(details.error.is_some(), kind == Kind::Mongodb, "{details:?}");
    }
}

#[tokio::test]
async fn an_action_that_finished_between_two_refreshes_is_new_and_finished_whatever_the_order_of_the_list() {
    for kind in KINDS {
        for order in [ActionsMode::Listed, ActionsMode::Reversed] {
            let system = system(kind, &[("old", "DONE")]).await;
            mode(&system, order);
            assert_eq!(told(&system).await, [""; 0], "the order is no change");
            act(&system, "b", "DONE");
            act(&system, "a", "FAILED");
            let expected = ["new node-1 a", "finished node-1 a", "new node-1 b", "finished node-1 b"];
            assert_eq!(told(&system).await, expected.map(|told| format!("action.{told}")));
            assert_eq!(told(&system).await, [""; 0]);
        }
    }
}

#[tokio::test]
async fn an_unfinished_action_that_is_no_longer_listed_is_lost() {
    for kind in KINDS {
        let system = system(kind, &[("a", "RUNNING"), ("b", "DONE")]).await;
        forget(&system, "a");
        forget(&system, "b");
        assert_eq!(told(&system).await, ["action.lost node-1 a"]);
        assert_eq!(told(&system).await, [""; 0]);
    }
}

#[tokio::test]
async fn actions_that_are_switched_off_are_none_and_no_failure() {
    for kind in KINDS {
        let system = system(kind, &[]).await;
        for node in ["node-1", "node-2", "node-3"] {
            system.fleet.apply(Change::actions("c", node, ActionsMode::Off)).unwrap();
        }
        assert_eq!(told(&system).await, [""; 0]);
        let before = all(&system).await;
        assert_eq!(told(&system).await, [""; 0]);
        assert_eq!(all(&system).await, before, "nor is anything else told");
        assert!(system.state("c").await.unwrap().actions.is_empty());
        act(&system, "a", "DONE");
        assert_eq!(told(&system).await, [""; 0], "switched on again: a first contact");
        act(&system, "b", "NEW");
        assert_eq!(told(&system).await, ["action.new node-1 b"]);
        mode(&system, ActionsMode::Off);
        assert_eq!(told(&system).await, ["action.lost node-1 b"]);
    }
}

#[tokio::test]
async fn actions_that_fail_or_hang_leave_the_node_up_and_what_is_known_as_it_was() {
    for kind in KINDS {
        for broken in [ActionsMode::Failing, ActionsMode::Hanging] {
            let system = system(kind, &[("a", "NEW")]).await;
            let known = system.state("c").await.unwrap().actions;
            let before = all(&system).await;
            mode(&system, broken);
            for _ in 0..2 {
                system.refresh("c").await;
            }
            assert_eq!(all(&system).await, before, "{kind:?} {broken:?}: no event at all");
            let state = system.state("c").await.unwrap();
            assert_eq!(state.actions, known);
            assert_eq!(state.view.unwrap().nodes["node-1"].status.as_str(), "up");
            act(&system, "a", "DONE");
            mode(&system, ActionsMode::Listed);
            assert_eq!(told(&system).await, ["action.finished node-1 a"]);
        }
    }
}

#[tokio::test]
async fn of_more_than_256_actions_the_known_ones_are_told_and_none_is_told_twice() {
    for kind in KINDS {
        let system = system(kind, &[]).await;
        for id in 0..300 {
            act(&system, &format!("a{id:03}"), "NEW");
        }
        let mut seen = told(&system).await;
        assert_eq!(seen.len(), 256);
        assert_eq!(told(&system).await, [""; 0]);
        for id in 0..300 {
            act(&system, &format!("a{id:03}"), "DONE");
        }
        let finished = told(&system).await;
        assert_eq!(finished.iter().filter(|told| told.starts_with("action.finished")).count(), 256);
        seen.extend(finished);
        seen.extend(told(&system).await);
        assert_eq!(seen.len(), 512, "the others finished unseen, and are no news");
        seen.sort();
        seen.dedup();
        assert_eq!(seen.len(), 512);
        assert_eq!(system.state("c").await.unwrap().actions["node-1"].known.len(), 256);
    }
}

#[tokio::test]
async fn a_steady_node_with_actions_costs_two_requests_more_and_no_more_write_units() {
    for kind in KINDS {
        // Other emulators count capacity in their own way.
        let embedded = System::start_embedded(None).await.unwrap();
        let system = with_actions(embedded, kind, &[("a", "DONE"), ("b", "RUNNING")]).await;
        let asked = |system: &System| {
            let requests = system.fleet.requests();
            [Endpoint::ActionsQueue, Endpoint::ActionsFinished, Endpoint::ActionInfo]
                .map(|endpoint| requests[&endpoint])
        };
        system.reports();
        let before = asked(&system);
        system.refresh("c").await;
        let after = asked(&system);
        assert_eq!([after[0] - before[0], after[1] - before[1], after[2] - before[2]], [3, 3, 0]);
        let report = &system.reports()[0];
        assert_eq!(report.outcome, Outcome::Unchanged);
        assert_eq!(report.cost.write_units, 2.0, "claim and release; the scheduler's mark is the third");
        assert_eq!(report.cost.stream_requests, 0);
    }
}
