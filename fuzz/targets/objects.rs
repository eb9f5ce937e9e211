//! Files of objects, and stored ones.
#![no_main]

use libfuzzer_sys::fuzz_target;
use replicante_outside_input::{drive, objects};

fuzz_target!(|bytes: &[u8]| {
    drive(bytes, objects::check, objects::some_damage);
});
