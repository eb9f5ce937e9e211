//! The real `bootstrap` processes of the functions, driven as Lambda drives them.
//!
//! ```text
//! runtime_api.rs  the Runtime API of one process
//! sandbox.rs      one process: its environment, its invocations, its end
//! deployed.rs     the four functions: sandboxes that are warm are used again
//! runner.rs       schedules and queue pollers
//! environment.rs  what the template sets, and where the services are
//! reports.rs      the wide lines of a log, as reports
//! tap.rs          between a process and its services: it stops at a call
//! ```
//!
//! Own code and not the crate `lambda-simulator` (0.2.0): that one ends no invocation at its deadline, does not kill, links
//! a second provider of cryptography beside the one that everything else here uses, and brings extensions and telemetry
//! that no function has.

mod deployed;
mod environment;
mod reports;
mod runner;
mod runtime_api;
mod sandbox;
mod tap;

pub use deployed::Deployed;
pub use environment::{environment, folder};
pub use runner::Bootstraps;
pub use sandbox::{Ended, Function, Image, NotStarted, Sandbox, Signals};
pub use tap::{Moment, Tap};
