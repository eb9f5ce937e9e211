//! What is measured of an invocation: reports in, measures out. Pure.

use replicante_metrics::{Measures, Metric};
use replicante_protocol::machine::Outcome;

use crate::report::TaskReport;

/// What is measured of the tasks of one invocation. A task that took several claims counts with each.
pub(crate) fn measures(reports: &[TaskReport]) -> Measures {
    let mut measures = Measures::default();
    for report in reports {
        measures.count(of_outcome(report.outcome), 1.0);
        measures.count(Metric::Events, report.events as f64);
        if let Some(late) = report.late {
            measures.time(Metric::Lateness, late);
        }
        measures.time(Metric::TaskDuration, report.duration);
        measures.count(Metric::ReadUnits, report.cost.read_units);
        measures.count(Metric::WriteUnits, report.cost.write_units);
        measures.count(Metric::TableRequests, report.cost.table_requests as f64);
        measures.count(Metric::StreamRequests, report.cost.stream_requests as f64);
        measures += &report.measures;
    }
    measures
}

fn of_outcome(outcome: Outcome) -> Metric {
    match outcome {
        Outcome::Unchanged => Metric::TasksUnchanged,
        Outcome::Changed => Metric::TasksChanged,
        Outcome::Delivered => Metric::TasksDelivered,
        Outcome::Duplicate => Metric::TasksDuplicate,
        Outcome::Discarded => Metric::TasksDiscarded,
        Outcome::TakenOver => Metric::TasksTakenOver,
        Outcome::Ended => Metric::TasksEnded,
        Outcome::Gone => Metric::TasksGone,
        Outcome::Failed => Metric::TasksFailed,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use replicante_aws::Cost;
    use replicante_metrics::{Function, TABLE};
    use replicante_model::{RecordName, Timestamp};
    use replicante_protocol::task::Task;

    const NOW: Timestamp = Timestamp(1_767_319_445_000);

    fn report(outcome: Outcome, late: Option<u64>) -> TaskReport {
        let mut measured = Measures::default();
        measured.count(Metric::AgentsPolled, 3.0);
        TaskReport {
            task: Task::scheduled(RecordName::cluster("default", "orders"), NOW),
            began: NOW,
            outcome,
            duration: Duration::from_millis(7),
            late: late.map(Duration::from_millis),
            events: 2,
            more: false,
            cost: Cost {
                write_units: 3.0,
                read_units: 1.5,
                table_requests: 4,
                stream_requests: 1,
                stream_records: 2,
            },
            measures: measured,
            error: None,
        }
    }

    #[test]
    fn the_reports_of_a_batch_add_up_and_their_times_stay_apart() {
        let reports = [
            report(Outcome::Changed, Some(40)),
            report(Outcome::Changed, None),
            report(Outcome::Failed, Some(0)),
        ];
        let measures = measures(&reports);
        let expected: [(Metric, &[f64]); 11] = [
            (Metric::TasksChanged, &[2.0]),
            (Metric::TasksFailed, &[1.0]),
            (Metric::TasksUnchanged, &[]),
            (Metric::Events, &[6.0]),
            (Metric::Lateness, &[40.0, 0.0]),
            (Metric::TaskDuration, &[7.0, 7.0, 7.0]),
            (Metric::ReadUnits, &[4.5]),
            (Metric::WriteUnits, &[9.0]),
            (Metric::TableRequests, &[12.0]),
            (Metric::StreamRequests, &[3.0]),
            (Metric::AgentsPolled, &[9.0]),
        ];
        for (metric, values) in expected {
            assert_eq!(measures.of(metric), values, "{metric:?}");
        }
    }

    #[test]
    fn every_outcome_has_its_own_metric_that_is_named_after_it() {
        for outcome in Outcome::ALL {
            let measures = measures(&[report(outcome, None)]);
            assert_eq!(measures.of(of_outcome(outcome)), [1.0]);
            assert_eq!(of_outcome(outcome).definition().name, format!("Tasks{outcome:?}"));
        }
    }

    #[test]
    fn all_metrics_that_both_workers_tell_come_from_the_reports() {
        let reports = Outcome::ALL.map(|outcome| report(outcome, Some(1)));
        for function in [Function::DiscoveryWorker, Function::RefreshWorker] {
            let line = measures(&reports).document("prod", function, NOW).unwrap();
            let common = TABLE.iter().filter(|definition| definition.functions.len() > 1);
            for definition in common {
                let quoted = format!("\"{}\":", definition.name);
                assert_eq!(
                    line.contains(&quoted),
                    definition.functions.contains(&function),
                    "{quoted} {line}"
                );
            }
        }
    }

    #[test]
    fn a_batch_without_a_task_tells_nothing() {
        assert_eq!(measures(&[]), Measures::default());
    }
}
