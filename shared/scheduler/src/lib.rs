//! The scheduler: one pass over the heads of a kind, which queues a task for each record that is due.
//!
//! Both scheduler functions are this pass, each for its kind. Nothing due: it does nothing. A refused send
//! moves nothing; a crash between sending and moving on costs a duplicate task, which the claim recognises;
//! two schedulers at once cost duplicates, nothing else. A pass that runs out of time leaves the rest to the next,
//! which begins elsewhere: no record is always the last.

mod pass;

use std::time::{Duration, SystemTime};

use aws_lambda_events::event::eventbridge::EventBridgeEvent;
use futures::stream::{self, FuturesUnordered, StreamExt};
use lambda_runtime::{Error, LambdaEvent};
use replicante_aws::{AwsError, Clients, Heads, Queue, Table};
use replicante_metrics::{Emitter, Function};
use replicante_model::name::SPREAD_SHARDS;
use replicante_model::pause::Pauses;
use replicante_model::time::millis;
use replicante_model::{Kind, Timestamp};
use replicante_protocol::head::Head;
use replicante_protocol::schedule::{Plan, Timing, plan};
use replicante_protocol::task::Task;
use replicante_settings::Settings;
use tokio::time::{Instant, sleep};

pub use crate::pass::Pass;

/// Spread shards that are worked on at once.
const SHARDS_AT_ONCE: usize = 8;
/// Messages of one send.
const BATCH: usize = 10;
/// Heads of one shard that are moved on at once, and how long they take at least: at most 500 writes a second
/// on one shard, half of what a partition takes.
const MARKS: usize = 50;
const MARKS_TAKE: Duration = Duration::from_millis(100);

/// A scheduler of one kind of record: built once a process, called once an invocation.
#[derive(Clone, Debug)]
pub struct Scheduler {
    kind: Kind,
    table: Table,
    queue: Queue,
    timing: Timing,
    /// What is kept of an invocation's time for what is under way at its end.
    margin: Duration,
    deployment: String,
    emitter: Option<Emitter>,
}

impl Scheduler {
    /// The scheduler function of a kind.
    pub fn of(kind: Kind, clients: &Clients, settings: &Settings) -> Self {
        let queue = match kind {
            Kind::Discovery => &settings.discovery_queue,
            Kind::Cluster => &settings.refresh_queue,
        };
        Self::new(kind, Table::new(clients, &settings.table), Queue::new(clients, queue), settings)
    }

    /// A scheduler that sends to this queue.
    pub fn new(kind: Kind, table: Table, queue: Queue, settings: &Settings) -> Self {
        let timing = Timing { tick: settings.tick, give_up: settings.give_up() };
        let (margin, deployment) = (settings.margin, settings.deployment.clone());
        Scheduler { kind, table, queue, timing, margin, deployment, emitter: None }
    }

    /// The same scheduler, that hands the metrics of each invocation to `write`: one line, without its end.
    #[must_use]
    pub fn measured(mut self, write: impl Fn(&str) + Send + Sync + 'static) -> Self {
        self.emitter = Some(Emitter::new(&self.deployment, Function::scheduler(self.kind), write));
        self
    }

    /// Handles one schedule event.
    ///
    /// # Errors
    /// When a part of the pass failed: the invocation then counts as failed, and the next pass does the rest.
    pub async fn handle(&self, event: LambdaEvent<EventBridgeEvent>) -> Result<Pass, Error> {
        let left = event.context.deadline().duration_since(SystemTime::now()).unwrap_or_default();
        let began = Instant::now();
        let until = began + left - self.margin.min(left / 2);
        let mut pass = self.pass(Timestamp::now(), until).await;
        if let Some(emitter) = &self.emitter {
            emitter.emit(&pass.measures(began.elapsed()), Timestamp::now());
        }
        match pass.error.take() {
            None => Ok(pass),
            Some(error) => Err(error.into()),
        }
    }

    /// One pass over all records of the kind. No spread shard is begun after `until`.
    pub async fn pass(&self, now: Timestamp, until: Instant) -> Pass {
        let table = self.table.metered();
        let tick = now.0.unsigned_abs() / u64::try_from(millis(self.timing.tick)).unwrap_or(1).max(1);
        let first = tick.wrapping_mul(SHARDS_AT_ONCE as u64);
        let pauses = match table.pauses().await {
            Ok(pauses) => pauses,
            // What is paused is not known, so nothing is sent: the heads could hardly be read either.
            Err(error) => {
                let pass = Pass { left: SPREAD_SHARDS, error: Some(error.to_string()), ..Pass::default() };
                return self.ended(pass, &table);
            }
        };
        let mut passes = stream::iter(0..SPREAD_SHARDS)
            .map(|n| self.shard(&table, first.wrapping_add(n) % SPREAD_SHARDS, &pauses, now, until))
            .buffer_unordered(SHARDS_AT_ONCE);
        let mut total = Pass::default();
        while let Some(pass) = passes.next().await {
            total += pass;
        }
        drop(passes);
        if total.left > 0 {
            let left = format!("{} of {SPREAD_SHARDS} spread shards were left for want of time", total.left);
            total.error.get_or_insert(left);
        }
        self.ended(total, &table)
    }

    /// What a pass came to, with its cost and its line of the log.
    fn ended(&self, mut total: Pass, table: &Table) -> Pass {
        total.cost = table.cost();
        tracing::info!(
            kind = %self.kind,
            records = total.records,
            paused = (total.paused > 0).then_some(total.paused),
            queued = total.queued,
            refused = total.refused,
            raced = total.raced,
            unreadable = total.unreadable,
            left = total.left,
            read_units = total.cost.read_units,
            write_units = total.cost.write_units,
            error = total.error,
            "pass"
        );
        total
    }

    async fn shard(
        &self,
        table: &Table,
        shard: u64,
        pauses: &Pauses,
        now: Timestamp,
        until: Instant,
    ) -> Pass {
        let mut pass = Pass::default();
        if Instant::now() >= until {
            return Pass { left: 1, ..pass };
        }
        let Heads { heads, unreadable } = match table.heads(self.kind, shard).await {
            Ok(heads) => heads,
            Err(error) => return Pass { error: Some(error.to_string()), ..pass },
        };
        pass.records = heads.len() as u64;
        pass.unreadable = unreadable.len() as u64;
        pass.error = unreadable.first().map(ToString::to_string);
        heads.iter().for_each(|head| pass.look(head, pauses.until(&head.record), now));
        let due: Vec<(Head, Plan)> = heads
            .into_iter()
            .filter_map(|head| {
                let plan = plan(&head, pauses.until(&head.record), now, self.timing)?;
                Some((head, plan))
            })
            .collect();
        for some in due.chunks(MARKS) {
            let began = Instant::now();
            for batch in some.chunks(BATCH) {
                if let Err(error) = self.queue_batch(table, batch, now, &mut pass).await {
                    pass.error.get_or_insert(error.to_string());
                }
            }
            if some.len() == MARKS {
                sleep(MARKS_TAKE.saturating_sub(began.elapsed())).await;
            }
        }
        pass
    }

    /// Sends the tasks of a batch, and only then moves on the records whose task was taken.
    async fn queue_batch(
        &self,
        table: &Table,
        batch: &[(Head, Plan)],
        now: Timestamp,
        pass: &mut Pass,
    ) -> Result<(), AwsError> {
        let tasks: Vec<(Task, u64)> = batch
            .iter()
            .map(|(head, plan)| (Task::scheduled(head.record.clone(), plan.stamp), plan.delay))
            .collect();
        let sent = self.queue.send(&tasks).await;
        let mut marks = FuturesUnordered::new();
        for ((head, plan), accepted) in batch.iter().zip(&sent.accepted) {
            if *accepted {
                marks.push(table.mark_queued(head, plan, now));
            } else {
                pass.refused += 1;
            }
        }
        let mut problem = sent.refused;
        while let Some(marked) = marks.next().await {
            match marked {
                Ok(true) => pass.queued += 1,
                Ok(false) => pass.raced += 1,
                Err(error) => problem = problem.or(Some(error)),
            }
        }
        problem.map_or(Ok(()), Err)
    }
}
