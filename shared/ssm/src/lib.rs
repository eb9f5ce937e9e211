//! The adapter to the parameters of AWS Systems Manager: reads one, decrypted. It stands apart from `replicante-aws` so
//! that the workers alone link this part of the AWS SDK.
//!
//! What may be read is the role's matter. Nothing is kept here: `replicante-outbound` does that.

use std::error::Error;
use std::time::Duration;

use aws_config::SdkConfig;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_sdk_ssm::Client;
use aws_sdk_ssm::error::SdkError;
use aws_sdk_ssm::operation::get_parameter::GetParameterError;
use replicante_aws::Account;
use replicante_outbound::{Reading, Secret, SecretStore, StoreError};
use tokio::sync::OnceCell;
use tokio::time::timeout;

/// How long reading one parameter may take, with its repetitions.
const LIMIT: Duration = Duration::from_secs(5);

/// The parameters of Systems Manager. The client is built when the first is asked for: many deployments ask for none.
#[derive(Debug)]
pub struct Parameters {
    account: Account,
    client: OnceCell<Client>,
}

impl Parameters {
    /// The parameters that this account may read.
    pub fn of(account: &Account) -> Self {
        Parameters { account: account.clone(), client: OnceCell::new() }
    }

    async fn get(&self, name: &str) -> Result<Secret, StoreError> {
        let client = self.client.get_or_init(|| async { build(&self.account.config("SSM").await) }).await;
        let got = client.get_parameter().name(name).with_decryption(true).send().await;
        let got = got.map_err(|error| failure(&error))?;
        let value = got.parameter.and_then(|parameter| parameter.value);
        value.map(Secret::from).ok_or_else(|| StoreError::Refused("it has no value".into()))
    }
}

impl SecretStore for Parameters {
    /// Ends within 5 s.
    fn read<'a>(&'a self, name: &'a str) -> Reading<'a> {
        Box::pin(async move { timeout(LIMIT, self.get(name)).await.unwrap_or_else(|_| Err(late())) })
    }
}

fn build(config: &SdkConfig) -> Client {
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(Duration::from_secs(2))
        .operation_attempt_timeout(Duration::from_secs(2))
        .build();
    let builder = aws_sdk_ssm::config::Builder::from(config)
        .retry_config(RetryConfig::standard().with_max_attempts(3))
        .timeout_config(timeouts);
    Client::from_conf(builder.build())
}

fn late() -> StoreError {
    StoreError::Unavailable(format!("no answer of Systems Manager within {} s", LIMIT.as_secs()))
}

/// By its code alone: what Systems Manager writes beside it names accounts, roles and requests.
fn failure(error: &SdkError<GetParameterError>) -> StoreError {
    let service = match error {
        SdkError::ServiceError(service) => service,
        SdkError::TimeoutError(_) => return late(),
        other => {
            return StoreError::Unavailable(format!("Systems Manager could not be asked: {}", root(other)));
        }
    };
    // Something in between answers without a code of Systems Manager's.
    let code = service.err().meta().code().unwrap_or("an error without a code");
    match code {
        "ParameterNotFound" => StoreError::Refused(NOT_FOUND.into()),
        "AccessDeniedException" => StoreError::Refused(DENIED.into()),
        "ThrottlingException" => StoreError::Unavailable("Systems Manager throttles".into()),
        code => {
            let code: String = code.chars().take(80).collect();
            let problem = format!("Systems Manager answered {code}");
            let is_refusal = service.raw().status().is_client_error();
            if is_refusal { StoreError::Refused(problem) } else { StoreError::Unavailable(problem) }
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
