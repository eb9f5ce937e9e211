//! Names that are given: patterns, and what may be meant by one that is not there.

use std::str::FromStr;

use replicante_model::{Kind, RecordName};
use replicante_protocol::head::Head;
use wildmatch::WildMatch;

use crate::error::CliError;
use crate::out;

/// A name, in which `*` stands for any text and `?` for any character.
#[derive(Clone, Debug, PartialEq)]
pub struct Pattern {
    text: String,
    wild: WildMatch,
}

impl FromStr for Pattern {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Pattern { text: text.to_owned(), wild: WildMatch::new(text) })
    }
}

impl Pattern {
    /// Whether one of the patterns takes the text, or there are none.
    pub fn any(patterns: &[Pattern], text: &str) -> bool {
        patterns.is_empty() || patterns.iter().any(|pattern| pattern.wild.matches(text))
    }

    /// The name, where it is that of one thing alone: whoever types it means something that is there.
    pub fn plain(&self) -> Option<&str> {
        Some(self.text.as_str()).filter(|text| !text.contains(['*', '?', '\\']))
    }
}

/// There is no such record: names those that may be meant.
pub fn unknown(name: &RecordName, heads: &[Head]) -> CliError {
    unknown_in(name.kind, Some(&name.namespace), &name.id, heads)
}

/// The same, of a namespace or of all.
pub fn unknown_in(kind: Kind, namespace: Option<&str>, name: &str, heads: &[Head]) -> CliError {
    let is_within = |head: &&Head| namespace.is_none_or(|wanted| wanted == head.record.namespace);
    let elsewhere = heads.iter().find(|head| head.record.id == name);
    let like = like(name, heads.iter().filter(is_within).map(|head| head.record.id.as_str()));
    let hint = match (elsewhere, like.as_slice()) {
        (Some(head), _) => format!("there is one in namespace {0}: add -n {0}", head.record.namespace),
        (None, []) => format!("`{} get {}` lists them", out::program(), plural(kind)),
        (None, like) => format!("is it {}?", like.join(" or ")),
    };
    let within = namespace.map_or_else(String::new, |namespace| format!(" in namespace {namespace}"));
    CliError::Failed(format!("there is no {kind} `{name}`{within}; {hint}"))
}

/// Those that may be meant by a name that none of them has: three at most.
pub fn like<'n>(name: &str, all: impl IntoIterator<Item = &'n str>) -> Vec<&'n str> {
    let is_like = |id: &&str| id.contains(name) || name.contains(*id) || near(id, name);
    let mut like: Vec<&str> = all.into_iter().filter(is_like).collect();
    like.dedup();
    like.truncate(3);
    like
}

/// The word for all records of a kind.
pub(super) fn plural(kind: Kind) -> &'static str {
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
        let plain = |text: &str| text.parse::<Pattern>().unwrap().plain().map(str::to_owned);
        assert_eq!([plain("zk-01"), plain("zk-*"), plain("zk-0?")], [Some("zk-01".to_owned()), None, None]);
    }

    #[test]
    fn a_name_that_is_not_there_is_answered_with_what_may_be_meant() {
        let all = heads(&[("default", "zk-01"), ("default", "orders"), ("prod", "billing")]);
        let told = |id: &str| unknown(&RecordName::cluster("default", id), &all).to_string();
        insta::assert_snapshot!(told("zk-0"), @"there is no cluster `zk-0` in namespace default; is it zk-01?");
        insta::assert_snapshot!(told("odrers"), @"there is no cluster `odrers` in namespace default; is it orders?");
        insta::assert_snapshot!(told("billing"), @"there is no cluster `billing` in namespace default; there is one in namespace prod: add -n prod");
        assert!(told("x").ends_with("get clusters` lists them"), "{}", told("x"));
        let told = |id: &str| unknown_in(Kind::Cluster, None, id, &all).to_string();
        insta::assert_snapshot!(told("bill"), @"there is no cluster `bill`; is it billing?");
    }
}
