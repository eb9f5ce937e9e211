//! `bench`: what this machine does, measured.

use std::time::Duration;

use clap::{Args, Subcommand};
use replicante_model::time::human;

use crate::args::{between, duration, positive};
use crate::bench::apart::{self, Apart};
use crate::bench::figures::{Figures, Machine};
use crate::bench::{hanging, history, refresh, schedule, size};
use crate::error::CliError;
use crate::out::{self, Output};

/// Values of `bench`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  cargo run --release -- bench refresh\n  \
    cargo run --release -- bench size\n  cargo run --release -- bench schedule\n  \
    cargo run --release -- bench hanging\n  cargo run --release -- bench history\n\n\
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
    /// Agents that hang: how late they make the clusters that are well
    Hanging(HangingArgs),
    /// The history: how fast the stream is read, and whether following it keeps up
    History(HistoryArgs),
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

/// Values of `bench hanging`.
#[derive(Debug, Args)]
#[command(
    after_help = "Time is ten times as fast as by default: clusters are refreshed every 6 s instead of\n\
    60 s, agents have 1 s instead of 10 s, and the longest back-off is 1m instead of 10m.\n\
    It takes two minutes.\n\nExamples:\n  \
    replicante bench hanging                all agents of each fifth cluster hang\n  \
    replicante bench hanging --back-off 0s  ... and are asked every time\n  \
    replicante bench hanging --spread       one agent of each cluster hangs"
)]
pub struct HangingArgs {
    /// Clusters, of 5 nodes each
    #[arg(long, default_value_t = 400, value_name = "COUNT", value_parser = clap::value_parser!(u16).range(10..=2_000))]
    pub clusters: u16,
    /// Invocations of the refresh worker that may run at the same time: 20 are the template's default
    #[arg(long, default_value_t = 20, value_name = "COUNT", value_parser = clap::value_parser!(u16).range(1..=200))]
    pub invocations: u16,
    /// The longest time between two polls of a hanging agent; 0s asks every time
    #[arg(long, default_value = "1m", value_parser = duration, value_name = "TIME")]
    pub back_off: Duration,
    /// How often each cluster is refreshed; timeouts are in proportion: those of 60s are the defaults
    #[arg(long, default_value = "6s", value_parser = hanging_interval, value_name = "TIME")]
    pub interval: Duration,
    /// One agent of each cluster hangs, not all of each fifth: no cluster is well then, and all are measured
    #[arg(long)]
    pub spread: bool,
    /// How to show the figures
    #[arg(short, long, value_enum, default_value = "table")]
    pub output: Output,
}

/// A tick at least, which is a second here.
fn hanging_interval(text: &str) -> Result<Duration, String> {
    between(text, Duration::from_secs(1), Duration::from_secs(60))
}

/// Values of `bench history`.
#[derive(Debug, Args)]
pub struct HistoryArgs {
    /// Events that are read
    #[arg(long, default_value_t = 1_000_000, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1_000..=2_000_000))]
    pub records: u32,
    /// Events a second that are followed
    #[arg(long, default_value_t = 5_000, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(100..=50_000))]
    pub rate: u32,
    /// How long they are followed
    #[arg(long = "for", default_value = "20s", value_parser = positive, value_name = "TIME")]
    pub span: Duration,
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
        What::Hanging(args) => {
            let spread = if args.spread { " --spread" } else { "" };
            let command = format!(
                "replicante bench hanging --clusters {} --invocations {} --back-off {} --interval {}{spread}",
                args.clusters,
                args.invocations,
                human(args.back_off),
                human(args.interval)
            );
            let setup =
                "services, fleet and functions in one process, timeouts in proportion to the interval";
            let case = hanging::Case {
                clusters: args.clusters.into(),
                invocations: args.invocations.into(),
                back_off: args.back_off,
                interval: args.interval,
                spread: args.spread,
            };
            (command, setup, args.output, hanging::measure(&case).await?)
        }
        What::History(HistoryArgs { records, rate, span, output }) => {
            let span_shown = human(span);
            let command =
                format!("replicante bench history --records {records} --rate {rate} --for {span_shown}");
            let setup = "the embedded stream in one process, the readers in others";
            (command, setup, output, history::measure(records as usize, rate as usize, span).await?)
        }
        What::Apart { .. } => return Ok(()),
    };
    let figures = Figures { command, machine, setup, figures };
    if !output.wrote(|| &figures)? {
        figures.lines().into_iter().try_for_each(out::line)?;
    }
    if figures.are_met() { Ok(()) } else { Err(CliError::Failed("a figure is not what it should be".into())) }
}
