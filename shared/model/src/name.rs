//! Names of records: kind, namespace and id, and how they are written in events and partition keys.

use std::fmt;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// The longest name of a namespace or of an object, in characters.
pub const MAX_NAME: usize = 63;
/// The longest id of a cluster once percent-encoded, in bytes: with kind and namespace it stays below the
/// 256 characters that Kinesis allows for a partition key.
pub const MAX_ID_ENCODED: usize = 160;
/// Spread shards of the heads of one kind: 64 partition keys carry 64,000 write units a second.
pub const SPREAD_SHARDS: u64 = 64;

/// What is percent-encoded in a part of a record's name: all but `[A-Za-z0-9._:-]`.
const PART: &AsciiSet = &NON_ALPHANUMERIC.remove(b'.').remove(b'_').remove(b':').remove(b'-');

/// Percent-encodes one part of a record's name or of an event's subject.
pub fn encode_part(part: &str) -> String {
    utf8_percent_encode(part, PART).to_string()
}

/// The first 8 bytes of SHA-256 of a text, as a big-endian number: the same everywhere and for ever.
pub fn spread(text: &str) -> u64 {
    let digest = Sha256::digest(text.as_bytes());
    let mut first = [0; 8];
    first.copy_from_slice(&digest[..8]);
    u64::from_be_bytes(first)
}

/// What kind of record the protocol guards.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A configured source of discovery records.
    Discovery,
    /// A datastore cluster.
    Cluster,
}

impl Kind {
    /// The word used in keys and names.
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Discovery => "discovery",
            Kind::Cluster => "cluster",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why a name was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Outside `[A-Za-z0-9._-]{1,63}`.
    #[error("the name `{0}` is not allowed: expected 1 to 63 of A-Z a-z 0-9 . _ -")]
    Name(String),
    /// An empty cluster id.
    #[error("the cluster id is empty")]
    EmptyId,
    /// An id that would not fit a partition key.
    #[error(
        "the cluster id is too long: {0} bytes once percent-encoded, at most {MAX_ID_ENCODED} are allowed"
    )]
    LongId(usize),
    /// Not `kind/namespace/id`.
    #[error("`{0}` is no record name: expected kind/namespace/id, like cluster/default/orders")]
    Record(String),
}

/// Checks the name of a namespace or of an object: `[A-Za-z0-9._-]{1,63}`.
///
/// # Errors
/// [`NameError::Name`] with the refused name.
pub fn check_name(name: &str) -> Result<(), NameError> {
    let fits = (1..=MAX_NAME).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'));
    if fits { Ok(()) } else { Err(NameError::Name(name.chars().take(80).collect())) }
}

/// Checks a cluster id: not empty, at most [`MAX_ID_ENCODED`] bytes once percent-encoded.
///
/// # Errors
/// [`NameError::EmptyId`] or [`NameError::LongId`].
pub fn check_id(id: &str) -> Result<(), NameError> {
    if id.trim().is_empty() {
        return Err(NameError::EmptyId);
    }
    match encode_part(id).len() {
        length if length > MAX_ID_ENCODED => Err(NameError::LongId(length)),
        _ => Ok(()),
    }
}

/// The name of a record: one discovery or one cluster.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RecordName {
    /// Discovery or cluster.
    pub kind: Kind,
    /// The namespace that scopes the id.
    pub namespace: String,
    /// The id within the namespace.
    pub id: String,
}

impl RecordName {
    /// Puts a name together. Names from outside are checked with [`check_name`] and [`check_id`] first.
    pub fn new(kind: Kind, namespace: impl Into<String>, id: impl Into<String>) -> Self {
        RecordName { kind, namespace: namespace.into(), id: id.into() }
    }

    /// A cluster's name.
    pub fn cluster(namespace: impl Into<String>, id: impl Into<String>) -> Self {
        Self::new(Kind::Cluster, namespace, id)
    }

    /// A discovery's name.
    pub fn discovery(namespace: impl Into<String>, id: impl Into<String>) -> Self {
        Self::new(Kind::Discovery, namespace, id)
    }

    /// `namespace/id`, unencoded: the sort key of the head. A namespace holds no slash, so it is unambiguous.
    pub fn path(&self) -> String {
        format!("{}/{}", self.namespace, self.id)
    }

    /// The partition key in the stream and the start of each event's id and subject:
    /// `kind/namespace/id`, each part percent-encoded. At most 235 bytes for checked names.
    pub fn key(&self) -> String {
        format!("{}/{}/{}", self.kind, encode_part(&self.namespace), encode_part(&self.id))
    }

    /// Reads what [`RecordName::key`] writes.
    ///
    /// # Errors
    /// [`NameError::Record`] when it is no such name.
    pub fn parse_key(key: &str) -> Result<Self, NameError> {
        let bad = || NameError::Record(key.chars().take(300).collect());
        let mut parts = key.split('/');
        let (Some(kind), Some(namespace), Some(id), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(bad());
        };
        let kind = match kind {
            "discovery" => Kind::Discovery,
            "cluster" => Kind::Cluster,
            _ => return Err(bad()),
        };
        let decode =
            |part: &str| percent_decode_str(part).decode_utf8().map(|s| s.into_owned()).map_err(|_| bad());
        Ok(RecordName { kind, namespace: decode(namespace)?, id: decode(id)? })
    }

    /// [`spread`] of [`RecordName::path`]: the one hash that spreads records over partition keys and over time.
    pub fn hash(&self) -> u64 {
        spread(&self.path())
    }

    /// The spread shard of the head: [`RecordName::hash`] modulo [`SPREAD_SHARDS`].
    pub fn spread_shard(&self) -> u64 {
        self.hash() % SPREAD_SHARDS
    }
}

impl fmt::Display for RecordName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.key())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_spread_shard_of_a_name_never_changes() {
        let shards: Vec<u64> = ["orders", "billing", "zk-lab", "a b/c"]
            .map(|id| RecordName::cluster("default", id).spread_shard())
            .into();
        assert_eq!(shards, SPREAD_GOLDEN);
        assert_eq!(RecordName::discovery("default", "orders").spread_shard(), SPREAD_GOLDEN[0]);
    }

    const SPREAD_GOLDEN: [u64; 4] = [25, 28, 60, 50];

    #[test]
    fn a_key_reads_back_whatever_the_id() {
        for id in ["orders", "a b/c", "ünï", "%2F", "x:y-z_.1"] {
            let name = RecordName::cluster("prod", id);
            assert_eq!(RecordName::parse_key(&name.key()).unwrap(), name);
            assert_eq!(name.key().matches('/').count(), 2);
        }
        assert_eq!(RecordName::cluster("default", "a b/ü").key(), "cluster/default/a%20b%2F%C3%BC");
        assert!(RecordName::parse_key("cluster/default").is_err());
        assert!(RecordName::parse_key("shard/default/x").is_err());
    }

    #[test]
    fn the_longest_name_fits_a_partition_key() {
        let name = RecordName::discovery("n".repeat(MAX_NAME), "i".repeat(MAX_ID_ENCODED));
        assert!(check_name(&name.namespace).is_ok() && check_id(&name.id).is_ok());
        assert!(name.key().len() <= 256);
    }

    #[test]
    fn names_and_ids_out_of_bounds_are_refused() {
        assert!(check_name("").is_err());
        assert!(check_name(&"n".repeat(64)).is_err());
        assert!(check_name("a/b").is_err());
        assert_eq!(check_id(" "), Err(NameError::EmptyId));
        assert_eq!(check_id(&"ü".repeat(30)), Err(NameError::LongId(180)));
    }
}
