//! The adapter to the outputs of a CloudFormation stack: where a deployment has its table, stream and queues. Of the
//! command line alone.
//!
//! One operation of the SDK's own client would be the largest crate of the workspace. So the request is written here, and
//! signed by what the SDK signs with.

mod answer;

use std::collections::BTreeMap;
use std::error::Error;
use std::time::{Duration, SystemTime};

use aws_config::SdkConfig;
use aws_credential_types::provider::ProvideCredentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4::SigningParams;
use replicante_aws::Account;
use reqwest::redirect::Policy;
use reqwest::{Client, Request};
use tokio::time::{sleep, timeout};

use crate::answer::Refusal;

/// How long one attempt may take.
const ATTEMPT: Duration = Duration::from_secs(10);
/// The pauses before an attempt is repeated.
const PAUSES: [Duration; 2] = [Duration::from_millis(300), Duration::from_secs(1)];
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
    let asked = Asked::of(account, stack).await?;
    let mut pauses = PAUSES.into_iter();
    loop {
        let late = || Err((true, asked.unavailable(format!("no answer within {} s", ATTEMPT.as_secs()))));
        match timeout(ATTEMPT, asked.once()).await.unwrap_or_else(|_| late()) {
            Ok(outputs) => return Ok(outputs),
            Err((true, error)) => match pauses.next() {
                Some(pause) => sleep(pause).await,
                None => return Err(error),
            },
            Err((false, error)) => return Err(error),
        }
    }
}

/// Who is asked, and as whom.
struct Asked<'a> {
    stack: &'a str,
    client: Client,
    config: SdkConfig,
    region: String,
    url: String,
}

/// An error, and whether it is worth another attempt.
type Failed = (bool, StackError);

impl<'a> Asked<'a> {
    async fn of(account: &Account, stack: &'a str) -> Result<Self, StackError> {
        let config = account.config("CLOUDFORMATION").await;
        let region = config.region().map(ToString::to_string).filter(|region| !region.is_empty());
        let region = region.ok_or_else(|| StackError::NoRegion(stack.into()))?;
        let suffix = if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
        let url = config.endpoint_url().map(String::from);
        let url = url.unwrap_or_else(|| format!("https://cloudformation.{region}.{suffix}/"));
        let client = Client::builder().redirect(Policy::none()).connect_timeout(ATTEMPT).build();
        let unavailable =
            |error: reqwest::Error| StackError::Unavailable { stack: stack.into(), reason: root(&error) };
        Ok(Asked { stack, client: client.map_err(unavailable)?, config, region, url })
    }

    /// One attempt.
    async fn once(&self) -> Result<BTreeMap<String, String>, Failed> {
        let request = self.signed().await.map_err(|error| (false, error))?;
        let unanswered = |error: reqwest::Error| {
            (true, self.unavailable(format!("{} does not answer: {}", self.url, root(&error))))
        };
        let mut answer = self.client.execute(request).await.map_err(unanswered)?;
        let status = answer.status();
        let mut bytes = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(unanswered)? {
            if bytes.len() + chunk.len() > MAX_ANSWER {
                return Err((false, self.unavailable("CloudFormation answered too much".into())));
            }
            bytes.extend_from_slice(&chunk);
        }
        let text = String::from_utf8_lossy(&bytes);
        if status.is_success() {
            let outputs = answer::outputs(&text);
            return outputs.map_err(|problem| {
                (false, self.unavailable(format!("the answer of {} {problem}", self.url)))
            });
        }
        Err((status.is_server_error(), self.refused(answer::refusal(&text), status.as_u16())))
    }

    fn refused(&self, refusal: Option<Refusal>, status: u16) -> StackError {
        let stack = self.stack.to_owned();
        let Some(Refusal { code, message }) = refusal else {
            return self.unavailable(format!("{} answered with status {status}", self.url));
        };
        match code.as_str() {
            "ValidationError" if message.contains("does not exist") => {
                StackError::NoSuchStack { stack, region: self.region.clone() }
            }
            "AccessDenied" | "AccessDeniedException" | "UnauthorizedOperation" => StackError::Denied(stack),
            "ExpiredToken"
            | "ExpiredTokenException"
            | "InvalidClientTokenId"
            | "UnrecognizedClientException"
            | "SignatureDoesNotMatch"
            | "IncompleteSignature"
            | "MissingAuthenticationToken" => StackError::Credentials { stack, code },
            _ => self.unavailable(format!("CloudFormation answered {code}: {message}")),
        }
    }

    /// The request, signed.
    async fn signed(&self) -> Result<Request, StackError> {
        let without = |reason: String| StackError::NoCredentials { stack: self.stack.into(), reason };
        let provider = self.config.credentials_provider();
        let provider = provider.ok_or_else(|| without("no provider".into()))?;
        let identity = provider.provide_credentials().await.map_err(|error| without(root(&error)))?.into();
        let unsigned =
            |error: &dyn Error| self.unavailable(format!("the request can't be signed: {}", root(error)));
        let params = SigningParams::builder()
            .identity(&identity)
            .region(&self.region)
            .name("cloudformation")
            .time(SystemTime::now())
            .settings(SigningSettings::default())
            .build()
            .map_err(|error| unsigned(&error))?
            .into();
        let stack = self.stack.replace(':', "%3A").replace('/', "%2F");
        let body = format!("Action=DescribeStacks&Version=2010-05-15&StackName={stack}");
        let headers = [("content-type", "application/x-www-form-urlencoded")];
        let signable = SignableBody::Bytes(body.as_bytes());
        let signable = SignableRequest::new("POST", &self.url, headers.into_iter(), signable);
        let signature =
            signable.and_then(|request| sign(request, &params)).map_err(|error| unsigned(&error))?;
        let (instructions, _) = signature.into_parts();
        let mut request = self.client.post(&self.url);
        for (name, value) in headers.into_iter().chain(instructions.headers()) {
            request = request.header(name, value);
        }
        request.body(body).build().map_err(|error| unsigned(&error))
    }

    fn unavailable(&self, reason: String) -> StackError {
        StackError::Unavailable { stack: self.stack.into(), reason }
    }
}

/// What lies at the bottom of an error.
fn root(error: &dyn Error) -> String {
    let mut last = error;
    while let Some(cause) = last.source() {
        last = cause;
    }
    last.to_string()
}
