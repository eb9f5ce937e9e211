//! End-to-end tests: real SDK calls over HTTP to the services, real agents over HTTP.
//!
//! The services are the embedded ones, or those that the environment names: see `tests/emulators`.

// Helpers of tests fail as tests do.
#![allow(clippy::unwrap_used)]

mod actions;
mod addresses;
mod agents;
mod audit;
mod back_off;
mod cost;
mod damage;
mod discoveries;
mod duplicates;
#[path = "../../shared/ssm/tests/fake/mod.rs"]
mod fake_ssm;
mod fences;
mod history;
mod kills;
mod maintenance;
mod metrics;
#[path = "../../shared/outbound/tests/name_server/mod.rs"]
mod name_server;
mod observer;
mod pauses;
mod queues;
mod removal;
mod restart;
mod rows;
mod running;
mod secrets;
mod settings;
mod size;
mod sources;
mod tls;
#[path = "../../shared/outbound/tests/tls_server/mod.rs"]
mod tls_server;
