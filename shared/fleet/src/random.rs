//! Plausible random changes, for a fleet that lives while one watches.

use rand::seq::IndexedRandom;
use rand::{Rng, RngExt};
use replicante_model::record::AgentApi;

use crate::change::Change;
use crate::world::{AgentState, Cluster, Fault, Node, StoreState, World};

/// Of all nodes of the listed clusters, the share in which something may be wrong at the same time, at most.
const MOST_BROKEN: f64 = 0.12;
/// How much larger than at its start the fleet may grow, in clusters.
const MOST_GROWTH: f64 = 1.25;

impl World {
    /// Draws a change that can be applied to this world and that keeps it alive.
    ///
    /// Nodes die and return, primaries fail over, versions are upgraded node by node, nodes and clusters come
    /// and go. The more is broken, the likelier is a repair. A majority of each cluster stays healthy (of two
    /// nodes one, and a single node always), if other changes did not break it. The same world and the same
    /// state of `rng` give the same change.
    pub fn random_change<R: Rng>(&self, rng: &mut R) -> Change {
        let listed: Vec<(&String, &Cluster)> =
            self.clusters.iter().filter(|(_, cluster)| cluster.listed).collect();
        let broken: Vec<(&String, &String, &Node)> = listed
            .iter()
            .flat_map(|(id, cluster)| cluster.nodes.iter().map(move |(node_id, node)| (*id, node_id, node)))
            .filter(|(_, _, node)| !node.is_healthy())
            .collect();
        let nodes: usize = listed.iter().map(|(_, cluster)| cluster.nodes.len()).sum();
        let allowed = (nodes as f64 * MOST_BROKEN).max(1.0);
        if let Some((cluster, id, node)) = broken.choose(rng)
            && rng.random_bool((broken.len() as f64 / allowed).clamp(0.25, 1.0))
        {
            return repair(cluster, id, node);
        }
        let Some((id, cluster)) = listed.choose(rng) else { return self.inventory_change(rng) };
        match rng.random_range(0..100) {
            0..40 => disturb(id, cluster, rng),
            40..60 => Some(Change::fail_over(id.as_str())).filter(|_| cluster.can_fail_over()),
            60..80 => upgrade(id, cluster, rng),
            80..90 => self.resize(id, cluster, rng),
            _ => Some(self.inventory_change(rng)),
        }
        .unwrap_or_else(|| move_or_label(id, cluster, rng))
    }

    /// Clusters appear, are forgotten by discovery, return, or go for good.
    fn inventory_change<R: Rng>(&self, rng: &mut R) -> Change {
        let (listed, unlisted): (Vec<_>, Vec<_>) =
            self.clusters.iter().partition(|(_, cluster)| cluster.listed);
        let most = (self.config.clusters as f64 * MOST_GROWTH).ceil() as usize;
        if let Some((id, _)) = unlisted.choose(rng) {
            let full = self.clusters.len() >= most;
            return if full && rng.random_bool(0.5) {
                Change::RemoveCluster { cluster: (*id).clone() }
            } else {
                Change::list(id.as_str(), true)
            };
        }
        match listed.choose(rng) {
            Some((id, _)) if self.clusters.len() >= most.max(2) => Change::list(id.as_str(), false),
            _ => {
                let (mut cluster, kind) = self.next_id();
                while self.clusters.contains_key(&cluster) {
                    cluster.push('x');
                }
                let nodes = rng.random_range(self.config.node_bounds());
                Change::AddCluster { cluster, kind, nodes, shards: None }
            }
        }
    }

    /// A node joins, or one leaves, within the bounds of the settings.
    fn resize<R: Rng>(&self, id: &str, cluster: &Cluster, rng: &mut R) -> Option<Change> {
        let bounds = self.config.node_bounds();
        let (grow, shrink) = (
            cluster.nodes.len() < *bounds.end(),
            cluster.nodes.len() > *bounds.start() && can_spare(cluster),
        );
        match (grow, shrink) {
            (true, false) => Some(Change::AddNode { cluster: id.into() }),
            (true, true) if rng.random_bool(0.5) => Some(Change::AddNode { cluster: id.into() }),
            (_, true) => {
                let node = healthy(cluster).choose(rng)?.to_string();
                Some(Change::RemoveNode { cluster: id.into(), node })
            }
            (false, false) => None,
        }
    }
}

fn healthy(cluster: &Cluster) -> Vec<&str> {
    cluster.nodes.iter().filter(|(_, node)| node.is_healthy()).map(|(id, _)| id.as_str()).collect()
}

/// Whether one more node may fail: a majority stays healthy; of two nodes one; a single node never fails.
fn can_spare(cluster: &Cluster) -> bool {
    let fewest = match cluster.nodes.len() {
        2 => 1,
        nodes => nodes / 2 + 1,
    };
    cluster.healthy_nodes() > fewest
}

/// Undoes what is wrong with a node, one thing at a time.
fn repair(cluster: &str, id: &str, node: &Node) -> Change {
    if node.fault.is_some() {
        Change::fault(cluster, id, None)
    } else if node.agent != AgentState::Up {
        Change::agent(cluster, id, AgentState::Up)
    } else if matches!(node.store, StoreState::Down | StoreState::NotInCluster) {
        // A store that returns catches up before it serves.
        Change::store(cluster, id, StoreState::Recovering)
    } else {
        Change::store(cluster, id, StoreState::Up)
    }
}

/// Something goes wrong on a healthy node, if the cluster can spare one.
fn disturb<R: Rng>(id: &str, cluster: &Cluster, rng: &mut R) -> Option<Change> {
    if !can_spare(cluster) {
        return None;
    }
    let node = *healthy(cluster).choose(rng)?;
    Some(match rng.random_range(0..20) {
        0..7 => Change::store(id, node, StoreState::Down),
        7..13 => Change::agent(id, node, AgentState::Gone),
        13..15 => Change::store(id, node, StoreState::Hanging),
        15 => Change::agent(id, node, AgentState::Hanging),
        16 => Change::fault(id, node, Some(Fault::Html)),
        17 => Change::fault(id, node, Some(Fault::ServerError)),
        18 if cluster.kind.api() == AgentApi::V2 => Change::store(id, node, StoreState::RollingBack),
        _ => Change::store(id, node, StoreState::Recovering),
    })
}

/// A rolling upgrade of stores goes on, or one begins; now and then an agent is upgraded.
fn upgrade<R: Rng>(id: &str, cluster: &Cluster, rng: &mut R) -> Option<Change> {
    let agents = rng.random_bool(0.3);
    let version = |node: &Node| if agents { node.agent_version.clone() } else { node.store_version.clone() };
    let newest = cluster.nodes.values().map(version).max_by_key(|version| numbers(version))?;
    let behind: Vec<&String> =
        cluster.nodes.iter().filter(|(_, node)| version(node) != newest).map(|(id, _)| id).collect();
    let (node, version) = match behind.choose(rng) {
        Some(node) => ((*node).clone(), newest),
        None => ((*healthy(cluster).choose(rng)?).to_owned(), following(&newest)),
    };
    let cluster = id.to_owned();
    Some(if agents {
        Change::UpgradeAgent { cluster, node, version }
    } else {
        Change::UpgradeStore { cluster, node, version }
    })
}

/// A node moves to another address, or gets a label where its agent reports such: always possible.
fn move_or_label<R: Rng>(id: &str, cluster: &Cluster, rng: &mut R) -> Change {
    let ids: Vec<&String> = cluster.nodes.keys().collect();
    // Clusters have nodes: none is made without, and the last is never removed.
    let node = ids.choose(rng).map(|id| (*id).clone()).unwrap_or_default();
    let cluster_id = id.to_owned();
    if cluster.kind.api() == AgentApi::V2 && rng.random_bool(0.5) {
        let (name, value) =
            ("fleet/maintenance-window".to_owned(), format!("{:02}:00", rng.random_range(0..24)));
        Change::Attribute { cluster: cluster_id, node, name, value: Some(value) }
    } else {
        Change::MoveNode { cluster: cluster_id, node }
    }
}

fn numbers(version: &str) -> Vec<u64> {
    version.split('.').map(|part| part.parse().unwrap_or(0)).collect()
}

/// The version with its last number one higher.
fn following(version: &str) -> String {
    match version.rsplit_once('.') {
        Some((front, last)) => format!("{front}.{}", last.parse::<u64>().unwrap_or(0) + 1),
        None => format!("{version}.1"),
    }
}
