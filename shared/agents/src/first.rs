//! Objects whose fields may be given twice.

use std::fmt;

use serde::de::value::CowStrDeserializer;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, IntoDeserializer, MapAccess, Visitor};

use crate::liberal::Piece;

/// Reads structures from objects. Of a field that is given twice the first counts: a derived reader alone would refuse
/// the whole object. A list is no object.
pub(crate) struct First<D>(pub(crate) D);

impl<'de, D: Deserializer<'de>> Deserializer<'de> for First<D> {
    type Error = D::Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.0.deserialize_any(visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.0.deserialize_map(FirstOf { fields, visitor })
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

struct FirstOf<V> {
    fields: &'static [&'static str],
    visitor: V,
}

impl<'de, V: Visitor<'de>> Visitor<'de> for FirstOf<V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.visitor.expecting(f)
    }

    fn visit_map<A: MapAccess<'de>>(self, object: A) -> Result<V::Value, A::Error> {
        self.visitor.visit_map(FirstEntries { object, left: self.fields.to_vec() })
    }
}

/// The entries of an object that are fields, each once.
struct FirstEntries<A> {
    object: A,
    /// The fields that were not met.
    left: Vec<&'static str>,
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for FirstEntries<A> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, A::Error> {
        while let Some(Piece::Text(name)) = self.object.next_key()? {
            if let Some(place) = self.left.iter().position(|field| *field == name) {
                self.left.swap_remove(place);
                let name: CowStrDeserializer<'_, A::Error> = name.into_deserializer();
                return seed.deserialize(name).map(Some);
            }
            self.object.next_value::<IgnoredAny>()?;
        }
        Ok(None)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, A::Error> {
        self.object.next_value_seed(seed)
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use crate::liberal::{Malformed, Piece, read_object};

    #[derive(Debug, Deserialize)]
    struct Answer<'a> {
        #[serde(borrow)]
        a: Piece<'a>,
        #[serde(borrow, default)]
        b: Piece<'a>,
    }

    #[test]
    fn of_a_field_that_is_given_twice_the_first_counts() {
        let read = |json: &'static str| read_object::<Answer<'_>>(json.as_bytes());
        let answer = read(r#"{"x":1,"a":"first","x":2,"b":1,"a":"second","b":2,"a":{}}"#).unwrap();
        assert_eq!((answer.a.text(), answer.b.text()), ("first".into(), "1".into()));
        assert_eq!(
            read(r#"{"b":1}"#).unwrap_err(),
            Malformed::Shape,
            "what no answer lacks is still asked for"
        );
        assert_eq!(read(r#"["first","second"]"#).unwrap_err(), Malformed::Shape);
        assert_eq!(read(r#"{"a":1,"#).unwrap_err(), Malformed::NotJson);
    }
}
