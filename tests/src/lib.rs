//! The harness of the end-to-end tests: a fleet, the services and the functions, driven step by step.

pub mod backup;
pub mod bootstraps;
mod endpoints;
pub mod faults;
mod history;
mod metrics;
mod recorder;
pub mod story;
mod system;

pub use history::{Checked, History};
pub use metrics::Metrics;
pub use recorder::{Permission, Recorder};
pub use system::{Failure, Running, System};
