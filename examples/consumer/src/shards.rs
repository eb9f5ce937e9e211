//! The shards of the stream: a parent to its end, then its children.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::error::DisplayErrorContext;
use aws_sdk_kinesis::primitives::DateTime;
use aws_sdk_kinesis::types::ShardIteratorType;
use replicante_model::Timestamp;

use crate::Failure;

/// How far a shard was read.
#[derive(Clone, Debug, Default)]
pub struct Checkpoint {
    /// The Kinesis sequence number of the last record that was read.
    pub last: Option<String>,
    /// Whether it was split or merged, and is read to its end.
    pub ended: bool,
}

/// What one read of a shard gave.
#[derive(Debug, Default)]
pub struct Page {
    /// Partition key and data, in order.
    pub records: Vec<(String, Vec<u8>)>,
    /// How far the shard is read with it.
    pub checkpoint: Checkpoint,
}

/// The shards, and the place in each.
pub struct Shards {
    client: Client,
    stream: String,
    since: Option<Timestamp>,
    known: BTreeMap<String, Shard>,
}

#[derive(Default)]
struct Shard {
    parents: Vec<String>,
    checkpoint: Checkpoint,
    iterator: Option<String>,
}

impl Shards {
    /// Goes on from these checkpoints. A shard without one starts at its oldest record, or at a time.
    pub async fn open(
        client: Client,
        stream: &str,
        since: Option<Timestamp>,
        mut checkpoints: BTreeMap<String, Checkpoint>,
    ) -> Result<Self, Failure> {
        let mut shards = Shards { client, stream: stream.to_owned(), since, known: BTreeMap::new() };
        shards.list().await?;
        for (id, shard) in &mut shards.known {
            shard.checkpoint = checkpoints.remove(id).unwrap_or_default();
        }
        Ok(shards)
    }

    /// Learns of new shards. They come as children of one that ended, so there is no need to look at other times.
    async fn list(&mut self) -> Result<(), Failure> {
        let mut token: Option<String> = None;
        loop {
            let request = self.client.list_shards();
            let request = match token.take() {
                None => request.stream_name(&self.stream),
                Some(token) => request.next_token(token),
            };
            let page = request.send().await.map_err(|error| self.failed("listing the shards", &error))?;
            for shard in page.shards() {
                let parents = [shard.parent_shard_id(), shard.adjacent_parent_shard_id()];
                self.known.entry(shard.shard_id().to_owned()).or_default().parents =
                    parents.into_iter().flatten().map(str::to_owned).collect();
            }
            token = page.next_token;
            if token.is_none() {
                return Ok(());
            }
        }
    }

    /// The shards that may be read now. The events of a record move from a parent to a child, so a child waits until
    /// its parents are read to their ends. A parent that is no longer listed is trimmed.
    pub fn ready(&self) -> Vec<String> {
        let open: BTreeSet<&str> = self
            .known
            .iter()
            .filter(|(_, shard)| !shard.checkpoint.ended)
            .map(|(id, _)| id.as_str())
            .collect();
        let waits = |id: &&str| self.known[*id].parents.iter().any(|parent| open.contains(parent.as_str()));
        open.iter().filter(|id| !waits(id)).map(|id| (*id).to_owned()).collect()
    }

    /// The next records of a shard.
    pub async fn next_page(&mut self, id: &str, most: i32) -> Result<Page, Failure> {
        let iterator = match self.known.get_mut(id).and_then(|shard| shard.iterator.take()) {
            Some(iterator) => iterator,
            None => self.iterator(id).await?,
        };
        let checkpoint = self.known.get(id).map(|shard| shard.checkpoint.clone()).unwrap_or_default();
        let read = match self.client.get_records().shard_iterator(iterator).limit(most).send().await {
            Ok(read) => read,
            // It lives for five minutes. The next one begins behind the last record.
            Err(error) if error.as_service_error().is_some_and(|it| it.is_expired_iterator_exception()) => {
                return Ok(Page { records: Vec::new(), checkpoint });
            }
            Err(error) => return Err(self.failed(&format!("reading {id}"), &error)),
        };
        let last = read.records().last().map(|record| record.sequence_number().to_owned());
        let records = read
            .records()
            .iter()
            .map(|record| {
                (record.partition_key().unwrap_or_default().to_owned(), record.data().as_ref().to_vec())
            })
            .collect();
        let ended = read.next_shard_iterator.is_none();
        let checkpoint = Checkpoint { last: last.or(checkpoint.last), ended };
        if let Some(shard) = self.known.get_mut(id) {
            shard.checkpoint = checkpoint.clone();
            shard.iterator = read.next_shard_iterator;
        }
        if ended {
            self.list().await?;
        }
        Ok(Page { records, checkpoint })
    }

    async fn iterator(&self, id: &str) -> Result<String, Failure> {
        let request = self.client.get_shard_iterator().stream_name(&self.stream).shard_id(id);
        let last = self.known.get(id).and_then(|shard| shard.checkpoint.last.as_deref());
        let request = match (last, self.since) {
            (Some(last), _) => request
                .shard_iterator_type(ShardIteratorType::AfterSequenceNumber)
                .starting_sequence_number(last),
            (None, Some(since)) => request
                .shard_iterator_type(ShardIteratorType::AtTimestamp)
                .timestamp(DateTime::from_millis(since.0)),
            (None, None) => request.shard_iterator_type(ShardIteratorType::TrimHorizon),
        };
        let answer = request.send().await.map_err(|error| self.failed(&format!("opening {id}"), &error))?;
        answer.shard_iterator.ok_or_else(|| format!("{id} of {} has no iterator", self.stream).into())
    }

    fn failed(&self, action: &str, error: &(impl std::error::Error + 'static)) -> Failure {
        format!("{action} of the stream {}: {}", self.stream, DisplayErrorContext(error)).into()
    }
}
