//! Raising: each record is claimed, what it owes goes out, and its new epoch begins in one conditional write.
//!
//! A crash at any point leaves records that were raised and records that were not. The next time goes on with those: a
//! record whose epoch is high enough is left alone, and everything else can be done twice.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures::stream::{self, StreamExt};
use replicante_aws::{AwsError, ClaimError, FenceError, LoadError, Restart, RestoreMark, Stream, Table};
use replicante_model::change::Change;
use replicante_model::discovery::DiscoveryState;
use replicante_model::event::{Cause, Sealer};
use replicante_model::restart::restart;
use replicante_model::view::{ClusterState, Snapshots};
use replicante_model::{Kind, RecordName, Timestamp};
use replicante_protocol::head::Head;
use replicante_protocol::machine::Release;
use replicante_protocol::slot::{Body, Outbox, Part, Slot, decode_state, encode_state};
use replicante_protocol::task::Task;
use serde::de::DeserializeOwned;
use tokio::time::{Instant, sleep};

use crate::error::CliError;
use crate::restore::plan::Plan;
use crate::restore::survey::HOLDER;
use crate::restore::told::Told;
use crate::view::text::list;

/// Records that are worked on at once.
const AT_ONCE: usize = 16;
/// How long a record is held at most, and how long publishing what it owes may take.
const LEASE: Duration = Duration::from_secs(60);
const PUBLISH: Duration = Duration::from_secs(30);
/// How often a lease is asked for that an earlier run of ours has left behind.
const ASK_EVERY: Duration = Duration::from_secs(1);
/// Names of records that an error lists.
const NAMES: usize = 5;

/// What raises the records of a table.
#[derive(Debug)]
pub struct Raiser<'a> {
    /// The table.
    pub table: &'a Table,
    /// The stream.
    pub stream: &'a Stream,
    /// The `source` of the deployment's events.
    pub source: &'a str,
    /// The mark: which epoch, and who asks.
    pub mark: &'a RestoreMark,
    /// What readers know.
    pub told: &'a Told,
}

/// What was done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Raised {
    /// Records that began a new epoch.
    pub records: usize,
    /// Tombstones that were raised.
    pub tombstones: usize,
    /// Clusters that readers knew and the table did not: told to be removed.
    pub removed: usize,
    /// Records whose body did not fit their head, since a backup is not taken in one instant: they begin anew.
    pub anew: Vec<String>,
}

/// The body of a record, as far as it can be read.
struct Loaded<S> {
    state: Option<S>,
    outbox: Outbox,
    /// Whether it does not fit the head.
    damaged: bool,
}

/// What a record's new epoch begins with.
struct Beginning {
    state: Option<Vec<u8>>,
    outbox: Outbox,
}

impl Raiser<'_> {
    /// Raises all that the plan names.
    ///
    /// # Errors
    /// Names the records that could not be raised; the others are.
    pub async fn all(&self, plan: &Plan) -> Result<Raised, CliError> {
        let mut raised = Raised::default();
        let mut problems: Vec<String> = Vec::new();
        let mut records = stream::iter(plan.heads().map(|head| &head.record))
            .map(|record| async move { (record, self.record(record).await) })
            .buffer_unordered(AT_ONCE);
        while let Some((record, done)) = records.next().await {
            match done {
                Ok(damaged) => {
                    raised.records += 1;
                    raised.anew.extend(damaged.then(|| record.to_string()));
                }
                Err(error) => problems.push(format!("{record}: {error}")),
            }
        }
        for tombstone in &plan.survey.tombstones {
            if tombstone.epoch < self.mark.epoch {
                match self.table.raise_tombstone(&tombstone.record, self.mark.epoch).await {
                    Ok(done) => raised.tombstones += usize::from(done),
                    Err(error) => problems.push(error.to_string()),
                }
            }
        }
        for record in plan.unknown(Kind::Cluster) {
            match self.unknown(record).await {
                Ok(()) => raised.removed += 1,
                Err(error) => problems.push(format!("{record}: {error}")),
            }
        }
        if problems.is_empty() {
            return Ok(raised);
        }
        let (number, problems) = (problems.len(), list(problems, NAMES));
        Err(CliError::Failed(format!(
            "{number} records were not raised: {problems}. Run it again, it goes on from there"
        )))
    }

    /// Raises one record. Returns whether its body did not fit its head.
    async fn record(&self, record: &RecordName) -> Result<bool, CliError> {
        let head = self.claim(record).await?;
        if head.epoch >= self.mark.epoch {
            // Another run of ours was here since the plan was made.
            let nothing =
                Release { clear_owed: false, published: None, done: None, due_at_once: false, success: true };
            fenced(self.table.release(record, head.fence, &nothing, None, Timestamp::now()).await)?;
            return Ok(false);
        }
        let (beginning, damaged) = match record.kind {
            Kind::Cluster => {
                let loaded = self.load::<ClusterState>(&head).await?;
                let damaged = loaded.damaged;
                (self.cluster(&head, loaded).await?, damaged)
            }
            Kind::Discovery => {
                let loaded = self.load::<DiscoveryState>(&head).await?;
                let damaged = loaded.damaged;
                (self.discovery(&head, loaded).await?, damaged)
            }
        };
        let Beginning { state, outbox } = beginning;
        let body = match state {
            None => None,
            Some(state) => {
                let slot = head.body.map_or(Slot::A, |body| body.slot.other());
                let encoded = outbox.encode().map_err(|error| unencoded(&error))?;
                Some(fenced(self.table.write_slot(record, slot, head.fence, &state, &encoded).await)?)
            }
        };
        let (sequence, owed) = (outbox.events.len() as u64, !outbox.is_empty());
        let restart = Restart { epoch: self.mark.epoch, body, sequence, owed };
        fenced(self.table.restart(record, head.fence, &restart).await)?;
        Ok(damaged)
    }

    /// A cluster goes on from what is stored: its snapshot is what it owes.
    async fn cluster(&self, head: &Head, loaded: Loaded<ClusterState>) -> Result<Beginning, CliError> {
        self.deliver(head, &loaded.outbox).await?;
        let had_body = loaded.state.is_some() || loaded.damaged;
        let mut state = loaded.state.unwrap_or_default();
        let told = loaded.damaged || self.told.knows(&head.record);
        let changes = restart(state.view.as_ref(), told, &self.mark.actor);
        if changes.is_empty() && !had_body {
            return Ok(Beginning { state: None, outbox: Outbox::default() });
        }
        let now = Timestamp::now();
        let time = now.max(state.last_event).max(self.last_told(&head.record));
        let events = self.seal(&head.record, &changes, time)?;
        if !events.is_empty() {
            state.last_event = time;
            state.snapshots = Snapshots { commits: 0, last: now };
        }
        let state = encode_state(&state).map_err(|error| unencoded(&error))?;
        Ok(Beginning { state: Some(state), outbox: Outbox { events, first: 1, items: Vec::new() } })
    }

    /// A discovery has no snapshots. What its last commit owes its clusters it still owes them; and the next run writes
    /// the items of all its clusters again, since a backup is not taken in one instant.
    async fn discovery(&self, head: &Head, loaded: Loaded<DiscoveryState>) -> Result<Beginning, CliError> {
        self.deliver(head, &loaded.outbox).await?;
        let Some(mut state) = loaded.state.or(loaded.damaged.then(DiscoveryState::default)) else {
            return Ok(Beginning { state: None, outbox: Outbox::default() });
        };
        state.generation = state.generation.wrapping_add(1);
        state.last_event = state.last_event.max(self.last_told(&head.record));
        let state = encode_state(&state).map_err(|error| unencoded(&error))?;
        let outbox = Outbox { events: Vec::new(), first: 1, items: loaded.outbox.items };
        Ok(Beginning { state: Some(state), outbox })
    }

    /// A cluster that readers know and the table does not: a tombstone, and they are told that it is removed. What is
    /// published is the same to the byte each time.
    async fn unknown(&self, record: &RecordName) -> Result<(), CliError> {
        let changes = restart(None, true, &self.mark.actor);
        let events = self.seal(record, &changes, self.mark.began.max(self.last_told(record)))?;
        let sequence = events.len() as u64;
        if !self.table.leave_tombstone(record, self.mark.epoch, sequence, Timestamp::now()).await? {
            return Err(CliError::Failed("it has a head by now".into()));
        }
        self.publish(record, &events).await
    }

    /// Claims a record, as a worker does. A lease that an earlier run of ours left behind is waited for.
    async fn claim(&self, record: &RecordName) -> Result<Head, CliError> {
        let task = Task::manual(record.clone(), &*self.mark.actor);
        let give_up = Instant::now() + 2 * LEASE;
        loop {
            let holder = fresh_holder();
            match self.table.claim(&task, &holder, Timestamp::now(), LEASE).await {
                Ok(head) => return Ok(head),
                Err(ClaimError::Refused(Some(head))) if head.holder == holder => return Ok(*head),
                Err(ClaimError::Refused(Some(head)))
                    if head.holder.starts_with(HOLDER) && Instant::now() < give_up =>
                {
                    sleep(ASK_EVERY).await;
                }
                Err(ClaimError::Refused(Some(head))) => {
                    let until = head.lease_until;
                    return Err(CliError::Failed(format!(
                        "a worker holds it until {until}: stop the functions"
                    )));
                }
                Err(ClaimError::Refused(None)) => {
                    return Err(CliError::Failed("it has ended meanwhile".into()));
                }
                Err(ClaimError::Aws(error)) => return Err(error.into()),
            }
        }
    }

    async fn load<S: DeserializeOwned>(&self, head: &Head) -> Result<Loaded<S>, CliError> {
        let mut loaded = Loaded { state: None, outbox: Outbox::default(), damaged: false };
        let Some(body) = head.body else { return Ok(loaded) };
        let slot = |source| AwsError::Slot { record: head.record.key(), source };
        match self.chunks(head, &body, Part::State).await? {
            Some(bytes) => loaded.state = Some(decode_state(body.format, &bytes).map_err(slot)?),
            None => loaded.damaged = true,
        }
        if head.owed
            && let Some(bytes) = self.chunks(head, &body, Part::Outbox).await?
        {
            loaded.outbox = Outbox::decode(body.format, &bytes).map_err(slot)?;
        }
        Ok(loaded)
    }

    /// The chunks of a body; `None` when they are not those that the head names.
    async fn chunks(&self, head: &Head, body: &Body, part: Part) -> Result<Option<Vec<u8>>, CliError> {
        match self.table.load(&head.record, body, part).await {
            Ok(bytes) => Ok(Some(bytes)),
            Err(LoadError::Mismatch(_)) => Ok(None),
            Err(LoadError::Aws(error)) => Err(error.into()),
        }
    }

    /// Publishes the events that a record owes, under their old numbers: they were committed before the backup, so
    /// whoever has them has the same bytes.
    async fn deliver(&self, head: &Head, outbox: &Outbox) -> Result<(), CliError> {
        let behind = (head.published + 1).saturating_sub(outbox.first);
        let from = usize::try_from(behind).unwrap_or(usize::MAX).min(outbox.events.len());
        self.publish(&head.record, &outbox.events[from..]).await
    }

    async fn publish(&self, record: &RecordName, events: &[Vec<u8>]) -> Result<(), CliError> {
        let (_, problem) = self.stream.publish(&record.key(), events, Instant::now() + PUBLISH).await;
        problem.map_or(Ok(()), |error| Err(error.into()))
    }

    fn seal(
        &self,
        record: &RecordName,
        changes: &[Change],
        time: Timestamp,
    ) -> Result<Vec<Vec<u8>>, CliError> {
        let sealer = Sealer {
            source: self.source,
            record,
            epoch: self.mark.epoch,
            sequence: 0,
            time,
            cause: Cause::Manual,
            actor: Some(&self.mark.actor),
            maintenance: None,
        };
        let sealed = sealer.seal(changes, usize::MAX, usize::MAX);
        let sealed = sealed.map_err(|error| CliError::Failed(error.to_string()))?;
        Ok(sealed.into_iter().map(|event| event.bytes).collect())
    }

    fn last_told(&self, record: &RecordName) -> Timestamp {
        self.told.records.get(record).map_or(Timestamp::ZERO, |last| last.time)
    }
}

/// A holder that no other claim has.
fn fresh_holder() -> String {
    static CLAIMS: AtomicU64 = AtomicU64::new(0);
    let claim = CLAIMS.fetch_add(1, Ordering::Relaxed);
    format!("{HOLDER}{}/{}/{claim}", Timestamp::now().0, std::process::id())
}

fn fenced<T>(done: Result<T, FenceError>) -> Result<T, CliError> {
    done.map_err(|error| match error {
        FenceError::TakenOver => CliError::Failed("somebody else works on it: stop the functions".into()),
        FenceError::Aws(error) => error.into(),
    })
}

fn unencoded(error: &dyn std::error::Error) -> CliError {
    CliError::Failed(format!("its body can't be stored: {error}"))
}
