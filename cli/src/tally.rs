//! What the functions' task reports add up to.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use replicante_aws::Cost;
use replicante_model::{Kind, RecordName, Timestamp};
use replicante_protocol::machine::Outcome;
use replicante_worker::{Observer, TaskReport};
use serde::Serialize;

/// Latenesses that are kept: `up` runs for months.
const LATE: usize = 10_000;

/// What a number of tasks came to.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Refreshes, by how they ended.
    pub refreshes: BTreeMap<&'static str, u64>,
    /// Discovery runs, by how they ended.
    pub discoveries: BTreeMap<&'static str, u64>,
    /// How late the last scheduled refreshes began, in milliseconds.
    late: VecDeque<u32>,
    unchanged: Spent,
    changed: Spent,
    /// When each cluster was refreshed last.
    pub last: BTreeMap<RecordName, Timestamp>,
}

/// What refreshes of one kind cost together.
#[derive(Clone, Copy, Debug, Default)]
struct Spent {
    tasks: u64,
    cost: Cost,
    /// Heads that the scheduler moved on: one write unit each.
    marks: u64,
}

/// What one refresh costs on average.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct PerRefresh {
    /// Refreshes that it is the average of.
    pub refreshes: u64,
    /// DynamoDB write units, the scheduler's for moving the record on included.
    pub write_units: f64,
    /// DynamoDB read units.
    pub read_units: f64,
    /// PutRecords calls.
    pub stream_requests: f64,
}

impl Tally {
    /// Adds one task.
    pub fn add(&mut self, report: &TaskReport) {
        let by_outcome = match report.task.record.kind {
            Kind::Cluster => &mut self.refreshes,
            Kind::Discovery => &mut self.discoveries,
        };
        *by_outcome.entry(report.outcome.as_str()).or_default() += 1;
        if report.task.record.kind != Kind::Cluster {
            return;
        }
        if let Some(late) = report.late {
            if self.late.len() == LATE {
                self.late.pop_front();
            }
            self.late.push_back(u32::try_from(late.as_millis()).unwrap_or(u32::MAX));
        }
        let spent = match report.outcome {
            Outcome::Unchanged => &mut self.unchanged,
            Outcome::Changed => &mut self.changed,
            _ => return,
        };
        spent.tasks += 1;
        spent.cost += report.cost;
        spent.marks += u64::from(report.task.stamp.is_some());
        self.last.insert(report.task.record.clone(), report.began);
    }

    /// Refreshes that were done.
    pub fn refreshed(&self) -> u64 {
        self.unchanged.tasks + self.changed.tasks
    }

    /// Tasks of both kinds that ended so.
    pub fn ended(&self, outcome: Outcome) -> u64 {
        let count = |by: &BTreeMap<&'static str, u64>| by.get(outcome.as_str()).copied().unwrap_or(0);
        count(&self.refreshes) + count(&self.discoveries)
    }

    /// How late a scheduled refresh began: of a hundred of the last ones, `percent` were not later.
    pub fn late(&self, percent: usize) -> Option<Duration> {
        percentile(self.late.iter().copied(), percent).map(|millis| Duration::from_millis(millis.into()))
    }

    /// What an unchanged refresh cost.
    pub fn unchanged(&self) -> PerRefresh {
        self.unchanged.per_refresh()
    }

    /// What a refresh with changes cost.
    pub fn changed(&self) -> PerRefresh {
        self.changed.per_refresh()
    }
}

impl Spent {
    fn per_refresh(self) -> PerRefresh {
        let each = |sum: f64| if self.tasks == 0 { 0.0 } else { sum / self.tasks as f64 };
        PerRefresh {
            refreshes: self.tasks,
            write_units: each(self.cost.write_units + self.marks as f64),
            read_units: each(self.cost.read_units),
            stream_requests: each(self.cost.stream_requests as f64),
        }
    }
}

/// The value that `percent` of a hundred do not exceed (nearest rank).
pub fn percentile<T: Copy + Ord>(values: impl IntoIterator<Item = T>, percent: usize) -> Option<T> {
    let mut sorted: Vec<T> = values.into_iter().collect();
    sorted.sort_unstable();
    let rank = (sorted.len() * percent.min(100)).div_ceil(100).max(1);
    sorted.get(rank - 1).copied()
}

/// A tally that an observer of the functions fills. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct SharedTally(Arc<Mutex<Tally>>);

impl SharedTally {
    /// An observer that adds every task, and tells `also` of it.
    pub fn observer(&self, also: impl Fn(&TaskReport) + Send + Sync + 'static) -> Observer {
        let tally = self.clone();
        Arc::new(move |report: &TaskReport| {
            tally.with(|tally| tally.add(report));
            also(report);
        })
    }

    /// Looks at the tally.
    pub fn with<T>(&self, look: impl FnOnce(&mut Tally) -> T) -> T {
        // Only counting happens under the lock: a panic elsewhere leaves it sound.
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use replicante_protocol::task::Task;

    fn report(outcome: Outcome, late: u64, write_units: f64) -> TaskReport {
        TaskReport {
            task: Task::scheduled(RecordName::cluster("default", "zk-01"), Timestamp(1)),
            began: Timestamp(1),
            outcome,
            duration: Duration::from_millis(5),
            late: Some(Duration::from_millis(late)),
            events: 0,
            more: false,
            cost: Cost { write_units, read_units: 2.0, ..Cost::default() },
            measures: Default::default(),
            error: None,
        }
    }

    #[test]
    fn the_schedulers_write_counts_as_part_of_a_refresh() {
        let mut tally = Tally::default();
        tally.add(&report(Outcome::Unchanged, 10, 2.0));
        tally.add(&report(Outcome::Unchanged, 30, 2.0));
        tally.add(&report(Outcome::Failed, 0, 9.0));
        let each = tally.unchanged();
        assert_eq!((each.refreshes, each.write_units, each.read_units), (2, 3.0, 2.0));
        assert_eq!(tally.changed().refreshes, 0);
        assert_eq!((tally.refreshed(), tally.ended(Outcome::Failed)), (2, 1));
    }

    #[test]
    fn percentiles_are_the_nearest_rank() {
        let values: Vec<u32> = (1..=100).rev().collect();
        let of = |percent| percentile(values.iter().copied(), percent);
        assert_eq!((of(50), of(99), of(100)), (Some(50), Some(99), Some(100)));
        assert_eq!((percentile([7], 50), percentile::<u32>([], 50)), (Some(7), None));
    }

    #[test]
    fn the_tally_does_not_grow_with_every_refresh() {
        let mut tally = Tally::default();
        for late in [9_000, 10].into_iter().flat_map(|late| std::iter::repeat_n(late, LATE)) {
            tally.add(&report(Outcome::Unchanged, late, 2.0));
        }
        assert_eq!((tally.late.len(), tally.refreshed()), (LATE, 2 * LATE as u64));
        assert_eq!(tally.late(100), Some(Duration::from_millis(10)));
    }
}
