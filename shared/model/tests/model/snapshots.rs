//! Snapshots (protocol.md, "The reader"): every 100 commits, and when the last one is older than min(6 h, a quarter
//! of the retention), in parts of at most 256 KiB that replace the reader's state.

use std::time::Duration;

use replicante_model::change::Change;
use replicante_model::diff::MAX_SPLIT;
use replicante_model::event::Event;
use replicante_model::fold::Fold;
use replicante_model::observation::Role;
use replicante_model::past::{Past, Then};
use replicante_model::snapshot::{COMMITS, MAX_AGE};

use crate::given::{Heard, agent_down, foreign, heard, item, node_down, up, up_with};
use crate::history::History;

const HOUR: Duration = Duration::from_secs(3600);

fn good() -> Heard {
    heard([("n1", up("n1", &[("s", Role::Primary)])), ("n2", up("n2", &[("s", Role::Secondary)]))])
}

#[test]
fn a_snapshot_is_emitted_after_100_commits() {
    let mut history = History::of(item(&["n1", "n2"]));
    let flapping = [good(), heard([("n1", agent_down()), ("n2", agent_down())])];
    let mut since = 0;
    let mut gaps = Vec::new();
    for heard in flapping.iter().cycle().take(250) {
        since += 1;
        if history.refresh(heard).names().contains(&"cluster.snapshot") {
            gaps.push(since);
            since = 0;
        }
    }
    // The commit that brings the first comes after a hundred others.
    assert_eq!(gaps, [COMMITS + 1, COMMITS]);
    assert_eq!(history.check_snapshots(), 2);
}

#[test]
fn a_snapshot_is_emitted_without_any_change_when_the_last_one_is_old() {
    for (retention, age) in [(24 * HOUR, MAX_AGE), (8760 * HOUR, MAX_AGE), (8 * HOUR, 2 * HOUR)] {
        let mut history = History::after(item(&["n1", "n2"]), &good());
        history.rules.retention = retention;
        for _ in 0..2 {
            history.pass(age - Duration::from_millis(1));
            assert_eq!(history.refresh(&good()).names(), [""; 0]);
            history.pass(Duration::from_millis(1));
            assert_eq!(history.refresh(&good()).names(), ["cluster.snapshot"]);
            assert!(history.refresh(&good()).is_nothing());
        }
        assert_eq!(history.check_snapshots(), 2);
    }
}

#[test]
fn a_snapshot_tells_everything_that_the_view_holds() {
    let answers = heard([
        (
            "n1",
            up_with("n1", |report| {
                report.display_name = Some("Orders".into());
                report.node.condition = Some("UNHEALTHY".into());
                report.node.attributes.insert("zone".into(), "a".into());
                report.shards =
                    crate::given::report("n1", &[("s", Role::Primary), ("t", Role::Other("x".into()))])
                        .shards;
            }),
        ),
        ("n2", up("n2", &[("s", Role::Primary)])),
        ("n3", foreign("n3", "billing")),
        ("n4", node_down()),
        ("n5", up("n5", &[("s", Role::Recovering)])),
    ]);
    let mut history = History::after(item(&["n1", "n2", "n3", "n4", "n5"]), &answers);
    history.input.record.nodes.remove("n5");
    history.input.missing_since = Some(history.now);
    history.settle(&answers);
    assert!(!history.view().conflicts.is_empty() && !history.view().primaries.is_empty());
    history.pass(MAX_AGE);
    assert_eq!(history.refresh(&answers).names(), ["cluster.snapshot"]);
    assert_eq!(history.check_snapshots(), 1);
}

#[test]
fn the_parts_of_a_snapshot_fit_256_kib_each_and_replace_the_readers_state_when_all_have_been_seen() {
    let ids: Vec<String> = (0..8_000).map(|shard| format!("shard-{shard:0>40}")).collect();
    let shards: Vec<(&str, Role)> = ids.iter().map(|id| (id.as_str(), Role::Secondary)).collect();
    let answers = heard([("n1", up("n1", &shards)), ("n2", up("n2", &shards[..10]))]);
    let mut history = History::of(item(&["n1", "n2"]));
    history.refresh_all(&answers);
    history.settle(&answers);
    history.pass(MAX_AGE);
    let parts = history.refresh(&answers).changes;
    assert!(parts.len() > 1, "{} parts", parts.len());
    let mut reader = Fold::default();
    for (part, number) in parts.iter().zip(1..) {
        assert!(serde_json::to_vec(part).unwrap().len() <= MAX_SPLIT);
        let Change::ClusterSnapshot(told) = part else { panic!("{}", part.name()) };
        assert_eq!((told.part, told.parts), (number, parts.len() as u32));
        assert_eq!(reader.view, None, "not before the last part");
        reader.apply(part).unwrap();
    }
    assert_eq!(reader.view, history.state.view);
    assert_eq!(history.check_snapshots(), 1);

    // Of a moment of the past it tells nothing before its last part, either.
    let events = &history.events[history.events.len() - parts.len()..];
    let then = |events: &[Event]| {
        let mut past = Past::new(history.now);
        events.iter().for_each(|event| past.take(event).unwrap());
        past.then()
    };
    assert_eq!(then(&events[..events.len() - 1]), Then::Unknown);
    assert!(matches!(then(events), Then::Known(known) if known.view == *history.view()));
}

#[test]
fn a_snapshot_that_does_not_fit_beside_changes_is_emitted_although_every_refresh_brings_some() {
    // Some 3.9 MiB of a view, and at each refresh changes that leave no room for it.
    let ids: Vec<String> = (0..4_000).map(|shard| format!("shard-{shard:0>900}")).collect();
    let answers = |role: Role| {
        let shards: Vec<(&str, Role)> = ids
            .iter()
            .enumerate()
            .map(|(at, id)| (id.as_str(), if at < 300 { role.clone() } else { Role::Secondary }))
            .collect();
        heard([("n1", up("n1", &shards))])
    };
    let mut history = History::of(item(&["n1"]));
    history.refresh_all(&answers(Role::Secondary));
    history.pass(MAX_AGE);
    let mut seen = 0;
    for role in [Role::Primary, Role::Secondary, Role::Primary, Role::Secondary] {
        history.pass(Duration::from_secs(60));
        seen += history
            .refresh(&answers(role))
            .names()
            .iter()
            .filter(|name| **name == "cluster.snapshot")
            .count();
    }
    assert!(seen > 0, "the snapshot starves");
    history.settle(&answers(Role::Secondary));
    history.check_snapshots();
}
