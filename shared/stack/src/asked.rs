//! A service that is asked by hand: who, as whom, and one signed request.

use std::error::Error;
use std::time::{Duration, SystemTime};

use aws_config::SdkConfig;
use aws_credential_types::provider::ProvideCredentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4::SigningParams;
use replicante_aws::Account;
use reqwest::redirect::Policy;
use reqwest::{Client, Request, StatusCode};
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

/// Who is asked, and as whom.
pub(crate) struct Asked {
    client: Client,
    config: SdkConfig,
    name: &'static str,
    pub region: String,
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
        let url = url.unwrap_or_else(|| format!("https://{name}.{region}.{suffix}/"));
        let client = Client::builder().redirect(Policy::none()).connect_timeout(ATTEMPT).build();
        let client = client.map_err(|error| Problem::Unavailable(root(&error)))?;
        Ok(Asked { client, config, name, region, url })
    }

    /// The answer to one request, of at most so many bytes. What may pass is asked again. `refusal` reads an answer that is
    /// none, if it is one of the service's.
    pub async fn ask(
        &self,
        headers: &[(&'static str, &'static str)],
        body: &str,
        most: usize,
        refusal: impl Fn(&str) -> Option<Refusal>,
    ) -> Result<String, Problem> {
        let mut pauses = PAUSES.into_iter();
        loop {
            let late = || {
                let problem = format!("no answer within {} s", ATTEMPT.as_secs());
                Err((true, Problem::Unavailable(problem)))
            };
            let once = timeout(ATTEMPT, self.once(headers, body, most, &refusal)).await;
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
        headers: &[(&'static str, &'static str)],
        body: &str,
        most: usize,
        refusal: impl Fn(&str) -> Option<Refusal>,
    ) -> Result<String, (bool, Problem)> {
        let request = self.signed(headers, body).await.map_err(|problem| (false, problem))?;
        let unanswered = |error: reqwest::Error| {
            (true, Problem::Unavailable(format!("{} does not answer: {}", self.url, root(&error))))
        };
        let mut answer = self.client.execute(request).await.map_err(unanswered)?;
        let status = answer.status();
        let mut bytes = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(unanswered)? {
            if bytes.len() + chunk.len() > most {
                return Err((false, Problem::Unavailable(format!("{} answered too much", self.url))));
            }
            bytes.extend_from_slice(&chunk);
        }
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if status.is_success() {
            return Ok(text);
        }
        let problem = match refusal(&text) {
            Some(refusal) => Problem::Refused(refusal),
            None => Problem::Unavailable(format!("{} answered with status {}", self.url, status.as_u16())),
        };
        let throttled =
            matches!(&problem, Problem::Refused(Refusal { code, .. }) if code.starts_with("Throttling"));
        Err((status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS || throttled, problem))
    }

    /// The request, signed.
    async fn signed(&self, headers: &[(&'static str, &'static str)], body: &str) -> Result<Request, Problem> {
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
        let signable = SignableRequest::new("POST", &self.url, headers.iter().copied(), signable);
        let signature =
            signable.and_then(|request| sign(request, &params)).map_err(|error| unsigned(&error))?;
        let (instructions, _) = signature.into_parts();
        let mut request = self.client.post(&self.url);
        for (name, value) in headers.iter().copied().chain(instructions.headers()) {
            request = request.header(name, value);
        }
        request.body(body.to_owned()).build().map_err(|error| unsigned(&error))
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
