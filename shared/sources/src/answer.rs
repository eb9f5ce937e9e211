//! Bytes to an answer: the pages of one list, within their limits.
//!
//! The form, of HTTP sources and of files: `{"cursor": string or null, "clusters": [record, ...]}`. Further fields
//! are ignored. A missing cursor is a null one, as in the original.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::collections::btree_map::{BTreeMap, Entry};

use replicante_model::labels::Labels;
use replicante_model::observation::{MAX_REASON, cut};
use replicante_model::record::{ClusterRecord, NodeId, RejectedRecord, SourceAnswer};
use replicante_objects::Limits;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess};

use crate::error::Failure;
use crate::lenient::{Lenient, Read};
use crate::node::{add_labels, add_node, first};
use crate::record::{Accepted, NAMELESS, RawRecord, RecordSeed};

/// The form, for errors.
pub(crate) const FORM: &str = r#"{"cursor": null, "clusters": [...]}"#;
/// The longest cursor, in bytes. Cursors are kept, to find one that comes again.
const MAX_CURSOR: usize = 4096;
/// The most labels of all nodes, as [`weigh`] counts them: 64 MiB. A label that stands once for a group of targets is kept
/// with each of them.
const MAX_LABELS: usize = 64 * 1024 * 1024;
/// What names the labels of an answer when there are too many.
const LABELS: &str = "(labels)";

/// Gathers the pages of one answer.
pub(crate) struct Collector {
    limits: Limits,
    /// The records so far, those set aside included.
    records: u64,
    /// The bytes of the pages so far.
    bytes: u64,
    /// The nodes of all accepted records so far.
    nodes: u64,
    /// The weight of all labels so far. Beyond [`MAX_LABELS`] none is kept: which ones would depend on the order.
    labels: usize,
    clusters: BTreeMap<String, ClusterRecord>,
    rejected: BTreeSet<RejectedRecord>,
    /// Why records without an id were set aside, and how many were for each reason.
    nameless: BTreeMap<String, u64>,
    repeated: BTreeSet<String>,
    /// Of each cluster with nodes of several addresses the node that sorts first: one is enough to look into.
    ambiguous: BTreeMap<String, NodeId>,
    /// Whether several records of one cluster are usual: they count as one, and are not reported.
    groups: bool,
    /// The limit that stopped the parser.
    stopped: Option<Failure>,
}

/// A parser of one page.
pub(crate) type JsonParser<'a> = serde_json::Deserializer<serde_json::de::SliceRead<'a>>;
/// The cursor of a page, to the next one.
pub(crate) type Cursor = Option<String>;

impl Collector {
    pub fn new(limits: Limits) -> Self {
        Collector {
            limits,
            records: 0,
            bytes: 0,
            nodes: 0,
            labels: 0,
            clusters: BTreeMap::new(),
            rejected: BTreeSet::new(),
            nameless: BTreeMap::new(),
            repeated: BTreeSet::new(),
            ambiguous: BTreeMap::new(),
            groups: false,
            stopped: None,
        }
    }

    /// A collector of records of which several may be parts of one cluster.
    pub fn of_groups(limits: Limits) -> Self {
        Collector { groups: true, ..Collector::new(limits) }
    }

    /// What is allowed.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Adds a page of JSON in the form that HTTP sources and files have. After a failure the collector is of no use.
    pub fn add_json(&mut self, bytes: &[u8]) -> Result<Cursor, Failure> {
        self.read_json(bytes, |collector, parser| PageSeed(collector).deserialize(parser))
    }

    /// Adds a page of JSON in a form that `read` knows: it hands each list of records to
    /// [`add_list`](Self::add_list).
    pub fn read_json(
        &mut self,
        bytes: &[u8],
        read: impl FnOnce(&mut Self, &mut JsonParser<'_>) -> Result<Page, serde_json::Error>,
    ) -> Result<Cursor, Failure> {
        self.bytes += bytes.len() as u64;
        if self.bytes > self.limits.total_bytes {
            let most = self.limits.total_bytes;
            return Err(Failure::Limit { limit: "total_bytes", what: "bytes in all pages", most });
        }
        let mut parser = serde_json::Deserializer::from_slice(bytes);
        let page = read(self, &mut parser).and_then(|page| parser.end().map(|()| page));
        self.page(page.map_err(|error| ("JSON", error.to_string())))
    }

    /// Adds a page of YAML, one document. Aliases are expanded within bounds.
    pub fn add_yaml(&mut self, text: &str) -> Result<Cursor, Failure> {
        // The bytes are bounded already, and nothing of them is kept that is not counted: the reader's own bounds
        // are for configuration, and too narrow for 100,000 clusters.
        let options = serde_saphyr::options! {
            budget: serde_saphyr::budget! {
                max_events: usize::MAX,
                max_nodes: usize::MAX,
                max_total_scalar_bytes: usize::MAX,
            },
            alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: 100_000 },
            // As with JSON: a field given twice is one bad record, not a bad answer.
            duplicate_keys: serde_saphyr::options::DuplicateKeyPolicy::PassThrough,
            strict_booleans: true,
            with_snippet: false,
            non_finite_float_policy: serde_saphyr::options::NonFiniteFloatPolicy::AsString,
        };
        let page = serde_saphyr::with_deserializer_from_str_with_options(text, options, |parser| {
            PageSeed(self).deserialize(parser)
        });
        self.page(page.map_err(|error| ("YAML", error.to_string())))
    }

    fn page(&mut self, page: Result<Page, (&'static str, String)>) -> Result<Cursor, Failure> {
        if let Some(stopped) = self.stopped.take() {
            return Err(stopped);
        }
        match page {
            Ok(Page { wrong: Some(wrong), .. }) => Err(Failure::Shape(wrong)),
            Ok(Page { cursor, .. }) => Ok(cursor),
            Err((format, problem)) => Err(Failure::Malformed { format, problem }),
        }
    }

    /// Adds a record. Whoever has no list to read from calls it.
    pub fn add(&mut self, record: RawRecord) -> Result<(), Failure> {
        let checked = record.check();
        let known = |accepted: &Accepted| self.clusters.contains_key(&accepted.record.cluster_id);
        if !self.groups || !checked.as_ref().is_ok_and(known) {
            self.records += 1;
        }
        if self.records > self.limits.clusters {
            let most = self.limits.clusters;
            return Err(Failure::Limit { limit: "clusters", what: "records of clusters", most });
        }
        let Accepted { mut record, shared, mut ambiguous } = match checked {
            Ok(accepted) => accepted,
            Err(rejected) if rejected.record == NAMELESS => {
                *self.nameless.entry(rejected.reason).or_default() += 1;
                return Ok(());
            }
            Err(rejected) => {
                self.rejected.insert(rejected);
                return Ok(());
            }
        };
        let nodes = record.nodes.len() as u64;
        if nodes > self.limits.nodes {
            return Err(self.too_many_nodes());
        }
        self.nodes += nodes;
        if self.nodes > self.limits.total_nodes {
            let most = self.limits.total_nodes;
            return Err(Failure::Limit { limit: "total_nodes", what: "nodes in all clusters", most });
        }
        self.label(&mut record, &shared);
        let id = record.cluster_id.clone();
        match self.clusters.entry(id.clone()) {
            Entry::Vacant(vacant) => {
                vacant.insert(record);
            }
            Entry::Occupied(mut known) => {
                let known = known.get_mut();
                // Of two names the one that sorts first, whichever came first.
                known.display_name = match (known.display_name.take(), record.display_name) {
                    (Some(one), Some(other)) => Some(one.min(other)),
                    (one, other) => one.or(other),
                };
                for (node, labels) in &record.labels {
                    add_labels(&mut known.labels, node, labels);
                }
                for (node, address) in record.nodes {
                    if !add_node(&mut known.nodes, node.clone(), address) {
                        ambiguous = first(ambiguous, node);
                    }
                }
                if known.nodes.len() as u64 > self.limits.nodes {
                    return Err(self.too_many_nodes());
                }
                if !self.groups {
                    self.repeated.insert(id.clone());
                }
            }
        }
        if let Some(node) = ambiguous {
            let known = self.ambiguous.remove(&id);
            self.ambiguous.extend(first(known, node).map(|node| (id, node)));
        }
        Ok(())
    }

    /// Gives the nodes of a record the labels that they share, as long as there is room for the labels of all records.
    fn label(&mut self, record: &mut ClusterRecord, shared: &Labels) {
        let fitted = self.labels <= MAX_LABELS;
        let own: usize = record.labels.values().map(weigh).sum();
        self.labels = self.labels.saturating_add(own + record.nodes.len() * weigh(shared));
        if self.labels <= MAX_LABELS {
            for node in record.nodes.keys() {
                add_labels(&mut record.labels, node, shared);
            }
            return;
        }
        record.labels.clear();
        if fitted {
            self.clusters.values_mut().for_each(|known| known.labels.clear());
        }
    }

    /// Adds the records of a list, each read by a new seed, which sets `too_many_nodes` before it gives up for that.
    pub fn add_list<'de, A: SeqAccess<'de>, S: DeserializeSeed<'de, Value = RawRecord>>(
        &mut self,
        mut list: A,
        too_many_nodes: &Cell<bool>,
        seed: impl Fn() -> S,
    ) -> Result<(), A::Error> {
        loop {
            let failure = match list.next_element_seed(seed()) {
                Ok(None) => return Ok(()),
                Ok(Some(record)) => match self.add(record) {
                    Ok(()) => continue,
                    Err(failure) => failure,
                },
                Err(_) if too_many_nodes.get() => self.too_many_nodes(),
                Err(error) => return Err(error),
            };
            self.stopped = Some(failure);
            return Err(A::Error::custom("a limit is reached"));
        }
    }

    fn too_many_nodes(&self) -> Failure {
        Failure::Limit { limit: "nodes", what: "nodes in one cluster", most: self.limits.nodes }
    }

    /// The answer of all pages.
    pub fn finish(mut self) -> SourceAnswer {
        self.rejected.extend(nameless(&self.nameless));
        if self.labels > MAX_LABELS {
            let most = MAX_LABELS / 1024 / 1024;
            let reason = format!("the labels of all nodes have more than {most} MiB: none of them is kept");
            self.rejected.insert(RejectedRecord { record: LABELS.into(), reason });
        }
        self.rejected.extend(self.ambiguous.into_iter().map(several_addresses));
        SourceAnswer {
            clusters: self.clusters,
            rejected: self.rejected.into_iter().collect(),
            repeated: self.repeated.into_iter().collect(),
        }
    }
}

/// What labels take: their text, and 16 bytes for each.
fn weigh(labels: &Labels) -> usize {
    labels.iter().map(|(name, value)| name.len() + value.len() + 16).sum()
}

fn several_addresses((id, node): (String, NodeId)) -> RejectedRecord {
    let node: String = node.chars().take(80).collect();
    let reason = format!("node `{node}` has several addresses: the one that sorts first is used");
    RejectedRecord { record: id.chars().take(160).collect(), reason }
}

/// All records without an id as one, so that neither their order nor their place makes a change.
fn nameless(reasons: &BTreeMap<String, u64>) -> Option<RejectedRecord> {
    let text = |(reason, count): (&String, &u64)| match count {
        1 => reason.clone(),
        count => format!("{count} records: {reason}"),
    };
    let reason = reasons.iter().map(text).collect::<Vec<_>>().join("; ");
    let reason = cut(&reason, MAX_REASON).to_owned();
    (!reasons.is_empty()).then(|| RejectedRecord { record: NAMELESS.into(), reason })
}

/// What a page says beside its records.
#[derive(Default)]
pub(crate) struct Page {
    cursor: Cursor,
    /// Why it is no page.
    wrong: Option<String>,
}

impl Page {
    /// Something else than a page.
    pub fn wrong(problem: impl Into<String>) -> Page {
        Page { cursor: None, wrong: Some(problem.into()) }
    }
}

struct PageSeed<'a>(&'a mut Collector);

impl<'de> DeserializeSeed<'de> for PageSeed<'_> {
    type Value = Page;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Page, D::Error> {
        deserializer.deserialize_any(Lenient(self))
    }
}

impl<'de> Read<'de> for PageSeed<'_> {
    type Output = Page;

    fn other(self, what: &'static str) -> Page {
        Page::wrong(format!("the answer is {what}: expected an object"))
    }

    fn map<A: MapAccess<'de>>(self, mut map: A) -> Result<Page, A::Error> {
        let mut page = Page::default();
        let (mut cursor, mut clusters) = (false, false);
        while let Some(key) = map.next_key::<String>()? {
            let given = match key.as_str() {
                "cursor" => std::mem::replace(&mut cursor, true),
                "clusters" => std::mem::replace(&mut clusters, true),
                _ => false,
            };
            let wrong = match key.as_str() {
                "cursor" if !given => {
                    let found = map.next_value_seed(CursorSeed)?;
                    page.cursor = found.cursor;
                    found.wrong
                }
                "clusters" if !given => map.next_value_seed(ClustersSeed(&mut *self.0))?,
                _ => {
                    map.next_value::<IgnoredAny>()?;
                    given.then(|| format!("{key} is given twice"))
                }
            };
            if wrong.is_some() {
                // What follows does not matter, but must be read to its end for the parser to be content.
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                return Ok(Page { cursor: None, wrong });
            }
        }
        Ok(if clusters {
            page
        } else {
            Page::wrong("the answer has no clusters: expected a list, which may be empty")
        })
    }
}

struct CursorSeed;

impl<'de> DeserializeSeed<'de> for CursorSeed {
    type Value = Page;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Page, D::Error> {
        deserializer.deserialize_any(Lenient(self))
    }
}

impl Read<'_> for CursorSeed {
    type Output = Page;

    fn other(self, what: &'static str) -> Page {
        match what {
            "null" => Page::default(),
            what => Page::wrong(format!("the cursor is {what}: expected text or null")),
        }
    }

    fn text(self, text: &str) -> Page {
        if text.len() > MAX_CURSOR {
            return Page::wrong(format!("the cursor has more than {MAX_CURSOR} bytes"));
        }
        Page { cursor: Some(text.into()), wrong: None }
    }
}

/// Reads the records into the collector; `Some` says why it is no list of them.
struct ClustersSeed<'a>(&'a mut Collector);

impl<'de> DeserializeSeed<'de> for ClustersSeed<'_> {
    type Value = Option<String>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(Lenient(self))
    }
}

impl<'de> Read<'de> for ClustersSeed<'_> {
    type Output = Option<String>;

    fn other(self, what: &'static str) -> Option<String> {
        Some(format!("clusters is {what}: expected a list"))
    }

    fn list<A: SeqAccess<'de>>(self, list: A) -> Result<Option<String>, A::Error> {
        let too_many_nodes = Cell::new(false);
        let nodes = self.0.limits.nodes;
        self.0.add_list(list, &too_many_nodes, || RecordSeed { nodes, too_many_nodes: &too_many_nodes })?;
        Ok(None)
    }
}

#[cfg(test)]
#[path = "answer_tests.rs"]
mod tests;
