//! The history: all shards of the stream as one sequence of events, each once and in its record's order.

use std::collections::VecDeque;
use std::time::Duration;

use replicante_aws::{AwsError, Record, ShardReader, Start, Stream};
use replicante_model::Timestamp;
use serde::Deserialize;

use crate::order::{Order, Seen};

/// Between two looks at the end of the stream: AWS allows five reads a second on each shard, to all readers
/// together.
const PAUSE: Duration = Duration::from_millis(1000);

/// Reads the stream.
#[derive(Debug)]
pub struct History {
    shards: Vec<Shard>,
    /// Copies, gaps and what else was odd.
    pub order: Order,
    pause: Duration,
}

#[derive(Debug)]
struct Shard {
    reader: ShardReader,
    /// Records that were read and not yet given, with the events' own times.
    buffer: VecDeque<(Timestamp, Record)>,
    at_end: bool,
}

impl History {
    /// Opens the stream.
    ///
    /// # Errors
    /// When its shards can't be listed.
    pub async fn open(stream: &Stream, start: Start) -> Result<Self, AwsError> {
        let shards = stream.shards(start).await?;
        let shards = shards
            .into_iter()
            .map(|reader| Shard { reader, buffer: VecDeque::new(), at_end: false })
            .collect();
        Ok(History { shards, order: Order::default(), pause: PAUSE })
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
            for shard in &mut self.shards {
                shard.fill().await?;
            }
            // Of equal times the first shard: parents stand before their children.
            let oldest = self
                .shards
                .iter_mut()
                .filter(|shard| !shard.buffer.is_empty())
                .min_by_key(|shard| shard.buffer.front().map(|(time, _)| *time));
            let Some((_, record)) = oldest.and_then(|shard| shard.buffer.pop_front()) else {
                return Ok(Vec::new());
            };
            let due = self.order.take(&record.key, record.data, Timestamp::now());
            if !due.is_empty() {
                return Ok(due);
            }
        }
    }

    /// All events up to the end of what is stored.
    ///
    /// # Errors
    /// When a shard can't be read.
    pub async fn rest(&mut self) -> Result<Vec<Seen>, AwsError> {
        for shard in &mut self.shards {
            shard.at_end = false;
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
}

impl Shard {
    /// Reads on until there is a record to give, or the end.
    async fn fill(&mut self) -> Result<(), AwsError> {
        while self.buffer.is_empty() && !self.at_end {
            let (records, at_end) = self.reader.next_page().await?;
            self.at_end = at_end;
            self.buffer.extend(records.into_iter().map(|record| (time_of(&record.data), record)));
        }
        Ok(())
    }
}

/// The `time` of an event; zero, so that it comes first, for what is none.
fn time_of(data: &[u8]) -> Timestamp {
    #[derive(Deserialize)]
    struct Timed {
        time: String,
    }
    let timed: Option<Timed> = serde_json::from_slice(data).ok();
    timed.and_then(|timed| Timestamp::parse(&timed.time).ok()).unwrap_or_default()
}
