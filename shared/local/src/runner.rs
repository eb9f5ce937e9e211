//! The runner: does what EventBridge, SQS and Lambda do for the functions on AWS.
//!
//! Schedules fire once a tick. Queues are polled, and what they give is handed to the workers as the JSON that
//! Lambda would hand over; what the answer does not name as failed is deleted, the rest comes again after the
//! visibility timeout, and in the end lies in the dead-letter queue. An invocation that panics or runs into its
//! timeout has failed with all of its messages. No payload is ever built by hand: the functions see what they would
//! see on AWS.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use aws_lambda_events::event::sqs::SqsBatchResponse;
use replicante_aws::{AwsError, Message, Queue};
use replicante_discovery_scheduler::discovery_scheduler;
use replicante_discovery_worker::DiscoveryWorker;
use replicante_refresh_scheduler::refresh_scheduler;
use replicante_refresh_worker::RefreshWorker;
use replicante_worker::{Function, Job, Observer};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use crate::invocation::{self, FUNCTION_TIMEOUT, scheduled};
use crate::stack::Local;

/// How long a receive waits for a message, in seconds.
const WAIT: u32 = 5;
/// Invocations of each worker that may run at the same time, unless said.
const INVOCATIONS: usize = 4;

/// Runs the four functions against the local services.
pub struct Runner {
    stopping: Arc<Stopping>,
    tasks: JoinSet<()>,
}

#[derive(Default)]
struct Stopping {
    flag: AtomicBool,
    notify: Notify,
}

impl Stopping {
    fn is_set(&self) -> bool {
        self.flag.load(Ordering::Acquire)
    }

    /// Waits until it is set.
    async fn wait(&self) {
        let waiting = self.notify.notified();
        if !self.is_set() {
            waiting.await;
        }
    }
}

/// How a runner stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stopped {
    /// All work in flight was finished.
    Finished,
    /// Some was left for the next claim.
    LeftWork,
}

impl Runner {
    /// Starts schedules and workers. The observer is told how each task went.
    pub fn start(local: &Local, observer: Observer) -> Self {
        Self::with(local, observer, INVOCATIONS)
    }

    /// The same, with so many invocations of each worker at the same time.
    pub fn with(local: &Local, observer: Observer, invocations: usize) -> Self {
        let stopping = Arc::new(Stopping::default());
        let mut tasks = JoinSet::new();
        let (clients, settings) = (&local.clients, &local.settings);

        let discovery_scheduler = Arc::new(discovery_scheduler(clients, settings));
        let refresh_scheduler = Arc::new(refresh_scheduler(clients, settings));
        let (tick, stop) = (settings.tick, Arc::clone(&stopping));
        tasks.spawn(async move {
            let mut ticks = interval(tick);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            while !stop.is_set() {
                tokio::select! {
                    _ = ticks.tick() => {}
                    () = stop.wait() => return,
                }
                // Both run at the same time, as they do on AWS.
                let scheduler = Arc::clone(&discovery_scheduler);
                let pass = async move { scheduler.handle(scheduled("discovery")).await };
                let discoveries = invocation::invoke("discovery-scheduler", FUNCTION_TIMEOUT, pass);
                let scheduler = Arc::clone(&refresh_scheduler);
                let pass = async move { scheduler.handle(scheduled("refresh")).await };
                let refreshes = invocation::invoke("refresh-scheduler", FUNCTION_TIMEOUT, pass);
                let (discoveries, refreshes) = tokio::join!(discoveries, refreshes);
                for error in [discoveries, refreshes].into_iter().flatten().filter_map(Result::err) {
                    tracing::warn!(%error, "a scheduler's pass failed in part");
                }
            }
        });

        let discovery = Arc::new(DiscoveryWorker::new(clients, settings).observed(Arc::clone(&observer)));
        let refresh = Arc::new(RefreshWorker::new(clients, settings).observed(observer));
        let queue = Queue::new(clients, &settings.discovery_queue);
        tasks.spawn(poll(queue, discovery, invocations, Arc::clone(&stopping)));
        let queue = Queue::new(clients, &settings.refresh_queue);
        tasks.spawn(poll(queue, refresh, invocations, Arc::clone(&stopping)));
        Runner { stopping, tasks }
    }

    /// Stops: no new work begins, and what is in flight may finish within `grace`. What does not is dropped;
    /// the next claim of its record is the recovery.
    pub async fn stop(mut self, grace: Duration) -> Stopped {
        self.stopping.flag.store(true, Ordering::Release);
        self.stopping.notify.notify_waiters();
        let finish = async { while self.tasks.join_next().await.is_some() {} };
        match timeout(grace, finish).await {
            Ok(()) => Stopped::Finished,
            Err(_) => {
                self.tasks.shutdown().await;
                Stopped::LeftWork
            }
        }
    }
}

/// Polls a queue and hands what it gives to a function, with at most so many invocations at the same time. Nothing is
/// received that would have to wait for one of them.
///
/// One receive at a time: the embedded queue tells a waiting receive of messages whose delay has passed once a second at
/// most, and not at all when another receive has just passed them by.
async fn poll<J: Job>(queue: Queue, function: Arc<Function<J>>, invocations: usize, stop: Arc<Stopping>) {
    let mut running = JoinSet::new();
    loop {
        while running.len() >= invocations {
            running.join_next().await;
        }
        if stop.is_set() {
            break;
        }
        let received = tokio::select! {
            received = queue.receive(WAIT) => received,
            () = stop.wait() => break,
        };
        match received {
            Ok(messages) if messages.is_empty() => {}
            Ok(messages) => {
                let (queue, function) = (queue.clone(), Arc::clone(&function));
                running.spawn(async move {
                    if let Err(error) = invoke(&queue, messages, &function).await {
                        tracing::warn!(%error, "messages could not be deleted: they come again, as duplicates");
                    }
                });
            }
            Err(error) => {
                tracing::warn!(%error, "the queue can't be read");
                sleep(Duration::from_millis(500)).await;
            }
        }
        while running.try_join_next().is_some() {}
    }
    while running.join_next().await.is_some() {}
}

/// One invocation: the batch as Lambda hands it over, and its answer as Lambda takes it.
async fn invoke<J: Job>(
    queue: &Queue,
    messages: Vec<Message>,
    function: &Arc<Function<J>>,
) -> Result<(), AwsError> {
    let event = match invocation::sqs_event(queue.url(), &messages) {
        Ok(event) => event,
        Err(error) => {
            tracing::error!(%error, "the payload of an SQS event is not as aws_lambda_events has it");
            return Ok(());
        }
    };
    let function = Arc::clone(function);
    let work = async move { function.handle(event).await };
    let done = done(messages, invocation::invoke("worker", FUNCTION_TIMEOUT, work).await);
    if done.is_empty() { Ok(()) } else { queue.delete(&done).await }
}

/// The receipts of the messages that are done with. Without an answer the whole batch has failed.
#[must_use]
pub fn done(messages: Vec<Message>, answer: Option<SqsBatchResponse>) -> Vec<String> {
    let Some(answer) = answer else { return Vec::new() };
    let failed: Vec<&str> =
        answer.batch_item_failures.iter().map(|failure| failure.item_identifier.as_str()).collect();
    messages
        .into_iter()
        .filter(|message| !failed.contains(&message.id.as_str()))
        .map(|message| message.receipt)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_lambda_events::event::sqs::BatchItemFailure;

    #[test]
    fn messages_are_deleted_but_for_those_that_failed_and_none_without_an_answer() {
        let message = |number: u32| Message {
            id: format!("m{number}"),
            receipt: format!("r{number}"),
            ..Message::default()
        };
        let batch = || vec![message(1), message(2)];
        assert_eq!(done(batch(), Some(SqsBatchResponse::default())), ["r1", "r2"]);
        let mut failure = BatchItemFailure::default();
        failure.item_identifier = "m1".into();
        let mut answer = SqsBatchResponse::default();
        answer.batch_item_failures = vec![failure];
        assert_eq!(done(batch(), Some(answer)), ["r2"]);
        assert!(done(batch(), None).is_empty());
    }
}
