//! The stream: publishing in order.

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_kinesis::types::{PutRecordsRequestEntry, PutRecordsResultEntry};
use tokio::time::{Instant, sleep_until, timeout_at};

use crate::clients::Clients;
use crate::error::AwsError;
use crate::meter::{Cost, Meter};

/// The most records of one PutRecords.
const MAX_RECORDS: usize = 500;
/// The most bytes of one PutRecords, keys included: AWS takes 5 MiB.
const MAX_BYTES: usize = 5 * 1024 * 1024;
/// Waits between attempts double from the first to the last.
const FIRST_WAIT: Duration = Duration::from_millis(100);
const LAST_WAIT: Duration = Duration::from_secs(2);

/// The Kinesis stream. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Stream {
    pub(crate) client: Client,
    pub(crate) name: Arc<str>,
    meter: Arc<Meter>,
}

impl Stream {
    /// The stream of this name.
    pub fn new(clients: &Clients, name: &str) -> Self {
        Stream { client: clients.kinesis.clone(), name: name.into(), meter: Arc::default() }
    }

    /// The same stream with a meter of its own, at zero.
    #[must_use]
    pub fn metered(&self) -> Self {
        Stream { meter: Arc::default(), ..self.clone() }
    }

    /// What the calls through this meter have cost.
    pub fn cost(&self) -> Cost {
        self.meter.cost()
    }

    /// Publishes events in order under one key, again and again until all are accepted or `deadline` is
    /// past. Returns how many were accepted, from the first on, and why it ended when that is not all.
    ///
    /// PutRecords promises no order within a call. An event is accepted when it has no error and stands above
    /// the one before it in the same shard; from the first that is not, it and all that follow are sent again.
    pub async fn publish(
        &self,
        key: &str,
        events: &[Vec<u8>],
        deadline: Instant,
    ) -> (usize, Option<AwsError>) {
        let mut done = 0;
        let mut wait = FIRST_WAIT;
        while done < events.len() {
            let batch = fit(key, &events[done..]);
            let (accepted, problem) =
                match timeout_at(deadline, self.put(key, &events[done..done + batch])).await {
                    Err(_) => return (done, Some(self.late())),
                    Ok(Ok(results)) => {
                        let accepted = accepted(&results);
                        (accepted, (accepted < batch).then(|| self.refused(&results[accepted])))
                    }
                    Ok(Err(error)) => (0, Some(error)),
                };
            done += accepted;
            let Some(problem) = problem else {
                wait = FIRST_WAIT;
                continue;
            };
            let again = Instant::now() + wait;
            if again >= deadline {
                return (done, Some(problem));
            }
            sleep_until(again).await;
            wait = (wait * 2).min(LAST_WAIT);
        }
        (done, None)
    }

    async fn put(&self, key: &str, events: &[Vec<u8>]) -> Result<Vec<PutRecordsResultEntry>, AwsError> {
        let mut request = self.client.put_records().stream_name(&*self.name);
        for event in events {
            let entry = PutRecordsRequestEntry::builder()
                .partition_key(key)
                .data(Blob::new(event.as_slice()))
                .build();
            let entry = entry.map_err(|error| AwsError::stored(format!("an event of {key}"), error))?;
            request = request.records(entry);
        }
        let answer = request.send().await;
        self.meter.published(events.len());
        let answer = answer.map_err(|error| {
            AwsError::call(
                format!("publishing {} events of {key} to stream {}", events.len(), self.name),
                &error,
            )
        })?;
        if answer.records().len() != events.len() {
            let problem = format!("{} results for {} records", answer.records().len(), events.len());
            return Err(AwsError::stored(format!("the answer of stream {}", self.name), problem));
        }
        Ok(answer.records)
    }

    fn refused(&self, result: &PutRecordsResultEntry) -> AwsError {
        let code = result.error_code().unwrap_or("stored out of order");
        let message = result.error_message().unwrap_or("it is sent again");
        AwsError::Call {
            action: format!("publishing to stream {}", self.name),
            reason: format!("{code}: {message}"),
            passing: true,
        }
    }

    fn late(&self) -> AwsError {
        AwsError::Call {
            action: format!("publishing to stream {}", self.name),
            reason: "no answer before the deadline".into(),
            passing: true,
        }
    }
}

/// How many of the events fit one PutRecords; at least one.
fn fit(key: &str, events: &[Vec<u8>]) -> usize {
    let mut bytes = 0;
    let fitting = events.iter().take(MAX_RECORDS).take_while(|event| {
        bytes += event.len() + key.len();
        bytes <= MAX_BYTES
    });
    fitting.count().max(1)
}

/// How many results, from the first on, are accepted.
fn accepted(results: &[PutRecordsResultEntry]) -> usize {
    let mut last: Option<(&str, &str)> = None;
    for (index, result) in results.iter().enumerate() {
        let (None, Some(shard), Some(sequence)) =
            (result.error_code(), result.shard_id(), result.sequence_number())
        else {
            return index;
        };
        if last.is_some_and(|(before, number)| before != shard || !is_above(sequence, number)) {
            return index;
        }
        last = Some((shard, sequence));
    }
    results.len()
}

/// Compares sequence numbers: whole numbers of up to 56 digits, too long for any integer type.
fn is_above(number: &str, other: &str) -> bool {
    let (number, other) = (number.trim_start_matches('0'), other.trim_start_matches('0'));
    (number.len(), number) > (other.len(), other)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored(shard: &str, sequence: &str) -> PutRecordsResultEntry {
        PutRecordsResultEntry::builder().shard_id(shard).sequence_number(sequence).build()
    }

    fn throttled() -> PutRecordsResultEntry {
        PutRecordsResultEntry::builder().error_code("ProvisionedThroughputExceededException").build()
    }

    #[test]
    fn only_what_stands_in_order_in_one_shard_is_accepted() {
        assert_eq!(accepted(&[stored("a", "1"), stored("a", "2"), stored("a", "10")]), 3);
        assert_eq!(accepted(&[stored("a", "1"), throttled(), stored("a", "2")]), 1);
        assert_eq!(
            accepted(&[stored("a", "9"), stored("a", "10"), stored("a", "8")]),
            2,
            "stored out of order"
        );
        assert_eq!(accepted(&[stored("a", "1"), stored("b", "2")]), 1, "moved to another shard");
        assert_eq!(accepted(&[stored("a", "5"), stored("a", "5")]), 1);
        assert_eq!(accepted(&[]), 0);
    }

    #[test]
    fn sequence_numbers_compare_as_numbers() {
        let long = "49590338271490256608559692538361571095921575989136588898";
        let next = "49590338271490256608559692538361571095921575989136588899";
        assert!(is_above(next, long) && !is_above(long, next) && !is_above(long, long));
        assert!(is_above("10", "9") && is_above("0010", "9") && !is_above("009", "10"));
    }

    #[test]
    fn a_call_takes_at_most_500_events_and_5_mib() {
        assert_eq!(fit("k", &vec![vec![0; 10]; 501]), 500);
        assert_eq!(fit("k", &vec![vec![0; 1024 * 1024 - 1]; 6]), 5);
        assert_eq!(fit("k", &[vec![0; 6 * 1024 * 1024]]), 1);
    }
}
