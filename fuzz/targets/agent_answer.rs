//! An answer of an agent, to every parser.
#![no_main]

use libfuzzer_sys::fuzz_target;
use replicante_outside_input::{agents, drive};

fuzz_target!(|bytes: &[u8]| {
    drive(bytes, agents::check, agents::some_damage);
});
