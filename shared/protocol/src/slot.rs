//! Slots: where a record's state and the outbox of its last commit are stored, and how.
//!
//! Two slots, A and B, a record. A commit writes the slot that the head does not name, then names it. State
//! and outbox are encoded apart, compressed, and cut into chunks that fit one item each.

use std::io::{Read, Write};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// The most bytes of one chunk: an item takes 400 KB, with its keys.
pub const MAX_CHUNK: usize = 350 * 1024;
/// The format that is written.
pub const FORMAT: u32 = 1;
/// The formats that are read.
pub const READ_FORMATS: std::ops::RangeInclusive<u32> = 1..=1;
/// The most bytes of a decoded state or outbox: what a function of 1 GiB can hold beside its working copies. Checked
/// before it is written too: what can't be read again is not committed.
pub const MAX_DECODED: usize = 256 * 1024 * 1024;
/// Compression: zstd's fastest regular level; higher ones save little on small states.
const LEVEL: i32 = 1;

/// One of the two slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Slot {
    /// The first.
    A,
    /// The second.
    B,
}

impl Slot {
    /// The other one.
    #[must_use]
    pub fn other(self) -> Slot {
        match self {
            Slot::A => Slot::B,
            Slot::B => Slot::A,
        }
    }

    /// The sort key of a chunk: `A#s0`, `B#e12`.
    pub fn key(self, part: Part, chunk: u32) -> String {
        let slot = match self {
            Slot::A => 'A',
            Slot::B => 'B',
        };
        let part = match part {
            Part::State => 's',
            Part::Outbox => 'e',
        };
        format!("{slot}#{part}{chunk}")
    }
}

/// What a chunk is a part of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The record's state.
    State,
    /// What the last commit has to deliver: read only while it is owed.
    Outbox,
}

/// Where a record's body is, as its head says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Body {
    /// The slot.
    pub slot: Slot,
    /// The fence that each of its chunks carries.
    pub fence: u64,
    /// How many chunks the state has.
    #[serde(rename = "s")]
    pub state_chunks: u32,
    /// How many chunks the outbox has.
    #[serde(rename = "e")]
    pub outbox_chunks: u32,
    /// Bytes of the state's chunks.
    #[serde(rename = "sb")]
    pub state_bytes: u64,
    /// Bytes of the outbox's chunks.
    #[serde(rename = "eb")]
    pub outbox_bytes: u64,
    /// How state and outbox are encoded.
    #[serde(rename = "f")]
    pub format: u32,
}

/// A body that can't be read.
#[derive(Debug, thiserror::Error)]
pub enum SlotError {
    /// Written by a release that this one does not know.
    #[error(
        "the body has format {0}, and this release reads {READ_FORMATS:?}: run the release that wrote it, or a newer one"
    )]
    Format(u32),
    /// Compression failed, or the data is damaged.
    #[error("the body can't be (de)compressed: {0}")]
    Compression(#[from] std::io::Error),
    /// The JSON is not what was expected.
    #[error("the body can't be encoded or decoded: {0}")]
    Json(#[from] serde_json::Error),
    /// More than a function can hold.
    #[error("the body has {0} bytes, and takes at most {MAX_DECODED}")]
    TooLarge(usize),
    /// The outbox is cut short.
    #[error("the outbox is damaged: it names {expected} entries and holds {found}")]
    Outbox {
        /// Entries that it names.
        expected: usize,
        /// Entries that it holds.
        found: usize,
    },
}

/// Encodes a state: JSON, compressed.
///
/// # Errors
/// [`SlotError::Json`] for a state that JSON can't hold.
pub fn encode_state<S: Serialize>(state: &S) -> Result<Vec<u8>, SlotError> {
    let mut encoder = Encoder::new()?;
    serde_json::to_writer(&mut encoder, state)?;
    encoder.finish()
}

/// Decodes what [`encode_state`] wrote.
///
/// # Errors
/// [`SlotError`] for a format that is not known, and for damaged data.
pub fn decode_state<S: DeserializeOwned>(format: u32, bytes: &[u8]) -> Result<S, SlotError> {
    Ok(serde_json::from_slice(&decompress(format, bytes)?)?)
}

/// What a commit has to deliver: events as the bytes that are published, and items of other records.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outbox {
    /// The events, in order, each one line of JSON.
    pub events: Vec<Vec<u8>>,
    /// The sequence of the first event.
    pub first: u64,
    /// Items to write elsewhere, each one line of JSON. A discovery's commit has the clusters that changed.
    pub items: Vec<Vec<u8>>,
}

#[derive(Serialize, Deserialize)]
struct OutboxHeader {
    first: u64,
    events: usize,
    items: usize,
}

impl Outbox {
    /// Whether there is nothing to deliver.
    pub fn is_empty(&self) -> bool {
        self.events.is_empty() && self.items.is_empty()
    }

    /// Encodes it: a line of JSON that counts, then a line an entry, compressed. Empty when there is nothing.
    ///
    /// # Errors
    /// [`SlotError`] when compression fails.
    pub fn encode(&self) -> Result<Vec<u8>, SlotError> {
        if self.is_empty() {
            return Ok(Vec::new());
        }
        let mut encoder = Encoder::new()?;
        let header = OutboxHeader { first: self.first, events: self.events.len(), items: self.items.len() };
        serde_json::to_writer(&mut encoder, &header)?;
        for line in self.events.iter().chain(&self.items) {
            encoder.write_all(b"\n")?;
            encoder.write_all(line)?;
        }
        encoder.finish()
    }

    /// Decodes what [`Outbox::encode`] wrote.
    ///
    /// # Errors
    /// [`SlotError`] for a format that is not known, and for damaged data.
    pub fn decode(format: u32, bytes: &[u8]) -> Result<Self, SlotError> {
        if bytes.is_empty() {
            return Ok(Outbox::default());
        }
        let data = decompress(format, bytes)?;
        let mut lines = data.split(|byte| *byte == b'\n');
        let header: OutboxHeader = serde_json::from_slice(lines.next().unwrap_or_default())?;
        let mut events: Vec<Vec<u8>> = lines.map(<[u8]>::to_vec).collect();
        let (expected, found) = (header.events.saturating_add(header.items), events.len());
        let last = header.first.checked_add(header.events as u64);
        if found != expected || last.is_none() {
            return Err(SlotError::Outbox { expected, found });
        }
        let items = events.split_off(header.events);
        Ok(Outbox { events, first: header.first, items })
    }

    /// The sequence of the last event; the one before the first when there is none.
    pub fn last(&self) -> u64 {
        (self.first + self.events.len() as u64).saturating_sub(1)
    }
}

/// Compresses, and counts what goes in.
struct Encoder {
    zstd: zstd::stream::Encoder<'static, Vec<u8>>,
    taken: usize,
}

impl Encoder {
    fn new() -> std::io::Result<Self> {
        let mut zstd = zstd::stream::Encoder::new(Vec::new(), LEVEL)?;
        // Without it a damaged body may unpack to another one.
        zstd.include_checksum(true)?;
        Ok(Encoder { zstd, taken: 0 })
    }

    fn finish(self) -> Result<Vec<u8>, SlotError> {
        if self.taken > MAX_DECODED {
            return Err(SlotError::TooLarge(self.taken));
        }
        Ok(self.zstd.finish()?)
    }
}

impl Write for Encoder {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        // What is too much is counted, and no longer compressed.
        self.taken += bytes.len();
        if self.taken > MAX_DECODED {
            Ok(bytes.len())
        } else {
            self.zstd.write_all(bytes).map(|()| bytes.len())
        }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.zstd.flush()
    }
}

fn decompress(format: u32, bytes: &[u8]) -> Result<Vec<u8>, SlotError> {
    if !READ_FORMATS.contains(&format) {
        return Err(SlotError::Format(format));
    }
    let mut data = Vec::with_capacity(bytes.len() * 4);
    let decoder = zstd::stream::Decoder::new(bytes)?;
    decoder.take(MAX_DECODED as u64 + 1).read_to_end(&mut data)?;
    if data.len() > MAX_DECODED {
        return Err(SlotError::TooLarge(data.len()));
    }
    Ok(data)
}

/// Cuts an encoded part into chunks. Nothing gives no chunk.
pub fn chunks(bytes: &[u8]) -> std::slice::Chunks<'_, u8> {
    bytes.chunks(MAX_CHUNK)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_those_that_an_item_and_a_function_can_hold() {
        assert_eq!(MAX_CHUNK, 358_400, "below the 400 KB of an item");
        assert_eq!(MAX_DECODED, 268_435_456, "a quarter of 1 GiB");
    }

    #[test]
    fn an_outbox_is_empty_when_it_has_neither_events_nor_items() {
        let nothing = Outbox { events: Vec::new(), first: 1, items: Vec::new() };
        assert!(nothing.is_empty() && nothing.encode().unwrap().is_empty());
        for filled in [
            Outbox { events: vec![b"{}".to_vec()], ..nothing.clone() },
            Outbox { items: vec![b"{}".to_vec()], ..nothing.clone() },
        ] {
            assert!(!filled.is_empty());
            assert_eq!(Outbox::decode(FORMAT, &filled.encode().unwrap()).unwrap(), filled);
        }
    }

    #[test]
    fn a_state_reads_back() {
        let state: Vec<String> = (0..1000).map(|n| format!("node-{n}")).collect();
        let bytes = encode_state(&state).unwrap();
        assert_eq!(decode_state::<Vec<String>>(FORMAT, &bytes).unwrap(), state);
        assert!(matches!(decode_state::<Vec<String>>(FORMAT + 1, &bytes), Err(SlotError::Format(_))));
        assert!(decode_state::<Vec<String>>(FORMAT, &bytes[..bytes.len() / 2]).is_err());
    }

    #[test]
    fn what_could_not_be_read_again_is_not_written() {
        let encode = |bytes: usize| {
            let mut encoder = Encoder::new().unwrap();
            let block = vec![b' '; 1024 * 1024];
            for _ in 0..bytes / block.len() {
                encoder.write_all(&block).unwrap();
            }
            encoder.write_all(&block[..bytes % block.len()]).unwrap();
            encoder.finish()
        };
        let fits = encode(MAX_DECODED).unwrap();
        assert_eq!(decompress(FORMAT, &fits).unwrap().len(), MAX_DECODED);
        assert!(matches!(encode(MAX_DECODED + 1), Err(SlotError::TooLarge(_))));
    }

    #[test]
    fn a_body_that_unpacks_to_more_than_is_read_is_refused() {
        // A few KiB that stand for more than any function holds.
        let zeros = std::io::repeat(0).take(MAX_DECODED as u64 + 1);
        let bomb = zstd::stream::encode_all(zeros, LEVEL).unwrap();
        assert!(bomb.len() < 64 * 1024);
        assert!(matches!(decode_state::<Vec<u8>>(FORMAT, &bomb), Err(SlotError::TooLarge(_))));
        assert!(matches!(Outbox::decode(FORMAT, &bomb), Err(SlotError::TooLarge(_))));
    }

    #[test]
    fn an_outbox_that_counts_beyond_every_number_is_damaged() {
        let decode = |text: &str| {
            let bytes = zstd::stream::encode_all(text.as_bytes(), LEVEL).unwrap();
            Outbox::decode(FORMAT, &bytes)
        };
        // Added up without a care, the first two are one entry.
        let most = u64::MAX;
        for header in [
            format!(r#"{{"first":1,"events":{most},"items":2}}"#),
            format!(r#"{{"first":1,"events":2,"items":{most}}}"#),
            format!(r#"{{"first":{most},"events":1,"items":0}}"#),
        ] {
            let outbox = decode(&format!("{header}\n{{}}"));
            assert!(matches!(outbox, Err(SlotError::Outbox { .. })), "{header}: {outbox:?}");
        }
    }

    #[test]
    fn a_flipped_bit_never_makes_another_state() {
        let state: Vec<String> = (0..50).map(|n| format!("node-{n}")).collect();
        let bytes = encode_state(&state).unwrap();
        for bit in 0..8 * bytes.len() {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            let read = decode_state::<Vec<String>>(FORMAT, &damaged);
            assert!(read.is_err() || read.unwrap() == state, "bit {bit}");
        }
    }

    #[test]
    fn an_outbox_reads_back_to_the_byte() {
        let outbox = Outbox {
            events: vec![br#"{"b":1,"a":"\n"}"#.to_vec(), b"{ }".to_vec()],
            first: 41,
            items: vec![br#"{"cluster":"x"}"#.to_vec()],
        };
        let bytes = outbox.encode().unwrap();
        assert_eq!(Outbox::decode(FORMAT, &bytes).unwrap(), outbox);
        assert_eq!(outbox.last(), 42);
        assert_eq!(Outbox::decode(FORMAT, &Outbox::default().encode().unwrap()).unwrap(), Outbox::default());
    }

    #[test]
    fn chunks_fit_an_item() {
        let bytes = vec![0; 2 * MAX_CHUNK + 1];
        let sizes: Vec<usize> = chunks(&bytes).map(<[u8]>::len).collect();
        assert_eq!(sizes, [MAX_CHUNK, MAX_CHUNK, 1]);
        assert_eq!(chunks(&[]).count(), 0);
        assert_eq!(Slot::A.other().key(Part::Outbox, 12), "B#e12");
        assert_eq!(Slot::B.other().key(Part::State, 0), "A#s0");
    }
}
