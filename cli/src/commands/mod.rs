//! The commands: one file each.

pub mod apply;
pub mod bench;
pub mod capacity;
pub mod context;
pub mod delete;
pub mod demo;
pub mod discovery;
pub mod dlq;
pub mod doctor;
pub mod events;
pub mod export;
pub mod fleet;
pub mod forget;
pub mod get;
pub mod maintenance;
pub mod past;
pub mod pause;
pub mod restore_check;
pub mod runs;
pub mod status;
pub mod task;
pub mod up;
pub mod validate;
