//! The command line of Replicante Serverless.
//!
//! ```text
//! args.rs      the commands                 commands/   one file each: what it does, in order
//! place.rs     where the system is          files.rs    files of objects: read, checked, applied
//! contexts.rs  names for systems
//! order.rs     events in order, each once   history.rs  the stream's shards as one sequence
//! tally.rs     what task reports add up to  view/       pure: from what is known to the lines people see
//! check.rs     the promise, checked         records.rs  all records of a kind
//! runs.rs      the log of tasks that `up` keeps  wait.rs  until a task is done
//! health.rs    pure: what is not well        diagnosis/  pure: what `doctor` makes of what it found
//! demo/        the demo's screen and end    bench/      measurements
//! restore/     a restored table's epochs     capacity/   pure: what a fleet needs, and its price
//! out.rs       writing, closed pipes        progress.rs  that something goes on
//! logs.rs, signals.rs, error.rs
//! ```
//!
//! Commands read and write through the same adapter as the functions. They write objects and tasks; state and
//! events are the workers' alone, but for `restore-check`, which runs while no worker does.

pub mod args;
pub mod bench;
pub mod capacity;
pub mod check;
pub mod commands;
pub mod contexts;
pub mod demo;
pub mod diagnosis;
pub mod error;
#[cfg(test)]
mod examples;
pub mod files;
pub mod health;
pub mod history;
pub mod logs;
pub mod order;
pub mod out;
pub mod place;
pub mod progress;
pub mod records;
pub mod restore;
pub mod runs;
pub mod signals;
pub mod tally;
pub mod view;
pub mod wait;

use std::process::ExitCode;

use clap::CommandFactory;
use replicante_model::Kind;

use crate::args::{Cli, Command};
use crate::error::CliError;
use crate::view::style::Tone;

/// Reads the command line and runs the command. Exit codes: 0 it worked, 1 something failed, 2 wrong usage; some commands
/// have more.
pub fn main() -> ExitCode {
    let words: Vec<_> = std::env::args_os().collect();
    let cli = match Cli::read(&words) {
        Ok(cli) => cli,
        Err(error) => return fail(&error),
    };
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&CliError::Failed(format!("starting threads: {error}"))),
    };
    let result = runtime.block_on(async {
        // What shows something by itself, until it is told to end, needs nobody to say that it goes on.
        if cli.command.is_lasting() { run(cli).await } else { progress::during(run(cli)).await }
    });
    // What still runs (a read of the standard input, a listener) must not hold up the end.
    runtime.shutdown_background();
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error),
    }
}

fn fail(error: &CliError) -> ExitCode {
    if !matches!(error, CliError::Closed | CliError::Result(_)) {
        out::note(format_args!("{} {}", Tone::Bad.paint("error:"), error.shown()));
    }
    ExitCode::from(error.exit_code())
}

/// Runs a command.
///
/// # Errors
/// Whatever keeps it from what it was asked for.
pub async fn run(cli: Cli) -> Result<(), CliError> {
    match cli.command {
        Command::Demo(args) => commands::demo::run(args).await,
        Command::Up(args) => commands::up::run(args).await,
        Command::Context(args) => commands::context::run(args),
        Command::Get(args) => commands::get::run(args).await,
        Command::Events(args) => commands::events::run(args).await,
        Command::At(args) => commands::past::at(args).await,
        Command::Diff(args) => commands::past::difference(args).await,
        Command::Status(args) => commands::status::run(args).await,
        Command::Runs(args) => commands::runs::run(args).await,
        Command::Doctor(args) => commands::doctor::run(args).await,
        Command::Dlq(args) => commands::dlq::run(args).await,
        Command::Apply(args) => commands::apply::run(args).await,
        Command::Validate(args) => commands::validate::run(&args),
        Command::Export(args) => commands::export::run(args).await,
        Command::Delete(args) => commands::delete::run(args).await,
        Command::Refresh(args) => commands::task::run(args, Kind::Cluster).await,
        Command::Discover(args) => commands::task::run(args, Kind::Discovery).await,
        Command::Discovery(args) => commands::discovery::run(args).await,
        Command::Forget(args) => commands::forget::forget(args).await,
        Command::Unforget(args) => commands::forget::unforget(args).await,
        Command::Maintenance(args) => commands::maintenance::run(args).await,
        Command::Pause(args) => commands::pause::pause(args).await,
        Command::Resume(args) => commands::pause::resume(args).await,
        Command::Capacity(args) => commands::capacity::run(&args),
        Command::RestoreCheck(args) => commands::restore_check::run(args).await,
        Command::Bench(args) => commands::bench::run(args).await,
        Command::Fleet(args) => commands::fleet::run(args).await,
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "replicante", &mut script);
            out::raw(script.trim_ascii_end())
        }
    }
}
