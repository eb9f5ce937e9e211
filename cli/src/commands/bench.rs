//! `bench`: what this machine does, measured.

use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use replicante_model::time::human;

use crate::args::positive;
use crate::bench::apart::{self, Apart};
use crate::bench::figures::{Figures, Machine};
use crate::bench::{refresh, schedule, size};
use crate::error::CliError;
use crate::out;

/// Values of `bench`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  cargo run --release -- bench refresh\n  \
    cargo run --release -- bench size\n  cargo run --release -- bench schedule\n\n\
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
    /// The first sight of something large, on a stream with the limits of AWS
    Size(SizeArgs),
    /// One pass of the scheduler over very many clusters
    Schedule(ScheduleArgs),
    /// A function in a process of its own, for the others
    #[command(hide = true)]
    Apart {
        /// Which
        #[command(subcommand)]
        what: Apart,
    },
}

/// Values of `bench size`.
#[derive(Debug, Args)]
pub struct SizeArgs {
    /// Nodes of the cluster of many nodes, of 10 shards each
    #[arg(long, default_value_t = 5_000, value_name = "COUNT", value_parser = clap::value_parser!(u16).range(1..=10_000))]
    pub nodes: u16,
    /// Shards of the node of many shards
    #[arg(long, default_value_t = 50_000, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=200_000))]
    pub shards: u32,
    /// How to show the figures
    #[arg(short, long, value_enum, default_value = "table")]
    pub output: Output,
}

/// Values of `bench schedule`.
#[derive(Debug, Args)]
pub struct ScheduleArgs {
    /// Clusters
    #[arg(long, default_value_t = 100_000, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub clusters: u32,
    /// How to show the figures
    #[arg(short, long, value_enum, default_value = "table")]
    pub output: Output,
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
    if let What::Apart { what } = &args.what {
        return apart::run(what).await;
    }
    let machine = Machine::this();
    if machine.build == "debug" {
        out::note("this is a debug build: its figures say little; use cargo run --release -- bench");
    }
    let (command, setup, output, figures) = match args.what {
        What::Refresh(args) => {
            let command = format!("replicante bench refresh --for {}", human(args.span));
            let setup = "services, fleet and worker in one process";
            (command, setup, args.output, refresh::measure(args.span).await?)
        }
        What::Size(SizeArgs { nodes, shards, output }) => {
            let command = format!("replicante bench size --nodes {nodes} --shards {shards}");
            let setup = "the worker in a process of its own";
            (command, setup, output, size::measure(nodes.into(), shards as usize).await?)
        }
        What::Schedule(ScheduleArgs { clusters, output }) => {
            let command = format!("replicante bench schedule --clusters {clusters}");
            let setup = "the scheduler in a process of its own";
            (command, setup, output, schedule::measure(clusters as usize).await?)
        }
        What::Apart { .. } => return Ok(()),
    };
    let figures = Figures { command, machine, setup, figures };
    match output {
        Output::Json => out::json(&figures)?,
        Output::Table => figures.lines().into_iter().try_for_each(out::line)?,
    }
    if figures.are_met() { Ok(()) } else { Err(CliError::Failed("a figure is not what it should be".into())) }
}
