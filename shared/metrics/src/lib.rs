//! Metrics: what an invocation tells CloudWatch, as one line in the embedded metric format. Pure.
//!
//! ```text
//! catalogue.rs every metric: its name, unit, functions and meaning
//! measures.rs  the values of one invocation
//! document.rs  values -> the line
//! emitter.rs   whose line it is, and who writes it
//! ```
//!
//! No metric names a record: the dimensions are the deployment and the function, whatever is measured. Nothing is kept
//! from one invocation to the next, and nothing runs in the background.

mod catalogue;
mod document;
mod emitter;
mod measures;

pub use catalogue::{Definition, Function, Metric, TABLE, Unit};
pub use document::{MAX_VALUES, NAMESPACE};
pub use emitter::Emitter;
pub use measures::Measures;
