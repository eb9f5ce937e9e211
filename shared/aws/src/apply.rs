//! Applying objects: each is stored, its record asked for, and who did so left to be told, in one transaction.

use std::time::Duration;

use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::{Put, TransactWriteItem};
use replicante_model::object::Audit;
use replicante_model::time::millis;
use replicante_model::{RecordName, Timestamp};
use replicante_protocol::head::Head;
use serde_json::Value;
use tokio::time::sleep;

use crate::calls::{Key, Transaction};
use crate::error::AwsError;
use crate::expression::{Change, Guard, flag, number, text, time};
use crate::head_item::{key, to_item};
use crate::items::{ObjectKind, object_partition};
use crate::table::Table;

/// Objects of one transaction: it takes 100 writes, and an object has three.
const AT_ONCE: usize = 33;
/// How often a transaction is tried when others write the same items, and the pause before the second attempt.
const ATTEMPTS: u32 = 5;
const PAUSE: Duration = Duration::from_millis(100);

/// One object to apply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectWrite {
    /// Its kind.
    pub kind: ObjectKind,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its JSON.
    pub json: String,
    /// How often its record is due. `None`: as its discovery says.
    pub interval: Option<Duration>,
    /// Whether its record is scheduled.
    pub enabled: bool,
}

impl From<&replicante_objects::Object> for ObjectWrite {
    fn from(object: &replicante_objects::Object) -> Self {
        let metadata = object.metadata();
        let (kind, interval, enabled) = match object {
            replicante_objects::Object::Discovery(discovery) => {
                (ObjectKind::Discovery, Some(discovery.spec.interval), discovery.spec.enabled)
            }
            replicante_objects::Object::Cluster(cluster) => {
                (ObjectKind::Cluster, cluster.spec.interval, cluster.spec.enabled)
            }
        };
        ObjectWrite {
            kind,
            namespace: metadata.namespace.clone(),
            name: metadata.name.clone(),
            json: object.to_json(),
            interval,
            enabled,
        }
    }
}

/// The specification of a stored object, as users write it; of one that this release can't read as it is stored.
fn spec(json: &str) -> Value {
    let document = match replicante_objects::Object::from_json(json) {
        Ok(object) => object.to_document(),
        Err(_) => serde_json::from_str(json).unwrap_or_default(),
    };
    document.get("spec").cloned().unwrap_or_default()
}

impl Table {
    /// Applies objects: each is stored, and its record's head created (discoveries) or asked for (what
    /// exists), in transactions of at most 100 writes - all of up to 33 objects, or none. What is stored just so is left as
    /// it is.
    ///
    /// # Errors
    /// When the table can't be read or written, or somebody else applied one of them meanwhile.
    pub async fn apply(&self, writes: &[ObjectWrite], actor: &str, now: Timestamp) -> Result<(), AwsError> {
        for (part, some) in writes.chunks(AT_ONCE).enumerate() {
            let mut attempts = 0;
            while let Err(error) = self.apply_at_once(some, actor, now).await? {
                attempts += 1;
                let names: Vec<_> =
                    some.iter().map(|write| format!("{}/{}", write.namespace, write.name)).collect();
                let action = format!("applying {}", names.join(", "));
                let reasons = match error.as_service_error() {
                    Some(TransactWriteItemsError::TransactionCanceledException(cancelled)) => {
                        cancelled.cancellation_reasons()
                    }
                    _ => return Err(AwsError::call(action, &error)),
                };
                // A worker or scheduler touched one of the heads: the next attempt finds it at rest.
                let is = |code: &str| reasons.iter().any(|reason| reason.code() == Some(code));
                if is("TransactionConflict") && !is("ConditionalCheckFailed") && attempts < ATTEMPTS {
                    sleep(PAUSE * attempts).await;
                    continue;
                }
                let applied = match part * AT_ONCE {
                    0 => "nothing was".to_owned(),
                    before => format!("the {before} before them were"),
                };
                let reason =
                    format!("somebody else wrote one of them at the same time: {applied} applied, try again");
                return Err(AwsError::Call { action, reason, passing: true });
            }
        }
        Ok(())
    }

    /// Deletes an object of this version, and in the same transaction says so to its record: a discovery is asked no more;
    /// of a cluster counts again what its discovery says, and it is due now. Returns false, and nothing is done, when there
    /// is no such object or it is of another version.
    ///
    /// # Errors
    /// When the table can't be read or written.
    pub async fn delete_object(
        &self,
        kind: ObjectKind,
        namespace: &str,
        name: &str,
        version: u64,
        actor: &str,
        now: Timestamp,
    ) -> Result<bool, AwsError> {
        let record = kind.record(namespace, name);
        let action = || format!("deleting the object {record}");
        let Some(known) = self.object(kind, namespace, name).await?.filter(|known| known.version == version)
        else {
            return Ok(false);
        };
        let guard = Guard::exists().on("#version = :version", &["version"]);
        let object = Key { pk: object_partition(record.kind), sk: record.path() };
        let audit = Audit::of(record.kind, version + 1, now, actor, Some(spec(&known.json)), None);
        let mut writes = vec![
            self.delete(object, guard.with(":version", number(version)), action)?,
            self.audit_put(&record, version + 1, &audit, now)?,
        ];
        if let Some(head) = self.head(&record).await? {
            let (interval, enabled) = match kind {
                ObjectKind::Discovery => (head.interval, false),
                ObjectKind::Cluster => {
                    let item = self.discovery_item(&record).await?;
                    (item.map_or(head.interval, |item| item.refresh_interval), true)
                }
            };
            writes.push(self.head_update(&record, interval, enabled, version + 1, now)?);
        } else {
            // A head that is made meanwhile has to know of it.
            writes.push(self.check_absent(key(&record), action)?);
        }
        Ok(matches!(self.transact(writes, action).await?, Transaction::Done))
    }

    /// One transaction. The inner error is its own.
    async fn apply_at_once(
        &self,
        writes: &[ObjectWrite],
        actor: &str,
        now: Timestamp,
    ) -> Result<Result<(), SdkError<TransactWriteItemsError>>, AwsError> {
        let mut items = Vec::new();
        for write in writes {
            let record = write.kind.record(&write.namespace, &write.name);
            let known = self.object(write.kind, &write.namespace, &write.name).await?;
            if known.as_ref().is_some_and(|known| known.json == write.json) {
                continue;
            }
            let head = self.head(&record).await?;
            let version = 1 + match &known {
                Some(known) => known.version,
                None => self.last_change(&record, head.as_ref()).await?,
            };
            let before = known.as_ref().map(|known| spec(&known.json));
            let audit = Audit::of(record.kind, version, now, actor, before, Some(spec(&write.json)));
            items.push(self.object_put(write, &record, version, known.map(|known| known.version))?);
            items.push(self.audit_put(&record, version, &audit, now)?);
            let interval = self.interval_of(write, &record, head.as_ref()).await?;
            items.extend(self.head_write(write, record, interval, head.is_some(), version, now)?);
        }
        if items.is_empty() {
            return Ok(Ok(()));
        }
        Ok(self.client.transact_write_items().set_transact_items(Some(items)).send().await.map(|_| ()))
    }

    /// How often a record is due: the object's word, else its discovery's.
    async fn interval_of(
        &self,
        write: &ObjectWrite,
        record: &RecordName,
        head: Option<&Head>,
    ) -> Result<Duration, AwsError> {
        match (write.interval, head) {
            (Some(interval), _) => Ok(interval),
            (None, None) => Ok(Duration::ZERO),
            (None, Some(head)) => {
                let item = self.discovery_item(record).await?;
                Ok(item.map_or(head.interval, |item| item.refresh_interval))
            }
        }
    }

    fn object_put(
        &self,
        write: &ObjectWrite,
        record: &RecordName,
        version: u64,
        known: Option<u64>,
    ) -> Result<TransactWriteItem, AwsError> {
        let put = Put::builder()
            .table_name(&*self.name)
            .item("pk", text(object_partition(record.kind)))
            .item("sk", text(record.path()))
            .item("object", text(&*write.json))
            .item("version", number(version));
        let put = match known {
            None => put.condition_expression("attribute_not_exists(pk)"),
            Some(version) => put
                .condition_expression("#version = :version")
                .expression_attribute_names("#version", "version")
                .expression_attribute_values(":version", number(version)),
        };
        let put = put.build().map_err(|error| AwsError::stored(format!("the object {record}"), error))?;
        Ok(TransactWriteItem::builder().put(put).build())
    }

    /// Asks for a record that exists, as its object has it now.
    fn head_update(
        &self,
        record: &RecordName,
        interval: Duration,
        enabled: bool,
        version: u64,
        now: Timestamp,
    ) -> Result<TransactWriteItem, AwsError> {
        let change = Change::on(Guard::exists())
            .set("interval", number(millis(interval)))
            .set("enabled", flag(enabled))
            .set("due", time(now))
            .set("object", number(version))
            .add("wanted", 1);
        self.update_of_head(record, change)
    }

    fn head_write(
        &self,
        write: &ObjectWrite,
        record: RecordName,
        interval: Duration,
        exists: bool,
        version: u64,
        now: Timestamp,
    ) -> Result<Option<TransactWriteItem>, AwsError> {
        let what = format!("the head of {record}");
        if exists {
            return self.head_update(&record, interval, write.enabled, version, now).map(Some);
        }
        if write.kind == ObjectKind::Cluster {
            // The object waits for the discovery that finds its cluster.
            return Ok(None);
        }
        let head = Head { object: version, ..Head::new(record, interval, write.enabled, now) };
        let put = Put::builder()
            .table_name(&*self.name)
            .set_item(Some(to_item(&head)))
            .condition_expression("attribute_not_exists(pk)")
            .build()
            .map_err(|error| AwsError::stored(what, error))?;
        Ok(Some(TransactWriteItem::builder().put(put).build()))
    }
}
