//! What can go wrong with the local system.

use std::path::PathBuf;

use replicante_aws::AwsError;
use replicante_settings::SettingsError;

/// The local system could not be started.
#[derive(Debug, thiserror::Error)]
pub enum LocalError {
    /// A file of the data folder can't be used.
    #[error("{action} {path}: {source}")]
    File {
        /// What was tried.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// Why it failed.
        source: std::io::Error,
    },
    /// Another process uses the data folder.
    #[error("{0} is in use by another `replicante up`: stop it first, or give another folder with --data")]
    Locked(PathBuf),
    /// The database can't be opened.
    #[error("opening the database {path}: {problem}")]
    Database {
        /// The file; `memory` without one.
        path: String,
        /// What SQLite said.
        problem: String,
    },
    /// No port to listen on.
    #[error("listening on a loopback port: {0}")]
    Listen(std::io::Error),
    /// A service refused what the system needs.
    #[error(transparent)]
    Aws(#[from] AwsError),
    /// A line of the archive can't be read.
    #[error("line {line} of {path} is no record: {problem}. Move the file away to start without its history")]
    Archive {
        /// The archive.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        problem: String,
    },
    /// A service refused what was archived.
    #[error("loading the archived history: {0}")]
    Replay(String),
    /// A setting is wrong.
    #[error(transparent)]
    Settings(#[from] SettingsError),
}
