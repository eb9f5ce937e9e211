//! The scheduler: one pass over the heads of a kind, which queues a task for each record that is due.
//!
//! Both scheduler functions are this pass, each for its kind. Nothing due: it does nothing. A refused send
//! moves nothing; a crash between sending and moving on costs a duplicate task, which the claim recognises;
//! two schedulers at once cost duplicates, nothing else.

use std::time::Duration;

use futures::stream::{self, FuturesUnordered, StreamExt};
use replicante_aws::{AwsError, Cost, Queue, Table};
use replicante_model::name::SPREAD_SHARDS;
use replicante_model::{Kind, Timestamp};
use replicante_protocol::head::Head;
use replicante_protocol::schedule::{Plan, Timing, plan};
use replicante_protocol::task::Task;
use replicante_settings::Settings;
use tokio::time::sleep;

/// Spread shards that are worked on at once.
const SHARDS_AT_ONCE: usize = 8;
/// Messages of one send.
const BATCH: usize = 10;
/// Heads of one shard that are moved on at once, and how long they take at least: at most 500 writes a second
/// on one shard, half of what a partition takes.
const MARKS: usize = 50;
const MARKS_TAKE: Duration = Duration::from_millis(100);

/// A scheduler of one kind of record.
#[derive(Clone, Debug)]
pub struct Scheduler {
    kind: Kind,
    table: Table,
    queue: Queue,
    timing: Timing,
}

/// What a pass did.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Pass {
    /// Heads that it read.
    pub records: u64,
    /// Records whose task it sent.
    pub queued: u64,
    /// Tasks that the queue refused: their records are where they were.
    pub refused: u64,
    /// Records that another scheduler moved on first.
    pub raced: u64,
    /// What it cost.
    pub cost: Cost,
    /// The first thing that failed, if any. The other shards were worked on all the same.
    pub error: Option<String>,
}

impl Scheduler {
    /// A scheduler with these settings.
    pub fn new(kind: Kind, table: Table, queue: Queue, settings: &Settings) -> Self {
        Scheduler { kind, table, queue, timing: Timing { tick: settings.tick, give_up: settings.give_up() } }
    }

    /// One pass over all records of the kind.
    pub async fn pass(&self, now: Timestamp) -> Pass {
        let table = self.table.metered();
        let mut total = stream::iter(0..SPREAD_SHARDS)
            .map(|shard| self.shard(&table, shard, now))
            .buffer_unordered(SHARDS_AT_ONCE)
            .fold(Pass::default(), |mut total, pass| async move {
                total.records += pass.records;
                total.queued += pass.queued;
                total.refused += pass.refused;
                total.raced += pass.raced;
                total.error = total.error.or(pass.error);
                total
            })
            .await;
        total.cost = table.cost();
        tracing::info!(
            kind = %self.kind,
            records = total.records,
            queued = total.queued,
            refused = total.refused,
            raced = total.raced,
            read_units = total.cost.read_units,
            write_units = total.cost.write_units,
            error = total.error,
            "pass"
        );
        total
    }

    async fn shard(&self, table: &Table, shard: u64, now: Timestamp) -> Pass {
        let mut pass = Pass::default();
        let heads = match table.heads(self.kind, shard).await {
            Ok(heads) => heads,
            Err(error) => return Pass { error: Some(error.to_string()), ..pass },
        };
        pass.records = heads.len() as u64;
        let due: Vec<(Head, Plan)> = heads
            .into_iter()
            .filter_map(|head| plan(&head, now, self.timing).map(|plan| (head, plan)))
            .collect();
        for some in due.chunks(MARKS) {
            let began = tokio::time::Instant::now();
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
