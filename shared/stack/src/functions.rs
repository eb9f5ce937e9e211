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
    /// Its environment variables of the names that were asked for, or why they can't be read: they may be encrypted.
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
    /// Whether the credentials don't allow to look.
    pub is_denied: bool,
}

/// The answer of `GetFunctionConfiguration`. What a function has not is left out of it, or null.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    timeout: u64,
    state: Option<String>,
    state_reason: Option<String>,
    state_reason_code: Option<String>,
    last_update_status: Option<String>,
    last_update_status_reason: Option<String>,
    environment: Option<Environment>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Environment {
    variables: Option<BTreeMap<String, String>>,
    error: Option<Unread>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Unread {
    error_code: Option<String>,
}

/// One function, by its name. Of its variables those are kept whose names are `wanted`: others may be secrets.
///
/// # Errors
/// [`FunctionError`], which says what to do.
pub async fn function(
    account: &Account,
    name: &str,
    wanted: impl Fn(&str) -> bool,
) -> Result<Function, FunctionError> {
    let failed = |problem: Problem| FunctionError {
        name: name.into(),
        reason: problem.told("Lambda", "lambda:GetFunctionConfiguration on the function"),
        is_missing: problem.is_missing(),
        is_denied: matches!(&problem, Problem::Refused(refusal) if refusal.is_denied()),
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
    let mut function = answer.function(name);
    if let Ok(variables) = &mut function.variables {
        variables.retain(|name, _| wanted(name));
    }
    Ok(function)
}

impl Answer {
    fn function(self, name: &str) -> Function {
        let because = |what: String, reason: Option<String>| match reason.filter(|reason| !reason.is_empty())
        {
            Some(reason) => format!("{what}: {reason}"),
            None => what,
        };
        let (state, updated) = (self.state.unwrap_or_default(), self.last_update_status.unwrap_or_default());
        // One that nobody used for long is set up again when it is invoked; any other that is inactive could not be.
        let is_idle = matches!(self.state_reason_code.as_deref(), None | Some("" | "Idle"));
        let is_usable = matches!(state.as_str(), "" | "Active") || (state == "Inactive" && is_idle);
        let is_updated = matches!(updated.as_str(), "" | "Successful" | "InProgress");
        Function {
            name: name.into(),
            timeout: Duration::from_secs(self.timeout),
            variables: match self.environment {
                Some(Environment { error: Some(unread), .. }) => {
                    Err(unread.error_code.unwrap_or_else(|| "no reason given".into()))
                }
                Some(Environment { variables, .. }) => Ok(variables.unwrap_or_default()),
                None => Ok(BTreeMap::new()),
            },
            unusable: (!is_usable).then(|| because(state, self.state_reason)),
            not_updated: (!is_updated).then(|| because(updated, self.last_update_status_reason)),
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
