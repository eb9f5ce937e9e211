//! The protocol, model-checked.

pub mod mutant;
pub mod record;
pub mod removal;
pub mod rule;
pub mod scheduler;
