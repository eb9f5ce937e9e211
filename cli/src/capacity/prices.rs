//! The price list: data, so that another region's, or tomorrow's, can be given in its place.

use serde::{Deserialize, Serialize};

/// The list of this release. Nothing checks it against the pages that it names.
const BUILT_IN: &str = include_str!("prices.json");

/// Prices, each in the list's currency.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Prices {
    /// The region that they are of.
    pub region: String,
    /// The currency.
    pub currency: String,
    /// When they were looked up.
    pub as_of: String,
    /// Where.
    pub pages: Vec<String>,
    /// DynamoDB, on demand: a million write units.
    pub table_write_million: f64,
    /// DynamoDB, on demand: a million read units.
    pub table_read_million: f64,
    /// DynamoDB, provisioned: a write unit a second, for an hour.
    pub table_write_unit_hour: f64,
    /// DynamoDB, provisioned: a read unit a second, for an hour.
    pub table_read_unit_hour: f64,
    /// DynamoDB: a GB for a month.
    pub table_gb_month: f64,
    /// DynamoDB: point-in-time recovery of a GB for a month.
    pub table_recovery_gb_month: f64,
    /// SQS, standard queues: a million requests.
    pub queue_request_million: f64,
    /// Lambda on arm64: a GB-second.
    pub function_gb_second: f64,
    /// Lambda: a million invocations.
    pub function_request_million: f64,
    /// Kinesis, provisioned: a shard for an hour.
    pub stream_shard_hour: f64,
    /// Kinesis, provisioned: what a shard-hour costs more when records are kept for more than a day, up to seven.
    pub stream_long_retention_shard_hour: f64,
    /// Kinesis, provisioned: a million PUT units of 25 KB.
    pub stream_put_unit_million: f64,
    /// Kinesis, on demand: a stream for an hour.
    pub stream_on_demand_hour: f64,
    /// Kinesis, on demand: a GB that is written.
    pub stream_on_demand_gb: f64,
    /// CloudWatch: a GB of logs.
    pub log_gb: f64,
    /// CloudWatch: a metric for a month.
    pub metric_month: f64,
    /// EC2: a server of 2 processors and 8 GiB (m7g.large) for an hour.
    pub server_hour: f64,
}

impl Prices {
    /// The list of this release.
    ///
    /// # Errors
    /// Never: a test reads it.
    pub fn built_in() -> Result<Self, serde_json::Error> {
        serde_json::from_str(BUILT_IN)
    }

    /// The list of this release, with what a file says otherwise: an object of some or all of its fields.
    ///
    /// # Errors
    /// Names a field that there is not, and a value that is no price.
    pub fn with(text: &str) -> Result<Self, serde_json::Error> {
        let mut list: serde_json::Map<String, serde_json::Value> = serde_json::from_str(BUILT_IN)?;
        let given: serde_json::Map<String, serde_json::Value> = serde_json::from_str(text)?;
        list.extend(given);
        serde_json::from_value(list.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_replaces_what_it_names_and_nothing_else() {
        let list = Prices::built_in().unwrap();
        let other = Prices::with(r#"{ "region": "eu-central-1", "log_gb": 0.63 }"#).unwrap();
        assert_eq!(other, Prices { region: "eu-central-1".into(), log_gb: 0.63, ..list });
        let unknown = Prices::with(r#"{ "log_tb": 1 }"#).unwrap_err().to_string();
        assert!(unknown.contains("unknown field `log_tb`"), "{unknown}");
        assert!(Prices::with(r#"{ "log_gb": "much" }"#).is_err());
    }
}
