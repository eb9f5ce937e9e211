//! Lines of a log group of CloudWatch Logs.

use std::collections::VecDeque;

use replicante_aws::Account;
use serde::Deserialize;
use serde_json::json;

use crate::asked::{Asked, Problem, Question, Refusal};

/// The one operation, as AWS JSON 1.1 names it.
const HEADERS: [(&str, &str); 2] =
    [("content-type", "application/x-amz-json-1.1"), ("x-amz-target", "Logs_20140328.FilterLogEvents")];
/// The most lines of one answer, and its most bytes: CloudWatch Logs ends one at 1 MB of lines.
const PAGE: usize = 1_000;
const MAX_ANSWER: usize = 8 * 1024 * 1024;
/// The most answers that are asked for. One may hold no line, when little fits the pattern.
const MAX_PAGES: usize = 100;

/// What is looked for.
#[derive(Clone, Copy, Debug)]
pub struct Looked<'a> {
    /// The log group.
    pub group: &'a str,
    /// A pattern, as CloudWatch Logs reads it.
    pub pattern: &'a str,
    /// From when on, in milliseconds since 1970.
    pub since: i64,
    /// The most lines that are kept: the last.
    pub most: usize,
}

/// A line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// When it was written, in milliseconds since 1970.
    pub at: i64,
    /// The line.
    pub text: String,
}

/// The lines that were found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lines {
    /// The last of them, oldest first.
    pub lines: VecDeque<Line>,
    /// Whether the end of the log was reached.
    pub whole: bool,
}

/// Why a log can't be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the log group {group} can't be read: {reason}")]
pub struct LogsError {
    /// The log group.
    pub group: String,
    /// Why, and what to do.
    pub reason: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Answer {
    events: Vec<Event>,
    next_token: Option<String>,
}

#[derive(Deserialize)]
struct Event {
    timestamp: i64,
    message: String,
}

/// The last lines of a log group that fit a pattern, page after page.
///
/// # Errors
/// [`LogsError`], which says what to do.
pub async fn lines(account: &Account, looked: Looked<'_>) -> Result<Lines, LogsError> {
    let failed = |problem: Problem| LogsError {
        group: looked.group.into(),
        reason: problem.told("CloudWatch Logs", "logs:FilterLogEvents on the log group"),
    };
    let asked = Asked::of(account, "logs", "CLOUDWATCH_LOGS").await.map_err(failed)?;
    let mut found = Lines::default();
    let mut token: Option<String> = None;
    for _ in 0..MAX_PAGES {
        let mut body = json!({
            "logGroupName": looked.group, "filterPattern": looked.pattern, "startTime": looked.since, "limit": PAGE,
        });
        if let Some(token) = &token {
            body["nextToken"] = token.as_str().into();
        }
        let body = body.to_string();
        let question = Question { path: "", headers: &HEADERS, body: Some(&body), most: MAX_ANSWER };
        let answer = asked.ask(question, |unanswered| refusal(unanswered.text)).await.map_err(failed)?;
        let answer: Answer = serde_json::from_str(&answer).map_err(|error| {
            failed(Problem::Unavailable(format!("the answer of {} is not as expected: {error}", asked.url)))
        })?;
        for Event { timestamp, message } in answer.events {
            found.lines.push_back(Line { at: timestamp, text: message });
            if found.lines.len() > looked.most {
                found.lines.pop_front();
            }
        }
        token = answer.next_token.filter(|next| Some(next) != token.as_ref());
        if token.is_none() {
            found.whole = true;
            break;
        }
    }
    Ok(found)
}

/// An answer with an error: `com.amazonaws...#ResourceNotFoundException` in some.
fn refusal(text: &str) -> Option<Refusal> {
    #[derive(Deserialize)]
    struct Said {
        #[serde(rename = "__type")]
        code: String,
        #[serde(alias = "Message", default)]
        message: String,
    }
    let said: Said = serde_json::from_str(text).ok()?;
    let code = said.code.rsplit('#').next().unwrap_or_default().to_owned();
    Some(Refusal { code, message: said.message })
}
