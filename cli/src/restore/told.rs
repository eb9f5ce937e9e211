//! What the stream tells since the backup, record by record.

use std::collections::BTreeMap;
use std::time::Duration;

use replicante_aws::{AwsError, Page, Start, Stream};
use replicante_model::change::TYPE_PREFIX;
use replicante_model::{RecordName, Timestamp};
use serde::Deserialize;

/// How much earlier than the backup reading starts: events arrive after they were committed, by clocks that disagree.
pub const EARLIER: Duration = Duration::from_secs(15 * 60);

/// The last event of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Last {
    /// Its epoch.
    pub epoch: u64,
    /// Its number.
    pub sequence: u64,
    /// When it was observed.
    pub time: Timestamp,
    /// Whether it is the record's removal: readers know nothing of the record any more.
    pub removed: bool,
}

/// What the stream tells.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// The last event of each record that was read.
    pub records: BTreeMap<RecordName, Last>,
    /// Events that were read.
    pub events: u64,
    /// Records of the stream that are no events.
    pub unreadable: u64,
}

/// What is looked at of an event: those of later releases are read too.
#[derive(Deserialize)]
struct Header {
    id: String,
    #[serde(rename = "type")]
    change: String,
    epoch: String,
    sequence: String,
    time: String,
}

impl Told {
    /// Reads the stream from shortly before the backup, or as a whole.
    ///
    /// # Errors
    /// When a shard can't be read.
    pub async fn read(stream: &Stream, restored_to: Timestamp, whole: bool) -> Result<Self, AwsError> {
        let start = if whole { Start::Oldest } else { Start::Time(restored_to.minus(EARLIER)) };
        let mut told = Told::default();
        for mut shard in stream.shards(start, None).await? {
            loop {
                let Page { records, at_end, .. } = shard.next_page().await?;
                records.iter().for_each(|record| told.take(&record.data));
                if at_end {
                    break;
                }
            }
        }
        Ok(told)
    }

    /// Takes note of an event.
    pub fn take(&mut self, data: &[u8]) {
        let Some((record, last)) = read(data) else {
            self.unreadable += 1;
            return;
        };
        self.events += 1;
        let known = self.records.entry(record).or_insert(last);
        *known = (*known).max(last);
    }

    /// The highest epoch of any record; 0 where nothing was told.
    pub fn highest(&self) -> u64 {
        self.records.values().map(|last| last.epoch).max().unwrap_or(0)
    }

    /// Whether readers know something of the record, as far as it was told since the backup.
    pub fn knows(&self, record: &RecordName) -> bool {
        self.records.get(record).is_some_and(|last| !last.removed)
    }
}

fn read(data: &[u8]) -> Option<(RecordName, Last)> {
    let header: Header = serde_json::from_slice(data).ok()?;
    let key = header.id.rsplitn(3, '/').nth(2)?;
    let last = Last {
        epoch: header.epoch.parse().ok()?,
        sequence: header.sequence.parse().ok()?,
        time: Timestamp::parse(&header.time).unwrap_or_default(),
        removed: header.change.strip_prefix(TYPE_PREFIX) == Some("cluster.removed"),
    };
    Some((RecordName::parse_key(key).ok()?, last))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(record: &str, epoch: u64, sequence: u64, change: &str) -> Vec<u8> {
        format!(
            r#"{{"id":"{record}/{epoch}/{sequence}","type":"io.replicante.{change}","epoch":"{epoch}","sequence":"{sequence:020}","time":"2026-01-02T03:04:05.678Z","data":{{}}}}"#
        )
        .into_bytes()
    }

    #[test]
    fn the_last_event_of_a_record_is_the_one_with_the_highest_number_in_whatever_order_they_stand() {
        let mut told = Told::default();
        for (epoch, sequence, change) in
            [(7, 3, "agent.up"), (8, 1, "cluster.new"), (7, 4, "cluster.removed"), (7, 3, "agent.up")]
        {
            told.take(&event("cluster/default/a", epoch, sequence, change));
        }
        told.take(&event("cluster/default/b", 5, 10, "cluster.removed"));
        told.take(&event("cluster/default/b", 5, 9, "of_a_later_release"));
        told.take(b"none");
        let (a, b) = (RecordName::cluster("default", "a"), RecordName::cluster("default", "b"));
        assert_eq!((told.records[&a].epoch, told.records[&a].sequence), (8, 1));
        assert!(told.knows(&a) && !told.knows(&b) && !told.knows(&RecordName::cluster("default", "c")));
        assert_eq!((told.highest(), told.events, told.unreadable), (8, 6, 1));
    }
}
