//! Writing to people and to pipes. Nothing here panics when the other end is closed.

use std::fmt::Display;
use std::io::{IsTerminal, Write};

use clap::ValueEnum;
use serde::Serialize;

use crate::error::CliError;
use crate::progress;

/// How a command shows its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people
    #[value(alias = "text")]
    Table,
    /// For programs
    Json,
    /// The same as YAML
    Yaml,
}

impl Output {
    /// Writes an answer for programs. Returns whether it did: people get lines instead.
    ///
    /// # Errors
    /// [`CliError::Closed`] when nobody reads any more.
    pub fn wrote<T: Serialize>(self, answer: impl FnOnce() -> T) -> Result<bool, CliError> {
        match self {
            Output::Table => return Ok(false),
            Output::Json => json(&answer())?,
            Output::Yaml => yaml(&answer())?,
        }
        Ok(true)
    }
}

/// Writes one line to the standard output. Styles are dropped where it is no terminal or `NO_COLOR` is set.
///
/// # Errors
/// [`CliError::Closed`] when nobody reads any more.
pub fn line(text: impl Display) -> Result<(), CliError> {
    progress::answer();
    writeln!(anstream::stdout().lock(), "{text}").map_err(CliError::output)
}

/// Writes bytes and the end of a line, as they are.
///
/// # Errors
/// [`CliError::Closed`] when nobody reads any more.
pub fn raw(bytes: &[u8]) -> Result<(), CliError> {
    progress::answer();
    let mut out = std::io::stdout().lock();
    out.write_all(bytes).and_then(|()| out.write_all(b"\n")).map_err(CliError::output)
}

/// Writes a value as indented JSON.
///
/// # Errors
/// [`CliError::Closed`] when nobody reads any more.
pub fn json(value: &impl Serialize) -> Result<(), CliError> {
    let text = serde_json::to_vec_pretty(value).map_err(|error| CliError::Failed(error.to_string()))?;
    raw(&text)
}

/// Writes a value as YAML.
///
/// # Errors
/// [`CliError::Closed`] when nobody reads any more.
pub fn yaml(value: &impl Serialize) -> Result<(), CliError> {
    raw(as_yaml(value)?.as_bytes())
}

/// A value as YAML, without the end of its last line.
///
/// # Errors
/// When it can't be written so.
pub fn as_yaml(value: &impl Serialize) -> Result<String, CliError> {
    let text = serde_saphyr::to_string(value).map_err(|error| CliError::Failed(error.to_string()))?;
    Ok(text.trim_end().to_owned())
}

/// Writes a note to the standard error output: it never mixes with what a pipe takes.
pub fn note(text: impl Display) {
    // Nobody to tell is no reason to stop.
    let _ = progress::aside(|| writeln!(anstream::stderr().lock(), "{text}"));
}

/// Writes text to the standard output at once, as it is.
///
/// # Errors
/// [`CliError::Closed`] when nobody reads any more.
pub fn now(text: &str) -> Result<(), CliError> {
    progress::answer();
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(CliError::output)
}

/// Whether a stream is to have colours: it is a terminal that knows them, and `NO_COLOR` is not set.
pub fn has_colours(stream: &impl anstream::stream::RawStream) -> bool {
    anstream::AutoStream::choice(stream) != anstream::ColorChoice::Never
}

/// Whether the standard output is a terminal that can be redrawn.
pub fn is_screen() -> bool {
    std::io::stdout().is_terminal() && std::env::var("TERM").is_ok_and(|term| term != "dumb")
}

/// Width and height of the terminal that the standard output is, if it is one.
pub fn size() -> Option<(usize, usize)> {
    let (width, height) = terminal_size::terminal_size_of(std::io::stdout())?;
    // Some terminals say 0 when they do not know.
    (width.0 > 0 && height.0 > 0).then_some((usize::from(width.0), usize::from(height.0)))
}

/// What to type before the name of a command: whoever came by `cargo run` goes on with it.
pub fn program() -> &'static str {
    match std::env::var_os("CARGO_PKG_NAME") {
        Some(_) => "cargo run --release --",
        None => "replicante",
    }
}
