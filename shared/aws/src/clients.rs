//! Clients: built once, handed over.

use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_dynamodb::config::{Credentials, SharedCredentialsProvider};
use serde::{Deserialize, Serialize};

/// Where the services listen, when they are not AWS's own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoints {
    /// DynamoDB.
    #[serde(rename = "AWS_ENDPOINT_URL_DYNAMODB")]
    pub dynamodb: String,
    /// SQS.
    #[serde(rename = "AWS_ENDPOINT_URL_SQS")]
    pub sqs: String,
    /// Kinesis.
    #[serde(rename = "AWS_ENDPOINT_URL_KINESIS")]
    pub kinesis: String,
}

/// The clients of the services.
#[derive(Clone, Debug)]
pub struct Clients {
    pub(crate) dynamodb: aws_sdk_dynamodb::Client,
    pub(crate) sqs: aws_sdk_sqs::Client,
    pub(crate) kinesis: aws_sdk_kinesis::Client,
}

impl Clients {
    /// Clients as the environment says: region, credentials, `AWS_ENDPOINT_URL_*`.
    pub async fn from_env() -> Self {
        let config = aws_config::defaults(BehaviorVersion::latest())
            .retry_config(RetryConfig::standard().with_max_attempts(4))
            .timeout_config(timeouts())
            .load()
            .await;
        Self::new(&config)
    }

    /// Clients of local services, which take any credentials. The environment is not looked at.
    pub fn local(endpoints: &Endpoints) -> Self {
        let credentials = Credentials::new("local", "local", None, None, "local");
        let config = SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::from_static("us-east-1"))
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            .retry_config(RetryConfig::standard().with_max_attempts(3))
            .timeout_config(timeouts())
            .build();
        let dynamodb =
            aws_sdk_dynamodb::config::Builder::from(&config).endpoint_url(&endpoints.dynamodb).build();
        let sqs = aws_sdk_sqs::config::Builder::from(&config).endpoint_url(&endpoints.sqs).build();
        let kinesis =
            aws_sdk_kinesis::config::Builder::from(&config).endpoint_url(&endpoints.kinesis).build();
        Clients {
            dynamodb: aws_sdk_dynamodb::Client::from_conf(dynamodb),
            sqs: aws_sdk_sqs::Client::from_conf(sqs),
            kinesis: aws_sdk_kinesis::Client::from_conf(kinesis),
        }
    }

    fn new(config: &SdkConfig) -> Self {
        Clients {
            dynamodb: aws_sdk_dynamodb::Client::new(config),
            sqs: aws_sdk_sqs::Client::new(config),
            kinesis: aws_sdk_kinesis::Client::new(config),
        }
    }
}

/// Each attempt is short beside a worker's lease, so that a hanging call is tried again in time.
fn timeouts() -> TimeoutConfig {
    TimeoutConfig::builder()
        .connect_timeout(Duration::from_secs(3))
        .operation_attempt_timeout(Duration::from_secs(10))
        .operation_timeout(Duration::from_secs(25))
        .build()
}
