//! The discovery scheduler: queues a task for each of the discoveries that is due.
//!
//! Triggered by a schedule. The pass itself is `replicante-scheduler`'s.

use aws_lambda_events::event::eventbridge::EventBridgeEvent;
use lambda_runtime::{Error, LambdaEvent};
use replicante_aws::{Clients, Queue, Table};
use replicante_model::{Kind, Timestamp};
use replicante_scheduler::{Pass, Scheduler};
use replicante_settings::Settings;

/// The function: built once a process, called once an invocation.
pub struct DiscoveryScheduler {
    scheduler: Scheduler,
}

impl DiscoveryScheduler {
    /// Builds the function from its settings.
    pub fn new(clients: &Clients, settings: &Settings) -> Self {
        let table = Table::new(clients, &settings.table);
        let queue = Queue::new(clients, &settings.discovery_queue);
        DiscoveryScheduler { scheduler: Scheduler::new(Kind::Discovery, table, queue, settings) }
    }

    /// Handles one schedule event.
    ///
    /// # Errors
    /// When a part of the pass failed: the invocation then counts as failed, and the next pass does the rest.
    pub async fn handle(&self, _: LambdaEvent<EventBridgeEvent>) -> Result<Pass, Error> {
        let pass = self.scheduler.pass(Timestamp::now()).await;
        match &pass.error {
            None => Ok(pass),
            Some(error) => Err(error.clone().into()),
        }
    }
}
