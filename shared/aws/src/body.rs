//! Bodies: the chunks of a record's state and outbox.

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use futures::stream::{self, StreamExt, TryStreamExt};
use replicante_model::RecordName;
use replicante_protocol::head::Head;
use replicante_protocol::slot::{Body, FORMAT, Part, Slot, chunks, decode_state};
use serde::de::DeserializeOwned;

use crate::calls::{Item, Key, Write};
use crate::error::{AwsError, FenceError};
use crate::expression::{Guard, number};
use crate::table::{Table, body_partition};

/// Chunks that are read or written at once.
const AT_ONCE: usize = 4;
/// How often a look is repeated when commits come between its reads.
const LOOKS: usize = 5;

/// Chunks that could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// A chunk is absent or carries another fence: someone else has moved on.
    #[error("chunk {0} does not carry the fence that the head names")]
    Mismatch(String),
    /// The call failed, or the body can't be read.
    #[error(transparent)]
    Aws(#[from] AwsError),
}

impl Table {
    /// Reads a record as it stands: its head and its state. `None` when there is no such record; the state is
    /// absent before the first commit. For those who look, not for workers: it takes no lease.
    ///
    /// # Errors
    /// When the table can't be read, or the state can't be decoded.
    pub async fn look<S: DeserializeOwned>(
        &self,
        record: &RecordName,
    ) -> Result<Option<(Head, Option<S>)>, AwsError> {
        let mut seen = None;
        for _ in 0..LOOKS {
            let Some(head) = self.head(record).await? else { return Ok(None) };
            let Some(body) = head.body else { return Ok(Some((head, None))) };
            match self.load(record, &body, Part::State).await {
                Ok(bytes) => {
                    let state = decode_state(body.format, &bytes)
                        .map_err(|source| AwsError::Slot { record: record.key(), source })?;
                    return Ok(Some((head, Some(state))));
                }
                // A commit came between the two reads; its slot was written over.
                Err(LoadError::Mismatch(chunk)) => seen = Some(chunk),
                Err(LoadError::Aws(error)) => return Err(error),
            }
        }
        let chunk = seen.unwrap_or_default();
        Err(AwsError::stored(
            format!("the state of {record}"),
            format!("chunk {chunk} does not fit the head"),
        ))
    }

    /// Reads the chunks of a state or an outbox, strongly consistent, and checks that each carries the fence
    /// that the head names, and that they are as long as it says.
    ///
    /// # Errors
    /// [`LoadError::Mismatch`] when one does not.
    pub async fn load(&self, record: &RecordName, body: &Body, part: Part) -> Result<Vec<u8>, LoadError> {
        let (count, expected, name) = match part {
            Part::State => (body.state_chunks, body.state_bytes, "state"),
            Part::Outbox => (body.outbox_chunks, body.outbox_bytes, "outbox"),
        };
        let read = |chunk: u32| self.load_chunk(record, body.slot.key(part, chunk), body.fence);
        let bytes = if count == 1 {
            read(0).await?
        } else {
            let chunks: Vec<Vec<u8>> =
                stream::iter(0..count).map(read).buffered(AT_ONCE).try_collect().await?;
            chunks.concat()
        };
        if bytes.len() as u64 != expected {
            // An outbox of which nothing is left would read as one that owes nothing.
            let problem = format!("it has {} bytes, and the head names {expected}", bytes.len());
            return Err(AwsError::stored(format!("the {name} of {record}"), problem).into());
        }
        Ok(bytes)
    }

    async fn load_chunk(&self, record: &RecordName, sk: String, fence: u64) -> Result<Vec<u8>, LoadError> {
        let action = || format!("reading chunk {sk} of {record}");
        let got = self.get(chunk_key(record, &sk), action).await?;
        let Some(mut item) = got else { return Err(LoadError::Mismatch(sk)) };
        if item.get("fence") != Some(&number(fence)) {
            return Err(LoadError::Mismatch(sk));
        }
        match item.remove("data") {
            Some(AttributeValue::B(data)) => Ok(data.into_inner()),
            _ => Err(AwsError::stored(format!("chunk {sk} of {record}"), "it has no data").into()),
        }
    }

    /// Writes the chunks of a slot, each on condition that it is absent or its fence is not higher than ours.
    ///
    /// # Errors
    /// [`FenceError::TakenOver`] when one carries a higher fence.
    pub async fn write_slot(
        &self,
        record: &RecordName,
        slot: Slot,
        fence: u64,
        state: &[u8],
        outbox: &[u8],
    ) -> Result<Body, FenceError> {
        let mut writes = Vec::new();
        for (part, bytes) in [(Part::State, state), (Part::Outbox, outbox)] {
            for (chunk, number) in chunks(bytes).zip(0_u32..) {
                writes.push(self.write_chunk(record, slot.key(part, number), fence, chunk));
            }
        }
        stream::iter(writes).buffer_unordered(AT_ONCE).try_collect::<()>().await?;
        let count = |bytes: &[u8]| u32::try_from(chunks(bytes).len()).unwrap_or(u32::MAX);
        Ok(Body {
            slot,
            fence,
            state_chunks: count(state),
            outbox_chunks: count(outbox),
            state_bytes: state.len() as u64,
            outbox_bytes: outbox.len() as u64,
            format: FORMAT,
        })
    }

    async fn write_chunk(
        &self,
        record: &RecordName,
        sk: String,
        fence: u64,
        data: &[u8],
    ) -> Result<(), FenceError> {
        let mut item = Item::from(chunk_key(record, &sk));
        item.insert("fence".into(), number(fence));
        item.insert("data".into(), AttributeValue::B(Blob::new(data)));
        let guard = Guard::default()
            .on("attribute_not_exists(#pk) OR #fence <= :fence", &["pk", "fence"])
            .with(":fence", number(fence));
        match self.put(item, guard, || format!("writing chunk {sk} of {record}")).await? {
            Write::Done(_) => Ok(()),
            Write::Refused(_) => Err(FenceError::TakenOver),
        }
    }
}

fn chunk_key(record: &RecordName, sk: &str) -> Key {
    Key { pk: body_partition(record), sk: sk.to_owned() }
}
