//! Clients: built once, handed over.

use std::sync::Arc;
use std::time::Duration;

use aws_config::profile::ProfileFileCredentialsProvider;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_dynamodb::config::{Credentials, SharedCredentialsProvider};
use futures::FutureExt;
use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};

use crate::error::AwsError;
use crate::transport::Transport;

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

/// Whose objects of S3 and parameters of Systems Manager are read: region, credentials, endpoint. Found out when the first
/// is asked for.
#[derive(Clone)]
pub struct Account(Arc<Config>);

type Config = dyn Fn(&str) -> BoxFuture<'static, SdkConfig> + Send + Sync;

impl Account {
    /// What to build a client of a service from: `S3` or `SSM`, as the SDK's variables write it.
    pub async fn config(&self, service: &str) -> SdkConfig {
        (self.0)(service).await
    }

    /// The account of these settings, for all services.
    pub fn given(config: SdkConfig) -> Self {
        Account(Arc::new(move |_: &str| std::future::ready(config.clone()).boxed()))
    }

    /// The account of a service that is not AWS's own and takes any credentials.
    pub fn at(endpoint: &str) -> Self {
        Self::given(local_config().to_builder().endpoint_url(endpoint).build())
    }

    /// The account of whoever sits at a terminal, by what is said and the SDK's default chain.
    pub fn of_terminal(said: &Said) -> Self {
        let said = said.clone();
        Account(Arc::new(move |service: &str| {
            let named = || std::env::var(format!("AWS_ENDPOINT_URL_{service}")).ok();
            let endpoint = said.endpoint.clone().or_else(named);
            let said = said.clone();
            async move {
                let config = default_chain(&said).await;
                match endpoint.filter(|url| !url.is_empty()) {
                    Some(url) => config.to_builder().endpoint_url(url).build(),
                    None => config,
                }
            }
            .boxed()
        }))
    }
}

impl std::fmt::Debug for Account {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Account")
    }
}

/// What is said of AWS where somebody sits at a terminal. Each goes before what the environment says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Said {
    /// The region.
    pub region: Option<String>,
    /// The profile whose credentials are used: also where the environment holds some.
    pub profile: Option<String>,
    /// Where all services listen, when they are not AWS's own.
    pub endpoint: Option<String>,
}

/// The clients of the services.
#[derive(Clone, Debug)]
pub struct Clients {
    pub(crate) dynamodb: aws_sdk_dynamodb::Client,
    pub(crate) sqs: aws_sdk_sqs::Client,
    pub(crate) kinesis: aws_sdk_kinesis::Client,
    account: Account,
}

impl Clients {
    /// Clients of whoever sits at a terminal: as is said, else region, credentials and `AWS_ENDPOINT_URL_*` from the
    /// environment or a profile, by the SDK's default chain.
    pub async fn of_terminal(said: &Said) -> Self {
        let config = default_chain(said).await;
        Clients {
            dynamodb: aws_sdk_dynamodb::Client::new(&config),
            sqs: aws_sdk_sqs::Client::new(&config),
            kinesis: aws_sdk_kinesis::Client::new(&config),
            account: Account::of_terminal(said),
        }
    }

    /// Clients of a function: Lambda gives region and credentials by variables, for as long as the process lives, and
    /// `AWS_ENDPOINT_URL_*` names other services than AWS's own. No profile, no metadata service and no token exchange
    /// is looked for: what a function never needs would be a fifth of its binary.
    ///
    /// # Errors
    /// When a variable is missing.
    pub fn of_function(lookup: impl Fn(&str) -> Option<String>) -> Result<Self, AwsError> {
        let variable = |name: &str| lookup(name).filter(|value| !value.is_empty());
        let needed = |name: &str| {
            variable(name).ok_or_else(|| AwsError::stored("the environment", format!("{name} is not set")))
        };
        let (id, secret) = (needed("AWS_ACCESS_KEY_ID")?, needed("AWS_SECRET_ACCESS_KEY")?);
        let credentials = Credentials::new(id, secret, variable("AWS_SESSION_TOKEN"), None, "environment");
        let region = variable("AWS_REGION").map_or_else(|| needed("AWS_DEFAULT_REGION"), Ok)?;
        let config = config(credentials, Region::new(region), 4);
        let endpoint = |service: &str| {
            variable(&format!("AWS_ENDPOINT_URL_{service}")).or_else(|| variable("AWS_ENDPOINT_URL"))
        };
        let apart = ["S3", "SSM"].map(|service| {
            let mut own = config.to_builder();
            own.set_endpoint_url(endpoint(service));
            (service, own.build())
        });
        let plain = config.clone();
        let account = Account(Arc::new(move |service: &str| {
            let own = apart.iter().find(|(known, _)| *known == service).map_or(&plain, |(_, config)| config);
            std::future::ready(own.clone()).boxed()
        }));
        Ok(Self::on(&config, endpoint, account))
    }

    /// Clients of local services, which take any credentials. The environment is not looked at but for S3 and Systems
    /// Manager, which are none of these services: whoever runs them has their objects and parameters read as the SDK's
    /// default chain says.
    pub fn local(endpoints: &Endpoints) -> Self {
        Self::at(endpoints, &local_config())
    }

    /// Clients of local services whose calls are carried by `transport`.
    pub fn through(endpoints: &Endpoints, transport: Arc<dyn Transport>) -> Self {
        Self::at(endpoints, &crate::transport::through(&local_config(), transport))
    }

    fn at(endpoints: &Endpoints, config: &SdkConfig) -> Self {
        let Endpoints { dynamodb, sqs, kinesis } = endpoints;
        let endpoint = |service: &str| {
            let endpoint = match service {
                "DYNAMODB" => dynamodb,
                "SQS" => sqs,
                _ => kinesis,
            };
            Some(endpoint.clone())
        };
        Self::on(config, endpoint, Account::of_terminal(&Said::default()))
    }

    /// Whose objects of S3 and parameters of Systems Manager are read.
    pub fn account(&self) -> &Account {
        &self.account
    }

    /// The same clients, with the objects and parameters of another account.
    #[must_use]
    pub fn with_account(self, account: Account) -> Self {
        Clients { account, ..self }
    }

    /// Clients at these endpoints, each of AWS's own where there is none.
    fn on(config: &SdkConfig, endpoint: impl Fn(&str) -> Option<String>, account: Account) -> Self {
        let mut dynamodb = aws_sdk_dynamodb::config::Builder::from(config);
        dynamodb.set_endpoint_url(endpoint("DYNAMODB"));
        let mut sqs = aws_sdk_sqs::config::Builder::from(config);
        sqs.set_endpoint_url(endpoint("SQS"));
        let mut kinesis = aws_sdk_kinesis::config::Builder::from(config);
        kinesis.set_endpoint_url(endpoint("KINESIS"));
        Clients {
            dynamodb: aws_sdk_dynamodb::Client::from_conf(dynamodb.build()),
            sqs: aws_sdk_sqs::Client::from_conf(sqs.build()),
            kinesis: aws_sdk_kinesis::Client::from_conf(kinesis.build()),
            account,
        }
    }
}

/// Region, credentials and `AWS_ENDPOINT_URL_*` as is said, else from the environment, a profile, or wherever else the SDK
/// looks.
async fn default_chain(said: &Said) -> SdkConfig {
    let mut chain = aws_config::defaults(BehaviorVersion::latest())
        .retry_config(RetryConfig::standard().with_max_attempts(4))
        .timeout_config(timeouts());
    if let Some(region) = &said.region {
        chain = chain.region(Region::new(region.clone()));
    }
    if let Some(profile) = &said.profile {
        // The chain alone would take credentials of the environment first: those of another account, perhaps.
        let credentials = ProfileFileCredentialsProvider::builder().profile_name(profile).build();
        chain = chain.profile_name(profile).credentials_provider(credentials);
    }
    if let Some(endpoint) = &said.endpoint {
        chain = chain.endpoint_url(endpoint);
    }
    chain.load().await
}

fn local_config() -> SdkConfig {
    let credentials = Credentials::new("local", "local", None, None, "local");
    config(credentials, Region::from_static("us-east-1"), 3)
}

fn config(credentials: Credentials, region: Region, attempts: u32) -> SdkConfig {
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(region)
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .retry_config(RetryConfig::standard().with_max_attempts(attempts))
        .timeout_config(timeouts())
        .build()
}

/// Each attempt is short beside a worker's lease, so that a hanging call is tried again in time.
fn timeouts() -> TimeoutConfig {
    TimeoutConfig::builder()
        .connect_timeout(Duration::from_secs(3))
        .operation_attempt_timeout(Duration::from_secs(10))
        .operation_timeout(Duration::from_secs(25))
        .build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_said_goes_before_the_environment() {
        let said = Said {
            region: Some("eu-west-9".into()),
            endpoint: Some("http://127.0.0.1:9".into()),
            profile: None,
        };
        let clients = Clients::of_terminal(&said).await;
        assert_eq!(clients.sqs.config().region().map(AsRef::as_ref), Some("eu-west-9"));
        let config = Account::of_terminal(&said).config("CLOUDFORMATION").await;
        assert_eq!(config.endpoint_url(), Some("http://127.0.0.1:9"));
        assert_eq!(config.region().map(AsRef::as_ref), Some("eu-west-9"));
    }

    #[test]
    fn a_function_needs_region_and_credentials_and_takes_endpoints() {
        let set = [
            ("AWS_ACCESS_KEY_ID", "id"),
            ("AWS_SECRET_ACCESS_KEY", "secret"),
            ("AWS_REGION", "eu-central-1"),
            ("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9"),
            ("AWS_ENDPOINT_URL_SSM", "http://127.0.0.1:10"),
        ];
        let clients = |left_out: &str| {
            Clients::of_function(|name| {
                let known = set.iter().find(|(known, _)| *known == name && name != left_out);
                known.map(|(_, value)| (*value).to_owned())
            })
        };
        let region = clients("").unwrap().dynamodb.config().region().map(ToString::to_string);
        assert_eq!(region.as_deref(), Some("eu-central-1"));
        for (service, endpoint) in [("S3", "http://127.0.0.1:9"), ("SSM", "http://127.0.0.1:10")] {
            let config = clients("").unwrap().account().config(service).now_or_never().unwrap();
            assert_eq!(config.region().map(ToString::to_string).as_deref(), Some("eu-central-1"));
            assert_eq!(config.endpoint_url(), Some(endpoint));
        }
        for (name, _) in &set[..3] {
            let error = clients(name).unwrap_err().to_string();
            assert!(error.contains(name.trim_start_matches("AWS_").split('_').next().unwrap()), "{error}");
            assert!(error.ends_with("is not set"), "{error}");
        }
    }
}
