//! End-to-end tests: real SDK calls over HTTP to the embedded services, real agents over HTTP.

// Helpers of tests fail as tests do.
#![allow(clippy::unwrap_used)]

mod actions;
mod agents;
mod cost;
mod damage;
mod discoveries;
mod duplicates;
mod fences;
mod history;
mod kills;
mod restart;
mod running;
mod size;
