//! The commands: one file each.

pub mod apply;
pub mod bench;
pub mod demo;
pub mod events;
pub mod fleet;
pub mod get;
pub mod task;
pub mod up;
