//! Intents: what operators want of a discovery. The command line writes them, the discovery's worker carries them out.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::absence::Confirmation;
use crate::name::encode_part;
use crate::record::NodeId;
use crate::time::Timestamp;

/// One thing that an operator wants.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "intent", rename_all = "snake_case")]
pub enum Intent {
    /// What the shrink guard holds is gone: of the clusters, or of the nodes of one cluster.
    Confirm {
        /// The cluster, when it is about its nodes.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cluster: Option<String>,
        /// What was confirmed.
        #[serde(flatten)]
        word: Confirmation,
    },
    /// A cluster, or a node of it, is to go at once, and is not taken from the source again for some time.
    Forget {
        /// The cluster.
        cluster: String,
        /// The node, when it is about one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        node: Option<NodeId>,
        /// Until when the source's word does not count.
        until: Timestamp,
        /// Who said so.
        actor: String,
    },
}

impl Intent {
    /// What tells it from other intents of its discovery: a later one of the same key takes its place.
    pub fn key(&self) -> String {
        let part = |text: &Option<String>| text.as_deref().map(encode_part).unwrap_or_default();
        match self {
            Intent::Confirm { cluster, .. } => format!("confirm/{}", part(cluster)),
            Intent::Forget { cluster, node, .. } => {
                format!("forget/{}/{}", encode_part(cluster), part(node))
            }
        }
    }

    /// Until when it is kept.
    pub fn until(&self) -> Option<Timestamp> {
        match self {
            Intent::Confirm { .. } => None,
            Intent::Forget { until, .. } => Some(*until),
        }
    }
}

/// The intents of a discovery that are in force.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Intents {
    /// What is confirmed of its clusters.
    pub clusters: Vec<Confirmation>,
    /// What is confirmed of the nodes of a cluster.
    pub nodes: BTreeMap<String, Vec<Confirmation>>,
    /// The clusters that are forgotten, and by whom.
    pub forgotten: BTreeMap<String, String>,
    /// The nodes that are forgotten, by cluster, and by whom.
    pub forgotten_nodes: BTreeMap<String, BTreeMap<NodeId, String>>,
}

impl Intents {
    /// Those that are in force at `now`.
    pub fn at(now: Timestamp, all: impl IntoIterator<Item = Intent>) -> Self {
        let mut intents = Intents::default();
        for intent in all {
            match intent {
                Intent::Confirm { cluster: None, word } => intents.clusters.push(word),
                Intent::Confirm { cluster: Some(cluster), word } => {
                    intents.nodes.entry(cluster).or_default().push(word);
                }
                Intent::Forget { until, .. } if until <= now => {}
                Intent::Forget { cluster, node: None, actor, .. } => {
                    intents.forgotten.insert(cluster, actor);
                }
                Intent::Forget { cluster, node: Some(node), actor, .. } => {
                    intents.forgotten_nodes.entry(cluster).or_default().insert(node, actor);
                }
            }
        }
        intents
    }
}
