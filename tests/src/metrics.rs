//! Lines of metrics, read as CloudWatch reads them: by the specification of its embedded metric format alone.
//!
//! <https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html>

use std::collections::BTreeMap;

use replicante_model::Timestamp;
use serde_json::{Map, Value};

/// The units that CloudWatch knows, but for those a second.
const UNITS: [&str; 15] = [
    "Seconds",
    "Microseconds",
    "Milliseconds",
    "Bytes",
    "Kilobytes",
    "Megabytes",
    "Gigabytes",
    "Terabytes",
    "Bits",
    "Kilobits",
    "Megabits",
    "Gigabits",
    "Terabits",
    "Percent",
    "Count",
];

/// What CloudWatch makes of one line.
#[derive(Clone, Debug, PartialEq)]
pub struct Metrics {
    /// The namespace.
    pub namespace: String,
    /// The dimensions, by name.
    pub dimensions: BTreeMap<String, String>,
    /// The values, by metric.
    pub values: BTreeMap<String, Vec<f64>>,
    /// The units, by metric.
    pub units: BTreeMap<String, String>,
    /// Bytes of the line.
    pub bytes: usize,
}

impl Metrics {
    /// Reads a line.
    ///
    /// # Errors
    /// What of it is not as the format has it, or CloudWatch would ignore.
    pub fn read(line: &str) -> Result<Self, String> {
        let problem = |what: &str| format!("{what}: {line}");
        if line.contains('\n') {
            return Err(problem("more than one line"));
        }
        let root: Map<String, Value> =
            serde_json::from_str(line).map_err(|error| problem(&error.to_string()))?;
        let aws =
            members(root.get("_aws"), &["CloudWatchMetrics", "Timestamp"]).map_err(|what| problem(&what))?;
        if aws["Timestamp"].as_u64().is_none_or(|millis| millis < 1_000_000_000_000) {
            return Err(problem("`Timestamp` is no time in milliseconds"));
        }
        let [directive] = array(&aws["CloudWatchMetrics"]) else {
            return Err(problem("not one directive"));
        };
        let directive = members(Some(directive), &["Dimensions", "Metrics", "Namespace"])
            .map_err(|what| problem(&what))?;
        let [set] = array(&directive["Dimensions"]) else {
            return Err(problem("not one set of dimensions"));
        };
        let mut dimensions = BTreeMap::new();
        for name in array(set) {
            let name = text(Some(name)).ok_or_else(|| problem("a dimension's name is no short text"))?;
            let value =
                text(root.get(&name)).ok_or_else(|| problem(&format!("`{name}` is no dimension's value")))?;
            dimensions.insert(name, value);
        }
        let defined = array(&directive["Metrics"]);
        if dimensions.len() > 30 || !(1..=100).contains(&defined.len()) {
            return Err(problem("too many dimensions, or too many metrics, or none"));
        }
        let (mut values, mut units) = (BTreeMap::new(), BTreeMap::new());
        for metric in defined {
            let metric = members(Some(metric), &["Name", "Unit"]).map_err(|what| problem(&what))?;
            let name = text(metric.get("Name")).ok_or_else(|| problem("a metric's name is no short text"))?;
            let unit = text(metric.get("Unit")).filter(|unit| UNITS.contains(&unit.as_str()));
            let unit =
                unit.ok_or_else(|| problem(&format!("the unit of `{name}` is none of CloudWatch's")))?;
            let target = match root.get(&name) {
                Some(Value::Array(several)) => several.iter().map(Value::as_f64).collect(),
                Some(one) => one.as_f64().map(|one| vec![one]),
                None => None,
            };
            let target = target.filter(|values: &Vec<f64>| (1..=100).contains(&values.len()));
            let target =
                target.ok_or_else(|| problem(&format!("`{name}` is no value, nor 1 to 100 of them")))?;
            units.insert(name.clone(), unit);
            if values.insert(name.clone(), target).is_some() {
                return Err(problem(&format!("`{name}` is defined twice")));
            }
        }
        // What Lambda filters lines of JSON by: without both of them they count as `INFO`.
        if text(root.get("level")).is_none_or(|level| level != "FATAL") {
            return Err(problem("it would be dropped at some level of the logs"));
        }
        let time = text(root.get("timestamp")).and_then(|time| Timestamp::parse(&time).ok());
        if time.is_none_or(|time| time.0.unsigned_abs() != aws["Timestamp"].as_u64().unwrap_or_default()) {
            return Err(problem("`timestamp` is not the time of the metrics"));
        }
        // Whatever else stood there would be in the log for nothing.
        if root.len() != 3 + dimensions.len() + values.len() {
            return Err(problem("a member is neither a dimension nor a metric"));
        }
        let namespace =
            text(directive.get("Namespace")).ok_or_else(|| problem("the namespace is no short text"))?;
        Ok(Metrics { namespace, dimensions, values, units, bytes: line.len() })
    }

    /// The sum of a metric's values; zero when it is not there.
    pub fn sum(&self, metric: &str) -> f64 {
        self.values.get(metric).map_or(0.0, |values| values.iter().sum())
    }
}

/// An object of exactly these members.
fn members<'a>(value: Option<&'a Value>, names: &[&str]) -> Result<&'a Map<String, Value>, String> {
    let object = value.and_then(Value::as_object).ok_or_else(|| format!("no object of {names:?}"))?;
    let found: Vec<&str> = object.keys().map(String::as_str).collect();
    if found == names { Ok(object) } else { Err(format!("{found:?} instead of {names:?}")) }
}

fn array(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn text(value: Option<&Value>) -> Option<String> {
    value.and_then(Value::as_str).filter(|text| (1..=255).contains(&text.len())).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"{"level":"FATAL","timestamp":"2026-01-02T02:04:05.000Z","_aws":{"Timestamp":1767319445000,"CloudWatchMetrics":[{"Namespace":"R","Dimensions":[["D"]],"Metrics":[{"Name":"M","Unit":"Count"}]}]},"D":"d","M":[1,0.5]}"#;

    #[test]
    fn a_line_that_cloudwatch_would_not_take_is_refused() {
        let good = Metrics::read(GOOD).unwrap();
        assert_eq!((good.values["M"].as_slice(), good.sum("M"), good.sum("N")), (&[1.0, 0.5][..], 1.5, 0.0));
        for (part, damaged) in [
            ("}]}]}", "}]}]"),
            ("1767319445000", "1767319445"),
            (r#""Timestamp":1767319445000,"#, ""),
            ("[[\"D\"]]", "[]"),
            ("[[\"D\"]]", "[[\"E\"]]"),
            (r#""D":"d""#, r#""D":7"#),
            ("Count", "Counts"),
            (r#","Unit":"Count""#, ""),
            ("[1,0.5]", "[]"),
            ("[1,0.5]", "\"1\""),
            ("\"M\":[1", "\"N\":[1"),
            (r#""D":"d""#, r#""D":"d","cluster":"orders""#),
            (r#""Namespace":"R""#, r#""Namespace":"""#),
            ("FATAL", "INFO"),
            ("02:04:05", "02:04:06"),
            ("},", "},\n"),
        ] {
            let line = GOOD.replacen(part, damaged, 1);
            assert_ne!(line, GOOD, "{part}");
            assert!(Metrics::read(&line).is_err(), "{line}");
        }
        let many = GOOD.replace("[1,0.5]", &format!("{:?}", vec![1; 101]));
        assert!(Metrics::read(&many).is_err(), "more values than a document takes");
    }
}
