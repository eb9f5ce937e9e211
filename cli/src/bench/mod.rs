//! The benchmarks: how much one refresh worker does, and what it costs.
//!
//! ```text
//! refresh.rs   the measurements of `bench refresh`
//! hanging.rs   the measurements of `bench hanging`
//! history.rs   the measurements of `bench history`
//! rig.rs       services, fleet and worker in this process; drives batches of tasks as Lambda would
//! size.rs      the measurements of `bench size`
//! schedule.rs  the measurements of `bench schedule`
//! apart.rs     a function in a process of its own, for these two
//! figures.rs   what was measured, for people and for programs
//! ```

pub mod apart;
pub mod figures;
pub mod hanging;
pub mod history;
pub mod refresh;
pub mod rig;
pub mod schedule;
pub mod size;
