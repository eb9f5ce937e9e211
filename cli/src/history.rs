//! The history: all shards of the stream as one sequence of events, each once and in its record's order.
//!
//! The shards are read at the same time, each a page ahead of what is taken. Where one ends because it was split or
//! merged, its children are read on, and not before all of it was read.
//!
//! Reading goes in passes. A pass ends when each shard gave all that had arrived when the pass began: told by an empty
//! page, or by a record that arrived later. A shard that is written to all the time has no empty page.

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
/// The stream's clock is known to about a second.
const CLOCKS: Duration = Duration::from_secs(1);

/// Reads the stream.
#[derive(Debug)]
pub struct History {
    stream: Stream,
    /// Only the shards of this partition key.
    key: Option<String>,
    shards: Vec<Shard>,
    known: BTreeSet<String>,
    /// Shards of which a child is known: it is all of them, since those of a shard are made at once.
    parents: BTreeSet<String>,
    looked: Instant,
    /// How far the stream's clock is ahead of this one, in milliseconds.
    ahead: i64,
    /// What arrived by then belongs to this pass, by the stream's clock.
    until: Timestamp,
    /// Copies, gaps and what else was odd.
    pub order: Order,
    pause: Duration,
}

#[derive(Debug)]
struct Shard {
    id: String,
    state: Reading,
    /// Records that were read and not yet given.
    buffer: VecDeque<(Timestamp, Arrived)>,
    /// Whether it gave all of this pass.
    at_end: bool,
    closed: bool,
    /// Whether it has children: nothing is written to it any more.
    has_ended: bool,
    /// Whether all that it ever held was read. One that has ended need not say that it is closed: its reading goes on,
    /// and its children need not wait.
    is_read: bool,
    /// The parents that were not read to their end yet.
    waits_for: Vec<String>,
}

/// A reader, or one that is at work on its next page.
#[derive(Debug)]
enum Reading {
    Idle(ShardReader),
    /// And whether the shard had ended when it began.
    Busy(JoinHandle<(ShardReader, Result<Read, AwsError>)>, bool),
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
        progress::count("records of the stream");
        let mut history = History {
            stream: stream.clone(),
            key: record.map(RecordName::key),
            shards: Vec::new(),
            known: BTreeSet::new(),
            parents: BTreeSet::new(),
            looked: Instant::now(),
            ahead: 0,
            until: Timestamp::ZERO,
            order: Order::default(),
            pause: PAUSE,
        };
        history.look_for_shards(start).await?;
        history.until = history.now_there().plus(CLOCKS);
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

    /// The next events, oldest first as far as the shards allow; empty at the end of the pass: of what was stored when it
    /// began. When a call failed, the next goes on where that one was.
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
    /// end of the pass.
    ///
    /// # Errors
    /// When a shard can't be read.
    pub async fn arrived(&mut self) -> Result<Option<Arrived>, AwsError> {
        loop {
            let spent = |shard: &Shard| shard.closed && shard.buffer.is_empty();
            if self.shards.iter().any(|shard| spent(shard) && !self.parents.contains(&shard.id)) {
                self.look_for_shards(Start::Oldest).await?;
            }
            self.shards.retain(|shard| !spent(shard));
            if !self.shards.iter().any(Shard::is_hungry) {
                break;
            }
            let until = self.until;
            try_join_all(self.shards.iter_mut().map(|shard| shard.fill(until))).await?;
            self.let_children_go();
        }
        // Of equal times the first shard: parents stand before their children.
        let oldest = self
            .shards
            .iter_mut()
            .filter(|shard| !shard.buffer.is_empty())
            .min_by_key(|shard| shard.buffer.front().map(|(time, _)| *time));
        Ok(oldest.and_then(|shard| shard.buffer.pop_front()).map(|(_, arrived)| arrived))
    }

    /// Begins another pass: [`History::next`] gives all that arrived until now.
    ///
    /// # Errors
    /// When the shards can't be listed.
    pub async fn again(&mut self) -> Result<(), AwsError> {
        self.pass(self.now_there().plus(CLOCKS)).await
    }

    /// The same for who goes on and on: the last second may be left to the pass after it, so that a shard that is written
    /// to all the time is read once a pass.
    ///
    /// # Errors
    /// When the shards can't be listed.
    pub async fn go_on(&mut self) -> Result<(), AwsError> {
        self.pass(self.now_there().minus(CLOCKS)).await
    }

    async fn pass(&mut self, until: Timestamp) -> Result<(), AwsError> {
        if self.looked.elapsed() >= LOOK_FOR_SHARDS {
            self.look_for_shards(Start::Oldest).await?;
        }
        self.until = until;
        for shard in &mut self.shards {
            shard.at_end = shard.closed;
        }
        Ok(())
    }

    /// What time it is by the stream's clock, about.
    fn now_there(&self) -> Timestamp {
        Timestamp(Timestamp::now().0.saturating_add(self.ahead))
    }

    /// All events of another pass.
    ///
    /// # Errors
    /// When a shard can't be read.
    pub async fn rest(&mut self) -> Result<Vec<Seen>, AwsError> {
        self.again().await?;
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

    /// Begins to read the shards that are not known yet. Those that they came from have ended.
    async fn look_for_shards(&mut self, start: Start) -> Result<(), AwsError> {
        let mut listed = self.stream.listed(start, self.key.as_deref()).await?;
        (self.looked, self.ahead) = (Instant::now(), listed.ahead);
        let limit = u16::try_from(HELD / 2 / listed.readers.len().max(1)).unwrap_or(u16::MAX).max(100);
        listed.readers.retain(|reader| self.known.insert(reader.id().to_owned()));
        for reader in listed.readers {
            self.parents.extend(reader.parents().iter().cloned());
            self.shards.push(Shard {
                id: reader.id().to_owned(),
                waits_for: reader.parents().to_vec(),
                has_ended: false,
                state: Reading::Idle(reader.limited(limit)),
                buffer: VecDeque::new(),
                at_end: false,
                closed: false,
                is_read: false,
            });
        }
        for shard in &mut self.shards {
            shard.has_ended = self.parents.contains(&shard.id);
        }
        self.let_children_go();
        Ok(())
    }

    /// Children go on where their parents ended: before that they would give what comes later.
    fn let_children_go(&mut self) {
        let unread: BTreeSet<String> =
            self.shards.iter().filter(|shard| !shard.is_read).map(|shard| shard.id.clone()).collect();
        for shard in &mut self.shards {
            // One that is not listed is older than the retention, or holds another key.
            shard.waits_for.retain(|parent| unread.contains(parent));
        }
    }
}

impl Shard {
    fn is_hungry(&self) -> bool {
        self.buffer.is_empty() && !self.at_end && self.waits_for.is_empty()
    }

    /// Reads on until there is a record to give, or the end of the pass. Nothing is lost when it is dropped on the way.
    async fn fill(&mut self, until: Timestamp) -> Result<(), AwsError> {
        while self.is_hungry() {
            self.read_ahead();
            let Reading::Busy(reading, had_ended) = &mut self.state else { continue };
            let had_ended = *had_ended;
            let (reader, read) = reading.await.map_err(|error| AwsError::Call {
                action: "reading the stream".into(),
                reason: error.to_string(),
                passing: false,
            })?;
            self.state = Reading::Idle(reader);
            let (page, records) = read?;
            progress::step(records.len());
            self.is_read |= page.closed || (had_ended && page.at_end);
            self.at_end = page.at_end || page.arrived.is_some_and(|arrived| arrived >= until);
            (self.closed, self.buffer) = (page.closed, records);
            if !self.at_end {
                self.read_ahead();
            }
        }
        Ok(())
    }

    /// Begins to read the next page, unless it is read already.
    fn read_ahead(&mut self) {
        if let Reading::Idle(reader) = &self.state {
            self.state = Reading::Busy(tokio::spawn(page(reader.clone())), self.has_ended);
        }
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
