//! Health: one word that follows from the view. The first that fits.

use std::collections::BTreeSet;

use crate::view::{ClusterView, Health, NodeStatus, Primary};

/// The health of a cluster, from its view alone. Missing nodes don't count.
///
/// `unknown`: no agent answered, or there are no nodes. `down`: no node is up. `degraded`: some node is not
/// up or says itself that it is not healthy, a shard that at least two nodes hold lacks a primary or has
/// several, or an identity conflict stands. Else `healthy`.
pub fn health(view: &ClusterView) -> Health {
    let (mut answering, mut up, mut nodes, mut unwell) = (0, 0, 0, false);
    for (_, node) in view.present() {
        nodes += 1;
        match node.status {
            NodeStatus::AgentDown { .. } => {}
            NodeStatus::NodeDown { .. } | NodeStatus::Conflict { .. } => answering += 1,
            NodeStatus::Up => {
                answering += 1;
                up += 1;
                unwell |= node.details.as_ref().is_some_and(|details| details.condition.is_some());
            }
        }
    }
    if answering == 0 {
        Health::Unknown
    } else if up == 0 {
        Health::Down
    } else if up < nodes || unwell || !view.conflicts.is_empty() || primary_trouble(view) {
        Health::Degraded
    } else {
        Health::Healthy
    }
}

/// Whether a shard that at least two present nodes hold lacks a primary or has several.
fn primary_trouble(view: &ClusterView) -> bool {
    let troubled: BTreeSet<&str> = view
        .primaries
        .iter()
        .filter(|(_, primary)| !matches!(primary, Primary::Elected { .. }))
        .map(|(shard, _)| shard.as_str())
        .collect();
    troubled
        .iter()
        .any(|shard| view.present().filter(|(_, node)| node.shards.contains_key(*shard)).count() >= 2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observation::{NodeDetails, Role};
    use crate::time::Timestamp;
    use crate::view::{IdentityConflict, NodeView};

    fn cluster(statuses: &[NodeStatus]) -> ClusterView {
        let mut view = ClusterView::default();
        for (index, status) in statuses.iter().enumerate() {
            let mut node = NodeView::unseen("http://a");
            node.status = status.clone();
            node.shards.insert("s".into(), Role::Secondary);
            view.nodes.insert(format!("n{index}"), node);
        }
        view
    }

    fn down() -> NodeStatus {
        NodeStatus::NodeDown { reason: "r".into() }
    }

    #[test]
    fn the_first_word_that_fits_is_the_health() {
        use NodeStatus::Up;
        assert_eq!(health(&cluster(&[])), Health::Unknown);
        assert_eq!(health(&cluster(&[NodeStatus::unseen(), NodeStatus::unseen()])), Health::Unknown);
        assert_eq!(health(&cluster(&[NodeStatus::unseen(), down()])), Health::Down);
        assert_eq!(health(&cluster(&[Up, down()])), Health::Degraded);
        assert_eq!(health(&cluster(&[Up, NodeStatus::unseen()])), Health::Degraded);
        assert_eq!(health(&cluster(&[Up, NodeStatus::Conflict { reason: "r".into() }])), Health::Degraded);
        assert_eq!(health(&cluster(&[Up, Up])), Health::Healthy);
    }

    #[test]
    fn a_node_that_says_it_is_not_healthy_degrades_the_cluster() {
        let mut view = cluster(&[NodeStatus::Up]);
        let details = NodeDetails { condition: Some("UNHEALTHY".into()), ..NodeDetails::default() };
        view.nodes.get_mut("n0").unwrap().details = Some(details);
        assert_eq!(health(&view), Health::Degraded);
    }

    #[test]
    fn missing_nodes_do_not_count() {
        let mut view = cluster(&[NodeStatus::Up, down()]);
        view.nodes.get_mut("n1").unwrap().missing_since = Some(Timestamp(1));
        assert_eq!(health(&view), Health::Healthy);
    }

    #[test]
    fn a_lost_or_contested_primary_degrades_the_cluster_while_two_nodes_hold_the_shard() {
        let mut view = cluster(&[NodeStatus::Up, NodeStatus::Up]);
        view.primaries.insert("s".into(), Primary::Elected { node: "n0".into() });
        assert_eq!(health(&view), Health::Healthy);
        for trouble in
            [Primary::Lost { last: None }, Primary::Conflict { nodes: vec!["n0".into(), "n1".into()] }]
        {
            view.primaries.insert("s".into(), trouble);
            assert_eq!(health(&view), Health::Degraded);
        }
        view.nodes.get_mut("n1").unwrap().shards.clear();
        assert_eq!(health(&view), Health::Healthy);
    }

    #[test]
    fn an_identity_conflict_degrades_the_cluster() {
        let mut view = cluster(&[NodeStatus::Up]);
        view.conflicts.insert(IdentityConflict::DisplayName { names: vec!["a".into(), "b".into()] });
        assert_eq!(health(&view), Health::Degraded);
    }
}
