//! Encoded states and outboxes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use replicante_outside_input::{bodies, drive};

fuzz_target!(|bytes: &[u8]| {
    drive(bytes, bodies::check, bodies::some_damage);
});
