//! The wide lines of a log, as the reports that they were written from.

use std::time::Duration;

use replicante_aws::Cost;
use replicante_metrics::Measures;
use replicante_model::Timestamp;
use replicante_protocol::machine::Outcome;
use replicante_protocol::task::Task;
use replicante_worker::TaskReport;
use serde_json::Value;

use crate::system::Failure;

/// The reports of a log's lines, in order. `tasks` are those that it was given meanwhile.
///
/// # Errors
/// Names the line that is no JSON, or no report of a known task.
pub(super) fn reports(log: &str, tasks: &[Task]) -> Result<Vec<TaskReport>, Failure> {
    let mut reports = Vec::new();
    for line in log.lines() {
        let value: Value = serde_json::from_str(line).map_err(|error| format!("{error}: {line}"))?;
        let fields = &value["fields"];
        if fields["message"] == "task" {
            reports.push(report(fields, tasks).ok_or_else(|| format!("no report: {line}"))?);
        }
    }
    Ok(reports)
}

fn report(fields: &Value, tasks: &[Task]) -> Option<TaskReport> {
    // What is zero, or no, is not written.
    let number = |name: &str| fields[name].as_u64();
    let units = |name: &str| fields[name].as_f64().unwrap_or_default();
    let record = fields["record"].as_str()?;
    let duration = Duration::from_millis(number("duration_ms").unwrap_or_default());
    Some(TaskReport {
        task: tasks.iter().find(|task| task.record.to_string() == record)?.clone(),
        began: Timestamp::now().minus(duration),
        outcome: Outcome::ALL.into_iter().find(|outcome| fields["outcome"] == outcome.as_str())?,
        duration,
        late: number("late_ms").map(Duration::from_millis),
        events: number("events").unwrap_or_default(),
        more: fields["more"].as_bool().unwrap_or_default(),
        cost: Cost {
            write_units: units("write_units"),
            read_units: units("read_units"),
            table_requests: number("table_requests").unwrap_or_default(),
            stream_requests: number("stream_requests").unwrap_or_default(),
            // The line does not say it.
            stream_records: 0,
        },
        // They are in the line of metrics.
        measures: Measures::default(),
        error: fields["error"].as_str().map(ToOwned::to_owned),
    })
}
