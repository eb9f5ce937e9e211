//! The protocol, model-checked.

pub mod record;
pub mod rule;
pub mod scheduler;
