//! An answer of a source, to each kind of source.
#![no_main]

use libfuzzer_sys::fuzz_target;
use replicante_outside_input::{discovery, drive};

fuzz_target!(|bytes: &[u8]| {
    drive(bytes, discovery::check, discovery::some_damage);
});
