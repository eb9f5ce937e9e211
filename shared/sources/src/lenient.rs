//! Values of any kind: a reader takes what it expects, and the name of the kind for everything else.

use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

const NUMBER: &str = "a number";

/// What a reader makes of a value of any kind.
pub(crate) trait Read<'de>: Sized {
    /// What comes of it.
    type Output;

    /// Of a value that is neither of the following.
    fn other(self, what: &'static str) -> Self::Output;

    /// Of text.
    fn text(self, _text: &str) -> Self::Output {
        self.other("text")
    }

    /// Of a whole number that is not negative.
    fn number(self, _number: u64) -> Self::Output {
        self.other(NUMBER)
    }

    /// Of an object.
    fn map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Output, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(self.other("an object"))
    }

    /// Of a list.
    fn list<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Output, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(self.other("a list"))
    }
}

/// A visitor that takes any kind of value.
pub(crate) struct Lenient<R>(pub R);

impl<'de, R: Read<'de>> Visitor<'de> for Lenient<R> {
    type Value = R::Output;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<R::Output, E> {
        Ok(self.0.other("null"))
    }

    fn visit_bool<E>(self, _: bool) -> Result<R::Output, E> {
        Ok(self.0.other("true or false"))
    }

    // What is not negative comes as the other.
    fn visit_i64<E>(self, _: i64) -> Result<R::Output, E> {
        Ok(self.0.other(NUMBER))
    }

    fn visit_u64<E>(self, number: u64) -> Result<R::Output, E> {
        Ok(self.0.number(number))
    }

    fn visit_i128<E>(self, _: i128) -> Result<R::Output, E> {
        Ok(self.0.other(NUMBER))
    }

    fn visit_u128<E>(self, _: u128) -> Result<R::Output, E> {
        Ok(self.0.other(NUMBER))
    }

    fn visit_f64<E>(self, _: f64) -> Result<R::Output, E> {
        Ok(self.0.other(NUMBER))
    }

    fn visit_str<E>(self, text: &str) -> Result<R::Output, E> {
        Ok(self.0.text(text))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<R::Output, A::Error> {
        self.0.map(map)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<R::Output, A::Error> {
        self.0.list(list)
    }
}

/// A value that should be text.
#[derive(Clone, Default)]
pub(crate) enum Text {
    #[default]
    Missing,
    Null,
    Given(String),
    /// It is something else: what.
    Wrong(&'static str),
}

impl Text {
    /// The text that must be there; the reason names the field.
    pub fn required(self, name: &str) -> Result<String, String> {
        match self {
            Text::Missing | Text::Null => Err(format!("no {name}")),
            other => other.optional(name).map(Option::unwrap_or_default),
        }
    }

    /// The text; empty text counts as absent.
    pub fn optional(self, name: &str) -> Result<Option<String>, String> {
        match self {
            Text::Missing | Text::Null => Ok(None),
            Text::Given(text) => Ok(Some(text).filter(|text| !text.is_empty())),
            Text::Wrong(what) => Err(format!("{name} is {what}: expected text")),
        }
    }
}

struct ReadText;

impl Read<'_> for ReadText {
    type Output = Text;

    fn other(self, what: &'static str) -> Text {
        if what == "null" { Text::Null } else { Text::Wrong(what) }
    }

    fn text(self, text: &str) -> Text {
        Text::Given(text.into())
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Lenient(ReadText))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a value is, in words.
    struct Kind(String);

    struct ReadKind;

    impl Read<'_> for ReadKind {
        type Output = Kind;

        fn other(self, what: &'static str) -> Kind {
            Kind(what.into())
        }

        fn number(self, number: u64) -> Kind {
            Kind(format!("number {number}"))
        }
    }

    impl<'de> Deserialize<'de> for Kind {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            deserializer.deserialize_any(Lenient(ReadKind))
        }
    }

    #[test]
    fn a_value_of_each_kind_is_told_by_json_as_by_yaml() {
        for (text, kind) in [
            ("null", "null"),
            ("true", "true or false"),
            ("\"a\"", "text"),
            ("[1]", "a list"),
            ("{\"a\": 1}", "an object"),
            ("0", "number 0"),
            ("8000", "number 8000"),
            ("18446744073709551615", "number 18446744073709551615"),
            ("-1", "a number"),
            ("18446744073709551616", "a number"),
            ("1.5", "a number"),
        ] {
            assert_eq!(serde_json::from_str::<Kind>(text).unwrap().0, kind, "{text}");
            assert_eq!(serde_saphyr::from_str::<Kind>(text).unwrap().0, kind, "{text}");
        }
    }
}
