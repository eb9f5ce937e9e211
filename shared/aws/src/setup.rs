//! Setting up what the template creates on AWS, on services that run locally; and removing it.

use std::time::Duration;

use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType, TableStatus,
};
use aws_sdk_kinesis::types::StreamStatus;
use aws_sdk_sqs::types::QueueAttributeName;
use tokio::time::{Instant, sleep};

use crate::clients::Clients;
use crate::error::AwsError;

/// How long a table or stream may take until it is active, and how often that is asked.
const ACTIVE_WITHIN: Duration = Duration::from_secs(60);
const ASK_EVERY: Duration = Duration::from_millis(100);

impl Clients {
    /// Creates the table, unless it exists: on demand, `pk` and `sk`. Returns when it can be used.
    ///
    /// # Errors
    /// When the service refuses it.
    pub async fn create_table(&self, name: &str) -> Result<(), AwsError> {
        let stored =
            |error: aws_sdk_dynamodb::error::BuildError| AwsError::stored(format!("the table {name}"), error);
        let mut request =
            self.dynamodb.create_table().table_name(name).billing_mode(BillingMode::PayPerRequest);
        for (attribute, key) in [("pk", KeyType::Hash), ("sk", KeyType::Range)] {
            let definition = AttributeDefinition::builder()
                .attribute_name(attribute)
                .attribute_type(ScalarAttributeType::S);
            let schema = KeySchemaElement::builder().attribute_name(attribute).key_type(key);
            request = request
                .attribute_definitions(definition.build().map_err(stored)?)
                .key_schema(schema.build().map_err(stored)?);
        }
        match request.send().await {
            Ok(_) => {}
            Err(error) if error.as_service_error().is_some_and(|e| e.is_resource_in_use_exception()) => {}
            Err(error) => return Err(AwsError::call(format!("creating the table {name}"), &error)),
        }
        let end = Instant::now() + ACTIVE_WITHIN;
        while !self.table_is_active(name).await? {
            wait(end, || format!("the table {name}")).await?;
        }
        Ok(())
    }

    async fn table_is_active(&self, name: &str) -> Result<bool, AwsError> {
        let described = self.dynamodb.describe_table().table_name(name).send().await;
        let described =
            described.map_err(|error| AwsError::call(format!("describing the table {name}"), &error))?;
        Ok(described.table().and_then(|table| table.table_status()) == Some(&TableStatus::Active))
    }

    /// Creates the stream, unless it exists. Returns when it can be used.
    ///
    /// # Errors
    /// When the service refuses it.
    pub async fn create_stream(&self, name: &str, shards: i32) -> Result<(), AwsError> {
        match self.kinesis.create_stream().stream_name(name).shard_count(shards).send().await {
            Ok(_) => {}
            Err(error) if error.as_service_error().is_some_and(|e| e.is_resource_in_use_exception()) => {}
            Err(error) => return Err(AwsError::call(format!("creating the stream {name}"), &error)),
        }
        let end = Instant::now() + ACTIVE_WITHIN;
        while !self.stream_is_active(name).await? {
            wait(end, || format!("the stream {name}")).await?;
        }
        Ok(())
    }

    async fn stream_is_active(&self, name: &str) -> Result<bool, AwsError> {
        let described = self.kinesis.describe_stream_summary().stream_name(name).send().await;
        let described =
            described.map_err(|error| AwsError::call(format!("describing the stream {name}"), &error))?;
        let summary = described.stream_description_summary();
        Ok(summary.is_some_and(|summary| *summary.stream_status() == StreamStatus::Active))
    }

    /// Creates a queue with its dead-letter queue (`<name>-dead`), unless they exist. Returns its URL.
    ///
    /// # Errors
    /// When the service refuses it.
    pub async fn create_queue(
        &self,
        name: &str,
        visibility: Duration,
        max_receive: u32,
    ) -> Result<String, AwsError> {
        let dead = self.create_plain_queue(&format!("{name}-dead"), &[]).await?;
        let attributes = self
            .sqs
            .get_queue_attributes()
            .queue_url(&dead)
            .attribute_names(QueueAttributeName::QueueArn)
            .send()
            .await
            .map_err(|error| AwsError::call(format!("reading the attributes of {dead}"), &error))?;
        let arn = attributes
            .attributes()
            .and_then(|all| all.get(&QueueAttributeName::QueueArn))
            .ok_or_else(|| AwsError::stored(format!("the queue {dead}"), "it has no ARN"))?;
        let redrive = serde_json::json!({ "deadLetterTargetArn": arn, "maxReceiveCount": max_receive });
        let settings = [
            (QueueAttributeName::VisibilityTimeout, visibility.as_secs().to_string()),
            (QueueAttributeName::RedrivePolicy, redrive.to_string()),
        ];
        self.create_plain_queue(name, &settings).await
    }

    async fn create_plain_queue(
        &self,
        name: &str,
        attributes: &[(QueueAttributeName, String)],
    ) -> Result<String, AwsError> {
        let mut request = self.sqs.create_queue().queue_name(name);
        for (attribute, value) in attributes {
            request = request.attributes(attribute.clone(), value);
        }
        let created = request
            .send()
            .await
            .map_err(|error| AwsError::call(format!("creating the queue {name}"), &error))?;
        created.queue_url.ok_or_else(|| AwsError::stored(format!("the queue {name}"), "it has no URL"))
    }

    /// Deletes a table with all that is in it.
    ///
    /// # Errors
    /// When the service refuses it.
    pub async fn delete_table(&self, name: &str) -> Result<(), AwsError> {
        let deleted = self.dynamodb.delete_table().table_name(name).send().await;
        deleted.map(drop).map_err(|error| AwsError::call(format!("deleting the table {name}"), &error))
    }

    /// Deletes a stream with all that is in it.
    ///
    /// # Errors
    /// When the service refuses it.
    pub async fn delete_stream(&self, name: &str) -> Result<(), AwsError> {
        let deleted = self.kinesis.delete_stream().stream_name(name).send().await;
        deleted.map(drop).map_err(|error| AwsError::call(format!("deleting the stream {name}"), &error))
    }

    /// Deletes a queue that `create_queue` created, and its dead-letter queue.
    ///
    /// # Errors
    /// When the service refuses it.
    pub async fn delete_queue(&self, url: &str) -> Result<(), AwsError> {
        // The URL of a queue ends with its name.
        for url in [url.to_owned(), format!("{url}-dead")] {
            let deleted = self.sqs.delete_queue().queue_url(&url).send().await;
            deleted.map_err(|error| AwsError::call(format!("deleting the queue {url}"), &error))?;
        }
        Ok(())
    }
}

/// Waits until it is worth asking again whether something is active.
async fn wait(end: Instant, what: impl FnOnce() -> String) -> Result<(), AwsError> {
    if Instant::now() >= end {
        return Err(AwsError::stored(what(), format!("it is not active after {ACTIVE_WITHIN:?}")));
    }
    sleep(ASK_EVERY).await;
    Ok(())
}
