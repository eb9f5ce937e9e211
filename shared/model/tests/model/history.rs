//! One cluster's record through its commits: refreshes as the worker runs them, with the law checked after each.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use replicante_model::actions::{NodeActions, apply};
use replicante_model::change::Change;
use replicante_model::event::{Cause, Event, Sealer};
use replicante_model::fold::{Fold, fold};
use replicante_model::maintenance::Maintenance;
use replicante_model::record::{DiscoveredCluster, NodeId};
use replicante_model::refresh::{MAX_BYTES, MAX_EVENTS, Rules, refresh};
use replicante_model::view::{ClusterState, ClusterView, NodeReadings, NodeView};
use replicante_model::{RecordName, Timestamp};

use crate::given::{CLUSTER, Heard, NOW};

pub const EPOCH: u64 = 1_767_319_445;
pub const RULES: Rules =
    Rules { readings_age: Duration::from_secs(300), retention: Duration::from_secs(24 * 3600) };

pub struct History {
    pub input: DiscoveredCluster,
    pub state: ClusterState,
    pub events: Vec<Event>,
    pub now: Timestamp,
    pub rules: Rules,
    pub cause: Cause,
    pub actor: Option<&'static str>,
    pub maintenance: Option<Maintenance>,
    ids: BTreeSet<String>,
    reader: Fold,
}

/// What one refresh came to.
pub struct Commit {
    pub changes: Vec<Change>,
    pub store: bool,
    pub more: bool,
    pub ended: bool,
}

impl Commit {
    pub fn names(&self) -> Vec<&'static str> {
        self.changes.iter().map(Change::name).collect()
    }

    /// Nothing to emit and nothing to store.
    pub fn is_nothing(&self) -> bool {
        self.changes.is_empty() && !self.store && !self.more
    }
}

impl History {
    pub fn of(input: DiscoveredCluster) -> Self {
        History {
            input,
            state: ClusterState::default(),
            events: Vec::new(),
            now: NOW,
            rules: RULES,
            cause: Cause::Schedule,
            actor: None,
            maintenance: None,
            ids: BTreeSet::new(),
            reader: Fold::default(),
        }
    }

    /// A history that has heard this already, until nothing more came of it.
    pub fn after(input: DiscoveredCluster, heard: &Heard) -> Self {
        let mut history = History::of(input);
        history.settle(heard);
        history
    }

    pub fn view(&self) -> &ClusterView {
        self.state.view.as_ref().expect("the cluster was refreshed")
    }

    pub fn node(&self, id: &str) -> &NodeView {
        &self.view().nodes[id]
    }

    pub fn readings(&self, id: &str) -> &NodeReadings {
        &self.state.readings[id]
    }

    pub fn pass(&mut self, span: Duration) {
        self.now = self.now.plus(span);
    }

    /// One refresh, committed as the protocol does it: what is not to be stored is dropped.
    pub fn refresh(&mut self, heard: &Heard) -> Commit {
        let record = RecordName::cluster("default", CLUSTER);
        let sealer = Sealer {
            source: "/replicante/prod",
            record: &record,
            epoch: EPOCH,
            sequence: self.events.len() as u64,
            time: self.now,
            cause: self.cause,
            actor: self.actor,
            maintenance: self.maintenance.as_ref(),
        };
        let done = refresh(self.state.clone(), &self.input, heard, &sealer, self.rules)
            .expect("no event is larger than the stream takes");
        assert!(done.events.len() <= MAX_EVENTS, "{} events in one commit", done.events.len());
        let bytes: usize = done.events.iter().map(|event| event.bytes.len()).sum();
        assert!(bytes <= MAX_BYTES, "{bytes} bytes of events in one commit");

        let mut changes = Vec::new();
        for sealed in &done.events {
            if let Err(findings) = replicante_event_schemas::validate(&sealed.bytes) {
                panic!("{findings}\n{}", String::from_utf8_lossy(&sealed.bytes));
            }
            let event: Event = serde_json::from_slice(&sealed.bytes).expect("an event reads back");
            let next = self.events.len() as u64 + 1;
            assert_eq!(
                (sealed.sequence, event.position()),
                (next, Some((EPOCH, next))),
                "numbers go up by one"
            );
            assert!(self.ids.insert(event.id.clone()), "the id {} stands twice", event.id);
            if let Some(last) = self.events.last() {
                let (before, after) = (Timestamp::parse(&last.time), Timestamp::parse(&event.time));
                assert!(before.unwrap() <= after.unwrap(), "{} after {}", event.time, last.time);
            }
            self.reader.apply(&event.change).expect("each event fits what was before it");
            if let Change::ClusterChanged { nodes, .. } = &event.change {
                let moved = nodes.changed.values().all(|change| change.before != change.after);
                assert!(moved, "an address that did not change is told: {event:?}");
            }
            changes.push(event.change.clone());
            self.events.push(event);
        }
        check_actions(&self.state.actions, &changes, &done.state.actions);
        if done.store {
            let stored = serde_json::to_vec(&done.state).unwrap();
            self.state = serde_json::from_slice(&stored).expect("a state reads back");
            assert_eq!(self.state, done.state, "a state reads back as it was");
        } else {
            assert!(done.events.is_empty(), "events without anything to store");
            assert!(!done.more, "more to come of nothing");
            assert_eq!(done.state.counters, self.state.counters, "a counter changed and is not stored");
            assert_eq!(done.state.actions, self.state.actions, "actions changed and are not stored");
            assert_eq!(done.state.view, self.state.view, "a change without an event");
        }
        assert_eq!(self.reader.view, self.state.view, "folding the events gives the stored view");
        Commit { changes, store: done.store, more: done.more, ended: done.ended }
    }

    /// Refreshes with the same answers until nothing comes of it; how often something did.
    pub fn settle(&mut self, heard: &Heard) -> usize {
        let mut busy = 0;
        while !self.refresh(heard).is_nothing() {
            busy += 1;
            assert!(busy < 60, "the same answers change something for ever");
        }
        busy
    }

    /// Refreshes until no more is to come; the commits it took.
    pub fn refresh_all(&mut self, heard: &Heard) -> Vec<Commit> {
        let mut commits = vec![self.refresh(heard)];
        while commits.last().is_some_and(|commit| commit.more) {
            assert!(commits.len() < 100, "there is more for ever");
            commits.push(self.refresh(heard));
        }
        commits
    }

    /// A reader that starts at any of the snapshots ends with the stored view. How many there are.
    pub fn check_snapshots(&self) -> usize {
        let changes: Vec<&Change> = self.events.iter().map(|event| &event.change).collect();
        let starts: Vec<usize> = (0..changes.len())
            .filter(|at| matches!(changes[*at], Change::ClusterSnapshot(part) if part.part == 1))
            .collect();
        for start in &starts {
            let view = fold(None, changes[*start..].iter().copied()).expect("events after a snapshot fit it");
            assert_eq!(view, self.state.view, "folding from the snapshot at {start}");
        }
        starts.len()
    }
}

/// What was known, with the changes of the commit applied, is what is stored of every unfinished action; at first
/// contact there are no changes.
fn check_actions(
    old: &BTreeMap<NodeId, NodeActions>,
    changes: &[Change],
    stored: &BTreeMap<NodeId, NodeActions>,
) {
    let mut told = old.clone();
    changes.iter().for_each(|change| apply(&mut told, change));
    assert!(
        told.keys().all(|node| old.contains_key(node)),
        "a change of the actions of a node that there was no contact with"
    );
    let unfinished = |actions: &NodeActions| {
        let mut known = actions.known.clone();
        known.retain(|_, action| !action.finished);
        known
    };
    for (node, told) in told {
        let kept = stored.get(&node).map(unfinished).unwrap_or_default();
        assert_eq!(unfinished(&told), kept, "the unfinished actions of {node}");
    }
}
