//! The local system: embedded services, and a runner that invokes the functions as Lambda would.
//!
//! ```text
//! services.rs    DynamoDB on SQLite, SQS and Kinesis, each on a loopback port of this process
//! stream.rs      what stands before the embedded stream: archive and limits
//! archive.rs     its records in a file, written before PutRecords is answered
//! throttle.rs    the limits of a shard on AWS, for tests and benchmarks
//! stack.rs       what the template creates on AWS: table, queues with dead-letter queues, stream
//! invocation.rs  genuine event payloads, and an end for what panics or lasts too long
//! runner.rs      schedules, queue polling, partial batch responses
//! ```
//!
//! The functions see nothing of this: they talk to the endpoints through the AWS SDK, as they do on AWS.

mod archive;
mod error;
mod invocation;
mod runner;
mod services;
mod stack;
mod stream;
mod throttle;

pub use archive::Archive;
pub use error::LocalError;
pub use invocation::{schedule_payload, scheduled, sqs_event, sqs_payload, task_event, task_payload, within};
pub use runner::{Runner, Stopped, done};
pub use services::Services;
pub use stack::{Local, LocalConfig};
