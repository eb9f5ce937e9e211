//! Pauses: all of them in one partition, which both schedulers read once a pass.

use std::time::Duration;

use replicante_model::pause::{Pause, Pauses};
use replicante_model::{RecordName, Timestamp};

use crate::calls::{Item, Key, string};
use crate::error::AwsError;
use crate::expression::{number, text};
use crate::table::Table;

const PARTITION: &str = "intent#pause";
/// The sort key of the pause of everything: no record has such a name.
const ALL: &str = "all";
/// How long one is kept that has ended: by then its records were due again. One whose interval is longer is then due at
/// once instead of at its slot.
const KEPT: Duration = Duration::from_secs(24 * 3600);

impl Table {
    /// The pauses, as one Query reads them, eventually consistent: half a read unit as long as there are few, and usually
    /// there are none. One that can't be read, of a newer release maybe, is one without an end: what is paused is left alone.
    ///
    /// # Errors
    /// When the table can't be read.
    pub async fn pauses(&self) -> Result<Pauses, AwsError> {
        let mut pauses = Pauses::default();
        for item in self.query_all(PARTITION, || "reading the pauses".into()).await? {
            let Some((name, pause)) = read(&item) else { continue };
            if name == ALL {
                pauses.all = Some(pause);
            } else if let Ok(record) = RecordName::parse_key(name) {
                pauses.records.insert(record, pause);
            }
        }
        Ok(pauses)
    }

    /// Stores a pause of a record, or of everything, in the place of an earlier one.
    ///
    /// # Errors
    /// When the table can't be written.
    pub async fn put_pause(&self, record: Option<&RecordName>, pause: &Pause) -> Result<(), AwsError> {
        let name = record.map_or_else(|| ALL.to_owned(), RecordName::key);
        let action = || format!("storing the pause of {name}");
        let json = serde_json::to_string(pause).map_err(|error| AwsError::stored(action(), error))?;
        let mut item = Item::from(Key { pk: PARTITION.into(), sk: name.clone() });
        item.insert("pause".into(), text(json));
        if let Some(until) = pause.until {
            item.insert("expires".into(), number(until.max(Timestamp::ZERO).plus(KEPT).seconds()));
        }
        let sent = self.client.put_item().table_name(&*self.name).set_item(Some(item)).send().await;
        sent.map(drop).map_err(|error| AwsError::call(action(), &error))
    }
}

fn read(item: &Item) -> Option<(&str, Pause)> {
    let pause = string(item, "pause").and_then(|json| serde_json::from_str(json).ok());
    let unreadable = || Pause {
        since: Timestamp::ZERO,
        until: None,
        reason: Some("what is stored of it can't be read: pause it anew, or resume it".into()),
        actor: "unknown".into(),
        ended_by: None,
    };
    Some((string(item, "sk")?, pause.unwrap_or_else(unreadable)))
}
