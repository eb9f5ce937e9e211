//! The benchmarks: how much one refresh worker does, and what it costs.
//!
//! ```text
//! rig.rs      services, fleet and worker in this process; drives batches of tasks as Lambda would
//! refresh.rs  the measurements of `bench refresh`
//! figures.rs  what was measured, for people and for programs
//! ```

pub mod figures;
pub mod refresh;
pub mod rig;
