//! Errors, as users see them: what was tried, on what, and the way out.

use std::io;
use std::path::PathBuf;

use replicante_aws::AwsError;
use replicante_fleet::{FleetError, ScriptError};
use replicante_local::LocalError;
use replicante_objects::ObjectError;

use crate::view::text::clean;

/// Why a command ended without doing what it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// Whoever reads the output went away (`| head`): no error, the command just ends.
    #[error("the output was closed")]
    Closed,
    /// The output can't be written.
    #[error("writing the output: {0}")]
    Output(io::Error),
    /// The services refused something, or can't be reached.
    #[error(transparent)]
    Aws(#[from] AwsError),
    /// The local system can't start.
    #[error(transparent)]
    Local(#[from] LocalError),
    /// The simulated fleet can't start.
    #[error(transparent)]
    Fleet(#[from] FleetError),
    /// A file can't be read or written.
    #[error("{action} {path}: {source}")]
    File {
        /// What was tried.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// A script of the fleet is wrong.
    #[error("{path}: {source}")]
    Script {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: ScriptError,
    },
    /// Files of objects hold errors.
    #[error("{}", objects(.0))]
    Objects(Vec<ObjectError>),
    /// Anything else that failed, in one sentence with the way out.
    #[error("{0}")]
    Failed(String),
    /// A command that did what it was asked for, and whose result is an exit code: nothing is left to say.
    #[error("exit code {0}")]
    Result(u8),
    /// A command that can't be meant so.
    #[error("{0}")]
    Usage(String),
}

impl CliError {
    /// Whether the same may work some time later: see [`AwsError::is_passing`].
    pub fn is_passing(&self) -> bool {
        matches!(self, CliError::Aws(error) if error.is_passing())
    }

    /// The exit code: 0 for a closed pipe, 2 for wrong usage, else 1.
    pub fn exit_code(&self) -> u8 {
        match self {
            CliError::Closed => 0,
            CliError::Usage(_) => 2,
            CliError::Result(code) => *code,
            _ => 1,
        }
    }

    /// What people are shown of it: one line without what could steer a terminal, whatever it holds of names, stored
    /// values and answers. Files of objects alone have a line for each of their errors.
    pub fn shown(&self) -> String {
        match self {
            CliError::Objects(errors) => objects(errors),
            error => clean(&error.to_string()).into_owned(),
        }
    }

    /// Output that could not be written.
    pub fn output(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe { CliError::Closed } else { CliError::Output(error) }
    }

    /// A file that can't be used.
    pub fn file(action: &'static str, path: impl Into<PathBuf>, source: io::Error) -> Self {
        CliError::File { action, path: path.into(), source }
    }
}

/// All errors of the files, one a line, and what that means.
fn objects(errors: &[ObjectError]) -> String {
    let mut text: String = errors.iter().map(|error| format!("{}\n", clean(&error.to_string()))).collect();
    let errors = if errors.len() == 1 { "1 error".into() } else { format!("{} errors", errors.len()) };
    text.push_str(&format!("{errors}: nothing was applied"));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_closed_pipe_is_no_failure_and_wrong_usage_is_2() {
        assert_eq!(CliError::output(io::ErrorKind::BrokenPipe.into()).exit_code(), 0);
        assert_eq!(CliError::output(io::ErrorKind::StorageFull.into()).exit_code(), 1);
        assert_eq!(CliError::Usage("x".into()).exit_code(), 2);
    }

    #[test]
    fn an_error_is_one_line_whatever_is_in_what_it_tells() {
        let aws = AwsError::Call {
            action: "reading shard\n\u{1b}[2J".into(),
            reason: "first\r\nsecond".into(),
            passing: false,
        };
        insta::assert_snapshot!(CliError::from(aws).shown(), @"reading shard��[2J failed: first��second");
        let name = "a\u{1b}[31m\n.yaml";
        let kinds = replicante_sources::kinds();
        let minute = std::time::Duration::from_secs(60);
        let errors = replicante_objects::parse(name, "", minute, &kinds).unwrap_err();
        insta::assert_snapshot!(CliError::Objects(errors).shown(), @"
        a�[31m�.yaml:1: the file holds no object; expected at least one with apiVersion, kind, metadata and spec
        1 error: nothing was applied
        ");
    }

    #[test]
    fn every_error_of_a_file_of_objects_is_shown_with_its_line() {
        let text = "apiVersion: replicante.io/v0\nkind: Discovery\nmetadata: { name: fleet }\nspec:\n  intervall: 60s\n  source: { file: { path: x.json } }\n  refresh: { interval: 10 }\n";
        let minute = std::time::Duration::from_secs(60);
        let kinds = replicante_sources::kinds();
        let errors = replicante_objects::parse("fleet.yaml", text, minute, &kinds).unwrap_err();
        insta::assert_snapshot!(CliError::Objects(errors).shown(), @"
        fleet.yaml:5: unknown field `spec.intervall`; did you mean `interval`?
        fleet.yaml:7: `spec.refresh.interval` is `10`; expected a whole number and a unit (ms, s, m, h, d), like 30s or 1h30m
        2 errors: nothing was applied
        ");
    }
}
