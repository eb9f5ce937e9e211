//! The runner: does what EventBridge, SQS and Lambda do for the functions on AWS.
//!
//! Schedules fire once a tick. Queues are polled, and what they give is handed to the workers as the JSON that
//! Lambda would hand over; what the answer does not name as failed is deleted, the rest comes again after the
//! visibility timeout, and in the end lies in the dead-letter queue. No payload is ever built by hand: the
//! functions see what they would see on AWS.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use aws_lambda_events::event::eventbridge::EventBridgeEvent;
use aws_lambda_events::event::sqs::SqsEvent;
use lambda_runtime::{Context, LambdaEvent};
use replicante_aws::{AwsError, Message, Queue};
use replicante_discovery_scheduler::discovery_scheduler;
use replicante_discovery_worker::DiscoveryWorker;
use replicante_model::Timestamp;
use replicante_refresh_scheduler::refresh_scheduler;
use replicante_refresh_worker::RefreshWorker;
use replicante_worker::{Function, Job, Observer};
use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use crate::stack::Local;

/// How long a function may run; below the lease of a local run.
const FUNCTION_TIMEOUT: Duration = Duration::from_secs(20);
/// How long a receive waits for a message, in seconds.
const WAIT: u32 = 5;
/// Invocations of each worker that may run at the same time.
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
        let stopping = Arc::new(Stopping::default());
        let mut tasks = JoinSet::new();
        let (clients, settings) = (&local.clients, &local.settings);

        let discovery_scheduler = discovery_scheduler(clients, settings);
        let refresh_scheduler = refresh_scheduler(clients, settings);
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
                let discoveries = discovery_scheduler.handle(scheduled("discovery"));
                let refreshes = refresh_scheduler.handle(scheduled("refresh"));
                let (discoveries, refreshes) = tokio::join!(discoveries, refreshes);
                for error in [discoveries.err(), refreshes.err()].into_iter().flatten() {
                    tracing::warn!(%error, "a scheduler's pass failed in part");
                }
            }
        });

        let discovery = Arc::new(DiscoveryWorker::new(clients, settings).observed(Arc::clone(&observer)));
        let refresh = Arc::new(RefreshWorker::new(clients, settings).observed(observer));
        for _ in 0..INVOCATIONS {
            let queue = Queue::new(clients, &settings.discovery_queue);
            tasks.spawn(poll(queue, Arc::clone(&discovery), Arc::clone(&stopping)));
            let queue = Queue::new(clients, &settings.refresh_queue);
            tasks.spawn(poll(queue, Arc::clone(&refresh), Arc::clone(&stopping)));
        }
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

/// Polls a queue and hands what it gives to a function.
async fn poll<J: Job>(queue: Queue, function: Arc<Function<J>>, stop: Arc<Stopping>) {
    while !stop.is_set() {
        let received = tokio::select! {
            received = queue.receive(WAIT) => received,
            () = stop.wait() => return,
        };
        match received {
            Ok(messages) if messages.is_empty() => {}
            Ok(messages) => {
                if let Err(error) = invoke(&queue, messages, &function).await {
                    tracing::warn!(%error, "messages could not be deleted: they come again, as duplicates");
                }
            }
            Err(error) => {
                tracing::warn!(%error, "the queue can't be read");
                sleep(Duration::from_millis(500)).await;
            }
        }
    }
}

/// One invocation: the batch as Lambda hands it over, and its answer as Lambda takes it.
async fn invoke<J: Job>(
    queue: &Queue,
    messages: Vec<Message>,
    function: &Function<J>,
) -> Result<(), AwsError> {
    let event = match serde_json::from_value::<SqsEvent>(sqs_payload(&messages)) {
        Ok(event) => event,
        Err(error) => {
            tracing::error!(%error, "the payload of an SQS event is not as aws_lambda_events has it");
            return Ok(());
        }
    };
    let response = function.handle(LambdaEvent::new(event, context())).await;
    let failed: Vec<&str> =
        response.batch_item_failures.iter().map(|failure| failure.item_identifier.as_str()).collect();
    let done: Vec<String> = messages
        .into_iter()
        .filter(|message| !failed.contains(&message.id.as_str()))
        .map(|message| message.receipt)
        .collect();
    if done.is_empty() { Ok(()) } else { queue.delete(&done).await }
}

fn sqs_payload(messages: &[Message]) -> Value {
    let record = |message: &Message| {
        json!({
            "messageId": message.id,
            "receiptHandle": message.receipt,
            "body": message.body,
            "attributes": {
                "ApproximateReceiveCount": message.deliveries.to_string(),
                "SentTimestamp": message.sent,
            },
            "messageAttributes": {},
            "eventSource": "aws:sqs",
            "eventSourceARN": "arn:aws:sqs:us-east-1:000000000000:replicante",
            "awsRegion": "us-east-1",
        })
    };
    json!({ "Records": messages.iter().map(record).collect::<Vec<_>>() })
}

fn scheduled(rule: &str) -> LambdaEvent<EventBridgeEvent> {
    let payload = json!({
        "version": "0",
        "id": "00000000-0000-0000-0000-000000000000",
        "detail-type": "Scheduled Event",
        "source": "aws.events",
        "account": "000000000000",
        "time": Timestamp::now().rfc3339(),
        "region": "us-east-1",
        "resources": [format!("arn:aws:events:us-east-1:000000000000:rule/replicante-{rule}")],
        "detail": {},
    });
    // The payload is a constant of this file, and a test reads it.
    let event = serde_json::from_value(payload).unwrap_or_default();
    LambdaEvent::new(event, context())
}

/// The context of an invocation: what the functions read of it is its deadline.
fn context() -> Context {
    let deadline = SystemTime::now() + FUNCTION_TIMEOUT;
    let mut context = Context::default();
    context.request_id = "local".into();
    context.deadline = deadline
        .duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX));
    context
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payloads_are_read_as_lambda_events() {
        let message = Message {
            id: "m1".into(),
            receipt: "r1".into(),
            body: "{}".into(),
            deliveries: 2,
            sent: "1767319445000".into(),
        };
        let event: SqsEvent = serde_json::from_value(sqs_payload(&[message])).unwrap();
        let record = &event.records[0];
        assert_eq!((record.message_id.as_deref(), record.body.as_deref()), (Some("m1"), Some("{}")));
        assert_eq!(record.attributes["ApproximateReceiveCount"], "2");
        let event = scheduled("refresh");
        assert_eq!(event.payload.detail_type, "Scheduled Event");
        assert!(event.context.deadline() > SystemTime::now());
    }
}
