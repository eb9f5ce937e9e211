//! JSON values whose type may differ from what is expected.
//!
//! An unknown enum value is text or an object, an id may be a number, an offset may be missing: none of that
//! makes an answer unreadable. [`Piece`] takes whatever is there, without copying text.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use replicante_model::observation::{AgentVersion, MAX_TEXT, Offset, clean};
use serde::de::{Deserialize, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::first::First;
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

/// Reads a body that is one object. Of a field that is given twice the first counts.
pub(crate) fn read_object<'de, T: Deserialize<'de>>(body: &'de [u8]) -> Result<T, Malformed> {
    read_into(body, FirstObject(PhantomData))
}

struct FirstObject<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> DeserializeSeed<'de> for FirstObject<T> {
    type Value = T;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<T, D::Error> {
        T::deserialize(First(deserializer))
    }
}

/// Reads a whole body.
pub(crate) fn read<'de, T: Deserialize<'de>>(body: &'de [u8]) -> Result<T, Malformed> {
    read_into(body, PhantomData)
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
/// How many objects and lists within each other are looked at: `{"value": 1, "unit": {"unit": "zxid"}}` has two.
const MOST_LEVELS: u8 = 3;

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
        PieceVisitor { levels: MOST_LEVELS }.deserialize(deserializer)
    }
}

/// Reads a piece of so many levels. What lies below them is passed over.
#[derive(Clone, Copy)]
struct PieceVisitor {
    levels: u8,
}

impl PieceVisitor {
    /// For what is within an object or a list; `None` below the last level.
    fn within(self) -> Option<Self> {
        self.levels.checked_sub(1).map(|levels| PieceVisitor { levels })
    }
}

impl<'de> DeserializeSeed<'de> for PieceVisitor {
    type Value = Piece<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Piece<'de>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

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
        let first = match self.within() {
            Some(within) => list.next_element_seed(within)?,
            None => None,
        };
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Piece::List(first.map(Box::new)))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Piece<'de>, A::Error> {
        let mut entries = Vec::new();
        if let Some(within) = self.within() {
            while entries.len() < MOST_ENTRIES {
                let Some(Piece::Text(name)) = object.next_key::<Piece<'de>>()? else {
                    return Ok(Piece::Object(entries));
                };
                entries.push((name, object.next_value_seed(within)?));
            }
        }
        while object.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Piece::Object(entries))
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
    fn a_deep_value_is_read_to_a_few_levels_and_takes_no_more_memory() {
        let read = |json: &str| format!("{:?}", read::<Piece>(json.as_bytes()).unwrap());
        let deep = |levels: usize| format!("{}1{}", r#"{"a":"#.repeat(levels), "}".repeat(levels));
        assert!(read(&deep(3)).contains("Whole(1)"));
        assert_eq!(read(&deep(4)), read(&deep(100)));
        let lists = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        assert_eq!(read(&lists(5)), read(&lists(100)));
    }
}
