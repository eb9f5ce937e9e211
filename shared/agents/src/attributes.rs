//! What an agent says of its node and store in names and values of its own choice.

use std::collections::BTreeMap;

use replicante_model::observation::{MAX_ATTRIBUTES, MAX_TEXT, clean, cut};
use serde::de::{Deserialize, DeserializeSeed, Deserializer, MapAccess};
use serde_json::value::RawValue;

use crate::liberal::{Entries, EntriesOf, Piece};

/// The longest value that is put in order, in bytes of its JSON: what is parsed takes far more memory than its text.
/// A longer one is cut as it came.
const MAX_ORDERED: usize = 64 * 1024;

/// Attributes: strings as they are, other values as JSON, all cut to [`MAX_TEXT`]; the first
/// [`MAX_ATTRIBUTES`] in the order of their names. Of a name that is given twice the first counts. Anything but an
/// object is none.
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
        let value = text(object.next_value::<&RawValue>()?.get());
        self.0.entry(clean(name, MAX_TEXT)).or_insert(value);
        self.bound();
        Ok(())
    }
}

/// The text of a value: a string's own, else its JSON with its objects in the order of their names, so that one value
/// has one text.
fn text(json: &str) -> String {
    if json.starts_with('"') {
        return serde_json::from_str::<Piece<'_>>(json).map(|piece| piece.text()).unwrap_or_default();
    }
    let ordered = (json.len() <= MAX_ORDERED)
        .then(|| serde_json::from_str::<serde_json::Value>(json).ok())
        .flatten()
        .map(|value| value.to_string());
    clean(ordered.as_deref().unwrap_or_else(|| cut(json, MAX_TEXT)), MAX_TEXT)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::liberal::read;

    fn attributes(json: &str) -> BTreeMap<String, String> {
        read::<Attributes>(json.as_bytes()).unwrap().0
    }

    #[test]
    fn attributes_are_bounded_in_the_order_of_their_names() {
        let many: Vec<String> = (0..200).rev().map(|n| format!("\"k{n:03}\":{n}")).collect();
        let read = attributes(&format!("{{{}}}", many.join(",")));
        assert_eq!(read.len(), MAX_ATTRIBUTES);
        assert_eq!(read.last_key_value().unwrap(), (&"k063".to_owned(), &"63".to_owned()));
    }

    #[test]
    fn anything_but_an_object_has_no_attributes() {
        for other in [r#""x""#, "[]", r#"[{"a":1}]"#, "null", "7", "-7", "1.5", "true"] {
            assert!(attributes(other).is_empty(), "{other}");
        }
    }

    #[test]
    fn attributes_are_text_and_the_nodes_own_win() {
        let mut node: Attributes = read(br#"{"a":"t\u00e9xt","b":{"x":[1, null]},"n":1.5}"#).unwrap();
        node.merge(read(br#"{"a":"store","c":1038090240}"#).unwrap());
        let expected = [("a", "téxt"), ("b", r#"{"x":[1,null]}"#), ("c", "1038090240"), ("n", "1.5")];
        assert_eq!(node.0, expected.map(|(name, value)| (name.to_owned(), value.to_owned())).into());
    }

    #[test]
    fn the_order_within_a_value_makes_no_change_and_of_a_name_given_twice_the_first_counts() {
        let read = attributes(r#"{"a":{"y":1,"x":2},"b":{"x":2, "y":1},"b":"again","a":null}"#);
        assert_eq!((&*read["a"], &*read["b"]), (r#"{"x":2,"y":1}"#, r#"{"x":2,"y":1}"#));
    }

    #[test]
    fn a_value_that_is_long_or_deep_is_cut_and_no_reason_to_refuse_the_answer() {
        let deep = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        for long in [deep(1_000), deep(MAX_ORDERED), format!("[{}1]", "1,".repeat(MAX_ORDERED))] {
            let value = &attributes(&format!(r#"{{"a":{long}}}"#))["a"];
            assert!(value.len() == MAX_TEXT && long.starts_with(value.as_str()), "{value}");
        }
        // Parsing it would take more memory than it is worth: it is not even put in order.
        let long = format!(r#"{{"y":"{}","x":1}}"#, "y".repeat(MAX_ORDERED));
        assert!(attributes(&format!(r#"{{"a":{long}}}"#))["a"].starts_with(r#"{"y":"yy"#));
        let text = "é".repeat(MAX_ORDERED);
        assert_eq!(attributes(&format!(r#"{{"a":"{text}"}}"#))["a"], cut(&text, MAX_TEXT));
    }
}
