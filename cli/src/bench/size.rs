//! The measurements of `bench size`: what is large is seen for the first time, on a stream with the limits of AWS.

use std::time::Duration;

use replicante_aws::Table;
use replicante_discovery_worker::DiscoveryWorker;
use replicante_fleet::{Change, Fleet, FleetConfig, Kind, Layout, WorldConfig};
use replicante_local::{Local, LocalConfig, task_event, within};
use replicante_model::RecordName;
use replicante_protocol::task::Task;

use crate::bench::apart::{self, Rest};
use crate::bench::figures::{Figure, Wanted, figure};
use crate::error::CliError;
use crate::view::text::thousands;
use crate::{files, out};

/// How long an invocation may last, as the template says.
const TIMEOUT: Duration = Duration::from_secs(60);
/// The most memory of a refresh worker, in MiB.
const MOST_MEMORY: f64 = 256.0;
/// The cluster.
const CLUSTER: &str = "large";

/// A cluster of many nodes, and one of many shards.
///
/// # Errors
/// When something can't start, or a refresh fails.
pub async fn measure(nodes: usize, shards: usize) -> Result<Vec<Figure>, CliError> {
    let mut figures = Vec::new();
    for (name, nodes, shards) in [
        (format!("{} nodes of 10 shards", thousands(nodes as u64)), nodes, 10),
        (format!("one node of {} shards", thousands(shards as u64)), 1, shards),
    ] {
        out::note(format_args!("{name}: first sight, then at rest ..."));
        let rest = first_sight(nodes, shards).await?;
        figures.push(figure(format!("{name}: events of the first sight"), rest.events as f64, "", None));
        figures.push(figure(format!("{name}: commits"), rest.commits as f64, "", None));
        figures.push(figure(format!("{name}: invocations of 60 s"), rest.invocations as f64, "", None));
        figures.push(figure(format!("{name}: of these failed and came again"), rest.failed as f64, "", None));
        figures.push(figure(format!("{name}: until at rest"), rest.seconds, "seconds", None));
        figures.push(figure(format!("{name}: an unchanged refresh"), rest.unchanged, "seconds", None));
        let wanted = Some(Wanted::AtMost(MOST_MEMORY));
        figures.push(figure(format!("{name}: peak memory of the worker"), rest.peak, "MiB", wanted));
    }
    Ok(figures)
}

async fn first_sight(nodes: usize, shards: usize) -> Result<Rest, CliError> {
    let world = WorldConfig { clusters: 0, ..WorldConfig::default() };
    // Each agent has an address of its own, as in the field: one address runs out of ports.
    let fleet =
        Fleet::start(FleetConfig { world, layout: Layout::PortEach, ..FleetConfig::default() }).await?;
    let large =
        Change::AddCluster { cluster: CLUSTER.into(), kind: Kind::Kafka, nodes, shards: Some(shards) };
    fleet.apply(large).map_err(|error| CliError::Failed(error.to_string()))?;
    let config = LocalConfig { stream_limits: true, overrides: apart::times(), ..LocalConfig::default() };
    let local = Local::start(&config).await?;
    let object = format!(
        "apiVersion: replicante.io/v0\nkind: Discovery\nmetadata: {{ name: bench }}\nspec:\n  interval: 1h\n  \
         source: {{ http: {{ url: \"{}\" }} }}\n  refresh: {{ interval: 1h }}\n",
        fleet.discovery_url(),
    );
    let table = Table::new(&local.clients, &local.settings.table);
    files::apply(&table, &files::parse_text("bench", &object, config.tick)?, "bench", false).await?;
    let discovery = DiscoveryWorker::new(&local.clients, &local.settings);
    let run = Task::manual(RecordName::discovery("default", "bench"), "bench");
    let event = task_event(&[run]).map_err(|error| CliError::Failed(error.to_string()))?;
    if !discovery.handle(within(event, TIMEOUT)).await.batch_item_failures.is_empty() {
        return Err(CliError::Failed("the discovery of the simulated fleet failed".into()));
    }
    apart::start(&local, &["worker", CLUSTER, &TIMEOUT.as_secs().to_string()]).await
}
