//! Events as a reader gets them.
#![no_main]

use libfuzzer_sys::fuzz_target;
use replicante_outside_input::{drive, events};

fuzz_target!(|bytes: &[u8]| {
    drive(bytes, events::check, events::damaged);
});
