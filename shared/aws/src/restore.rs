//! What a restored table needs before anybody works on it again: higher epochs, and a mark that they were raised.
//!
//! Of the command line alone, while no function runs. Each write is conditional, and changes nothing when it is repeated.

use aws_sdk_dynamodb::types::{Put, ReturnValue, TransactWriteItem};
use replicante_model::{Kind, RecordName, Timestamp};
use replicante_protocol::slot::Body;
use serde::{Deserialize, Serialize};

use crate::calls::{Item, Key, Transaction, Write, string};
use crate::ends::{KEPT, Tombstone, tombstone_key};
use crate::error::{AwsError, FenceError};
use crate::expression::{Change, Guard, flag, number, text, time};
use crate::head_item::{body_attribute, key};
use crate::heads::HeadWrite;
use crate::table::Table;

/// The beginning of a new epoch: absolute values, so that repeating it is harmless.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Restart {
    /// The epoch.
    pub epoch: u64,
    /// The slot that was written under the claim. `None`: the record has no body yet.
    pub body: Option<Body>,
    /// How many events the slot's outbox has: they are numbered from 1.
    pub sequence: u64,
    /// Whether the outbox has anything to deliver.
    pub owed: bool,
}

/// The mark that a restored table's epochs are being raised, or were.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestoreMark {
    /// The point in time that the table was restored to.
    pub restored_to: Timestamp,
    /// When raising began.
    pub began: Timestamp,
    /// The epoch that every record goes on in.
    pub epoch: u64,
    /// Who raised.
    pub actor: String,
    /// Why it was done although it had been done before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub again: Option<String>,
    /// When all was raised.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub done: Option<Timestamp>,
}

fn mark_key() -> Key {
    Key { pk: "restore".into(), sk: "mark".into() }
}

impl Table {
    /// The name of the table.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The tombstones of a kind, as a Query reads them: eventually consistent.
    ///
    /// # Errors
    /// When the table can't be read, or a tombstone is not as expected.
    pub async fn tombstones(&self, kind: Kind) -> Result<Vec<Tombstone>, AwsError> {
        let partition = format!("gone#{kind}");
        let items =
            self.query_all(&partition, || format!("listing {partition} in table {}", self.name)).await?;
        items.iter().map(|item| Tombstone::from_item(kind, item)).collect()
    }

    /// Raises the epoch of a record's tombstone. Returns false when there is none by now, or it is of this epoch or a higher one.
    ///
    /// # Errors
    /// When the table can't be written.
    pub async fn raise_tombstone(&self, record: &RecordName, epoch: u64) -> Result<bool, AwsError> {
        let guard = Guard::exists().on("#epoch < :new", &["epoch"]).with(":new", number(epoch));
        let change = Change::on(guard).set("epoch", number(epoch)).set("sequence", number(0));
        let action = || format!("raising the tombstone of {record}");
        let written = self.update(tombstone_key(record), change, ReturnValue::None, action).await?;
        Ok(matches!(written, Write::Done(_)))
    }

    /// Leaves a tombstone for a record that the stream knows and the table does not: one that returns goes on from it.
    /// Returns false when the record has a head.
    ///
    /// # Errors
    /// When the table can't be written.
    pub async fn leave_tombstone(
        &self,
        record: &RecordName,
        epoch: u64,
        sequence: u64,
        now: Timestamp,
    ) -> Result<bool, AwsError> {
        let action = || format!("leaving a tombstone of {record}");
        let mut item = Item::from(tombstone_key(record));
        let known = self.tombstone(record).await?;
        let (fence, told) = known.map_or((0, 0), |known| (known.fence, known.told));
        item.insert("fence".into(), number(fence));
        item.insert("told".into(), number(told));
        item.insert("epoch".into(), number(epoch));
        item.insert("sequence".into(), number(sequence));
        item.insert("expires".into(), number(now.plus(KEPT).seconds()));
        let put = Put::builder().table_name(&*self.name).set_item(Some(item)).build();
        let put = put.map_err(|error| AwsError::stored(action(), error))?;
        let no_head = self.check_absent(key(record), action)?;
        let writes = vec![no_head, TransactWriteItem::builder().put(put).build()];
        Ok(matches!(self.transact(writes, action).await?, Transaction::Done))
    }

    /// Begins a record's new epoch, on condition that the fence is ours: names the new slot, and gives the lease back.
    /// What was queued of it counts as forgotten.
    ///
    /// # Errors
    /// [`FenceError::TakenOver`] when the fence is not ours, or the record has this epoch or a higher one.
    pub async fn restart(
        &self,
        record: &RecordName,
        fence: u64,
        restart: &Restart,
    ) -> Result<(), FenceError> {
        // Twice the same values: a first attempt that lands after its repetition sets what is set.
        let guard = Guard::fence(fence).on("#epoch <= :new", &["epoch"]).with(":new", number(restart.epoch));
        let change = Change::on(guard)
            .set("epoch", number(restart.epoch))
            .set("sequence", number(restart.sequence))
            .set("published", number(0))
            .set("owed", flag(restart.owed))
            .set_some("body", restart.body.as_ref().map(body_attribute))
            .set("queued_due", time(Timestamp::ZERO))
            .set("lease_until", time(Timestamp::ZERO));
        match self.update_head(record, change, "beginning a new epoch of").await? {
            HeadWrite::Done => Ok(()),
            HeadWrite::Refused(_) => Err(FenceError::TakenOver),
        }
    }

    /// The mark of the last restore, if any.
    ///
    /// # Errors
    /// When the table can't be read, or the mark is not as expected.
    pub async fn restore_mark(&self) -> Result<Option<RestoreMark>, AwsError> {
        let Some(item) = self.get(mark_key(), || "reading the mark of the last restore".into()).await? else {
            return Ok(None);
        };
        let json = string(&item, "mark").unwrap_or_default();
        serde_json::from_str(json)
            .map(Some)
            .map_err(|error| AwsError::stored("the mark of the last restore", error))
    }

    /// Leaves a mark in place of the one that was read. Returns false when another was left meanwhile.
    ///
    /// # Errors
    /// When the table can't be written.
    pub async fn mark_restore(
        &self,
        mark: &RestoreMark,
        known: Option<&RestoreMark>,
    ) -> Result<bool, AwsError> {
        let json = |mark: &RestoreMark| {
            serde_json::to_string(mark).map_err(|error| AwsError::stored("the mark of a restore", error))
        };
        let mut item = Item::from(mark_key());
        item.insert("mark".into(), text(json(mark)?));
        let guard = match known {
            None => Guard::default().on("attribute_not_exists(#pk)", &["pk"]),
            Some(known) => {
                Guard::default().on("#mark = :known", &["mark"]).with(":known", text(json(known)?))
            }
        };
        let written = self.put(item, guard, || "leaving the mark of a restore".into()).await?;
        Ok(matches!(written, Write::Done(_)))
    }
}
