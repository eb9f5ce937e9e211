//! The past: what was known of a cluster at a moment, by folding its events up to then.

use std::collections::BTreeSet;

use crate::change::{Change, RoleOf};
use crate::diff::diff;
use crate::event::Event;
use crate::fold::{Fold, FoldError, fold};
use crate::reader::{Position, Reader, Verdict};
use crate::time::Timestamp;
use crate::view::ClusterView;

/// The events of one cluster do not fit each other.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the event {id} does not fit what is known of before: {source}")]
pub struct PastError {
    /// The event's id.
    pub id: String,
    /// Why.
    pub source: FoldError,
}

/// What was known at a moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Then {
    /// Nothing that was read tells: the first event, or a snapshot to start from, is older or does not exist.
    Unknown,
    /// The cluster was known before, and removed.
    Removed {
        /// When.
        at: Timestamp,
    },
    /// The cluster was known.
    Known(Box<Known>),
}

/// A view of the past.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// The view.
    pub view: ClusterView,
    /// When the last event that it is made of was observed.
    pub changed: Timestamp,
    /// That event's place in the record.
    pub position: Position,
    /// The number of an event of before the moment that is missing, where one is: the view is what was known before it.
    pub missing: Option<u64>,
}

/// Takes the events of one cluster, as the stream gives them, up to a moment.
#[derive(Clone, Debug)]
pub struct Past {
    moment: Timestamp,
    reader: Reader,
    fold: Fold,
    last: Option<(Timestamp, Position)>,
    /// Whether an event of before the moment waits for one that was not read.
    waits: bool,
    is_over: bool,
}

impl Past {
    /// Nothing yet, up to and with this moment.
    pub fn new(moment: Timestamp) -> Self {
        Past {
            moment,
            reader: Reader::new(),
            fold: Fold::default(),
            last: None,
            waits: false,
            is_over: false,
        }
    }

    /// Takes an event of the cluster. Copies and detours of the stream are passed over, and so is what is before the
    /// first snapshot where the cluster's first event is not there.
    ///
    /// # Errors
    /// [`PastError`] when it does not fit those before it.
    pub fn take(&mut self, event: &Event) -> Result<(), PastError> {
        let time = Timestamp::parse(&event.time).unwrap_or_default();
        // All events are of one record: its name does not matter.
        match self.reader.judge("", event, time) {
            _ if self.is_over => {}
            // Times of a record never go back: what follows is later, too.
            Verdict::Apply | Verdict::Restart { .. } if time > self.moment => self.is_over = true,
            Verdict::Apply | Verdict::Restart { .. } => {
                let problem = |source| PastError { id: event.id.clone(), source };
                self.fold.apply(&event.change).map_err(problem)?;
                self.waits = false;
                // A snapshot counts once all of it is there.
                if self.fold.is_whole() {
                    self.last = Some((time, self.reader.position("")));
                }
            }
            Verdict::Wait => self.waits |= time <= self.moment,
            Verdict::Copy | Verdict::Unreadable => {}
        }
        Ok(())
    }

    /// Whether no event to come is of before the moment.
    pub fn is_over(&self) -> bool {
        self.is_over
    }

    /// What was known at the moment.
    pub fn then(self) -> Then {
        match (self.last, self.fold.view) {
            (None, _) => Then::Unknown,
            (Some((at, _)), None) => Then::Removed { at },
            (Some((changed, position)), Some(view)) => {
                let missing = self.waits.then_some(position.sequence + 1);
                Then::Known(Box::new(Known { view, changed, position, missing }))
            }
        }
    }
}

/// The changes that lead from one moment to a later one, whatever happened in between.
///
/// Within a refresh what an agent told is kept as long as its node is there, and a shard's primary as long as the shard is
/// on a node. What is no longer known was removed in between and came back: so it is told, too.
///
/// # Errors
/// When the earlier view is none that events lead to.
pub fn difference(before: Option<&ClusterView>, after: &ClusterView) -> Result<Vec<Change>, FoldError> {
    let Some(before) = before else { return Ok(diff(None, after)) };
    let mut changes = Vec::new();
    let known = |id: &String| after.nodes.get(id).map(|node| node.agent.is_some());
    let anew: BTreeSet<&String> = before
        .nodes
        .iter()
        .filter(|(id, node)| node.agent.is_some() && known(id) == Some(false))
        .map(|(id, _)| id)
        .collect();
    let lost = |shard: &String| before.primaries.contains_key(shard) && !after.primaries.contains_key(shard);
    for (id, node) in before.nodes.iter().filter(|(id, _)| !anew.contains(id)) {
        for (shard, role) in node.shards.iter().filter(|(shard, _)| lost(shard)) {
            let before = RoleOf { role: role.clone() };
            changes.push(Change::ShardRemoved { node: id.clone(), shard: shard.clone(), before });
        }
    }
    for id in anew {
        let missing_since = before.nodes.get(id).and_then(|node| node.missing_since);
        changes.push(Change::NodeRemoved { node: id.clone(), missing_since, actor: None });
    }
    let rest = fold(Some(before.clone()), &changes)?;
    changes.extend(diff(rest.as_ref(), after));
    Ok(changes)
}
