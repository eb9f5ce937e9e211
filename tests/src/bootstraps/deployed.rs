//! The functions as they are deployed: as many processes of each as invocations run at the same time. One that has answered
//! is used again.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_lambda_events::event::sqs::{BatchItemFailure, SqsBatchResponse};
use replicante_protocol::task::Task;
use replicante_worker::TaskReport;
use serde_json::Value;

use super::reports::reports;
use super::sandbox::{Ended, Function, Image, Sandbox, Signals};
use crate::system::Failure;

/// The deployed functions. Cheap to clone.
#[derive(Clone)]
pub struct Deployed(Arc<Shared>);

struct Shared {
    folder: PathBuf,
    environment: BTreeMap<String, String>,
    warm: Mutex<Vec<(Function, Sandbox)>>,
    busy: Mutex<Invocations>,
    reports: Mutex<Vec<TaskReport>>,
    /// Lines of metrics.
    metrics: Mutex<Vec<String>>,
}

/// What has an invocation, each under its number.
#[derive(Default)]
struct Invocations {
    last: u64,
    under_way: BTreeMap<u64, (Function, Signals)>,
}

impl Deployed {
    /// The bootstraps of this folder, with these settings.
    pub fn new(folder: &Path, environment: BTreeMap<String, String>) -> Self {
        Deployed(Arc::new(Shared {
            folder: folder.to_owned(),
            environment,
            warm: Mutex::default(),
            busy: Mutex::default(),
            reports: Mutex::default(),
            metrics: Mutex::default(),
        }))
    }

    /// The same bootstraps with other settings: what is warm ends.
    #[must_use]
    pub fn redeployed(&self, environment: BTreeMap<String, String>) -> Self {
        Self::new(&self.0.folder, environment)
    }

    /// What a process of the function is started from.
    pub fn image(&self, function: Function) -> Image {
        Image {
            function: function.name().into(),
            path: self.0.folder.join(function.name()).join("bootstrap"),
            environment: self.0.environment.clone(),
        }
    }

    /// Hands an invocation to a warm process, or to a new one. Its process ends when this is dropped.
    ///
    /// # Errors
    /// When no process starts, or its log is not as it should be.
    pub async fn invoke(
        &self,
        function: Function,
        payload: &Value,
        most: Duration,
    ) -> Result<Ended, Failure> {
        let warm = {
            let mut warm = locked(&self.0.warm);
            warm.iter().position(|(known, _)| *known == function).map(|index| warm.swap_remove(index).1)
        };
        let mut sandbox = match warm {
            Some(sandbox) => sandbox,
            None => {
                let sandbox = Sandbox::start(&self.image(function)).await?;
                // CI looks for it in the logs of tests that would pass without a bootstrap too.
                println!("bootstrap: {}", function.name());
                sandbox
            }
        };
        let busy = Busy::new(&self.0, function, sandbox.signals()?);
        let ended = sandbox.invoke(payload, most).await?;
        drop(busy);
        let log = sandbox.logged()?;
        if matches!(ended, Ended::Answered(_) | Ended::Failed(..)) {
            // A process that was ended may have left half a line.
            locked(&self.0.reports).extend(reports(&log, &tasks(payload))?);
            let metrics = log.lines().filter(|line| line.contains("\"_aws\":"));
            locked(&self.0.metrics).extend(metrics.map(ToOwned::to_owned));
            locked(&self.0.warm).push((function, sandbox));
        } else {
            eprintln!("{}: {ended:?}: {log}", function.name());
        }
        Ok(ended)
    }

    /// The same for a batch of tasks: without an answer all of them have failed.
    ///
    /// # Errors
    /// As [`invoke`](Self::invoke), and when the answer is none.
    pub async fn batch(
        &self,
        function: Function,
        payload: &Value,
        most: Duration,
    ) -> Result<SqsBatchResponse, Failure> {
        if let Ended::Answered(body) = self.invoke(function, payload, most).await? {
            return Ok(serde_json::from_slice(&body)?);
        }
        let failed = |record: &Value| {
            let mut failure = BatchItemFailure::default();
            failure.item_identifier = record["messageId"].as_str().unwrap_or_default().into();
            failure
        };
        let mut response = SqsBatchResponse::default();
        response.batch_item_failures = records(payload).map(failed).collect();
        Ok(response)
    }

    /// The processes that have an invocation now.
    pub fn busy(&self) -> Vec<(Function, Signals)> {
        locked(&self.0.busy).under_way.values().copied().collect()
    }

    /// The reports of all tasks since the last call.
    pub fn reports(&self) -> Vec<TaskReport> {
        std::mem::take(&mut *locked(&self.0.reports))
    }

    /// The lines of metrics of all invocations since the last call.
    pub fn metrics(&self) -> Vec<String> {
        std::mem::take(&mut *locked(&self.0.metrics))
    }
}

/// One invocation under way, until it is dropped.
struct Busy<'a>(&'a Shared, u64);

impl<'a> Busy<'a> {
    fn new(shared: &'a Shared, function: Function, signals: Signals) -> Self {
        let mut busy = locked(&shared.busy);
        busy.last += 1;
        let number = busy.last;
        busy.under_way.insert(number, (function, signals));
        Busy(shared, number)
    }
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        locked(&self.0.busy).under_way.remove(&self.1);
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn records(payload: &Value) -> impl Iterator<Item = &Value> {
    payload["Records"].as_array().into_iter().flatten()
}

fn tasks(payload: &Value) -> Vec<Task> {
    records(payload).filter_map(|record| serde_json::from_str(record["body"].as_str()?).ok()).collect()
}
