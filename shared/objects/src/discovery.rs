//! The `Discovery` object: a source of discovery records, and how what it finds is looked after.

use std::time::Duration;

use replicante_model::record::AgentSettings;
use replicante_model::time::as_millis;
use serde::{Deserialize, Serialize};

use crate::agents;
use crate::fields::{Fields, MAX_SPAN};
use crate::object::Metadata;
use crate::source::{SourceKind, SourceSpec, names};
use crate::tree::Value;

/// A configured source of discovery records.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Discovery {
    /// Its namespace, which is that of the clusters it finds, and its name.
    pub metadata: Metadata,
    /// What it does.
    pub spec: DiscoverySpec,
}

/// What a discovery does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DiscoverySpec {
    /// Whether the source is asked. Default true. Disabling never removes clusters.
    #[serde(default = "enabled")]
    pub enabled: bool,
    /// How often the source is asked: at least one tick of the scheduler. Default 60 s.
    #[serde(default = "minute", with = "as_millis")]
    pub interval: Duration,
    /// The source: exactly one.
    pub source: SourceSpec,
    /// How the clusters it finds are refreshed.
    #[serde(default)]
    pub refresh: RefreshSpec,
    /// How their agents are polled.
    #[serde(default)]
    pub agents: AgentSettings,
    /// When what the source no longer reports is removed.
    #[serde(default)]
    pub removal: RemovalSpec,
    /// What the source reports and is not looked after.
    #[serde(default, skip_serializing_if = "IgnoreSpec::is_empty")]
    pub ignore: IgnoreSpec,
}

/// What is taken as if the source did not report it. In a pattern, `*` stands for any text and `?` for one character.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct IgnoreSpec {
    /// Patterns of cluster ids: at most 100.
    pub clusters: Vec<String>,
    /// Patterns of the addresses of nodes' agents, as they are stored: at most 100.
    pub nodes: Vec<String>,
}

/// The most patterns of a kind.
const MAX_PATTERNS: usize = 100;

/// How clusters are refreshed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RefreshSpec {
    /// How often each cluster is refreshed: at least one tick of the scheduler. Default 60 s.
    #[serde(with = "as_millis")]
    pub interval: Duration,
}

impl Default for RefreshSpec {
    fn default() -> Self {
        RefreshSpec { interval: minute() }
    }
}

/// When a cluster or a node that the source no longer reports is removed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RemovalSpec {
    /// How long it must be missing at least. Default 10 min.
    #[serde(with = "as_millis")]
    pub grace: Duration,
    /// In how many complete answers in a row it must be missing: at least 1. Default 3.
    pub confirmations: u32,
    /// The shrink guard: the largest part of what the source had before, in percent, that may go without the
    /// operator's word. Default 30; `None` (written `off`) disables the guard.
    pub max_shrink: Option<u8>,
}

impl Default for RemovalSpec {
    fn default() -> Self {
        RemovalSpec { grace: Duration::from_secs(600), confirmations: 3, max_shrink: Some(30) }
    }
}

fn enabled() -> bool {
    true
}

fn minute() -> Duration {
    Duration::from_secs(60)
}

impl DiscoverySpec {
    /// `None` when the source is missing or wrong; that is reported then.
    pub(crate) fn read(
        fields: &mut Fields<'_>,
        tick: Duration,
        kinds: &[SourceKind],
    ) -> Option<DiscoverySpec> {
        let (enabled, interval) = (fields.boolean("enabled"), fields.interval("interval", tick));
        let source = match fields.take("source") {
            Some(entry) => {
                fields.nested_entry(entry, |fields| SourceSpec::read(fields, entry.line, kinds)).flatten()
            }
            None => {
                let known = names(kinds).join(", ");
                fields.missing("source", format!("where the records come from: exactly one of {known}"));
                None
            }
        };
        let refresh = fields.nested("refresh", |fields| fields.interval("interval", tick)).flatten();
        let agents = fields.nested("agents", agents::read);
        let removal = fields.nested("removal", RemovalSpec::read);
        let ignore = fields.nested("ignore", IgnoreSpec::read);
        Some(DiscoverySpec {
            enabled: enabled.unwrap_or(true),
            interval: interval.unwrap_or_else(minute),
            source: source?,
            refresh: refresh.map_or_else(RefreshSpec::default, |interval| RefreshSpec { interval }),
            agents: agents.unwrap_or_default(),
            removal: removal.unwrap_or_default(),
            ignore: ignore.unwrap_or_default(),
        })
    }
}

impl IgnoreSpec {
    fn is_empty(&self) -> bool {
        *self == IgnoreSpec::default()
    }

    fn read(fields: &mut Fields<'_>) -> IgnoreSpec {
        IgnoreSpec {
            clusters: fields.texts("clusters", MAX_PATTERNS, "patterns, like test-*").unwrap_or_default(),
            nodes: fields.texts("nodes", MAX_PATTERNS, "patterns, like http://10.9.*").unwrap_or_default(),
        }
    }
}

impl RemovalSpec {
    fn read(fields: &mut Fields<'_>) -> RemovalSpec {
        let default = RemovalSpec::default();
        RemovalSpec {
            grace: fields.duration("grace", Duration::ZERO..=MAX_SPAN).unwrap_or(default.grace),
            confirmations: fields
                .whole("confirmations", 1..=1000)
                .map_or(default.confirmations, |count| u32::try_from(count).unwrap_or(u32::MAX)),
            max_shrink: read_max_shrink(fields).unwrap_or(default.max_shrink),
        }
    }
}

fn read_max_shrink(fields: &mut Fields<'_>) -> Option<Option<u8>> {
    let entry = fields.take("max_shrink")?;
    match &entry.node.value {
        Value::Text(text) if text == "off" => return Some(None),
        Value::Text(text) => {
            let digits = text.strip_suffix('%').filter(|digits| digits.bytes().all(|b| b.is_ascii_digit()));
            if let Some(percent) =
                digits.and_then(|digits| digits.parse().ok()).filter(|percent| *percent <= 100)
            {
                return Some(Some(percent));
            }
        }
        _ => {}
    }
    fields.refuse(entry, "a percentage from 0% to 100%, like 30%, or off");
    None
}
