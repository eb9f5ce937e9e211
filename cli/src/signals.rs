//! Ctrl-C and its kin: the first asks for a clean end, the next for an end at once.

use tokio::time::Instant;

use crate::error::CliError;

/// Waits for requests to end.
#[derive(Debug)]
pub struct Interrupts {
    #[cfg(unix)]
    signals: [tokio::signal::unix::Signal; 2],
}

impl Interrupts {
    /// From now on SIGINT and SIGTERM no longer end the process by themselves. SIGHUP is left as it is: under `nohup`
    /// it is ignored, and stays so.
    ///
    /// # Errors
    /// When the system refuses it.
    #[cfg(unix)]
    pub fn watch() -> Result<Self, CliError> {
        use tokio::signal::unix::{SignalKind, signal};
        let watch =
            |kind| signal(kind).map_err(|error| CliError::Failed(format!("watching for Ctrl-C: {error}")));
        Ok(Interrupts { signals: [watch(SignalKind::interrupt())?, watch(SignalKind::terminate())?] })
    }

    /// From now on Ctrl-C no longer ends the process by itself.
    ///
    /// # Errors
    /// None on this system.
    #[cfg(not(unix))]
    pub fn watch() -> Result<Self, CliError> {
        Ok(Interrupts {})
    }

    /// Waits for the next request.
    #[cfg(unix)]
    pub async fn next(&mut self) {
        let [interrupt, terminate] = &mut self.signals;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    }

    /// Waits for the next request.
    #[cfg(not(unix))]
    pub async fn next(&mut self) {
        let _ = tokio::signal::ctrl_c().await;
    }
}

/// Waits for a time, or for ever.
pub async fn until(end: Option<Instant>) {
    match end {
        Some(end) => tokio::time::sleep_until(end).await,
        None => std::future::pending().await,
    }
}
