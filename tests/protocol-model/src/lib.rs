//! The protocol, model-checked.

pub mod record;
pub mod removal;
pub mod rule;
pub mod scheduler;
