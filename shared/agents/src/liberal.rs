//! JSON values whose type may differ from what is expected.
//!
//! An unknown enum value is text or an object, an id may be a number, an offset may be missing: none of that
//! makes an answer unreadable. [`Piece`] takes whatever is there, without copying text.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use replicante_model::observation::{AgentVersion, MAX_ATTRIBUTES, MAX_TEXT, Offset, clean};
use serde::de::{Deserialize, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::shards::MAX_SHARDS;

/// A body that is not the answer it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// It is no JSON.
    #[error("no JSON")]
    NotJson,
    /// It is JSON, and lacks what no answer lacks.
    #[error("unexpected JSON")]
    Shape,
    /// It lists more shards than are taken in.
    #[error("more than {MAX_SHARDS} shards")]
    TooManyShards,
}

/// Reads a body that is one object. (A derived reader takes a list for an object, value by value.)
pub(crate) fn read_object<'de, T: Deserialize<'de>>(body: &'de [u8]) -> Result<T, Malformed> {
    if body.trim_ascii_start().starts_with(b"{") {
        read(body)
    } else {
        read::<IgnoredAny>(body).and(Err(Malformed::Shape))
    }
}

/// Reads a whole body.
pub(crate) fn read<'de, T: Deserialize<'de>>(body: &'de [u8]) -> Result<T, Malformed> {
    read_into(body, std::marker::PhantomData)
}

/// Reads a whole body into what the seed holds.
pub(crate) fn read_into<'de, S: DeserializeSeed<'de>>(
    body: &'de [u8],
    seed: S,
) -> Result<S::Value, Malformed> {
    let mut parser = serde_json::Deserializer::from_slice(body);
    let value = seed.deserialize(&mut parser).and_then(|value| parser.end().map(|()| value));
    value.map_err(|error| match error.classify() {
        serde_json::error::Category::Data => Malformed::Shape,
        _ => Malformed::NotJson,
    })
}

/// What is read from an object, entry by entry.
pub(crate) trait Entries<'de> {
    /// Takes the entry of this name: reads its value from the object.
    fn entry<A: MapAccess<'de>>(&mut self, name: &str, object: &mut A) -> Result<(), A::Error>;
}

/// Reads the entries of an object into what it holds. Anything but an object has none.
pub(crate) struct EntriesOf<T>(pub(crate) T);

impl<'de, T: Entries<'de>> DeserializeSeed<'de> for EntriesOf<T> {
    type Value = T;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<T, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, T: Entries<'de>> Visitor<'de> for EntriesOf<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON")
    }

    fn visit_unit<E>(self) -> Result<T, E> {
        Ok(self.0)
    }

    fn visit_bool<E>(self, _: bool) -> Result<T, E> {
        Ok(self.0)
    }

    fn visit_i64<E>(self, _: i64) -> Result<T, E> {
        Ok(self.0)
    }

    fn visit_u64<E>(self, _: u64) -> Result<T, E> {
        Ok(self.0)
    }

    fn visit_f64<E>(self, _: f64) -> Result<T, E> {
        Ok(self.0)
    }

    fn visit_str<E>(self, _: &str) -> Result<T, E> {
        Ok(self.0)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<T, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(self.0)
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut object: A) -> Result<T, A::Error> {
        while let Some(Piece::Text(name)) = object.next_key()? {
            self.0.entry(&name, &mut object)?;
        }
        Ok(self.0)
    }
}

/// How many entries of an object in the place of a plain value are looked at.
const MOST_ENTRIES: usize = 16;

/// A value of any type, borrowed from the body where it can be.
#[derive(Debug, Default, PartialEq)]
pub(crate) enum Piece<'a> {
    /// `null`, or absent.
    #[default]
    Null,
    Whole(i64),
    Text(Cow<'a, str>),
    Object(Vec<(Cow<'a, str>, Piece<'a>)>),
    /// The first element.
    List(Option<Box<Piece<'a>>>),
}

impl Piece<'_> {
    /// The text of a string, a number or a boolean, within [`MAX_TEXT`]; empty for everything else.
    pub(crate) fn text(&self) -> String {
        match self {
            Piece::Text(text) => clean(text, MAX_TEXT),
            Piece::Whole(number) => number.to_string(),
            Piece::Null | Piece::Object(_) | Piece::List(_) => String::new(),
        }
    }

    /// The text, where it is not empty.
    pub(crate) fn some_text(&self) -> Option<String> {
        Some(self.text()).filter(|text| !text.is_empty())
    }

    /// The text that no answer lacks.
    pub(crate) fn required(&self) -> Result<String, Malformed> {
        self.some_text().ok_or(Malformed::Shape)
    }

    /// The entry of an object.
    pub(crate) fn get(&self, name: &str) -> &Piece<'_> {
        const ABSENT: &Piece<'static> = &Piece::Null;
        match self {
            Piece::Object(entries) => {
                entries.iter().find(|(key, _)| key == name).map_or(ABSENT, |(_, value)| value)
            }
            _ => ABSENT,
        }
    }

    /// A value of an enum: its name, and the text that comes with it: `"a"`, or `{"a": "text"}`.
    pub(crate) fn variant(&self) -> (String, String) {
        match self {
            Piece::Object(entries) => entries
                .first()
                .map_or_else(Default::default, |(name, value)| (clean(name, MAX_TEXT), value.text())),
            _ => (self.text(), String::new()),
        }
    }

    /// `{"value": 1, "unit": ...}`, its unit either text or `{"unit": "<name>"}`. Anything else counts as absent.
    pub(crate) fn offset(&self) -> Option<Offset> {
        let Piece::Whole(value) = *self.get("value") else { return None };
        let unit = match self.get("unit") {
            Piece::Object(entries) => entries.first().map(|(_, name)| name.text()).unwrap_or_default(),
            other => other.text(),
        };
        Some(Offset { value, unit })
    }

    /// `{"number": "0.6.0", "checkout": ..., "taint": ...}`; text counts as the number.
    pub(crate) fn version(&self) -> AgentVersion {
        match self {
            Piece::Object(_) => AgentVersion {
                number: self.get("number").text(),
                checkout: self.get("checkout").text(),
                taint: self.get("taint").text(),
            },
            _ => AgentVersion { number: self.text(), ..AgentVersion::default() },
        }
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Piece<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(PieceVisitor)
    }
}

struct PieceVisitor;

impl<'de> Visitor<'de> for PieceVisitor {
    type Value = Piece<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON")
    }

    fn visit_unit<E>(self) -> Result<Piece<'de>, E> {
        Ok(Piece::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Piece<'de>, E> {
        Ok(Piece::Text(Cow::Borrowed(if value { "true" } else { "false" })))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Piece<'de>, E> {
        Ok(Piece::Whole(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Piece<'de>, E> {
        Ok(i64::try_from(value).map_or_else(|_| Piece::Text(value.to_string().into()), Piece::Whole))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Piece<'de>, E> {
        Ok(Piece::Text(value.to_string().into()))
    }

    fn visit_borrowed_str<E>(self, value: &'de str) -> Result<Piece<'de>, E> {
        Ok(Piece::Text(Cow::Borrowed(value)))
    }

    fn visit_str<E>(self, value: &str) -> Result<Piece<'de>, E> {
        Ok(Piece::Text(Cow::Owned(value.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Piece<'de>, A::Error> {
        let first = list.next_element::<Piece<'de>>()?;
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Piece::List(first.map(Box::new)))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Piece<'de>, A::Error> {
        let mut entries = Vec::new();
        while entries.len() < MOST_ENTRIES {
            let Some(Piece::Text(name)) = object.next_key::<Piece<'de>>()? else {
                return Ok(Piece::Object(entries));
            };
            entries.push((name, object.next_value()?));
        }
        while object.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Piece::Object(entries))
    }
}

/// Attributes: strings as they are, other values as JSON, all cut to [`MAX_TEXT`]; the first
/// [`MAX_ATTRIBUTES`] in the order of their names. Anything but an object is none.
#[derive(Debug, Default)]
pub(crate) struct Attributes(pub(crate) BTreeMap<String, String>);

impl Attributes {
    /// Adds others where the name is new, within the bound.
    pub(crate) fn merge(&mut self, others: Attributes) {
        for (name, value) in others.0 {
            self.0.entry(name).or_insert(value);
        }
        self.bound();
    }

    fn bound(&mut self) {
        while self.0.len() > MAX_ATTRIBUTES {
            self.0.pop_last();
        }
    }
}

impl<'de> Deserialize<'de> for Attributes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        EntriesOf(Attributes::default()).deserialize(deserializer)
    }
}

impl<'de> Entries<'de> for Attributes {
    fn entry<A: MapAccess<'de>>(&mut self, name: &str, object: &mut A) -> Result<(), A::Error> {
        let value = match object.next_value::<serde_json::Value>()? {
            serde_json::Value::String(text) => text,
            other => other.to_string(),
        };
        self.0.insert(clean(name, MAX_TEXT), clean(&value, MAX_TEXT));
        self.bound();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_text_whatever_its_type() {
        for (json, text) in [
            (r#""a""#, "a"),
            ("7", "7"),
            ("-7", "-7"),
            ("18446744073709551615", "18446744073709551615"),
            ("1.5", "1.5"),
            ("true", "true"),
            ("null", ""),
            ("[1]", ""),
            (r#"{"a":1}"#, ""),
            (r#""\u00e9""#, "é"),
        ] {
            assert_eq!(read::<Piece>(json.as_bytes()).unwrap().text(), text, "{json}");
        }
        let long = format!("\"{}\"", "é".repeat(MAX_TEXT));
        assert_eq!(read::<Piece>(long.as_bytes()).unwrap().text().len(), MAX_TEXT);
    }

    #[test]
    fn units_are_text_or_an_object() {
        let unit = |json: &str| {
            read::<Piece>(json.as_bytes()).unwrap().offset().map(|offset| (offset.value, offset.unit))
        };
        assert_eq!(unit(r#"{"unit":"seconds","value":-5}"#), Some((-5, "seconds".into())));
        assert_eq!(
            unit(r#"{"unit":{"unit":"zxid"},"value":9223372036854775807}"#),
            Some((i64::MAX, "zxid".into()))
        );
        assert_eq!(unit(r#"{"value":-9223372036854775808}"#), Some((i64::MIN, String::new())));
        for absent in [
            "null",
            "5",
            "[]",
            "{}",
            r#"{"unit":"s"}"#,
            r#"{"value":"5"}"#,
            r#"{"value":18446744073709551615}"#,
        ] {
            assert_eq!(unit(absent), None, "{absent}");
        }
    }

    #[test]
    fn attributes_are_bounded_in_the_order_of_their_names() {
        let many: Vec<String> = (0..200).rev().map(|n| format!("\"k{n:03}\":{n}")).collect();
        let read: Attributes = read(format!("{{{}}}", many.join(",")).as_bytes()).unwrap();
        assert_eq!(read.0.len(), MAX_ATTRIBUTES);
        assert_eq!(read.0.last_key_value().unwrap(), (&"k063".to_owned(), &"63".to_owned()));
    }

    #[test]
    fn anything_but_an_object_has_no_attributes() {
        for other in [r#""x""#, "[]", r#"[{"a":1}]"#, "null", "7", "-7", "1.5", "true"] {
            let read: Attributes = read(other.as_bytes()).unwrap();
            assert!(read.0.is_empty(), "{other}");
        }
    }

    #[test]
    fn attributes_are_text_and_the_nodes_own_win() {
        let mut node: Attributes = read(br#"{"a":"text","b":{"x":[1,null]},"n":1.5}"#).unwrap();
        node.merge(read(br#"{"a":"store","c":1038090240}"#).unwrap());
        let expected = [("a", "text"), ("b", r#"{"x":[1,null]}"#), ("c", "1038090240"), ("n", "1.5")];
        assert_eq!(node.0, expected.map(|(name, value)| (name.to_owned(), value.to_owned())).into());
    }
}
