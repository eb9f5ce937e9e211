//! What a pass saw and did, and what is measured of it: pure.

use std::time::Duration;

use replicante_aws::Cost;
use replicante_metrics::{Measures, Metric};
use replicante_model::Timestamp;
use replicante_model::name::SPREAD_SHARDS;
use replicante_protocol::head::Head;
use replicante_protocol::schedule::{overdue, unattended};

/// What a pass did.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Pass {
    /// Heads that it read.
    pub records: u64,
    /// Enabled records that were due and not done.
    pub due: u64,
    /// How long the first of them had been due.
    pub oldest_due: Option<Duration>,
    /// Records that owe and that nobody holds.
    pub owed: u64,
    /// How long the longest of them had not been held.
    pub owed_age: Option<Duration>,
    /// Records that are paused.
    pub paused: u64,
    /// Records whose task it sent.
    pub queued: u64,
    /// Tasks that the queue refused: their records are where they were.
    pub refused: u64,
    /// Records that another scheduler moved on first.
    pub raced: u64,
    /// Records whose head can't be read: an operator has to look at them.
    pub unreadable: u64,
    /// Spread shards that were left to the next pass for want of time.
    pub left: u64,
    /// What it cost.
    pub cost: Cost,
    /// The first thing that failed, if any. The other shards were worked on all the same.
    pub error: Option<String>,
}

impl std::ops::AddAssign for Pass {
    fn add_assign(&mut self, other: Pass) {
        self.records += other.records;
        self.due += other.due;
        self.oldest_due = self.oldest_due.max(other.oldest_due);
        self.owed += other.owed;
        self.owed_age = self.owed_age.max(other.owed_age);
        self.paused += other.paused;
        self.queued += other.queued;
        self.refused += other.refused;
        self.raced += other.raced;
        self.unreadable += other.unreadable;
        self.left += other.left;
        self.cost += other.cost;
        if self.error.is_none() {
            self.error = other.error;
        }
    }
}

impl Pass {
    /// Takes down whether a record is behind.
    pub(crate) fn look(&mut self, head: &Head, paused_until: Timestamp, now: Timestamp) {
        let (overdue, unattended) = (overdue(head, paused_until, now), unattended(head, now));
        self.paused += u64::from(paused_until > now);
        self.due += u64::from(overdue.is_some());
        self.oldest_due = self.oldest_due.max(overdue);
        self.owed += u64::from(unattended.is_some());
        self.owed_age = self.owed_age.max(unattended);
    }

    /// What is measured of a pass that took so long.
    pub fn measures(&self, took: Duration) -> Measures {
        let mut measures = Measures::default();
        measures.count(Metric::Passes, 1.0);
        measures.count(Metric::Queued, self.queued as f64);
        // A pass that saw no head knows of none: a zero would say that all is well.
        if self.left < SPREAD_SHARDS {
            measures.count(Metric::Due, self.due as f64);
            measures.count(Metric::Owed, self.owed as f64);
            measures.count(Metric::Unreadable, self.unreadable as f64);
        }
        measures.count(Metric::ReadUnits, self.cost.read_units);
        measures.count(Metric::WriteUnits, self.cost.write_units);
        for (metric, age) in [(Metric::OldestDue, self.oldest_due), (Metric::OwedAge, self.owed_age)] {
            if let Some(age) = age {
                measures.time(metric, age);
            }
        }
        measures.time(Metric::PassDuration, took);
        measures
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use replicante_metrics::{Function, TABLE};
    use replicante_model::{Kind, RecordName};

    const NOW: Timestamp = Timestamp(1_767_319_445_000);
    const MINUTE: Duration = Duration::from_secs(60);

    /// A record that has been due for so long, and owes for as long.
    fn behind(age: Duration) -> Head {
        let since = NOW.minus(age);
        let mut head = Head::new(RecordName::cluster("default", "orders"), MINUTE, true, since);
        (head.owed, head.lease_until) = (true, since);
        head
    }

    #[test]
    fn the_record_that_is_furthest_behind_counts_wherever_it_is_seen() {
        let mut total = Pass::default();
        for ages in [&[2, 5][..], &[], &[3]] {
            let mut shard = Pass::default();
            ages.iter().for_each(|age| shard.look(&behind(*age * MINUTE), Timestamp::ZERO, NOW));
            total += shard;
        }
        assert_eq!((total.due, total.owed), (3, 3));
        assert_eq!((total.oldest_due, total.owed_age), (Some(5 * MINUTE), Some(5 * MINUTE)));
        let mut fine = Head::new(RecordName::cluster("default", "orders"), MINUTE, true, NOW.plus(MINUTE));
        fine.lease_until = NOW;
        let mut pass = Pass::default();
        pass.look(&fine, Timestamp::ZERO, NOW);
        assert_eq!(pass, Pass::default());
        // What is paused is not behind; what it owes is.
        pass.look(&behind(MINUTE), Timestamp(i64::MAX), NOW);
        assert_eq!((pass.paused, pass.due, pass.owed), (1, 0, 1));
    }

    #[test]
    fn all_metrics_of_a_scheduler_come_from_its_pass_and_none_of_others() {
        let cost = Cost { read_units: 32.0, write_units: 2.0, ..Cost::default() };
        let mut pass = Pass { queued: 1, unreadable: 4, cost, ..Pass::default() };
        pass.look(&behind(2 * MINUTE), Timestamp::ZERO, NOW);
        let measures = pass.measures(MINUTE);
        for kind in [Kind::Discovery, Kind::Cluster] {
            let function = Function::scheduler(kind);
            let line = measures.document("prod", function, NOW).unwrap();
            for definition in TABLE {
                let quoted = format!("\"{}\":", definition.name);
                assert_eq!(
                    line.contains(&quoted),
                    definition.functions.contains(&function),
                    "{quoted} {line}"
                );
            }
        }
        let blind = Pass { left: SPREAD_SHARDS, ..Pass::default() }.measures(MINUTE);
        for metric in [Metric::Due, Metric::Owed, Metric::Unreadable] {
            assert_eq!(blind.of(metric), [0.0; 0], "what was not looked at is not zero");
        }
        assert_eq!(measures.of(Metric::OldestDue), [120_000.0]);
        assert_eq!(measures.of(Metric::OwedAge), [120_000.0]);
        assert_eq!(measures.of(Metric::PassDuration), [60_000.0]);
        let counts = [Metric::Passes, Metric::Due, Metric::Queued, Metric::Owed, Metric::Unreadable]
            .map(|metric| measures.of(metric)[0]);
        assert_eq!(counts, [1.0, 1.0, 1.0, 1.0, 4.0]);
        assert_eq!(
            (measures.of(Metric::ReadUnits), measures.of(Metric::WriteUnits)),
            (&[32.0][..], &[2.0][..])
        );
    }
}
