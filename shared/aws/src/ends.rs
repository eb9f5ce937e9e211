//! The end of a record, and its return: tombstones.
//!
//! A record that ends leaves its fence and its epoch behind, so that one that returns under its name goes on from them:
//! nothing of its earlier life can write to it, and no event of it has an id that was used before.

use std::time::Duration;

use aws_sdk_dynamodb::types::{
    ConditionCheck, Delete, Put, ReturnValuesOnConditionCheckFailure, TransactWriteItem,
};
use futures::stream::{self, StreamExt, TryStreamExt};
use replicante_model::{Kind, RecordName, Timestamp};
use replicante_protocol::head::Head;

use crate::calls::{Item, Key, Transaction, string};
use crate::error::AwsError;
use crate::expression::{Guard, number, text};
use crate::head_item::{from_item, key, to_item};
use crate::table::{Table, body_partition};

/// How long a tombstone is kept: longer than any stream keeps the events of the record's last epoch (365 days).
pub(crate) const KEPT: Duration = Duration::from_secs(400 * 24 * 3600);
/// Chunks that are deleted at once.
const DELETES_AT_ONCE: usize = 16;
/// How often a creation is tried while the record ends and returns beside it.
const ATTEMPTS: usize = 5;

/// What came of the end of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Buried {
    /// It has ended.
    Done,
    /// Somebody asked for it since the claim: it goes on.
    Wanted,
    /// The fence is no longer ours: someone else took over.
    TakenOver,
}

/// What is left of a record that has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tombstone {
    /// The record.
    pub record: RecordName,
    /// Its last fence.
    pub fence: u64,
    /// Its last epoch.
    pub epoch: u64,
    /// The sequence number of that epoch's last event; 0 when the epoch was raised since.
    pub sequence: u64,
    /// The last change of its object that its events tell.
    pub told: u64,
}

impl Tombstone {
    pub(crate) fn from_item(kind: Kind, item: &Item) -> Result<Self, AwsError> {
        let path = string(item, "sk").unwrap_or_default();
        let what = || format!("the tombstone of {kind} {path}");
        let (namespace, id) = path
            .split_once('/')
            .ok_or_else(|| AwsError::stored(what(), "its sort key is not namespace/id"))?;
        let number = |name: &str| {
            let number = item.get(name).and_then(|value| value.as_n().ok()).and_then(|n| n.parse().ok());
            number.ok_or_else(|| AwsError::stored(what(), format!("`{name}` is no whole number")))
        };
        let record = RecordName::new(kind, namespace, id);
        let told = if item.contains_key("told") { number("told")? } else { 0 };
        let (fence, epoch, sequence) = (number("fence")?, number("epoch")?, number("sequence")?);
        Ok(Tombstone { record, fence, epoch, sequence, told })
    }
}

pub(crate) fn tombstone_key(record: &RecordName) -> Key {
    Key { pk: format!("gone#{}", record.kind), sk: record.path() }
}

impl Table {
    /// Ends a record: its head makes way for a tombstone, in one transaction, on condition that the fence is ours and that
    /// nobody asked for it since the claim.
    ///
    /// # Errors
    /// When the call failed; whether it took effect is not known.
    pub async fn bury(&self, head: &Head, wanted: u64, now: Timestamp) -> Result<Buried, AwsError> {
        let record = &head.record;
        let guard = Guard::fence(head.fence).on("#wanted = :wanted", &["wanted"]);
        let guard = guard.with(":wanted", number(wanted));
        let mut tombstone = Item::from(tombstone_key(record));
        tombstone.insert("fence".into(), number(head.fence));
        tombstone.insert("epoch".into(), number(head.epoch));
        tombstone.insert("sequence".into(), number(head.sequence));
        tombstone.insert("told".into(), number(head.told));
        tombstone.insert("expires".into(), number(now.plus(KEPT).seconds()));
        let what = || format!("the end of {record}");
        let put = Put::builder().table_name(&*self.name).set_item(Some(tombstone)).build();
        let put = put.map_err(|error| AwsError::stored(what(), error))?;
        let writes =
            vec![self.delete(key(record), guard, what)?, TransactWriteItem::builder().put(put).build()];
        match self.transact(writes, || format!("ending {record}")).await? {
            Transaction::Done => Ok(Buried::Done),
            Transaction::Refused(refused) => {
                let found = refused.into_iter().next().flatten().flatten();
                let found = found.map(|item| from_item(record.kind, &item)).transpose()?;
                Ok(match found {
                    Some(found) if found.fence == head.fence => Buried::Wanted,
                    _ => Buried::TakenOver,
                })
            }
        }
    }

    /// Deletes what an ended record has stored, but for its discovery item. What is left behind when it fails takes room,
    /// and nothing else: a record that returns writes over it.
    ///
    /// # Errors
    /// When the table can't be read or written.
    pub async fn clear_body(&self, record: &RecordName, fence: u64) -> Result<(), AwsError> {
        let action = || format!("clearing the body of {record}");
        let mut keys = Vec::new();
        let mut start: Option<Item> = None;
        loop {
            let page = self
                .client
                .query()
                .table_name(&*self.name)
                .key_condition_expression("pk = :pk")
                .projection_expression("sk, fence")
                .expression_attribute_values(":pk", text(body_partition(record)))
                .set_exclusive_start_key(start)
                .send()
                .await
                .map_err(|error| AwsError::call(action(), &error))?;
            let chunks = page.items().iter().filter(|item| item.contains_key("fence"));
            keys.extend(chunks.filter_map(|item| string(item, "sk").map(String::from)));
            start = page.last_evaluated_key;
            if start.is_none() {
                break;
            }
        }
        let delete = |sk: String| async move {
            let guard = Guard::exists().on("#fence <= :fence", &["fence"]).with(":fence", number(fence));
            let sent = self
                .client
                .delete_item()
                .table_name(&*self.name)
                .set_key(Some(Key { pk: body_partition(record), sk }.into()))
                .condition_expression(guard.expression())
                .set_expression_attribute_names(Some(guard.names))
                .set_expression_attribute_values(Some(guard.values))
                .send()
                .await;
            match sent {
                Ok(_) => Ok(()),
                // Of a record that has returned, or deleted before.
                Err(error)
                    if error
                        .as_service_error()
                        .is_some_and(|e| e.is_conditional_check_failed_exception()) =>
                {
                    Ok(())
                }
                Err(error) => Err(AwsError::call(action(), &error)),
            }
        };
        stream::iter(keys).map(delete).buffer_unordered(DELETES_AT_ONCE).try_collect().await
    }

    /// Creates the head of a record that has none. Where one has ended under its name, it goes on from its fence, in a
    /// higher epoch; the tombstone ends in the same transaction. Returns false when the head exists.
    ///
    /// # Errors
    /// When the table can't be read or written.
    pub async fn create_head(&self, head: &Head) -> Result<bool, AwsError> {
        let record = &head.record;
        let action = || format!("creating the head of {record}");
        for _ in 0..ATTEMPTS {
            let tombstone = self.tombstone(record).await?;
            let mut head = head.clone();
            if let Some(tombstone) = &tombstone {
                head.fence = tombstone.fence;
                head.epoch = head.epoch.max(tombstone.epoch.saturating_add(1));
                head.told = tombstone.told;
            }
            let put = Put::builder()
                .table_name(&*self.name)
                .set_item(Some(to_item(&head)))
                .condition_expression("attribute_not_exists(pk)")
                .build()
                .map_err(|error| AwsError::stored(action(), error))?;
            let end = match tombstone {
                // Of each epoch there is at most one: what ends later ends a higher one.
                Some(Tombstone { epoch, .. }) => {
                    let guard = Guard::exists().on("#epoch = :epoch", &["epoch"]);
                    self.delete(tombstone_key(record), guard.with(":epoch", number(epoch)), action)?
                }
                None => self.check_absent(tombstone_key(record), action)?,
            };
            let writes = vec![TransactWriteItem::builder().put(put).build(), end];
            match self.transact(writes, action).await? {
                Transaction::Done => return Ok(true),
                Transaction::Refused(refused) if refused.first().is_some_and(Option::is_some) => {
                    return Ok(false);
                }
                // The tombstone is another by now.
                Transaction::Refused(_) => {}
            }
        }
        Err(AwsError::Call {
            action: action(),
            reason: "it ends and returns all the time: try again".into(),
            passing: true,
        })
    }

    /// What is left of a record that has ended.
    ///
    /// # Errors
    /// When the table can't be read, or the tombstone is not as expected.
    pub async fn tombstone(&self, record: &RecordName) -> Result<Option<Tombstone>, AwsError> {
        let what = || format!("the tombstone of {record}");
        let got = self.get(tombstone_key(record), || format!("reading {}", what())).await?;
        got.map(|item| Tombstone::from_item(record.kind, &item)).transpose()
    }

    pub(crate) fn delete(
        &self,
        key: Key,
        guard: Guard,
        what: impl FnOnce() -> String,
    ) -> Result<TransactWriteItem, AwsError> {
        let delete = Delete::builder()
            .table_name(&*self.name)
            .set_key(Some(key.into()))
            .condition_expression(guard.expression())
            .set_expression_attribute_names(Some(guard.names))
            .set_expression_attribute_values(Some(guard.values))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .build()
            .map_err(|error| AwsError::stored(what(), error))?;
        Ok(TransactWriteItem::builder().delete(delete).build())
    }

    pub(crate) fn check_absent(
        &self,
        key: Key,
        what: impl FnOnce() -> String,
    ) -> Result<TransactWriteItem, AwsError> {
        let check = ConditionCheck::builder()
            .table_name(&*self.name)
            .set_key(Some(key.into()))
            .condition_expression("attribute_not_exists(pk)")
            .build()
            .map_err(|error| AwsError::stored(what(), error))?;
        Ok(TransactWriteItem::builder().condition_check(check).build())
    }
}
