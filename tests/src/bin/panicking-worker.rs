//! A refresh worker's bootstrap that panics at the call that its environment names.
//!
//! It starts as a function does and is driven by a Runtime API. `REPLICANTE_TEST_PANIC_AT` is the call of that number, from
//! 0. `REPLICANTE_TEST_PANIC_ABORTS` says whether a panic ends the process, as in the deployed ones, which are built with
//! `panic = "abort"`; this one is not, so that it can do both.

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use futures::future::BoxFuture;
use http::{Request, Response};
use lambda_runtime::{Error, run, service_fn};
use replicante_aws::{Broken, Clients, Endpoints, Transport};
use replicante_refresh_worker::RefreshWorker;
use replicante_tests::faults::{Faults, Layer};

#[derive(Debug)]
struct Panics {
    layer: Arc<Layer>,
    calls: AtomicUsize,
    at: usize,
}

impl Transport for Panics {
    fn carry(&self, request: Request<Bytes>) -> BoxFuture<'static, Result<Response<Bytes>, Broken>> {
        let call = self.calls.fetch_add(1, Ordering::Relaxed);
        assert!(call != self.at, "a panic that belongs to this test");
        self.layer.carry(request)
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    replicante_startup::start(async |_, mut settings| {
        if std::env::var("REPLICANTE_TEST_PANIC_ABORTS")? == "true" {
            let report = std::panic::take_hook();
            std::panic::set_hook(Box::new(move |panic| {
                report(panic);
                std::process::abort();
            }));
        }
        let endpoints = Endpoints {
            dynamodb: std::env::var("AWS_ENDPOINT_URL_DYNAMODB")?,
            sqs: std::env::var("AWS_ENDPOINT_URL_SQS")?,
            kinesis: std::env::var("AWS_ENDPOINT_URL_KINESIS")?,
        };
        settings.addresses = settings.addresses.with_loopback();
        let at = std::env::var("REPLICANTE_TEST_PANIC_AT")?.parse()?;
        let transport = Panics { layer: Layer::new(&Faults::default()), calls: AtomicUsize::new(0), at };
        let clients = Clients::through(&endpoints, Arc::new(transport));
        let function = RefreshWorker::new(&clients, &settings);
        run(service_fn(|event| async { Ok::<_, Error>(function.handle(event).await) })).await
    })
    .await
}
