//! Heads: listed, created, scheduled and asked for.

use std::time::Duration;

use aws_sdk_dynamodb::types::{ReturnValue, TransactWriteItem, Update};
use replicante_model::time::millis;
use replicante_model::{Kind, RecordName, Timestamp};
use replicante_protocol::head::Head;
use replicante_protocol::schedule::Plan;

use crate::calls::Write;
use crate::error::AwsError;
use crate::expression::{Change, Guard, flag, number, time};
use crate::head_item::{from_item, key};
use crate::table::{Table, head_partition};

/// The heads of one spread shard.
#[derive(Debug, Default)]
pub struct Heads {
    /// Those that can be read.
    pub heads: Vec<Head>,
    /// Why the others can't: each names its record.
    pub unreadable: Vec<AwsError>,
}

/// What came of a conditional write of a head.
#[derive(Debug)]
pub(crate) enum HeadWrite {
    /// It took effect.
    Done,
    /// Refused by this head, or because there is none.
    Refused(Option<Box<Head>>),
}

impl Table {
    /// The heads of one spread shard, all of them, as one Query reads them (eventually consistent: what
    /// follows from them is conditional).
    ///
    /// # Errors
    /// When the table can't be read.
    pub async fn heads(&self, kind: Kind, shard: u64) -> Result<Heads, AwsError> {
        let partition = head_partition(kind, shard);
        let mut heads = Heads::default();
        let action = || format!("listing {partition} in table {}", self.name);
        for item in self.query_all(&partition, action).await? {
            match from_item(kind, &item) {
                Ok(head) => heads.heads.push(head),
                // One damaged head keeps no other record from its work.
                Err(error) => heads.unreadable.push(error),
            }
        }
        Ok(heads)
    }

    /// One head, strongly consistent.
    ///
    /// # Errors
    /// When the table can't be read.
    pub async fn head(&self, record: &RecordName) -> Result<Option<Head>, AwsError> {
        let got = self.get(key(record), || format!("reading the head of {record}")).await?;
        got.map(|item| from_item(record.kind, &item)).transpose()
    }

    /// Moves a record on after its task was sent: `due` to its next slot, `queued_due` to the task's stamp.
    /// Returns false when another scheduler did so before (its `due` is no longer what was read).
    ///
    /// # Errors
    /// When the table can't be written.
    pub async fn mark_queued(&self, head: &Head, plan: &Plan, now: Timestamp) -> Result<bool, AwsError> {
        let guard = Guard::exists().on("#due = :read", &["due"]).with(":read", time(head.due));
        let change = Change::on(guard)
            .set("due", time(plan.next_due))
            .set("queued_due", time(plan.stamp))
            .set("queued_at", time(now));
        let moved = self.update_head(&head.record, change, "moving on the due time of").await?;
        Ok(matches!(moved, HeadWrite::Done))
    }

    /// Forgets that a record's task was queued, and the lease of a worker, when both are known to have ended
    /// with their process: the embedded queues and workers live in one. On condition that nobody claimed it since.
    ///
    /// # Errors
    /// When the table can't be written.
    pub async fn forget_queued(&self, head: &Head) -> Result<(), AwsError> {
        let change = Change::on(Guard::fence(head.fence))
            .set("queued_due", time(Timestamp::ZERO))
            .set("lease_until", time(Timestamp::ZERO));
        self.update_head(&head.record, change, "forgetting the queued task of").await.map(|_| ())
    }

    /// Asks for a record that exists: its interval and whether it is enabled, the last change of its object if that was read,
    /// `due` pulled forward to `now` (never back), `wanted` raised. Returns false when there is no such head.
    ///
    /// # Errors
    /// When the table can't be written.
    pub async fn want(
        &self,
        record: &RecordName,
        interval: Duration,
        enabled: bool,
        object: Option<u64>,
        now: Timestamp,
    ) -> Result<bool, AwsError> {
        for pull in [true, false] {
            let mut guard = Guard::exists();
            if pull {
                guard = guard.on("#due > :now", &["due"]).with(":now", time(now));
            }
            let change = Change::on(guard)
                .set("interval", number(millis(interval)))
                .set("enabled", flag(enabled))
                .add("wanted", 1)
                .set_some("object", object.map(number))
                .set_some("due", pull.then(|| time(now)));
            match self.update_head(record, change, "asking for").await? {
                HeadWrite::Done => return Ok(true),
                HeadWrite::Refused(None) => return Ok(false),
                HeadWrite::Refused(Some(_)) => {}
            }
        }
        Ok(false)
    }

    /// One conditional update of a head.
    pub(crate) async fn update_head(
        &self,
        record: &RecordName,
        change: Change,
        action: &str,
    ) -> Result<HeadWrite, AwsError> {
        let action = || format!("{action} {record}");
        match self.update(key(record), change, ReturnValue::None, action).await? {
            Write::Done(_) => Ok(HeadWrite::Done),
            Write::Refused(item) => {
                let head = item.map(|item| from_item(record.kind, &item)).transpose()?;
                Ok(HeadWrite::Refused(head.map(Box::new)))
            }
        }
    }

    /// The same as one of the writes of a transaction.
    pub(crate) fn update_of_head(
        &self,
        record: &RecordName,
        change: Change,
    ) -> Result<TransactWriteItem, AwsError> {
        let update = Update::builder()
            .table_name(&*self.name)
            .set_key(Some(key(record).into()))
            .update_expression(change.expression())
            .condition_expression(change.guard.expression())
            .set_expression_attribute_names(Some(change.guard.names))
            .set_expression_attribute_values(Some(change.guard.values))
            .build()
            .map_err(|error| AwsError::stored(format!("the head of {record}"), error))?;
        Ok(TransactWriteItem::builder().update(update).build())
    }
}
