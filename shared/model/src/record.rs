//! Discovery records: what a source says of clusters, and the settings their agents are polled with.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::labels::Labels;
use crate::time::Timestamp;

/// A node's identity within its cluster: the `node_id` that discovery gave, else its normalised URL.
pub type NodeId = String;

/// What a source says of one cluster. Ids are checked and addresses normalised.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterRecord {
    /// The cluster's id within its namespace.
    pub cluster_id: String,
    /// A name for people, where the source gives one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// Where each node's agent listens: node id to base URL, normalised.
    pub nodes: BTreeMap<NodeId, String>,
    /// The labels of those nodes that have some.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<NodeId, Labels>,
}

impl ClusterRecord {
    /// Keeps the nodes that fit, by id and address.
    pub fn retain_nodes(&mut self, mut fits: impl FnMut(&NodeId, &String) -> bool) {
        let ClusterRecord { nodes, labels, .. } = self;
        nodes.retain(|id, address| {
            let fits = fits(id, address);
            if !fits {
                labels.remove(id);
            }
            fits
        });
    }

    /// Takes in a node as another record has it, where it has it.
    pub fn take_node(&mut self, id: &NodeId, other: &ClusterRecord) {
        let Some(address) = other.nodes.get(id) else { return };
        self.nodes.insert(id.clone(), address.clone());
        match other.labels.get(id) {
            Some(labels) => drop(self.labels.insert(id.clone(), labels.clone())),
            None => drop(self.labels.remove(id)),
        }
    }
}

/// A record that was set aside: it is reported, the others of its answer count.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RejectedRecord {
    /// What names the record best: its cluster id, cut to 160 characters, or `(no cluster_id)` for all that have none.
    pub record: String,
    /// Why it was refused: short, stable text.
    pub reason: String,
}

/// A complete answer of a source.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SourceAnswer {
    /// The clusters, by id. One that the answer named twice has the nodes of both.
    pub clusters: BTreeMap<String, ClusterRecord>,
    /// The records that were set aside, ordered, each once.
    pub rejected: Vec<RejectedRecord>,
    /// Ids that the answer named more than once, ordered, each once.
    pub repeated: Vec<String>,
}

/// Which protocol an agent speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AgentApi {
    /// Version 1: the agents 0.x of the ZooKeeper, MongoDB and Kafka era.
    V1,
    /// Version 2: agents built on the agent SDK.
    V2,
}

/// What to do with a node that answers for another cluster id.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ClusterIdCheck {
    /// It is an identity conflict: reported, and its data kept out of the view.
    #[default]
    Check,
    /// The agents of this store can't know: take what they say.
    Ignore,
}

/// TLS material for connections to agents or to a source: references, never secrets.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TlsSettings {
    /// Reference to PEM certificates of the authorities to trust instead of the system's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_bundle: Option<String>,
    /// Reference to a PEM file with the client's certificate chain and private key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_certificate: Option<String>,
}

/// How the agents of a cluster are polled: the effective settings, as the discovery worker writes them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct AgentSettings {
    /// The protocol; `None` asks version 1 first, then version 2, and remembers the answer.
    pub api: Option<AgentApi>,
    /// Limit for one request. Default 10 s.
    #[serde(with = "crate::time::as_millis")]
    pub timeout: Duration,
    /// Limit for opening a connection. Default 3 s.
    #[serde(with = "crate::time::as_millis")]
    pub connect_timeout: Duration,
    /// Limit for all requests to one node together. Default 15 s.
    #[serde(with = "crate::time::as_millis")]
    pub node_timeout: Duration,
    /// Failures in a row before a node is called down: at least 1, the default.
    pub failures_before_down: u32,
    /// Successes in a row before a node is called up: at least 1, the default.
    pub successes_before_up: u32,
    /// Whether a node that answers for another cluster id is an identity conflict.
    pub cluster_id: ClusterIdCheck,
    /// The largest body of one answer in bytes. Default 8 MiB.
    pub max_body: u64,
    /// TLS material.
    pub tls: TlsSettings,
}

impl Default for AgentSettings {
    fn default() -> Self {
        AgentSettings {
            api: None,
            timeout: Duration::from_secs(10),
            connect_timeout: Duration::from_secs(3),
            node_timeout: Duration::from_secs(15),
            failures_before_down: 1,
            successes_before_up: 1,
            cluster_id: ClusterIdCheck::Check,
            max_body: 8 * 1024 * 1024,
            tls: TlsSettings::default(),
        }
    }
}

/// The discovery item of a cluster: what its discovery wrote of it, the input of its refreshes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiscoveredCluster {
    /// The record as the source reported it last.
    pub record: ClusterRecord,
    /// The discovery that owns the cluster: the first that reported it.
    pub discovery: String,
    /// The nodes that the source no longer reports, and since when. A node that is neither here nor in the record is removed.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub missing_nodes: BTreeMap<NodeId, Timestamp>,
    /// The nodes that operators want forgotten, and who.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub forgotten_nodes: BTreeMap<NodeId, String>,
    /// Since when the source no longer reports it.
    #[serde(default, with = "crate::time::as_rfc3339", skip_serializing_if = "Option::is_none")]
    pub missing_since: Option<Timestamp>,
    /// Set once it is removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub removed: Option<Removal>,
    /// How its agents are polled.
    pub agents: AgentSettings,
    /// How often it is refreshed, unless a `Cluster` object says otherwise.
    #[serde(with = "crate::time::as_millis")]
    pub refresh_interval: Duration,
}

/// The end of a cluster, as its discovery decided it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Removal {
    /// When it was decided.
    pub at: Timestamp,
    /// Who said that it is gone. `None`: it was absent for long enough.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
}
