//! The Lambda entry point of the discovery worker.

use lambda_runtime::{Error, run, service_fn};
use replicante_aws::Clients;
use replicante_discovery_worker::DiscoveryWorker;
use replicante_settings::Settings;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    replicante_logs::init();
    let settings = Settings::from_env()?;
    let clients = Clients::of_function(|name| std::env::var(name).ok())?;
    let function = DiscoveryWorker::new(&clients, &settings).measured(replicante_logs::line);
    run(service_fn(|event| async { Ok::<_, Error>(function.handle(event).await) })).await
}
