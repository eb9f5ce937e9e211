//! A job: what a kind of record brings along.

use std::future::Future;

use replicante_aws::{AwsError, Clients, Table, Untold};
use replicante_metrics::Measures;
use replicante_model::event::{Cause, Sealed, Sealer};
use replicante_model::summary::Summary;
use replicante_model::{Kind, Timestamp};
use replicante_protocol::head::Head;
use replicante_protocol::task::Task;
use replicante_settings::Settings;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::Instant;

/// What a job may know of the task it works for.
#[derive(Debug)]
pub struct Context<'a> {
    /// The task.
    pub task: &'a Task,
    /// The head as the claim returned it.
    pub head: &'a Head,
    /// The `source` of the deployment's events.
    pub source: &'a str,
    /// The last committed sequence: events go on from it.
    pub sequence: u64,
    /// When the task began. Everything that it decides is decided for this time.
    pub now: Timestamp,
    /// When gathering must end, so that there is time left to store and publish.
    pub gather_until: Instant,
    /// The table, metered for this task.
    pub table: &'a Table,
}

impl Context<'_> {
    /// The changes of its object that the record has to tell.
    ///
    /// # Errors
    /// When the table can't be read.
    pub async fn untold(&self) -> Result<Untold, AwsError> {
        let untold = self.table.untold(self.head).await?;
        if untold.unreadable > 0 {
            let (record, unreadable) = (&self.head.record, untold.unreadable);
            tracing::warn!(%record, unreadable, "changes of its object can't be read: they are not told");
        }
        Ok(untold)
    }

    /// Whether the task is there to tell them, and to ask nobody: of a record that is disabled nothing else is scheduled.
    pub fn only_tells(&self, untold: &Untold) -> bool {
        !self.head.enabled && self.task.cause == Cause::Schedule && untold.told.is_some()
    }

    /// A sealer for the events of the task, observed at `now`.
    pub fn sealer(&self) -> Sealer<'_> {
        Sealer {
            source: self.source,
            record: &self.head.record,
            epoch: self.head.epoch,
            sequence: self.sequence,
            time: self.now,
            cause: self.task.cause,
            actor: self.task.actor.as_deref(),
            maintenance: None,
        }
    }
}

/// What came of a job's work.
#[derive(Debug)]
pub struct Worked<S> {
    /// The new state.
    pub state: S,
    /// Its events.
    pub events: Vec<Sealed>,
    /// What else its commit delivers, each one line of JSON.
    pub items: Vec<Vec<u8>>,
    /// Whether there is anything to store.
    pub store: bool,
    /// Whether more is to come than one commit takes.
    pub more: bool,
    /// Whether the record is over, and its last event published: it is to end.
    pub ended: bool,
    /// What a list shows.
    pub summary: Summary,
    /// The last change of its object that is told now. `None`: as before.
    pub told: Option<u64>,
    /// What it measured of its kind, for the metrics.
    pub measures: Measures,
}

/// Work that failed: nothing is committed, and the task is reported as failed.
#[derive(Debug, thiserror::Error)]
pub enum WorkError {
    /// A call to AWS failed.
    #[error(transparent)]
    Aws(#[from] AwsError),
    /// An event is larger than the stream takes.
    #[error(transparent)]
    TooLarge(#[from] replicante_model::event::TooLarge),
    /// A refresh can't be committed.
    #[error(transparent)]
    Refresh(#[from] replicante_model::refresh::RefreshError),
    /// Something that the record needs is not as expected.
    #[error("{0}")]
    Input(String),
}

/// What came of delivering one item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Delivered {
    /// It is delivered.
    Done,
    /// Another owns what it is about.
    Contested {
        /// What it is about.
        id: String,
        /// Who owns it.
        owner: String,
    },
    /// A later claim delivered it: someone else took over.
    TakenOver,
}

/// A kind of record: its state and its work.
pub trait Job: Sized + Send + Sync + 'static {
    /// The kind.
    const KIND: Kind;

    /// The record's state, as it is stored.
    type State: Default + Clone + Serialize + DeserializeOwned + Send + Sync;

    /// Prepares what all tasks of the kind share.
    fn new(clients: &Clients, settings: &Settings) -> Self;

    /// Fetches the source or polls the agents, and decides the new state and its events.
    ///
    /// # Errors
    /// Whatever keeps it from an answer that can be committed.
    fn work(
        &self,
        context: &Context<'_>,
        state: Self::State,
    ) -> impl Future<Output = Result<Worked<Self::State>, WorkError>> + Send;

    /// Takes note of items that were refused because others own what they are about: pure, no I/O.
    ///
    /// # Errors
    /// As [`Job::work`].
    fn contested(
        &self,
        context: &Context<'_>,
        state: Self::State,
        contested: &[(String, String)],
    ) -> Result<Worked<Self::State>, WorkError>;

    /// Delivers one item of a commit. It may be delivered again, by this claim or a later one.
    ///
    /// # Errors
    /// When the call failed: the whole delivery is then done again.
    fn deliver(
        &self,
        context: &Context<'_>,
        item: &[u8],
    ) -> impl Future<Output = Result<Delivered, AwsError>> + Send;
}
