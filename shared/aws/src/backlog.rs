//! What operators see and do of queues: how much is in them, and the dead letters.

use aws_sdk_sqs::types::{ChangeMessageVisibilityBatchRequestEntry, QueueAttributeName};

use crate::describe::Redrive;
use crate::error::AwsError;
use crate::queue::{BATCH, Message, Queue};

/// How much is in a queue. SQS counts approximately.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Depth {
    /// Messages that wait for a worker.
    pub waiting: u64,
    /// Messages that are held back until they are due.
    pub delayed: u64,
    /// Messages that a worker has.
    pub in_flight: u64,
}

impl Depth {
    /// All messages: also those that somebody looks at.
    pub fn all(&self) -> u64 {
        self.waiting + self.delayed + self.in_flight
    }
}

impl Queue {
    /// How much is in it.
    ///
    /// # Errors
    /// When the queue can't be asked.
    pub async fn depth(&self) -> Result<Depth, AwsError> {
        use QueueAttributeName as Name;
        let request = self.client.get_queue_attributes().queue_url(self.url());
        let answer = request
            .attribute_names(Name::ApproximateNumberOfMessages)
            .attribute_names(Name::ApproximateNumberOfMessagesDelayed)
            .attribute_names(Name::ApproximateNumberOfMessagesNotVisible)
            .send()
            .await
            .map_err(|error| AwsError::call(format!("asking for the length of {}", self.url()), &error))?;
        let count = |name| {
            let value = answer.attributes().and_then(|all| all.get(&name));
            value.and_then(|value| value.parse().ok()).unwrap_or(0)
        };
        Ok(Depth {
            waiting: count(Name::ApproximateNumberOfMessages),
            delayed: count(Name::ApproximateNumberOfMessagesDelayed),
            in_flight: count(Name::ApproximateNumberOfMessagesNotVisible),
        })
    }

    /// The queue that takes what fails here too often, by its redrive policy. `None` without one.
    ///
    /// # Errors
    /// When the queue can't be asked, or its policy is none.
    pub async fn dead_letters(&self) -> Result<Option<Queue>, AwsError> {
        let action = || format!("asking for the dead-letter queue of {}", self.url());
        let request = self.client.get_queue_attributes().queue_url(self.url());
        let answer = request
            .attribute_names(QueueAttributeName::RedrivePolicy)
            .send()
            .await
            .map_err(|error| AwsError::call(action(), &error))?;
        let policy = answer.attributes().and_then(|all| all.get(&QueueAttributeName::RedrivePolicy));
        let Some(policy) = policy else { return Ok(None) };
        let policy: Redrive =
            serde_json::from_str(policy).map_err(|error| AwsError::stored(action(), error))?;
        let name = policy.target.rsplit(':').next().unwrap_or_default();
        let answer = self.client.get_queue_url().queue_name(name).send().await;
        let answer = answer.map_err(|error| AwsError::call(action(), &error))?;
        let url = answer.queue_url.ok_or_else(|| AwsError::stored(action(), "the answer has no URL"))?;
        Ok(Some(Queue { client: self.client.clone(), url }))
    }

    /// Up to ten messages, hidden from others for so many seconds. Empty when there are no more.
    ///
    /// # Errors
    /// When the queue can't be read.
    pub async fn hold(&self, seconds: i32) -> Result<Vec<Message>, AwsError> {
        self.receive_for(1, Some(seconds)).await
    }

    /// Lets go what was held: others see it at once.
    ///
    /// # Errors
    /// When the request fails; they see it when its time is over.
    pub async fn let_go(&self, messages: &[Message]) -> Result<(), AwsError> {
        for some in messages.chunks(BATCH) {
            let mut request = self.client.change_message_visibility_batch().queue_url(self.url());
            for (index, message) in some.iter().enumerate() {
                let entry = ChangeMessageVisibilityBatchRequestEntry::builder()
                    .id(index.to_string())
                    .receipt_handle(&message.receipt)
                    .visibility_timeout(0);
                request = entry.build().into_iter().fold(request, |request, entry| request.entries(entry));
            }
            let sent = request.send().await;
            sent.map_err(|error| AwsError::call(format!("letting go messages of {}", self.url()), &error))?;
        }
        Ok(())
    }

    /// Deletes everything in it. AWS takes up to a minute, and does it once a minute at most.
    ///
    /// # Errors
    /// When the request fails.
    pub async fn purge(&self) -> Result<(), AwsError> {
        let purged = self.client.purge_queue().queue_url(self.url()).send().await;
        purged
            .map(|_| ())
            .map_err(|error| AwsError::call(format!("deleting all messages of {}", self.url()), &error))
    }
}
