//! What is held of the dead letters: whoever looks at them hides them from others, and lets go at the end, whatever the
//! end is.

use std::future::Future;
use std::pin::pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use replicante_aws::{AwsError, Message, Queue};
use tokio::time::timeout;

use crate::error::CliError;
use crate::signals::Interrupts;

/// The exit code of what Ctrl-C ended, as shells have it.
const INTERRUPTED: u8 = 130;
/// How long the answer of a receive is waited for after Ctrl-C: it waits for messages for a second.
const RECEIVE: Duration = Duration::from_secs(3);

/// The messages that are held.
#[derive(Debug, Default)]
pub(super) struct Hold(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    held: Vec<(Queue, Message)>,
    is_receiving: bool,
    is_over: bool,
}

impl Hold {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does some work. Where it fails, or Ctrl-C ends it, what it holds is let go.
    pub(super) async fn during(
        &self,
        work: impl Future<Output = Result<(), CliError>>,
    ) -> Result<(), CliError> {
        let mut interrupts = Interrupts::watch()?;
        let mut work = pin!(work);
        let done = tokio::select! {
            done = &mut work => done,
            () = interrupts.next() => {
                self.state().is_over = true;
                // What a receive under way takes is known once it has answered.
                if self.state().is_receiving {
                    tokio::select! {
                        _ = timeout(RECEIVE, &mut work) => {}
                        () = interrupts.next() => {}
                    }
                }
                Err(CliError::Result(INTERRUPTED))
            }
        };
        if done.is_err() {
            // Nobody is told of a second failure: others see them when their time is over.
            tokio::select! {
                _ = self.let_go() => {}
                () = interrupts.next() => {}
            }
        }
        done
    }

    /// Up to ten messages more, hidden from others for so many seconds. Empty when there are no more.
    pub(super) async fn take(&self, dead: &Queue, seconds: i32) -> Result<Vec<Message>, CliError> {
        self.state().is_receiving = true;
        let taken = dead.hold(seconds).await;
        let mut state = self.state();
        state.is_receiving = false;
        let taken = taken?;
        state.held.extend(taken.iter().map(|message| (dead.clone(), message.clone())));
        if state.is_over { Err(CliError::Result(INTERRUPTED)) } else { Ok(taken) }
    }

    /// These are no longer there.
    pub(super) fn forget(&self, receipts: &[String]) {
        self.state().held.retain(|(_, message)| !receipts.contains(&message.receipt));
    }

    /// Lets go what is held: others see it at once.
    pub(super) async fn let_go(&self) -> Result<(), AwsError> {
        let mut held = std::mem::take(&mut self.state().held);
        while let Some((queue, first)) = held.pop() {
            let mut messages = vec![first];
            while let Some((_, message)) = held.pop_if(|(other, _)| other.url() == queue.url()) {
                messages.push(message);
            }
            queue.let_go(&messages).await?;
        }
        Ok(())
    }
}
