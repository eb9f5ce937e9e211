//! What is checked by `doctor`, and what follows from it. Pure.

pub mod deployment;
pub mod functions;
pub mod nodes;

use serde::Serialize;

use crate::view::style::Tone;
use crate::view::text::{clean, pad, width};

/// What came of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// All is as it should be.
    Ok,
    /// It works, and something should be changed or looked at.
    Warn,
    /// It does not work.
    Bad,
}

impl Verdict {
    /// Its word and its colour.
    pub fn shown(self) -> (&'static str, Tone) {
        match self {
            Verdict::Ok => ("ok", Tone::Good),
            Verdict::Warn => ("warn", Tone::Warn),
            Verdict::Bad => ("bad", Tone::Bad),
        }
    }
}

/// One thing that was checked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What came of it.
    pub verdict: Verdict,
    /// What was checked.
    pub what: String,
    /// What was found.
    pub found: String,
    /// What to do, where something is to be done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

impl Check {
    /// All is as it should be.
    pub fn ok(what: impl Into<String>, found: impl Into<String>) -> Self {
        Check { verdict: Verdict::Ok, what: what.into(), found: found.into(), next: None }
    }

    /// Something should be changed or looked at.
    pub fn warn(what: impl Into<String>, found: impl Into<String>, next: impl Into<String>) -> Self {
        Check { verdict: Verdict::Warn, next: Some(next.into()), ..Check::ok(what, found) }
    }

    /// Something does not work.
    pub fn bad(what: impl Into<String>, found: impl Into<String>, next: impl Into<String>) -> Self {
        Check { verdict: Verdict::Bad, next: Some(next.into()), ..Check::ok(what, found) }
    }
}

/// The worst of the checks.
pub fn worst(checks: &[Check]) -> Verdict {
    checks.iter().map(|check| check.verdict).max().unwrap_or(Verdict::Ok)
}

/// One line a check; what to do stands behind what was found.
pub fn lines(checks: &[Check]) -> Vec<String> {
    let column = checks.iter().map(|check| width(&check.what)).max().unwrap_or(0);
    let line = |check: &Check| {
        let (word, tone) = check.verdict.shown();
        let next = check.next.as_ref().map(|next| Tone::Quiet.paint(&clean(&format!("; next: {next}"))));
        let what = pad(&clean(&check.what), column);
        format!("{}  {what}  {}{}", tone.paint(&pad(word, 4)), clean(&check.found), next.unwrap_or_default())
    };
    checks.iter().map(line).collect()
}
