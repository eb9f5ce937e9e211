//! A function in a process of its own, so that its memory is its own: `replicante bench apart`, started by the
//! measurements.

use std::collections::BTreeMap;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use clap::Subcommand;
use replicante_aws::Clients;
use replicante_local::{Local, scheduled, task_event, within};
use replicante_model::RecordName;
use replicante_protocol::machine::Outcome;
use replicante_protocol::task::Task;
use replicante_refresh_scheduler::refresh_scheduler;
use replicante_refresh_worker::RefreshWorker;
use replicante_settings::Settings;
use replicante_worker::TaskReport;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::process::Command;

use crate::error::CliError;
use crate::out;

/// Invocations within which a cluster must have come to rest.
const MOST: usize = 40;

/// What runs apart.
#[derive(Debug, Subcommand)]
pub enum Apart {
    /// The refresh worker, invoked for one cluster until nothing changes any more
    Worker {
        /// The cluster
        cluster: String,
        /// How long an invocation may last, in seconds
        seconds: u64,
    },
    /// One pass of the refresh scheduler
    Scheduler,
}

/// What a worker did until its cluster came to rest.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Rest {
    /// Invocations until then.
    pub invocations: usize,
    /// Those whose task failed: its events were not all published in time, and it came again.
    pub failed: usize,
    /// Commits.
    pub commits: usize,
    /// Events.
    pub events: u64,
    /// Seconds until then.
    pub seconds: f64,
    /// Seconds of the refresh that found nothing changed.
    pub unchanged: f64,
    /// The most memory that the process had, in MiB.
    pub peak: f64,
}

/// What a pass did.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct PassDone {
    /// Heads that it read.
    pub records: u64,
    /// Tasks that it sent.
    pub queued: u64,
    /// Read units.
    pub read_units: f64,
    /// Write units.
    pub write_units: f64,
    /// Seconds.
    pub seconds: f64,
    /// The most memory that the process had, in MiB.
    pub peak: f64,
}

/// Settings for invocations of 60 s: the local ones are for shorter ones.
pub fn times() -> BTreeMap<String, String> {
    let times = [
        ("REPLICANTE_LEASE", "90s"),
        ("REPLICANTE_VISIBILITY_TIMEOUT", "180s"),
        ("REPLICANTE_DEADLINE_MARGIN", "10s"),
    ];
    times.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// Starts a function apart, against these services, and waits for what it says.
///
/// # Errors
/// When it can't be started, or fails.
pub async fn start<T: DeserializeOwned>(local: &Local, what: &[&str]) -> Result<T, CliError> {
    let failed = |problem: String| CliError::Failed(format!("bench apart {}: {problem}", what.join(" ")));
    let program = std::env::current_exe().map_err(|error| failed(error.to_string()))?;
    let output = Command::new(program)
        .args(["bench", "apart"])
        .args(what)
        .envs(&local.environment)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .kill_on_drop(true)
        .output()
        .await
        .map_err(|error| failed(error.to_string()))?;
    if !output.status.success() {
        return Err(failed(output.status.to_string()));
    }
    serde_json::from_slice(&output.stdout).map_err(|error| failed(error.to_string()))
}

/// Runs a function here, and prints what it did.
///
/// # Errors
/// When it fails.
pub async fn run(what: &Apart) -> Result<(), CliError> {
    let mut settings = Settings::from_env().map_err(|error| CliError::Failed(error.to_string()))?;
    settings.addresses = settings.addresses.with_loopback();
    let clients = Clients::of_function(|name| std::env::var(name).ok())?;
    match what {
        Apart::Worker { cluster, seconds } => {
            let time = Duration::from_secs(*seconds);
            out::json(&worker(&clients, &settings, cluster, time).await?)
        }
        Apart::Scheduler => out::json(&scheduler(&clients, &settings).await?),
    }
}

async fn worker(
    clients: &Clients,
    settings: &Settings,
    cluster: &str,
    time: Duration,
) -> Result<Rest, CliError> {
    let reports: Arc<Mutex<Vec<TaskReport>>> = Arc::default();
    let observed = Arc::clone(&reports);
    let worker = RefreshWorker::new(clients, settings).observed(Arc::new(move |report: &TaskReport| {
        observed.lock().unwrap_or_else(PoisonError::into_inner).push(report.clone());
    }));
    let task = Task::manual(RecordName::cluster("default", cluster), "bench");
    let mut rest = Rest::default();
    let began = Instant::now();
    while rest.invocations < MOST {
        rest.seconds = began.elapsed().as_secs_f64();
        rest.invocations += 1;
        let event = task_event(std::slice::from_ref(&task))
            .map_err(|error| CliError::Failed(format!("building an SQS event: {error}")))?;
        let response = worker.handle(within(event, time)).await;
        let reports = std::mem::take(&mut *reports.lock().unwrap_or_else(PoisonError::into_inner));
        rest.failed += response.batch_item_failures.len();
        rest.commits += reports.iter().filter(|report| report.events > 0).count();
        rest.events += reports.iter().map(|report| report.events).sum::<u64>();
        for report in reports.iter().filter(|report| report.outcome == Outcome::Failed) {
            out::note(format_args!("  failed: {}", report.error.as_deref().unwrap_or("no reason was given")));
        }
        if let [report] = reports.as_slice()
            && report.outcome == Outcome::Unchanged
        {
            rest.unchanged = report.duration.as_secs_f64();
            rest.peak = peak();
            return Ok(rest);
        }
    }
    Err(CliError::Failed(format!("{cluster} still changes after {MOST} invocations")))
}

async fn scheduler(clients: &Clients, settings: &Settings) -> Result<PassDone, CliError> {
    let scheduler = refresh_scheduler(clients, settings);
    let began = Instant::now();
    let pass = scheduler
        .handle(within(scheduled("bench"), Duration::from_secs(600)))
        .await
        .map_err(|error| CliError::Failed(format!("a pass of the scheduler failed: {error}")))?;
    Ok(PassDone {
        records: pass.records,
        queued: pass.queued,
        read_units: pass.cost.read_units,
        write_units: pass.cost.write_units,
        seconds: began.elapsed().as_secs_f64(),
        peak: peak(),
    })
}

/// The most memory that this process had so far, in MiB: `VmHWM` of Linux; zero where nothing tells.
fn peak() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<f64>().ok());
    kib.unwrap_or(0.0) / 1024.0
}
