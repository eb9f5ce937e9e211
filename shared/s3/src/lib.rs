//! The adapter to S3: reads one object, bounded. It stands apart from `replicante-aws` so that only the discovery
//! worker links this part of the AWS SDK.
//!
//! Buckets are named by operators, and S3 is reached as AWS says, not as an answer says: the address policy is not
//! asked. Which buckets may be read is the role's matter.

use std::error::Error;
use std::time::Duration;

use aws_config::SdkConfig;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_sdk_s3::Client;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use replicante_aws::Account;
use tokio::sync::OnceCell;
use tokio::time::timeout;

/// How long reading one object may take, with its repetitions and its whole body.
const LIMIT: Duration = Duration::from_secs(30);

/// Why an object could not be read. The text is stable: it may be stored.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ObjectError {
    /// It has more bytes than asked for. What there was of it is dropped.
    #[error("the object is larger than {0} bytes")]
    TooLarge(u64),
    /// S3 refused: its code, like `NoSuchKey` or `AccessDenied`.
    #[error("S3 answered {0}")]
    Refused(String),
    /// S3 could not be asked, or its answer broke off.
    #[error("S3 could not be asked: {0}")]
    Unreachable(String),
    /// It took too long.
    #[error("no whole object within {} s", LIMIT.as_secs())]
    Timeout,
}

/// The objects of S3. The client is built when the first is asked for: most deployments ask for none.
#[derive(Debug)]
pub struct Objects {
    account: Account,
    client: OnceCell<Client>,
}

impl Objects {
    /// The objects that this account may read.
    pub fn of(account: &Account) -> Self {
        Objects { account: account.clone(), client: OnceCell::new() }
    }

    /// The objects of a service that is not AWS's own and takes any credentials.
    pub fn at(endpoint: &str) -> Self {
        Self::of(&Account::at(endpoint))
    }

    /// Reads a whole object of at most `most` bytes.
    ///
    /// # Errors
    /// [`ObjectError`]; nothing is given in part.
    pub async fn get(&self, bucket: &str, key: &str, most: u64) -> Result<Vec<u8>, ObjectError> {
        let read = async { read(self.client().await, bucket, key, most).await };
        timeout(LIMIT, read).await.unwrap_or(Err(ObjectError::Timeout))
    }

    async fn client(&self) -> &Client {
        self.client.get_or_init(|| async { build(&self.account.config("S3").await) }).await
    }
}

fn build(config: &SdkConfig) -> Client {
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(Duration::from_secs(3))
        .read_timeout(Duration::from_secs(10))
        .build();
    let builder = aws_sdk_s3::config::Builder::from(config)
        .retry_config(RetryConfig::standard().with_max_attempts(3))
        .timeout_config(timeouts)
        // A service at one address has no host a bucket.
        .force_path_style(config.endpoint_url().is_some());
    Client::from_conf(builder.build())
}

async fn read(client: &Client, bucket: &str, key: &str, most: u64) -> Result<Vec<u8>, ObjectError> {
    let got = client.get_object().bucket(bucket).key(key).send().await.map_err(|error| refusal(&error))?;
    let mut stream = got.body;
    let mut bytes = Vec::new();
    while let Some(part) = stream.next().await {
        let part = part.map_err(|error| ObjectError::Unreachable(root(&error)))?;
        if (bytes.len() + part.len()) as u64 > most {
            return Err(ObjectError::TooLarge(most));
        }
        bytes.extend_from_slice(&part);
    }
    Ok(bytes)
}

fn refusal<E, R>(error: &SdkError<E, R>) -> ObjectError
where
    E: ProvideErrorMetadata + Error + 'static,
    R: std::fmt::Debug + 'static,
{
    match error {
        SdkError::ServiceError(service) => {
            // Something in between answers without a code of S3.
            let code = service.err().meta().code().unwrap_or("an error without a code");
            ObjectError::Refused(code.chars().take(80).collect())
        }
        SdkError::TimeoutError(_) => ObjectError::Timeout,
        other => ObjectError::Unreachable(root(other)),
    }
}

/// What lies at the bottom: the texts above it name addresses.
fn root(error: &dyn Error) -> String {
    let mut last = error;
    while let Some(cause) = last.source() {
        last = cause;
    }
    last.to_string()
}
