//! The layer that carries a worker's calls, and faults one of them.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use http::{Request, Response};
use replicante_aws::{Broken, Transport};
use tokio::sync::Notify;

use super::Fault;
use super::call::{Call, client};

/// Which call is faulted, and how. Clones are handles of the same.
#[derive(Clone, Debug, Default)]
pub struct Faults(Arc<State>);

#[derive(Debug, Default)]
struct State {
    plan: Mutex<Plan>,
    crashed: Notify,
}

#[derive(Debug, Default)]
struct Plan {
    /// Calls so far: the id that all attempts of one share, and the first of them.
    calls: Vec<(String, Call)>,
    /// Which of them is faulted, and how.
    fault: Option<(Aim, Fault)>,
    /// The attempts of the faulted call so far.
    attempts: usize,
    struck: Option<String>,
}

/// Which call is meant.
#[derive(Clone, Debug)]
enum Aim {
    /// The one of this number, from 0.
    Number(usize),
    /// The first of this label.
    Label(String),
}

impl Faults {
    /// Counts calls anew, and faults the one of this number, from 0.
    pub fn arm(&self, call: usize, fault: Fault) {
        *self.plan() = Plan { fault: Some((Aim::Number(call), fault)), ..Plan::default() };
    }

    /// Counts calls anew, and faults the first of this label, wherever it comes: for calls that go out at once.
    pub fn aim(&self, label: &str, fault: Fault) {
        *self.plan() = Plan { fault: Some((Aim::Label(label.into()), fault)), ..Plan::default() };
    }

    /// Counts calls anew, and faults none.
    pub fn disarm(&self) {
        *self.plan() = Plan::default();
    }

    /// The calls since then, by operation.
    pub fn calls(&self) -> Vec<String> {
        self.plan().calls.iter().map(|(_, call)| call.operation.clone()).collect()
    }

    /// The same, with what each is about.
    pub fn labels(&self) -> Vec<String> {
        self.plan().calls.iter().map(|(_, call)| call.label()).collect()
    }

    /// The operation of the call that was faulted; `None` when there was none of that number, or when it is none that
    /// the fault applies to.
    pub fn struck(&self) -> Option<String> {
        self.plan().struck.clone()
    }

    /// Runs a worker until it ends, or dies of its fault. `None`: it died.
    pub async fn run<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            () = self.0.crashed.notified() => None,
            done = work => Some(done),
        }
    }

    fn plan(&self) -> MutexGuard<'_, Plan> {
        self.0.plan.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What happens to this attempt.
    fn judge(&self, call: &Call) -> Option<Fault> {
        let mut plan = self.plan();
        let number = plan.calls.iter().position(|(id, _)| *id == call.id).unwrap_or_else(|| {
            plan.calls.push((call.id.clone(), call.clone()));
            plan.calls.len() - 1
        });
        let (aim, fault) = plan.fault.clone()?;
        let faulted = match aim {
            Aim::Number(faulted) => faulted == number,
            Aim::Label(label) => {
                plan.calls.iter().position(|(_, call)| call.label() == label) == Some(number)
            }
        };
        if !faulted {
            return None;
        }
        plan.attempts += 1;
        let strikes = match fault {
            Fault::InPart | Fault::OutOfOrder => plan.attempts == 1 && call.is_batch(),
            Fault::UnsentForGood | Fault::UnansweredForGood => true,
            _ => plan.attempts == 1,
        };
        if !strikes {
            return None;
        }
        plan.struck = Some(call.operation.clone());
        // What got through once does not get through again.
        Some(if fault == Fault::UnansweredForGood && plan.attempts > 1 { Fault::Unsent } else { fault })
    }

    fn crash(&self) {
        self.0.crashed.notify_one();
    }
}

/// Carries the calls of workers, as [`Faults`] says.
#[derive(Clone, Debug)]
pub struct Layer {
    faults: Faults,
    client: reqwest::Client,
}

impl Layer {
    /// A layer for these faults.
    pub fn new(faults: &Faults) -> Arc<Self> {
        Arc::new(Layer { faults: faults.clone(), client: client() })
    }
}

impl Transport for Layer {
    fn carry(&self, request: Request<Bytes>) -> BoxFuture<'static, Result<Response<Bytes>, Broken>> {
        let layer = self.clone();
        async move {
            let call = Call::read(request);
            let fault = layer.faults.judge(&call);
            match call.carry(&layer.client, fault).await {
                Some(answer) => answer,
                None => {
                    layer.faults.crash();
                    std::future::pending().await
                }
            }
        }
        .boxed()
    }
}
