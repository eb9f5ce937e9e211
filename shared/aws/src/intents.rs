//! Intents: what operators want of a discovery, each an item of its own.

use std::time::Duration;

use replicante_model::intent::Intent;
use replicante_model::{RecordName, Timestamp};

use crate::calls::{Item, Key, string};
use crate::error::AwsError;
use crate::expression::{number, text};
use crate::table::Table;

/// How long an intent is kept that has no end of its own, or beyond it.
const KEPT: Duration = Duration::from_secs(30 * 24 * 3600);

fn partition(discovery: &RecordName) -> String {
    format!("intent#{}#{}", discovery.kind, discovery.path())
}

impl Table {
    /// The intents of a discovery. One that can't be read, of a newer release maybe, is passed over.
    ///
    /// # Errors
    /// When the table can't be read.
    pub async fn intents(&self, discovery: &RecordName) -> Result<Vec<Intent>, AwsError> {
        let partition = partition(discovery);
        let items = self.query_all(&partition, || format!("reading the intents of {discovery}"));
        let read = |item: &Item| string(item, "intent").and_then(|json| serde_json::from_str(json).ok());
        Ok(items.await?.iter().filter_map(read).collect())
    }

    /// Stores an intent, in the place of an earlier one of its key.
    ///
    /// # Errors
    /// When the table can't be written.
    pub async fn put_intent(
        &self,
        discovery: &RecordName,
        intent: &Intent,
        now: Timestamp,
    ) -> Result<(), AwsError> {
        let action = || format!("storing an intent of {discovery}");
        let json = serde_json::to_string(intent).map_err(|error| AwsError::stored(action(), error))?;
        let mut item = Item::from(Key { pk: partition(discovery), sk: intent.key() });
        item.insert("intent".into(), text(json));
        let until = intent.until().unwrap_or(now).max(now).plus(KEPT);
        item.insert("expires".into(), number(until.seconds()));
        self.client
            .put_item()
            .table_name(&*self.name)
            .set_item(Some(item))
            .send()
            .await
            .map_err(|error| AwsError::call(action(), &error))?;
        Ok(())
    }

    /// Takes an intent back. Returns whether there was one.
    ///
    /// # Errors
    /// When the table can't be written.
    pub async fn delete_intent(&self, discovery: &RecordName, key: &str) -> Result<bool, AwsError> {
        let deleted = self
            .client
            .delete_item()
            .table_name(&*self.name)
            .set_key(Some(Key { pk: partition(discovery), sk: key.into() }.into()))
            .return_values(aws_sdk_dynamodb::types::ReturnValue::AllOld)
            .send()
            .await
            .map_err(|error| AwsError::call(format!("taking back an intent of {discovery}"), &error))?;
        Ok(deleted.attributes.is_some())
    }
}
