//! Discovery items and objects: what others write for a record, and what operators apply.

use std::time::Duration;

use aws_sdk_dynamodb::error::ProvideErrorMetadata;
use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::{AttributeValue, Put, TransactWriteItem, Update};
use replicante_model::record::DiscoveredCluster;
use replicante_model::time::millis;
use replicante_model::{Kind, RecordName, Timestamp};
use replicante_protocol::head::Head;
use replicante_protocol::slot::{FORMAT, decode_state, encode_state};
use serde::{Deserialize, Serialize};

use crate::calls::{Item, Key, Write, string};
use crate::error::AwsError;
use crate::expression::{Expression, flag, number, text, time};
use crate::heads::{key, to_item};
use crate::table::{Table, body_partition};

/// The sort key of a cluster's discovery item, in the partition of its body.
const DISCOVERY: &str = "discovery";
/// The most bytes of a cluster in its discovery item, as [`encode_cluster`] gives them: an item takes 400 KB, with its
/// key and owner. The rest is for what is added later, like since when the cluster is missing.
pub const MAX_DISCOVERED: usize = 350 * 1024;
/// The most writes of one transaction.
const MAX_TRANSACTION: usize = 100;

/// What a discovery's commit writes for one cluster: one line of its outbox.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiscoveryItem {
    /// The namespace of both.
    pub namespace: String,
    /// The cluster, as its discovery sees it.
    pub cluster: DiscoveredCluster,
}

impl DiscoveryItem {
    /// The cluster's record.
    pub fn record(&self) -> RecordName {
        RecordName::cluster(&*self.namespace, &*self.cluster.record.cluster_id)
    }
}

/// A cluster as its discovery item holds it: JSON, compressed like a state.
///
/// # Errors
/// When JSON can't hold it.
pub fn encode_cluster(cluster: &DiscoveredCluster) -> Result<Vec<u8>, AwsError> {
    let what = || format!("the discovery item of {}", cluster.record.cluster_id);
    encode_state(cluster).map_err(|error| AwsError::stored(what(), error))
}

/// What came of writing a discovery item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ItemWrite {
    /// It is written.
    Written,
    /// Another discovery owns the cluster.
    Contested {
        /// Which.
        owner: String,
    },
    /// A later claim of this discovery wrote it: someone else took over.
    TakenOver,
}

/// What kind of object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ObjectKind {
    /// A source of discovery records.
    Discovery,
    /// What overrides a discovery for one cluster.
    Cluster,
}

impl ObjectKind {
    fn record(self, namespace: &str, name: &str) -> RecordName {
        let kind = match self {
            ObjectKind::Discovery => Kind::Discovery,
            ObjectKind::Cluster => Kind::Cluster,
        };
        RecordName::new(kind, namespace, name)
    }
}

/// An object as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    /// Its JSON.
    pub json: String,
    /// How often it was applied: for optimistic updates.
    pub version: u64,
}

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

impl Table {
    /// Writes a cluster's discovery item, on condition that it has no owner yet, or that the owner is this
    /// discovery and the stored fence is not higher than ours.
    ///
    /// # Errors
    /// When the table can't be written.
    pub async fn write_discovery_item(
        &self,
        item: &DiscoveryItem,
        fence: u64,
    ) -> Result<ItemWrite, AwsError> {
        let record = item.record();
        let cluster = encode_cluster(&item.cluster)?;
        let owner = &*item.cluster.discovery;
        let mut stored = Item::from(Key { pk: body_partition(&record), sk: DISCOVERY.into() });
        stored.insert("owner".into(), text(owner));
        stored.insert("owner_fence".into(), number(fence));
        stored.insert("item".into(), AttributeValue::B(Blob::new(cluster)));
        let mut guard = Expression::default();
        guard
            .condition(
                "attribute_not_exists(#owner) OR (#owner = :owner AND #owner_fence <= :fence)",
                &["owner", "owner_fence"],
            )
            .value(":owner", text(owner))
            .value(":fence", number(fence));
        match self.put(stored, guard, || format!("writing the discovery item of {record}")).await? {
            Write::Done(_) => Ok(ItemWrite::Written),
            Write::Refused(found) => {
                let found = found.as_ref().and_then(|item| string(item, "owner")).unwrap_or_default();
                if found == owner {
                    return Ok(ItemWrite::TakenOver);
                }
                Ok(ItemWrite::Contested { owner: found.to_owned() })
            }
        }
    }

    /// Reads a cluster's discovery item, strongly consistent.
    ///
    /// # Errors
    /// When the table can't be read, or the item is not as expected.
    pub async fn discovery_item(&self, record: &RecordName) -> Result<Option<DiscoveredCluster>, AwsError> {
        let what = || format!("the discovery item of {record}");
        let key = Key { pk: body_partition(record), sk: DISCOVERY.into() };
        let Some(item) = self.get(key, || format!("reading {}", what())).await? else { return Ok(None) };
        let cluster = match item.get("item") {
            Some(AttributeValue::B(cluster)) => cluster.as_ref(),
            _ => &[],
        };
        decode_state(FORMAT, cluster).map(Some).map_err(|error| AwsError::stored(what(), error))
    }

    /// Reads an object, strongly consistent.
    ///
    /// # Errors
    /// When the table can't be read.
    pub async fn object(
        &self,
        kind: ObjectKind,
        namespace: &str,
        name: &str,
    ) -> Result<Option<Object>, AwsError> {
        let record = kind.record(namespace, name);
        let key = Key { pk: object_partition(record.kind), sk: record.path() };
        let Some(item) = self.get(key, || format!("reading the object {record}")).await? else {
            return Ok(None);
        };
        let version =
            item.get("version").and_then(|v| v.as_n().ok()).and_then(|n| n.parse().ok()).unwrap_or(0);
        let json = string(&item, "object").unwrap_or_default().to_owned();
        Ok(Some(Object { json, version }))
    }

    /// Applies objects: each is stored, and its record's head created (discoveries) or asked for (what
    /// exists), in transactions of at most 100 writes - all of up to 50 objects, or none.
    ///
    /// # Errors
    /// When the table can't be read or written, or somebody else applied one of them meanwhile.
    pub async fn apply(&self, writes: &[ObjectWrite], now: Timestamp) -> Result<(), AwsError> {
        const AT_ONCE: usize = MAX_TRANSACTION / 2;
        for (part, some) in writes.chunks(AT_ONCE).enumerate() {
            let mut items = Vec::new();
            for write in some {
                let record = write.kind.record(&write.namespace, &write.name);
                let known = self.object(write.kind, &write.namespace, &write.name).await?;
                let head = self.head(&record).await?;
                items.push(self.object_put(write, &record, known.map(|object| object.version))?);
                let interval = self.interval_of(write, &record, head.as_ref()).await?;
                items.extend(self.head_write(write, record, interval, head.is_some(), now)?);
            }
            let sent = self.client.transact_write_items().set_transact_items(Some(items)).send().await;
            sent.map_err(|error| {
                let names: Vec<_> =
                    some.iter().map(|write| format!("{}/{}", write.namespace, write.name)).collect();
                let action = format!("applying {}", names.join(", "));
                if error.code() == Some("TransactionCanceledException") {
                    let applied = match part * AT_ONCE {
                        0 => "nothing was".to_owned(),
                        before => format!("the {before} before them were"),
                    };
                    let reason = format!(
                        "somebody else applied one of them at the same time: {applied} applied, try again"
                    );
                    return AwsError::Call { action, reason };
                }
                AwsError::call(action, &error)
            })?;
        }
        Ok(())
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
        known: Option<u64>,
    ) -> Result<TransactWriteItem, AwsError> {
        let put = Put::builder()
            .table_name(&*self.name)
            .item("pk", text(object_partition(record.kind)))
            .item("sk", text(record.path()))
            .item("object", text(&*write.json))
            .item("version", number(known.unwrap_or(0) + 1));
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

    fn head_write(
        &self,
        write: &ObjectWrite,
        record: RecordName,
        interval: Duration,
        exists: bool,
        now: Timestamp,
    ) -> Result<Option<TransactWriteItem>, AwsError> {
        let what = format!("the head of {record}");
        if exists {
            let mut update = Expression::default();
            update
                .set("interval", number(millis(interval)))
                .set("enabled", flag(write.enabled))
                .set("due", time(now))
                .add("wanted", 1)
                .condition("attribute_exists(#pk)", &["pk"]);
            let update = Update::builder()
                .table_name(&*self.name)
                .set_key(Some(key(&record).into()))
                .update_expression(update.update())
                .condition_expression(update.conditions())
                .set_expression_attribute_names(Some(update.names))
                .set_expression_attribute_values(Some(update.values))
                .build()
                .map_err(|error| AwsError::stored(what, error))?;
            return Ok(Some(TransactWriteItem::builder().update(update).build()));
        }
        if write.kind == ObjectKind::Cluster {
            // The object waits for the discovery that finds its cluster.
            return Ok(None);
        }
        let head = Head::new(record, interval, write.enabled, now);
        let put = Put::builder()
            .table_name(&*self.name)
            .set_item(Some(to_item(&head)))
            .condition_expression("attribute_not_exists(pk)")
            .build()
            .map_err(|error| AwsError::stored(what, error))?;
        Ok(Some(TransactWriteItem::builder().put(put).build()))
    }
}

fn object_partition(kind: Kind) -> String {
    format!("object#{kind}")
}
