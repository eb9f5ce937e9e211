//! Batches: an SQS event in, the failures out. The one place that knows what Lambda hands over.

use std::future::Future;
use std::time::{Duration, SystemTime};

use aws_lambda_events::event::sqs::{BatchItemFailure, SqsBatchResponse, SqsEvent};
use futures::stream::{self, StreamExt};
use lambda_runtime::Context;
use replicante_protocol::task::Task;
use tokio::time::Instant;

use crate::report::TaskReport;

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

/// Runs the tasks of a batch, `concurrency` of them at once. Names the messages that failed, those whose first report
/// says so, and hands on all reports.
///
/// A message that is no task fails too: it ends in the dead-letter queue, where somebody can look at it.
pub async fn run_batch<F, Fut>(
    event: SqsEvent,
    concurrency: usize,
    run: F,
) -> (SqsBatchResponse, Vec<TaskReport>)
where
    F: Fn(Task) -> Fut,
    Fut: Future<Output = Vec<TaskReport>>,
{
    let mut running = stream::iter(event.records)
        .map(|message| {
            let id = message.message_id.unwrap_or_default();
            let task = serde_json::from_str::<Task>(message.body.as_deref().unwrap_or_default());
            let running = task.map(&run);
            async move {
                match running {
                    Ok(running) => (id, running.await),
                    Err(error) => {
                        tracing::error!(message = id, %error, "the message is no task");
                        (id, Vec::new())
                    }
                }
            }
        })
        .buffer_unordered(concurrency);
    let (mut response, mut all) = (SqsBatchResponse::default(), Vec::new());
    while let Some((id, reports)) = running.next().await {
        if !reports.first().is_some_and(|report| report.outcome.is_acknowledged()) {
            let mut failure = BatchItemFailure::default();
            failure.item_identifier = id;
            response.batch_item_failures.push(failure);
        }
        all.extend(reports);
    }
    (response, all)
}
