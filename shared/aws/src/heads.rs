//! Heads: how they are stored, listed and scheduled.

use std::time::Duration;

use aws_sdk_dynamodb::types::{AttributeValue, ReturnConsumedCapacity, ReturnValue};
use replicante_model::time::millis;
use replicante_model::{Kind, RecordName, Timestamp};
use replicante_protocol::head::Head;
use replicante_protocol::schedule::Plan;

use crate::calls::{Item, Key, Write, string};
use crate::error::AwsError;
use crate::expression::{Expression, flag, number, text, time};
use crate::table::{Table, head_partition};

/// The key of a record's head.
pub(crate) fn key(record: &RecordName) -> Key {
    Key { pk: head_partition(record.kind, record.spread_shard()), sk: record.path() }
}

/// A head as an item.
pub(crate) fn to_item(head: &Head) -> Item {
    let mut item = Item::from(key(&head.record));
    let mut put = |name: &str, value: AttributeValue| item.insert(name.to_owned(), value);
    put("fence", number(head.fence));
    put("lease_until", time(head.lease_until));
    put("holder", text(&*head.holder));
    put("epoch", number(head.epoch));
    put("sequence", number(head.sequence));
    put("owed", flag(head.owed));
    put("published", number(head.published));
    if let Some(body) = &head.body {
        put("body", body_attribute(body));
    }
    if let Some(summary) = &head.summary {
        put("summary", text(&**summary));
    }
    put("due", time(head.due));
    put("interval", number(millis(head.interval)));
    put("enabled", flag(head.enabled));
    put("queued_due", time(head.queued_due));
    put("queued_at", time(head.queued_at));
    put("done_due", time(head.done_due));
    put("wanted", number(head.wanted));
    item
}

/// A body as an attribute: one line of JSON, readable in a console.
pub(crate) fn body_attribute(body: &replicante_protocol::slot::Body) -> AttributeValue {
    // A struct of numbers and an enum: JSON holds it.
    text(serde_json::to_string(body).unwrap_or_default())
}

/// A head from an item.
pub(crate) fn from_item(kind: Kind, item: &Item) -> Result<Head, AwsError> {
    let path = string(item, "sk").unwrap_or_default();
    let what = || format!("the head of {kind} {path}");
    let (namespace, id) =
        path.split_once('/').ok_or_else(|| AwsError::stored(what(), "its sort key is not namespace/id"))?;
    let integer = |name: &str| -> Result<i64, AwsError> {
        match item.get(name) {
            None => Ok(0),
            Some(AttributeValue::N(digits)) => digits.parse().map_err(|_| {
                AwsError::stored(what(), format!("`{name}` is `{digits}`: expected a whole number"))
            }),
            Some(other) => Err(AwsError::stored(what(), format!("`{name}` is {other:?}: expected a number"))),
        }
    };
    let count = |name: &str| -> Result<u64, AwsError> {
        let value = integer(name)?;
        u64::try_from(value)
            .map_err(|_| AwsError::stored(what(), format!("`{name}` is {value}: expected none below 0")))
    };
    let boolean = |name: &str| matches!(item.get(name), Some(AttributeValue::Bool(true)));
    let body = match string(item, "body") {
        None => None,
        Some(json) => Some(serde_json::from_str(json).map_err(|error| AwsError::stored(what(), error))?),
    };
    Ok(Head {
        record: RecordName::new(kind, namespace, id),
        fence: count("fence")?,
        lease_until: Timestamp(integer("lease_until")?),
        holder: string(item, "holder").unwrap_or_default().to_owned(),
        epoch: count("epoch")?,
        sequence: count("sequence")?,
        owed: boolean("owed"),
        published: count("published")?,
        body,
        summary: string(item, "summary").map(str::to_owned),
        due: Timestamp(integer("due")?),
        interval: Duration::from_millis(count("interval")?),
        enabled: boolean("enabled"),
        queued_due: Timestamp(integer("queued_due")?),
        queued_at: Timestamp(integer("queued_at")?),
        done_due: Timestamp(integer("done_due")?),
        wanted: count("wanted")?,
    })
}

impl Table {
    /// The heads of one spread shard, all of them, as one Query reads them (eventually consistent: what
    /// follows from them is conditional).
    ///
    /// # Errors
    /// When the table can't be read.
    pub async fn heads(&self, kind: Kind, shard: u64) -> Result<Vec<Head>, AwsError> {
        let partition = head_partition(kind, shard);
        let mut heads = Vec::new();
        let mut start: Option<Item> = None;
        loop {
            let page = self
                .client
                .query()
                .table_name(&*self.name)
                .key_condition_expression("pk = :pk")
                .expression_attribute_values(":pk", text(&*partition))
                .set_exclusive_start_key(start)
                .return_consumed_capacity(ReturnConsumedCapacity::Total)
                .send()
                .await
                .map_err(|error| {
                    AwsError::call(format!("listing {partition} in table {}", self.name), &error)
                })?;
            self.meter.read(page.consumed_capacity());
            for item in page.items() {
                heads.push(from_item(kind, item)?);
            }
            start = page.last_evaluated_key;
            if start.is_none() {
                return Ok(heads);
            }
        }
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
        let mut update = Expression::default();
        update
            .set("due", time(plan.next_due))
            .set("queued_due", time(plan.stamp))
            .set("queued_at", time(now))
            .condition("#due = :read", &["due"])
            .value(":read", time(head.due));
        Ok(self.update_head(&head.record, update, "moving on the due time of").await?.is_ok())
    }

    /// Forgets that a record's task was queued, and the lease of a worker, when both are known to have ended
    /// with their process: the embedded queues and workers live in one. On condition that nobody claimed it since.
    ///
    /// # Errors
    /// When the table can't be written.
    pub async fn forget_queued(&self, head: &Head) -> Result<(), AwsError> {
        let mut update = Expression::default();
        update
            .set("queued_due", time(Timestamp::ZERO))
            .set("lease_until", time(Timestamp::ZERO))
            .condition("#fence = :fence", &["fence"])
            .value(":fence", number(head.fence));
        self.update_head(&head.record, update, "forgetting the queued task of").await.map(|_| ())
    }

    /// Creates the head of a record that has none. Returns false when it exists.
    ///
    /// # Errors
    /// When the table can't be written.
    pub async fn create_head(&self, head: &Head) -> Result<bool, AwsError> {
        let mut guard = Expression::default();
        guard.condition("attribute_not_exists(#pk)", &["pk"]);
        let action = || format!("creating the head of {}", head.record);
        Ok(self.put(to_item(head), guard, action).await?.is_done())
    }

    /// Asks for a record that exists: its interval and whether it is enabled, `due` pulled forward to `now`
    /// (never back), `wanted` raised. Returns false when there is no such head.
    ///
    /// # Errors
    /// When the table can't be written.
    pub async fn want(
        &self,
        record: &RecordName,
        interval: Duration,
        enabled: bool,
        now: Timestamp,
    ) -> Result<bool, AwsError> {
        for pull in [true, false] {
            let mut update = Expression::default();
            update.set("interval", number(millis(interval))).set("enabled", flag(enabled)).add("wanted", 1);
            update.condition("attribute_exists(#pk)", &["pk"]);
            if pull {
                update.set("due", time(now)).condition("#due > :now", &["due"]).value(":now", time(now));
            }
            match self.update_head(record, update, "asking for").await? {
                Ok(()) => return Ok(true),
                Err(None) => return Ok(false),
                Err(Some(_)) => {}
            }
        }
        Ok(false)
    }

    /// One conditional update of a head. The inner error is a refusal, with the head that refused it.
    pub(crate) async fn update_head(
        &self,
        record: &RecordName,
        update: Expression,
        action: &str,
    ) -> Result<Result<(), Option<Head>>, AwsError> {
        let action = || format!("{action} {record}");
        match self.update(key(record), update, ReturnValue::None, action).await? {
            Write::Done(_) => Ok(Ok(())),
            Write::Refused(item) => Ok(Err(item.map(|item| from_item(record.kind, &item)).transpose()?)),
        }
    }
}

/// The size of a head as DynamoDB counts it: names and values in UTF-8, numbers by their digits.
///
/// Source: the developer guide, "DynamoDB item sizes and formats".
pub fn head_size(head: &Head) -> usize {
    let value = |value: &AttributeValue| match value {
        AttributeValue::S(text) => text.len(),
        AttributeValue::N(digits) => digits.len().div_ceil(2) + 1,
        _ => 1,
    };
    to_item(head).iter().map(|(name, attribute)| name.len() + value(attribute)).sum()
}
