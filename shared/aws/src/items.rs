//! Discovery items and objects: what others write for a record, and what operators apply.

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use replicante_model::record::DiscoveredCluster;
use replicante_model::{Kind, RecordName};
use replicante_protocol::slot::{FORMAT, decode_state, encode_state};
use serde::{Deserialize, Serialize};

use crate::calls::{Item, Key, Write, string};
use crate::ends::KEPT;
use crate::error::AwsError;
use crate::expression::{Guard, flag, number, text};
use crate::table::{Table, body_partition};

/// The sort key of a cluster's discovery item, in the partition of its body.
const DISCOVERY: &str = "discovery";
/// The most bytes of a cluster in its discovery item, as [`encode_cluster`] gives them: an item takes 400 KB, with its
/// key and owner. The rest is for what is added later, like since when the cluster is missing.
pub const MAX_DISCOVERED: usize = 350 * 1024;

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
    pub(crate) fn record(self, namespace: &str, name: &str) -> RecordName {
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

impl Object {
    fn from_item(item: &Item) -> Self {
        let version =
            item.get("version").and_then(|v| v.as_n().ok()).and_then(|n| n.parse().ok()).unwrap_or(0);
        Object { json: string(item, "object").unwrap_or_default().to_owned(), version }
    }
}

impl Table {
    /// Writes a cluster's discovery item, on condition that it has no owner yet, that the owner is this discovery and
    /// the stored fence is not higher than ours, or that another owner has retired it.
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
        if let Some(removal) = &item.cluster.removed {
            // Its owner retires it: another discovery may take it. It is kept as long as a writer of its fence may live.
            stored.insert("retired".into(), flag(true));
            stored.insert("expires".into(), number(removal.at.plus(KEPT).seconds()));
        }
        let guard = Guard::default()
            .on(
                "attribute_not_exists(#owner) OR (#owner = :owner AND #owner_fence <= :fence) \
                 OR (#owner <> :owner AND #retired = :yes)",
                &["owner", "owner_fence", "retired"],
            )
            .with(":owner", text(owner))
            .with(":fence", number(fence))
            .with(":yes", flag(true));
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
        Ok(Some(Object::from_item(&item)))
    }

    /// All objects of a kind, by namespace and name, strongly consistent.
    ///
    /// # Errors
    /// When the table can't be read.
    pub async fn objects(&self, kind: ObjectKind) -> Result<Vec<(RecordName, Object)>, AwsError> {
        let partition = object_partition(kind.record("", "").kind);
        let items = self.query(&partition, true, || format!("reading the objects of {partition}")).await?;
        let named = |item: &Item| {
            let (namespace, name) = string(item, "sk")?.split_once('/')?;
            Some((kind.record(namespace, name), Object::from_item(item)))
        };
        Ok(items.iter().filter_map(named).collect())
    }
}

/// The partition key of the objects of a kind.
pub(crate) fn object_partition(kind: Kind) -> String {
    format!("object#{kind}")
}
