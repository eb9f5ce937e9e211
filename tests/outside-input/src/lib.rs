//! Everything that parses outside input, fed with input that is damaged.
//!
//! ```text
//! choices.rs    bytes as a row of choices: the same bytes, the same damage
//! damage.rs     valid documents and bytes with something wrong in them
//! known.rs      valid documents: recordings of real agents, golden events
//! discovery.rs  answers of sources, with their pages, and files
//! agents.rs     answers of agents, both protocols
//! objects.rs    what operators apply, and its stored form
//! tasks.rs      messages of the queues
//! bodies.rs     encoded states and outboxes, by themselves
//! records.rs    stored records as the table gives them: heads, chunks, discovery items
//! events.rs     events as the stream gives them
//! table.rs      a table that holds what it is told to
//! ```
//!
//! Each kind of input has functions that take bytes and panic when a promise is broken. Two drive them: the property
//! tests of this crate, thousands of cases in each run of the suite, and the fuzz targets in `fuzz/`, for as long as
//! one likes. Both go through what the crates offer to everybody: nothing is opened for them.
//!
//! Bytes are used in one of two ways ([`drive`]): as they are, or as choices of what is wrong with a valid document.
//! The first finds what no person would write, the second what nobody would find behind the first syntax error.

// A check that can't be made has failed, like a test.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::missing_panics_doc)]

pub mod agents;
pub mod bodies;
pub mod choices;
pub mod damage;
pub mod discovery;
pub mod events;
mod known;
pub mod objects;
pub mod records;
mod table;
pub mod tasks;

use choices::Choices;

/// Uses the bytes of a fuzzer: behind a zero byte as choices of a damage, else as they are. No valid document of any
/// kind begins with a zero.
pub fn drive(bytes: &[u8], as_they_are: fn(&[u8]), as_choices: fn(&mut Choices<'_>)) {
    match bytes.split_first() {
        Some((0, choices)) => as_choices(&mut Choices::new(choices)),
        _ => as_they_are(bytes),
    }
}
