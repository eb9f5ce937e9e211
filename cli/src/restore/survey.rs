//! What stands in the restored table, and whether anybody works on it.

use std::time::Duration;

use replicante_aws::{AwsError, Table, Tombstone};
use replicante_model::summary::Summary;
use replicante_model::{Kind, RecordName, Timestamp};
use replicante_protocol::head::Head;

use crate::records::heads;

/// What the holder of a lease of our own is called first.
pub const HOLDER: &str = "restore-check/";
/// Whoever did something so recently may do something again.
const QUIET: Duration = Duration::from_secs(10 * 60);
/// How far the clocks of workers may be ahead of that of the backup.
const CLOCKS: Duration = Duration::from_secs(60);

/// Heads and tombstones.
#[derive(Clone, Debug, Default)]
pub struct Survey {
    /// The heads of both kinds, by name.
    pub heads: Vec<Head>,
    /// The tombstones, by name.
    pub tombstones: Vec<Tombstone>,
}

impl Survey {
    /// Reads them all.
    ///
    /// # Errors
    /// When the table can't be read.
    pub async fn of(table: &Table) -> Result<Self, AwsError> {
        let mut survey = Survey::default();
        for kind in [Kind::Discovery, Kind::Cluster] {
            survey.heads.extend(heads(table, kind).await?);
            survey.tombstones.extend(table.tombstones(kind).await?);
        }
        survey.heads.sort_by(|a, b| a.record.cmp(&b.record));
        Ok(survey)
    }

    /// The highest epoch of any record.
    pub fn highest(&self) -> u64 {
        let heads = self.heads.iter().map(|head| head.epoch);
        heads.chain(self.tombstones.iter().map(|tombstone| tombstone.epoch)).max().unwrap_or(0)
    }

    /// The records whose epoch is below this one.
    pub fn below(&self, epoch: u64) -> Vec<&RecordName> {
        let heads = self.heads.iter().map(|head| (head.epoch, &head.record));
        let gone = self.tombstones.iter().map(|tombstone| (tombstone.epoch, &tombstone.record));
        heads.chain(gone).filter(|(known, _)| *known < epoch).map(|(_, record)| record).collect()
    }

    /// When each head was last worked on: queued, or refreshed.
    pub fn worked(&self) -> impl Iterator<Item = (Timestamp, &RecordName)> {
        let worked = |head: &Head| head.queued_at.max(Summary::parse(head.summary.as_deref()).at);
        self.heads
            .iter()
            .map(move |head| (worked(head), &head.record))
            .filter(|(at, _)| *at > Timestamp::ZERO)
    }

    /// What was last worked on after the point in time that the table was restored to: by a function that does not know
    /// that it was.
    pub fn worked_since(&self, restored_to: Timestamp) -> Option<(Timestamp, &RecordName)> {
        self.worked().max().filter(|(at, _)| *at > restored_to.plus(CLOCKS))
    }

    /// Why nothing may be raised now: somebody is at work, as far as that can be seen.
    pub fn is_worked_on(&self, restored_to: Timestamp, now: Timestamp) -> Option<String> {
        let stop = "stop the schedules and the event sources, and wait until the last invocation has ended";
        let held = |head: &&Head| head.is_held(now) && !head.holder.starts_with(HOLDER);
        if let Some(head) = self.heads.iter().find(held) {
            let until = head.lease_until;
            return Some(format!("a worker holds {} until {until}: {stop}", head.record));
        }
        let (at, record) = self.worked_since(restored_to)?;
        let quiet = at.plus(QUIET);
        (now < quiet).then(|| {
            format!(
                "the functions work on this table: {record} was last worked on at {at}, and the table was restored to \
                 {restored_to}. First {stop}; from {quiet} on it can be told that they have"
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_767_319_445_000);
    const MINUTE: Duration = Duration::from_secs(60);

    fn survey(change: impl FnOnce(&mut Head)) -> Survey {
        let created = NOW.minus(600 * MINUTE);
        let mut head = Head::new(RecordName::cluster("default", "orders"), MINUTE, true, created);
        change(&mut head);
        Survey { heads: vec![head], tombstones: Vec::new() }
    }

    #[test]
    fn a_lease_that_is_alive_says_that_somebody_is_at_work_unless_it_is_our_own() {
        let held = |holder: &str, until: Timestamp| {
            let holder = holder.to_owned();
            survey(|head| (head.holder, head.lease_until) = (holder, until)).is_worked_on(NOW, NOW)
        };
        let told = held("c0ffee", NOW.plus(MINUTE)).unwrap();
        insta::assert_snapshot!(told, @"a worker holds cluster/default/orders until 2026-01-02T02:05:05.000Z: stop the schedules and the event sources, and wait until the last invocation has ended");
        assert_eq!(
            held("restore-check/1", NOW.plus(MINUTE)),
            None,
            "of one that ended half way: it is waited for"
        );
        assert_eq!(held("c0ffee", NOW), None, "it has ended");
    }

    #[test]
    fn what_was_done_after_the_backup_and_a_moment_ago_says_so_too() {
        let queued = |at: Timestamp, restored_to: Timestamp| {
            survey(|head| head.queued_at = at).is_worked_on(restored_to, NOW)
        };
        let told = queued(NOW.minus(MINUTE), NOW.minus(60 * MINUTE)).unwrap();
        insta::assert_snapshot!(told, @"the functions work on this table: cluster/default/orders was last worked on at 2026-01-02T02:03:05.000Z, and the table was restored to 2026-01-02T01:04:05.000Z. First stop the schedules and the event sources, and wait until the last invocation has ended; from 2026-01-02T02:13:05.000Z on it can be told that they have");
        assert_eq!(queued(NOW.minus(MINUTE), NOW.minus(MINUTE)), None, "before the backup");
        assert_eq!(queued(NOW.minus(11 * MINUTE), NOW.minus(60 * MINUTE)), None, "and nothing since");
        let summary = format!(r#"{{"at":{},"outcome":"ok","ms":1}}"#, NOW.minus(MINUTE).0);
        let refreshed = survey(|head| head.summary = Some(summary));
        assert!(refreshed.is_worked_on(NOW.minus(60 * MINUTE), NOW).is_some());
    }

    #[test]
    fn what_is_below_an_epoch_is_named() {
        let mut survey = survey(|head| head.epoch = 7);
        let record = RecordName::cluster("default", "gone");
        survey.tombstones.push(Tombstone {
            record: record.clone(),
            fence: 1,
            epoch: 9,
            sequence: 7,
            told: 0,
        });
        assert_eq!(survey.highest(), 9);
        assert_eq!(survey.below(8), [&RecordName::cluster("default", "orders")]);
        assert_eq!(survey.below(10).len(), 2);
        assert!(survey.below(7).is_empty());
    }
}
