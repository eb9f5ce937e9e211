//! Text to a tree of values that know their line.
//!
//! YAML and JSON are read by one reader, since JSON is YAML; only JSON documents that merely follow each other, as
//! `kubectl` accepts them, are cut apart first.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_saphyr::Spanned;
use serde_saphyr::options::{DuplicateKeyPolicy, NonFiniteFloatPolicy};

/// A value and the line it starts in.
#[derive(Debug)]
pub(crate) struct Node {
    pub line: u64,
    pub value: Value,
}

/// What a value is.
#[derive(Debug)]
pub(crate) enum Value {
    Null,
    Bool(bool),
    Integer(i128),
    Float(f64),
    Text(String),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

/// One field of a mapping. A mapping may hold a key twice: whoever reads it reports that.
#[derive(Debug)]
pub struct Entry {
    pub(crate) key: String,
    /// The key's line.
    pub(crate) line: u64,
    pub(crate) node: Node,
}

impl Entry {
    /// The field's name.
    pub fn key(&self) -> &str {
        &self.key
    }
}

/// Why reading stopped: the line and what is wrong there.
pub(crate) type Stopped = (u64, String);

/// The documents of a text, empty ones left out, and why reading stopped before its end, if it did.
pub(crate) fn documents(text: &str) -> (Vec<Node>, Option<Stopped>) {
    if let Some(parts) = json_stream(text) {
        let mut all = Vec::new();
        for (offset, part) in parts {
            let (mut nodes, stopped) = yaml(part);
            nodes.iter_mut().for_each(|node| node.move_down(offset));
            all.append(&mut nodes);
            if let Some((line, what)) = stopped {
                return (all, Some((line + offset, what)));
            }
        }
        return (all, None);
    }
    yaml(text)
}

/// The parts of a text of several JSON documents without separators, each with the lines before it.
fn json_stream(text: &str) -> Option<Vec<(u64, &str)>> {
    if !text.trim_start().starts_with('{') {
        return None;
    }
    let mut stream = serde_json::Deserializer::from_str(text).into_iter::<IgnoredAny>();
    let (mut parts, mut start, mut lines) = (Vec::new(), 0, 0);
    while let Some(document) = stream.next() {
        document.ok()?;
        let part = &text[start..stream.byte_offset()];
        parts.push((lines, part));
        lines += part.matches('\n').count() as u64;
        start = stream.byte_offset();
    }
    (parts.len() > 1).then_some(parts)
}

fn yaml(text: &str) -> (Vec<Node>, Option<Stopped>) {
    // Generous for a file of objects, small for a machine. Documents are bounded by the size of the file.
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_depth: 40,
            max_nodes: 1_000_000,
            max_events: 4_000_000,
        },
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: 10_000,
            max_replay_stack_depth: 8,
        },
        duplicate_keys: DuplicateKeyPolicy::PassThrough,
        non_finite_float_policy: NonFiniteFloatPolicy::AsString,
        leading_zero_numbers_as_strings: true,
        underscored_numbers_as_strings: true,
        strict_booleans: true,
        with_snippet: false,
    };
    let mut reader = std::io::Cursor::new(text.as_bytes());
    let mut nodes = Vec::new();
    for document in serde_saphyr::read_with_options::<_, Node>(&mut reader, options) {
        match document {
            Ok(node) => nodes.push(node),
            Err(error) => {
                let line = error.location().map_or(1, |location| location.line().max(1));
                return (nodes, Some((line, without_line(&error.to_string()))));
            }
        }
    }
    (nodes, None)
}

/// The reader's message without the line at its end: the error has that already, and for parts of a JSON stream it
/// would be another one.
fn without_line(message: &str) -> String {
    let place = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    match message.rsplit_once(" at line ").and_then(|(what, at)| Some((what, at.split_once(", column ")?))) {
        Some((what, (line, column))) if place(line) && place(column) => format!("{what} (column {column})"),
        _ => message.into(),
    }
}

impl Node {
    fn move_down(&mut self, lines: u64) {
        self.line += lines;
        match &mut self.value {
            Value::List(items) => items.iter_mut().for_each(|item| item.move_down(lines)),
            Value::Map(entries) => entries.iter_mut().for_each(|entry| {
                entry.line += lines;
                entry.node.move_down(lines);
            }),
            _ => {}
        }
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<Value>::deserialize(deserializer)?;
        Ok(Node { line: spanned.referenced.line(), value: spanned.value })
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor)
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Integer(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Integer(value.into()))
    }

    fn visit_i128<E>(self, value: i128) -> Result<Value, E> {
        Ok(Value::Integer(value))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Value::Float(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::Text(value.into()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::Text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Value::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut map = Vec::new();
        while let Some(key) = entries.next_key::<Spanned<String>>()? {
            let node = entries.next_value()?;
            map.push(Entry { line: key.referenced.line(), key: key.value, node });
        }
        Ok(Value::Map(map))
    }
}

impl Value {
    /// The value as an error shows it.
    pub fn shown(&self) -> String {
        match self {
            Value::Null => "empty".into(),
            Value::Bool(value) => format!("`{value}`"),
            Value::Integer(value) => format!("`{value}`"),
            Value::Float(value) => format!("`{value}`"),
            Value::Text(text) => crate::values::shown(text),
            Value::List(_) => "a list".into(),
            Value::Map(_) => "a mapping".into(),
        }
    }

    /// The value as JSON. A key that a mapping holds twice has its last value: the caller refused that before.
    pub fn to_json(&self) -> serde_json::Value {
        match self {
            Value::Null => serde_json::Value::Null,
            Value::Bool(value) => (*value).into(),
            Value::Integer(value) => match (i64::try_from(*value), u64::try_from(*value)) {
                (Ok(value), _) => value.into(),
                (_, Ok(value)) => value.into(),
                // Beyond 64 bits, JSON's readers have no integer either.
                _ => (*value as f64).into(),
            },
            Value::Float(value) => (*value).into(),
            Value::Text(text) => text.as_str().into(),
            Value::List(items) => items.iter().map(|item| item.value.to_json()).collect(),
            Value::Map(entries) => {
                entries.iter().map(|entry| (entry.key.clone(), entry.node.value.to_json())).collect()
            }
        }
    }
}
