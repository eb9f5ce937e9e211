//! The functions under faults: each call to a service fails, gets lost or kills its worker, one after the other.
#![expect(clippy::unwrap_used, reason = "a test that can't go on has failed")]

mod at_random;
mod every_call;
mod every_pass;
mod rig;
mod whole_process;
