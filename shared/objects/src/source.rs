//! Where a discovery's records come from: the settings of each source.
//!
//! Adding a source: its type and how it is read in a file like `http.rs`, a variant of [`SourceSpec`], a line in
//! `SOURCES`; then its module in the crate `replicante-sources`.

use serde::{Deserialize, Serialize};

use crate::error::Problem;
use crate::fields::Fields;
use crate::http::HttpSource;
use crate::values::MIB;

/// A source of discovery records.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SourceSpec {
    /// An HTTP endpoint that answers with pages of records.
    Http(HttpSource),
    /// A file.
    File(FileSource),
}

/// How one kind of source is read; `None` when it is wrong, which is reported then.
type ReadSource = fn(&mut Fields<'_>) -> Option<SourceSpec>;

/// Every source: its name in an object, and how it is read.
const SOURCES: [(&str, ReadSource); 2] = [
    ("http", |fields| HttpSource::read(fields).map(SourceSpec::Http)),
    ("file", |fields| FileSource::read(fields).map(SourceSpec::File)),
];

/// A file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileSource {
    /// Its path; a relative one starts at the working directory of the process that asks.
    pub path: String,
    /// What it may hold.
    #[serde(default)]
    pub limits: Limits,
}

/// What an answer may hold at most. An answer beyond a limit fails the run: the last good one stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Limits {
    /// Pages. Default 1,000.
    pub pages: u64,
    /// Bytes of one answer (of a page, where there are pages). Default 32 MiB.
    pub bytes: u64,
    /// Bytes of all pages together. Default 128 MiB.
    pub total_bytes: u64,
    /// Records of clusters in all pages together, those set aside included. Default 100,000.
    pub clusters: u64,
    /// Nodes of a cluster. Default 10,000.
    pub nodes: u64,
    /// Nodes of all clusters together. Default 500,000: a run holds each some three times (what was known, what is
    /// new, what is stored), with names of usual length at 200 bytes, and the worker has 1,024 MB.
    pub total_nodes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            pages: 1_000,
            bytes: 32 * MIB,
            total_bytes: 128 * MIB,
            clusters: 100_000,
            nodes: 10_000,
            total_nodes: 500_000,
        }
    }
}

impl SourceSpec {
    /// `None` when it is not exactly one, or wrong; that is reported then. `line` is that of `source`.
    pub(crate) fn read(fields: &mut Fields<'_>, line: u64) -> Option<SourceSpec> {
        let mut found = Vec::new();
        let mut source = None;
        let unknown = fields.unknown_beside(&SOURCES.map(|(name, _)| name));
        for (name, read) in SOURCES {
            if let Some(entry) = fields.take(name) {
                found.push(name.to_string());
                source = fields.nested_entry(entry, read).flatten();
            }
        }
        // A mistyped name is reported as an unknown field, with a suggestion: once is enough.
        if found.len() > 1 || (found.is_empty() && !unknown) {
            let known = SOURCES.map(|(name, _)| name).to_vec();
            fields.errors.push(line, Problem::NotOneSource { found, known });
            return None;
        }
        source
    }
}

impl Limits {
    pub(crate) fn read(fields: &mut Fields<'_>) -> Limits {
        let default = Limits::default();
        Limits {
            pages: fields.whole("pages", 1..=100_000).unwrap_or(default.pages),
            bytes: fields.size("bytes", 1..=256 * MIB).unwrap_or(default.bytes),
            total_bytes: fields.size("total_bytes", 1..=1024 * MIB).unwrap_or(default.total_bytes),
            clusters: fields.whole("clusters", 1..=1_000_000).unwrap_or(default.clusters),
            nodes: fields.whole("nodes", 1..=100_000).unwrap_or(default.nodes),
            total_nodes: fields.whole("total_nodes", 1..=10_000_000).unwrap_or(default.total_nodes),
        }
    }
}

impl FileSource {
    fn read(fields: &mut Fields<'_>) -> Option<FileSource> {
        const EXPECTED: &str = "the path of a local file, JSON or YAML";
        let limits = fields.nested("limits", Limits::read).unwrap_or_default();
        if !fields.has("path") {
            fields.missing("path", EXPECTED);
        }
        let (path, entry) = fields.text("path", EXPECTED)?;
        if path.contains("://") || path.contains('\0') {
            fields.refuse(entry, format!("{EXPECTED} (s3:// is not supported yet)"));
            return None;
        }
        Some(FileSource { path: path.into(), limits })
    }
}
