//! The worker function: a job, and what carries out its tasks.

use aws_lambda_events::event::sqs::{SqsBatchResponse, SqsEvent};
use lambda_runtime::LambdaEvent;
use replicante_aws::{Clients, Stream, Table};
use replicante_settings::Settings;

use crate::batch::{Deadline, run_batch};
use crate::driver::Worker;
use crate::job::Job;
use crate::report::Observer;

/// A worker function: built once a process, called once an invocation.
pub struct Function<J> {
    worker: Worker,
    job: J,
    concurrency: usize,
}

impl<J: Job> Function<J> {
    /// Builds the function from its settings.
    pub fn new(clients: &Clients, settings: &Settings) -> Self {
        let table = Table::new(clients, &settings.table);
        let stream = Stream::new(clients, &settings.stream);
        Function {
            worker: Worker::new(table, stream, settings),
            job: J::new(clients, settings),
            concurrency: settings.concurrency,
        }
    }

    /// The same function, with somebody who is told how each task went.
    #[must_use]
    pub fn observed(mut self, observer: Observer) -> Self {
        self.worker = self.worker.observed(observer);
        self
    }

    /// Handles one batch of tasks.
    pub async fn handle(&self, event: LambdaEvent<SqsEvent>) -> SqsBatchResponse {
        let deadline = Deadline::of(&event.context);
        run_batch(event.payload, self.concurrency, |task| self.worker.run(&self.job, task, deadline)).await
    }
}
