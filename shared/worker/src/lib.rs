//! The worker: carries out the protocol for one task, and a batch of tasks as Lambda hands them over.
//!
//! ```text
//! function.rs what is deployed: a job and its worker, handed one batch at a time
//! batch.rs    SQS event -> tasks, some at once -> partial batch response
//! driver.rs   one task: the machine says which act comes next, the driver carries it out
//! job.rs      what a kind of record must bring along: its state, its work, its items
//! report.rs   one wide log line a task
//! metrics.rs  reports -> what is measured of an invocation
//! ```
//!
//! The driver knows nothing of any one kind of record: its imports prove it. A task never retries itself:
//! what failed is released and reported as failed, and the queue delivers it again. A worker's future may be
//! dropped at any point: the next claim of the record is the recovery.

mod batch;
mod driver;
mod function;
mod job;
mod metrics;
mod report;

pub use function::Function;
pub use job::{Context, Delivered, Job, WorkError, Worked};
pub use report::{Observer, TaskReport};
