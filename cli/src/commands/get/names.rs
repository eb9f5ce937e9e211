//! Names that are given: patterns, and what may be meant by one that is not there.

use std::str::FromStr;

use replicante_model::{Kind, RecordName};
use replicante_protocol::head::Head;
use wildmatch::WildMatch;

use crate::error::CliError;
use crate::out;

/// A name, in which `*` stands for any text and `?` for any character.
#[derive(Clone, Debug, PartialEq)]
pub struct Pattern(WildMatch);

impl FromStr for Pattern {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Pattern(WildMatch::new(text)))
    }
}

impl Pattern {
    /// Whether one of the patterns takes the text, or there are none.
    pub fn any(patterns: &[Pattern], text: &str) -> bool {
        patterns.is_empty() || patterns.iter().any(|pattern| pattern.0.matches(text))
    }
}

/// There is no such record: names those that may be meant.
pub fn unknown(name: &RecordName, heads: &[Head]) -> CliError {
    let kind = name.kind;
    let elsewhere = heads.iter().find(|head| head.record.id == name.id);
    let like: Vec<&str> = heads
        .iter()
        .filter(|head| head.record.namespace == name.namespace)
        .map(|head| head.record.id.as_str())
        .filter(|id| id.contains(&name.id) || name.id.contains(id) || near(id, &name.id))
        .take(3)
        .collect();
    let hint = match (elsewhere, like.as_slice()) {
        (Some(head), _) => format!("there is one in namespace {0}: add -n {0}", head.record.namespace),
        (None, []) => format!("`{} get {}` lists them", out::program(), plural(kind)),
        (None, like) => format!("is it {}?", like.join(" or ")),
    };
    CliError::Failed(format!("there is no {kind} `{}` in namespace {}; {hint}", name.id, name.namespace))
}

fn plural(kind: Kind) -> &'static str {
    match kind {
        Kind::Cluster => "clusters",
        Kind::Discovery => "discoveries",
    }
}

/// Whether two names differ in one character, or in the order of two.
fn near(a: &str, b: &str) -> bool {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let front = a.iter().zip(&b).take_while(|(a, b)| a == b).count();
    let (a, b) = (&a[front..], &b[front..]);
    let back = a.iter().rev().zip(b.iter().rev()).take_while(|(a, b)| a == b).count();
    let (a, b) = (&a[..a.len() - back], &b[..b.len() - back]);
    a.len().max(b.len()) <= 1 || matches!((a, b), ([p, q], [r, s]) if p == s && q == r)
}

#[cfg(test)]
mod tests {
    use super::*;
    use replicante_model::Timestamp;
    use std::time::Duration;

    fn heads(names: &[(&str, &str)]) -> Vec<Head> {
        let head = |(namespace, id): &(&str, &str)| {
            let record = RecordName::cluster(*namespace, *id);
            Head::new(record, Duration::from_secs(60), true, Timestamp(1))
        };
        names.iter().map(head).collect()
    }

    #[test]
    fn patterns_are_those_of_a_shell() {
        let any = |patterns: &[&str], text: &str| {
            let patterns: Vec<Pattern> = patterns.iter().map(|text| text.parse().unwrap()).collect();
            Pattern::any(&patterns, text)
        };
        assert!(any(&[], "zk-01") && any(&["zk-*"], "zk-01") && any(&["a", "zk-0?"], "zk-01"));
        assert!(!any(&["zk"], "zk-01") && !any(&["*-02"], "zk-01"));
    }

    #[test]
    fn a_name_that_is_not_there_is_answered_with_what_may_be_meant() {
        let all = heads(&[("default", "zk-01"), ("default", "orders"), ("prod", "billing")]);
        let told = |id: &str| unknown(&RecordName::cluster("default", id), &all).to_string();
        insta::assert_snapshot!(told("zk-0"), @"there is no cluster `zk-0` in namespace default; is it zk-01?");
        insta::assert_snapshot!(told("odrers"), @"there is no cluster `odrers` in namespace default; is it orders?");
        insta::assert_snapshot!(told("billing"), @"there is no cluster `billing` in namespace default; there is one in namespace prod: add -n prod");
        assert!(told("x").ends_with("get clusters` lists them"), "{}", told("x"));
    }
}
