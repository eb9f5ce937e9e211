//! Snapshots: the whole view in parts that fit one event each, so that a reader can start anywhere.

use std::time::Duration;

use serde::Serialize;

use crate::change::{Change, ClusterHeader, SnapshotHeader, SnapshotPart};
use crate::diff::MAX_SPLIT;
use crate::time::Timestamp;
use crate::view::{ClusterView, NodeView, Snapshots};

/// A snapshot is due after this many commits.
pub const COMMITS: u32 = 100;
/// A snapshot is due when the last one is older than this, or than a quarter of the stream's retention.
pub const MAX_AGE: Duration = Duration::from_secs(6 * 3600);
/// Bytes of a part that are kept for the event's envelope.
const RESERVED: usize = 8 * 1024;

/// Whether the next commit brings a snapshot: see [`COMMITS`] and [`MAX_AGE`].
pub fn is_due(snapshots: Snapshots, now: Timestamp, retention: Duration) -> bool {
    snapshots.commits >= COMMITS || now.since(snapshots.last) >= MAX_AGE.min(retention / 4)
}

/// The snapshot of a view: one change a part, in order. At least one.
pub fn snapshot(view: &ClusterView) -> Vec<Change> {
    let mut packer = Packer::default();
    packer.part.cluster = Some(SnapshotHeader {
        header: ClusterHeader { display_name: view.display_name.clone(), discovery: view.discovery.clone() },
        missing_since: view.missing_since,
        maintenance: view.maintenance.clone(),
        health: view.health,
    });
    for (id, address) in &view.record {
        packer.room(&(id, address));
        packer.part.record.insert(id.clone(), address.clone());
    }
    for (id, node) in &view.nodes {
        let bare = NodeView { shards: Default::default(), ..node.clone() };
        packer.room(&(id, &bare));
        packer.part.nodes.insert(id.clone(), bare);
    }
    for (id, node) in &view.nodes {
        for (shard, role) in &node.shards {
            // The node's id stands once a part; it is weighed with each shard, to be on the safe side.
            packer.room(&(id, shard, role));
            packer.part.shards.entry(id.clone()).or_default().insert(shard.clone(), role.clone());
        }
    }
    for (shard, primary) in &view.primaries {
        packer.room(&(shard, primary));
        packer.part.primaries.insert(shard.clone(), primary.clone());
    }
    for conflict in &view.conflicts {
        packer.room(conflict);
        packer.part.conflicts.insert(conflict.clone());
    }
    packer.finish()
}

#[derive(Default)]
struct Packer {
    done: Vec<SnapshotPart>,
    part: SnapshotPart,
    size: usize,
}

impl Packer {
    /// Makes room for a piece: begins a new part when it does not fit this one.
    fn room(&mut self, piece: &impl Serialize) {
        let bytes = serde_json::to_vec(piece).map_or(0, |json| json.len()) + 8;
        if self.size + bytes > MAX_SPLIT - RESERVED {
            self.done.push(std::mem::take(&mut self.part));
            self.size = 0;
        }
        self.size += bytes;
    }

    fn finish(mut self) -> Vec<Change> {
        self.done.push(self.part);
        let parts = u32::try_from(self.done.len()).unwrap_or(u32::MAX);
        self.done
            .into_iter()
            .zip(1..)
            .map(|(part, number)| {
                Change::ClusterSnapshot(Box::new(SnapshotPart { part: number, parts, ..part }))
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fold::fold;
    use crate::observation::Role;

    fn view(nodes: usize, shards: usize) -> ClusterView {
        let mut view = ClusterView { display_name: Some("big".into()), ..ClusterView::default() };
        for n in 0..nodes {
            let mut node = NodeView::unseen(format!("http://node-{n}.example.com:8000"));
            for s in 0..shards {
                node.shards.insert(format!("shard-{s}"), Role::Secondary);
            }
            view.record.insert(format!("node-{n}"), node.address.clone());
            view.nodes.insert(format!("node-{n}"), node);
        }
        view
    }

    #[test]
    fn a_snapshot_replaces_whatever_the_reader_had() {
        let small = view(3, 2);
        assert_eq!(snapshot(&small).len(), 1);
        for start in [None, Some(view(1, 1))] {
            assert_eq!(fold(start, &snapshot(&small)).unwrap(), Some(small.clone()));
        }
    }

    #[test]
    fn a_large_snapshot_comes_in_parts_that_fit() {
        let large = view(40, 800);
        let parts = snapshot(&large);
        assert!(parts.len() > 3);
        for part in &parts {
            assert!(serde_json::to_vec(part).unwrap().len() <= MAX_SPLIT);
        }
        assert_eq!(fold(None, &parts).unwrap(), Some(large));
        assert!(fold(None, &parts[1..]).is_err(), "a snapshot without its start is no snapshot");
    }

    #[test]
    fn a_snapshot_is_due_by_count_and_by_age() {
        let day = Duration::from_secs(86_400);
        let last = Timestamp(1_000_000);
        assert!(!is_due(Snapshots { commits: 99, last }, last, day));
        assert!(is_due(Snapshots { commits: 100, last }, last, day));
        assert!(!is_due(
            Snapshots { commits: 0, last },
            last.plus(MAX_AGE).minus(Duration::from_millis(1)),
            day
        ));
        assert!(is_due(Snapshots { commits: 0, last }, last.plus(MAX_AGE), day));
        assert!(
            is_due(Snapshots { commits: 0, last }, last.plus(day / 24), day / 6),
            "a quarter of the retention"
        );
    }
}
