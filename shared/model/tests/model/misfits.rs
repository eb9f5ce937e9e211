//! What was invented, or comes after what the reader missed: a change that does not fit is refused, and never makes a view.

use std::collections::BTreeMap;

use replicante_model::change::{Change, RoleOf, SnapshotHeader, SnapshotPart};
use replicante_model::fold::{Fold, FoldError};
use replicante_model::observation::Role;
use replicante_model::view::{ClusterView, NodeView};

use crate::examples::examples;

/// A cluster with one node, which holds one shard.
fn known() -> ClusterView {
    let mut node = NodeView::unseen("http://n1:8000");
    node.shards.insert("s1".into(), Role::Secondary);
    ClusterView { nodes: [("n1".into(), node)].into(), ..ClusterView::default() }
}

#[test]
fn of_a_cluster_that_is_not_known_nothing_is_taken_but_its_first_event_and_what_is_not_about_it() {
    for change in examples() {
        let mut fold = Fold::default();
        let (name, applied) = (change.name(), fold.apply(&change));
        match name.split('.').next() {
            Some("discovery" | "object") => {
                assert_eq!((applied, fold), (Ok(()), Fold::default()), "{name}");
            }
            _ if matches!(name, "cluster.new" | "cluster.snapshot") => assert_eq!(applied, Ok(()), "{name}"),
            _ => assert_eq!(applied, Err(FoldError::UnknownCluster(name)), "{name}"),
        }
    }
}

#[test]
fn what_is_about_a_node_is_refused_while_the_node_is_not_known() {
    let mut refused = 0;
    for change in examples() {
        let of_cluster = ["cluster.", "discovery.", "object.", "shard.primary_"];
        let name = change.name();
        if name == "agent.new" || of_cluster.iter().any(|prefix| name.starts_with(prefix)) {
            continue;
        }
        let applied = Fold::from(Some(known())).apply(&change);
        assert!(
            matches!(&applied, Err(FoldError::UnknownNode { change, .. }) if *change == name),
            "{name}: {applied:?}"
        );
        refused += 1;
    }
    assert_eq!(refused, 18);
}

#[test]
fn a_role_that_was_another_before_is_refused() {
    let of = |role| RoleOf { role };
    let changed = |before, after| Change::ShardChanged {
        node: "n1".into(),
        shard: "s1".into(),
        before: of(before),
        after: of(after),
    };
    let mut fold = Fold::from(Some(known()));
    let refused = fold.apply(&changed(Role::Primary, Role::Recovering));
    assert!(matches!(refused, Err(FoldError::Mismatch { change: "shard.changed", .. })), "{refused:?}");
    assert_eq!(fold.view, Some(known()));
    assert_eq!(fold.apply(&changed(Role::Secondary, Role::Primary)), Ok(()));
}

#[test]
fn a_part_of_a_snapshot_that_does_not_follow_the_one_before_is_refused() {
    let part = |part, parts, header: Option<SnapshotHeader>| {
        Change::ClusterSnapshot(Box::new(SnapshotPart {
            part,
            parts,
            cluster: header,
            record: BTreeMap::new(),
            nodes: BTreeMap::new(),
            shards: BTreeMap::new(),
            primaries: BTreeMap::new(),
            conflicts: [].into(),
        }))
    };
    let header = || Some(SnapshotHeader::default());
    let last = |changes: &[Change]| {
        let mut fold = Fold::from(Some(known()));
        let (last, before) = changes.split_last().unwrap();
        before.iter().for_each(|change| fold.apply(change).unwrap());
        (fold.apply(last), fold.view)
    };
    let refused = |part, parts| (Err(FoldError::SnapshotPart { part, parts }), Some(known()));
    assert_eq!(last(&[part(2, 2, header())]), refused(2, 2), "the header is of the first");
    assert_eq!(last(&[part(2, 2, None)]), refused(2, 2), "the first was missed");
    assert_eq!(last(&[part(1, 3, header()), part(3, 3, None)]), refused(3, 3), "the second was missed");
    assert_eq!(last(&[part(1, 3, header()), part(1, 3, None)]), refused(1, 3), "it has no header");
    let whole = last(&[part(1, 2, header()), part(2, 2, None)]);
    assert_eq!(whole, (Ok(()), Some(ClusterView::default())));
}
