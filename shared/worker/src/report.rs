//! Reports: one wide line a task, with its outcome, cause, duration and cost.

use std::sync::Arc;
use std::time::Duration;

use replicante_aws::Cost;
use replicante_metrics::Measures;
use replicante_model::Timestamp;
use replicante_protocol::machine::Outcome;
use replicante_protocol::task::Task;

/// How a task went.
#[derive(Clone, Debug)]
pub struct TaskReport {
    /// The task.
    pub task: Task,
    /// When it began.
    pub began: Timestamp,
    /// How it ended.
    pub outcome: Outcome,
    /// How long it took.
    pub duration: Duration,
    /// How long after its stamp it began. `None` for manual tasks.
    pub late: Option<Duration>,
    /// Events that it committed.
    pub events: u64,
    /// Whether something is left to do: the record is due again at once.
    pub more: bool,
    /// What it cost.
    pub cost: Cost,
    /// What its job measured.
    pub measures: Measures,
    /// What failed, where something did.
    pub error: Option<String>,
}

/// Who else wants to know how tasks go: the local runner counts them.
pub type Observer = Arc<dyn Fn(&TaskReport) + Send + Sync>;

impl TaskReport {
    /// Writes the wide line. What is zero or not there is left out: most lines tell that nothing changed.
    pub(crate) fn log(&self) {
        let Cost { write_units, read_units, table_requests, stream_requests, .. } = self.cost;
        macro_rules! line {
            ($level:ident) => {
                tracing::$level!(
                    record = %self.task.record,
                    cause = ?self.task.cause,
                    actor = self.task.actor,
                    outcome = self.outcome.as_str(),
                    duration_ms = self.duration.as_millis() as u64,
                    late_ms = self.late.map(|late| late.as_millis() as u64),
                    events = (self.events > 0).then_some(self.events),
                    more = self.more.then_some(true),
                    write_units = (write_units > 0.0).then_some(write_units),
                    read_units = (read_units > 0.0).then_some(read_units),
                    table_requests = (table_requests > 0).then_some(table_requests),
                    stream_requests = (stream_requests > 0).then_some(stream_requests),
                    error = self.error,
                    "task"
                )
            };
        }
        if self.outcome == Outcome::Failed { line!(warn) } else { line!(info) }
    }
}
