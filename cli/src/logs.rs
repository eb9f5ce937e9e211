//! Logs of the functions: off unless asked for, and never on the terminal that a command draws on.

use std::fs::File;
use std::io::IsTerminal;
use std::path::Path;

use tracing_subscriber::EnvFilter;

use crate::error::CliError;
use crate::out;

/// Where a command that shows something on the standard output puts logs.
///
/// To `file`, when there is one, at the level of `RUST_LOG` or `info`. Else `RUST_LOG` alone switches them on,
/// to the standard error output; where a screen is redrawn (`screen`) only if that is no terminal.
///
/// # Errors
/// When the file can't be opened.
pub fn start(file: Option<&Path>, screen: bool) -> Result<(), CliError> {
    let wanted = std::env::var("RUST_LOG").ok().filter(|filter| !filter.is_empty());
    if let Some(path) = file {
        let log = File::options()
            .create(true)
            .append(true)
            .open(path)
            .map_err(|error| CliError::file("opening the log", path, error))?;
        let filter = EnvFilter::new(wanted.as_deref().unwrap_or("info"));
        let subscriber =
            tracing_subscriber::fmt().with_env_filter(filter).with_ansi(false).with_writer(log).finish();
        return set(subscriber);
    }
    let Some(wanted) = wanted else { return Ok(()) };
    if screen && std::io::stderr().is_terminal() {
        return Ok(());
    }
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(wanted))
        .with_ansi(out::has_colours(&std::io::stderr()))
        .with_writer(std::io::stderr)
        .finish();
    set(subscriber)
}

fn set(subscriber: impl tracing::Subscriber + Send + Sync) -> Result<(), CliError> {
    tracing::subscriber::set_global_default(subscriber).map_err(|error| CliError::Failed(error.to_string()))
}
