//! The `Cluster` object: what overrides, for one cluster, what its discovery says.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::fields::Fields;
use crate::object::Metadata;

/// Overrides for one cluster, whichever discovery it is from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cluster {
    /// Which cluster: the name is the cluster's id. Ids that are no names of objects can't be overridden.
    pub metadata: Metadata,
    /// What is overridden.
    #[serde(default)]
    pub spec: ClusterSpec,
}

/// What is overridden for a cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ClusterSpec {
    /// Whether the cluster is refreshed. Default true.
    pub enabled: bool,
    /// How often the cluster is refreshed; `None`, the default, is what its discovery says. At least one tick of
    /// the scheduler, stored in whole milliseconds.
    #[serde(with = "maybe_millis", skip_serializing_if = "Option::is_none")]
    pub interval: Option<Duration>,
}

impl Default for ClusterSpec {
    fn default() -> Self {
        ClusterSpec { enabled: true, interval: None }
    }
}

impl ClusterSpec {
    pub(crate) fn read(fields: &mut Fields<'_>, tick: Duration) -> ClusterSpec {
        ClusterSpec {
            enabled: fields.boolean("enabled").unwrap_or(true),
            interval: fields.interval("interval", tick),
        }
    }
}

/// An optional duration as whole milliseconds.
mod maybe_millis {
    use std::time::Duration;

    use replicante_model::time::{from_millis, millis};
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub fn serialize<S: Serializer>(span: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
        span.map(millis).serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
        Ok(Option::<u64>::deserialize(deserializer)?.map(from_millis))
    }
}
