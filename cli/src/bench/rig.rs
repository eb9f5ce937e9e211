//! The rig: everything in one process, and batches of tasks handed to the worker as Lambda hands them over.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use aws_lambda_events::event::sqs::SqsEvent;
use futures::stream::{self, StreamExt};
use lambda_runtime::LambdaEvent;
use replicante_aws::Table;
use replicante_discovery_worker::DiscoveryWorker;
use replicante_fleet::{Fleet, FleetConfig, WorldConfig};
use replicante_local::{Local, LocalConfig, task_event};
use replicante_model::RecordName;
use replicante_model::time::human;
use replicante_protocol::machine::Outcome;
use replicante_protocol::task::Task;
use replicante_refresh_worker::RefreshWorker;
use replicante_worker::TaskReport;

use crate::error::CliError;
use crate::files;

/// Messages of one batch.
const BATCH: usize = 10;
/// The schedulers' tick, and the refresh interval unless said: nothing runs by itself, but everything is due at each tick.
pub const TICK: Duration = Duration::from_secs(1);
/// Rounds of refreshes within which the first sight of a cluster must be over.
const WARM_UP: usize = 20;

/// Services, fleet and worker.
pub struct Rig {
    /// The services.
    pub local: Local,
    /// Tasks that refresh each cluster once, in batches.
    pub batches: Vec<Vec<Task>>,
    worker: Arc<RefreshWorker>,
    reports: Arc<Mutex<Vec<TaskReport>>>,
    /// The simulated fleet.
    pub fleet: Fleet,
}

/// What a rig runs.
#[derive(Clone, Debug)]
pub struct RigConfig {
    /// The fleet.
    pub world: WorldConfig,
    /// How often each cluster is refreshed.
    pub interval: Duration,
    /// More lines of the discovery's `spec`.
    pub spec: String,
    /// Settings on top of the local ones, by their environment variables.
    pub settings: BTreeMap<String, String>,
}

impl From<WorldConfig> for RigConfig {
    fn from(world: WorldConfig) -> Self {
        RigConfig { world, interval: TICK, spec: String::new(), settings: BTreeMap::new() }
    }
}

impl Rig {
    /// Starts everything, discovers the fleet, and refreshes each cluster until nothing changes any more.
    ///
    /// # Errors
    /// When something can't start, or a refresh fails.
    pub async fn start(config: impl Into<RigConfig>) -> Result<Self, CliError> {
        let RigConfig { world, interval, spec, settings } = config.into();
        let fleet = Fleet::start(FleetConfig { world, ..FleetConfig::default() }).await?;
        let local =
            Local::start(&LocalConfig { tick: TICK, overrides: settings, ..LocalConfig::default() }).await?;
        let table = Table::new(&local.clients, &local.settings.table);
        let object = format!(
            "apiVersion: replicante.io/v0\nkind: Discovery\nmetadata: {{ name: bench }}\nspec:\n  interval: 1h\n  \
             source: {{ http: {{ url: \"{}\" }} }}\n  refresh: {{ interval: {} }}\n{spec}",
            fleet.discovery_url(),
            human(interval),
        );
        files::apply(&table, &files::parse_text("bench", &object, TICK)?, "bench", false).await?;
        let discovery = DiscoveryWorker::new(&local.clients, &local.settings);
        let run = Task::manual(RecordName::discovery("default", "bench"), "bench");
        let response = discovery.handle(invocation(&[run])?).await;
        if !response.batch_item_failures.is_empty() {
            return Err(CliError::Failed("the discovery of the simulated fleet failed".into()));
        }
        let clusters: Vec<String> = fleet.with_world(|world| world.clusters().keys().cloned().collect());
        let tasks: Vec<Task> = clusters
            .into_iter()
            .map(|id| Task::manual(RecordName::cluster("default", id), "bench"))
            .collect();
        let reports: Arc<Mutex<Vec<TaskReport>>> = Arc::default();
        let observed = Arc::clone(&reports);
        let worker = RefreshWorker::new(&local.clients, &local.settings)
            .observed(Arc::new(move |report: &TaskReport| lock(&observed).push(report.clone())));
        let batches = tasks.chunks(BATCH).map(<[Task]>::to_vec).collect();
        let rig = Rig { local, batches, worker: Arc::new(worker), reports, fleet };
        rig.warm_up().await?;
        Ok(rig)
    }

    async fn warm_up(&self) -> Result<(), CliError> {
        for _ in 0..WARM_UP {
            for batch in &self.batches {
                self.handle(batch).await?;
            }
            let reports = self.take()?;
            if reports.iter().all(|report| report.outcome == Outcome::Unchanged) {
                return Ok(());
            }
        }
        Err(CliError::Failed(format!("the fleet still changes after {WARM_UP} refreshes of each cluster")))
    }

    /// One invocation of the worker.
    ///
    /// # Errors
    /// When the payload is no event: a bug.
    pub async fn handle(&self, tasks: &[Task]) -> Result<(), CliError> {
        self.worker.handle(invocation(tasks)?).await;
        Ok(())
    }

    /// Invocations for so long, `in_flight` of them at once; a batch comes again when it is done and all others had
    /// their turn. Returns the reports, and how long it took until the last was done.
    ///
    /// # Errors
    /// When a refresh failed.
    pub async fn drive(
        &self,
        batches: &[Vec<Task>],
        in_flight: usize,
        span: Duration,
    ) -> Result<(Vec<TaskReport>, Duration), CliError> {
        let began = Instant::now();
        let turns = stream::iter(batches.iter().cycle().take_while(|_| began.elapsed() < span));
        // Begun in order, and never more at once than there are: no cluster is in two batches at once. Each is a task
        // of its own, as invocations are.
        let in_flight = in_flight.min(batches.len()).max(1);
        let mut invocations = turns
            .map(|batch| {
                let worker = Arc::clone(&self.worker);
                let event = invocation(batch);
                async move {
                    let event = event?;
                    let running = tokio::spawn(async move { worker.handle(event).await });
                    running.await.map_err(|error| CliError::Failed(format!("an invocation failed: {error}")))
                }
            })
            .buffered(in_flight);
        while let Some(answer) = invocations.next().await {
            answer?;
        }
        let took = began.elapsed();
        Ok((self.take()?, took))
    }

    /// The reports since the last call.
    fn take(&self) -> Result<Vec<TaskReport>, CliError> {
        let reports = std::mem::take(&mut *lock(&self.reports));
        let done = |outcome| matches!(outcome, Outcome::Unchanged | Outcome::Changed);
        match reports.iter().find(|report| !done(report.outcome)) {
            None => Ok(reports),
            Some(report) => Err(CliError::Failed(format!(
                "a refresh of {} ended as {}: {}",
                report.task.record,
                report.outcome.as_str(),
                report.error.as_deref().unwrap_or("no reason was given")
            ))),
        }
    }
}

fn lock(reports: &Mutex<Vec<TaskReport>>) -> std::sync::MutexGuard<'_, Vec<TaskReport>> {
    // Only pushes happen under the lock: a panic elsewhere leaves it sound.
    reports.lock().unwrap_or_else(PoisonError::into_inner)
}

/// An invocation with a batch of tasks, as Lambda hands it over.
fn invocation(tasks: &[Task]) -> Result<LambdaEvent<SqsEvent>, CliError> {
    task_event(tasks).map_err(|error| CliError::Failed(format!("building an SQS event: {error}")))
}
