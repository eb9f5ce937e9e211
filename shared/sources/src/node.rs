//! The nodes of a record, read leniently: an entry is a URL or an object, or the reason why it is neither.

use std::cell::Cell;
use std::collections::BTreeMap;

use replicante_model::labels::{Labels, add_label};
use replicante_model::record::NodeId;
use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess};

use crate::address::normalise;
use crate::lenient::{Lenient, Read, Text};

/// The longest identity of a node, in bytes: the `node_id` that discovery gave, or the URL in its place.
pub const MAX_NODE_ID: usize = 256;

/// Adds a node. Where its id has another address already, the one that sorts first stays, so that the outcome does
/// not depend on the order of the answer; `false` then.
pub(crate) fn add_node(nodes: &mut BTreeMap<NodeId, String>, id: NodeId, address: String) -> bool {
    match nodes.get_mut(&id) {
        None => {
            nodes.insert(id, address);
            true
        }
        Some(known) if *known == address => true,
        Some(known) => {
            if address < *known {
                *known = address;
            }
            false
        }
    }
}

/// Adds labels to those of a node, if there are any.
pub(crate) fn add_labels(known: &mut BTreeMap<NodeId, Labels>, id: &NodeId, labels: &Labels) {
    if labels.is_empty() {
        return;
    }
    let known = known.entry(id.clone()).or_default();
    labels.iter().for_each(|(name, value)| add_label(known, name, value));
}

/// The one of both that sorts first.
pub(crate) fn first(known: Option<NodeId>, other: NodeId) -> Option<NodeId> {
    Some(known.map_or_else(|| other.clone(), |known| known.min(other.clone())))
}

/// The nodes of a record that were good.
pub(crate) struct Nodes {
    pub nodes: BTreeMap<NodeId, String>,
    /// Of those that have labels of their own.
    pub labels: BTreeMap<NodeId, Labels>,
    /// The labels that all of them have.
    pub shared: Labels,
    /// The one that was given with several addresses.
    pub ambiguous: Option<NodeId>,
}

/// A node as it is added: id, address and labels.
pub(crate) type Checked = (NodeId, String, Labels);

/// What the nodes of a record come to.
#[derive(Default)]
pub(crate) struct RawNodes {
    given: bool,
    nodes: BTreeMap<NodeId, String>,
    labels: BTreeMap<NodeId, Labels>,
    /// The labels of all nodes: they stand once for many.
    shared: Labels,
    ambiguous: Option<NodeId>,
    /// The reason that sorts first of those that the nodes gave, for the same reason in any order.
    wrong: Option<String>,
}

impl RawNodes {
    /// A list without entries yet.
    pub fn none() -> Self {
        RawNodes { given: true, ..RawNodes::default() }
    }

    /// What is no list of nodes, for this reason.
    pub fn refused(reason: impl Into<String>) -> Self {
        RawNodes { wrong: Some(reason.into()), ..RawNodes::none() }
    }

    /// The nodes, or why they are none.
    pub fn checked(self) -> Result<Nodes, String> {
        let RawNodes { given, nodes, labels, shared, ambiguous, wrong } = self;
        match wrong {
            Some(wrong) => Err(wrong),
            None if !given => Err("no nodes".into()),
            None => Ok(Nodes { nodes, labels, shared, ambiguous }),
        }
    }

    /// Labels of all nodes.
    #[must_use]
    pub fn sharing(self, labels: Labels) -> Self {
        RawNodes { shared: labels, ..self }
    }

    fn refuse(&mut self, reason: String) {
        if self.wrong.as_ref().is_none_or(|wrong| reason < *wrong) {
            self.wrong = Some(reason);
        }
    }

    /// Adds a node, or the reason why it is none: one such node makes the record wrong.
    pub fn add_checked(&mut self, node: Result<Checked, String>) {
        match node {
            Err(reason) => self.refuse(reason),
            Ok((id, ..)) if id.len() > MAX_NODE_ID => {
                self.refuse(format!("the identity of a node has more than {MAX_NODE_ID} bytes"));
            }
            Ok((id, address, labels)) => {
                add_labels(&mut self.labels, &id, &labels);
                if !add_node(&mut self.nodes, id.clone(), address) {
                    self.ambiguous = first(self.ambiguous.take(), id);
                }
            }
        }
    }
}

/// An entry of `nodes` as it was sent.
#[derive(Default)]
struct RawNode {
    node_id: Text,
    agent_address: Text,
    labels: Labels,
    wrong: Option<String>,
}

impl RawNode {
    fn checked(self) -> Result<Checked, String> {
        if let Some(wrong) = self.wrong {
            return Err(wrong);
        }
        let address = self.agent_address.required("agent_address")?;
        let address = normalise(&address).map_err(|error| error.to_string())?;
        if let Text::Given(id) = &self.node_id
            && id.trim().is_empty()
        {
            return Err("a node_id is empty".into());
        }
        let id = self.node_id.optional("node_id")?.unwrap_or_else(|| address.clone());
        Ok((id, address, self.labels))
    }
}

/// Reads the nodes of one record. `Err` is malformed text, or what `too_many` was set for.
pub(crate) struct NodesSeed<'a> {
    /// The most nodes.
    pub most: u64,
    /// Set when there are more.
    pub too_many: &'a Cell<bool>,
}

impl<'de> DeserializeSeed<'de> for NodesSeed<'_> {
    type Value = RawNodes;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<RawNodes, D::Error> {
        deserializer.deserialize_any(Lenient(self))
    }
}

impl<'de> Read<'de> for NodesSeed<'_> {
    type Output = RawNodes;

    fn other(self, what: &'static str) -> RawNodes {
        match what {
            "null" => RawNodes::default(),
            what => RawNodes::refused(format!("nodes is {what}: expected a list")),
        }
    }

    fn list<A: SeqAccess<'de>>(self, mut list: A) -> Result<RawNodes, A::Error> {
        let mut nodes = RawNodes::none();
        let mut count = 0;
        while let Some(node) = list.next_element::<RawNode>()? {
            count += 1;
            if count > self.most {
                self.too_many.set(true);
                return Err(A::Error::custom("too many nodes"));
            }
            nodes.add_checked(node.checked());
        }
        Ok(nodes)
    }
}

struct ReadNode;

impl<'de> Deserialize<'de> for RawNode {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Lenient(ReadNode))
    }
}

impl<'de> Read<'de> for ReadNode {
    type Output = RawNode;

    fn other(self, what: &'static str) -> RawNode {
        let wrong = Some(format!("a node is {what}: expected a URL or an object"));
        RawNode { wrong, ..RawNode::default() }
    }

    fn text(self, text: &str) -> RawNode {
        RawNode { agent_address: Text::Given(text.into()), ..RawNode::default() }
    }

    fn map<A: MapAccess<'de>>(self, mut map: A) -> Result<RawNode, A::Error> {
        let (mut node_id, mut agent_address, mut wrong) = (None, None, None);
        let (mut labels, mut class, mut group) = (None, None, None);
        while let Some(key) = map.next_key::<String>()? {
            let repeated = match key.as_str() {
                "node_id" => node_id.replace(map.next_value()?).is_some(),
                "agent_address" => agent_address.replace(map.next_value()?).is_some(),
                "labels" => labels.replace(map.next_value()?).is_some(),
                "node_class" => class.replace(map.next_value()?).is_some(),
                "node_group" => group.replace(map.next_value()?).is_some(),
                _ => {
                    map.next_value::<IgnoredAny>()?;
                    false
                }
            };
            if repeated {
                wrong = Some(format!("{key} of a node is given twice"));
            }
        }
        let (node_id, agent_address) = (node_id.unwrap_or_default(), agent_address.unwrap_or_default());
        let NodeLabels(mut labels) = labels.unwrap_or_default();
        for (name, value) in [("node_class", class), ("node_group", group)] {
            if let Some(Text::Given(value)) = value {
                add_label(&mut labels, name, &value);
            }
        }
        Ok(RawNode { node_id, agent_address, labels, wrong })
    }
}

/// The labels of a node. What is no label is left out: none makes a node wrong.
#[derive(Default)]
struct NodeLabels(Labels);

struct ReadLabels;

impl<'de> Deserialize<'de> for NodeLabels {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Lenient(ReadLabels))
    }
}

impl<'de> Read<'de> for ReadLabels {
    type Output = NodeLabels;

    fn other(self, _: &'static str) -> NodeLabels {
        NodeLabels::default()
    }

    fn map<A: MapAccess<'de>>(self, mut map: A) -> Result<NodeLabels, A::Error> {
        let mut labels = Labels::new();
        while let Some((name, value)) = map.next_entry::<String, Text>()? {
            if let Text::Given(value) = value {
                add_label(&mut labels, &name, &value);
            }
        }
        Ok(NodeLabels(labels))
    }
}
