//! The list of shards, the same in both protocols but for words.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt;

use replicante_model::observation::{Role, ShardReport};
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::liberal::{Entries, EntriesOf, Malformed, Piece, read_into};

/// The most shards that one node may list, four times what large stores have. What is parsed of a shard is larger
/// than its shortest text, so the bound on the body is none on memory.
pub const MAX_SHARDS: usize = 200_000;

/// The shards of an answer, taken in one by one as they are read.
#[derive(Default)]
struct Shards<'a> {
    /// What stands for every id, see `quirks.rs`.
    rename: Option<&'a str>,
    /// Whether there is a list at all.
    listed: bool,
    /// How many were listed.
    count: usize,
    found: BTreeMap<String, ShardReport>,
}

#[derive(Default)]
struct Shard<'a> {
    id: Piece<'a>,
    shard_id: Piece<'a>,
    role: Piece<'a>,
    commit_offset: Piece<'a>,
    lag: Piece<'a>,
}

/// Reads `{"shards": [{"id" or "shard_id": ..., "role": ..., "commit_offset": ..., "lag": ...}]}`.
///
/// A shard without an id, or that is no object, is left out. Of a shard that is named twice, the report with the
/// leading role counts (primary, secondary, recovering, others by name), and the first of those: the order in which
/// an agent happens to list them makes no change. An id that `rename` answers for is replaced, see `quirks.rs`.
///
/// # Errors
/// When the body is no JSON, has no list of shards, or one of more than [`MAX_SHARDS`].
pub(crate) fn parse(body: &[u8], rename: Option<&str>) -> Result<BTreeMap<String, ShardReport>, Malformed> {
    let mut shards = Shards { rename, ..Shards::default() };
    let read = read_into(body, EntriesOf(&mut shards)).map(drop);
    if shards.count > MAX_SHARDS {
        return Err(Malformed::TooManyShards);
    }
    read?;
    if shards.listed { Ok(shards.found) } else { Err(Malformed::Shape) }
}

impl<'de> Entries<'de> for &mut Shards<'_> {
    fn entry<A: MapAccess<'de>>(&mut self, name: &str, object: &mut A) -> Result<(), A::Error> {
        if name == "shards" { object.next_value_seed(List(self)) } else { ignore(object) }
    }
}

/// Reads a list of shards; anything else is an error.
struct List<'s, 'a>(&'s mut Shards<'a>);

impl<'de> DeserializeSeed<'de> for List<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for List<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of shards")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        self.0.listed = true;
        while let Some(shard) = list.next_element_seed(EntriesOf(Shard::default()))? {
            self.0.count += 1;
            if self.0.count > MAX_SHARDS {
                return Err(A::Error::custom(Malformed::TooManyShards));
            }
            self.0.add(&shard);
        }
        Ok(())
    }
}

impl<'de> Entries<'de> for Shard<'de> {
    fn entry<A: MapAccess<'de>>(&mut self, name: &str, object: &mut A) -> Result<(), A::Error> {
        let place = match name {
            "id" => &mut self.id,
            "shard_id" => &mut self.shard_id,
            "role" => &mut self.role,
            "commit_offset" => &mut self.commit_offset,
            "lag" => &mut self.lag,
            _ => return ignore(object),
        };
        let value = object.next_value()?;
        // Of a field that is given twice the first counts.
        if *place == Piece::Null {
            *place = value;
        }
        Ok(())
    }
}

fn ignore<'de, A: MapAccess<'de>>(object: &mut A) -> Result<(), A::Error> {
    object.next_value::<IgnoredAny>().map(drop)
}

impl Shards<'_> {
    fn add(&mut self, shard: &Shard<'_>) {
        let Some(id) = shard.id.some_text().or_else(|| shard.shard_id.some_text()) else { return };
        let id = self.rename.map_or(id, str::to_owned);
        let report = ShardReport {
            role: role(&shard.role),
            commit_offset: shard.commit_offset.offset(),
            lag: shard.lag.offset(),
        };
        match self.found.entry(id) {
            Entry::Vacant(place) => {
                place.insert(report);
            }
            Entry::Occupied(mut known) => {
                if report.role < known.get().role {
                    known.insert(report);
                }
            }
        }
    }
}

/// A role in any case, as text or as `{"unknown": "<text>"}` (version 1) and `{"Other": "<text>"}` (version 2).
fn role(piece: &Piece<'_>) -> Role {
    let (name, text) = piece.variant();
    let is = |word: &str| name.eq_ignore_ascii_case(word);
    if is("primary") {
        Role::Primary
    } else if is("secondary") {
        Role::Secondary
    } else if is("recovering") {
        Role::Recovering
    } else if text.is_empty() {
        Role::Other(name)
    } else {
        Role::Other(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn roles(list: &str) -> Vec<(String, Role)> {
        let read = parse(format!("{{\"shards\":{list}}}").as_bytes(), None).unwrap();
        read.into_iter().map(|(id, report)| (id, report.role)).collect()
    }

    fn one(role: &str) -> Role {
        roles(&format!("[{{\"id\":\"a\",\"role\":{role}}}]")).remove(0).1
    }

    #[test]
    fn roles_are_read_in_any_case_and_unknown_ones_kept() {
        for (json, role) in [
            (r#""primary""#, Role::Primary),
            (r#""PRIMARY""#, Role::Primary),
            (r#""Secondary""#, Role::Secondary),
            (r#""Recovering""#, Role::Recovering),
            (r#"{"unknown":"candidate"}"#, Role::Other("candidate".into())),
            (r#"{"Other":"ROLLBACK"}"#, Role::Other("ROLLBACK".into())),
            (r#""observer""#, Role::Other("observer".into())),
            ("null", Role::Other(String::new())),
            ("[1]", Role::Other(String::new())),
        ] {
            assert_eq!(one(json), role, "{json}");
        }
    }

    #[test]
    fn ids_have_either_name_and_a_shard_without_one_is_left_out() {
        let ids: Vec<_> =
            roles(r#"[{"shard_id":"b"},{"id":"a","shard_id":"x"},{"role":"primary"},{"id":7}]"#);
        assert_eq!(ids.iter().map(|(id, _)| id.as_str()).collect::<Vec<_>>(), ["7", "a", "b"]);
    }

    #[test]
    fn of_a_shard_named_twice_the_leading_role_counts_in_any_order() {
        for list in [
            r#"[{"id":"a","role":"secondary"},{"id":"a","role":"primary"},{"id":"a","role":"recovering"}]"#,
            r#"[{"id":"a","role":"primary"},{"id":"a","role":"recovering"},{"id":"a","role":"secondary"}]"#,
        ] {
            assert_eq!(roles(list), [("a".to_owned(), Role::Primary)]);
        }
    }

    #[test]
    fn unknown_fields_are_ignored() {
        let answer = br#"{"more":{"a":[1]},"shards":[{"more":[{}],"id":"a","role":"primary"}],"most":1}"#;
        assert_eq!(parse(answer, None).unwrap()["a"].role, Role::Primary);
    }

    #[test]
    fn a_shard_that_is_no_object_is_left_out() {
        let found = roles(r#"["x",7,-7,1.5,null,true,[{"id":"b"}],{"id":"a","role":"primary","id":"b"}]"#);
        assert_eq!(found, [("a".to_owned(), Role::Primary)]);
    }

    #[test]
    fn more_shards_than_the_bound_are_malformed_whatever_they_say() {
        let answer = |count: usize| format!("{{\"shards\":[{{}}{}]}}", ",{}".repeat(count - 1));
        assert_eq!(parse(answer(MAX_SHARDS).as_bytes(), None), Ok(BTreeMap::new()));
        let error = parse(answer(MAX_SHARDS + 1).as_bytes(), None).unwrap_err();
        assert_eq!(error.to_string(), "more than 200000 shards");
    }

    #[test]
    fn an_answer_without_a_list_is_malformed() {
        for other in [r#"{"shards":null}"#, r#"{"shards":"x"}"#, r#"{"shards":{"a":1}}"#] {
            assert_eq!(parse(other.as_bytes(), None), Err(Malformed::Shape), "{other}");
        }
        assert_eq!(parse(b"{}", None), Err(Malformed::Shape));
        assert_eq!(parse(b"[1, 2]", None), Err(Malformed::Shape));
        assert_eq!(parse(b"<html>", None), Err(Malformed::NotJson));
        assert_eq!(parse(b"", None), Err(Malformed::NotJson));
        assert_eq!(parse(br#"{"shards":[]}"#, None), Ok(BTreeMap::new()));
    }
}
