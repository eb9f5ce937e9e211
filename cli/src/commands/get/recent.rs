//! The last events of a cluster, for its page.

use std::collections::VecDeque;
use std::time::Duration;

use replicante_aws::{AwsError, Start};
use replicante_model::change::Change;
use replicante_model::{RecordName, Timestamp};
use tokio::time::timeout;

use crate::commands::events::EARLIER;
use crate::history::History;
use crate::order::Seen;
use crate::place::Place;

/// How far back it is looked.
const BACK: Duration = Duration::from_secs(3600);
/// How long the stream may be read. On AWS all readers of a shard share its five reads a second.
const READ: Duration = Duration::from_secs(2);

/// The last so many events of a record, of the last hour, oldest first. `None` when the end of the stream was not reached in
/// time: what was read by then is not the last.
///
/// # Errors
/// When the stream can't be read.
pub async fn events(
    place: &Place,
    record: &RecordName,
    most: usize,
    now: Timestamp,
) -> Result<Option<Vec<Seen>>, AwsError> {
    let since = now.minus(BACK);
    // What was observed since then arrived since then, also where it was loaded from a file.
    let start = Start::Time(since.minus(EARLIER));
    let stream = place.stream();
    let read = async {
        let mut history = History::open_for(&stream, start, Some(record)).await?.joining();
        let mut last = VecDeque::new();
        loop {
            let mut some = history.next().await?;
            let end = some.is_empty();
            if end {
                some = history.order.settle();
            }
            let is_recent = |seen: &Seen| Timestamp::parse(&seen.event.time).is_ok_and(|time| time >= since);
            // A snapshot tells nothing new.
            let is_news = |seen: &Seen| !matches!(seen.event.change, Change::ClusterSnapshot(_));
            let is_meant = |seen: &Seen| seen.record == *record && is_recent(seen) && is_news(seen);
            last.extend(some.into_iter().filter(is_meant));
            last.drain(..last.len().saturating_sub(most));
            if end {
                return Ok(last.into());
            }
        }
    };
    timeout(READ, read).await.map_or(Ok(None), |read| read.map(Some))
}
