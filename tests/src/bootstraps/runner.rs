//! What EventBridge, SQS and Lambda do: schedules fire, queues are polled, processes are invoked.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use replicante_aws::Queue;
use replicante_local::{Local, Stopped, done, schedule_payload, sqs_payload};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::deployed::Deployed;
use super::sandbox::{Ended, Function};
use crate::system::Failure;

/// How long a receive waits for a message, in seconds.
const WAIT: u32 = 1;

/// The four functions, running by themselves.
pub struct Bootstraps {
    stopping: Arc<AtomicBool>,
    tasks: JoinSet<Result<(), Failure>>,
}

impl Bootstraps {
    /// Starts schedules and pollers, with at most so many invocations of each worker at the same time. `most` is how long
    /// an invocation may last.
    pub fn start(local: &Local, deployed: &Deployed, invocations: usize, most: Duration) -> Self {
        let stopping = Arc::new(AtomicBool::new(false));
        let mut tasks = JoinSet::new();
        for (function, rule) in
            [(Function::DiscoveryScheduler, "discovery"), (Function::RefreshScheduler, "refresh")]
        {
            let (deployed, stop, tick) = (deployed.clone(), Arc::clone(&stopping), local.settings.tick);
            tasks.spawn(async move {
                let mut ticks = interval(tick);
                ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
                while !stop.load(Ordering::Acquire) {
                    ticks.tick().await;
                    let ended = deployed.invoke(function, &schedule_payload(rule), most).await?;
                    if !matches!(ended, Ended::Answered(_)) {
                        eprintln!("{}: {ended:?}", function.name());
                    }
                }
                Ok(())
            });
        }
        for (function, queue) in [
            (Function::DiscoveryWorker, &local.settings.discovery_queue),
            (Function::RefreshWorker, &local.settings.refresh_queue),
        ] {
            for _ in 0..invocations {
                let queue = Queue::new(&local.clients, queue);
                tasks.spawn(poll(queue, function, deployed.clone(), Arc::clone(&stopping), most));
            }
        }
        Bootstraps { stopping, tasks }
    }

    /// Stops: no invocation begins, and what is under way may end within `grace`.
    ///
    /// # Errors
    /// What kept a schedule or a poller from going on.
    pub async fn stop(mut self, grace: Duration) -> Result<Stopped, Failure> {
        self.stopping.store(true, Ordering::Release);
        let finish = async {
            while let Some(ended) = self.tasks.join_next().await {
                ended??;
            }
            Ok(())
        };
        match timeout(grace, finish).await {
            Ok(ended) => ended.map(|()| Stopped::Finished),
            Err(_) => Ok(Stopped::LeftWork),
        }
    }
}

/// Hands what the queue gives to the function, and deletes what is done. What is not comes again by itself.
async fn poll(
    queue: Queue,
    function: Function,
    deployed: Deployed,
    stop: Arc<AtomicBool>,
    most: Duration,
) -> Result<(), Failure> {
    while !stop.load(Ordering::Acquire) {
        let messages = queue.receive(WAIT).await?;
        if messages.is_empty() {
            continue;
        }
        let answer = deployed.batch(function, &sqs_payload(queue.url(), &messages), most).await?;
        let done = done(messages, Some(answer));
        if !done.is_empty() {
            queue.delete(&done).await?;
        }
    }
    Ok(())
}
