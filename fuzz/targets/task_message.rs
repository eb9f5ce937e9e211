//! Messages of the queues.
#![no_main]

use libfuzzer_sys::fuzz_target;
use replicante_outside_input::{drive, tasks};

fuzz_target!(|bytes: &[u8]| {
    drive(bytes, tasks::check, tasks::batch);
});
