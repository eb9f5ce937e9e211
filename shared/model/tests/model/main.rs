//! The model against its design: events.md, agents.md, discovery.md and "The reader" of protocol.md.
//!
//! `history.rs` runs refreshes as the worker does and checks the law after each; every other module is a chapter of
//! the design. Golden files are written anew with `UPDATE_GOLDEN=1 cargo test -p replicante-model --test model`.

// All of it is test code: a panic is how a test fails.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod actions;
mod compatibility;
mod discoveries;
mod docs;
mod envelope;
mod examples;
mod given;
mod golden;
mod history;
mod identity;
mod labels;
mod law;
mod lifecycle;
mod limits;
mod maintenance;
mod misfits;
mod missing;
mod primaries;
mod reader;
mod schema;
mod snapshots;
mod statuses;
mod summary;
