//! The document: one line of JSON in the embedded metric format.
//!
//! The format: <https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html>.

use std::collections::BTreeMap;

use replicante_model::Timestamp;
use serde::Serialize;
use serde_json::Number;

use crate::catalogue::Function;
use crate::measures::Measures;

/// The namespace of all metrics.
pub const NAMESPACE: &str = "Replicante";
/// The most values of one metric in one document. Of more, these are a sample.
pub const MAX_VALUES: usize = 100;

#[derive(Serialize)]
struct Document<'a> {
    /// Lambda drops lines below the level that is set for the logs, and takes a line for `INFO` that lacks either of
    /// these. An alarm must not depend on how much is logged, so it is the highest level that Lambda knows.
    level: &'static str,
    timestamp: String,
    #[serde(rename = "_aws")]
    aws: Aws,
    #[serde(rename = "Deployment")]
    deployment: &'a str,
    #[serde(rename = "Function")]
    function: &'a str,
    #[serde(flatten)]
    values: BTreeMap<&'static str, Value>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Aws {
    timestamp: i64,
    cloud_watch_metrics: [Directive; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Directive {
    namespace: &'static str,
    dimensions: [[&'static str; 2]; 1],
    metrics: Vec<Defined>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Defined {
    name: &'static str,
    unit: &'static str,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Value {
    One(Number),
    Many(Vec<Number>),
}

impl Measures {
    /// The line of an invocation of `function` that ended `at` this time. `None` when there is nothing to tell.
    ///
    /// A metric that is not `function`'s is left out: the catalogue is the truth.
    pub fn document(&self, deployment: &str, function: Function, at: Timestamp) -> Option<String> {
        let mut metrics = Vec::new();
        let mut values = BTreeMap::new();
        for (metric, taken) in self.iter() {
            let definition = metric.definition();
            if definition.functions.contains(&function) {
                metrics.push(Defined { name: definition.name, unit: definition.unit.as_str() });
                values.insert(definition.name, value(taken));
            }
        }
        if metrics.is_empty() {
            return None;
        }
        let directive = Directive { namespace: NAMESPACE, dimensions: [["Deployment", "Function"]], metrics };
        let aws = Aws { timestamp: at.0, cloud_watch_metrics: [directive] };
        let (level, timestamp, function) = ("FATAL", at.rfc3339(), function.as_str());
        serde_json::to_string(&Document { level, timestamp, aws, deployment, function, values }).ok()
    }
}

fn value(taken: &[f64]) -> Value {
    match taken {
        [one] => Value::One(number(*one)),
        some if some.len() <= MAX_VALUES => Value::Many(some.iter().copied().map(number).collect()),
        many => {
            // In equal steps through the sorted values: the least and the greatest are among them.
            let mut sorted = many.to_vec();
            sorted.sort_by(f64::total_cmp);
            let last = sorted.len() - 1;
            Value::Many((0..MAX_VALUES).map(|n| number(sorted[n * last / (MAX_VALUES - 1)])).collect())
        }
    }
}

/// A number as short as JSON has it: whole ones without a fraction.
fn number(value: f64) -> Number {
    // Exact below 2^53; a time or count beyond that is none that a function can measure.
    if value.fract() == 0.0 && value.abs() < 9e15 {
        return Number::from(value as i64);
    }
    Number::from_f64(value).unwrap_or_else(|| Number::from(0))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::catalogue::Metric;

    const AT: Timestamp = Timestamp(1_767_319_445_000);

    fn times(count: u64) -> serde_json::Value {
        let mut measures = Measures::default();
        (0..count).rev().for_each(|n| measures.time(Metric::Lateness, Duration::from_millis(n)));
        let line = measures.document("prod", Function::RefreshWorker, AT).unwrap();
        serde_json::from_str::<serde_json::Value>(&line).unwrap()["Lateness"].clone()
    }

    #[test]
    fn a_document_is_one_line_that_names_what_it_holds() {
        let mut measures = Measures::default();
        measures.count(Metric::TasksUnchanged, 2.0);
        measures.count(Metric::ReadUnits, 1.5);
        measures.time(Metric::TaskDuration, Duration::from_millis(12));
        measures.time(Metric::TaskDuration, Duration::from_millis(7));
        let line = measures.document("prod", Function::RefreshWorker, AT).unwrap();
        assert_eq!(
            line,
            concat!(
                r#"{"level":"FATAL","timestamp":"2026-01-02T02:04:05.000Z","_aws":{"Timestamp":1767319445000,"CloudWatchMetrics":[{"Namespace":"Replicante","#,
                r#""Dimensions":[["Deployment","Function"]],"Metrics":[{"Name":"TasksUnchanged","Unit":"Count"},"#,
                r#"{"Name":"TaskDuration","Unit":"Milliseconds"},{"Name":"ReadUnits","Unit":"Count"}]}]},"#,
                r#""Deployment":"prod","Function":"refresh-worker","ReadUnits":1.5,"TaskDuration":[12,7],"#,
                r#""TasksUnchanged":2}"#
            )
        );
    }

    #[test]
    fn nothing_to_tell_is_no_line_and_what_is_anothers_is_left_out() {
        let mut measures = Measures::default();
        assert_eq!(measures.document("prod", Function::RefreshWorker, AT), None);
        measures.count(Metric::Passes, 1.0);
        assert_eq!(measures.document("prod", Function::RefreshWorker, AT), None);
        assert!(measures.document("prod", Function::RefreshScheduler, AT).is_some());
    }

    #[test]
    fn of_more_values_than_a_document_takes_a_sample_is_told_with_both_ends() {
        assert_eq!(times(1), 0);
        let all = times(100);
        assert_eq!((all.as_array().unwrap().len(), &all[0]), (100, &99.into()), "as they came");
        for count in [101, 150, 1000] {
            let sample = times(count);
            let sample: Vec<u64> =
                sample.as_array().unwrap().iter().map(|value| value.as_u64().unwrap()).collect();
            assert_eq!((sample.len(), sample[0], sample[99]), (100, 0, count - 1));
            assert!(sample.is_sorted() && sample[50].abs_diff(count / 2) <= count / 50, "{sample:?}");
        }
    }

    #[test]
    fn numbers_are_written_as_json_has_them() {
        let written = [3.0, 0.5, 0.0, 1e300, f64::INFINITY].map(|value| number(value).to_string());
        assert_eq!(written, ["3", "0.5", "0", "1e+300", "0"]);
    }
}
