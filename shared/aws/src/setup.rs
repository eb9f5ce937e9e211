//! Setting up what the template creates on AWS, on services that run locally.

use std::time::Duration;

use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType,
};
use aws_sdk_sqs::types::QueueAttributeName;

use crate::clients::Clients;
use crate::error::AwsError;

impl Clients {
    /// Creates the table, unless it exists: on demand, `pk` and `sk`.
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
            Ok(_) => Ok(()),
            Err(error) if error.as_service_error().is_some_and(|e| e.is_resource_in_use_exception()) => {
                Ok(())
            }
            Err(error) => Err(AwsError::call(format!("creating the table {name}"), &error)),
        }
    }

    /// Creates the stream, unless it exists.
    ///
    /// # Errors
    /// When the service refuses it.
    pub async fn create_stream(&self, name: &str, shards: i32) -> Result<(), AwsError> {
        match self.kinesis.create_stream().stream_name(name).shard_count(shards).send().await {
            Ok(_) => Ok(()),
            Err(error) if error.as_service_error().is_some_and(|e| e.is_resource_in_use_exception()) => {
                Ok(())
            }
            Err(error) => Err(AwsError::call(format!("creating the stream {name}"), &error)),
        }
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
}
