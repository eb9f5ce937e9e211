//! The catalogue: every metric there is. `docs/metrics.md` is its table, which a test checks against it.

use replicante_model::Kind;

/// A function that is deployed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Function {
    /// Queues tasks of discoveries.
    DiscoveryScheduler,
    /// Queues tasks of clusters.
    RefreshScheduler,
    /// Works on discoveries.
    DiscoveryWorker,
    /// Works on clusters.
    RefreshWorker,
}

impl Function {
    /// The scheduler of a kind of record.
    pub fn scheduler(kind: Kind) -> Self {
        match kind {
            Kind::Discovery => Function::DiscoveryScheduler,
            Kind::Cluster => Function::RefreshScheduler,
        }
    }

    /// The worker of a kind of record.
    pub fn worker(kind: Kind) -> Self {
        match kind {
            Kind::Discovery => Function::DiscoveryWorker,
            Kind::Cluster => Function::RefreshWorker,
        }
    }

    /// The value of the dimension `Function`.
    pub fn as_str(self) -> &'static str {
        match self {
            Function::DiscoveryScheduler => "discovery-scheduler",
            Function::RefreshScheduler => "refresh-scheduler",
            Function::DiscoveryWorker => "discovery-worker",
            Function::RefreshWorker => "refresh-worker",
        }
    }
}

/// The unit of a metric, as CloudWatch names it. It also says how values of one invocation become one metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Added up: one value an invocation, and none when the sum is zero.
    Count,
    /// Kept apart: an array, of which CloudWatch makes percentiles.
    Milliseconds,
}

impl Unit {
    /// The word that CloudWatch knows.
    pub fn as_str(self) -> &'static str {
        match self {
            Unit::Count => "Count",
            Unit::Milliseconds => "Milliseconds",
        }
    }
}

/// What is to be known of a metric, as the documentation shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Definition {
    /// Its name.
    pub name: &'static str,
    /// Its unit.
    pub unit: Unit,
    /// The functions that tell it.
    pub functions: &'static [Function],
    /// What it means.
    pub meaning: &'static str,
}

const SCHEDULERS: &[Function] = &[Function::DiscoveryScheduler, Function::RefreshScheduler];
const WORKERS: &[Function] = &[Function::DiscoveryWorker, Function::RefreshWorker];
const DISCOVERY_WORKER: &[Function] = &[Function::DiscoveryWorker];
const REFRESH_WORKER: &[Function] = &[Function::RefreshWorker];
const ALL: &[Function] = &[
    Function::DiscoveryScheduler,
    Function::RefreshScheduler,
    Function::DiscoveryWorker,
    Function::RefreshWorker,
];

macro_rules! metrics {
    ($($name:ident, $unit:ident, $functions:ident, $meaning:literal;)*) => {
        /// A metric: its name is the variant's.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Metric { $(#[doc = $meaning] $name,)* }

        /// All metrics, in the order of the documentation.
        pub const TABLE: &[Definition] = &[$(Definition {
            name: stringify!($name),
            unit: Unit::$unit,
            functions: $functions,
            meaning: $meaning,
        }),*];
    };
}

metrics! {
    TasksUnchanged, Count, WORKERS, "Tasks that found nothing changed.";
    TasksChanged, Count, WORKERS, "Tasks whose changes were committed and delivered.";
    TasksDelivered, Count, WORKERS, "Tasks that delivered nothing but what was owed: the record is not enabled, or there was no time for more.";
    TasksDuplicate, Count, WORKERS, "Tasks that were done before.";
    TasksDiscarded, Count, WORKERS, "Tasks that found another worker at the record.";
    TasksTakenOver, Count, WORKERS, "Tasks that another worker took over half way.";
    TasksEnded, Count, WORKERS, "Tasks that ended a removed record.";
    TasksGone, Count, WORKERS, "Tasks of a record that does not exist any more.";
    TasksFailed, Count, WORKERS, "Tasks that failed, and that the queue delivers again.";
    Events, Count, WORKERS, "Events that were committed.";
    Lateness, Milliseconds, WORKERS, "From the time that a scheduled task was due to its beginning: a value for each.";
    TaskDuration, Milliseconds, WORKERS, "How long a task took, whatever came of it: a value for each.";
    HeldRuns, Count, DISCOVERY_WORKER, "Runs of discoveries of which the shrink guard holds clusters or nodes at their end.";
    SourcesFailed, Count, DISCOVERY_WORKER, "Runs whose source was asked and gave no complete answer.";
    AgentsPolled, Count, REFRESH_WORKER, "Agents whose poll came to an end, with an answer or a failure. Agents that time did not suffice for are none of them.";
    AgentsFailed, Count, REFRESH_WORKER, "Those of them that gave no answer, or none that an agent gives.";
    ObserverSuspect, Count, REFRESH_WORKER, "Refreshes that called no agent down for want of a connection, since the worker itself was likely to be cut off.";
    Passes, Count, SCHEDULERS, "Passes over all records of a kind: one an invocation.";
    Due, Count, SCHEDULERS, "Enabled records that were due, not paused and not done when the pass began.";
    OldestDue, Milliseconds, SCHEDULERS, "How long the first of them had been due.";
    Queued, Count, SCHEDULERS, "Records whose task was sent.";
    Owed, Count, SCHEDULERS, "Records that owe events or items and that no worker holds.";
    OwedAge, Milliseconds, SCHEDULERS, "How long the longest of them had not been held: since its lease ended or was given back.";
    Unreadable, Count, SCHEDULERS, "Records whose head can't be read.";
    PassDuration, Milliseconds, SCHEDULERS, "How long the pass took.";
    ReadUnits, Count, ALL, "Read units of DynamoDB.";
    WriteUnits, Count, ALL, "Write units of DynamoDB.";
    TableRequests, Count, WORKERS, "Calls to DynamoDB that were answered.";
    StreamRequests, Count, WORKERS, "Calls to Kinesis that were answered.";
}

/// The most metrics that one document may define.
const MAX_METRICS: usize = 100;
const _: () = assert!(TABLE.len() <= MAX_METRICS, "a document of all metrics would be refused");

impl Metric {
    /// What is to be known of it.
    pub fn definition(self) -> &'static Definition {
        &TABLE[self as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(definition: &Definition) -> String {
        let functions: Vec<&str> = definition.functions.iter().map(|function| function.as_str()).collect();
        let Definition { name, unit, meaning, .. } = definition;
        format!("| `{name}` | {} | {} | {meaning} |", unit.as_str(), functions.join(", "))
    }

    #[test]
    fn the_documentation_has_a_row_for_each_metric_and_none_besides() {
        let docs = include_str!("../../../docs/metrics.md");
        let documented: Vec<&str> = docs.lines().filter(|line| line.starts_with("| `")).collect();
        assert_eq!(documented, TABLE.iter().map(row).collect::<Vec<_>>());
    }

    #[test]
    fn a_metric_is_found_by_its_variant() {
        assert_eq!(Metric::TasksUnchanged.definition().name, "TasksUnchanged");
        assert_eq!(Metric::Lateness.definition().unit, Unit::Milliseconds);
        assert_eq!(Metric::StreamRequests.definition(), TABLE.last().unwrap());
    }

    #[test]
    fn a_kind_has_its_scheduler_and_its_worker() {
        let names = |kind| [Function::scheduler(kind).as_str(), Function::worker(kind).as_str()];
        assert_eq!(names(Kind::Discovery), ["discovery-scheduler", "discovery-worker"]);
        assert_eq!(names(Kind::Cluster), ["refresh-scheduler", "refresh-worker"]);
    }
}
