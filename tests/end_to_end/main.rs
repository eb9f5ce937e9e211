//! End-to-end tests: real SDK calls over HTTP to the embedded services, real agents over HTTP.

// Helpers of tests fail as tests do.
#![allow(clippy::unwrap_used)]

mod agents;
mod cost;
mod discoveries;
mod duplicates;
mod fences;
mod history;
mod kills;
mod restart;
mod running;
mod settings;
mod size;
