//! Audits: who applied or deleted the object of a record. Written with the object, told by the record's worker.
//!
//! Each is an item of its own, in a partition of its record, by its number. The head has the number of the last one
//! (`object`), and of the last one that is told (`told`, which a commit sets): a task reads them when the two differ, and costs
//! nothing more when they do not.

use std::time::Duration;

use aws_sdk_dynamodb::types::{Put, ReturnConsumedCapacity, TransactWriteItem};
use replicante_model::object::Audit;
use replicante_model::{RecordName, Timestamp};
use replicante_protocol::head::Head;

use crate::calls::{Item, Key, string};
use crate::error::AwsError;
use crate::expression::{number, text};
use crate::table::Table;

/// How long an audit is kept. What a record could not tell by then is not told.
const KEPT: Duration = Duration::from_secs(30 * 24 * 3600);
/// The most audits that one commit tells. A page of a Query ends at 1 MiB in any case.
const AT_ONCE: i32 = 100;

/// The changes of its object that a record has to tell.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Untold {
    /// They, in order.
    pub audits: Vec<Audit>,
    /// How many can't be read, of a newer release maybe: they are not told.
    pub unreadable: usize,
    /// What is told when they are, to be stored in the commit. `None`: what was told before.
    pub told: Option<u64>,
    /// Whether more are to come than one commit tells.
    pub more: bool,
}

fn partition(record: &RecordName) -> String {
    format!("audit#{}#{}", record.kind, record.path())
}

/// Digits enough that text sorts as numbers do.
fn sort_key(version: u64) -> String {
    format!("{version:020}")
}

fn version_of(item: &Item) -> u64 {
    string(item, "sk").and_then(|digits| digits.parse().ok()).unwrap_or(0)
}

impl Table {
    /// The changes of its object that a record has to tell, by its head as the claim returned it. Read when the head says
    /// that there are any, or of a record that has not committed yet: its object may be older than its head.
    ///
    /// # Errors
    /// When the table can't be read.
    pub async fn untold(&self, head: &Head) -> Result<Untold, AwsError> {
        if !head.has_to_tell() && head.body.is_some() {
            return Ok(Untold::default());
        }
        let record = &head.record;
        let page = self
            .client
            .query()
            .table_name(&*self.name)
            .key_condition_expression("pk = :pk AND sk > :told")
            .expression_attribute_values(":pk", text(partition(record)))
            .expression_attribute_values(":told", text(sort_key(head.told)))
            .limit(AT_ONCE)
            .consistent_read(true)
            .return_consumed_capacity(ReturnConsumedCapacity::Total)
            .send()
            .await
            .map_err(|error| AwsError::call(format!("reading who changed the object of {record}"), &error))?;
        self.meter.read(page.consumed_capacity());
        let more = page.last_evaluated_key.is_some();
        let items = page.items.unwrap_or_default();
        let last = items.last().map_or(head.told, version_of);
        // Those that are no longer kept count as told.
        let told = if more { last } else { last.max(head.object) };
        let read = |item: &Item| string(item, "audit").and_then(|json| serde_json::from_str(json).ok());
        let audits: Vec<Audit> = items.iter().filter_map(read).collect();
        Ok(Untold {
            unreadable: items.len() - audits.len(),
            audits,
            told: (told > head.told).then_some(told),
            more,
        })
    }

    /// The number of the last change of an object that there is no more.
    pub(crate) async fn last_change(
        &self,
        record: &RecordName,
        head: Option<&Head>,
    ) -> Result<u64, AwsError> {
        let told = match head {
            Some(head) => head.object.max(head.told),
            None => self.tombstone(record).await?.map_or(0, |tombstone| tombstone.told),
        };
        let last = self
            .client
            .query()
            .table_name(&*self.name)
            .key_condition_expression("pk = :pk")
            .expression_attribute_values(":pk", text(partition(record)))
            .scan_index_forward(false)
            .limit(1)
            .consistent_read(true)
            .send()
            .await
            .map_err(|error| AwsError::call(format!("reading who changed the object of {record}"), &error))?;
        Ok(last.items().first().map_or(0, version_of).max(told))
    }

    /// Leaves a change of an object to be told.
    pub(crate) fn audit_put(
        &self,
        record: &RecordName,
        version: u64,
        audit: &Audit,
        now: Timestamp,
    ) -> Result<TransactWriteItem, AwsError> {
        let what = || format!("who changed the object of {record}");
        let json = serde_json::to_string(audit).map_err(|error| AwsError::stored(what(), error))?;
        let mut item = Item::from(Key { pk: partition(record), sk: sort_key(version) });
        item.insert("audit".into(), text(json));
        item.insert("expires".into(), number(now.plus(KEPT).seconds()));
        let put = Put::builder()
            .table_name(&*self.name)
            .set_item(Some(item))
            .condition_expression("attribute_not_exists(pk)")
            .build()
            .map_err(|error| AwsError::stored(what(), error))?;
        Ok(TransactWriteItem::builder().put(put).build())
    }
}
