//! The adapter to the parameters of AWS Systems Manager: reads one, decrypted. It stands apart from `replicante-aws` so
//! that the workers alone link it.
//!
//! One operation of the SDK's own client would add 1.7 MB to each worker, more than they have to spare. So the request is
//! written here, and signed by what the SDK signs with.
//!
//! What may be read is the role's matter. Nothing is kept here: `replicante-outbound` does that.

use std::error::Error;
use std::time::{Duration, SystemTime};

use aws_config::SdkConfig;
use aws_credential_types::provider::ProvideCredentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4::SigningParams;
use replicante_aws::Account;
use replicante_outbound::{Reading, Secret, SecretStore, StoreError};
use reqwest::redirect::Policy;
use reqwest::{Client, StatusCode};
use serde::Deserialize;
use serde_json::json;
use tokio::sync::OnceCell;
use tokio::time::{sleep, timeout};

/// How long reading one parameter may take, with its repetitions.
const LIMIT: Duration = Duration::from_secs(5);
/// How long one attempt may take.
const ATTEMPT: Duration = Duration::from_secs(2);
/// The pauses before an attempt is repeated.
const PAUSES: [Duration; 2] = [Duration::from_millis(100), Duration::from_millis(300)];
/// The most bytes of an answer: a parameter has at most 8 KB.
const MAX_ANSWER: usize = 64 * 1024;
/// The one operation, as AWS JSON 1.1 names it.
const TARGET: &str = "AmazonSSM.GetParameter";

/// The parameters of Systems Manager. Nothing is built before the first is asked for: many deployments ask for none.
#[derive(Debug)]
pub struct Parameters {
    account: Account,
    asked: OnceCell<Asked>,
}

/// Who is asked, and as whom.
#[derive(Debug)]
struct Asked {
    client: Client,
    config: SdkConfig,
    url: String,
}

#[derive(Deserialize)]
struct Answer {
    #[serde(rename = "Parameter")]
    parameter: Option<Parameter>,
}

#[derive(Deserialize)]
struct Parameter {
    #[serde(rename = "Value")]
    value: Option<String>,
}

#[derive(Default, Deserialize)]
struct Refusal {
    #[serde(rename = "__type", default)]
    code: String,
}

impl Parameters {
    /// The parameters that this account may read.
    pub fn of(account: &Account) -> Self {
        Parameters { account: account.clone(), asked: OnceCell::new() }
    }

    async fn get(&self, name: &str) -> Result<Secret, StoreError> {
        let asked = self.asked.get_or_try_init(|| async { Asked::of(&self.account).await }).await?;
        let mut pauses = PAUSES.into_iter();
        loop {
            let error = match timeout(ATTEMPT, asked.get(name)).await.unwrap_or_else(|_| Err(late())) {
                Err(error @ StoreError::Unavailable(_)) => error,
                ended => return ended,
            };
            let Some(pause) = pauses.next() else { return Err(error) };
            sleep(pause).await;
        }
    }
}

impl SecretStore for Parameters {
    /// Ends within 5 s.
    fn read<'a>(&'a self, name: &'a str) -> Reading<'a> {
        Box::pin(async move { timeout(LIMIT, self.get(name)).await.unwrap_or_else(|_| Err(late())) })
    }
}

impl Asked {
    async fn of(account: &Account) -> Result<Self, StoreError> {
        let config = account.config("SSM").await;
        let client = Client::builder().redirect(Policy::none()).connect_timeout(ATTEMPT).build();
        let client = client.map_err(|error| unasked(&error))?;
        let region = config.region().map(ToString::to_string).unwrap_or_default();
        let suffix = if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
        let url = config.endpoint_url().map(String::from);
        let url = url.unwrap_or_else(|| format!("https://ssm.{region}.{suffix}"));
        Ok(Asked { client, config, url })
    }

    /// One attempt.
    async fn get(&self, name: &str) -> Result<Secret, StoreError> {
        let body = json!({ "Name": name, "WithDecryption": true }).to_string();
        let request = self.signed(body).await?;
        let answer = self.client.execute(request).await.map_err(|error| unasked(&error))?;
        let status = answer.status();
        let mut answer = answer;
        let mut bytes = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(|error| unasked(&error))? {
            if bytes.len() + chunk.len() > MAX_ANSWER {
                return Err(StoreError::Unavailable("Systems Manager answered too much".into()));
            }
            bytes.extend_from_slice(&chunk);
        }
        if status != StatusCode::OK {
            let refusal: Refusal = serde_json::from_slice(&bytes).unwrap_or_default();
            return Err(failure(status, &refusal.code));
        }
        let answer: Option<Answer> = serde_json::from_slice(&bytes).ok();
        let value = answer.and_then(|answer| answer.parameter).and_then(|parameter| parameter.value);
        value.map(Secret::from).ok_or_else(|| StoreError::Refused("it has no value".into()))
    }

    /// The request, signed for the account of the moment: a role's credentials change.
    async fn signed(&self, body: String) -> Result<reqwest::Request, StoreError> {
        let missing =
            |what: &str| StoreError::Unavailable(format!("Systems Manager could not be asked: no {what}"));
        let region = self.config.region().ok_or_else(|| missing("region"))?.to_string();
        let provider = self.config.credentials_provider().ok_or_else(|| missing("credentials"))?;
        let identity = provider.provide_credentials().await.map_err(|_| missing("credentials"))?.into();
        let params = SigningParams::builder()
            .identity(&identity)
            .region(&region)
            .name("ssm")
            .time(SystemTime::now())
            .settings(SigningSettings::default())
            .build()
            .map_err(|error| unasked(&error))?
            .into();
        let headers = [("content-type", "application/x-amz-json-1.1"), ("x-amz-target", TARGET)];
        let signable = SignableBody::Bytes(body.as_bytes());
        let signable = SignableRequest::new("POST", &self.url, headers.into_iter(), signable);
        let signature =
            signable.and_then(|request| sign(request, &params)).map_err(|error| unasked(&error))?;
        let (instructions, _) = signature.into_parts();
        let mut request = self.client.post(&self.url);
        for (name, value) in headers.into_iter().chain(instructions.headers()) {
            request = request.header(name, value);
        }
        request.body(body).build().map_err(|error| unasked(&error))
    }
}

fn late() -> StoreError {
    StoreError::Unavailable(format!("no answer of Systems Manager within {} s", LIMIT.as_secs()))
}

fn unasked(error: &dyn Error) -> StoreError {
    StoreError::Unavailable(format!("Systems Manager could not be asked: {}", root(error)))
}

/// By its code alone: what Systems Manager writes beside it names accounts, roles and requests.
fn failure(status: StatusCode, code: &str) -> StoreError {
    // `com.amazonaws.ssm#ParameterNotFound` in some answers.
    let code = code.rsplit('#').next().unwrap_or(code);
    match code {
        "ParameterNotFound" => StoreError::Refused(NOT_FOUND.into()),
        "AccessDeniedException" => StoreError::Refused(DENIED.into()),
        "ThrottlingException" => StoreError::Unavailable("Systems Manager throttles".into()),
        code => {
            // Something in between answers without a code of Systems Manager's.
            let code: String = code.chars().filter(char::is_ascii_alphanumeric).take(80).collect();
            let code = if code.is_empty() { "an error without a code".to_owned() } else { code };
            let problem = format!("Systems Manager answered {code}");
            if status.is_client_error() {
                StoreError::Refused(problem)
            } else {
                StoreError::Unavailable(problem)
            }
        }
    }
}

const NOT_FOUND: &str = "no such parameter in this account and region";
const DENIED: &str =
    "access denied: the role needs ssm:GetParameter on it, and leave to decrypt with its key";

/// What lies at the bottom: the texts above it name addresses.
fn root(error: &dyn Error) -> String {
    let mut last = error;
    while let Some(cause) = last.source() {
        last = cause;
    }
    last.to_string()
}
