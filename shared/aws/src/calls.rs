//! The calls on one item: read it, put it, update it. Each is metered, and says what was tried when it fails.

use std::collections::HashMap;
use std::time::Duration;

use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::{
    AttributeValue, CancellationReason, ConsumedCapacity, ReturnConsumedCapacity, ReturnValue,
    ReturnValuesOnConditionCheckFailure, TransactWriteItem,
};
use tokio::time::sleep;

use crate::error::AwsError;
use crate::expression::{Change, Guard, text};
use crate::table::Table;

/// How often a transaction is tried when others write the same items, and the pause before the second attempt.
const ATTEMPTS: u32 = 5;
const PAUSE: Duration = Duration::from_millis(50);

/// An item as the SDK gives it.
pub(crate) type Item = HashMap<String, AttributeValue>;

/// The text of an attribute.
pub(crate) fn string<'a>(item: &'a Item, name: &str) -> Option<&'a str> {
    item.get(name).and_then(|value| value.as_s().ok()).map(String::as_str)
}

/// The key of an item.
#[derive(Clone, Debug)]
pub(crate) struct Key {
    pub pk: String,
    pub sk: String,
}

impl From<Key> for Item {
    fn from(key: Key) -> Item {
        HashMap::from([("pk".to_owned(), text(key.pk)), ("sk".to_owned(), text(key.sk))])
    }
}

/// What came of a conditional write.
#[derive(Debug)]
pub(crate) enum Write {
    /// It took effect; with what was asked to be returned.
    Done(Option<Item>),
    /// Its condition does not hold, for this item or for want of one.
    Refused(Option<Item>),
}

/// What came of several writes, all or none.
#[derive(Debug)]
pub(crate) enum Transaction {
    /// All took effect.
    Done,
    /// None did. For each, in order: whether its condition does not hold, for this item or for want of one.
    Refused(Vec<Option<Option<Item>>>),
}

impl Table {
    /// Reads one item, strongly consistent.
    pub(crate) async fn get(
        &self,
        key: Key,
        action: impl FnOnce() -> String,
    ) -> Result<Option<Item>, AwsError> {
        let got = self
            .client
            .get_item()
            .table_name(&*self.name)
            .set_key(Some(key.into()))
            .consistent_read(true)
            .return_consumed_capacity(ReturnConsumedCapacity::Total)
            .send()
            .await
            .map_err(|error| AwsError::call(action(), &error))?;
        self.meter.read(got.consumed_capacity());
        Ok(got.item)
    }

    /// Reads all items of a partition, as a Query reads them: eventually consistent.
    pub(crate) fn query_all(
        &self,
        partition: &str,
        action: impl Fn() -> String,
    ) -> impl Future<Output = Result<Vec<Item>, AwsError>> {
        self.query(partition, false, action)
    }

    /// Reads all items of a partition, strongly consistent at twice the cost, or eventually.
    pub(crate) async fn query(
        &self,
        partition: &str,
        consistent: bool,
        action: impl Fn() -> String,
    ) -> Result<Vec<Item>, AwsError> {
        let mut items = Vec::new();
        let mut start: Option<Item> = None;
        loop {
            let page = self
                .client
                .query()
                .table_name(&*self.name)
                .key_condition_expression("pk = :pk")
                .expression_attribute_values(":pk", text(partition))
                .consistent_read(consistent)
                .set_exclusive_start_key(start)
                .return_consumed_capacity(ReturnConsumedCapacity::Total);
            // On the heap: with the SDK's futures in it, those of a scheduler's pass are too deep for the compiler.
            let page = Box::pin(page.send()).await.map_err(|error| AwsError::call(action(), &error))?;
            self.meter.read(page.consumed_capacity());
            items.extend(page.items.unwrap_or_default());
            start = page.last_evaluated_key;
            if start.is_none() {
                return Ok(items);
            }
        }
    }

    /// Several writes, all or none. When somebody else writes one of the items at the same time, it is tried again.
    pub(crate) async fn transact(
        &self,
        writes: Vec<TransactWriteItem>,
        action: impl Fn() -> String,
    ) -> Result<Transaction, AwsError> {
        for attempt in 1.. {
            let sent = self
                .client
                .transact_write_items()
                .set_transact_items(Some(writes.clone()))
                .return_consumed_capacity(ReturnConsumedCapacity::Total)
                .send()
                .await;
            let error = match sent {
                Ok(done) => {
                    done.consumed_capacity().iter().for_each(|consumed| self.meter.write(Some(consumed)));
                    return Ok(Transaction::Done);
                }
                Err(error) => error,
            };
            let Some(TransactWriteItemsError::TransactionCanceledException(cancelled)) =
                error.as_service_error()
            else {
                return Err(AwsError::call(action(), &error));
            };
            let refused = |reason: &CancellationReason| {
                (reason.code() == Some("ConditionalCheckFailed")).then(|| reason.item.clone())
            };
            let refused: Vec<_> = cancelled.cancellation_reasons().iter().map(refused).collect();
            if refused.iter().any(Option::is_some) {
                return Ok(Transaction::Refused(refused));
            }
            if attempt == ATTEMPTS {
                return Err(AwsError::call(action(), &error));
            }
            sleep(PAUSE * attempt).await;
        }
        Ok(Transaction::Refused(Vec::new()))
    }

    /// Puts a whole item, on the conditions of `guard`.
    pub(crate) async fn put(
        &self,
        item: Item,
        guard: Guard,
        action: impl FnOnce() -> String,
    ) -> Result<Write, AwsError> {
        let sent = self
            .client
            .put_item()
            .table_name(&*self.name)
            .set_item(Some(item))
            .condition_expression(guard.expression())
            .set_expression_attribute_names(Some(guard.names))
            .set_expression_attribute_values((!guard.values.is_empty()).then_some(guard.values))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .return_consumed_capacity(ReturnConsumedCapacity::Total)
            .send()
            .await;
        let sent = sent.map(|done| (done.consumed_capacity, None));
        self.judge(sent, action, |error| match error {
            PutItemError::ConditionalCheckFailedException(refused) => Some(refused.item.clone()),
            _ => None,
        })
    }

    /// Updates named attributes of an item, on its conditions.
    pub(crate) async fn update(
        &self,
        key: Key,
        change: Change,
        returned: ReturnValue,
        action: impl FnOnce() -> String,
    ) -> Result<Write, AwsError> {
        let sent = self
            .client
            .update_item()
            .table_name(&*self.name)
            .set_key(Some(key.into()))
            .update_expression(change.expression())
            .condition_expression(change.guard.expression())
            .set_expression_attribute_names(Some(change.guard.names))
            .set_expression_attribute_values(Some(change.guard.values))
            .return_values(returned)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .return_consumed_capacity(ReturnConsumedCapacity::Total)
            .send()
            .await;
        let sent = sent.map(|done| (done.consumed_capacity, done.attributes));
        self.judge(sent, action, |error| match error {
            UpdateItemError::ConditionalCheckFailedException(refused) => Some(refused.item.clone()),
            _ => None,
        })
    }

    /// Tells a write that was refused, by which item, from one that failed; and counts what it cost.
    fn judge<E, R>(
        &self,
        sent: Result<(Option<ConsumedCapacity>, Option<Item>), SdkError<E, R>>,
        action: impl FnOnce() -> String,
        refusal: impl FnOnce(&E) -> Option<Option<Item>>,
    ) -> Result<Write, AwsError>
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
        R: std::fmt::Debug + 'static,
    {
        match sent {
            Ok((consumed, returned)) => {
                self.meter.write(consumed.as_ref());
                Ok(Write::Done(returned))
            }
            Err(error) => match error.as_service_error().and_then(refusal) {
                Some(found) => {
                    self.meter.refused();
                    Ok(Write::Refused(found))
                }
                None => Err(AwsError::call(action(), &error)),
            },
        }
    }
}
