//! What a source no longer names: since when, when it is removed, and when so much of it is gone that nobody believes it.
//!
//! The same rules hold for the clusters of a source and for the nodes of a cluster. `present -> missing -> removed`, and
//! back to present until the end; above it the shrink guard, which holds what would go until an operator confirms it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::time::Timestamp;

/// When what is no longer named is removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RemovalRules {
    /// How long it must be absent at least.
    pub grace: Duration,
    /// From how many complete answers in a row: at least 1.
    pub confirmations: u32,
    /// The largest part, in percent, that may go without an operator's word. `None`: any.
    pub max_shrink: Option<u8>,
}

impl Default for RemovalRules {
    fn default() -> Self {
        RemovalRules { grace: Duration::from_secs(600), confirmations: 3, max_shrink: Some(30) }
    }
}

/// Something that the source no longer names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Absence {
    /// Since when.
    #[serde(rename = "since")]
    pub since: Timestamp,
    /// Complete answers in a row without it, counted up to the confirmations that are asked for.
    pub answers: u32,
    /// Whether it is missing. What the shrink guard holds is not, unless it was before: it counts as present.
    #[serde(default)]
    pub missing: bool,
    /// Who said that it is gone: the guard no longer counts it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirmed_by: Option<String>,
}

/// What the shrink guard holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// Since when it holds anything.
    pub since: Timestamp,
    /// Of exactly what would go: see [`answer_hash`].
    pub answer: String,
    /// How many would go.
    pub dropped: usize,
    /// Of how many, those that were removed within the last grace period included.
    pub known: usize,
}

/// An operator's word that what is held is gone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confirmation {
    /// The hash of what would go, as the operator saw it.
    pub answer: String,
    /// Since when it was held, as the operator saw it: a word on an earlier hold says nothing of this one.
    pub held_since: Timestamp,
    /// Who said so.
    pub actor: String,
}

/// What became of the shrink guard with one answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Guarded {
    /// It holds, and did not before, or holds something else.
    Holds(Held),
    /// What it held is confirmed, and by whom.
    Confirmed(Held, String),
    /// It lets what it held go its way: so much of it is named again, or the rules have become wider, or what was removed lately
    /// is an older story.
    Resolved(Held),
}

/// What one answer did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Step {
    /// What is missing from this answer on.
    pub missing: Vec<String>,
    /// What is removed: it is no longer among the absent.
    pub removed: Vec<(String, Absence)>,
    /// What became of the guard.
    pub guarded: Option<Guarded>,
    /// Whether more is to go than was asked for.
    pub more: bool,
}

/// All that is absent of one whole: the clusters of a source, or the nodes of a cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Absences {
    /// By id.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub absent: BTreeMap<String, Absence>,
    /// What was removed by itself within the last grace period, and when: the guard counts it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub removed: BTreeMap<String, Timestamp>,
    /// What the guard holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held: Option<Held>,
}

impl Absences {
    /// Whether nothing is absent, and nothing was lately.
    pub fn is_empty(&self) -> bool {
        *self == Absences::default()
    }

    /// Since when something is missing.
    pub fn missing_since(&self, id: &str) -> Option<Timestamp> {
        self.absent.get(id).filter(|absence| absence.missing).map(|absence| absence.since)
    }

    /// Takes note that something is named again, or of no concern any more.
    pub fn forget(&mut self, id: &str) {
        self.absent.remove(id);
        self.removed.remove(id);
    }

    /// Takes in a complete answer that names `named` of what is known and does not name `dropped`. At most `most` are
    /// called missing or removed; the others are with the next answer.
    pub fn answered(
        &mut self,
        named: usize,
        dropped: &BTreeSet<String>,
        rules: RemovalRules,
        confirmations: &[Confirmation],
        most: usize,
        now: Timestamp,
    ) -> Step {
        let mut step = Step::default();
        self.removed.retain(|_, at| now.since(*at) < rules.grace);
        for id in dropped {
            let new = || Absence { since: now, answers: 0, missing: false, confirmed_by: None };
            let absence = self.absent.entry(id.clone()).or_insert_with(new);
            absence.answers = absence.answers.saturating_add(1).min(rules.confirmations.max(1));
        }
        step.guarded = self.guard(named, dropped, rules.max_shrink, confirmations, now);
        for id in dropped {
            let Some(absence) = self.absent.get_mut(id) else { continue };
            if self.held.is_some() && absence.confirmed_by.is_none() {
                continue;
            }
            let over = absence.answers >= rules.confirmations && now.since(absence.since) >= rules.grace;
            if absence.missing && !over {
                continue;
            }
            if step.missing.len() + step.removed.len() >= most {
                step.more = true;
                break;
            }
            if !over {
                absence.missing = true;
                step.missing.push(id.clone());
            } else if let Some(absence) = self.absent.remove(id) {
                if absence.confirmed_by.is_none() {
                    self.removed.insert(id.clone(), now);
                }
                step.removed.push((id.clone(), absence));
            }
        }
        step
    }

    /// Decides whether what would go is held.
    fn guard(
        &mut self,
        named: usize,
        dropped: &BTreeSet<String>,
        max_shrink: Option<u8>,
        confirmations: &[Confirmation],
        now: Timestamp,
    ) -> Option<Guarded> {
        let is_doubted = |id: &&String| self.absent.get(*id).is_some_and(|it| it.confirmed_by.is_none());
        let doubted: Vec<&String> = dropped.iter().filter(is_doubted).collect();
        let gone = doubted.len() + self.removed.len();
        let known = named + gone;
        if doubted.is_empty() || !shrinks_too_far(known, gone, max_shrink) {
            return self.held.take().map(Guarded::Resolved);
        }
        let since = self.held.as_ref().map_or(now, |held| held.since);
        let held = Held { since, answer: answer_hash(&doubted), dropped: doubted.len(), known };
        let is_new = self.held.as_ref().is_none_or(|before| before.answer != held.answer);
        let is_meant =
            |word: &&Confirmation| !is_new && word.answer == held.answer && word.held_since == held.since;
        if let Some(word) = confirmations.iter().find(is_meant) {
            for id in doubted {
                if let Some(absence) = self.absent.get_mut(id) {
                    absence.confirmed_by = Some(word.actor.clone());
                }
            }
            self.held = None;
            return Some(Guarded::Confirmed(held, word.actor.clone()));
        }
        self.held = Some(held.clone());
        is_new.then_some(Guarded::Holds(held))
    }
}

/// Whether so much is gone that it needs an operator's word: more than the largest part, and at least two, or all of it.
/// Something is gone.
fn shrinks_too_far(known: usize, gone: usize, max_shrink: Option<u8>) -> bool {
    let Some(percent) = max_shrink else { return false };
    let is_much = gone >= 2 && gone.saturating_mul(100) > known.saturating_mul(percent.into());
    is_much || gone == known
}

/// What names a set of ids: the first 16 hexadecimal digits of SHA-256 over them, sorted, each with a line end.
pub fn answer_hash(ids: &[impl AsRef<str>]) -> String {
    let mut sorted: Vec<&str> = ids.iter().map(AsRef::as_ref).collect();
    sorted.sort_unstable();
    let mut hash = Sha256::new();
    for id in sorted {
        hash.update(id);
        hash.update(b"\n");
    }
    hash.finalize()[..8].iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const RULES: RemovalRules =
        RemovalRules { grace: Duration::from_secs(60), confirmations: 1, max_shrink: Some(30) };

    fn ids(from: u32, to: u32) -> BTreeSet<String> {
        (from..to).map(|id| format!("{id:03}")).collect()
    }

    fn at(seconds: u64) -> Timestamp {
        Timestamp::ZERO.plus(Duration::from_secs(seconds))
    }

    #[test]
    fn what_was_removed_within_the_last_grace_counts_when_more_is_gone() {
        let mut known = Absences::default();
        let mut answered = |named: usize, dropped: &BTreeSet<String>, seconds: u64| {
            known.answered(named, dropped, RULES, &[], 1_000, at(seconds))
        };
        // 30 of 100 are no more than may go.
        assert_eq!(answered(70, &ids(0, 30), 0).missing.len(), 30);
        assert_eq!(answered(70, &ids(0, 30), 60).removed.len(), 30);
        // 20 of the 70 that are left are not, either; with those that have just gone, 50 of 100 are.
        let again = answered(50, &ids(30, 50), 61);
        assert!(again.missing.is_empty());
        assert!(
            matches!(again.guarded, Some(Guarded::Holds(held)) if (held.dropped, held.known) == (20, 100))
        );
        // A grace period later, to the second, they are an older story.
        let later = answered(50, &ids(30, 50), 120);
        assert!(matches!(later.guarded, Some(Guarded::Resolved(_))));
        assert_eq!(later.missing.len(), 20);
        assert_eq!(answered(50, &ids(30, 50), 121).removed.len(), 20);
    }

    #[test]
    fn what_an_operator_let_go_does_not_count_when_more_is_gone() {
        let mut known = Absences::default();
        let held = known.answered(50, &ids(0, 50), RULES, &[], 1_000, at(0));
        let Some(Guarded::Holds(held)) = held.guarded else { panic!("{held:?}") };
        let word = Confirmation { answer: held.answer, held_since: held.since, actor: "ann".into() };
        let gone = known.answered(50, &ids(0, 50), RULES, &[word], 1_000, at(60));
        assert_eq!(gone.removed.len(), 50);
        // 15 of the 50 that are left are no more than may go: nobody looked at these yet, but at the others somebody did.
        let more = known.answered(35, &ids(50, 65), RULES, &[], 1_000, at(61));
        assert_eq!((more.guarded, more.missing.len()), (None, 15));
    }
}
