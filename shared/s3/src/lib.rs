//! The adapter to S3: reads one object, bounded. It stands apart from `replicante-aws` so that only the discovery
//! worker links this part of the AWS SDK.
//!
//! Buckets are named by operators, and S3 is reached as AWS says, not as an answer says: the address policy is not
//! asked. Which buckets may be read is the role's matter.

use std::error::Error;
use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region};
use aws_sdk_s3::Client;
use aws_sdk_s3::config::Credentials;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
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
    endpoint: Option<String>,
    client: OnceCell<Client>,
}

impl Objects {
    /// As the environment says: region, credentials, `AWS_ENDPOINT_URL_S3`. It is read at the first object.
    pub fn from_env() -> Self {
        Objects { endpoint: None, client: OnceCell::new() }
    }

    /// A service that is not AWS's own and takes any credentials. The environment is not looked at.
    pub fn at(endpoint: &str) -> Self {
        Objects { endpoint: Some(endpoint.into()), client: OnceCell::new() }
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
        self.client.get_or_init(|| build(self.endpoint.as_deref())).await
    }
}

async fn build(endpoint: Option<&str>) -> Client {
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(Duration::from_secs(3))
        .read_timeout(Duration::from_secs(10))
        .build();
    let loader = aws_config::defaults(BehaviorVersion::latest())
        .retry_config(RetryConfig::standard().with_max_attempts(3))
        .timeout_config(timeouts);
    let Some(endpoint) = endpoint else { return Client::new(&loader.load().await) };
    let credentials = Credentials::new("local", "local", None, None, "local");
    let loader = loader.region(Region::from_static("us-east-1")).credentials_provider(credentials);
    let config = loader.endpoint_url(endpoint).load().await;
    // A service at one address has no host a bucket.
    Client::from_conf(aws_sdk_s3::config::Builder::from(&config).force_path_style(true).build())
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
