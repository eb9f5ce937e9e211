//! One process of a function, as Lambda runs it.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use bytes::Bytes;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::NamedTempFile;
use tokio::process::{Child, Command};
use tokio::time::timeout;

use super::runtime_api::{RuntimeApi, Said};
use crate::system::Failure;

/// Lambda gives a process 10 s to ask for its first invocation. A machine under test may be busy.
const START: Duration = Duration::from_secs(60);

/// The deployed functions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Function {
    /// Queues the tasks of discoveries.
    DiscoveryScheduler,
    /// Queues the tasks of clusters.
    RefreshScheduler,
    /// Carries out the tasks of discoveries.
    DiscoveryWorker,
    /// Carries out the tasks of clusters.
    RefreshWorker,
}

impl Function {
    /// All of them.
    pub const ALL: [Function; 4] = [
        Function::DiscoveryScheduler,
        Function::RefreshScheduler,
        Function::DiscoveryWorker,
        Function::RefreshWorker,
    ];

    /// The name of its binary.
    pub fn name(self) -> &'static str {
        match self {
            Function::DiscoveryScheduler => "discovery-scheduler",
            Function::RefreshScheduler => "refresh-scheduler",
            Function::DiscoveryWorker => "discovery-worker",
            Function::RefreshWorker => "refresh-worker",
        }
    }
}

/// What a process is started from.
#[derive(Clone, Debug)]
pub struct Image {
    /// The function's name.
    pub function: String,
    /// The executable.
    pub path: PathBuf,
    /// What the template sets, and where the services are.
    pub environment: BTreeMap<String, String>,
}

/// A process and its Runtime API. The process is killed when this is dropped.
pub struct Sandbox {
    function: String,
    process: Child,
    api: RuntimeApi,
    read: File,
    /// From its start to its first question for an invocation.
    pub cold_start: Duration,
}

/// How an invocation ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// With the function's answer, as JSON.
    Answered(Bytes),
    /// The function said that it failed: type and message.
    Failed(String, String),
    /// The process ended by itself.
    Exited(String),
    /// It was killed at its deadline.
    TimedOut,
}

/// A process that did not ask for an invocation.
#[derive(Debug, thiserror::Error)]
#[error("{said:?}, {ended:?}: {log}")]
pub struct NotStarted {
    /// What it told the Runtime API: type and message.
    pub said: Option<(String, String)>,
    /// How it ended, where it did.
    pub ended: Option<String>,
    /// What it logged.
    pub log: String,
}

impl Sandbox {
    /// Starts a process and waits until it asks for an invocation.
    ///
    /// # Errors
    /// [`NotStarted`] when it does not.
    pub async fn start(image: &Image) -> Result<Self, Failure> {
        let api = RuntimeApi::start().await?;
        let log = NamedTempFile::new()?;
        let output = || log.as_file().try_clone().map(Stdio::from);
        let began = Instant::now();
        let process = Command::new(&image.path)
            .env_clear()
            .envs(lambda_environment(&image.function, &api.address.to_string()))
            .envs(&image.environment)
            .stdin(Stdio::null())
            .stdout(output()?)
            .stderr(output()?)
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| format!("{}: {error}", image.path.display()))?;
        let read = log.reopen()?;
        let function = image.function.clone();
        let mut sandbox = Sandbox { function, process, api, read, cold_start: Duration::ZERO };
        let ready = async {
            tokio::select! {
                biased;
                ready = sandbox.api.ready() => ready.map_err(Some),
                _ = sandbox.process.wait() => Err(None),
            }
        };
        let said = match timeout(START, ready).await {
            Ok(Ok(())) => {
                sandbox.cold_start = began.elapsed();
                return Ok(sandbox);
            }
            Ok(Err(said)) => said,
            Err(_) => None,
        };
        let ended = match timeout(START, sandbox.process.wait()).await {
            Ok(status) => Some(told(status?)),
            Err(_) => None,
        };
        let said = said.and_then(|said| match said {
            Said::Error(kind, message) => Some((kind, message)),
            Said::Response(_) => None,
        });
        Err(Box::new(NotStarted { said, ended, log: sandbox.logged()? }))
    }

    /// Hands it an invocation and waits for its end. At its deadline the process is killed.
    ///
    /// # Errors
    /// When nothing can be handed to it.
    pub async fn invoke(&mut self, payload: &Value, most: Duration) -> Result<Ended, Failure> {
        let answered = self.api.invoke(&self.function, payload, most).await?;
        let ended = timeout(most, async {
            tokio::select! {
                biased;
                said = answered => Ok(said),
                status = self.process.wait() => Err(status),
            }
        });
        Ok(match ended.await {
            Ok(Ok(Ok(Said::Response(body)))) => Ended::Answered(body),
            Ok(Ok(Ok(Said::Error(kind, message)))) => Ended::Failed(kind, message),
            Ok(Ok(Err(_))) => return Err("the Runtime API is gone".into()),
            Ok(Err(status)) => Ended::Exited(told(status?)),
            Err(_) => {
                self.process.kill().await?;
                Ended::TimedOut
            }
        })
    }

    /// What it logged since the last call, as it wrote it.
    ///
    /// # Errors
    /// When the log can't be read.
    pub fn logged(&mut self) -> Result<String, Failure> {
        let mut text = String::new();
        self.read.read_to_string(&mut text)?;
        Ok(text)
    }

    /// Its process id.
    ///
    /// # Errors
    /// When the process has ended.
    pub fn pid(&self) -> Result<u32, Failure> {
        Ok(self.process.id().ok_or("the process has ended")?)
    }

    /// What sends signals to it while an invocation is waited for.
    ///
    /// # Errors
    /// When the process has ended.
    pub fn signals(&self) -> Result<Signals, Failure> {
        let pid = i32::try_from(self.pid()?)?;
        Ok(Signals(Pid::from_raw(pid).ok_or("no process has the id 0")?))
    }
}

/// Sends signals to a process that its owner waits for.
#[derive(Clone, Copy, Debug)]
pub struct Signals(Pid);

impl Signals {
    /// Kills it: SIGKILL.
    ///
    /// # Errors
    /// When there is no such process.
    pub fn kill(self) -> Result<(), Failure> {
        Ok(kill_process(self.0, Signal::KILL)?)
    }

    /// Stops it where it is: SIGSTOP.
    ///
    /// # Errors
    /// When there is no such process.
    pub fn freeze(self) -> Result<(), Failure> {
        Ok(kill_process(self.0, Signal::STOP)?)
    }

    /// Lets it go on: SIGCONT.
    ///
    /// # Errors
    /// When there is no such process.
    pub fn thaw(self) -> Result<(), Failure> {
        Ok(kill_process(self.0, Signal::CONT)?)
    }

    /// How many threads it has.
    ///
    /// # Errors
    /// When there is no such process.
    pub fn threads(self) -> Result<usize, Failure> {
        Ok(std::fs::read_dir(format!("/proc/{}/task", self.0.as_raw_nonzero()))?.count())
    }
}

/// What Lambda itself gives to each process of a custom runtime. Source: the developer guide of Lambda, "Defined runtime
/// environment variables". The credentials are made up.
fn lambda_environment(function: &str, api: &str) -> BTreeMap<String, String> {
    let variables = [
        ("_HANDLER", "bootstrap"),
        ("AWS_ACCESS_KEY_ID", "ASIA0000000000000000"),
        ("AWS_SECRET_ACCESS_KEY", "secret"),
        ("AWS_SESSION_TOKEN", "token"),
        ("AWS_REGION", "us-east-1"),
        ("AWS_DEFAULT_REGION", "us-east-1"),
        ("AWS_LAMBDA_FUNCTION_NAME", function),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "1024"),
        ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
        ("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand"),
        ("AWS_LAMBDA_LOG_FORMAT", "JSON"),
        ("AWS_LAMBDA_LOG_LEVEL", "INFO"),
        ("AWS_LAMBDA_LOG_GROUP_NAME", "/aws/lambda/replicante"),
        ("AWS_LAMBDA_LOG_STREAM_NAME", "2026/01/01/[$LATEST]0"),
        ("AWS_LAMBDA_RUNTIME_API", api),
        ("LAMBDA_RUNTIME_DIR", "/var/runtime"),
        ("LAMBDA_TASK_ROOT", "/var/task"),
        ("LANG", "en_US.UTF-8"),
        ("PATH", "/usr/local/bin:/usr/bin/:/bin:/opt/bin"),
        ("TZ", ":UTC"),
    ];
    variables.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

fn told(status: ExitStatus) -> String {
    match status.signal() {
        Some(signal) => format!("signal {signal}"),
        None => format!("exit code {}", status.code().unwrap_or_default()),
    }
}
