//! Events: CloudEvents 1.0 envelopes around changes, as the bytes that are stored and published.

use serde::{Deserialize, Serialize};

use crate::change::{Change, SCHEMA_VERSION, TYPE_PREFIX};
use crate::maintenance::Maintenance;
use crate::name::{RecordName, encode_part};
use crate::time::Timestamp;

/// The most bytes of one event that the stream takes: 1 MiB for data and partition key together, less the
/// longest key.
pub const MAX_EVENT: usize = 1024 * 1024 - 256;

/// Why a task ran.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Cause {
    /// It was due.
    #[default]
    Schedule,
    /// Somebody asked for it.
    Manual,
    /// What a discovery reported changed.
    Discovery,
}

/// One event as it is read from the stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Always `1.0`.
    pub specversion: String,
    /// Record, epoch and sequence: the same for every copy.
    pub id: String,
    /// The deployment that emitted it.
    pub source: String,
    /// `type` and `data`.
    #[serde(flatten)]
    pub change: Change,
    /// The record, and below it the node and the shard or action.
    pub subject: String,
    /// When it was observed: RFC 3339, UTC. Never earlier than the record's event before it.
    pub time: String,
    /// Always `application/json`.
    pub datacontenttype: String,
    /// Names the schema of `data` and its version.
    pub dataschema: String,
    /// The record's epoch: seconds since 1970, as text.
    pub epoch: String,
    /// The number within the epoch, from 1: 20 digits, so that text sorts as numbers do.
    pub sequence: String,
    /// Why it was looked at.
    pub cause: Cause,
    /// Who asked, for manual causes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
    /// The end of the cluster's maintenance window, when it was observed within one: RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub maintenance: Option<String>,
}

impl Event {
    /// Where the event stands in its record: epoch and sequence, which is counted from 1. `None` when they are no such
    /// numbers.
    pub fn position(&self) -> Option<(u64, u64)> {
        let (epoch, sequence) = (self.epoch.parse().ok()?, self.sequence.parse().ok()?);
        (sequence > 0).then_some((epoch, sequence))
    }

    /// The record it belongs to.
    ///
    /// # Errors
    /// When the id is not `kind/namespace/id/epoch/sequence`.
    pub fn record(&self) -> Result<RecordName, crate::name::NameError> {
        let mut parts = self.id.rsplitn(3, '/');
        let key = parts.nth(2).unwrap_or(&self.id);
        RecordName::parse_key(key)
    }
}

/// An event as the bytes that are stored and published, with what the stream must know of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sealed {
    /// Its number within the epoch.
    pub sequence: u64,
    /// Its JSON, on one line.
    pub bytes: Vec<u8>,
}

/// An event that the stream would refuse: it must never be committed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the event {id} ({name}) has {bytes} bytes, and the stream takes at most {MAX_EVENT}: nothing was committed"
)]
pub struct TooLarge {
    /// The event's id.
    pub id: String,
    /// Its type.
    pub name: &'static str,
    /// Its size.
    pub bytes: usize,
}

/// Puts changes into envelopes, numbered on from the last committed sequence.
#[derive(Clone, Debug)]
pub struct Sealer<'a> {
    /// The deployment: `/replicante/prod`.
    pub source: &'a str,
    /// The record.
    pub record: &'a RecordName,
    /// Its epoch.
    pub epoch: u64,
    /// The last committed sequence.
    pub sequence: u64,
    /// When the changes were observed; not earlier than the record's last event.
    pub time: Timestamp,
    /// Why it was looked at.
    pub cause: Cause,
    /// Who asked.
    pub actor: Option<&'a str>,
    /// The maintenance window that the record is in.
    pub maintenance: Option<&'a Maintenance>,
}

/// What [`Event`] holds, borrowed: one serialisation, no copies.
#[derive(Serialize)]
struct Envelope<'a> {
    specversion: &'static str,
    id: &'a str,
    source: &'a str,
    #[serde(flatten)]
    change: &'a Change,
    subject: String,
    time: &'a str,
    datacontenttype: &'static str,
    dataschema: String,
    epoch: String,
    sequence: String,
    cause: Cause,
    #[serde(skip_serializing_if = "Option::is_none")]
    actor: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    maintenance: Option<String>,
}

impl Sealer<'_> {
    /// Seals as many of the changes, from the first on, as one commit takes.
    ///
    /// # Errors
    /// [`TooLarge`] for an event that the stream would refuse.
    pub fn seal<'c>(
        &self,
        changes: impl IntoIterator<Item = &'c Change>,
        most_events: usize,
        most_bytes: usize,
    ) -> Result<Vec<Sealed>, TooLarge> {
        let key = self.record.key();
        let time = self.time.rfc3339();
        let mut sealed: Vec<Sealed> = Vec::new();
        let mut total = 0;
        for (change, sequence) in changes.into_iter().zip(self.sequence + 1..) {
            if sealed.len() == most_events {
                break;
            }
            let event = self.seal_one(change, sequence, &key, &time)?;
            total += event.bytes.len();
            if total > most_bytes && !sealed.is_empty() {
                break;
            }
            sealed.push(event);
        }
        Ok(sealed)
    }

    fn seal_one(&self, change: &Change, sequence: u64, key: &str, time: &str) -> Result<Sealed, TooLarge> {
        let id = format!("{key}/{}/{sequence}", self.epoch);
        let (node, part) = change.about();
        let mut subject = key.to_owned();
        for part in [node, part].into_iter().flatten() {
            subject.push('/');
            subject.push_str(&encode_part(part));
        }
        let cause = match self.cause {
            Cause::Schedule if change.from_discovery() => Cause::Discovery,
            cause => cause,
        };
        let envelope = Envelope {
            specversion: "1.0",
            id: &id,
            source: self.source,
            change,
            subject,
            time,
            datacontenttype: "application/json",
            dataschema: format!("urn:replicante:schema:{}:{SCHEMA_VERSION}", change.name()),
            epoch: self.epoch.to_string(),
            sequence: format!("{sequence:020}"),
            cause,
            actor: self.actor,
            maintenance: self.maintenance.map(|window| window.until.rfc3339()),
        };
        // Strings, numbers and maps with text keys: there is nothing in it that JSON can't hold.
        let bytes = serde_json::to_vec(&envelope).unwrap_or_default();
        if bytes.is_empty() || bytes.len() > MAX_EVENT {
            return Err(TooLarge { id, name: change.name(), bytes: bytes.len() });
        }
        Ok(Sealed { sequence, bytes })
    }
}

/// The type's full name, from the short one: `agent.down` to `io.replicante.agent.down`. Full names stay.
pub fn full_type(name: &str) -> String {
    if name.starts_with(TYPE_PREFIX) { name.into() } else { format!("{TYPE_PREFIX}{name}") }
}
