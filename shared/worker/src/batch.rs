//! Batches: an SQS event in, the failures out. The one place that knows what Lambda hands over.

use std::future::Future;
use std::time::{Duration, SystemTime};

use aws_lambda_events::event::sqs::{BatchItemFailure, SqsBatchResponse, SqsEvent};
use futures::stream::{self, StreamExt};
use lambda_runtime::Context;
use replicante_protocol::task::Task;
use tokio::time::Instant;

/// When an invocation must be over.
#[derive(Clone, Copy, Debug)]
pub struct Deadline {
    /// On the monotonic clock.
    pub instant: Instant,
}

impl Deadline {
    /// The deadline of an invocation, as its context says.
    pub fn of(context: &Context) -> Self {
        Self::within(context.deadline().duration_since(SystemTime::now()).unwrap_or(Duration::ZERO))
    }

    /// A deadline that far from now.
    pub fn within(span: Duration) -> Self {
        Deadline { instant: Instant::now() + span }
    }
}

/// Runs the tasks of a batch, `concurrency` of them at once, and names the messages that failed: those for which `run`
/// says no.
///
/// A message that is no task fails too: it ends in the dead-letter queue, where somebody can look at it.
pub async fn run_batch<F, Fut>(event: SqsEvent, concurrency: usize, run: F) -> SqsBatchResponse
where
    F: Fn(Task) -> Fut,
    Fut: Future<Output = bool>,
{
    let failures = stream::iter(event.records)
        .map(|message| {
            let id = message.message_id.unwrap_or_default();
            let task = serde_json::from_str::<Task>(message.body.as_deref().unwrap_or_default());
            let running = task.map(&run);
            async move {
                let acknowledged = match running {
                    Ok(running) => running.await,
                    Err(error) => {
                        tracing::error!(message = id, %error, "the message is no task");
                        false
                    }
                };
                (!acknowledged).then_some(id)
            }
        })
        .buffer_unordered(concurrency)
        .filter_map(|failed| async move { failed })
        .map(|id| {
            let mut failure = BatchItemFailure::default();
            failure.item_identifier = id;
            failure
        })
        .collect()
        .await;
    let mut response = SqsBatchResponse::default();
    response.batch_item_failures = failures;
    response
}
