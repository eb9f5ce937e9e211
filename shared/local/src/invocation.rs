//! An invocation as Lambda makes it: its events, its context, and what becomes of it when it panics or lasts too long.

use std::time::{Duration, SystemTime};

use aws_lambda_events::event::eventbridge::EventBridgeEvent;
use aws_lambda_events::event::sqs::SqsEvent;
use lambda_runtime::{Context, LambdaEvent};
use replicante_aws::Message;
use replicante_model::Timestamp;
use replicante_protocol::task::Task;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::timeout;

/// How long a function may run; below the lease of a local run.
pub(crate) const FUNCTION_TIMEOUT: Duration = Duration::from_secs(20);

/// A batch of messages of the queue with this URL, as Lambda writes it. Source: the developer guide of Lambda, "Using
/// Lambda with Amazon SQS".
#[must_use]
pub fn sqs_payload(queue: &str, messages: &[Message]) -> Value {
    let name = queue.rsplit('/').next().unwrap_or_default();
    let record = |message: &Message| {
        json!({
            "messageId": message.id,
            "receiptHandle": message.receipt,
            "body": message.body,
            "attributes": {
                "ApproximateReceiveCount": message.deliveries.to_string(),
                "SentTimestamp": message.sent,
                "SenderId": message.sender,
                "ApproximateFirstReceiveTimestamp": message.first_received,
            },
            "messageAttributes": {},
            "md5OfBody": message.md5,
            "eventSource": "aws:sqs",
            "eventSourceARN": format!("arn:aws:sqs:us-east-1:000000000000:{name}"),
            "awsRegion": "us-east-1",
        })
    };
    json!({ "Records": messages.iter().map(record).collect::<Vec<_>>() })
}

/// The same of tasks that lie in no queue: the messages `m0`, `m1` and so on, delivered for the first time.
///
/// # Errors
/// When a task can't be written: a bug.
pub fn task_payload(tasks: &[Task]) -> Result<Value, serde_json::Error> {
    let now = Timestamp::now().0.to_string();
    let message = |(index, task): (usize, &Task)| {
        let body = serde_json::to_string(task)?;
        Ok(Message {
            id: format!("m{index}"),
            receipt: format!("r{index}"),
            md5: format!("{:x}", md5::compute(&body)),
            body,
            deliveries: 1,
            sent: now.clone(),
            first_received: now.clone(),
            sender: "AIDA00000000000000000".into(),
        })
    };
    let messages: Vec<Message> =
        tasks.iter().enumerate().map(message).collect::<Result<_, serde_json::Error>>()?;
    Ok(sqs_payload("replicante", &messages))
}

/// A batch of messages as a worker's code is handed it.
///
/// # Errors
/// When it is not as `aws_lambda_events` has it: a bug.
pub fn sqs_event(queue: &str, messages: &[Message]) -> Result<LambdaEvent<SqsEvent>, serde_json::Error> {
    Ok(LambdaEvent::new(serde_json::from_value(sqs_payload(queue, messages))?, context()))
}

/// The same of tasks that lie in no queue; see [`task_payload`].
///
/// # Errors
/// As [`sqs_event`].
pub fn task_event(tasks: &[Task]) -> Result<LambdaEvent<SqsEvent>, serde_json::Error> {
    Ok(LambdaEvent::new(serde_json::from_value(task_payload(tasks)?)?, context()))
}

/// Gives an invocation so much time from now on.
#[must_use]
pub fn within<T>(mut event: LambdaEvent<T>, time: Duration) -> LambdaEvent<T> {
    event.context.deadline = deadline(time);
    event
}

fn deadline(time: Duration) -> u64 {
    let since = (SystemTime::now() + time).duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// What a schedule hands to a scheduler, as Lambda writes it. Source: the user guide of EventBridge, "Scheduled events".
#[must_use]
pub fn schedule_payload(rule: &str) -> Value {
    json!({
        "version": "0",
        "id": "00000000-0000-0000-0000-000000000000",
        "detail-type": "Scheduled Event",
        "source": "aws.events",
        "account": "000000000000",
        "time": Timestamp::now().rfc3339(),
        "region": "us-east-1",
        "resources": [format!("arn:aws:events:us-east-1:000000000000:rule/replicante-{rule}")],
        "detail": {},
    })
}

/// The same, as a scheduler's code is handed it.
pub fn scheduled(rule: &str) -> LambdaEvent<EventBridgeEvent> {
    // The payload is a constant of this file, and a test reads it.
    let event = serde_json::from_value(schedule_payload(rule)).unwrap_or_default();
    LambdaEvent::new(event, context())
}

/// The context of an invocation: what the functions read of it is its deadline.
fn context() -> Context {
    let mut context = Context::default();
    context.request_id = "local".into();
    context.deadline = deadline(FUNCTION_TIMEOUT);
    context
}

/// Runs a function's work in a task of its own and ends it after `most`, as Lambda does. `None` when it panicked or
/// was ended: there is no answer then. It is dropped with this future.
pub(crate) async fn invoke<T: Send + 'static>(
    function: &str,
    most: Duration,
    work: impl Future<Output = T> + Send + 'static,
) -> Option<T> {
    let mut running = JoinSet::new();
    running.spawn(work);
    match timeout(most, running.join_next()).await {
        Ok(Some(Ok(answer))) => return Some(answer),
        Ok(Some(Err(error))) => tracing::error!(function, %error, "the invocation ended without an answer"),
        Ok(None) | Err(_) => {
            tracing::error!(function, seconds = most.as_secs(), "the invocation was ended: it took too long");
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use replicante_model::RecordName;

    #[test]
    fn payloads_are_read_as_lambda_events() {
        let message = Message {
            id: "m1".into(),
            receipt: "r1".into(),
            body: "{}".into(),
            deliveries: 2,
            sent: "1767319445000".into(),
            md5: "99914b932bd37a50b983c5e7c90ae93b".into(),
            ..Message::default()
        };
        let event = sqs_event("http://127.0.0.1:9/000000000000/refresh", &[message]).unwrap();
        let record = &event.payload.records[0];
        assert_eq!((record.message_id.as_deref(), record.body.as_deref()), (Some("m1"), Some("{}")));
        assert_eq!(record.attributes["ApproximateReceiveCount"], "2");
        assert_eq!(record.md5_of_body.as_deref(), Some("99914b932bd37a50b983c5e7c90ae93b"));
        assert_eq!(record.event_source_arn.as_deref(), Some("arn:aws:sqs:us-east-1:000000000000:refresh"));
        assert!(event.context.deadline() > SystemTime::now());
        let task = Task::manual(RecordName::cluster("default", "zk"), "test");
        let event = task_event(&[task.clone(), task.clone()]).unwrap();
        let record = &event.payload.records[1];
        assert_eq!(record.message_id.as_deref(), Some("m1"));
        let body: Task = serde_json::from_str(record.body.as_deref().unwrap()).unwrap();
        assert_eq!(body, task);
        let event = scheduled("refresh");
        assert_eq!(event.payload.detail_type, "Scheduled Event");
        assert!(event.context.deadline() > SystemTime::now());
    }

    #[tokio::test]
    async fn an_invocation_that_panics_or_lasts_too_long_has_no_answer_and_is_over() {
        let most = Duration::from_millis(50);
        assert_eq!(invoke("fine", most, async { 7 }).await, Some(7));
        let panics = async move {
            assert!(most.is_zero(), "a panic that belongs to this test");
            7
        };
        assert_eq!(invoke("panics", most, panics).await, None);
        let (alive, mut ended) = tokio::sync::oneshot::channel::<()>();
        let hangs = async move {
            std::future::pending::<()>().await;
            drop(alive);
        };
        assert_eq!(invoke("hangs", most, hangs).await, None);
        let ended = timeout(Duration::from_secs(10), &mut ended).await;
        assert!(ended.is_ok_and(|told| told.is_err()), "it does not go on in the background");
    }
}
