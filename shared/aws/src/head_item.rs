//! The item of a head: its key, its attributes, its size.

use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use replicante_model::time::millis;
use replicante_model::{Kind, RecordName, Timestamp};
use replicante_protocol::head::Head;

use crate::calls::{Item, Key, string};
use crate::error::AwsError;
use crate::expression::{flag, number, text, time};
use crate::table::head_partition;

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
    if head.maintenance != Timestamp::ZERO {
        put("maintenance", time(head.maintenance));
    }
    for (name, version) in [("object", head.object), ("told", head.told)] {
        if version > 0 {
            item.insert(name.to_owned(), number(version));
        }
    }
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
        maintenance: Timestamp(integer("maintenance")?),
        object: count("object")?,
        told: count("told")?,
    })
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
