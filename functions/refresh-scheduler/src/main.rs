//! The Lambda entry point of the refresh scheduler.

use std::process::ExitCode;

use lambda_runtime::{run, service_fn};
use replicante_refresh_scheduler::refresh_scheduler;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    replicante_startup::start(async |clients, settings| {
        let function = refresh_scheduler(&clients, &settings).measured(replicante_startup::line);
        run(service_fn(|event| async { function.handle(event).await.map(|_| ()) })).await
    })
    .await
}
