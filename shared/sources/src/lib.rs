//! Where discovery records come from.
//!
//! Each source is one small module behind one trait, [`Source`]: "give me the complete list, or an error". A source
//! holds no state between two fetches, never retries and never answers in part: what it returns replaces what was
//! known before, so a list that is not whole would look like clusters that went away.
//!
//! ```text
//! http.rs, file.rs --bytes--> answer.rs --records--> record.rs -> node.rs -> address.rs
//! (I/O)                       (pages, limits)        (one record, leniently)
//! ```
//!
//! Everything below the first column is pure. What comes in is not trusted: every answer is bounded in bytes,
//! records and nodes while it is read, and one bad record is set aside without failing the rest.
//!
//! # Adding a source
//!
//! Its settings in `replicante-objects` (`source.rs`), its module here, its line in [`open`], its documentation.

mod address;
mod answer;
mod error;
mod file;
mod http;
mod lenient;
mod node;
mod record;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use replicante_model::record::SourceAnswer;
use replicante_objects::SourceSpec;
use replicante_outbound::Outbound;

pub use address::{AddressError, MAX_ADDRESS, normalise};
pub use error::{Failure, SourceError};
pub use node::MAX_NODE_ID;

/// A fetch under way.
pub type Fetching<'a> = Pin<Box<dyn Future<Output = Result<SourceAnswer, SourceError>> + Send + 'a>>;

/// A source of discovery records.
pub trait Source: Send + Sync {
    /// Asks for the complete list.
    ///
    /// It lasts at most as long as the source's timeout for each page; the caller bounds the whole. A future that
    /// is dropped leaves nothing behind.
    ///
    /// # Errors
    /// Whatever keeps the list from being complete and within its limits. The last good answer stands then.
    fn fetch(&self) -> Fetching<'_>;
}

/// The source that `spec` describes. Nothing is opened yet.
pub fn open(spec: &SourceSpec, outbound: &Arc<Outbound>) -> Box<dyn Source> {
    match spec {
        SourceSpec::Http(spec) => Box::new(http::Http::new(spec.clone(), Arc::clone(outbound))),
        SourceSpec::File(spec) => Box::new(file::File::new(spec.clone())),
    }
}
