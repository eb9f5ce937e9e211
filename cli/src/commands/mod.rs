//! The commands: one file each.

pub mod apply;
pub mod bench;
pub mod capacity;
pub mod demo;
pub mod discovery;
pub mod events;
pub mod fleet;
pub mod forget;
pub mod get;
pub mod restore_check;
pub mod task;
pub mod up;
