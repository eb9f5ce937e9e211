//! Queues of tasks.

use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::{MessageSystemAttributeName, SendMessageBatchRequestEntry};
use replicante_protocol::task::Task;

use crate::clients::Clients;
use crate::error::AwsError;

/// The most messages of one request.
pub const BATCH: usize = 10;

/// A queue of tasks. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Queue {
    pub(crate) client: Client,
    pub(crate) url: String,
}

/// What came of sending tasks.
#[derive(Debug)]
pub struct Sent {
    /// For each task, in order, whether the queue took it.
    pub accepted: Vec<bool>,
    /// Why the first refused one was refused.
    pub refused: Option<AwsError>,
}

/// A message as it was received.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Message {
    /// Its id.
    pub id: String,
    /// What acknowledges this delivery.
    pub receipt: String,
    /// Its body.
    pub body: String,
    /// Which delivery it is, from 1.
    pub deliveries: u32,
    /// When it was sent: milliseconds since 1970, as text.
    pub sent: String,
    /// When it was first received, in the same way.
    pub first_received: String,
    /// Who sent it, by the account's names.
    pub sender: String,
    /// The MD5 digest of its body, in hexadecimal.
    pub md5: String,
}

impl Queue {
    /// The queue of this URL.
    pub fn new(clients: &Clients, url: &str) -> Self {
        Queue { client: clients.sqs.clone(), url: url.into() }
    }

    /// Its URL.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Sends at most `BATCH` tasks in one request, each held back by its delay in whole seconds (at most
    /// 900). A request that fails refuses them all.
    pub async fn send(&self, tasks: &[(Task, u64)]) -> Sent {
        let mut entries = Vec::with_capacity(tasks.len());
        for (index, (task, delay)) in tasks.iter().enumerate() {
            // A task holds names and numbers; its entry has id and body, which is all that is required.
            let body = serde_json::to_string(task).unwrap_or_default();
            let delay = i32::try_from(*delay).unwrap_or(900);
            let entry = SendMessageBatchRequestEntry::builder()
                .id(index.to_string())
                .message_body(body)
                .delay_seconds(delay);
            entries.extend(entry.build().ok());
        }
        let sent =
            self.client.send_message_batch().queue_url(&self.url).set_entries(Some(entries)).send().await;
        let mut accepted = vec![false; tasks.len()];
        let action = || format!("sending {} tasks to {}", tasks.len(), self.url);
        match sent {
            Err(error) => Sent { accepted, refused: Some(AwsError::call(action(), &error)) },
            Ok(answer) => {
                for entry in answer.successful() {
                    if let Some(slot) =
                        entry.id().parse().ok().and_then(|index: usize| accepted.get_mut(index))
                    {
                        *slot = true;
                    }
                }
                let refused = answer.failed().first().map(|entry| AwsError::Call {
                    action: action(),
                    reason: format!("{}: {}", entry.code(), entry.message().unwrap_or("no reason given")),
                    passing: !entry.sender_fault(),
                });
                Sent { accepted, refused }
            }
        }
    }

    /// Receives up to `BATCH` messages, waiting for the first for at most `wait` seconds (20).
    ///
    /// # Errors
    /// When the queue can't be read.
    pub async fn receive(&self, wait: u32) -> Result<Vec<Message>, AwsError> {
        self.receive_for(wait, None).await
    }

    /// The same; others do not see them for so many seconds, as the queue says unless said here.
    pub(crate) async fn receive_for(
        &self,
        wait: u32,
        seconds: Option<i32>,
    ) -> Result<Vec<Message>, AwsError> {
        let answer = self
            .client
            .receive_message()
            .queue_url(&self.url)
            .max_number_of_messages(10)
            .wait_time_seconds(i32::try_from(wait.min(20)).unwrap_or(20))
            .set_visibility_timeout(seconds)
            .message_system_attribute_names(MessageSystemAttributeName::ApproximateReceiveCount)
            .message_system_attribute_names(MessageSystemAttributeName::SentTimestamp)
            .message_system_attribute_names(MessageSystemAttributeName::ApproximateFirstReceiveTimestamp)
            .message_system_attribute_names(MessageSystemAttributeName::SenderId)
            .send()
            .await
            .map_err(|error| AwsError::call(format!("receiving from {}", self.url), &error))?;
        let message = |message: &aws_sdk_sqs::types::Message| {
            let attribute =
                |name| message.attributes().and_then(|all| all.get(&name)).cloned().unwrap_or_default();
            Message {
                id: message.message_id().unwrap_or_default().into(),
                receipt: message.receipt_handle().unwrap_or_default().into(),
                body: message.body().unwrap_or_default().into(),
                deliveries: attribute(MessageSystemAttributeName::ApproximateReceiveCount)
                    .parse()
                    .unwrap_or(1),
                sent: attribute(MessageSystemAttributeName::SentTimestamp),
                first_received: attribute(MessageSystemAttributeName::ApproximateFirstReceiveTimestamp),
                sender: attribute(MessageSystemAttributeName::SenderId),
                md5: message.md5_of_body().unwrap_or_default().into(),
            }
        };
        Ok(answer.messages().iter().map(message).collect())
    }

    /// Deletes messages that were worked off. One that can't be deleted comes again, and is a duplicate.
    ///
    /// # Errors
    /// When the request fails.
    pub async fn delete(&self, receipts: &[String]) -> Result<(), AwsError> {
        for some in receipts.chunks(BATCH) {
            let mut request = self.client.delete_message_batch().queue_url(&self.url);
            for (index, receipt) in some.iter().enumerate() {
                let entry = aws_sdk_sqs::types::DeleteMessageBatchRequestEntry::builder()
                    .id(index.to_string())
                    .receipt_handle(receipt);
                if let Ok(entry) = entry.build() {
                    request = request.entries(entry);
                }
            }
            request
                .send()
                .await
                .map_err(|error| AwsError::call(format!("deleting from {}", self.url), &error))?;
        }
        Ok(())
    }
}
