//! Notices: what refresh workers leave for a discovery. They are no part of its state: whoever holds its claim reads
//! them, and tells what follows.

use aws_sdk_dynamodb::types::{AttributeValue, ReturnConsumedCapacity};
use replicante_model::notice::Notice;
use replicante_model::observer::Suspicion;
use replicante_model::{RecordName, Timestamp};

use crate::calls::{Item, Key};
use crate::error::AwsError;
use crate::expression::{number, text, time};
use crate::table::Table;

/// What the sort keys of notices of processes that are likely to be cut off begin with.
const OBSERVER: &str = "observer#";

impl Table {
    /// Leaves a notice for a discovery, in place of an earlier one of the same process. The table drops it by itself
    /// some time after it has ceased to count.
    ///
    /// # Errors
    /// When the table can't be written.
    pub async fn leave_notice(&self, discovery: &RecordName, notice: &Notice) -> Result<(), AwsError> {
        let Notice { instance, suspicion, until } = notice;
        let key = Key { pk: notice_partition(discovery), sk: format!("{OBSERVER}{instance}") };
        let mut item = Item::from(key);
        item.insert("since".into(), time(suspicion.since));
        item.insert("polled".into(), number(suspicion.polled));
        item.insert("failed".into(), number(suspicion.failed));
        item.insert("until".into(), time(*until));
        item.insert("expires".into(), number(until.seconds()));
        // Any notice there may be is our own: the name of the process is in the key.
        let sent = self
            .client
            .put_item()
            .table_name(&*self.name)
            .set_item(Some(item))
            .return_consumed_capacity(ReturnConsumedCapacity::Total)
            .send()
            .await
            .map_err(|error| AwsError::call(format!("leaving a notice for {discovery}"), &error))?;
        self.meter.write(sent.consumed_capacity());
        Ok(())
    }

    /// The notices for a discovery, those that no longer count too, as one Query reads them, eventually consistent: half
    /// a read unit as long as there are few, and usually there are none.
    ///
    /// # Errors
    /// When the table can't be read.
    pub async fn notices(&self, discovery: &RecordName) -> Result<Vec<Notice>, AwsError> {
        let page = self
            .client
            .query()
            .table_name(&*self.name)
            .key_condition_expression("pk = :pk AND begins_with(sk, :observer)")
            .expression_attribute_values(":pk", text(notice_partition(discovery)))
            .expression_attribute_values(":observer", text(OBSERVER))
            .return_consumed_capacity(ReturnConsumedCapacity::Total)
            .send()
            .await
            .map_err(|error| AwsError::call(format!("reading the notices for {discovery}"), &error))?;
        self.meter.read(page.consumed_capacity());
        Ok(page.items().iter().filter_map(notice).collect())
    }
}

/// Reads a notice. One that can't be read is passed over: nothing rests on it.
fn notice(item: &Item) -> Option<Notice> {
    let number = |name: &str| match item.get(name) {
        Some(AttributeValue::N(digits)) => digits.parse::<i64>().ok(),
        _ => None,
    };
    let count = |name: &str| number(name).and_then(|value| u64::try_from(value).ok());
    let instance = crate::calls::string(item, "sk")?.strip_prefix(OBSERVER)?.to_owned();
    let suspicion =
        Suspicion { since: Timestamp(number("since")?), polled: count("polled")?, failed: count("failed")? };
    Some(Notice { instance, suspicion, until: Timestamp(number("until")?) })
}

/// The partition key of the notices for a discovery.
fn notice_partition(discovery: &RecordName) -> String {
    format!("notice#{}#{}", discovery.kind, discovery.path())
}
