//! A turnstile: the calls of all workers wait at it, and go through one at a time, as whoever turns it says.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use http::{Request, Response};
use replicante_aws::{Broken, Transport};
use tokio::sync::{Notify, oneshot};

use super::Fault;
use super::call::{Call, client};

/// The turnstile. Clones are handles of the same.
#[derive(Clone, Debug)]
pub struct Turnstile(Arc<Inside>);

#[derive(Debug)]
struct Inside {
    waiting: Mutex<Vec<Waiting>>,
    /// Rung when somebody arrives, or when a worker ends.
    bell: Notify,
    client: reqwest::Client,
}

/// A call that waits.
#[derive(Debug)]
pub struct Waiting {
    /// Whose it is.
    pub worker: usize,
    call: Call,
    verdict: oneshot::Sender<Verdict>,
}

#[derive(Debug)]
struct Verdict {
    fault: Option<Fault>,
    /// Rung when the call is over.
    over: oneshot::Sender<()>,
}

/// A call whose worker no longer waits for it. It may still land.
pub struct InTheAir(Call);

impl std::fmt::Debug for InTheAir {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} in the air", self.0.operation)
    }
}

impl Default for Turnstile {
    fn default() -> Self {
        Turnstile(Arc::new(Inside { waiting: Mutex::default(), bell: Notify::new(), client: client() }))
    }
}

impl Turnstile {
    /// The transport of a worker.
    pub fn gate(&self, worker: usize) -> Arc<Gate> {
        Arc::new(Gate { turnstile: self.clone(), worker })
    }

    /// Says that a worker has ended.
    pub fn ended(&self) {
        self.0.bell.notify_one();
    }

    /// How many calls of this worker wait.
    pub fn waiting(&self, worker: usize) -> usize {
        self.lock()
            .iter()
            .filter(|waiting| !waiting.is_given_up())
            .filter(|waiting| waiting.worker == worker)
            .count()
    }

    /// Waits until `quiet` says that all workers have ended or wait here.
    pub async fn until(&self, quiet: impl Fn() -> bool) {
        while !quiet() {
            self.0.bell.notified().await;
        }
    }

    /// All calls that wait, in the order of their workers and arrivals.
    pub fn queue(&self) -> Vec<(usize, String)> {
        self.lock().iter().map(|waiting| (waiting.worker, waiting.call.operation.clone())).collect()
    }

    /// Takes a call out of the queue.
    pub fn take(&self, place: usize) -> Waiting {
        self.lock().remove(place)
    }

    /// Takes all calls of a worker out of the queue.
    pub fn take_all(&self, worker: usize) -> Vec<Waiting> {
        self.lock().extract_if(.., |waiting| waiting.worker == worker).collect()
    }

    /// Takes the calls out of the queue that nobody waits for any more: when one of several fails, a worker drops the
    /// others.
    pub fn take_given_up(&self) -> Vec<Waiting> {
        self.lock().extract_if(.., |waiting| waiting.is_given_up()).collect()
    }

    /// Lets a call land that was in the air. Nobody hears of it.
    pub async fn land(&self, InTheAir(call): InTheAir) {
        let _ = call.carry(&self.0.client, None).await;
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Waiting>> {
        self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    /// Whether it is a batch, of which single entries may fail.
    pub fn is_batch(&self) -> bool {
        self.call.is_batch()
    }

    fn is_given_up(&self) -> bool {
        self.verdict.is_closed()
    }

    /// Lets it through, and waits until it is over.
    pub async fn pass(self, fault: Option<Fault>) {
        let (over, done) = oneshot::channel();
        if self.verdict.send(Verdict { fault, over }).is_ok() {
            let _ = done.await;
        }
    }

    /// The call goes on while its worker dies.
    pub fn abandoned(self) -> InTheAir {
        InTheAir(self.call)
    }

    /// The call goes on without its worker, which hears that the connection broke if it still lives.
    pub async fn fly(self) -> InTheAir {
        let call = self.call.clone();
        self.pass(Some(Fault::Unsent)).await;
        InTheAir(call)
    }
}

/// The way of one worker to the turnstile.
#[derive(Debug)]
pub struct Gate {
    turnstile: Turnstile,
    worker: usize,
}

impl Transport for Gate {
    fn carry(&self, request: Request<Bytes>) -> BoxFuture<'static, Result<Response<Bytes>, Broken>> {
        let (turnstile, worker) = (self.turnstile.clone(), self.worker);
        async move {
            let call = Call::read(request);
            let (verdict, told) = oneshot::channel();
            {
                let mut waiting = turnstile.lock();
                let place = waiting.partition_point(|other| other.worker <= worker);
                waiting.insert(place, Waiting { worker, call: call.clone(), verdict });
            }
            turnstile.0.bell.notify_one();
            let Ok(Verdict { fault, over }) = told.await else { return Err(Broken::Unsent) };
            let carried = call.carry(&turnstile.0.client, fault).await;
            drop(over);
            match carried {
                Some(answer) => answer,
                None => std::future::pending().await,
            }
        }
        .boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_that_its_worker_gave_up_is_taken_apart() {
        let turnstile = Turnstile::default();
        let arrive = |worker| {
            let mut call = turnstile.gate(worker).carry(Request::new(Bytes::new()));
            assert!(call.as_mut().now_or_never().is_none());
            call
        };
        let (given_up, _waits) = (arrive(0), arrive(1));
        assert!(turnstile.take_given_up().is_empty());
        drop(given_up);
        assert_eq!((turnstile.waiting(0), turnstile.waiting(1)), (0, 1));
        let workers =
            |waiting: Vec<Waiting>| waiting.iter().map(|waiting| waiting.worker).collect::<Vec<_>>();
        assert_eq!(workers(turnstile.take_given_up()), [0]);
        assert_eq!(turnstile.queue().iter().map(|(worker, _)| *worker).collect::<Vec<_>>(), [1]);
    }
}
