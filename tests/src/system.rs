//! A whole system, driven step by step: no schedule fires by itself.
//!
//! The workers run in the process of the test, or, where the environment names their bootstraps, as Lambda runs them
//! (`bootstraps/`).

use std::collections::BTreeMap;
use std::future::Future;
use std::path::Path;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use aws_lambda_events::event::sqs::{SqsBatchResponse, SqsEvent};
use lambda_runtime::LambdaEvent;
use replicante_aws::{Clients, Endpoints, ObjectWrite, Stream, Table, Transport};
use replicante_discovery_worker::DiscoveryWorker;
use replicante_fleet::{Change, Fleet, FleetConfig, Kind, WorldConfig};
use replicante_local::{Local, LocalConfig, Runner, Stopped, task_event, task_payload, within};
use replicante_model::discovery::DiscoveryState;
use replicante_model::view::{ClusterState, ClusterView};
use replicante_model::{Kind as RecordKind, RecordName, Timestamp};
use replicante_protocol::head::Head;
use replicante_protocol::task::Task;
use replicante_refresh_worker::RefreshWorker;
use replicante_scheduler::Scheduler;
use replicante_worker::{Observer, TaskReport};

use crate::bootstraps::{self, Bootstraps, Deployed, Function};
use crate::endpoints::endpoints;
use crate::history::History;
use crate::metrics::Metrics;

/// Services, fleet and functions.
pub struct System {
    /// The services, and what was created on them.
    pub local: Local,
    /// The simulated fleet: empty at first.
    pub fleet: Fleet,
    /// The table.
    pub table: Table,
    /// The stream.
    pub stream: Stream,
    /// How long each invocation may last: 20 s unless said.
    pub time_left: Duration,
    workers: Workers,
    reports: Arc<Mutex<Vec<TaskReport>>>,
    metrics: Lines,
    _created: Option<Created>,
}

/// Lines of metrics, as the functions wrote them.
type Lines = Arc<Mutex<Vec<String>>>;

/// How the workers run.
enum Workers {
    InProcess(Box<(DiscoveryWorker, RefreshWorker)>),
    Deployed(Deployed),
}

/// A system that runs by itself.
pub enum Running {
    /// In this process.
    InProcess(Runner),
    /// As Lambda runs it.
    Deployed(Bootstraps),
}

impl Running {
    /// Stops: no new work begins, and what is in flight may finish within `grace`.
    ///
    /// # Errors
    /// What kept a part of it from running.
    pub async fn stop(self, grace: Duration) -> Result<Stopped, Failure> {
        match self {
            Running::InProcess(runner) => Ok(runner.stop(grace).await),
            Running::Deployed(bootstraps) => bootstraps.stop(grace).await,
        }
    }
}

/// Whatever keeps a test from going on.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

impl System {
    /// A system with an empty fleet, on the services that the environment names (`endpoints.rs` says how), else
    /// on embedded ones in memory.
    ///
    /// # Errors
    /// When a part does not start.
    pub async fn start() -> Result<Self, Failure> {
        Self::start_with(&[]).await
    }

    /// The same, with these settings, by their variables.
    ///
    /// # Errors
    /// When a part does not start.
    pub async fn start_with(settings: &[(&str, &str)]) -> Result<Self, Failure> {
        let overrides = settings.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        let config = LocalConfig { overrides, ..LocalConfig::default() };
        let Some(endpoints) = endpoints(&|name| std::env::var(name).ok())? else {
            return Self::new(Local::start(&config).await?, None).await;
        };
        let name = unique_name();
        let local = Local::on(&endpoints, &name, &config).await?;
        let queues = [local.settings.discovery_queue.clone(), local.settings.refresh_queue.clone()];
        Self::new(local, Some(Created { endpoints, name, queues })).await
    }

    /// A system with an empty fleet, on embedded services whatever the environment says, with its data in a
    /// folder or in memory: for what other emulators do not have, or not right, or too slowly.
    ///
    /// # Errors
    /// When a part does not start.
    pub async fn start_embedded(data: Option<&Path>) -> Result<Self, Failure> {
        let config = LocalConfig { data: data.map(Path::to_owned), ..LocalConfig::default() };
        Self::new(Local::start(&config).await?, None).await
    }

    /// The same, with workers in this process whatever the environment says: for what looks into them.
    ///
    /// # Errors
    /// When a part does not start.
    pub async fn start_in_process() -> Result<Self, Failure> {
        let mut system = Self::start().await?;
        system.run_in_process();
        Ok(system)
    }

    /// Runs the workers in this process from now on.
    pub fn run_in_process(&mut self) {
        self.workers = in_process(&self.local, &self.reports, &self.metrics);
    }

    /// A system with an empty fleet, on what was deployed to the services that the environment names, with the
    /// functions' environment as it was deployed, but for a tick of a second. Nothing is created, nothing removed.
    ///
    /// # Errors
    /// When the environment names no services, or a setting is missing.
    pub async fn start_deployed() -> Result<Self, Failure> {
        let endpoints = endpoints(&|name| std::env::var(name).ok())?.ok_or("no endpoints are named")?;
        let own = |name: &str| name.starts_with("REPLICANTE_") && !name.starts_with("REPLICANTE_TEST_");
        let mut environment: BTreeMap<String, String> =
            std::env::vars().filter(|(name, _)| own(name)).collect();
        environment.insert("REPLICANTE_TICK".into(), "1s".into());
        Self::new(Local::deployed(&endpoints, environment)?, None).await
    }

    async fn new(local: Local, created: Option<Created>) -> Result<Self, Failure> {
        let world = WorldConfig { clusters: 0, ..WorldConfig::default() };
        let fleet = Fleet::start(FleetConfig { world, ..FleetConfig::default() }).await?;
        let reports = Arc::new(Mutex::new(Vec::new()));
        let metrics = Lines::default();
        let workers = match bootstraps::folder()? {
            Some(folder) => Workers::Deployed(Deployed::new(&folder, bootstraps::environment(&local)?)),
            None => in_process(&local, &reports, &metrics),
        };
        Ok(System {
            table: Table::new(&local.clients, &local.settings.table),
            stream: Stream::new(&local.clients, &local.settings.stream),
            workers,
            metrics,
            local,
            fleet,
            time_left: Duration::from_secs(20),
            reports,
            _created: created,
        })
    }

    /// Clients of the same embedded services, whose calls `transport` carries.
    ///
    /// # Panics
    /// When the services are not embedded.
    #[expect(clippy::expect_used, reason = "a test on other services than it needs has failed")]
    pub fn clients_through(&self, transport: Arc<dyn Transport>) -> Clients {
        let environment = serde_json::to_value(&self.local.environment);
        let endpoints = environment.and_then(serde_json::from_value::<Endpoints>);
        Clients::through(&endpoints.expect("the services are embedded"), transport)
    }

    /// Starts the workers again, with the settings of `local` as they are now.
    ///
    /// # Panics
    /// When they are deployed, and no variables say these settings.
    #[expect(clippy::expect_used, reason = "a test with settings that no function can have has failed")]
    pub fn restart_workers(&mut self) {
        self.workers = match &self.workers {
            Workers::InProcess(_) => in_process(&self.local, &self.reports, &self.metrics),
            Workers::Deployed(deployed) => {
                let environment = bootstraps::environment(&self.local).expect("variables say the settings");
                Workers::Deployed(deployed.redeployed(environment))
            }
        };
    }

    /// The scheduler of a kind of record.
    pub fn scheduler(&self, kind: RecordKind) -> Scheduler {
        let (clients, settings) = (&self.local.clients, &self.local.settings);
        Scheduler::of(kind, clients, settings).measured(into(&self.metrics))
    }

    /// The deployed functions, where the workers are not in this process.
    pub fn deployed(&self) -> Option<&Deployed> {
        match &self.workers {
            Workers::InProcess(_) => None,
            Workers::Deployed(deployed) => Some(deployed),
        }
    }

    /// Lets schedules, queues and functions run by themselves.
    pub fn run(&self) -> Running {
        match &self.workers {
            Workers::InProcess(_) => Running::InProcess(Runner::start(&self.local, Arc::new(|_| {}))),
            Workers::Deployed(deployed) => {
                Running::Deployed(Bootstraps::start(&self.local, deployed, 4, self.time_left))
            }
        }
    }

    /// Adds a cluster to the fleet.
    ///
    /// # Errors
    /// When the change does not fit.
    pub fn add_cluster(&self, cluster: &str, kind: Kind, nodes: usize) -> Result<(), Failure> {
        self.fleet.apply(Change::AddCluster { cluster: cluster.into(), kind, nodes, shards: None })?;
        Ok(())
    }

    /// Applies objects, as the command line does.
    ///
    /// # Errors
    /// When they are refused.
    pub async fn apply(&self, yaml: &str) -> Result<(), Failure> {
        let objects = replicante_objects::parse(
            "test.yaml",
            yaml,
            Duration::from_secs(1),
            &replicante_sources::kinds(),
        )
        .map_err(|errors| errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))?;
        let writes: Vec<ObjectWrite> =
            objects.iter().map(|object| ObjectWrite::from(&object.value)).collect();
        self.table.apply(&writes, "test", Timestamp::now()).await?;
        Ok(())
    }

    /// Applies a discovery `fleet` of the fleet's own endpoint, with more lines of its `spec`.
    ///
    /// # Errors
    /// When it is refused.
    pub async fn apply_discovery(&self, more: &str) -> Result<(), Failure> {
        let yaml = format!(
            "apiVersion: replicante.io/v0\nkind: Discovery\nmetadata: {{ namespace: default, name: fleet }}\n\
             spec:\n  interval: 5s\n  refresh: {{ interval: 5s }}\n  source:\n    \
             http: {{ url: \"{}\", timeout: 2s }}\n{more}",
            self.fleet.discovery_url()
        );
        self.apply(&yaml).await
    }

    /// Runs one manual discovery task.
    pub async fn discover(&self) -> SqsBatchResponse {
        self.run_discovery(Task::manual(RecordName::discovery("default", "fleet"), "test")).await
    }

    /// Runs one discovery task of this kind.
    pub async fn run_discovery(&self, task: Task) -> SqsBatchResponse {
        self.work(Function::DiscoveryWorker, &[task]).await
    }

    /// Runs one manual refresh task.
    pub async fn refresh(&self, cluster: &str) -> SqsBatchResponse {
        self.run_refresh(Task::manual(RecordName::cluster("default", cluster), "test")).await
    }

    /// Runs one refresh task.
    pub async fn run_refresh(&self, task: Task) -> SqsBatchResponse {
        self.work(Function::RefreshWorker, &[task]).await
    }

    /// Runs several refresh tasks as one batch.
    pub async fn run_refreshes(&self, tasks: &[Task]) -> SqsBatchResponse {
        self.work(Function::RefreshWorker, tasks).await
    }

    #[expect(clippy::expect_used, reason = "a test whose function can't be invoked has failed")]
    async fn work(&self, function: Function, tasks: &[Task]) -> SqsBatchResponse {
        match &self.workers {
            Workers::InProcess(workers) => match function {
                Function::DiscoveryWorker => workers.0.handle(self.event(tasks)).await,
                _ => workers.1.handle(self.event(tasks)).await,
            },
            Workers::Deployed(deployed) => {
                let payload = task_payload(tasks).expect("tasks make a payload");
                deployed.batch(function, &payload, self.time_left).await.expect("the function is invoked")
            }
        }
    }

    /// Polls a future a number of times, then drops it as a kill would, when it is woken next. True when it ended before that.
    pub async fn killed_after<F: Future>(polls: usize, future: F) -> bool {
        Self::asleep_after(polls, pin!(future)).await.is_some()
    }

    /// Polls a future a number of times, then leaves it where it is when it is woken next, to be awaited later: mostly, what it
    /// sent last is answered by then. What it gave when it ended before that.
    pub async fn asleep_after<F: Future>(polls: usize, mut future: Pin<&mut F>) -> Option<F::Output> {
        let mut left = polls;
        std::future::poll_fn(|context| {
            if left == 0 {
                return Poll::Ready(None);
            }
            left -= 1;
            future.as_mut().poll(context).map(Some)
        })
        .await
    }

    /// Ends a record's lease, as time would.
    ///
    /// # Errors
    /// When the table can't be read or written.
    pub async fn expire_lease(&self, record: &RecordName) -> Result<(), Failure> {
        if let Some(head) = self.table.head(record).await? {
            self.table.forget_queued(&head).await?;
        }
        Ok(())
    }

    /// A record's head.
    ///
    /// # Errors
    /// When there is none, or it can't be read.
    pub async fn head(&self, record: &RecordName) -> Result<Head, Failure> {
        Ok(self.table.head(record).await?.ok_or_else(|| format!("{record} has no head"))?)
    }

    /// A cluster's stored state.
    ///
    /// # Errors
    /// When there is none, or it can't be read.
    pub async fn state(&self, cluster: &str) -> Result<ClusterState, Failure> {
        self.state_of(&RecordName::cluster("default", cluster)).await
    }

    /// A cluster's stored state, in any namespace.
    ///
    /// # Errors
    /// When there is none, or it can't be read.
    pub async fn state_of(&self, record: &RecordName) -> Result<ClusterState, Failure> {
        let (_, state) = self.table.look(record).await?.ok_or_else(|| format!("{record} has no head"))?;
        Ok(state.ok_or_else(|| format!("{record} has no state"))?)
    }

    /// A cluster's stored view.
    ///
    /// # Errors
    /// When there is none, or it can't be read.
    pub async fn view(&self, cluster: &str) -> Result<ClusterView, Failure> {
        Ok(self.state(cluster).await?.view.ok_or("the state has no view")?)
    }

    /// The discovery's stored state.
    ///
    /// # Errors
    /// When there is none, or it can't be read.
    pub async fn discovery_state(&self) -> Result<DiscoveryState, Failure> {
        let record = RecordName::discovery("default", "fleet");
        let (_, state) = self.table.look(&record).await?.ok_or("the discovery has no head")?;
        Ok(state.ok_or("the discovery has no state")?)
    }

    /// The whole stream, from the start.
    ///
    /// # Errors
    /// When it can't be read.
    pub async fn history(&self) -> Result<History, Failure> {
        History::read(&self.stream).await
    }

    /// Asserts the promise: the history has no gap and no invention, is complete, and folds to every stored view.
    ///
    /// # Errors
    /// Says what is broken.
    pub async fn check(&self) -> Result<crate::Checked, Failure> {
        let checked = self.history().await?.check()?;
        checked.compare(&self.table).await?;
        Ok(checked)
    }

    /// An SQS event as Lambda hands it over.
    pub fn event(&self, tasks: &[Task]) -> LambdaEvent<SqsEvent> {
        event(tasks, self.time_left)
    }

    /// The reports of all tasks since the last call.
    pub fn reports(&self) -> Vec<TaskReport> {
        match &self.workers {
            Workers::InProcess(_) => {
                self.reports.lock().map(|mut reports| std::mem::take(&mut *reports)).unwrap_or_default()
            }
            Workers::Deployed(deployed) => deployed.reports(),
        }
    }

    /// The metrics of all invocations since the last call, checked against the format.
    ///
    /// # Errors
    /// When a line is not as CloudWatch takes it.
    pub fn metrics(&self) -> Result<Vec<Metrics>, Failure> {
        let mut lines = self.metrics.lock().map(|mut lines| std::mem::take(&mut *lines)).unwrap_or_default();
        lines.extend(self.deployed().into_iter().flat_map(Deployed::metrics));
        Ok(lines.iter().map(|line| Metrics::read(line)).collect::<Result<_, _>>()?)
    }
}

/// Workers in this process, whose reports are kept.
fn in_process(local: &Local, reports: &Arc<Mutex<Vec<TaskReport>>>, metrics: &Lines) -> Workers {
    let reports = Arc::clone(reports);
    let observer: Observer = Arc::new(move |report: &TaskReport| {
        if let Ok(mut reports) = reports.lock() {
            reports.push(report.clone());
        }
    });
    let (clients, settings) = (&local.clients, &local.settings);
    Workers::InProcess(Box::new((
        DiscoveryWorker::new(clients, settings).observed(observer.clone()).measured(into(metrics)),
        RefreshWorker::new(clients, settings).observed(observer).measured(into(metrics)),
    )))
}

/// What a test created on services that outlive it. It is removed when this is dropped.
struct Created {
    endpoints: Endpoints,
    /// Of table and stream.
    name: String,
    /// URLs.
    queues: [String; 2],
}

impl Drop for Created {
    fn drop(&mut self) {
        // The test's own runtime can't be waited for here, nor can the connections that it drives.
        let removed = std::thread::scope(|scope| scope.spawn(|| self.remove()).join());
        if let Ok(Err(problem)) = removed {
            eprintln!("left behind: {problem}");
        }
    }
}

impl Created {
    fn remove(&self) -> Result<(), Failure> {
        tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
            let clients = Clients::local(&self.endpoints);
            clients.delete_table(&self.name).await?;
            clients.delete_stream(&self.name).await?;
            for queue in &self.queues {
                clients.delete_queue(queue).await?;
            }
            Ok(())
        })
    }
}

/// Puts lines of metrics there.
fn into(lines: &Lines) -> impl Fn(&str) + Send + Sync + 'static {
    let lines = Arc::clone(lines);
    move |line| {
        if let Ok(mut lines) = lines.lock() {
            lines.push(line.into());
        }
    }
}

/// A name that no other test has, of this run or another: tests share the services.
fn unique_name() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    format!("replicante-test-{}-{}-{count}", Timestamp::now().0, std::process::id())
}

/// An SQS event as Lambda hands it over.
#[expect(clippy::expect_used, reason = "a test that can't build its input has failed")]
fn event(tasks: &[Task], time_left: Duration) -> LambdaEvent<SqsEvent> {
    within(task_event(tasks).expect("tasks make an event"), time_left)
}
