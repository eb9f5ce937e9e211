//! The URL of an agent that a source knows as `host:port` alone.

use replicante_objects::Fields;
use serde::{Deserialize, Serialize};

use crate::address::normalise;

/// The longest prefix of paths, in bytes.
const MAX_PREFIX: usize = 256;

/// What makes a URL of a target. A source's settings hold it, flattened.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Targets {
    /// How agents are asked.
    #[serde(default)]
    pub scheme: Scheme,
    /// What follows a target in the URL of its agent: empty, or a path that begins with a slash.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub path_prefix: String,
}

/// The scheme of agents' URLs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Scheme {
    #[default]
    Http,
    Https,
}

impl Targets {
    /// Reads `scheme` and `path_prefix` beside whatever else `fields` holds.
    pub fn read(fields: &mut Fields<'_>) -> Self {
        let schemes = [("http", Scheme::Http), ("https", Scheme::Https)];
        let scheme = fields.choice("scheme", &schemes).unwrap_or_default();
        Targets { scheme, path_prefix: read_prefix(fields).unwrap_or_default() }
    }

    /// The URL of the agent of `host:port`, in normal form.
    ///
    /// # Errors
    /// What is wrong with the target, for people.
    pub fn url(&self, target: &str) -> Result<String, String> {
        let scheme = match self.scheme {
            Scheme::Http => "http",
            Scheme::Https => "https",
        };
        // A slash would end the host. Whatever else does not belong there, the reader of addresses refuses.
        if target.is_empty() || target.contains('/') {
            let shown: String = target.chars().take(80).flat_map(char::escape_debug).collect();
            return Err(format!("a target is `{shown}`: expected host:port"));
        }
        normalise(&format!("{scheme}://{target}{}", self.path_prefix)).map_err(|error| error.to_string())
    }
}

fn read_prefix(fields: &mut Fields<'_>) -> Option<String> {
    const EXPECTED: &str = "a path that begins with a slash, at most 256 bytes, without query and fragment";
    let (prefix, entry) = fields.text("path_prefix", EXPECTED)?;
    if !prefix.starts_with('/')
        || prefix.len() > MAX_PREFIX
        || normalise(&format!("http://a{prefix}")).is_err()
    {
        fields.refuse(entry, EXPECTED);
    }
    Some(prefix.into())
}
