//! A service that is asked by hand: who, as whom, and one signed request.

use std::error::Error;
use std::time::{Duration, SystemTime};

use aws_config::SdkConfig;
use aws_credential_types::provider::ProvideCredentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4::SigningParams;
use replicante_aws::Account;
use reqwest::redirect::Policy;
use reqwest::{Client, Method, Request, StatusCode};
use tokio::time::{sleep, timeout};

/// How long one attempt may take.
const ATTEMPT: Duration = Duration::from_secs(10);
/// The pauses before an attempt is repeated.
const PAUSES: [Duration; 2] = [Duration::from_millis(300), Duration::from_secs(1)];

/// What AWS answers where the credentials are no (longer) good.
const NOT_TAKEN: [&str; 7] = [
    "ExpiredToken",
    "ExpiredTokenException",
    "InvalidClientTokenId",
    "UnrecognizedClientException",
    "SignatureDoesNotMatch",
    "IncompleteSignature",
    "MissingAuthenticationToken",
];

/// Why a service gave no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Problem {
    /// Nothing says in which region to ask.
    NoRegion,
    /// There are no credentials.
    NoCredentials(String),
    /// It refused, with this code and message.
    Refused(Refusal),
    /// It can't be reached, or answers something else.
    Unavailable(String),
}

/// Why it refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub code: String,
    pub message: String,
}

impl Refusal {
    /// Whether the credentials don't allow it.
    pub fn is_denied(&self) -> bool {
        matches!(self.code.as_str(), "AccessDenied" | "AccessDeniedException" | "UnauthorizedOperation")
    }

    /// Whether the credentials are not taken.
    pub fn is_of_credentials(&self) -> bool {
        NOT_TAKEN.contains(&self.code.as_str())
    }
}

impl Problem {
    /// Whether what was asked for does not exist.
    pub fn is_missing(&self) -> bool {
        matches!(self, Problem::Refused(Refusal { code, .. }) if code == "ResourceNotFoundException")
    }

    /// What to say of it, with what to do. `needed`: the permission, and on what.
    pub fn told(&self, service: &str, needed: &str) -> String {
        match self {
            Problem::NoRegion => "no region; set AWS_REGION, or choose a profile with AWS_PROFILE".into(),
            Problem::NoCredentials(reason) => {
                format!("no credentials ({reason}); sign in, or choose a profile with AWS_PROFILE")
            }
            Problem::Unavailable(reason) => reason.clone(),
            Problem::Refused(refusal) if refusal.is_denied() => format!("access denied; it needs {needed}"),
            Problem::Refused(refusal) if refusal.is_of_credentials() => {
                format!("the credentials are not taken ({}); sign in again", refusal.code)
            }
            Problem::Refused(_) if self.is_missing() => {
                "there is none of this name in this account and region".into()
            }
            Problem::Refused(Refusal { code, message }) => format!("{service} answered {code}: {message}"),
        }
    }
}

/// One request.
pub(crate) struct Question<'a> {
    /// Below the service's address.
    pub path: &'a str,
    pub headers: &'a [(&'static str, &'static str)],
    /// What is posted; without it, the path is only read.
    pub body: Option<&'a str>,
    /// The most bytes of its answer.
    pub most: usize,
}

/// An answer that is none.
pub(crate) struct Unanswered<'a> {
    /// The code that some services tell in a header.
    pub code: Option<&'a str>,
    pub text: &'a str,
}

/// Who is asked, and as whom.
pub(crate) struct Asked {
    client: Client,
    config: SdkConfig,
    name: &'static str,
    pub region: String,
    /// Without a `/` at its end.
    pub url: String,
}

impl Asked {
    /// A service, by the name in its addresses and signatures, and the one of its variable.
    pub async fn of(account: &Account, name: &'static str, variable: &str) -> Result<Self, Problem> {
        let config = account.config(variable).await;
        let region = config.region().map(ToString::to_string).filter(|region| !region.is_empty());
        let region = region.ok_or(Problem::NoRegion)?;
        let suffix = if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
        let url = config.endpoint_url().map(String::from);
        let url = url.unwrap_or_else(|| format!("https://{name}.{region}.{suffix}"));
        let url = url.trim_end_matches('/').to_owned();
        let client = Client::builder().redirect(Policy::none()).connect_timeout(ATTEMPT).build();
        let client = client.map_err(|error| Problem::Unavailable(root(&error)))?;
        Ok(Asked { client, config, name, region, url })
    }

    /// The answer to one request. What may pass is asked again. `refusal` reads an answer that is none, if it is one of the
    /// service's.
    pub async fn ask(
        &self,
        question: Question<'_>,
        refusal: impl Fn(Unanswered<'_>) -> Option<Refusal>,
    ) -> Result<String, Problem> {
        let mut pauses = PAUSES.into_iter();
        loop {
            let late = || {
                let problem = format!("no answer within {} s", ATTEMPT.as_secs());
                Err((true, Problem::Unavailable(problem)))
            };
            let once = timeout(ATTEMPT, self.once(&question, &refusal)).await;
            match once.unwrap_or_else(|_| late()) {
                Ok(answer) => return Ok(answer),
                Err((true, problem)) => match pauses.next() {
                    Some(pause) => sleep(pause).await,
                    None => return Err(problem),
                },
                Err((false, problem)) => return Err(problem),
            }
        }
    }

    /// One attempt. A problem comes with whether it is worth another.
    async fn once(
        &self,
        question: &Question<'_>,
        refusal: impl Fn(Unanswered<'_>) -> Option<Refusal>,
    ) -> Result<String, (bool, Problem)> {
        let request = self.signed(question).await.map_err(|problem| (false, problem))?;
        let unanswered = |error: reqwest::Error| {
            (true, Problem::Unavailable(format!("{} does not answer: {}", self.url, root(&error))))
        };
        let mut answer = self.client.execute(request).await.map_err(unanswered)?;
        let status = answer.status();
        let code =
            answer.headers().get("x-amzn-errortype").and_then(|code| code.to_str().ok()).map(String::from);
        let mut bytes = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(unanswered)? {
            if bytes.len() + chunk.len() > question.most {
                return Err((false, Problem::Unavailable(format!("{} answered too much", self.url))));
            }
            bytes.extend_from_slice(&chunk);
        }
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if status.is_success() {
            return Ok(text);
        }
        let problem = match refusal(Unanswered { code: code.as_deref(), text: &text }) {
            Some(refusal) => Problem::Refused(refusal),
            None => Problem::Unavailable(format!("{} answered with status {}", self.url, status.as_u16())),
        };
        let throttled = matches!(&problem, Problem::Refused(Refusal { code, .. }) if is_throttled(code));
        Err((status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS || throttled, problem))
    }

    /// The request, signed.
    async fn signed(&self, question: &Question<'_>) -> Result<Request, Problem> {
        let (method, body) = match question.body {
            Some(body) => (Method::POST, body),
            None => (Method::GET, ""),
        };
        let (headers, url) = (question.headers, format!("{}/{}", self.url, question.path));
        let provider = self.config.credentials_provider();
        let provider = provider.ok_or_else(|| Problem::NoCredentials("no provider".into()))?;
        let identity = provider.provide_credentials().await;
        let identity = identity.map_err(|error| Problem::NoCredentials(root(&error)))?.into();
        let unsigned =
            |error: &dyn Error| Problem::Unavailable(format!("the request can't be signed: {}", root(error)));
        let params = SigningParams::builder()
            .identity(&identity)
            .region(&self.region)
            .name(self.name)
            .time(SystemTime::now())
            .settings(SigningSettings::default())
            .build()
            .map_err(|error| unsigned(&error))?
            .into();
        let signable = SignableBody::Bytes(body.as_bytes());
        let signable = SignableRequest::new(method.as_str(), &url, headers.iter().copied(), signable);
        let signature =
            signable.and_then(|request| sign(request, &params)).map_err(|error| unsigned(&error))?;
        let (instructions, _) = signature.into_parts();
        let mut request = self.client.request(method, &url);
        for (name, value) in headers.iter().copied().chain(instructions.headers()) {
            request = request.header(name, value);
        }
        request.body(body.to_owned()).build().map_err(|error| unsigned(&error))
    }
}

fn is_throttled(code: &str) -> bool {
    code.starts_with("Throttling") || code == "TooManyRequestsException"
}

/// What lies at the bottom of an error.
fn root(error: &dyn Error) -> String {
    let mut last = error;
    while let Some(cause) = last.source() {
        last = cause;
    }
    last.to_string()
}
