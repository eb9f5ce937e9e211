//! Pages and their cursors.
#![no_main]

use libfuzzer_sys::fuzz_target;
use replicante_outside_input::choices::Choices;
use replicante_outside_input::discovery;

fuzz_target!(|bytes: &[u8]| {
    discovery::pages(&mut Choices::new(bytes));
});
