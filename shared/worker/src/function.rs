//! The worker function: a job, and what carries out its tasks.

use aws_lambda_events::event::sqs::{SqsBatchResponse, SqsEvent};
use lambda_runtime::LambdaEvent;
use replicante_aws::{Clients, Stream, Table};
use replicante_metrics::Emitter;
use replicante_model::Timestamp;
use replicante_settings::Settings;

use crate::batch::{Deadline, run_batch};
use crate::driver::Worker;
use crate::job::Job;
use crate::metrics::measures;
use crate::report::Observer;

/// A worker function: built once a process, called once an invocation.
pub struct Function<J> {
    worker: Worker,
    job: J,
    concurrency: usize,
    deployment: String,
    emitter: Option<Emitter>,
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
            deployment: settings.deployment.clone(),
            emitter: None,
        }
    }

    /// The same function, with somebody who is told how each task went.
    #[must_use]
    pub fn observed(mut self, observer: Observer) -> Self {
        self.worker = self.worker.observed(observer);
        self
    }

    /// The same function, that hands the metrics of each invocation to `write`: one line, without its end.
    #[must_use]
    pub fn measured(mut self, write: impl Fn(&str) + Send + Sync + 'static) -> Self {
        let function = replicante_metrics::Function::worker(J::KIND);
        self.emitter = Some(Emitter::new(&self.deployment, function, write));
        self
    }

    /// Handles one batch of tasks.
    pub async fn handle(&self, event: LambdaEvent<SqsEvent>) -> SqsBatchResponse {
        let deadline = Deadline::of(&event.context);
        let run = |task| self.worker.run(&self.job, task, deadline);
        let (response, reports) = run_batch(event.payload, self.concurrency, run).await;
        if let Some(emitter) = &self.emitter {
            emitter.emit(&measures(&reports), Timestamp::now());
        }
        response
    }
}
