//! The list of shards, the same in both protocols but for words.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use replicante_model::observation::{Role, ShardReport};
use serde::Deserialize;

use crate::liberal::{Malformed, Piece, read_object};

#[derive(Deserialize)]
struct Answer<'a> {
    #[serde(borrow)]
    shards: Vec<Shard<'a>>,
}

#[derive(Deserialize)]
struct Shard<'a> {
    #[serde(borrow, default)]
    id: Piece<'a>,
    #[serde(borrow, default)]
    shard_id: Piece<'a>,
    #[serde(borrow, default)]
    role: Piece<'a>,
    #[serde(borrow, default)]
    commit_offset: Piece<'a>,
    #[serde(borrow, default)]
    lag: Piece<'a>,
}

/// Reads `{"shards": [{"id" or "shard_id": ..., "role": ..., "commit_offset": ..., "lag": ...}]}`.
///
/// A shard without an id is left out. Of a shard that is named twice, the report with the leading role counts
/// (primary, secondary, recovering, others by name), and the first of those: the order in which an agent happens
/// to list them makes no change. An id that `rename` answers for is replaced, see `quirks.rs`.
///
/// # Errors
/// When the body is no JSON or has no list of shards.
pub(crate) fn parse(body: &[u8], rename: Option<&str>) -> Result<BTreeMap<String, ShardReport>, Malformed> {
    let answer: Answer<'_> = read_object(body)?;
    let mut shards = BTreeMap::new();
    for shard in answer.shards {
        let Some(id) = shard.id.some_text().or_else(|| shard.shard_id.some_text()) else { continue };
        let id = rename.map_or(id, str::to_owned);
        let report = ShardReport {
            role: role(&shard.role),
            commit_offset: shard.commit_offset.offset(),
            lag: shard.lag.offset(),
        };
        match shards.entry(id) {
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
    Ok(shards)
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
    fn an_answer_without_a_list_is_malformed() {
        assert_eq!(parse(b"{}", None), Err(Malformed::Shape));
        assert_eq!(parse(b"[1, 2]", None), Err(Malformed::Shape));
        assert_eq!(parse(b"<html>", None), Err(Malformed::NotJson));
        assert_eq!(parse(b"", None), Err(Malformed::NotJson));
        assert_eq!(parse(br#"{"shards":[]}"#, None), Ok(BTreeMap::new()));
    }
}
