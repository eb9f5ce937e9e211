//! `bench`: what this machine does, measured.

use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};

use crate::args::positive;
use crate::bench::figures::{Figures, Machine};
use crate::bench::refresh;
use crate::error::CliError;
use crate::out;

/// Values of `bench`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  cargo run --release -- bench refresh\n\n\
    Exits with 1 when a figure is not what it should be. Measure with a release build.")]
pub struct BenchArgs {
    /// What to measure
    #[command(subcommand)]
    pub what: What,
}

/// What can be measured.
#[derive(Debug, Subcommand)]
pub enum What {
    /// Refreshes: how many a second, how long one takes, what one costs
    Refresh(RefreshArgs),
}

/// Values of `bench refresh`.
#[derive(Debug, Args)]
pub struct RefreshArgs {
    /// How long each measurement lasts
    #[arg(long = "for", default_value = "10s", value_parser = positive, value_name = "TIME")]
    pub span: Duration,
    /// How to show the figures
    #[arg(short, long, value_enum, default_value = "table")]
    pub output: Output,
}

/// How figures are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people
    Table,
    /// For programs
    Json,
}

/// Runs the command.
///
/// # Errors
/// When a refresh fails, or a figure is not what it should be.
pub async fn run(args: BenchArgs) -> Result<(), CliError> {
    let What::Refresh(args) = args.what;
    let machine = Machine::this();
    if machine.build == "debug" {
        out::note("this is a debug build: its figures say little; use cargo run --release -- bench refresh");
    }
    let span = replicante_model::time::human(args.span);
    let command = format!("replicante bench refresh --for {span}");
    let figures = Figures { command, machine, figures: refresh::measure(args.span).await? };
    match args.output {
        Output::Json => out::json(&figures)?,
        Output::Table => figures.lines().into_iter().try_for_each(out::line)?,
    }
    if figures.are_met() { Ok(()) } else { Err(CliError::Failed("a figure is not what it should be".into())) }
}
