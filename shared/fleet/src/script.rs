//! Scripted histories: changes with the time at which each happens.

use std::time::Duration;

use replicante_model::time::{human, parse_human};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::change::Change;

/// A history to be played with [`crate::Fleet::play`], or step by step by a test that waits for conditions.
///
/// As JSON: `[{"at": "2s", "change": {"change": "agent", "cluster": "zk-01", "node": "node-2", "state": "gone"}}]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Script {
    /// The steps, in the order in which they are applied.
    pub steps: Vec<Step>,
}

/// One step of a script.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// When it happens, counted from the start: `500ms`, `1m30s`. A step never happens before the one above it.
    /// Default at once.
    #[serde(default, serialize_with = "write_span", deserialize_with = "read_span")]
    pub at: Duration,
    /// What happens.
    pub change: Change,
}

/// Why a script can't be read: says the place and what was expected.
#[derive(Debug, thiserror::Error)]
#[error("this is no script: {0}")]
pub struct ScriptError(#[from] serde_json::Error);

impl Script {
    /// Reads a script from JSON.
    ///
    /// # Errors
    /// [`ScriptError`] when the text is not JSON or not a list of steps.
    pub fn from_json(text: &str) -> Result<Script, ScriptError> {
        Ok(serde_json::from_str(text)?)
    }
}

fn write_span<S: Serializer>(span: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&human(*span))
}

fn read_span<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    parse_human(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
}
