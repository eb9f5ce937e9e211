//! Settings: everything that may be set from outside, read once at start-up from environment variables.
//!
//! One typed struct serves all functions. A wrong value is refused with its name, the value and what is
//! allowed. [`TABLE`] is the table of `docs/settings.md`, which a test checks against it.

use std::time::Duration;

pub use replicante_address_policy::AddressPolicy;
use replicante_model::time::{human, parse_human};

/// One setting, as the documentation shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Setting {
    /// The environment variable.
    pub name: &'static str,
    /// Its default; `None`: it must be set.
    pub default: Option<&'static str>,
    /// What it means, with unit and bounds.
    pub meaning: &'static str,
}

macro_rules! settings {
    ($($constant:ident = $name:literal, $default:expr, $meaning:literal;)*) => {
        $(const $constant: Setting = Setting { name: $name, default: $default, meaning: $meaning };)*
        /// All settings, in the order of the documentation.
        pub const TABLE: &[Setting] = &[$($constant),*];
    };
}

settings! {
    DEPLOYMENT = "REPLICANTE_DEPLOYMENT", Some("local"),
        "Name of the deployment: events carry `/replicante/<name>` as their source. `[A-Za-z0-9._-]{1,63}`.";
    TABLE_NAME = "REPLICANTE_TABLE", None, "Name of the DynamoDB table.";
    STREAM = "REPLICANTE_STREAM", None, "Name of the Kinesis stream.";
    DISCOVERY_QUEUE = "REPLICANTE_DISCOVERY_QUEUE_URL", None, "URL of the SQS queue of discovery tasks.";
    REFRESH_QUEUE = "REPLICANTE_REFRESH_QUEUE_URL", None, "URL of the SQS queue of refresh tasks.";
    TICK = "REPLICANTE_TICK", Some("60s"),
        "How often the schedulers' schedule fires, and the shortest interval. 1s to 300s.";
    LEASE = "REPLICANTE_LEASE", Some("150s"),
        "How long a claim holds a record: longer than the workers' timeout, shorter than the visibility timeout. 1s to 20m.";
    VISIBILITY = "REPLICANTE_VISIBILITY_TIMEOUT", Some("180s"),
        "The visibility timeout of the queues. Longer than the lease, at most 12h.";
    MAX_RECEIVE = "REPLICANTE_MAX_RECEIVE_COUNT", Some("5"),
        "Deliveries of a task before the dead-letter queue, as the queues have it. 1 to 1000.";
    MARGIN = "REPLICANTE_DEADLINE_MARGIN", Some("10s"),
        "What is kept of a function's time for storing and publishing once the polling is over. 1s to 5m, at most half of what is left.";
    RETENTION = "REPLICANTE_STREAM_RETENTION", Some("24h"),
        "The retention of the stream: a snapshot is emitted at least four times in it. 24h to 365d (8760h).";
    READINGS_AGE = "REPLICANTE_READINGS_AGE", Some("5m"),
        "Readings that change all the time (offsets, lag, last seen) are stored when the stored ones are older. 0s to 24h.";
    BACK_OFF = "REPLICANTE_BACK_OFF", Some("10m"),
        "The longest time between two polls of an agent that stays silent, and between two runs of a source that keeps failing; the interval where that is longer. 0s to 24h; 0s asks every time.";
    OBSERVER_HOLD = "REPLICANTE_OBSERVER_HOLD", Some("5m"),
        "How long at most a worker that is likely to be cut off itself (no connection to more than half of the agents that it asked within a minute) calls none of these agents down. 0s to 1h; 0s calls them down at once.";
    CONCURRENCY = "REPLICANTE_CONCURRENCY", Some("10"), "Tasks that a worker runs at once. 1 to 100.";
    NODES_PER_CLUSTER = "REPLICANTE_POLLS_PER_CLUSTER", Some("64"), "Agents of one cluster that are polled at once. 1 to 1024.";
    NODES_PER_FUNCTION = "REPLICANTE_POLLS_PER_FUNCTION", Some("512"), "Agents that one worker polls at once. 1 to 4096.";
    ALLOW_NETWORKS = "REPLICANTE_ALLOW_NETWORKS", Some(""),
        "Networks that agents and sources may be in, comma-separated CIDR. Empty: all but the denied. When given, only these, and a network within a range that is denied by itself is allowed.";
    DENY_NETWORKS = "REPLICANTE_DENY_NETWORKS", Some(""),
        "Networks that are never connected to, besides those that are denied by themselves: loopback, link-local, multicast, broadcast, unspecified and local-use NAT64 addresses.";
    ALLOW_PORTS = "REPLICANTE_ALLOW_PORTS", Some(""), "Ports that may be connected to: comma-separated ports and ranges. Empty: all but the denied.";
    DENY_PORTS = "REPLICANTE_DENY_PORTS", Some(""), "Ports that are never connected to.";
    SECRETS_AGE = "REPLICANTE_SECRETS_AGE", Some("5m"),
        "How long parameters of Systems Manager and TLS material count as read. 1s to 1h.";
}

/// All settings, checked.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Name of the deployment.
    pub deployment: String,
    /// Name of the DynamoDB table.
    pub table: String,
    /// Name of the Kinesis stream.
    pub stream: String,
    /// URL of the queue of discovery tasks.
    pub discovery_queue: String,
    /// URL of the queue of refresh tasks.
    pub refresh_queue: String,
    /// How often the schedulers run.
    pub tick: Duration,
    /// How long a claim holds a record.
    pub lease: Duration,
    /// The visibility timeout of the queues.
    pub visibility: Duration,
    /// Deliveries of a task before the dead-letter queue.
    pub max_receive: u32,
    /// What is kept of a function's time once the polling is over.
    pub margin: Duration,
    /// The retention of the stream.
    pub retention: Duration,
    /// How old stored readings may get.
    pub readings_age: Duration,
    /// The longest time between two polls of a silent agent, and between two runs of a failing source.
    pub back_off: Duration,
    /// How long at most a worker that is likely to be cut off calls no agent down for want of a connection.
    pub observer_hold: Duration,
    /// Tasks that a worker runs at once.
    pub concurrency: usize,
    /// Agents of one cluster that are polled at once.
    pub polls_per_cluster: usize,
    /// Agents that one worker polls at once.
    pub polls_per_function: usize,
    /// Where agents and sources may be.
    pub addresses: AddressPolicy,
    /// How long secrets that were read are kept.
    pub secrets_age: Duration,
}

/// A setting that is missing or wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// It must be set, and is not.
    #[error("{name} is not set: {meaning}")]
    Missing {
        /// The environment variable.
        name: &'static str,
        /// What it means.
        meaning: &'static str,
    },
    /// Its value is refused.
    #[error("{name} is `{value}`: {problem}. {meaning}")]
    Refused {
        /// The environment variable.
        name: &'static str,
        /// The value.
        value: String,
        /// What is wrong with it.
        problem: String,
        /// What it means, with its bounds.
        meaning: &'static str,
    },
}

type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

impl Settings {
    /// Reads the settings from the process's environment.
    ///
    /// # Errors
    /// [`SettingsError`] for the first that is missing or wrong.
    pub fn from_env() -> Result<Self, SettingsError> {
        Self::read(&|name| std::env::var(name).ok())
    }

    /// Reads the settings from anywhere: `lookup` gives the value of a variable.
    ///
    /// # Errors
    /// [`SettingsError`] for the first that is missing or wrong.
    pub fn read(lookup: Lookup<'_>) -> Result<Self, SettingsError> {
        let seconds = Duration::from_secs;
        let deployment = text(lookup, &DEPLOYMENT)?;
        replicante_model::name::check_name(&deployment)
            .map_err(|error| refused(&DEPLOYMENT, &deployment, error.to_string()))?;
        let lease = span(lookup, &LEASE, seconds(1), seconds(1200))?;
        let visibility = span(lookup, &VISIBILITY, seconds(1), seconds(12 * 3600))?;
        if lease >= visibility {
            let problem = format!("it is not shorter than {} ({})", VISIBILITY.name, human(visibility));
            return Err(refused(&LEASE, &human(lease), problem));
        }
        let list = |setting: &Setting| text(lookup, setting);
        let (allow_networks, deny_networks) = (list(&ALLOW_NETWORKS)?, list(&DENY_NETWORKS)?);
        let (allow_ports, deny_ports) = (list(&ALLOW_PORTS)?, list(&DENY_PORTS)?);
        let addresses = addresses(&allow_networks, &deny_networks, &allow_ports, &deny_ports)?;
        Ok(Settings {
            deployment,
            table: text(lookup, &TABLE_NAME)?,
            stream: text(lookup, &STREAM)?,
            discovery_queue: text(lookup, &DISCOVERY_QUEUE)?,
            refresh_queue: text(lookup, &REFRESH_QUEUE)?,
            tick: span(lookup, &TICK, seconds(1), seconds(300))?,
            lease,
            visibility,
            max_receive: number(lookup, &MAX_RECEIVE, 1, 1000)?,
            margin: span(lookup, &MARGIN, seconds(1), seconds(300))?,
            retention: span(lookup, &RETENTION, seconds(24 * 3600), seconds(365 * 24 * 3600))?,
            readings_age: span(lookup, &READINGS_AGE, Duration::ZERO, seconds(24 * 3600))?,
            back_off: span(lookup, &BACK_OFF, Duration::ZERO, seconds(24 * 3600))?,
            observer_hold: span(lookup, &OBSERVER_HOLD, Duration::ZERO, seconds(3600))?,
            concurrency: number(lookup, &CONCURRENCY, 1, 100)?,
            polls_per_cluster: number(lookup, &NODES_PER_CLUSTER, 1, 1024)?,
            polls_per_function: number(lookup, &NODES_PER_FUNCTION, 1, 4096)?,
            addresses,
            secrets_age: span(lookup, &SECRETS_AGE, seconds(1), seconds(3600))?,
        })
    }

    /// How long a queued task may stay unseen before another is sent.
    pub fn give_up(&self) -> Duration {
        self.visibility * self.max_receive
    }

    /// The `source` of the deployment's events.
    pub fn source(&self) -> String {
        format!("/replicante/{}", self.deployment)
    }
}

fn refused(setting: &Setting, value: &str, problem: String) -> SettingsError {
    SettingsError::Refused { name: setting.name, value: value.into(), problem, meaning: setting.meaning }
}

fn text(lookup: Lookup<'_>, setting: &Setting) -> Result<String, SettingsError> {
    match (lookup(setting.name).filter(|value| !value.is_empty()), setting.default) {
        (Some(value), _) => Ok(value),
        (None, Some(default)) => Ok(default.into()),
        (None, None) => Err(SettingsError::Missing { name: setting.name, meaning: setting.meaning }),
    }
}

fn span(
    lookup: Lookup<'_>,
    setting: &Setting,
    least: Duration,
    most: Duration,
) -> Result<Duration, SettingsError> {
    let value = text(lookup, setting)?;
    let span = parse_human(&value).map_err(|problem| refused(setting, &value, problem))?;
    if span < least || span > most {
        let problem = format!("expected {} to {}", human(least), human(most));
        return Err(refused(setting, &value, problem));
    }
    Ok(span)
}

fn number<N>(lookup: Lookup<'_>, setting: &Setting, least: N, most: N) -> Result<N, SettingsError>
where
    N: std::str::FromStr + PartialOrd + std::fmt::Display,
{
    let value = text(lookup, setting)?;
    match value.parse::<N>() {
        Ok(number) if number >= least && number <= most => Ok(number),
        _ => Err(refused(setting, &value, format!("expected a whole number from {least} to {most}"))),
    }
}

/// Parses the four lists apart, so that an error names the variable it is about.
fn addresses(
    allow_networks: &str,
    deny_networks: &str,
    allow_ports: &str,
    deny_ports: &str,
) -> Result<AddressPolicy, SettingsError> {
    use replicante_address_policy::{networks, ports};
    let network_list =
        |setting, text| networks(text).map_err(|error| refused(setting, text, error.to_string()));
    let port_list = |setting, text| ports(text).map_err(|error| refused(setting, text, error.to_string()));
    Ok(AddressPolicy::new(
        network_list(&ALLOW_NETWORKS, allow_networks)?,
        network_list(&DENY_NETWORKS, deny_networks)?,
        port_list(&ALLOW_PORTS, allow_ports)?,
        port_list(&DENY_PORTS, deny_ports)?,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<Settings, SettingsError> {
        let needed = [
            (TABLE_NAME.name, "replicante"),
            (STREAM.name, "replicante"),
            (DISCOVERY_QUEUE.name, "http://q/d"),
            (REFRESH_QUEUE.name, "http://q/r"),
        ];
        let find = |list: &[(&str, &str)], name: &str| {
            list.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_string())
        };
        Settings::read(&|name| find(pairs, name).or_else(|| find(&needed, name)))
    }

    #[test]
    fn the_defaults_are_allowed() {
        let settings = read(&[]).unwrap();
        assert_eq!(settings.source(), "/replicante/local");
        assert_eq!(settings.give_up(), Duration::from_secs(900));
        assert!(settings.lease < settings.visibility);
    }

    #[test]
    fn a_wrong_value_is_refused_with_its_name_the_value_and_what_is_allowed() {
        let cases = [
            ("REPLICANTE_TICK", "500ms", "expected 1s to 5m"),
            ("REPLICANTE_TICK", "soon", "is no duration"),
            ("REPLICANTE_LEASE", "180s", "it is not shorter than REPLICANTE_VISIBILITY_TIMEOUT (3m)"),
            ("REPLICANTE_CONCURRENCY", "0", "expected a whole number from 1 to 100"),
            ("REPLICANTE_DEPLOYMENT", "a b", "is not allowed"),
            ("REPLICANTE_ALLOW_NETWORKS", "10.0.0.0/33", "10.0.0.0/33"),
            ("REPLICANTE_DENY_PORTS", "x", "x"),
            ("REPLICANTE_SECRETS_AGE", "2h", "expected 1s to 1h"),
        ];
        for (name, value, expected) in cases {
            let error = read(&[(name, value)]).unwrap_err().to_string();
            assert!(error.starts_with(name) && error.contains(expected), "{error}");
        }
    }

    #[test]
    fn the_four_lists_make_the_policy() {
        let judge = |pairs: &[(&str, &str)], address: &str| {
            let checked = read(pairs).unwrap().addresses.check(address.parse().unwrap());
            checked.map_err(|refused| refused.to_string())
        };
        assert_eq!(judge(&[], "10.0.0.1:80"), Ok(()));
        assert_eq!(judge(&[], "127.0.0.1:80"), Err("address is loopback, which is not allowed".into()));
        for (name, value, open, closed, reason) in [
            (
                ALLOW_NETWORKS.name,
                "10.0.0.0/8",
                "10.0.0.1:80",
                "11.0.0.1:80",
                "address is in no allowed network",
            ),
            (
                DENY_NETWORKS.name,
                "10.0.0.0/8",
                "11.0.0.1:80",
                "10.0.0.1:80",
                "address is in a denied network",
            ),
            (ALLOW_PORTS.name, "8000", "10.0.0.1:8000", "10.0.0.1:80", "port is not among the allowed ones"),
            (DENY_PORTS.name, "80", "10.0.0.1:8000", "10.0.0.1:80", "port is denied"),
        ] {
            assert_eq!(judge(&[(name, value)], open), Ok(()), "{name}");
            assert_eq!(judge(&[(name, value)], closed), Err(reason.into()), "{name}");
        }
    }

    #[test]
    fn a_missing_value_is_named() {
        let error = Settings::read(&|_| None).unwrap_err().to_string();
        assert_eq!(error, "REPLICANTE_TABLE is not set: Name of the DynamoDB table.");
    }

    #[test]
    fn every_setting_is_documented_with_its_default_and_meaning() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/settings.md");
        let docs = std::fs::read_to_string(path).unwrap();
        for setting in TABLE {
            let default = match setting.default {
                None => "required".to_string(),
                Some("") => "empty".to_string(),
                Some(default) => format!("`{default}`"),
            };
            let row = format!("| `{}` | {default} | {} |", setting.name, setting.meaning);
            assert!(docs.contains(&row), "docs/settings.md lacks this row:\n{row}");
        }
        assert_eq!(docs.matches("| `REPLICANTE_").count(), TABLE.len(), "a row of a setting that is gone");
    }
}
