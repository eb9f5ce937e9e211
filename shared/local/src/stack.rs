//! The local stack: what the template creates on AWS, on the embedded services or on others.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

use replicante_aws::{Clients, Endpoints, Table};
use replicante_model::name::SPREAD_SHARDS;
use replicante_model::time::human;
use replicante_model::{Kind, Timestamp};
use replicante_settings::Settings;

use crate::archive::Archive;
use crate::error::LocalError;
use crate::services::Services;
use crate::stream::{Gate, LocalStream};
use crate::throttle::Throttle;

/// The name of what is created on the embedded services.
const NAME: &str = "replicante";
/// Shards of the local stream.
const STREAM_SHARDS: i32 = 2;

/// How the local system is set.
#[derive(Clone, Debug)]
pub struct LocalConfig {
    /// The folder for the table and the archive. `None`: everything is in memory.
    pub data: Option<PathBuf>,
    /// How often the schedulers run, and the shortest interval.
    pub tick: Duration,
    /// How long the history is kept.
    pub retention: Duration,
    /// Whether the stream refuses what a shard on AWS would: more than 1,000 records or 1 MiB a second.
    pub stream_limits: bool,
    /// Settings on top of the local defaults, by their environment variables.
    pub overrides: BTreeMap<String, String>,
}

impl Default for LocalConfig {
    fn default() -> Self {
        LocalConfig {
            data: None,
            tick: Duration::from_secs(1),
            retention: Duration::from_secs(30 * 24 * 3600),
            stream_limits: false,
            overrides: BTreeMap::new(),
        }
    }
}

/// The local system: services, and everything that the functions expect to find.
pub struct Local {
    /// Settings of the functions.
    pub settings: Settings,
    /// Clients of the services.
    pub clients: Clients,
    /// The same settings and the endpoints, as environment variables.
    pub environment: BTreeMap<String, String>,
    /// Events that were put back from the archive.
    pub replayed: usize,
    /// Records whose queued task was forgotten with the queues.
    pub requeued: usize,
    _services: Option<Services>,
    _lock: Option<FolderLock>,
}

impl Local {
    /// Starts the services and creates what is not there yet. What an earlier process had queued is forgotten:
    /// its queues were in memory.
    ///
    /// # Errors
    /// [`LocalError`] when the data folder is in use or damaged, a service can't start, or a setting is wrong.
    pub async fn start(config: &LocalConfig) -> Result<Self, LocalError> {
        let lock = config.data.as_deref().map(lock).transpose()?;
        let mut history = Vec::new();
        let throttle = config.stream_limits.then(Throttle::default);
        let mut gate = Gate { throttle, archive: None };
        if let Some(folder) = &config.data {
            let mut opened = Archive::open(&folder.join("stream.events"))?;
            history = opened.load(Timestamp::now(), config.retention)?;
            gate.archive = Some(opened);
        }
        let database = config.data.as_ref().map(|folder| folder.join("table.sqlite"));
        let services = Services::start(database.as_deref(), gate, config.retention).await?;
        let local = Self::on(&services.endpoints, NAME, config).await?;
        let replayed = history.len();
        LocalStream::replay(&services.kinesis, NAME, history).await?;
        let requeued = forget_queued(&Table::new(&local.clients, NAME)).await?;
        let local = Local { replayed, requeued, _services: Some(services), _lock: lock, ..local };
        if let Some(folder) = &config.data {
            local.write_environment(folder)?;
        }
        Ok(local)
    }

    /// Creates what is not there yet on services that run already: table and stream of this name, queues whose
    /// names begin with it. The data folder of the settings is not looked at.
    ///
    /// # Errors
    /// [`LocalError`] when a service refuses it, or a setting is wrong.
    pub async fn on(endpoints: &Endpoints, name: &str, config: &LocalConfig) -> Result<Self, LocalError> {
        let clients = Clients::local(endpoints);
        clients.create_table(name).await?;
        clients.create_stream(name, STREAM_SHARDS).await?;

        let mut environment = local_settings(config, name);
        environment.extend(config.overrides.clone());
        let visibility = environment.get("REPLICANTE_VISIBILITY_TIMEOUT").cloned().unwrap_or_default();
        let max_receive = environment.get("REPLICANTE_MAX_RECEIVE_COUNT").cloned().unwrap_or_default();
        for (work, variable) in
            [("discovery", "REPLICANTE_DISCOVERY_QUEUE_URL"), ("refresh", "REPLICANTE_REFRESH_QUEUE_URL")]
        {
            let seconds = replicante_model::time::parse_human(&visibility).unwrap_or(Duration::from_secs(30));
            let queue = format!("{name}-{work}");
            let url = clients.create_queue(&queue, seconds, max_receive.parse().unwrap_or(5)).await?;
            environment.insert(variable.into(), url);
        }
        Self::deployed(endpoints, environment)
    }

    /// What stands already on services that run already: `environment` is that of the functions, and names table,
    /// stream and queues. Nothing is created, and whether it is there is not asked.
    ///
    /// # Errors
    /// [`LocalError`] when a setting is missing or wrong.
    pub fn deployed(
        endpoints: &Endpoints,
        mut environment: BTreeMap<String, String>,
    ) -> Result<Self, LocalError> {
        let mut settings = Settings::read(&|name| environment.get(name).cloned())?;
        settings.addresses = settings.addresses.with_loopback();
        environment.extend(endpoint_variables(endpoints));
        let clients = Clients::local(endpoints);
        Ok(Local { settings, clients, environment, replayed: 0, requeued: 0, _services: None, _lock: None })
    }

    /// Writes the endpoints and settings into the data folder: `environment.json` for the command line, and
    /// `environment.sh` to be sourced by a shell.
    fn write_environment(&self, folder: &Path) -> Result<(), LocalError> {
        let json = serde_json::to_string_pretty(&self.environment).unwrap_or_default();
        let shell: String =
            self.environment.iter().map(|(name, value)| format!("export {name}='{value}'\n")).collect();
        for (name, text) in [("environment.json", json), ("environment.sh", shell)] {
            let path = folder.join(name);
            std::fs::write(&path, text).map_err(|source| LocalError::File {
                action: "writing",
                path,
                source,
            })?;
        }
        Ok(())
    }
}

/// A folder that is this process's until it is dropped.
struct FolderLock(File);

impl Drop for FolderLock {
    /// Said, and not left to the end of the file: a program that was just started from this process has a copy of it for a
    /// moment, and the lock would last as long.
    fn drop(&mut self) {
        let _ = self.0.unlock();
    }
}

/// Takes the folder for this process, creating it when it is absent.
fn lock(folder: &Path) -> Result<FolderLock, LocalError> {
    let failed = |action, path: &Path, source| LocalError::File { action, path: path.to_owned(), source };
    std::fs::create_dir_all(folder).map_err(|error| failed("creating", folder, error))?;
    let path = folder.join("lock");
    let file = File::create(&path).map_err(|error| failed("creating", &path, error))?;
    match file.try_lock() {
        Ok(()) => Ok(FolderLock(file)),
        Err(std::fs::TryLockError::WouldBlock) => Err(LocalError::Locked(folder.to_owned())),
        Err(std::fs::TryLockError::Error(error)) => Err(failed("locking", &path, error)),
    }
}

/// The settings of a local run: short intervals, short leases.
fn local_settings(config: &LocalConfig, name: &str) -> BTreeMap<String, String> {
    let settings = [
        ("REPLICANTE_DEPLOYMENT", "local".to_owned()),
        ("REPLICANTE_TABLE", name.to_owned()),
        ("REPLICANTE_STREAM", name.to_owned()),
        ("REPLICANTE_TICK", human(config.tick)),
        ("REPLICANTE_LEASE", "25s".to_owned()),
        ("REPLICANTE_VISIBILITY_TIMEOUT", "30s".to_owned()),
        ("REPLICANTE_MAX_RECEIVE_COUNT", "5".to_owned()),
        ("REPLICANTE_DEADLINE_MARGIN", "2s".to_owned()),
        ("REPLICANTE_STREAM_RETENTION", human(config.retention)),
    ];
    settings.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn endpoint_variables(endpoints: &Endpoints) -> BTreeMap<String, String> {
    let variables = [
        ("AWS_ENDPOINT_URL_DYNAMODB", endpoints.dynamodb.as_str()),
        ("AWS_ENDPOINT_URL_SQS", &endpoints.sqs),
        ("AWS_ENDPOINT_URL_KINESIS", &endpoints.kinesis),
        ("AWS_REGION", "us-east-1"),
        ("AWS_ACCESS_KEY_ID", "local"),
        ("AWS_SECRET_ACCESS_KEY", "local"),
        ("AWS_EC2_METADATA_DISABLED", "true"),
    ];
    variables.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// Forgets what an earlier process had queued, and the leases that its workers held: both ended with it.
async fn forget_queued(table: &Table) -> Result<usize, LocalError> {
    let mut forgotten = 0;
    for kind in [Kind::Discovery, Kind::Cluster] {
        for shard in 0..SPREAD_SHARDS {
            for head in table.heads(kind, shard).await?.heads {
                if head.queued_due > head.done_due || head.lease_until > Timestamp::ZERO {
                    table.forget_queued(&head).await?;
                    forgotten += 1;
                }
            }
        }
    }
    Ok(forgotten)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustack_kinesis_model::input::DescribeStreamSummaryInput;

    #[tokio::test]
    async fn the_stream_keeps_its_records_as_long_as_the_history_is_kept() {
        for (retention, hours) in
            [(Duration::from_secs(30 * 24 * 3600), 720), (Duration::from_secs(86_401), 25)]
        {
            let local = Local::start(&LocalConfig { retention, ..LocalConfig::default() }).await.unwrap();
            let input = DescribeStreamSummaryInput { stream_name: Some(NAME.into()), ..Default::default() };
            let output = local._services.as_ref().unwrap().kinesis.describe_stream_summary(input).unwrap();
            assert_eq!(output.stream_description_summary.retention_period_hours, hours);
        }
    }
    #[test]
    fn a_folder_is_free_once_it_is_dropped_although_a_child_has_the_file_open() {
        let folder = tempfile::tempdir().unwrap();
        let first = lock(folder.path()).unwrap();
        // As a process that was forked and has not started its program yet.
        let _copy = first.0.try_clone().unwrap();
        assert!(matches!(lock(folder.path()), Err(LocalError::Locked(_))));
        drop(first);
        assert!(lock(folder.path()).is_ok());
    }
}
