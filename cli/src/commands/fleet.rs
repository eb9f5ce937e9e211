//! `fleet`: the simulated fleet alone.

use std::net::{Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, ValueEnum};
use replicante_fleet::{Changes, Fleet, FleetConfig, FleetError, Script, WorldConfig};
use replicante_model::Timestamp;

use crate::args::{Pace, duration, pace, range};
use crate::error::CliError;
use crate::out;
use crate::signals::{Interrupts, until};
use crate::view::event::{Times, time};

/// The port that `examples/discovery.yaml` names.
const PORT: u16 = 7654;

/// Values of `fleet`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    replicante fleet                          at the port of examples/discovery.yaml\n  \
    replicante fleet --changes off --seed 7   another fleet, and nothing changes\n  \
    replicante fleet --script history.json    changes of your own, like\n    \
      [{\"at\": \"2s\", \"change\": {\"change\": \"agent\", \"cluster\": \"zk-01\",\n      \
        \"node\": \"node-2\", \"state\": \"gone\"}}]")]
pub struct FleetArgs {
    /// Port on this machine for discovery (and agents); 0 takes any free one
    #[arg(long, default_value_t = PORT)]
    pub port: u16,
    /// Clusters at the start
    #[arg(long, default_value_t = 24)]
    pub clusters: usize,
    /// Nodes of each cluster
    #[arg(long, default_value = "3-7", value_parser = range, value_name = "FROM-TO")]
    pub nodes: RangeInclusive<usize>,
    /// The same seed gives the same fleet and the same changes
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Whether agents share the port or have one each
    #[arg(long, value_enum, default_value = "one-port")]
    pub layout: Layout,
    /// Mean time between two changes, or `off`
    #[arg(long, default_value = "2s", value_parser = pace, value_name = "TIME")]
    pub changes: Pace,
    /// Changes to play instead, as JSON
    #[arg(long, value_name = "FILE")]
    pub script: Option<PathBuf>,
    /// How long each agent waits before it answers
    #[arg(long, default_value = "0s", value_parser = duration, value_name = "TIME")]
    pub latency: Duration,
    /// Ends by itself after so long
    #[arg(long = "for", value_parser = duration, value_name = "TIME")]
    pub lasting: Option<Duration>,
}

/// How agents are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Layout {
    /// All on one port, by path
    OnePort,
    /// Each on a port of its own: one that is gone refuses connections
    PortEach,
}

/// Runs the command.
///
/// # Errors
/// When the port can't be had, or the script is wrong.
pub async fn run(args: FleetArgs) -> Result<(), CliError> {
    let mut interrupts = Interrupts::watch()?;
    let script = args.script.as_deref().map(read_script).transpose()?;
    let fleet = Fleet::start(FleetConfig {
        world: WorldConfig {
            seed: args.seed,
            clusters: args.clusters,
            nodes: args.nodes.clone(),
            latency: args.latency,
            ..WorldConfig::default()
        },
        listen: SocketAddr::from((Ipv4Addr::LOCALHOST, args.port)),
        layout: match args.layout {
            Layout::OnePort => replicante_fleet::Layout::OnePort,
            Layout::PortEach => replicante_fleet::Layout::PortEach,
        },
        ..FleetConfig::default()
    })
    .await?;
    introduce(&fleet)?;

    let mut changes = match (script, args.changes) {
        (Some(script), _) => Some(fleet.play(script)),
        (None, Pace(Some(mean))) => Some(fleet.start_changes(args.seed, mean)),
        (None, Pace(None)) => None,
    };
    let end = args.lasting.map(|span| tokio::time::Instant::now() + span);
    loop {
        tokio::select! {
            () = interrupts.next() => break,
            () = until(end) => break,
            applied = next(&mut changes) => match applied {
                Some(applied) => tell(applied)?,
                None => {
                    out::note("the script has ended; the fleet stays as it is, until Ctrl-C");
                    changes = None;
                }
            },
        }
    }
    fleet.shutdown().await;
    Ok(())
}

fn introduce(fleet: &Fleet) -> Result<(), CliError> {
    let (clusters, nodes) = fleet.with_world(|world| {
        let nodes: usize = world.clusters().values().map(|cluster| cluster.nodes.len()).sum();
        (world.clusters().len(), nodes)
    });
    out::line(format_args!(
        "{clusters} clusters of {nodes} nodes; discovery answers at {}",
        fleet.discovery_url()
    ))?;
    out::line(format_args!("what is true of them: curl {}/fleet", fleet.base_url()))?;
    let program = out::program();
    if fleet.base_url().ends_with(&format!(":{PORT}")) {
        out::line(format_args!("in another terminal: {program} up -f examples/discovery.yaml"))
    } else {
        let url = fleet.discovery_url();
        out::line(format_args!(
            "in another terminal: sed 's#http://.*/clusters#{url}#' examples/discovery.yaml | {program} up -f -"
        ))
    }
}

fn tell(applied: Result<replicante_fleet::Applied, FleetError>) -> Result<(), CliError> {
    let now = time(&Timestamp::now().rfc3339(), Times::Clock);
    match applied {
        Ok(applied) => out::line(format_args!("{now}  {applied}")),
        Err(error) => {
            out::note(format_args!("{now}  not applied: {error}"));
            Ok(())
        }
    }
}

fn read_script(path: &Path) -> Result<Script, CliError> {
    let text = std::fs::read_to_string(path).map_err(|error| CliError::file("reading", path, error))?;
    Script::from_json(&text).map_err(|source| CliError::Script { path: path.to_owned(), source })
}

/// The next change; never, when nothing changes.
pub async fn next(changes: &mut Option<Changes>) -> Option<Result<replicante_fleet::Applied, FleetError>> {
    match changes {
        Some(changes) => changes.next().await,
        None => std::future::pending().await,
    }
}
