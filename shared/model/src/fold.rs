//! Fold: applies changes to a view. `fold(old, diff(old, new)) == new`.

use std::collections::BTreeMap;

use crate::change::{Change, SnapshotPart};
use crate::diff::{apply_patch, facts, set_facts};
use crate::observation::Role;
use crate::view::{ClusterView, NodeView, ShardId};

/// A change that does not fit the view it is applied to: the reader missed one before it, or it was invented.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FoldError {
    /// The cluster is not known, and the change is not its first.
    #[error("{0} of a cluster that is not known yet")]
    UnknownCluster(&'static str),
    /// The cluster is known already.
    #[error("cluster.new of a cluster that is known already")]
    KnownCluster,
    /// The node is not known.
    #[error("{change} of the node `{node}`, which is not known")]
    UnknownNode {
        /// The change's name.
        change: &'static str,
        /// The node.
        node: String,
    },
    /// What the change says was before is not what the view says.
    #[error("{change} of `{subject}` does not fit what was before")]
    Mismatch {
        /// The change's name.
        change: &'static str,
        /// The node or shard.
        subject: String,
    },
    /// A part of a snapshot that does not follow the part before it.
    #[error("part {part} of {parts} of a snapshot is out of place")]
    SnapshotPart {
        /// The part.
        part: u32,
        /// All parts.
        parts: u32,
    },
}

/// A view that changes are applied to, one after the other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fold {
    /// What the changes so far tell. `None` before the first.
    pub view: Option<ClusterView>,
    /// The parts of a snapshot seen so far, and how many.
    pending: Option<(u32, ClusterView)>,
}

impl Fold {
    /// Goes on from a known view.
    pub fn from(view: Option<ClusterView>) -> Self {
        Fold { view, pending: None }
    }

    /// Whether no part of a snapshot is still to come.
    pub fn is_whole(&self) -> bool {
        self.pending.is_none()
    }

    /// Applies one change. Changes of discovery records and of objects are passed over.
    ///
    /// # Errors
    /// [`FoldError`] when the change does not fit; the view is then as before, or partly changed.
    pub fn apply(&mut self, change: &Change) -> Result<(), FoldError> {
        match change {
            Change::ClusterSnapshot(part) => return self.snapshot(part),
            Change::ClusterNew { after, nodes } => {
                if self.view.is_some() {
                    return Err(FoldError::KnownCluster);
                }
                self.view = Some(ClusterView {
                    display_name: after.display_name.clone(),
                    discovery: after.discovery.clone(),
                    record: nodes.clone(),
                    ..ClusterView::default()
                });
                return Ok(());
            }
            Change::DiscoveryFailed { .. }
            | Change::DiscoveryRecovered { .. }
            | Change::DiscoveryRecordRejected { .. }
            | Change::DiscoveryRecordAccepted { .. }
            | Change::DiscoveryConflict { .. }
            | Change::DiscoveryConflictResolved { .. }
            | Change::DiscoveryShrinkHeld(_)
            | Change::DiscoveryShrinkConfirmed(_)
            | Change::DiscoveryShrinkResolved(_)
            | Change::DiscoveryObserverSuspect { .. }
            | Change::DiscoveryObserverTrusted { .. }
            | Change::ObjectApplied(_)
            | Change::ObjectDeleted(_) => return Ok(()),
            Change::ClusterRemoved { .. } if self.view.is_some() => {
                *self = Fold::default();
                return Ok(());
            }
            _ => {}
        }
        let view = self.view.as_mut().ok_or(FoldError::UnknownCluster(change.name()))?;
        apply(view, change)
    }

    fn snapshot(&mut self, part: &SnapshotPart) -> Result<(), FoldError> {
        let out_of_place = FoldError::SnapshotPart { part: part.part, parts: part.parts };
        let mut view = match (self.pending.take(), &part.cluster) {
            (_, Some(cluster)) if part.part == 1 => ClusterView {
                display_name: cluster.header.display_name.clone(),
                discovery: cluster.header.discovery.clone(),
                missing_since: cluster.missing_since,
                maintenance: cluster.maintenance.clone(),
                health: cluster.health,
                ..ClusterView::default()
            },
            (Some((seen, view)), None) if part.part == seen + 1 => view,
            _ => return Err(out_of_place),
        };
        view.record.extend(part.record.clone());
        view.nodes.extend(part.nodes.clone());
        for (id, shards) in &part.shards {
            view.nodes.get_mut(id).ok_or(out_of_place.clone())?.shards.extend(shards.clone());
        }
        view.primaries.extend(part.primaries.clone());
        view.conflicts.extend(part.conflicts.iter().cloned());
        if part.part == part.parts {
            self.view = Some(view);
        } else {
            self.pending = Some((part.part, view));
        }
        Ok(())
    }
}

/// The view that a list of changes leads to.
///
/// # Errors
/// [`FoldError`] of the first change that does not fit.
pub fn fold<'a>(
    old: Option<ClusterView>,
    changes: impl IntoIterator<Item = &'a Change>,
) -> Result<Option<ClusterView>, FoldError> {
    let mut fold = Fold::from(old);
    changes.into_iter().try_for_each(|change| fold.apply(change))?;
    Ok(fold.view)
}

fn apply(view: &mut ClusterView, change: &Change) -> Result<(), FoldError> {
    let name = change.name();
    let mismatch = |subject: &str| FoldError::Mismatch { change: name, subject: subject.into() };
    match change {
        Change::ClusterChanged { after, nodes, .. } => {
            if let Some(after) = after {
                view.display_name.clone_from(&after.display_name);
                view.discovery.clone_from(&after.discovery);
            }
            view.record.extend(nodes.added.clone());
            nodes.removed.iter().for_each(|id| {
                view.record.remove(id);
            });
            for (id, change) in &nodes.changed {
                view.record.insert(id.clone(), change.after.clone());
            }
        }
        Change::ClusterMissing { since } => view.missing_since = *since,
        Change::ClusterRestored { .. } => view.missing_since = None,
        Change::ClusterMaintenanceBegan { before, after } => {
            if view.maintenance != *before {
                return Err(mismatch("maintenance"));
            }
            view.maintenance = Some(after.clone());
        }
        Change::ClusterMaintenanceEnded { before } => {
            if view.maintenance.as_ref() != Some(before) {
                return Err(mismatch("maintenance"));
            }
            view.maintenance = None;
        }
        Change::ClusterHealthChanged { before, after } => {
            if view.health != *before {
                return Err(mismatch("health"));
            }
            view.health = *after;
        }
        Change::ClusterIdentityConflict(conflict) => {
            view.conflicts.insert(conflict.clone());
        }
        Change::ClusterIdentityResolved(conflict) => {
            view.conflicts.remove(conflict);
        }
        Change::AgentNew { node, address, labels } => {
            let unseen = NodeView { labels: labels.clone(), ..NodeView::unseen(address.clone()) };
            let known = view.nodes.insert(node.clone(), unseen);
            if known.is_some() {
                return Err(mismatch(node));
            }
        }
        Change::AgentUp { node, before, after }
        | Change::AgentDown { node, before, after }
        | Change::NodeUp { node, before, after }
        | Change::NodeDown { node, before, after } => {
            let known = node_of(view, name, node)?;
            if known.status != *before {
                return Err(mismatch(node));
            }
            known.status = after.clone();
        }
        Change::AgentInfoNew { node, after } | Change::AgentInfoChanged { node, after, .. } => {
            node_of(view, name, node)?.agent = Some(after.clone());
        }
        Change::NodeNew { node, after } | Change::NodeChanged { node, after, .. } => {
            let known = node_of(view, name, node)?;
            let mut patched = facts(known);
            apply_patch(&mut patched, after);
            set_facts(known, patched).ok_or_else(|| mismatch(node))?;
        }
        Change::NodeMissing { node, since } => node_of(view, name, node)?.missing_since = *since,
        Change::NodeRestored { node, .. } => node_of(view, name, node)?.missing_since = None,
        Change::NodeRemoved { node, .. } => {
            let unknown = || FoldError::UnknownNode { change: name, node: node.clone() };
            let removed = view.nodes.remove(node).ok_or_else(unknown)?;
            removed.shards.keys().for_each(|shard| forget_primary(view, shard));
        }
        Change::ShardNew { node, shard, after } => {
            let known = node_of(view, name, node)?.shards.insert(shard.clone(), after.role.clone());
            if known.is_some() {
                return Err(mismatch(shard));
            }
        }
        Change::ShardChanged { node, shard, before, after } => {
            let shards: &mut BTreeMap<ShardId, Role> = &mut node_of(view, name, node)?.shards;
            match shards.get_mut(shard) {
                Some(role) if *role == before.role => *role = after.role.clone(),
                _ => return Err(mismatch(shard)),
            }
        }
        Change::ShardRemoved { node, shard, .. } => {
            if node_of(view, name, node)?.shards.remove(shard).is_none() {
                return Err(mismatch(shard));
            }
            forget_primary(view, shard);
        }
        Change::ShardPrimaryChanged { shard, before, after }
        | Change::ShardPrimaryLost { shard, before, after }
        | Change::ShardPrimaryConflict { shard, before, after } => {
            if view.primaries.get(shard) != before.as_ref() {
                return Err(mismatch(shard));
            }
            view.primaries.insert(shard.clone(), after.clone());
        }
        // Actions are no part of the view.
        Change::ActionNew { node, .. }
        | Change::ActionChanged { node, .. }
        | Change::ActionFinished { node, .. }
        | Change::ActionLost { node, .. } => drop(node_of(view, name, node)?),
        _ => {}
    }
    Ok(())
}

/// A shard that no node holds any more has no primary to speak of.
fn forget_primary(view: &mut ClusterView, shard: &ShardId) {
    if view.primaries.contains_key(shard) && !view.nodes.values().any(|node| node.shards.contains_key(shard))
    {
        view.primaries.remove(shard);
    }
}

fn node_of<'a>(
    view: &'a mut ClusterView,
    change: &'static str,
    node: &str,
) -> Result<&'a mut NodeView, FoldError> {
    view.nodes.get_mut(node).ok_or_else(|| FoldError::UnknownNode { change, node: node.into() })
}
