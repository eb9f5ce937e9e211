//! The objects that operators apply: discoveries, and what overrides them for one cluster.
//!
//! Pure: text goes in, checked objects or errors with their line come out. Nothing here opens a file, reads a
//! variable or resolves a reference.
//!
//! ```text
//! text -> tree.rs -> fields.rs -> discovery.rs, source.rs, agents.rs, cluster.rs -> Object
//!         (lines)    (errors)     (one file a subject: its type, its defaults, how it is read)
//! ```
//!
//! The settings of a source belong to the source, in `replicante-sources`: whoever parses hands over a table of
//! [`SourceKind`]s. What several of them have in common is here, [`Endpoint`] and [`Limits`].
//!
//! Two forms of an object exist. The *human* form is what [`parse`] reads: strict, so that a typo is an error with
//! its line and not a setting that silently does nothing; [`Object::to_document`] writes it. The *stored* form is what [`Object::to_json`] writes:
//! canonical, and read back with tolerance, because an older and a newer release may share one table.
//!
//! What is deliberately absent: secrets. A value that is one is a [`Reference`], and whoever connects resolves it.

mod agents;
mod cluster;
mod discovery;
mod endpoint;
mod error;
mod fields;
mod limits;
mod nearest;
mod object;
mod reference;
mod source;
mod tree;
mod values;
mod written;

pub use cluster::{Cluster, ClusterSpec};
pub use discovery::{Discovery, DiscoverySpec, IgnoreSpec, RefreshSpec, RemovalSpec};
pub use endpoint::Endpoint;
pub use error::{ObjectError, Problem};
pub use fields::Fields;
pub use limits::Limits;
pub use object::{API_VERSION, Located, MAX_FILE, Metadata, Object, StoredError, parse};
pub use reference::{HeaderValue, Reference, ReferenceError, is_secret_header};
pub use source::{SourceKind, SourceSpec};
pub use tree::Entry;
