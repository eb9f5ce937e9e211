//! The history: all shards of the stream as one sequence of events, each once and in its record's order.
//!
//! The shards are read at the same time, each a page ahead of what is taken. Where one ends because it was split or
//! merged, its children are read on.

use std::collections::{BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use futures::future::try_join_all;
use replicante_aws::{AwsError, Page, ShardReader, Start, Stream};
use replicante_model::{RecordName, Timestamp};
use tokio::task::JoinHandle;

use crate::order::{Arrived, Order, Seen};
use crate::progress;

/// Between two looks at the end of the stream: AWS allows five reads a second on each shard, to all readers
/// together.
const PAUSE: Duration = Duration::from_millis(1000);
/// Between two looks for shards: one that was closed need not say so.
const LOOK_FOR_SHARDS: Duration = Duration::from_secs(5);
/// Records that are held of all shards together, about: a page of each, and one ahead.
const HELD: usize = 40_000;

/// Reads the stream.
#[derive(Debug)]
pub struct History {
    stream: Stream,
    /// Only the shards of this partition key.
    key: Option<String>,
    shards: Vec<Shard>,
    known: BTreeSet<String>,
    looked: Instant,
    /// Copies, gaps and what else was odd.
    pub order: Order,
    pause: Duration,
}

#[derive(Debug)]
struct Shard {
    state: Reading,
    /// Records that were read and not yet given.
    buffer: VecDeque<(Timestamp, Arrived)>,
    at_end: bool,
    closed: bool,
}

/// A reader, or one that is at work on its next page.
#[derive(Debug)]
enum Reading {
    Idle(ShardReader),
    Busy(JoinHandle<(ShardReader, Result<Read, AwsError>)>),
}

/// A page whose records are read.
type Read = (Page, VecDeque<(Timestamp, Arrived)>);

impl History {
    /// Opens the stream.
    ///
    /// # Errors
    /// When its shards can't be listed.
    pub async fn open(stream: &Stream, start: Start) -> Result<Self, AwsError> {
        Self::open_for(stream, start, None).await
    }

    /// Opens of the stream what the events of one record are in. Others of its shards are given, too.
    ///
    /// # Errors
    /// When its shards can't be listed.
    pub async fn open_for(
        stream: &Stream,
        start: Start,
        record: Option<&RecordName>,
    ) -> Result<Self, AwsError> {
        progress::say("reading the stream");
        let mut history = History {
            stream: stream.clone(),
            key: record.map(RecordName::key),
            shards: Vec::new(),
            known: BTreeSet::new(),
            looked: Instant::now(),
            order: Order::default(),
            pause: PAUSE,
        };
        history.look_for_shards(start).await?;
        Ok(history)
    }

    /// Joins each record at the first of its events that is read, whatever was before it.
    #[must_use]
    pub fn joining(mut self) -> Self {
        self.order = Order::joining();
        self
    }

    /// Sets the pause between two looks at the end of the stream: shorter where the services are in this process.
    #[must_use]
    pub fn pausing(mut self, pause: Duration) -> Self {
        self.pause = pause;
        self
    }

    /// The next events, oldest first as far as the shards allow; empty at the end of what is stored.
    ///
    /// # Errors
    /// When a shard can't be read.
    pub async fn next(&mut self) -> Result<Vec<Seen>, AwsError> {
        loop {
            let Some(arrived) = self.arrived().await? else { return Ok(Vec::new()) };
            let due = self.order.take(arrived, Timestamp::now());
            if !due.is_empty() {
                return Ok(due);
            }
        }
    }

    /// The next record of the stream, whatever it is: a copy, one that comes too early, no event at all. `None` at the
    /// end of what is stored.
    ///
    /// # Errors
    /// When a shard can't be read.
    pub async fn arrived(&mut self) -> Result<Option<Arrived>, AwsError> {
        while self.shards.iter().any(Shard::is_hungry) {
            try_join_all(self.shards.iter_mut().map(Shard::fill)).await?;
            let before = self.shards.len();
            self.shards.retain(|shard| !shard.closed || !shard.buffer.is_empty());
            if self.shards.len() < before {
                self.look_for_shards(Start::Oldest).await?;
            }
        }
        // Of equal times the first shard: parents stand before their children.
        let oldest = self
            .shards
            .iter_mut()
            .filter(|shard| !shard.buffer.is_empty())
            .min_by_key(|shard| shard.buffer.front().map(|(time, _)| *time));
        Ok(oldest.and_then(|shard| shard.buffer.pop_front()).map(|(_, arrived)| arrived))
    }

    /// All events up to the end of what is stored.
    ///
    /// # Errors
    /// When a shard can't be read.
    pub async fn rest(&mut self) -> Result<Vec<Seen>, AwsError> {
        if self.looked.elapsed() >= LOOK_FOR_SHARDS {
            self.look_for_shards(Start::Oldest).await?;
        }
        for shard in &mut self.shards {
            shard.at_end = shard.closed;
        }
        let mut all = Vec::new();
        loop {
            let some = self.next().await?;
            if some.is_empty() {
                return Ok(all);
            }
            all.extend(some);
        }
    }

    /// Waits for events beyond the end. Returns when there may be some.
    pub async fn pause(&mut self) {
        tokio::time::sleep(self.pause).await;
    }

    /// Begins to read the shards that are not known yet.
    async fn look_for_shards(&mut self, start: Start) -> Result<(), AwsError> {
        let mut readers = self.stream.shards(start, self.key.as_deref()).await?;
        self.looked = Instant::now();
        let limit = u16::try_from(HELD / 2 / readers.len().max(1)).unwrap_or(u16::MAX).max(100);
        readers.retain(|reader| self.known.insert(reader.id().to_owned()));
        self.shards.extend(readers.into_iter().map(|reader| Shard {
            state: Reading::Idle(reader.limited(limit)),
            buffer: VecDeque::new(),
            at_end: false,
            closed: false,
        }));
        Ok(())
    }
}

impl Shard {
    fn is_hungry(&self) -> bool {
        self.buffer.is_empty() && !self.at_end
    }

    /// Reads on until there is a record to give, or the end. Nothing is lost when it is dropped on the way.
    async fn fill(&mut self) -> Result<(), AwsError> {
        while self.is_hungry() {
            if let Reading::Idle(reader) = &self.state {
                self.state = Reading::Busy(tokio::spawn(page(reader.clone())));
            }
            let Reading::Busy(reading) = &mut self.state else { continue };
            let (reader, read) = reading.await.map_err(|error| AwsError::Call {
                action: "reading the stream".into(),
                reason: error.to_string(),
            })?;
            self.state = Reading::Idle(reader);
            let (page, records) = read?;
            (self.at_end, self.closed, self.buffer) = (page.at_end, page.closed, records);
            if !page.at_end
                && let Reading::Idle(reader) = &self.state
            {
                self.state = Reading::Busy(tokio::spawn(self::page(reader.clone())));
            }
        }
        Ok(())
    }
}

/// Reads a page, and the events in it: each shard on its own thread, where there are several.
async fn page(mut reader: ShardReader) -> (ShardReader, Result<Read, AwsError>) {
    let read = reader.next_page().await.map(|mut page| {
        let records = std::mem::take(&mut page.records).into_iter().map(|record| {
            let arrived = Arrived::read(record.key, record.data);
            (arrived.time(), arrived)
        });
        let records = records.collect();
        (page, records)
    });
    (reader, read)
}
