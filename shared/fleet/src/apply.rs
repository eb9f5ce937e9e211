//! Applying changes to the world, and the elections that follow.

use std::time::Duration;

use replicante_model::name::check_name;

use crate::applied::{Applied, ChangeError, Election};
use crate::change::Change;
use crate::world::{ActionsMode, AgentState, Cluster, Node, StoreState, World};

impl World {
    /// Applies one change and the elections that follow from it.
    ///
    /// A primary whose store stops serving or whose agent is gone (as when the machine dies) is replaced by the
    /// next node that can lead. ZooKeeper and MongoDB need a majority of stores that serve for that: without
    /// one nobody leads, until it is back.
    ///
    /// # Errors
    /// [`ChangeError`] says what does not fit; nothing was changed then.
    pub fn apply(&mut self, change: Change) -> Result<Applied, ChangeError> {
        let before = match change.cluster().and_then(|id| self.clusters.get(id)) {
            Some(cluster) => cluster.shards.clone(),
            None => Vec::new(),
        };
        self.change(&change)?;
        let mut elections = Vec::new();
        if let Some(cluster) = change.cluster().and_then(|id| self.clusters.get_mut(id)) {
            cluster.elect();
            for (old, new) in before.into_iter().zip(&cluster.shards) {
                if old.primary != new.primary {
                    elections.push(Election { shard: old.id, from: old.primary, to: new.primary.clone() });
                }
            }
        }
        Ok(Applied { change, elections })
    }

    fn change(&mut self, change: &Change) -> Result<(), ChangeError> {
        match change {
            Change::Agent { cluster, node, state } => self.node_mut(cluster, node)?.agent = *state,
            Change::Store { cluster, node, state } => self.node_mut(cluster, node)?.store = *state,
            Change::Fault { cluster, node, fault } => self.node_mut(cluster, node)?.fault = fault.clone(),
            Change::Latency { cluster, node, millis } => {
                self.node_mut(cluster, node)?.latency = Duration::from_millis(*millis);
            }
            Change::FailOver { cluster, shard, to } => {
                self.cluster_mut(cluster)?.fail_over(cluster, shard.as_deref(), to.as_deref())?;
            }
            Change::UpgradeStore { cluster, node, version } => {
                self.node_mut(cluster, node)?.store_version.clone_from(version);
            }
            Change::UpgradeAgent { cluster, node, version } => {
                self.node_mut(cluster, node)?.agent_version.clone_from(version);
            }
            Change::Attribute { cluster, node, name, value } => {
                let attributes = &mut self.node_mut(cluster, node)?.attributes;
                match value {
                    Some(value) => attributes.insert(name.clone(), value.clone()),
                    None => attributes.remove(name),
                };
            }
            Change::Action { cluster, node, action } => {
                let node = self.node_mut(cluster, node)?;
                if node.actions_mode == ActionsMode::Off {
                    node.actions_mode = ActionsMode::Listed;
                }
                match node.actions.iter_mut().find(|known| known.id == action.id) {
                    Some(known) => known.clone_from(action),
                    None => node.actions.push(action.clone()),
                }
            }
            Change::ForgetAction { cluster, node, action } => {
                self.node_mut(cluster, node)?.actions.retain(|known| known.id != *action);
            }
            Change::Actions { cluster, node, mode } => self.node_mut(cluster, node)?.actions_mode = *mode,
            Change::AddCluster { cluster, kind, nodes, shards } => {
                if self.clusters.contains_key(cluster) {
                    return Err(ChangeError::Exists(cluster.clone()));
                }
                if *nodes == 0 || check_name(cluster).is_err() {
                    return Err(ChangeError::BadCluster(cluster.clone(), *nodes));
                }
                let new = self.new_cluster(cluster, *kind, *nodes, shards.unwrap_or(self.config.shards), 0);
                self.clusters.insert(cluster.clone(), new);
                self.next_cluster += 1;
            }
            Change::RemoveCluster { cluster } => {
                self.clusters.remove(cluster).ok_or_else(|| ChangeError::NoCluster(cluster.clone()))?;
            }
            Change::ListCluster { cluster, listed } => self.cluster_mut(cluster)?.listed = *listed,
            Change::RenameCluster { cluster, display_name } => {
                self.cluster_mut(cluster)?.display_name.clone_from(display_name);
            }
            Change::AddNode { cluster } => {
                let known = self.cluster_mut(cluster)?;
                known.last_number += 1;
                let (kind, number) = (known.kind, known.last_number);
                let node = self.new_node(kind, number);
                self.cluster_mut(cluster)?.nodes.insert(format!("node-{number}"), node);
            }
            Change::RemoveNode { cluster, node } => {
                self.node_mut(cluster, node)?;
                let known = self.cluster_mut(cluster)?;
                if known.nodes.len() == 1 {
                    return Err(ChangeError::LastNode { cluster: cluster.clone(), node: node.clone() });
                }
                known.nodes.remove(node);
            }
            Change::MoveNode { cluster, node } => self.node_mut(cluster, node)?.moves += 1,
            Change::Discovery { fault } => self.discovery.clone_from(fault),
        }
        Ok(())
    }

    fn cluster_mut(&mut self, id: &str) -> Result<&mut Cluster, ChangeError> {
        self.clusters.get_mut(id).ok_or_else(|| ChangeError::NoCluster(id.to_owned()))
    }

    fn node_mut(&mut self, cluster: &str, node: &str) -> Result<&mut Node, ChangeError> {
        let missing = || ChangeError::NoNode { cluster: cluster.to_owned(), node: node.to_owned() };
        self.cluster_mut(cluster)?.nodes.get_mut(node).ok_or_else(missing)
    }
}

impl Cluster {
    /// Whether a node can become primary: its store serves and its machine is there.
    fn can_lead(node: &Node) -> bool {
        node.store == StoreState::Up && node.agent != AgentState::Gone
    }

    /// Whether enough stores serve for there to be primaries.
    fn can_elect(&self) -> bool {
        let serving = self.nodes.values().filter(|node| node.store == StoreState::Up).count();
        !self.kind.needs_majority() || serving > self.nodes.len() / 2
    }

    /// Gives every shard a primary that can lead, if there is one; leaves good ones where they are.
    fn elect(&mut self) {
        let possible = self.can_elect();
        for index in 0..self.shards.len() {
            let current = self.shards[index].primary.as_deref();
            let serves = |id: &str| self.nodes.get(id).is_some_and(|node| node.store == StoreState::Up);
            let next = match current {
                _ if !possible => None,
                Some(id) if self.nodes.get(id).is_some_and(Cluster::can_lead) => Some(id.to_owned()),
                // A store without its agent leads on when there is nobody else.
                Some(id) if serves(id) => self.successor(Some(id)).or_else(|| Some(id.to_owned())),
                _ => self
                    .successor(current)
                    .or_else(|| self.nodes.keys().find(|id| serves(id.as_str())).cloned()),
            };
            self.lead(index, next);
        }
    }

    /// The next node after `current`, in the order of ids and round again, that can lead.
    fn successor(&self, current: Option<&str>) -> Option<String> {
        let current = current.unwrap_or_default();
        let later = self.nodes.iter().filter(|(id, _)| id.as_str() > current);
        let earlier = self.nodes.iter().filter(|(id, _)| id.as_str() < current);
        later.chain(earlier).find(|(_, node)| Cluster::can_lead(node)).map(|(id, _)| id.clone())
    }

    /// Whether [`Change::FailOver`] without a shard or a node would be accepted.
    pub(crate) fn can_fail_over(&self) -> bool {
        let leader = self.shards.first().and_then(|shard| shard.primary.as_deref());
        self.can_elect() && leader.is_some_and(|leader| self.successor(Some(leader)).is_some())
    }

    fn lead(&mut self, index: usize, next: Option<String>) {
        let shard = &mut self.shards[index];
        if shard.primary != next {
            shard.term += u32::from(next.is_some());
            shard.primary = next;
        }
    }

    fn fail_over(&mut self, cluster: &str, shard: Option<&str>, to: Option<&str>) -> Result<(), ChangeError> {
        let nobody = || ChangeError::NobodyCanLead(cluster.to_owned());
        let chosen: Vec<usize> = match shard {
            Some(id) => {
                let place = self.shards.iter().position(|shard| shard.id == id);
                vec![
                    place
                        .ok_or_else(|| ChangeError::NoShard { cluster: cluster.into(), shard: id.into() })?,
                ]
            }
            None => {
                let leader = self.shards.first().ok_or_else(nobody)?.primary.as_ref();
                (0..self.shards.len())
                    .filter(|&place| self.shards[place].primary.as_ref() == leader)
                    .collect()
            }
        };
        let current = chosen.first().and_then(|&place| self.shards[place].primary.clone());
        let next = match to {
            _ if !self.can_elect() => None,
            Some(id) => self.nodes.get(id).filter(|node| Cluster::can_lead(node)).map(|_| id.to_owned()),
            None => self.successor(Some(current.as_deref().ok_or_else(nobody)?)),
        };
        let next = next.ok_or_else(nobody)?;
        for place in chosen {
            self.lead(place, Some(next.clone()));
        }
        Ok(())
    }
}
