//! The limits of a shard, which the embedded stream does not have.
//!
//! AWS takes 1,000 records and 1 MiB a second and shard, and refuses single records beyond that. Source: the developer
//! guide of Kinesis Data Streams, "Quotas and limits".

use std::collections::HashMap;

use tokio::time::Instant;

/// Records a second.
const RECORDS: f64 = 1_000.0;
/// Bytes a second, partition keys included.
const BYTES: f64 = 1_048_576.0;

/// Counts what each shard was given. A shard may save up one second.
#[derive(Debug, Default)]
pub(crate) struct Throttle {
    /// The shard of each partition key, learned from the answers of the stream: the first record of a key is free.
    shards: HashMap<String, String>,
    budgets: HashMap<String, Budget>,
}

#[derive(Debug)]
struct Budget {
    records: f64,
    bytes: f64,
    at: Instant,
}

impl Throttle {
    /// Whether a record of this size may be stored now. If so, it is counted.
    pub fn admit(&mut self, key: &str, size: usize, now: Instant) -> bool {
        let Some(shard) = self.shards.get(key) else { return true };
        let full = || Budget { records: RECORDS, bytes: BYTES, at: now };
        let budget = self.budgets.entry(shard.clone()).or_insert_with(full);
        let passed = now.saturating_duration_since(budget.at).as_secs_f64();
        budget.records = (budget.records + passed * RECORDS).min(RECORDS);
        budget.bytes = (budget.bytes + passed * BYTES).min(BYTES);
        budget.at = now;
        let size = size as f64;
        let fits = budget.records >= 1.0 && budget.bytes >= size;
        if fits {
            budget.records -= 1.0;
            budget.bytes -= size;
        }
        fits
    }

    /// Learns in which shard a key's records are.
    pub fn learn(&mut self, key: &str, shard: &str) {
        if !self.shards.contains_key(key) {
            self.shards.insert(key.to_owned(), shard.to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_shard_takes_a_thousand_records_and_a_mebibyte_a_second() {
        let mut throttle = Throttle::default();
        throttle.learn("a", "0");
        throttle.learn("b", "0");
        throttle.learn("c", "1");
        let now = Instant::now();
        let admitted =
            (0..1_500).filter(|n| throttle.admit(if n % 2 == 0 { "a" } else { "b" }, 1, now)).count();
        assert_eq!(admitted, 1_000, "both keys are of one shard");
        assert!(throttle.admit("c", 1, now), "another has its own");
        let later = now + Duration::from_millis(500);
        assert_eq!((0..1_000).filter(|_| throttle.admit("a", 1, later)).count(), 500);
        let full = now + Duration::from_secs(5);
        assert_eq!((0..10).filter(|_| throttle.admit("a", 300_000, full)).count(), 3, "bytes count too");
        assert!(throttle.admit("a", 10, full), "a smaller one still fits");
    }
}
