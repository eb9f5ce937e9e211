//! The law (events.md): folding the events, from the start or from any snapshot, gives the stored view - over random
//! histories of discovery records, answers, settings and clocks. [`History::refresh`] checks it after each commit.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;
use replicante_model::Timestamp;
use replicante_model::actions::{ActionsReport, NodeActions};
use replicante_model::change::Change;
use replicante_model::diff::diff;
use replicante_model::event::Event;
use replicante_model::fold::fold;
use replicante_model::labels::Labels;
use replicante_model::maintenance::Maintenance;
use replicante_model::observation::{
    AgentInfo, AgentVersion, Failure, NodeDetails, NodeReport, Observation, Role, ShardReport,
};
use replicante_model::observe::observe;
use replicante_model::past::{Past, Then, difference};
use replicante_model::record::{AgentApi, AgentSettings, ClusterIdCheck, DiscoveredCluster, Removal};
use replicante_model::refresh::Rules;
use replicante_model::view::ClusterState;

use crate::given::{CLUSTER, Heard, NOW, action, item, offset};
use crate::history::{EPOCH, History};

/// Ids as sources give them: short, with a port, an URL, and text that must be encoded.
const NODES: [&str; 5] =
    ["n1", "n2.example.com:27017", "http://n3.example.com:8000", "n 4/ü%", "n5\u{1}\"\\"];
const SHARDS: [&str; 4] = ["s1", "s2", "a shard/ü", "\"\u{7f}\\"];

/// One refresh of a random history.
#[derive(Clone, Debug)]
struct Step {
    /// Milliseconds that the clock moves, back as well.
    passed: i64,
    input: DiscoveredCluster,
    heard: Heard,
    /// The maintenance window that it falls into.
    window: Option<Maintenance>,
}

fn maintenance() -> impl Strategy<Value = Option<Maintenance>> {
    let window = (0..3i64, prop::option::of(Just("new racks".to_string()))).prop_map(|(until, reason)| {
        Maintenance { since: NOW, until: Timestamp(NOW.0 + until), reason, actor: "ann".into() }
    });
    prop::option::weighted(0.3, window)
}

fn role() -> impl Strategy<Value = Role> {
    prop_oneof![
        3 => Just(Role::Primary),
        3 => Just(Role::Secondary),
        1 => Just(Role::Recovering),
        1 => Just(Role::Other("peer".into())),
    ]
}

fn info() -> impl Strategy<Value = AgentInfo> {
    (prop::bool::ANY, 0..2).prop_map(|(first, number)| AgentInfo {
        api: if first { AgentApi::V1 } else { AgentApi::V2 },
        version: AgentVersion { number: format!("0.{number}"), checkout: "abc".into(), taint: String::new() },
    })
}

fn actions() -> impl Strategy<Value = ActionsReport> {
    let state = prop_oneof![Just("NEW"), Just("RUNNING"), Just("DONE"), Just("FAILED")];
    let states = prop::collection::vec(prop::option::weighted(0.6, state), 4);
    let listed = (states, prop::bool::weighted(0.1)).prop_map(|(states, more)| {
        let listed = (0..).zip(states).filter_map(|(id, state)| Some((format!("a{id}"), action(state?))));
        ActionsReport::Listed(NodeActions { known: listed.collect(), more })
    });
    prop_oneof![1 => Just(ActionsReport::Unknown), 1 => Just(ActionsReport::Off), 8 => listed]
}

fn report(node: usize) -> impl Strategy<Value = Observation> {
    let shard = prop::option::weighted(0.7, (role(), 0..3i64));
    let attribute = prop::option::of(0..2i32);
    let identity = (0..10, 0..8usize, prop::option::of(0..2), prop::option::weighted(0.2, Just("UNHEALTHY")));
    let lists = (prop::collection::vec(attribute, 2), prop::collection::vec(shard, SHARDS.len()), actions());
    (info(), identity, 0..3, lists).prop_map(
        move |(agent, (cluster, id, name, condition), version, (attributes, shards, actions))| {
            Observation::Up(Box::new(NodeReport {
                agent,
                node: NodeDetails {
                    node_id: if id == 0 { "shared".into() } else { NODES[node].into() },
                    kind: if version == 2 { "mongo.replica".into() } else { "Zookeeper".into() },
                    version: format!("3.{version}"),
                    condition: condition.map(String::from),
                    attributes: (0..)
                        .zip(attributes)
                        .filter_map(|(key, value)| Some((format!("a{key}"), value?.to_string())))
                        .collect(),
                },
                cluster_id: if cluster == 0 { "another".into() } else { CLUSTER.into() },
                display_name: name.map(|name| format!("Orders {name}")),
                shards: SHARDS
                    .iter()
                    .zip(shards)
                    .filter_map(|(id, shard)| {
                        let (role, value) = shard?;
                        let report = ShardReport { role, commit_offset: offset(value), lag: None };
                        Some(((*id).to_string(), report))
                    })
                    .collect(),
                actions,
            }))
        },
    )
}

fn observation(node: usize) -> impl Strategy<Value = Option<Observation>> {
    let reason = |number: i32| format!("reason {number}");
    prop_oneof![
        1 => Just(None),
        1 => Just(Some(Observation::NotPolled)),
        2 => (0..2).prop_map(move |number| Some(Observation::AgentDown {
            reason: reason(number),
            failure: [Failure::Unconnected, Failure::Wrong][number as usize],
        })),
        2 => (0..2, prop::option::of(info())).prop_map(move |(number, agent)| {
            Some(Observation::NodeDown { reason: reason(number), agent })
        }),
        8 => report(node).prop_map(Some),
    ]
}

fn labels() -> impl Strategy<Value = Labels> {
    let labels = prop::collection::vec(prop::option::of(0..2i32), 3);
    let name = |at: usize| ["rack", "node_class", "a \"label\"/ü"][at].to_string();
    let some = labels.prop_map(move |labels: Vec<Option<i32>>| {
        let given = labels.into_iter().enumerate();
        given.filter_map(|(at, value)| Some((name(at), format!("r{}", value?)))).collect()
    });
    prop_oneof![2 => Just(Labels::new()), 3 => some]
}

fn settings() -> impl Strategy<Value = AgentSettings> {
    (1..=3u32, 1..=3u32, prop::bool::weighted(0.2)).prop_map(|(down, up, ignore)| AgentSettings {
        failures_before_down: down,
        successes_before_up: up,
        cluster_id: if ignore { ClusterIdCheck::Ignore } else { ClusterIdCheck::Check },
        ..AgentSettings::default()
    })
}

fn step() -> impl Strategy<Value = Step> {
    // In the record at some address, with some labels; missing; or removed.
    let there = (0..4, labels()).prop_map(Some).prop_map(Ok);
    let place = prop_oneof![8 => there, 1 => Just(Ok(None)), 1 => Just(Err(()))];
    let present = prop::collection::vec(place, NODES.len());
    let heard =
        [observation(0), observation(1), observation(2), observation(3), observation(4)].prop_map(Vec::from);
    let passed = prop_oneof![4 => 0..120_000i64, 1 => -600_000..0i64, 1 => 0..10_000_000i64];
    let cluster = (prop::option::weighted(0.3, 0..2), 0..20, 0..8, settings());
    (passed, present, cluster, heard, maintenance()).prop_map(|(passed, present, cluster, heard, window)| {
        let (name, end, discovery, agents) = cluster;
        let mut input = item(&[]);
        input.record.display_name = name.map(|name| format!("Named {name}"));
        input.missing_since = (end < 4).then_some(NOW);
        input.removed = (end == 0 || end == 4).then_some(Removal { at: NOW, actor: None });
        input.discovery = if discovery == 0 { "other".into() } else { "fleet".into() };
        input.agents = agents;
        for (node, place) in NODES.iter().zip(present) {
            // An id that is an URL is the address itself.
            if place == Ok(None) {
                input.missing_nodes.insert((*node).to_string(), NOW);
            }
            if let Ok(Some((address, labels))) = place {
                let other = format!("http://10.0.0.{}:8000", address / 3);
                let address = if node.starts_with("http") { (*node).to_string() } else { other };
                input.record.nodes.insert((*node).to_string(), address);
                if !labels.is_empty() {
                    input.record.labels.insert((*node).to_string(), labels);
                }
            }
        }
        let heard: BTreeMap<_, _> = NODES
            .iter()
            .zip(heard)
            .filter_map(|(node, observation)| Some(((*node).to_string(), observation?)))
            .collect();
        Step { passed, input, heard, window }
    })
}

fn rules() -> impl Strategy<Value = Rules> {
    (0..3u64, 1..3u64).prop_map(|(readings, retention)| Rules {
        readings_age: Duration::from_secs(readings * 60),
        // A quarter of it: snapshots within a random history.
        retention: Duration::from_secs(4 * 600 * retention),
    })
}

fn config() -> ProptestConfig {
    ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(192) }
}

fn run(history: &mut History, step: &Step) {
    history.now = Timestamp(history.now.0 + step.passed);
    history.input = step.input.clone();
    history.maintenance = step.window.clone();
    history.refresh(&step.heard);
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn folding_the_events_gives_the_stored_view_whatever_happens(
        steps in prop::collection::vec(step(), 1..16),
        rules in rules(),
    ) {
        let mut history = History::of(item(&[]));
        history.rules = rules;
        for step in &steps {
            run(&mut history, step);
        }
        history.check_snapshots();
    }

    #[test]
    fn the_view_of_any_moment_is_what_was_stored_then_wherever_reading_starts(
        steps in prop::collection::vec(step(), 1..16),
        rules in rules(),
        moment in any::<prop::sample::Index>(),
        start in any::<prop::sample::Index>(),
        again in prop::option::of((any::<prop::sample::Index>(), any::<prop::sample::Index>())),
        beside in -1..=1i64,
    ) {
        let mut history = History::of(item(&[]));
        history.rules = rules;
        let mut views = Vec::new();
        for step in &steps {
            run(&mut history, step);
            if let Some(event) = history.events.last() {
                views.push((Timestamp::parse(&event.time).unwrap(), history.state.view.clone()));
            }
        }
        prop_assume!(!views.is_empty());
        let moment = Timestamp(moment.get(&views).0.0 + beside);
        // From some event on; one batch of them is published once more.
        let start = start.index(history.events.len());
        let mut events = history.events[start..].to_vec();
        if let Some((from, to)) = again {
            let (from, to) = (from.index(events.len()), to.index(events.len()));
            let copies = events[from.min(to)..=from.max(to)].to_vec();
            let place = from.max(to) + 1;
            events.splice(place..place, copies);
        }
        let mut past = Past::new(moment);
        for event in &events {
            past.take(event).unwrap();
        }
        let stored = views.iter().rev().find(|(time, _)| *time <= moment).and_then(|(_, view)| view.clone());
        match past.then() {
            Then::Known(known) => {
                prop_assert_eq!(Some(&known.view), stored.as_ref());
                prop_assert_eq!(known.missing, None);
                prop_assert!(known.changed <= moment);
            }
            Then::Removed { at } => prop_assert!(stored.is_none() && at <= moment),
            Then::Unknown => {
                let is_start = |event: &&Event| {
                    event.position() == Some((EPOCH, 1)) || event.change.name() == "cluster.snapshot"
                };
                let known = events.iter().filter(|event| Timestamp::parse(&event.time).unwrap() <= moment);
                prop_assert!(known.clone().find(is_start).is_none(), "there was an event to start from");
                prop_assert!(start > 0 || stored.is_none());
            }
        }
    }

    #[test]
    fn the_difference_of_any_two_moments_leads_from_one_to_the_other(
        steps in prop::collection::vec(step(), 1..16),
        moments in (any::<prop::sample::Index>(), any::<prop::sample::Index>()),
    ) {
        // As it was before the first refresh, too: there was no cluster.
        let mut history = History::of(item(&[]));
        let mut views = vec![None];
        for step in &steps {
            run(&mut history, step);
            views.push(history.state.view.clone());
        }
        let (one, other) = (moments.0.index(views.len()), moments.1.index(views.len()));
        let (before, after) = (&views[one.min(other)], &views[one.max(other)]);
        // One that was removed in between has no changes that lead there: it is said to be removed.
        if let Some(after) = after {
            let changes = difference(before.as_ref(), after).unwrap();
            let led = fold(before.clone(), &changes).unwrap();
            prop_assert_eq!(led.as_ref(), Some(after));
            prop_assert_eq!(changes.is_empty(), before.as_ref() == Some(after));
        }
    }

    #[test]
    fn observing_the_same_again_changes_nothing_once_the_counters_have_settled(
        steps in prop::collection::vec(step(), 1..6),
    ) {
        let mut history = History::of(item(&[]));
        for step in &steps {
            run(&mut history, step);
        }
        let last = steps.last().unwrap();
        // Three successes until it is up, then two refreshes until a primary is lost or contested.
        let busy = history.settle(&last.heard);
        prop_assert!(busy <= 5, "{busy} refreshes");
    }

    #[test]
    fn without_counters_the_second_refresh_with_the_same_answers_changes_nothing(step in step()) {
        let mut step = step;
        step.input.agents.failures_before_down = 1;
        step.input.agents.successes_before_up = 1;
        // Shards of one node alone have no primary to judge.
        for (node, observation) in &mut step.heard {
            if let Observation::Up(report) = observation {
                report.shards = std::mem::take(&mut report.shards)
                    .into_iter()
                    .map(|(shard, report)| (format!("{node} {shard}"), report))
                    .collect();
            }
        }
        let mut history = History::of(item(&[]));
        run(&mut history, &step);
        prop_assert!(history.refresh(&step.heard).is_nothing());
    }

    #[test]
    fn any_prefix_of_a_commits_changes_leads_to_a_view_from_which_the_next_goes_on(
        steps in prop::collection::vec((step(), 0..100usize), 1..8),
    ) {
        let mut state = ClusterState::default();
        let mut now = NOW;
        let mut commit = |state: &mut ClusterState, step: &Step, cut: usize| {
            now = Timestamp(now.0 + step.passed);
            let mut next = observe(state, &step.input, &step.heard, now);
            next.view.as_mut().unwrap().maintenance = step.window.clone();
            let changes = diff(state.view.as_ref(), next.view.as_ref().unwrap());
            let whole = fold(state.view.clone(), &changes).unwrap();
            assert_eq!(whole, next.view);
            let kept = changes.len() * cut / 100;
            let view = fold(state.view.clone(), &changes[..kept]).unwrap();
            *state = ClusterState { view, ..next };
            changes.len() - kept
        };
        for (step, cut) in &steps {
            commit(&mut state, step, *cut);
        }
        let (last, _) = steps.last().unwrap();
        let last = Step { passed: 0, ..last.clone() };
        // Nothing is cut now: it comes to rest.
        for _ in 0..6 {
            commit(&mut state, &last, 100);
        }
        let again = observe(&state, &last.input, &last.heard, now);
        let rest: Vec<Change> = diff(state.view.as_ref(), again.view.as_ref().unwrap());
        prop_assert_eq!(rest, []);
    }
}
