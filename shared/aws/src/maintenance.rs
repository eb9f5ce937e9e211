//! Maintenance windows: an item each, and its end in the head, so that a refresh without one reads nothing more.

use aws_sdk_dynamodb::types::{Put, TransactWriteItem};
use replicante_model::maintenance::Maintenance;
use replicante_model::{RecordName, Timestamp};

use crate::calls::{Item, Key, Transaction, string};
use crate::error::AwsError;
use crate::expression::{Change, Guard, number, text, time};
use crate::table::Table;

const PARTITION: &str = "intent#maintenance";

fn key(record: &RecordName) -> Key {
    Key { pk: PARTITION.into(), sk: record.path() }
}

impl Table {
    /// The maintenance window of a cluster that was stored last, strongly consistent. `None` for one that can't be read, of
    /// a newer release maybe.
    ///
    /// # Errors
    /// When the table can't be read.
    pub async fn maintenance(&self, record: &RecordName) -> Result<Option<Maintenance>, AwsError> {
        let got = self.get(key(record), || format!("reading the maintenance window of {record}")).await?;
        Ok(got.as_ref().and_then(|item| serde_json::from_str(string(item, "window")?).ok()))
    }

    /// Stores a maintenance window of a cluster, in the place of an earlier one. Returns false when there is no such
    /// cluster.
    ///
    /// # Errors
    /// When the table can't be written.
    pub async fn begin_maintenance(
        &self,
        record: &RecordName,
        window: &Maintenance,
    ) -> Result<bool, AwsError> {
        let action = || format!("storing the maintenance window of {record}");
        let json = serde_json::to_string(window).map_err(|error| AwsError::stored(action(), error))?;
        let mut item = Item::from(key(record));
        item.insert("window".into(), text(json));
        item.insert("expires".into(), number(window.until.seconds()));
        let put = Put::builder().table_name(&*self.name).set_item(Some(item)).build();
        let put = put.map_err(|error| AwsError::stored(action(), error))?;
        let put = TransactWriteItem::builder().put(put).build();
        let writes = vec![self.tell_head(record, window.until)?, put];
        Ok(matches!(self.transact(writes, action).await?, Transaction::Done))
    }

    /// Ends the maintenance window of a cluster. Returns false when there is none.
    ///
    /// # Errors
    /// When the table can't be written.
    pub async fn end_maintenance(&self, record: &RecordName) -> Result<bool, AwsError> {
        let action = || format!("ending the maintenance window of {record}");
        let writes = vec![
            self.tell_head(record, Timestamp::ZERO)?,
            self.delete(key(record), Guard::exists(), action)?,
        ];
        Ok(matches!(self.transact(writes, action).await?, Transaction::Done))
    }

    /// The end of the window in the head: not guarded, it only says where to look.
    fn tell_head(&self, record: &RecordName, until: Timestamp) -> Result<TransactWriteItem, AwsError> {
        let change = Change::on(Guard::exists()).set("maintenance", time(until));
        self.update_of_head(record, change)
    }
}
