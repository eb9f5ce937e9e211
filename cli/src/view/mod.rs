//! What users see: pure functions from what is known to lines. Each is checked against a golden text.

pub mod change;
pub mod cluster;
pub mod clusters;
pub mod discoveries;
pub mod dry_run;
pub mod event;
pub mod parts;
pub mod past;
pub mod record;
pub mod style;
pub mod table;
pub mod text;

#[cfg(test)]
pub(crate) mod given;
