//! Objects: reading a file of them, and the form they are stored in.

use std::collections::HashMap;
use std::time::Duration;

use replicante_model::name::{MAX_NAME, RecordName, check_name};
use serde::{Deserialize, Serialize};

use crate::cluster::{Cluster, ClusterSpec};
use crate::discovery::{Discovery, DiscoverySpec};
use crate::error::{ObjectError, Problem};
use crate::fields::{Errors, Fields};
use crate::nearest::nearest;
use crate::source::SourceKind;
use crate::tree::{self, Node};

/// The version of the objects' form.
pub const API_VERSION: &str = "replicante.io/v0";
/// The largest file that is read, in bytes.
pub const MAX_FILE: usize = 4 * 1024 * 1024;

/// The namespace of an object that names none.
const DEFAULT_NAMESPACE: &str = "default";

/// Namespace and name of an object: each of `[A-Za-z0-9._-]{1,63}`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Metadata {
    /// The namespace; `default` unless said.
    pub namespace: String,
    /// The name.
    pub name: String,
}

/// What an operator applies.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind")]
#[expect(clippy::large_enum_variant, reason = "objects are few, and discoveries are most of them")]
pub enum Object {
    /// A source of discovery records.
    Discovery(Discovery),
    /// Overrides for one cluster.
    Cluster(Cluster),
}

/// A stored object that can't be read: written by a release whose objects this one does not know, or damaged.
#[derive(Debug, thiserror::Error)]
#[error(
    "the stored object can't be read: {0}; was it written by a newer release? Apply it again to replace it"
)]
pub struct StoredError(#[from] serde_json::Error);

impl Object {
    /// Namespace and name.
    pub fn metadata(&self) -> &Metadata {
        match self {
            Object::Discovery(discovery) => &discovery.metadata,
            Object::Cluster(cluster) => &cluster.metadata,
        }
    }

    /// The name of the record that the object is about.
    pub fn name(&self) -> RecordName {
        let Metadata { namespace, name } = self.metadata();
        match self {
            Object::Discovery(_) => RecordName::discovery(namespace, name),
            Object::Cluster(_) => RecordName::cluster(namespace, name),
        }
    }

    /// The stored form: canonical JSON. Equal objects have equal text. Durations are whole milliseconds, sizes
    /// bytes.
    #[expect(clippy::expect_used, reason = "keys are text and no value is fallible: see the comment")]
    pub fn to_json(&self) -> String {
        // serde_json fails on keys that are no text and on `Serialize` implementations that fail themselves: the
        // types of this crate have neither.
        serde_json::to_string(self).expect("objects are always JSON")
    }

    /// Reads the stored form. Fields that this release does not know are ignored, those that are not there yet have
    /// their defaults.
    ///
    /// # Errors
    /// When it is no such object.
    pub fn from_json(json: &str) -> Result<Object, StoredError> {
        Ok(serde_json::from_str(json)?)
    }
}

/// An object, and where it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Located<T> {
    /// The line it starts in, from 1.
    pub line: u64,
    /// The object.
    pub value: T,
}

/// Reads a file of objects: YAML or JSON, several documents a file, at most [`MAX_FILE`] bytes.
///
/// `file_name` is for the errors, `tick` the scheduler's: no interval is shorter. `sources` are the kinds of source
/// that a discovery may name.
///
/// # Errors
/// All errors of the file, by line. One error is enough for nothing of the file to count.
pub fn parse(
    file_name: &str,
    text: &str,
    tick: Duration,
    sources: &[SourceKind],
) -> Result<Vec<Located<Object>>, Vec<ObjectError>> {
    let mut errors = Errors { file: file_name.into(), list: Vec::new() };
    if text.len() > MAX_FILE {
        errors.push(1, Problem::TooLarge { bytes: text.len(), most: MAX_FILE });
        return Err(errors.list);
    }
    let (documents, stopped) = tree::documents(text);
    if documents.is_empty() && stopped.is_none() {
        errors.push(1, Problem::Empty);
    }
    let mut objects = Vec::new();
    let mut seen = HashMap::new();
    for document in &documents {
        objects.extend(read_document(document, tick, sources, &mut seen, &mut errors));
    }
    if let Some((line, what)) = stopped {
        errors.push(line, Problem::Syntax(what));
    }
    if errors.list.is_empty() {
        return Ok(objects);
    }
    errors.list.sort_by_key(|error| error.line);
    Err(errors.list)
}

/// Where each object of the file stands first.
type Seen = HashMap<RecordName, u64>;

fn read_document(
    node: &Node,
    tick: Duration,
    sources: &[SourceKind],
    seen: &mut Seen,
    errors: &mut Errors,
) -> Option<Located<Object>> {
    let line = node.line;
    let mut fields = Fields::of(String::new(), line, node, errors)?;
    let kind = read_kind(&mut fields);
    let metadata = read_metadata(&mut fields);
    if let (Some(kind), Some(metadata)) = (kind, &metadata) {
        let name = match kind {
            ObjectKind::Discovery => RecordName::discovery(&metadata.namespace, &metadata.name),
            ObjectKind::Cluster => RecordName::cluster(&metadata.namespace, &metadata.name),
        };
        if let Some(first) = seen.get(&name) {
            let object = format!("{} {}/{}", kind.name(), metadata.namespace, metadata.name);
            fields.errors.push(line, Problem::RepeatedObject { object, first: *first });
        } else {
            seen.insert(name, line);
        }
    }
    if !fields.has("spec") {
        fields.missing("spec", "a mapping of settings");
    }
    let object = match (kind, fields.take("spec")) {
        (Some(ObjectKind::Discovery), Some(spec)) => {
            let spec =
                fields.nested_entry(spec, |fields| DiscoverySpec::read(fields, tick, sources)).flatten();
            metadata.zip(spec).map(|(metadata, spec)| Object::Discovery(Discovery { metadata, spec }))
        }
        (Some(ObjectKind::Cluster), Some(spec)) => {
            let spec = fields.nested_entry(spec, |fields| ClusterSpec::read(fields, tick));
            metadata.zip(spec).map(|(metadata, spec)| Object::Cluster(Cluster { metadata, spec }))
        }
        _ => None,
    };
    fields.finish();
    object.map(|value| Located { line, value })
}

/// The kinds of objects, before there is one.
#[derive(Clone, Copy)]
enum ObjectKind {
    Discovery,
    Cluster,
}

impl ObjectKind {
    fn name(self) -> &'static str {
        match self {
            ObjectKind::Discovery => "Discovery",
            ObjectKind::Cluster => "Cluster",
        }
    }
}

/// Reads `apiVersion` and `kind`. Without a kind there is no telling what `spec` should hold; with a wrong version it
/// is checked all the same, so that all errors are known at once.
fn read_kind(fields: &mut Fields<'_>) -> Option<ObjectKind> {
    read_word(fields, "apiVersion", &[API_VERSION]);
    match read_word(fields, "kind", &["Cluster", "Discovery"])? {
        "Discovery" => Some(ObjectKind::Discovery),
        _ => Some(ObjectKind::Cluster),
    }
}

/// One of a few words.
fn read_word(fields: &mut Fields<'_>, name: &'static str, words: &[&'static str]) -> Option<&'static str> {
    let expected = words.join(" or ");
    if !fields.has(name) {
        fields.missing(name, expected.as_str());
    }
    let (text, entry) = fields.text(name, &expected)?;
    let found = words.iter().find(|word| **word == text);
    if found.is_none() {
        let hint = nearest(text, words).filter(|_| words.len() > 1);
        fields.refuse(entry, hint.map_or(expected, |hint| format!("{hint}: case and spelling count")));
    }
    found.copied()
}

fn read_metadata(fields: &mut Fields<'_>) -> Option<Metadata> {
    if !fields.has("metadata") {
        fields.missing(
            "metadata",
            "a mapping with the object's name, and its namespace unless it is `default`",
        );
    }
    fields
        .nested("metadata", |fields| {
            let namespace = match fields.has("namespace") {
                true => read_name(fields, "namespace"),
                false => {
                    fields.take("namespace");
                    Some(DEFAULT_NAMESPACE.into())
                }
            };
            if !fields.has("name") {
                fields.missing("name", name_rule());
            }
            let name = read_name(fields, "name");
            Some(Metadata { namespace: namespace?, name: name? })
        })
        .flatten()
}

fn read_name(fields: &mut Fields<'_>, field: &'static str) -> Option<String> {
    let (name, entry) = fields.text(field, &name_rule())?;
    if check_name(name).is_err() {
        fields.refuse(entry, name_rule());
        return None;
    }
    Some(name.into())
}

fn name_rule() -> String {
    format!("1 to {MAX_NAME} of A-Z a-z 0-9 . _ -")
}

#[cfg(test)]
#[path = "stored_tests.rs"]
mod stored_tests;
