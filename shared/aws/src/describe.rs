//! What table, queues and stream are, as their services describe them. For operators: no function asks.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_sdk_dynamodb::config::interceptors::BeforeDeserializationInterceptorContextRef;
use aws_sdk_dynamodb::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_dynamodb::error::BoxError;
use aws_sdk_dynamodb::primitives::{DateTime, DateTimeFormat};
use aws_sdk_dynamodb::types::{AttributeDefinition, KeyType, TableDescription, TimeToLiveStatus};
use aws_sdk_sqs::types::QueueAttributeName;
use replicante_model::Timestamp;
use serde::Deserialize;

use crate::error::AwsError;
use crate::queue::Queue;
use crate::stream::Stream;
use crate::table::Table;

/// What a table is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TableFacts {
    /// `ACTIVE` when it can be used.
    pub status: String,
    /// The attribute of its partition key, and the type: `S` is text.
    pub partition_key: Option<(String, String)>,
    /// The attribute of its sort key, and the type.
    pub sort_key: Option<(String, String)>,
}

/// What a queue is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QueueFacts {
    /// How long others do not see a message that was received.
    pub visibility: Duration,
    /// How long a message is kept.
    pub retention: Duration,
    /// Where messages go that were received too often.
    pub redrive: Option<Redrive>,
}

/// Where messages go that were received too often.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Redrive {
    /// The ARN of that queue.
    #[serde(rename = "deadLetterTargetArn")]
    pub target: String,
    /// How often a message is received before. AWS writes a number, and takes text.
    #[serde(rename = "maxReceiveCount", deserialize_with = "number")]
    pub max_receive: u32,
}

fn number<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    let value = serde_json::Value::deserialize(deserializer)?;
    let number = value.as_u64().and_then(|number| u32::try_from(number).ok());
    let number = number.or_else(|| value.as_str()?.parse().ok());
    number.ok_or_else(|| serde::de::Error::custom("maxReceiveCount is no number"))
}

/// What a stream is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StreamFacts {
    /// `ACTIVE` when it can be used.
    pub status: String,
    /// Shards that are open.
    pub shards: u64,
    /// How long an event is kept.
    pub retention: Duration,
}

impl TableFacts {
    fn of(table: &TableDescription) -> Self {
        let key = |kind: KeyType| {
            let key = table.key_schema().iter().find(|key| key.key_type == kind)?;
            let of_key = |known: &&AttributeDefinition| known.attribute_name == key.attribute_name;
            let attribute = table.attribute_definitions().iter().find(of_key)?;
            Some((key.attribute_name.clone(), attribute.attribute_type.as_str().to_owned()))
        };
        TableFacts {
            status: table.table_status().map(|status| status.as_str().to_owned()).unwrap_or_default(),
            partition_key: key(KeyType::Hash),
            sort_key: key(KeyType::Range),
        }
    }
}

impl Table {
    /// What the table is; and how far the service's clock is ahead of this one, in milliseconds and to about a second, where
    /// its answer says what time it is.
    pub async fn describe(&self) -> (Result<TableFacts, AwsError>, Option<i64>) {
        let date = Date::default();
        let request = self.client.describe_table().table_name(&*self.name);
        let answer = request.customize().interceptor(date.clone()).send().await;
        let action = || format!("describing the table {}", self.name);
        let table = answer.map_err(|error| AwsError::call(action(), &error)).and_then(|answer| {
            answer.table.ok_or_else(|| AwsError::stored(action(), "the answer describes none"))
        });
        (table.map(|table| TableFacts::of(&table)), date.ahead())
    }

    /// The attribute that says when an item may be deleted, where that is switched on.
    ///
    /// # Errors
    /// When the table can't be asked.
    pub async fn expiry(&self) -> Result<Option<String>, AwsError> {
        let action = || format!("asking for the time to live of the table {}", self.name);
        let answer = self.client.describe_time_to_live().table_name(&*self.name).send().await;
        let answer = answer.map_err(|error| AwsError::call(action(), &error))?;
        let on = [TimeToLiveStatus::Enabled, TimeToLiveStatus::Enabling];
        let described = answer.time_to_live_description;
        let described = described.filter(|ttl| ttl.time_to_live_status().is_some_and(|now| on.contains(now)));
        Ok(described.and_then(|ttl| ttl.attribute_name))
    }
}

impl Queue {
    /// What the queue is.
    ///
    /// # Errors
    /// When the queue can't be asked, or its answer is not as expected.
    pub async fn describe(&self) -> Result<QueueFacts, AwsError> {
        use QueueAttributeName as Name;
        let action = || format!("asking for the settings of {}", self.url());
        let request = self.client.get_queue_attributes().queue_url(self.url());
        let answer = request
            .attribute_names(Name::VisibilityTimeout)
            .attribute_names(Name::MessageRetentionPeriod)
            .attribute_names(Name::RedrivePolicy)
            .send()
            .await
            .map_err(|error| AwsError::call(action(), &error))?;
        let said = |name: &Name| answer.attributes().and_then(|all| all.get(name));
        let seconds = |name: Name| {
            let seconds = said(&name).and_then(|value| value.parse().ok());
            seconds
                .map(Duration::from_secs)
                .ok_or_else(|| AwsError::stored(action(), format!("it does not tell its {}", name.as_str())))
        };
        let redrive = said(&Name::RedrivePolicy).map(|policy| serde_json::from_str(policy)).transpose();
        Ok(QueueFacts {
            visibility: seconds(Name::VisibilityTimeout)?,
            retention: seconds(Name::MessageRetentionPeriod)?,
            redrive: redrive.map_err(|error| AwsError::stored(action(), error))?,
        })
    }
}

impl Stream {
    /// What the stream is.
    ///
    /// # Errors
    /// When the stream can't be asked.
    pub async fn describe(&self) -> Result<StreamFacts, AwsError> {
        let action = || format!("describing the stream {}", self.name);
        let answer = self.client.describe_stream_summary().stream_name(&*self.name).send().await;
        let answer = answer.map_err(|error| AwsError::call(action(), &error))?;
        let summary = answer.stream_description_summary;
        let summary = summary.ok_or_else(|| AwsError::stored(action(), "the answer describes none"))?;
        let hours = u64::try_from(summary.retention_period_hours()).unwrap_or(0);
        Ok(StreamFacts {
            status: summary.stream_status().as_str().to_owned(),
            shards: u64::try_from(summary.open_shard_count()).unwrap_or(0),
            retention: Duration::from_secs(hours * 3600),
        })
    }
}

/// Keeps the date of the last answer, and when it came, whatever the answer says: a clock that is far off is refused.
#[derive(Clone, Debug, Default)]
pub(crate) struct Date(Arc<Mutex<Option<(String, Timestamp)>>>);

impl Date {
    /// How far the clock of whoever answered is ahead of this one, in milliseconds.
    pub(crate) fn ahead(&self) -> Option<i64> {
        let (date, came) = self.0.lock().unwrap_or_else(PoisonError::into_inner).take()?;
        let date = DateTime::from_str(&date, DateTimeFormat::HttpDate).ok()?;
        // It is cut to seconds: on average it is half a second later.
        Some(date.to_millis().ok()? + 500 - came.0)
    }
}

impl Intercept for Date {
    fn name(&self) -> &'static str {
        "date"
    }

    fn read_before_deserialization(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let date = context.response().headers().get("date");
        let date = date.map(|date| (date.to_owned(), Timestamp::now()));
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = date;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_may_write_its_number_as_text() {
        for number in ["5", "\"5\""] {
            let text = format!(r#"{{"deadLetterTargetArn":"arn:aws:sqs:r:1:d","maxReceiveCount":{number}}}"#);
            let policy: Redrive = serde_json::from_str(&text).unwrap();
            assert_eq!(policy, Redrive { target: "arn:aws:sqs:r:1:d".into(), max_receive: 5 });
        }
        assert!(
            serde_json::from_str::<Redrive>(r#"{"deadLetterTargetArn":"a","maxReceiveCount":"x"}"#).is_err()
        );
    }

    #[test]
    fn the_date_of_an_answer_tells_how_far_its_clock_is_ahead() {
        let ahead = |date: &str| {
            let came = Timestamp(1_767_319_445_000);
            Date(Arc::new(Mutex::new(Some((date.to_owned(), came))))).ahead()
        };
        assert_eq!(ahead("Fri, 02 Jan 2026 02:04:05 GMT"), Some(500));
        assert_eq!(ahead("Fri, 02 Jan 2026 02:05:05 GMT"), Some(60_500));
        assert_eq!(ahead("Fri, 02 Jan 2026 02:03:05 GMT"), Some(-59_500));
        assert_eq!(ahead("soon"), None);
    }
}
