//! A whole system, driven step by step: no schedule fires by itself.

use std::future::Future;
use std::path::Path;
use std::pin::pin;
use std::task::Poll;
use std::time::{Duration, SystemTime};

use aws_lambda_events::event::sqs::{SqsBatchResponse, SqsEvent};
use lambda_runtime::{Context, LambdaEvent};
use replicante_aws::{ObjectWrite, Start, Stream, Table};
use replicante_discovery_worker::DiscoveryWorker;
use replicante_fleet::{Change, Fleet, FleetConfig, Kind, WorldConfig};
use replicante_local::{Local, LocalConfig};
use replicante_model::discovery::DiscoveryState;
use replicante_model::view::{ClusterState, ClusterView};
use replicante_model::{RecordName, Timestamp};
use replicante_protocol::head::Head;
use replicante_protocol::task::Task;
use replicante_refresh_worker::RefreshWorker;
use replicante_worker::TaskReport;
use serde_json::json;

use crate::history::History;

/// Services, fleet and functions.
pub struct System {
    /// The embedded services.
    pub local: Local,
    /// The simulated fleet: empty at first.
    pub fleet: Fleet,
    /// The table.
    pub table: Table,
    /// The stream.
    pub stream: Stream,
    /// How long each invocation may last: 20 s unless said.
    pub time_left: Duration,
    discovery: DiscoveryWorker,
    refresh: RefreshWorker,
    reports: std::sync::Arc<std::sync::Mutex<Vec<TaskReport>>>,
}

type Failure = Box<dyn std::error::Error + Send + Sync>;

impl System {
    /// A system in memory with an empty fleet.
    ///
    /// # Errors
    /// When a part does not start.
    pub async fn start() -> Result<Self, Failure> {
        Self::start_on(None, FleetConfig::default()).await
    }

    /// A system with its data in a folder, and a fleet that is set up so; the fleet starts empty.
    ///
    /// # Errors
    /// When a part does not start.
    pub async fn start_on(data: Option<&Path>, mut fleet: FleetConfig) -> Result<Self, Failure> {
        fleet.world = WorldConfig { clusters: 0, ..fleet.world };
        let fleet = Fleet::start(fleet).await?;
        let local =
            Local::start(&LocalConfig { data: data.map(Path::to_owned), ..LocalConfig::default() }).await?;
        let reports = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
        let observer = {
            let reports = std::sync::Arc::clone(&reports);
            std::sync::Arc::new(move |report: &TaskReport| {
                if let Ok(mut reports) = reports.lock() {
                    reports.push(report.clone());
                }
            })
        };
        Ok(System {
            table: Table::new(&local.clients, &local.settings.table),
            stream: Stream::new(&local.clients, &local.settings.stream),
            discovery: DiscoveryWorker::new(&local.clients, &local.settings).observed(observer.clone()),
            refresh: RefreshWorker::new(&local.clients, &local.settings).observed(observer),
            local,
            fleet,
            time_left: Duration::from_secs(20),
            reports,
        })
    }

    /// Starts the workers again, with the settings of `local` as they are now. Their tasks are not reported.
    pub fn restart_workers(&mut self) {
        let (clients, settings) = (&self.local.clients, &self.local.settings);
        self.discovery = DiscoveryWorker::new(clients, settings);
        self.refresh = RefreshWorker::new(clients, settings);
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
        let objects = replicante_objects::parse("test.yaml", yaml, Duration::from_secs(1))
            .map_err(|errors| errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))?;
        let writes: Vec<ObjectWrite> =
            objects.iter().map(|object| ObjectWrite::from(&object.value)).collect();
        self.table.apply(&writes, Timestamp::now()).await?;
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
        self.discovery
            .handle(self.event(&[Task::manual(RecordName::discovery("default", "fleet"), "test")]))
            .await
    }

    /// Runs one discovery task of this kind.
    pub async fn run_discovery(&self, task: Task) -> SqsBatchResponse {
        self.discovery.handle(self.event(&[task])).await
    }

    /// Runs one manual refresh task.
    pub async fn refresh(&self, cluster: &str) -> SqsBatchResponse {
        self.run_refresh(Task::manual(RecordName::cluster("default", cluster), "test")).await
    }

    /// Runs one refresh task.
    pub async fn run_refresh(&self, task: Task) -> SqsBatchResponse {
        self.refresh.handle(self.event(&[task])).await
    }

    /// Runs several refresh tasks as one batch.
    pub async fn run_refreshes(&self, tasks: &[Task]) -> SqsBatchResponse {
        self.refresh.handle(self.event(tasks)).await
    }

    /// Polls a future a number of times, then drops it as a kill would. True when it ended before that.
    pub async fn killed_after<F: Future>(polls: usize, future: F) -> bool {
        let mut future = pin!(future);
        let mut left = polls;
        std::future::poll_fn(|context| {
            if left == 0 {
                return Poll::Ready(false);
            }
            left -= 1;
            match future.as_mut().poll(context) {
                Poll::Ready(_) => Poll::Ready(true),
                Poll::Pending => Poll::Pending,
            }
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
        let mut history = History::default();
        for mut shard in self.stream.shards(Start::Oldest).await? {
            loop {
                let (records, at_end) = shard.next_page().await?;
                history.records.extend(records.into_iter().map(|record| (record.key, record.data)));
                if at_end {
                    break;
                }
            }
        }
        Ok(history)
    }

    /// Asserts the promise: the history has no gap and no invention, and folds to every stored view.
    ///
    /// # Errors
    /// Says what is broken.
    pub async fn check(&self) -> Result<crate::Checked, Failure> {
        let checked = self.history().await?.check()?;
        for (key, folded) in &checked.views {
            let record = RecordName::parse_key(key)?;
            let stored = self.state_of(&record).await?.view.ok_or("the state has no view")?;
            if stored != *folded {
                return Err(
                    format!("{key}: the stream folds to\n{folded:#?}\nand stored is\n{stored:#?}").into()
                );
            }
        }
        Ok(checked)
    }

    /// An SQS event as Lambda hands it over.
    fn event(&self, tasks: &[Task]) -> LambdaEvent<SqsEvent> {
        event(tasks, self.time_left)
    }

    /// The reports of all tasks since the last call.
    pub fn reports(&self) -> Vec<TaskReport> {
        self.reports.lock().map(|mut reports| std::mem::take(&mut *reports)).unwrap_or_default()
    }
}

fn event(tasks: &[Task], time_left: Duration) -> LambdaEvent<SqsEvent> {
    let records: Vec<_> = tasks
        .iter()
        .enumerate()
        .map(|(index, task)| {
            json!({
                "messageId": format!("m{index}"),
                "receiptHandle": format!("r{index}"),
                "body": serde_json::to_string(task).unwrap_or_default(),
                "attributes": {},
                "messageAttributes": {},
            })
        })
        .collect();
    let event = serde_json::from_value(json!({ "Records": records })).unwrap_or_default();
    let mut context = Context::default();
    let deadline = SystemTime::now() + time_left;
    context.deadline = deadline
        .duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(0));
    LambdaEvent::new(event, context)
}
