//! A worker that is a process of its own, and dies as one: at the call that its environment names.
//!
//! It carries out one task and exits with 0, or with 1 when the task failed. `REPLICANTE_TEST_TASK` is the task,
//! `REPLICANTE_TEST_CALL` the call of that number, from 0, and `REPLICANTE_TEST_AFTER` says whether it dies when that call
//! has taken effect, or before. Everything else is the environment of a function.

use std::time::Duration;

use replicante_aws::{Clients, Endpoints};
use replicante_discovery_worker::DiscoveryWorker;
use replicante_local::{task_event, within};
use replicante_model::Kind;
use replicante_protocol::task::Task;
use replicante_refresh_worker::RefreshWorker;
use replicante_settings::Settings;
use replicante_tests::Failure;
use replicante_tests::faults::{Fault, Faults, Layer};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    let task: Task = serde_json::from_str(&std::env::var("REPLICANTE_TEST_TASK")?)?;
    let call = std::env::var("REPLICANTE_TEST_CALL")?.parse()?;
    let after = std::env::var("REPLICANTE_TEST_AFTER")?.parse()?;
    let endpoints = Endpoints {
        dynamodb: std::env::var("AWS_ENDPOINT_URL_DYNAMODB")?,
        sqs: std::env::var("AWS_ENDPOINT_URL_SQS")?,
        kinesis: std::env::var("AWS_ENDPOINT_URL_KINESIS")?,
    };
    let mut settings = Settings::from_env()?;
    settings.addresses = settings.addresses.with_loopback();

    let faults = Faults::default();
    faults.arm(call, if after { Fault::CrashAfter } else { Fault::CrashBefore });
    let clients = Clients::through(&endpoints, Layer::new(&faults));
    let event = within(task_event(std::slice::from_ref(&task))?, Duration::from_secs(20));
    let handled = faults.run(async {
        match task.record.kind {
            Kind::Discovery => DiscoveryWorker::new(&clients, &settings).handle(event).await,
            Kind::Cluster => RefreshWorker::new(&clients, &settings).handle(event).await,
        }
    });
    match handled.await {
        // No destructor runs, no buffer is written, no connection is closed in good order.
        None => std::process::abort(),
        Some(response) if response.batch_item_failures.is_empty() => Ok(()),
        Some(_) => Err("the task failed".into()),
    }
}
