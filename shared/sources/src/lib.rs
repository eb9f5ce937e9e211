//! Where discovery records come from.
//!
//! Each source is one small module behind one trait, [`Source`]: "give me the complete list, or an error". A source
//! holds no state between two fetches, never retries and never answers in part: what it returns replaces what was
//! known before, so a list that is not whole would look like clusters that went away.
//!
//! ```text
//! http.rs, platform.rs, file.rs --bytes--> answer.rs  --records--> record.rs -> node.rs -> address.rs
//! prometheus.rs            --bytes--> its own reader -/
//! dns.rs                   --hosts and ports----------/
//! (settings, I/O)                     (pages, limits)             (one record, leniently)
//! ```
//!
//! Everything below the first column is pure. What comes in is not trusted: every answer is bounded in bytes,
//! records and nodes while it is read, and one bad record is set aside without failing the rest. `endpoint.rs` is
//! the request of every source that speaks HTTP.
//!
//! # Adding a source
//!
//! Its module here, its line in the table `SOURCES`, its documentation: `docs/extending.md` walks through one.

mod address;
mod answer;
mod dns;
mod endpoint;
mod error;
mod file;
mod http;
mod lenient;
mod node;
mod platform;
mod prometheus;
mod record;
mod target;
#[cfg(test)]
mod test_server;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use replicante_model::record::SourceAnswer;
use replicante_objects::{Fields, SourceKind, SourceSpec};
use replicante_outbound::Outbound;
use replicante_s3::Objects;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value as Json;

pub use address::{AddressError, MAX_ADDRESS, normalise};
pub use error::{Failure, SourceError};
pub use node::MAX_NODE_ID;

/// Every source there is, in the order in which errors name them.
const SOURCES: [Registered; 5] = [
    Registered::new::<http::Http>(),
    Registered::new::<platform::Platform>(),
    Registered::new::<prometheus::Prometheus>(),
    Registered::new::<file::File>(),
    Registered::new::<dns::Dns>(),
];

/// What sources reach the world by. Made once a process.
pub struct Outside {
    /// The client for HTTP.
    pub outbound: Arc<Outbound>,
    /// The objects of S3.
    pub objects: Objects,
}

/// A fetch under way.
pub type Fetching<'a> = Pin<Box<dyn Future<Output = Result<SourceAnswer, SourceError>> + Send + 'a>>;

/// A source of discovery records: its settings, and what is done with them.
pub trait Source: Send + Sync {
    /// Asks for the complete list.
    ///
    /// It lasts at most as long as the source's timeout for each page; the caller bounds the whole. A future that
    /// is dropped leaves nothing behind.
    ///
    /// # Errors
    /// Whatever keeps the list from being complete and within its limits. The last good answer stands then.
    fn fetch<'a>(&'a self, outside: &'a Outside) -> Fetching<'a>;

    /// What is asked, for people: one line, without what may be a secret.
    fn shown(&self) -> String;
}

/// What makes a [`Source`] one that an object can name. Its own form is what is stored: fields may come with a
/// default, never go.
trait Settings: Source + Serialize + DeserializeOwned + 'static {
    /// Its name below `spec.source`.
    const NAME: &'static str;

    /// Reads what an operator wrote. `None` when it is wrong, which is reported then.
    fn read(fields: &mut Fields<'_>) -> Option<Self>;
}

/// A source's entry in the table.
struct Registered {
    kind: SourceKind,
    load: fn(&Json) -> Result<Box<dyn Source>, serde_json::Error>,
}

impl Registered {
    const fn new<S: Settings>() -> Self {
        let read = |fields: &mut Fields<'_>| serde_json::to_value(S::read(fields)?).ok();
        Registered {
            kind: SourceKind { name: S::NAME, read },
            load: |json| Ok(Box::new(S::deserialize(json)?)),
        }
    }
}

/// A stored source that this release can't open.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// There is no such kind.
    #[error(
        "there is no source `{0}`; was its object written by a newer release? Apply it again to replace it"
    )]
    Unknown(String),
    /// The settings are not as this release has them.
    #[error("the settings of `{0}` can't be read: {1}; was its object written by a newer release?")]
    Settings(String, serde_json::Error),
}

/// The kinds of source, for the reader of objects.
pub fn kinds() -> [SourceKind; SOURCES.len()] {
    SOURCES.map(|source| source.kind)
}

/// The source that `spec` describes. Nothing is asked yet.
///
/// # Errors
/// [`OpenError`] for one of another release.
pub fn open(spec: &SourceSpec) -> Result<Box<dyn Source>, OpenError> {
    let known = SOURCES.into_iter().find(|source| source.kind.name == spec.kind);
    let source = known.ok_or_else(|| OpenError::Unknown(spec.kind.clone()))?;
    (source.load)(&spec.settings).map_err(|error| OpenError::Settings(spec.kind.clone(), error))
}

#[cfg(test)]
mod every_source_tests;
