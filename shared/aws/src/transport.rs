//! What carries the calls to local services: a seam for tests that stand in the way of single calls.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use aws_config::SdkConfig;
use aws_config::timeout::TimeoutConfig;
use aws_sdk_dynamodb::config::http::{HttpRequest, HttpResponse};
use aws_sdk_dynamodb::config::{
    AsyncSleep, HttpClient, RuntimeComponents, SharedAsyncSleep, SharedHttpClient, Sleep,
};
use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::result::ConnectorError;
use bytes::Bytes;
use futures::future::BoxFuture;

/// Carries calls, each attempt of the SDK by itself, in place of the SDK's HTTP client.
pub trait Transport: Debug + Send + Sync + 'static {
    /// Carries one attempt to its service and its answer back.
    ///
    /// # Errors
    /// [`Broken`], after which the SDK tries again as it would for a connection that broke.
    fn carry(
        &self,
        request: http::Request<Bytes>,
    ) -> BoxFuture<'static, Result<http::Response<Bytes>, Broken>>;
}

/// Why a call has no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// It never reached its service.
    #[error("the connection broke before the request was sent")]
    Unsent,
    /// It may have taken effect: its answer got lost.
    #[error("the connection broke before the answer came")]
    Unanswered,
}

/// The configuration whose calls go through `transport`. Nothing in it waits for real time: the SDK's pauses before it
/// tries again are none, and its timeouts never come.
pub(crate) fn through(config: &SdkConfig, transport: Arc<dyn Transport>) -> SdkConfig {
    let mut builder = config.to_builder();
    builder.set_http_client(Some(SharedHttpClient::new(Carried(transport))));
    builder.set_sleep_impl(Some(SharedAsyncSleep::new(NoPause)));
    builder.set_timeout_config(Some(TimeoutConfig::disabled()));
    builder.build()
}

#[derive(Debug)]
struct NoPause;

impl AsyncSleep for NoPause {
    fn sleep(&self, _: Duration) -> Sleep {
        Sleep::new(std::future::ready(()))
    }
}

#[derive(Clone, Debug)]
struct Carried(Arc<dyn Transport>);

impl HttpClient for Carried {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl HttpConnector for Carried {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        // The bodies of these services' calls are all in memory.
        let request = request.map(|body| Bytes::copy_from_slice(body.bytes().unwrap_or_default()));
        let carried = request.try_into_http1x().map(|request| self.0.carry(request));
        HttpConnectorFuture::new(async move {
            let carried = carried.map_err(|error| ConnectorError::user(error.into()))?;
            let answer = carried.await.map_err(|broken| ConnectorError::io(broken.into()))?;
            HttpResponse::try_from(answer.map(Into::into)).map_err(|error| ConnectorError::user(error.into()))
        })
    }
}
