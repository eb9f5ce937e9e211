//! The model: what is known of clusters, and the events that tell how it changed.
//!
//! Everything here is pure: no network, no file, no clock. The data's way through it is
//!
//! ```text
//! discovery record -> (task) -> observations -> view -> changes -> events
//!    record.rs                  observation.rs  observe.rs  diff.rs   event.rs
//! ```
//!
//! `silence.rs` notes beside the view since when an agent gives no answer; `observer.rs` says when that is more likely
//! to be the worker's own fault, `notice.rs` how a discovery comes to tell it; `object.rs` tells who applied what. And back again: `fold.rs` applies events
//! to a view, `past.rs` up to a moment, `reader.rs` keeps a reader's place in the stream, `restart.rs` begins a new epoch
//! after a restore.
//! The law that ties them together: `fold(old, diff(old, new)) == new`, for any two views.

pub mod absence;
pub mod actions;
pub mod change;
pub mod diff;
pub mod discovery;
pub mod event;
pub mod fold;
pub mod health;
pub mod intent;
pub mod labels;
pub mod maintenance;
pub mod name;
pub mod notice;
pub mod object;
pub mod observation;
pub mod observe;
pub mod observer;
pub mod past;
pub mod pause;
pub mod primaries;
pub mod reader;
pub mod record;
pub mod refresh;
pub mod restart;
mod silence;
pub mod snapshot;
pub mod summary;
pub mod time;
pub mod view;

pub use name::{Kind, RecordName};
pub use time::Timestamp;
