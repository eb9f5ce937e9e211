//! One record of an answer, read leniently: whatever it holds, it is either a cluster or the reason why not.
//!
//! Nothing here fails but malformed text and too many nodes. The record is read in one pass and never kept as a tree:
//! what is not used is skipped. What is kept of a node is a few times larger than its shortest text, which the limits
//! on nodes bound.

use std::cell::Cell;

use replicante_model::labels::Labels;
use replicante_model::name::check_id;
use replicante_model::observation::{MAX_REASON, MAX_TEXT, cut};
use replicante_model::record::{ClusterRecord, NodeId, RejectedRecord};
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess};

use crate::lenient::{Lenient, Read, Text};
use crate::node::{Nodes, NodesSeed, RawNodes};

/// How much of an id names a rejected record, in characters.
const MAX_SHOWN_ID: usize = 160;
/// What names a record without an id: the same for all of them, wherever they stand in the answer.
pub(crate) const NAMELESS: &str = "(no cluster_id)";

/// A record as it was sent.
pub(crate) struct RawRecord {
    cluster_id: Text,
    display_name: Text,
    nodes: RawNodes,
    /// What is wrong with the record as a whole.
    wrong: Option<String>,
}

/// A cluster, and the node in it that was given with several addresses: of several such nodes the one that sorts
/// first, since one is enough to look into.
pub(crate) struct Accepted {
    pub record: ClusterRecord,
    /// The labels that all of its nodes have beside their own.
    pub shared: Labels,
    pub ambiguous: Option<NodeId>,
}

impl RawRecord {
    /// A record without an id that is wrong as a whole.
    pub fn wrong(wrong: impl Into<String>) -> Self {
        RawRecord {
            cluster_id: Text::Missing,
            display_name: Text::Missing,
            nodes: RawNodes::default(),
            wrong: Some(wrong.into()),
        }
    }

    /// A record of parts that came in another form.
    pub fn of(cluster_id: String, display_name: Text, nodes: RawNodes) -> Self {
        RawRecord { cluster_id: Text::Given(cluster_id), display_name, nodes, wrong: None }
    }

    /// Checks the record. One without an id is named [`NAMELESS`].
    pub fn check(self) -> Result<Accepted, RejectedRecord> {
        let name = match &self.cluster_id {
            Text::Given(id) if !id.trim().is_empty() => id.chars().take(MAX_SHOWN_ID).collect(),
            _ => NAMELESS.into(),
        };
        self.checked().map_err(|reason| RejectedRecord { record: name, reason: short(&reason) })
    }

    fn checked(self) -> Result<Accepted, String> {
        if let Some(wrong) = self.wrong {
            return Err(wrong);
        }
        let cluster_id = self.cluster_id.required("cluster_id")?;
        check_id(&cluster_id).map_err(|error| error.to_string())?;
        let display_name = self.display_name.optional("display_name")?;
        let display_name = display_name.map(|name| cut(&name, MAX_TEXT).into());
        let Nodes { nodes, labels, shared, ambiguous } = self.nodes.checked()?;
        let record = ClusterRecord { cluster_id, display_name, nodes, labels };
        Ok(Accepted { record, shared, ambiguous })
    }
}

/// Cuts a reason to what is stored.
fn short(reason: &str) -> String {
    reason.chars().take(MAX_REASON).collect()
}

/// Reads one record. `Err` is malformed text, or what [`too_many_nodes`](RecordSeed::too_many_nodes) was set for.
pub(crate) struct RecordSeed<'a> {
    /// The most nodes.
    pub nodes: u64,
    /// Set when there are more.
    pub too_many_nodes: &'a Cell<bool>,
}

impl<'de> DeserializeSeed<'de> for RecordSeed<'_> {
    type Value = RawRecord;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<RawRecord, D::Error> {
        deserializer.deserialize_any(Lenient(self))
    }
}

impl<'de> Read<'de> for RecordSeed<'_> {
    type Output = RawRecord;

    fn other(self, what: &'static str) -> RawRecord {
        RawRecord::wrong(format!("the record is {what}: expected an object"))
    }

    fn map<A: MapAccess<'de>>(self, mut map: A) -> Result<RawRecord, A::Error> {
        let (mut cluster_id, mut display_name, mut nodes) = (None, None, None);
        let mut wrong = None;
        while let Some(key) = map.next_key::<String>()? {
            let repeated = match key.as_str() {
                "cluster_id" => cluster_id.replace(map.next_value()?).is_some(),
                "display_name" => display_name.replace(map.next_value()?).is_some(),
                "nodes" => {
                    let seed = NodesSeed { most: self.nodes, too_many: self.too_many_nodes };
                    nodes.replace(map.next_value_seed(seed)?).is_some()
                }
                _ => {
                    map.next_value::<IgnoredAny>()?;
                    false
                }
            };
            if repeated {
                wrong = Some(format!("{key} is given twice"));
            }
        }
        let (cluster_id, display_name) = (cluster_id.unwrap_or_default(), display_name.unwrap_or_default());
        Ok(RawRecord { cluster_id, display_name, nodes: nodes.unwrap_or_default(), wrong })
    }
}
