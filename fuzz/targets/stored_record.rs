//! Stored records, found by the real workers.
#![no_main]

use libfuzzer_sys::fuzz_target;
use replicante_outside_input::{drive, records};

fuzz_target!(|bytes: &[u8]| {
    drive(bytes, records::check, records::some_damage);
});
