//! The real bootstraps under what Lambda may do to them. Those that `REPLICANTE_TEST_BOOTSTRAPS` names; without it the tests
//! that need them say that they are skipped. The same variable makes the end-to-end tests run with them.

// Helpers of tests fail as tests do.
#![allow(clippy::unwrap_used)]

mod alone;
mod deadlines;
mod freezes;
mod kills;
mod panics;
mod rig;
mod startup;
mod story;
mod threads;
