//! Where a discovery's records come from: which kind of source, and its settings.
//!
//! This crate knows no kind of source. Each one lives in a module of `replicante-sources`, its settings included;
//! what is shared by their settings is here: [`Fields`], [`Endpoint`](crate::Endpoint), [`Limits`](crate::Limits).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::error::Problem;
use crate::fields::Fields;

/// A kind of source, as the reader of objects needs to know it.
#[derive(Clone, Copy, Debug)]
pub struct SourceKind {
    /// Its name below `spec.source`.
    pub name: &'static str,
    /// Reads its settings into their stored form. `None` when they are wrong, which is reported then.
    pub read: fn(&mut Fields<'_>) -> Option<Json>,
}

/// The source of a discovery: the name of its kind, and its settings in their stored form.
///
/// Stored as `{"<kind>": {...}}`. A kind that this release does not know is read all the same, and refused by
/// whoever opens it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "BTreeMap<String, Json>", into = "BTreeMap<String, Json>")]
pub struct SourceSpec {
    /// The name of the kind.
    pub kind: String,
    /// Its settings: keys are sorted, so that equal settings have equal text.
    pub settings: Json,
}

impl TryFrom<BTreeMap<String, Json>> for SourceSpec {
    type Error = String;

    fn try_from(map: BTreeMap<String, Json>) -> Result<Self, String> {
        let count = map.len();
        let mut entries = map.into_iter();
        match (entries.next(), count) {
            (Some((kind, settings)), 1) => Ok(SourceSpec { kind, settings }),
            _ => Err(format!("a discovery has {count} sources: expected exactly one")),
        }
    }
}

impl From<SourceSpec> for BTreeMap<String, Json> {
    fn from(spec: SourceSpec) -> Self {
        [(spec.kind, spec.settings)].into()
    }
}

/// The names of the kinds, for errors.
pub(crate) fn names(kinds: &[SourceKind]) -> Vec<&'static str> {
    kinds.iter().map(|kind| kind.name).collect()
}

impl SourceSpec {
    /// `None` when it is not exactly one, or wrong; that is reported then. `line` is that of `source`.
    pub(crate) fn read(fields: &mut Fields<'_>, line: u64, kinds: &[SourceKind]) -> Option<SourceSpec> {
        let mut found = Vec::new();
        let mut source = None;
        let known = names(kinds);
        let unknown = fields.unknown_beside(&known);
        for kind in kinds {
            if let Some(entry) = fields.take(kind.name) {
                found.push(kind.name.to_string());
                let settings = fields.nested_entry(entry, kind.read).flatten();
                source = settings.map(|mut settings| {
                    settings.sort_all_objects();
                    SourceSpec { kind: kind.name.into(), settings }
                });
            }
        }
        // A mistyped name is reported as an unknown field, with a suggestion: once is enough.
        if found.len() > 1 || (found.is_empty() && !unknown) {
            fields.errors.push(line, Problem::NotOneSource { found, known });
            return None;
        }
        source
    }
}
