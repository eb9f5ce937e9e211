//! How a function on Lambda is configured.

use std::collections::BTreeMap;
use std::time::Duration;

use replicante_aws::Account;
use serde::Deserialize;

use crate::asked::{Asked, Problem, Question, Refusal, Unanswered};

/// The most bytes of an answer: its largest part, the variables, has at most 4 KB.
const MAX_ANSWER: usize = 256 * 1024;
/// The longest name.
const MAX_NAME: usize = 64;

/// A function, as Lambda has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Function {
    /// Its name.
    pub name: String,
    /// How long an invocation may take.
    pub timeout: Duration,
    /// Its environment variables, or why they can't be read: they may be encrypted.
    pub variables: Result<BTreeMap<String, String>, String>,
    /// Why it can't be invoked, if it can't.
    pub unusable: Option<String>,
    /// Why its last update failed, if it did: it runs as it was before.
    pub not_updated: Option<String>,
}

/// Why a function can't be looked at.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the function {name} can't be looked at: {reason}")]
pub struct FunctionError {
    /// Its name.
    pub name: String,
    /// Why, and what to do.
    pub reason: String,
    /// Whether there is none of this name.
    pub is_missing: bool,
}

/// The answer of `GetFunctionConfiguration`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    timeout: u64,
    #[serde(default)]
    state: String,
    #[serde(default)]
    state_reason: Option<String>,
    #[serde(default)]
    last_update_status: String,
    #[serde(default)]
    last_update_status_reason: Option<String>,
    #[serde(default)]
    environment: Option<Environment>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Environment {
    #[serde(default)]
    variables: BTreeMap<String, String>,
    #[serde(default)]
    error: Option<Unread>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Unread {
    #[serde(default)]
    error_code: String,
}

/// One function, by its name.
///
/// # Errors
/// [`FunctionError`], which says what to do.
pub async fn function(account: &Account, name: &str) -> Result<Function, FunctionError> {
    let failed = |problem: Problem| FunctionError {
        name: name.into(),
        reason: problem.told("Lambda", "lambda:GetFunctionConfiguration on the function"),
        is_missing: problem.is_missing(),
    };
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    if name.is_empty() || name.len() > MAX_NAME || !name.chars().all(is_name) {
        let reason = "that is no name of one: expected letters, digits, - and _, at most 64";
        return Err(failed(Problem::Unavailable(reason.into())));
    }
    let asked = Asked::of(account, "lambda", "LAMBDA").await.map_err(failed)?;
    let path = format!("2015-03-31/functions/{name}/configuration");
    let question = Question { path: &path, headers: &[], body: None, most: MAX_ANSWER };
    let answer = asked.ask(question, refusal).await.map_err(failed)?;
    let answer: Answer = serde_json::from_str(&answer).map_err(|error| {
        failed(Problem::Unavailable(format!("the answer of {} is not as expected: {error}", asked.url)))
    })?;
    Ok(answer.function(name))
}

impl Answer {
    fn function(self, name: &str) -> Function {
        let because = |what: &str, reason: Option<String>| match reason.filter(|reason| !reason.is_empty()) {
            Some(reason) => format!("{what}: {reason}"),
            None => what.to_owned(),
        };
        // One that was not used for long is inactive until it is invoked.
        let is_usable = matches!(self.state.as_str(), "" | "Active" | "Inactive");
        let is_updated = matches!(self.last_update_status.as_str(), "" | "Successful" | "InProgress");
        Function {
            name: name.into(),
            timeout: Duration::from_secs(self.timeout),
            variables: match self.environment {
                None => Ok(BTreeMap::new()),
                Some(Environment { error: Some(unread), .. }) => Err(unread.error_code),
                Some(environment) => Ok(environment.variables),
            },
            unusable: (!is_usable).then(|| because(&self.state, self.state_reason)),
            not_updated: (!is_updated)
                .then(|| because(&self.last_update_status, self.last_update_status_reason)),
        }
    }
}

/// An answer with an error: its code stands in a header, with more behind a colon in some.
fn refusal(unanswered: Unanswered<'_>) -> Option<Refusal> {
    #[derive(Deserialize)]
    struct Said {
        #[serde(rename = "__type", default)]
        code: String,
        #[serde(rename = "Message", alias = "message", default)]
        message: String,
    }
    let said: Said = serde_json::from_str(unanswered.text).ok()?;
    let code = unanswered.code.unwrap_or(&said.code);
    let code = code.split(':').next().unwrap_or_default();
    let code = code.rsplit('#').next().unwrap_or_default();
    (!code.is_empty()).then(|| Refusal { code: code.to_owned(), message: said.message })
}
