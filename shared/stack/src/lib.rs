//! The adapter to what the command line alone asks of AWS: the outputs of a CloudFormation stack, which say where a
//! deployment has its table, stream and queues; lines of CloudWatch Logs, which say what its tasks did; and how its
//! functions on Lambda are configured.
//!
//! One operation of an SDK's own client would be the largest crate of the workspace. So the requests are written here, and
//! signed by what the SDK signs with.

mod answer;
mod asked;
mod functions;
mod logs;

use std::collections::BTreeMap;

use replicante_aws::Account;

use crate::asked::{Asked, Problem, Question};
pub use crate::functions::{Function, FunctionError, function};
pub use crate::logs::{Line, Lines, LogsError, Looked, lines};

/// The most bytes of an answer: a stack has at most 200 outputs of 1,024 bytes.
const MAX_ANSWER: usize = 1024 * 1024;
/// The longest name or ARN.
const MAX_NAME: usize = 2048;

/// Why the outputs of a stack are not known.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StackError {
    /// A name that no stack has.
    #[error("`{0}` is no name of a stack: expected letters, digits and hyphens, or its ARN")]
    Name(String),
    /// Nothing says in which region to look.
    #[error(
        "the stack {0} can't be looked up: no region; set AWS_REGION, or choose a profile with AWS_PROFILE"
    )]
    NoRegion(String),
    /// There are no credentials.
    #[error(
        "the stack {stack} can't be looked up: no credentials ({reason}); sign in, or choose a profile with AWS_PROFILE"
    )]
    NoCredentials {
        /// The stack.
        stack: String,
        /// What the SDK said.
        reason: String,
    },
    /// There is none of this name.
    #[error(
        "there is no stack {stack} in {region} in this account; `aws cloudformation list-stacks` lists them"
    )]
    NoSuchStack {
        /// The stack.
        stack: String,
        /// The region.
        region: String,
    },
    /// The credentials don't allow it.
    #[error(
        "the stack {0} can't be looked up: access denied; it needs cloudformation:DescribeStacks on the stack"
    )]
    Denied(String),
    /// The credentials are not taken.
    #[error("the stack {stack} can't be looked up: the credentials are not taken ({code}); sign in again")]
    Credentials {
        /// The stack.
        stack: String,
        /// CloudFormation's code.
        code: String,
    },
    /// CloudFormation can't be reached, or answers something else.
    #[error("the stack {stack} can't be looked up: {reason}")]
    Unavailable {
        /// The stack.
        stack: String,
        /// What happened.
        reason: String,
    },
}

/// The outputs of a stack, by their keys.
///
/// # Errors
/// [`StackError`], which says what to do.
pub async fn outputs(account: &Account, stack: &str) -> Result<BTreeMap<String, String>, StackError> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | ':' | '/' | '_');
    if stack.is_empty() || stack.len() > MAX_NAME || !stack.chars().all(is_name) {
        return Err(StackError::Name(stack.into()));
    }
    let asked = Asked::of(account, "cloudformation", "CLOUDFORMATION").await;
    let asked = asked.map_err(|problem| failure(problem, stack, ""))?;
    let name = stack.replace(':', "%3A").replace('/', "%2F");
    let body = format!("Action=DescribeStacks&Version=2010-05-15&StackName={name}");
    let headers = [("content-type", "application/x-www-form-urlencoded")];
    let question = Question { path: "", headers: &headers, body: Some(&body), most: MAX_ANSWER };
    let answer = asked.ask(question, |unanswered| answer::refusal(unanswered.text)).await;
    let answer = answer.map_err(|problem| failure(problem, stack, &asked.region))?;
    answer::outputs(&answer).map_err(|problem| StackError::Unavailable {
        stack: stack.into(),
        reason: format!("the answer of {} {problem}", asked.url),
    })
}

fn failure(problem: Problem, stack: &str, region: &str) -> StackError {
    let stack = stack.to_owned();
    match problem {
        Problem::NoRegion => StackError::NoRegion(stack),
        Problem::NoCredentials(reason) => StackError::NoCredentials { stack, reason },
        Problem::Unavailable(reason) => StackError::Unavailable { stack, reason },
        Problem::Refused(refusal) => match refusal.code.as_str() {
            "ValidationError" if refusal.message.contains("does not exist") => {
                StackError::NoSuchStack { stack, region: region.into() }
            }
            _ if refusal.is_denied() => StackError::Denied(stack),
            _ if refusal.is_of_credentials() => StackError::Credentials { stack, code: refusal.code },
            code => {
                let reason = format!("CloudFormation answered {code}: {}", refusal.message);
                StackError::Unavailable { stack, reason }
            }
        },
    }
}
