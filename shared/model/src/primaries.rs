//! Primaries: which node leads each shard, judged over all nodes of the cluster.
//!
//! The rules look at shards that at least two present nodes report, and only at what was heard in this
//! refresh. A trouble is called after two refreshes in a row: a fail-over seen half way is none.

use std::collections::{BTreeMap, BTreeSet};

use crate::observation::Role;
use crate::record::NodeId;
use crate::view::{ClusterView, Counters, MAX_NAMED, Primary, ShardCounters, ShardId};

/// What a refresh heard of a node, as far as primaries are concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// Its store answered: its roles are of now.
    Up,
    /// Its agent answered and said that the store is down: it leads nothing.
    Down,
    /// Nothing: its roles may be anything by now.
    Nothing,
}

/// How many refreshes in a row make a trouble.
const IN_A_ROW: u32 = 2;

#[derive(Default)]
struct Holders<'a> {
    count: usize,
    primaries: Vec<&'a NodeId>,
    all_answered: bool,
    has_roles: bool,
}

/// Judges every shard anew and forgets shards that no node holds any more.
pub fn judge(view: &mut ClusterView, counters: &mut Counters, heard: impl Fn(&str) -> Heard) {
    let mut shards: BTreeMap<&ShardId, Holders<'_>> = BTreeMap::new();
    for (id, node) in &view.nodes {
        let missing = node.missing_since.is_some();
        let answer = if missing { Heard::Nothing } else { heard(id) };
        for (shard, role) in &node.shards {
            let holders =
                shards.entry(shard).or_insert_with(|| Holders { all_answered: true, ..Holders::default() });
            if missing {
                continue;
            }
            holders.count += 1;
            holders.all_answered &= answer != Heard::Nothing;
            holders.has_roles |= !matches!(role, Role::Other(_));
            if answer == Heard::Up && *role == Role::Primary {
                holders.primaries.push(id);
            }
        }
    }

    let mut verdicts: Vec<(ShardId, Primary)> = Vec::new();
    let mut rows: BTreeMap<ShardId, ShardCounters> = BTreeMap::new();
    for (shard, holders) in &shards {
        if holders.count < 2 {
            continue;
        }
        let known = view.primaries.get(*shard);
        let before = counters.shards.get(*shard).copied().unwrap_or_default();
        let mut row = ShardCounters::default();
        match holders.primaries.as_slice() {
            [node] => {
                if !matches!(known, Some(Primary::Elected { node: last }) if last == *node) {
                    verdicts.push(((*shard).clone(), Primary::Elected { node: (*node).clone() }));
                }
            }
            // A store that knows no primaries has none to lose.
            [] if holders.all_answered && (holders.has_roles || known.is_some()) => {
                row.lost = before.lost.saturating_add(1).min(IN_A_ROW);
                if row.lost == IN_A_ROW && !matches!(known, Some(Primary::Lost { .. })) {
                    let last = match known {
                        Some(Primary::Elected { node }) => Some(node.clone()),
                        _ => None,
                    };
                    verdicts.push(((*shard).clone(), Primary::Lost { last }));
                }
            }
            [] => {}
            several => {
                row.conflict = before.conflict.saturating_add(1).min(IN_A_ROW);
                let nodes: Vec<NodeId> = several.iter().take(MAX_NAMED).map(|node| (*node).clone()).collect();
                let same = matches!(known, Some(Primary::Conflict { nodes: last }) if *last == nodes);
                if row.conflict == IN_A_ROW && !same {
                    verdicts.push(((*shard).clone(), Primary::Conflict { nodes }));
                }
            }
        }
        if row != ShardCounters::default() {
            rows.insert((*shard).clone(), row);
        }
    }
    let gone: BTreeSet<ShardId> =
        view.primaries.keys().filter(|shard| !shards.contains_key(shard)).cloned().collect();
    counters.shards = rows;
    view.primaries.retain(|shard, _| !gone.contains(shard));
    view.primaries.extend(verdicts);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::{NodeStatus, NodeView};

    fn cluster(roles: &[Role]) -> ClusterView {
        let mut view = ClusterView::default();
        for (index, role) in roles.iter().enumerate() {
            let mut node = NodeView::unseen("http://a");
            node.status = NodeStatus::Up;
            node.shards.insert("s".into(), role.clone());
            view.nodes.insert(format!("n{index}"), node);
        }
        view
    }

    fn set(view: &mut ClusterView, roles: &[Role]) {
        for (index, role) in roles.iter().enumerate() {
            view.nodes.get_mut(&format!("n{index}")).unwrap().shards.insert("s".into(), role.clone());
        }
    }

    use Role::{Primary as P, Secondary as S};

    fn elected(node: &str) -> Option<Primary> {
        Some(Primary::Elected { node: node.into() })
    }

    #[test]
    fn the_only_primary_is_elected_at_once() {
        let (mut view, mut counters) = (cluster(&[S, P]), Counters::default());
        judge(&mut view, &mut counters, |_| Heard::Up);
        assert_eq!(view.primaries.get("s").cloned(), elected("n1"));
        set(&mut view, &[P, S]);
        judge(&mut view, &mut counters, |_| Heard::Up);
        assert_eq!(view.primaries.get("s").cloned(), elected("n0"));
    }

    #[test]
    fn a_shard_on_one_node_alone_is_not_judged() {
        let (mut view, mut counters) = (cluster(&[P]), Counters::default());
        judge(&mut view, &mut counters, |_| Heard::Up);
        assert!(view.primaries.is_empty());
    }

    #[test]
    fn a_primary_is_lost_when_all_holders_answered_twice_in_a_row_and_none_leads() {
        let (mut view, mut counters) = (cluster(&[P, S]), Counters::default());
        judge(&mut view, &mut counters, |_| Heard::Up);
        let n0_down = |id: &str| if id == "n0" { Heard::Down } else { Heard::Up };
        judge(&mut view, &mut counters, n0_down);
        assert_eq!(view.primaries.get("s").cloned(), elected("n0"), "once is not enough");
        judge(&mut view, &mut counters, |id| if id == "n0" { Heard::Nothing } else { Heard::Up });
        judge(&mut view, &mut counters, n0_down);
        assert_eq!(view.primaries.get("s").cloned(), elected("n0"), "not in a row");
        judge(&mut view, &mut counters, n0_down);
        assert_eq!(view.primaries.get("s"), Some(&Primary::Lost { last: Some("n0".into()) }));
        judge(&mut view, &mut counters, |_| Heard::Up);
        assert_eq!(view.primaries.get("s").cloned(), elected("n0"), "the same node may return");
    }

    #[test]
    fn a_silent_agent_never_loses_a_primary() {
        let (mut view, mut counters) = (cluster(&[P, S]), Counters::default());
        judge(&mut view, &mut counters, |_| Heard::Up);
        for _ in 0..5 {
            judge(&mut view, &mut counters, |id| if id == "n0" { Heard::Nothing } else { Heard::Up });
        }
        assert_eq!(view.primaries.get("s").cloned(), elected("n0"));
        assert_eq!(counters, Counters::default());
    }

    #[test]
    fn two_primaries_are_a_conflict_when_seen_twice_in_a_row() {
        let (mut view, mut counters) = (cluster(&[P, P]), Counters::default());
        judge(&mut view, &mut counters, |_| Heard::Up);
        assert!(view.primaries.is_empty());
        judge(&mut view, &mut counters, |_| Heard::Up);
        let both = Primary::Conflict { nodes: vec!["n0".into(), "n1".into()] };
        assert_eq!(view.primaries.get("s"), Some(&both));
        let before = counters.clone();
        judge(&mut view, &mut counters, |_| Heard::Up);
        assert_eq!(counters, before, "a steady conflict is no change");
        judge(&mut view, &mut counters, |id| if id == "n1" { Heard::Nothing } else { Heard::Up });
        assert_eq!(view.primaries.get("s").cloned(), elected("n0"), "only nodes that are up count");
    }

    #[test]
    fn stores_without_such_roles_never_lose_a_primary() {
        let peer = || Role::Other("peer".into());
        let (mut view, mut counters) = (cluster(&[peer(), peer()]), Counters::default());
        for _ in 0..3 {
            judge(&mut view, &mut counters, |_| Heard::Up);
        }
        assert!(view.primaries.is_empty());
    }

    #[test]
    fn a_shard_that_no_node_holds_is_forgotten() {
        let (mut view, mut counters) = (cluster(&[P, S]), Counters::default());
        judge(&mut view, &mut counters, |_| Heard::Up);
        view.nodes.values_mut().for_each(|node| node.shards.clear());
        judge(&mut view, &mut counters, |_| Heard::Up);
        assert!(view.primaries.is_empty());
    }
}
