//! Actions: what of them is told, and what is only recorded.

use replicante_model::actions::{ActionsReport, MAX_ACTIONS, NodeActions, changed};
use replicante_model::observation::{Observation, Role};

use crate::given::{Heard, acting, action, agent_down, heard, item, listed, node_down, report, up};
use crate::history::History;

/// A cluster of one node with whose actions there was contact; they were these.
fn after(actions: &[(&str, &str)]) -> History {
    History::after(item(&["n1"]), &acting("n1", listed(actions)))
}

/// What a refresh tells: names and actions.
fn told(history: &mut History, heard: &Heard) -> Vec<String> {
    let changes = history.refresh(heard).changes;
    changes.iter().map(|change| format!("{} {}", change.name(), change.about().1.unwrap_or("-"))).collect()
}

fn lists(history: &mut History, actions: &[(&str, &str)]) -> Vec<String> {
    told(history, &acting("n1", listed(actions)))
}

fn ids(numbers: std::ops::Range<usize>) -> Vec<String> {
    numbers.map(|number| format!("a{number:04}")).collect()
}

fn all<'a>(ids: &'a [String], state: &'static str) -> Vec<(&'a str, &'static str)> {
    ids.iter().map(|id| (id.as_str(), state)).collect()
}

const NOTHING: [&str; 0] = [];

#[test]
fn the_first_contact_is_recorded_without_events() {
    let mut history = History::of(item(&["n1"]));
    let seen = lists(&mut history, &[("a", "NEW"), ("b", "DONE")]);
    assert!(!seen.iter().any(|told| told.starts_with("action.")), "{seen:?}");
    assert_eq!(history.state.actions["n1"].known.len(), 2);
    assert_eq!(lists(&mut history, &[("a", "NEW"), ("b", "DONE")]), NOTHING);
    // Actions that answer later than the node does are first met then.
    let mut history = History::after(item(&["n1"]), &heard([("n1", up("n1", &[]))]));
    assert!(history.state.actions.is_empty());
    let commit = history.refresh(&acting("n1", listed(&[("a", "NEW")])));
    assert!(commit.changes.is_empty() && commit.store, "recorded, not told");
}

#[test]
fn an_action_is_new_then_changed_then_finished() {
    let mut history = after(&[]);
    assert_eq!(lists(&mut history, &[("a", "NEW")]), ["action.new a"]);
    assert_eq!(lists(&mut history, &[("a", "RUNNING")]), ["action.changed a"]);
    assert!(history.refresh(&acting("n1", listed(&[("a", "RUNNING")]))).is_nothing());
    assert_eq!(lists(&mut history, &[("a", "FAILED")]), ["action.finished a"]);
    assert!(history.refresh(&acting("n1", listed(&[("a", "FAILED")]))).is_nothing());
}

#[test]
fn an_action_that_was_never_seen_unfinished_is_new_and_then_finished() {
    let mut history = after(&[]);
    assert_eq!(lists(&mut history, &[("a", "DONE")]), ["action.new a", "action.finished a"]);
    assert_eq!(lists(&mut history, &[("a", "DONE")]), NOTHING);
}

#[test]
fn an_unfinished_action_that_is_no_longer_listed_is_lost_and_a_finished_one_is_forgotten() {
    let mut history = after(&[("a", "RUNNING"), ("b", "DONE")]);
    assert_eq!(lists(&mut history, &[]), ["action.lost a"]);
    assert_eq!(history.state.actions["n1"], NodeActions::default());
    assert_eq!(lists(&mut history, &[]), NOTHING);
}

#[test]
fn switched_off_is_no_actions_and_switched_on_again_is_a_first_contact() {
    let off = acting("n1", ActionsReport::Off);
    let mut history = History::after(item(&["n1"]), &off);
    assert!(history.state.actions.is_empty());
    assert_eq!(lists(&mut history, &[("a", "NEW"), ("b", "DONE")]), NOTHING);
    assert_eq!(told(&mut history, &off), ["action.lost a"]);
    assert_eq!(lists(&mut history, &[("b", "DONE"), ("c", "NEW")]), NOTHING);
}

#[test]
fn what_is_known_stays_while_nothing_is_heard_of_it() {
    let mut history = after(&[("a", "RUNNING"), ("b", "DONE")]);
    let known = history.state.actions.clone();
    for silent in [agent_down(), node_down(), up("n1", &[])] {
        let seen = told(&mut history, &heard([("n1", silent)]));
        assert!(!seen.iter().any(|told| told.starts_with("action.")), "{seen:?}");
        assert_eq!(history.state.actions, known);
    }
    assert_eq!(lists(&mut history, &[("a", "DONE"), ("b", "DONE")]), ["action.finished a"]);
}

#[test]
fn at_most_256_are_known_and_those_that_had_to_make_room_are_no_news() {
    let many = ids(0..300);
    let mut history = after(&all(&many, "DONE"));
    assert_eq!((history.state.actions["n1"].known.len(), history.state.actions["n1"].more), (256, true));
    assert!(history.refresh(&acting("n1", listed(&all(&many, "DONE")))).is_nothing(), "and it comes to rest");

    // Unfinished ones make room for themselves, and their end is told.
    let mut with_new = all(&many, "DONE");
    with_new.push(("zz", "NEW"));
    assert_eq!(lists(&mut history, &with_new), ["action.new zz"]);
    assert_eq!(lists(&mut history, &with_new), NOTHING);
    with_new.pop();
    with_new.push(("zz", "DONE"));
    assert_eq!(lists(&mut history, &with_new), ["action.finished zz"]);

    // The agent forgets the first hundred: those that come into sight again are no news. What comes later is.
    let mut fewer = all(&many[100..], "DONE");
    assert_eq!(lists(&mut history, &fewer), NOTHING);
    fewer.push(("zzz", "DONE"));
    assert_eq!(lists(&mut history, &fewer), ["action.new zzz", "action.finished zzz"]);
    assert_eq!(MAX_ACTIONS, 256);
}

#[test]
fn an_unfinished_action_is_never_lost_to_the_bound_while_it_is_listed() {
    let old = ids(1000..1256);
    let mut history = after(&all(&old, "NEW"));
    let mut more = ids(0..50);
    more.extend(old.clone());
    assert_eq!(lists(&mut history, &all(&more, "NEW")), NOTHING, "those that found no room wait for it");
    let mut done = all(&more[..50], "NEW");
    done.extend(all(&old, "DONE"));
    let seen = lists(&mut history, &done);
    assert_eq!(seen.iter().filter(|told| told.starts_with("action.finished")).count(), 256);
    assert_eq!(seen.len(), 256, "what finishes keeps its place until that was told");
    let seen = lists(&mut history, &done);
    assert_eq!(seen.iter().filter(|told| told.starts_with("action.new")).count(), 50);
}

#[test]
fn a_commit_that_is_cut_tells_every_change_of_an_action_once() {
    let nodes: Vec<String> = (0..40).map(|node| format!("n{node}")).collect();
    let names: Vec<&str> = nodes.iter().map(String::as_str).collect();
    let of_all = |state| -> Heard {
        let actions = ids(0..200);
        nodes.iter().flat_map(|node| acting(node, listed(&all(&actions, state)))).collect()
    };
    let none: Heard = nodes.iter().flat_map(|node| acting(node, listed(&[]))).collect();
    let mut history = History::after(item(&names), &none);
    let before = history.events.len();
    let commits = history.refresh_all(&of_all("DONE"));
    assert!(commits.len() > 3, "16,000 events are more than three commits take");
    let mut seen: Vec<String> = history.events[before..]
        .iter()
        .filter(|event| event.change.about().1.is_some())
        .map(|event| format!("{} {}", event.subject, event.change.name()))
        .collect();
    assert_eq!(seen.len(), 16_000);
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 16_000);
}

#[test]
fn a_node_that_a_cut_commit_did_not_tell_of_is_met_with_its_actions_when_it_is_told() {
    let shards: Vec<String> = (0..6000).map(|shard| format!("s{shard}")).collect();
    let shards: Vec<(&str, Role)> = shards.iter().map(|id| (id.as_str(), Role::Secondary)).collect();
    let seen = |node: &str| {
        let mut report = report(node, &shards);
        report.actions = listed(&[("a", "NEW")]);
        (node.to_owned(), Observation::Up(Box::new(report)))
    };
    let heard: Heard = ["n1", "n2"].into_iter().map(seen).collect();
    let mut history = History::of(item(&["n1", "n2"]));
    assert!(history.refresh(&heard).more);
    assert!(history.state.actions.is_empty(), "neither is told of in full");
    history.refresh_all(&heard);
    assert_eq!(history.state.actions.len(), 2);
}

#[test]
fn details_are_asked_for_where_something_changed() {
    let list = |actions: &[(&str, &str)]| match listed(actions) {
        ActionsReport::Listed(listed) => listed,
        _ => panic!("a list"),
    };
    let now = list(&[("a", "RUNNING"), ("b", "DONE"), ("c", "DONE"), ("d", "NEW"), ("e", "DONE")]);
    let old = list(&[("a", "NEW"), ("b", "RUNNING"), ("c", "DONE"), ("f", "NEW")]);
    assert_eq!(changed(Some(&old), &now), ["a", "b", "d", "e"]);
    assert_eq!(changed(None, &now), NOTHING, "the first contact is no news");
    assert_eq!(changed(Some(&now), &now), NOTHING);
}

#[test]
fn details_stay_known_until_others_are_told_and_are_no_change_alone() {
    let with = |state: &str, created: Option<&str>| {
        let mut view = action(state);
        view.details.created_at = created.map(String::from);
        acting("n1", ActionsReport::Listed(NodeActions { known: [("a".into(), view)].into(), more: false }))
    };
    let mut history = after(&[]);
    assert_eq!(told(&mut history, &with("NEW", Some("noon"))), ["action.new a"]);
    assert!(history.refresh(&with("NEW", None)).is_nothing());
    assert_eq!(told(&mut history, &with("DONE", None)), ["action.finished a"]);
    let created = &history.state.actions["n1"].known["a"].details.created_at;
    assert_eq!(created.as_deref(), Some("noon"));
}
