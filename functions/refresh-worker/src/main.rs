//! The Lambda entry point of the refresh worker.

use std::process::ExitCode;

use lambda_runtime::{Error, run, service_fn};
use replicante_refresh_worker::RefreshWorker;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    replicante_startup::start(async |clients, settings| {
        let function = RefreshWorker::new(&clients, &settings).measured(replicante_startup::line);
        run(service_fn(|event| async { Ok::<_, Error>(function.handle(event).await) })).await
    })
    .await
}
