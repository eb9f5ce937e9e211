//! Reading the stream: its shards, page by page.

use std::ops::RangeInclusive;
use std::time::Duration;

use aws_sdk_kinesis::operation::get_records::GetRecordsError;
use aws_sdk_kinesis::operation::get_shard_iterator::GetShardIteratorError;
use aws_sdk_kinesis::primitives::DateTime;
use aws_sdk_kinesis::types::{Shard, ShardIteratorType};
use md5::{Digest, Md5};
use replicante_model::Timestamp;
use tokio::time::sleep;

use crate::describe::Date;
use crate::error::AwsError;
use crate::stream::Stream;

/// The most records of one GetRecords.
const PAGE: u16 = 10_000;
/// AWS gives all readers of a shard together five pages and 2 MiB a second: whoever is refused waits for the next one.
const REFUSED: Duration = Duration::from_secs(1);

/// A record as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its partition key.
    pub key: String,
    /// Its data.
    pub data: Vec<u8>,
}

/// Where to start reading a shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// At the oldest record.
    Oldest,
    /// At what arrives from now on.
    Latest,
    /// At what arrived at this time or later.
    Time(Timestamp),
}

/// A page of a shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// Its records, in the shard's order.
    pub records: Vec<Record>,
    /// Whether there was nothing behind it when it was read.
    pub at_end: bool,
    /// Whether there never will be: the shard was split or merged, and its children go on.
    pub closed: bool,
    /// When its last record arrived, by the clock of the stream. A shard that is written to all the time need not ever
    /// have an empty page.
    pub arrived: Option<Timestamp>,
}

/// The shards of a stream.
#[derive(Clone, Debug)]
pub struct Shards {
    /// Readers of them, parents before their children.
    pub readers: Vec<ShardReader>,
    /// How far the stream's clock is ahead of this one, in milliseconds and to about a second; 0 where it does not tell.
    pub ahead: i64,
}

impl Stream {
    /// Readers of all shards, closed ones too, parents before their children; with a partition key only of those that
    /// its records are or were in.
    ///
    /// # Errors
    /// When the shards can't be listed.
    pub async fn shards(&self, start: Start, key: Option<&str>) -> Result<Vec<ShardReader>, AwsError> {
        Ok(self.listed(start, key).await?.readers)
    }

    /// The same, and what time it is there.
    ///
    /// # Errors
    /// When the shards can't be listed.
    pub async fn listed(&self, start: Start, key: Option<&str>) -> Result<Shards, AwsError> {
        let hash = key.map(hash);
        let mut readers = Vec::new();
        let mut token: Option<String> = None;
        let date = Date::default();
        loop {
            let request = self.client.list_shards();
            // A continuation names the stream by its token.
            let request = match token.take() {
                None => request.stream_name(&*self.name),
                Some(token) => request.next_token(token),
            };
            let page = request.customize().interceptor(date.clone()).send().await.map_err(|error| {
                AwsError::call(format!("listing the shards of stream {}", self.name), &error)
            })?;
            let holds =
                |shard: &&Shard| hash.is_none_or(|hash| hashes(shard).is_none_or(|all| all.contains(&hash)));
            readers.extend(page.shards().iter().filter(holds).map(|shard| ShardReader {
                stream: self.clone(),
                shard: shard.shard_id().to_owned(),
                parents: parents(shard),
                start,
                last: None,
                iterator: None,
                closed: false,
                limit: PAGE,
            }));
            token = page.next_token;
            if token.is_none() {
                return Ok(Shards { readers, ahead: date.ahead().unwrap_or(0) });
            }
        }
    }
}

/// Those that a shard came from: one by a split, two by a merge.
fn parents(shard: &Shard) -> Vec<String> {
    [shard.parent_shard_id(), shard.adjacent_parent_shard_id()]
        .into_iter()
        .flatten()
        .map(str::to_owned)
        .collect()
}

/// Where a partition key stands among the hash keys: its MD5, as a number.
fn hash(key: &str) -> u128 {
    u128::from_be_bytes(Md5::digest(key).into())
}

/// The hash keys of a shard. `None` where it does not say: then it may hold any.
fn hashes(shard: &Shard) -> Option<RangeInclusive<u128>> {
    let range = shard.hash_key_range()?;
    Some(range.starting_hash_key().parse().ok()?..=range.ending_hash_key().parse().ok()?)
}

/// Reads one shard, page by page.
#[derive(Clone, Debug)]
pub struct ShardReader {
    stream: Stream,
    shard: String,
    parents: Vec<String>,
    start: Start,
    /// The sequence number of the last record that was read.
    last: Option<String>,
    iterator: Option<String>,
    closed: bool,
    limit: u16,
}

impl ShardReader {
    /// The shard's id.
    pub fn id(&self) -> &str {
        &self.shard
    }

    /// The ids of those that it came from, by a split or a merge. What they hold of a key was written before what this one
    /// holds of it.
    pub fn parents(&self) -> &[String] {
        &self.parents
    }

    /// Takes at most so many records at once: 1 to 10,000, which it is unless said.
    #[must_use]
    pub fn limited(self, records: u16) -> Self {
        ShardReader { limit: records.clamp(1, PAGE), ..self }
    }

    /// The next page: empty when there is nothing new.
    ///
    /// An iterator that has expired is renewed behind the last record that was read. A read that is refused because
    /// there are too many is an empty page, some time later.
    ///
    /// # Errors
    /// When the shard can't be read.
    pub async fn next_page(&mut self) -> Result<Page, AwsError> {
        let nothing = |closed| Page { records: Vec::new(), at_end: closed, closed, arrived: None };
        if self.closed {
            return Ok(nothing(true));
        }
        let iterator = match self.iterator.take() {
            Some(iterator) => iterator,
            None => match self.new_iterator().await? {
                Some(iterator) => iterator,
                None => return Ok(nothing(false)),
            },
        };
        let page = match self
            .stream
            .client
            .get_records()
            .shard_iterator(&iterator)
            .limit(self.limit.into())
            .send()
            .await
        {
            Ok(page) => page,
            Err(error) => match error.as_service_error() {
                Some(GetRecordsError::ExpiredIteratorException(_)) => return Ok(nothing(false)),
                Some(GetRecordsError::ProvisionedThroughputExceededException(_)) => {
                    self.iterator = Some(iterator);
                    sleep(REFUSED).await;
                    return Ok(nothing(false));
                }
                _ => return Err(AwsError::call(self.action("reading"), &error)),
            },
        };
        self.iterator = page.next_shard_iterator;
        self.closed = self.iterator.is_none();
        let mut arrived = None;
        if let Some(record) = page.records.last() {
            self.last = Some(record.sequence_number.clone());
            let time = record.approximate_arrival_timestamp().and_then(|time| time.to_millis().ok());
            arrived = time.map(Timestamp);
        }
        // Some implementations say 0 with a backlog: only an empty page says that there is no more.
        let at_end = self.closed || (page.records.is_empty() && page.millis_behind_latest.unwrap_or(0) == 0);
        let records = page
            .records
            .into_iter()
            .map(|record| Record {
                key: record.partition_key.unwrap_or_default(),
                data: record.data.into_inner(),
            })
            .collect();
        Ok(Page { records, at_end, closed: self.closed, arrived })
    }

    /// An iterator behind what was read. `None` when there are too many readers just now.
    async fn new_iterator(&self) -> Result<Option<String>, AwsError> {
        let request =
            self.stream.client.get_shard_iterator().stream_name(&*self.stream.name).shard_id(&self.shard);
        let request = match (&self.last, self.start) {
            (Some(last), _) => request
                .shard_iterator_type(ShardIteratorType::AfterSequenceNumber)
                .starting_sequence_number(last),
            (None, Start::Oldest) => request.shard_iterator_type(ShardIteratorType::TrimHorizon),
            (None, Start::Latest) => request.shard_iterator_type(ShardIteratorType::Latest),
            (None, Start::Time(time)) => request
                .shard_iterator_type(ShardIteratorType::AtTimestamp)
                .timestamp(DateTime::from_millis(time.0)),
        };
        let answer = match request.send().await {
            Ok(answer) => answer,
            Err(error) => match error.as_service_error() {
                Some(GetShardIteratorError::ProvisionedThroughputExceededException(_)) => {
                    sleep(REFUSED).await;
                    return Ok(None);
                }
                _ => return Err(AwsError::call(self.action("opening"), &error)),
            },
        };
        let missing = || AwsError::stored(self.action("opening"), "the answer has no iterator");
        answer.shard_iterator.map(Some).ok_or_else(missing)
    }

    fn action(&self, verb: &str) -> String {
        format!("{verb} {} of stream {}", self.shard, self.stream.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_sdk_kinesis::types::HashKeyRange;

    #[test]
    fn a_key_is_in_the_shard_that_holds_its_md5() {
        // MD5 of "abc" in RFC 1321, A.5.
        assert_eq!(hash("abc"), 0x9001_5098_3cd2_4fb0_d696_3f7d_28e1_7f72);
        let range = |from: u128, to: u128| {
            let range = HashKeyRange::builder()
                .starting_hash_key(from.to_string())
                .ending_hash_key(to.to_string())
                .build()
                .unwrap();
            hashes(&Shard::builder().shard_id("s").hash_key_range(range).build().unwrap()).unwrap()
        };
        let half = u128::MAX / 2;
        assert!(!range(0, half).contains(&hash("abc")) && range(half + 1, u128::MAX).contains(&hash("abc")));
    }
}
