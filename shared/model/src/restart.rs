//! Restart: how a record goes on after its table was restored from a backup.
//!
//! The table is then behind the stream: the next event of a record would have a number that the stream has under another
//! content. So every record begins a new epoch, higher than any that the stream can have. What the epoch tells first
//! stands for all that readers know: see [`restart`].

use crate::change::Change;
use crate::snapshot::snapshot;
use crate::time::Timestamp;
use crate::view::ClusterView;

/// The epoch that all records of a restored table go on in: the present time in seconds, as for a record that returns, and
/// higher than the highest that the table or the stream was seen to have.
pub fn restart_epoch(now: Timestamp, highest: u64) -> u64 {
    u64::try_from(now.seconds()).unwrap_or(0).max(highest.saturating_add(1))
}

/// The first changes of a cluster's new epoch: what is stored, as a snapshot. Where nothing is stored of a cluster that
/// readers know (`told`), they are told that it is removed: an empty snapshot, so that it fits whatever they know, and its
/// end. Where neither knows it, nothing.
pub fn restart(view: Option<&ClusterView>, told: bool, actor: &str) -> Vec<Change> {
    match view {
        Some(view) => snapshot(view),
        None if told => {
            let mut changes = snapshot(&ClusterView::default());
            changes.push(Change::ClusterRemoved { missing_since: None, actor: Some(actor.into()) });
            changes
        }
        None => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fold::fold;

    #[test]
    fn the_epoch_is_above_all_that_were_seen_and_above_the_present_time() {
        let now = Timestamp(1_767_319_445_678);
        assert_eq!(restart_epoch(now, 0), 1_767_319_445);
        assert_eq!(restart_epoch(now, 1_767_319_444), 1_767_319_445);
        assert_eq!(
            restart_epoch(now, 1_767_319_445),
            1_767_319_446,
            "an epoch that was given is not given again"
        );
        assert_eq!(restart_epoch(now, 9_999_999_999), 10_000_000_000, "of a clock that was ahead");
    }

    #[test]
    fn whatever_readers_know_the_first_changes_lead_to_what_is_stored() {
        let view = |name: &str| ClusterView { display_name: Some(name.into()), ..ClusterView::default() };
        for known in [None, Some(view("as it was told after the backup"))] {
            for stored in [None, Some(view("as it is restored"))] {
                let told = known.is_some();
                let changes = restart(stored.as_ref(), told, "ann");
                assert_eq!(fold(known.clone(), &changes).unwrap(), stored, "known {known:?}");
            }
        }
        assert!(restart(None, false, "ann").is_empty());
    }
}
