//! Reads the fields of one mapping, and gathers every error on the way instead of stopping at the first.

use std::ops::RangeInclusive;
use std::time::Duration;

use replicante_model::time::{human, parse_human};
use serde_json::{Map, Value as Json};

use crate::error::{ObjectError, Problem};
use crate::nearest::nearest;
use crate::tree::{Entry, Node, Value};
use crate::values::{human_size, parse_size};

/// The errors of one file.
pub(crate) struct Errors {
    pub file: String,
    pub list: Vec<ObjectError>,
}

impl Errors {
    pub fn push(&mut self, line: u64, problem: Problem) {
        self.list.push(ObjectError { file: self.file.clone(), line, problem });
    }
}

/// The fields of one mapping. Whatever is not asked for until `finish` is an unknown field.
///
/// Each reader returns `None` both for a field that is absent and for one that is wrong: the latter is in the
/// errors, so that no default can stand in for it.
pub struct Fields<'a> {
    path: String,
    line: u64,
    entries: &'a [Entry],
    known: Vec<&'static str>,
    pub(crate) errors: &'a mut Errors,
}

impl<'a> Fields<'a> {
    /// The fields of `node`, which stands in `line` under `path` (empty for the document itself).
    pub(crate) fn of(path: String, line: u64, node: &'a Node, errors: &'a mut Errors) -> Option<Self> {
        let Value::Map(entries) = &node.value else {
            let (field, value) =
                (if path.is_empty() { "the document".into() } else { path }, node.value.shown());
            errors.push(line, Problem::BadValue { field, value, expected: "a mapping of fields".into() });
            return None;
        };
        let mut fields = Fields { path, line, entries, known: Vec::new(), errors };
        fields.refuse_repeated();
        Some(fields)
    }

    fn refuse_repeated(&mut self) {
        for (index, entry) in self.entries.iter().enumerate() {
            if let Some(first) = self.entries[..index].iter().find(|first| first.key == entry.key) {
                let (field, first) = (self.field(&entry.key), first.line);
                self.errors.push(entry.line, Problem::RepeatedField { field, first });
            }
        }
    }

    /// The path of a field of this mapping.
    pub fn field(&self, name: &str) -> String {
        let name: String = name.chars().take(80).flat_map(char::escape_debug).collect();
        if self.path.is_empty() { name } else { format!("{}.{name}", self.path) }
    }

    /// All entries, for a mapping whose keys are the operator's own: none of them is unknown then.
    pub fn all(&mut self) -> &'a [Entry] {
        std::mem::take(&mut self.entries)
    }

    /// Whether the field is there, whatever it holds.
    pub fn has(&self, name: &str) -> bool {
        self.entries.iter().any(|entry| entry.key == name)
    }

    /// Whether there are fields beside those named.
    pub(crate) fn unknown_beside(&self, names: &[&str]) -> bool {
        self.entries.iter().any(|entry| !names.contains(&entry.key.as_str()))
    }

    /// The field, if it is there.
    pub fn take(&mut self, name: &'static str) -> Option<&'a Entry> {
        self.known.push(name);
        self.entries.iter().find(|entry| entry.key == name)
    }

    /// Reports the value of `entry`.
    pub fn refuse(&mut self, entry: &Entry, expected: impl Into<String>) {
        let value = entry.node.value.shown();
        self.refuse_as(entry, value, expected);
    }

    /// Reports the value of `entry`, shown as `value`.
    pub fn refuse_as(&mut self, entry: &Entry, value: impl Into<String>, expected: impl Into<String>) {
        let (field, value, expected) = (self.field(&entry.key), value.into(), expected.into());
        self.errors.push(entry.line, Problem::BadValue { field, value, expected });
    }

    /// Reports that a field is missing, in the line of the mapping.
    pub fn missing(&mut self, name: &str, expected: impl Into<String>) {
        let (field, expected) = (self.field(name), expected.into());
        self.errors.push(self.line, Problem::Missing { field, expected });
    }

    /// A mapping below this one.
    pub fn nested<T>(&mut self, name: &'static str, read: impl FnOnce(&mut Fields<'_>) -> T) -> Option<T> {
        let entry = self.take(name)?;
        self.nested_entry(entry, read)
    }

    /// The mapping that an entry holds.
    pub(crate) fn nested_entry<T>(
        &mut self,
        entry: &Entry,
        read: impl FnOnce(&mut Fields<'_>) -> T,
    ) -> Option<T> {
        let mut fields = Fields::of(self.field(&entry.key), entry.line, &entry.node, self.errors)?;
        let value = read(&mut fields);
        fields.finish();
        Some(value)
    }

    /// Text that is not empty.
    pub fn text(&mut self, name: &'static str, expected: &str) -> Option<(&'a str, &'a Entry)> {
        let entry = self.take(name)?;
        Some((self.text_of(entry, expected)?, entry))
    }

    /// The text of an entry of [`all`](Self::all), which is not empty.
    pub fn text_of(&mut self, entry: &'a Entry, expected: &str) -> Option<&'a str> {
        match &entry.node.value {
            Value::Text(text) if !text.is_empty() => Some(text),
            Value::Text(_) | Value::Null => {
                self.refuse_as(entry, "empty", expected);
                None
            }
            Value::Bool(_) | Value::Integer(_) | Value::Float(_) => {
                self.refuse(entry, format!("{expected}, as text: put it in quotes"));
                None
            }
            _ => {
                self.refuse(entry, expected);
                None
            }
        }
    }

    /// A list of texts that are not empty, at most `most`.
    pub fn texts(&mut self, name: &'static str, most: usize, expected: &str) -> Option<Vec<String>> {
        let entry = self.take(name)?;
        let text = |node: &Node| match &node.value {
            Value::Text(text) if !text.is_empty() => Some(text.clone()),
            _ => None,
        };
        if let Value::List(nodes) = &entry.node.value
            && nodes.len() <= most
            && let Some(texts) = nodes.iter().map(text).collect()
        {
            return Some(texts);
        }
        self.refuse(entry, format!("a list of at most {most}: {expected}"));
        None
    }

    /// One of some words, each with what it means.
    pub fn choice<T: Copy>(&mut self, name: &'static str, choices: &[(&str, T)]) -> Option<T> {
        let entry = self.take(name)?;
        if let Value::Text(text) = &entry.node.value
            && let Some((_, meant)) = choices.iter().find(|(word, _)| word == text)
        {
            return Some(*meant);
        }
        let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
        self.refuse(entry, words.join(" or "));
        None
    }

    /// This whole mapping as JSON, for one whose fields are the operator's own. At most `most` bytes of text.
    pub fn json(&mut self, most: usize) -> Option<Map<String, Json>> {
        let mut map = Map::new();
        for entry in self.all() {
            refuse_repeated_below(self, entry);
            map.insert(entry.key.clone(), entry.node.value.to_json());
        }
        let length = serde_json::to_vec(&map).map_or(usize::MAX, |json| json.len());
        if length > most {
            let expected = format!("at most {most} bytes of JSON");
            let (field, value) = (self.path.clone(), "too large".into());
            self.errors.push(self.line, Problem::BadValue { field, value, expected });
            return None;
        }
        Some(map)
    }

    /// `true` or `false`.
    pub fn boolean(&mut self, name: &'static str) -> Option<bool> {
        let entry = self.take(name)?;
        match entry.node.value {
            Value::Bool(value) => Some(value),
            _ => {
                self.refuse(entry, "true or false");
                None
            }
        }
    }

    /// A whole number within `range`.
    pub fn whole(&mut self, name: &'static str, range: RangeInclusive<u64>) -> Option<u64> {
        let entry = self.take(name)?;
        if let Value::Integer(value) = entry.node.value
            && let Ok(value) = u64::try_from(value)
            && range.contains(&value)
        {
            return Some(value);
        }
        let quoted = matches!(&entry.node.value, Value::Text(text) if text.parse::<u64>().is_ok());
        let hint = if quoted { ", without quotes" } else { "" };
        self.refuse(entry, format!("a whole number from {} to {}{hint}", range.start(), range.end()));
        None
    }

    /// A timeout: from 1 ms to 10 minutes, since a function lives 15 at most.
    pub fn timeout(&mut self, name: &'static str) -> Option<Duration> {
        self.duration(name, Duration::from_millis(1)..=Duration::from_secs(600))
    }

    /// A duration within `range`.
    pub fn duration(&mut self, name: &'static str, range: RangeInclusive<Duration>) -> Option<Duration> {
        let (least, most) = (human(*range.start()), human(*range.end()));
        self.duration_or(name, |span| {
            if range.contains(&span) { Ok(()) } else { Err(format!("a duration from {least} to {most}")) }
        })
    }

    /// An interval: at least one tick of the scheduler, at most a year.
    pub(crate) fn interval(&mut self, name: &'static str, tick: Duration) -> Option<Duration> {
        self.duration_or(name, |span| {
            if span < tick {
                return Err(format!("at least {}, one tick of the scheduler", human(tick)));
            }
            if span > MAX_SPAN { Err(format!("at most {}", human(MAX_SPAN))) } else { Ok(()) }
        })
    }

    fn duration_or(
        &mut self,
        name: &'static str,
        check: impl FnOnce(Duration) -> Result<(), String>,
    ) -> Option<Duration> {
        let entry = self.take(name)?;
        let expected = match &entry.node.value {
            Value::Text(text) => match parse_human(text) {
                Ok(span) => match check(span) {
                    Ok(()) => return Some(span),
                    Err(expected) => expected,
                },
                Err(_) => DURATION.into(),
            },
            _ => DURATION.into(),
        };
        self.refuse(entry, expected);
        None
    }

    /// A size in bytes within `range`.
    pub fn size(&mut self, name: &'static str, range: RangeInclusive<u64>) -> Option<u64> {
        let entry = self.take(name)?;
        let size = match &entry.node.value {
            Value::Text(text) => parse_size(text),
            _ => None,
        };
        match size {
            Some(size) if range.contains(&size) => return Some(size),
            Some(_) => {
                let (least, most) = (human_size(*range.start()), human_size(*range.end()));
                self.refuse(entry, format!("a size from {least} to {most}"));
            }
            None => self.refuse(entry, "a whole number and a unit (B, KiB, MiB, GiB), like 8MiB"),
        }
        None
    }

    /// Reports the fields that nobody asked for.
    pub(crate) fn finish(mut self) {
        let mut known = std::mem::take(&mut self.known);
        known.sort_unstable();
        known.dedup();
        for entry in self.entries {
            if known.contains(&entry.key.as_str()) {
                continue;
            }
            let (field, nearest) = (self.field(&entry.key), nearest(&entry.key, &known));
            self.errors.push(entry.line, Problem::UnknownField { field, nearest, known: known.clone() });
        }
    }
}

/// A key given twice below the first level of a mapping that becomes JSON: that would keep one of the two without a
/// word.
fn refuse_repeated_below(fields: &mut Fields<'_>, entry: &Entry) {
    match &entry.node.value {
        Value::Map(_) => {
            fields.nested_entry(entry, |fields| {
                for entry in fields.all() {
                    refuse_repeated_below(fields, entry);
                }
            });
        }
        Value::List(items) => {
            for item in items {
                if let Value::Map(_) = item.value
                    && let Some(mut below) =
                        Fields::of(fields.field(&entry.key), item.line, item, fields.errors)
                {
                    for entry in below.all() {
                        refuse_repeated_below(&mut below, entry);
                    }
                }
            }
        }
        _ => {}
    }
}

/// The longest duration that a setting may have: a year.
pub(crate) const MAX_SPAN: Duration = Duration::from_secs(365 * 86_400);

const DURATION: &str = "a whole number and a unit (ms, s, m, h, d), like 30s or 1h30m";
