//! `capacity`: what a fleet needs of AWS, what that costs, and which quota is met first.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use replicante_model::time::human;
use serde::Serialize;

use crate::args::between;
use crate::capacity::Fleet;
use crate::capacity::bill::Bill;
use crate::capacity::load::Load;
use crate::capacity::prices::Prices;
use crate::capacity::quotas::{Quota, quotas};
use crate::error::CliError;
use crate::out;
use crate::view::table::{Cell, table};

/// Values of `capacity`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    replicante capacity --clusters 1000 --nodes 5 --interval 60s\n  \
    replicante capacity --clusters 100,10000 --nodes 5 --interval 60s --batch 1,10\n  \
    replicante capacity --clusters 1000 --nodes 5 --interval 60s --prices eu.json\n\n\
    One fleet is shown item by item, several a line each; prices may be another region's.\n\
    A file of prices holds an object with some or all of the fields that `-o json`\n\
    shows. docs/cost.md says where the figures are from, and what is left out.")]
pub struct CapacityArgs {
    /// Clusters
    #[arg(long, value_name = "NUMBER", required = true, value_delimiter = ',', value_parser = clap::value_parser!(u64).range(1..=100_000_000))]
    pub clusters: Vec<u64>,
    /// Nodes of each cluster
    #[arg(long, value_name = "NUMBER", required = true, value_delimiter = ',', value_parser = clap::value_parser!(u64).range(1..=10_000))]
    pub nodes: Vec<u64>,
    /// How often each is refreshed: 60s to 24h
    #[arg(long, value_name = "TIME", required = true, value_delimiter = ',', value_parser = interval)]
    pub interval: Vec<Duration>,
    /// Tasks of one invocation: 10 when there is a backlog, or a batching window; 1 at the worst
    #[arg(long, value_name = "NUMBER", default_value = "10", value_delimiter = ',', value_parser = clap::value_parser!(u64).range(1..=10))]
    pub batch: Vec<u64>,
    /// Changes of each cluster in an hour
    #[arg(long, value_name = "PER_HOUR", default_value = "1", value_parser = changes)]
    pub changes: f64,
    /// How long an agent takes for an answer
    #[arg(long, value_name = "TIME", default_value = "20ms", value_parser = latency)]
    pub latency: Duration,
    /// Prices in place of those of us-east-1: a JSON file
    #[arg(long, value_name = "FILE")]
    pub prices: Option<PathBuf>,
    /// How to show it
    #[arg(short, long, value_enum, default_value = "table")]
    pub output: Output,
}

/// How figures are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people
    Table,
    /// For documents: a line a fleet
    Markdown,
    /// For programs
    Json,
    /// The same as YAML
    Yaml,
}

fn interval(text: &str) -> Result<Duration, String> {
    between(text, Duration::from_secs(60), Duration::from_secs(24 * 3600))
}

fn latency(text: &str) -> Result<Duration, String> {
    between(text, Duration::ZERO, Duration::from_secs(60))
}

fn changes(text: &str) -> Result<f64, String> {
    let number: Option<f64> = text.parse().ok();
    let number = number.filter(|number| (0.0..=3600.0).contains(number));
    number.ok_or_else(|| "expected a number from 0 to 3600".into())
}

/// All that there is to say of one fleet.
#[derive(Clone, Debug, Serialize)]
pub struct Figures {
    /// The fleet.
    pub fleet: Fleet,
    /// What it needs.
    pub load: Load,
    /// What that costs.
    pub bill: Bill,
    /// The quotas, the one that is met first at the front.
    pub quotas: Vec<Quota>,
    /// By which prices.
    pub prices: Prices,
}

/// Runs the command.
///
/// # Errors
/// When the file of prices can't be read.
pub fn run(args: &CapacityArgs) -> Result<(), CliError> {
    show(args)?.into_iter().try_for_each(out::line)
}

/// What the command prints.
///
/// # Errors
/// When the file of prices can't be read.
pub fn show(args: &CapacityArgs) -> Result<Vec<String>, CliError> {
    let prices = prices(args)?;
    let all: Vec<Figures> = fleets(args).into_iter().map(|fleet| figures(fleet, &prices)).collect();
    Ok(match (args.output, all.as_slice()) {
        (Output::Json, [only]) => json(only)?,
        (Output::Json, all) => json(&all)?,
        (Output::Yaml, [only]) => vec![out::as_yaml(only)?],
        (Output::Yaml, all) => vec![out::as_yaml(&all)?],
        (Output::Markdown, all) => markdown(all),
        (Output::Table, [only]) => details(only),
        (Output::Table, all) => table(
            &HEADINGS,
            &all.iter().map(|one| row(one).map(Cell::right).into()).collect::<Vec<_>>(),
            None,
        ),
    })
}

fn prices(args: &CapacityArgs) -> Result<Prices, CliError> {
    let wrong = |path: &str, error: serde_json::Error| CliError::Failed(format!("{path}: {error}"));
    match &args.prices {
        None => Prices::built_in().map_err(|error| wrong("the built-in prices", error)),
        Some(path) => {
            let text =
                std::fs::read_to_string(path).map_err(|error| CliError::file("reading", path, error))?;
            Prices::with(&text).map_err(|error| wrong(&path.display().to_string(), error))
        }
    }
}

fn fleets(args: &CapacityArgs) -> Vec<Fleet> {
    let mut fleets = Vec::new();
    for interval in &args.interval {
        for nodes in &args.nodes {
            for clusters in &args.clusters {
                for batch in &args.batch {
                    let (clusters, nodes, interval, batch) = (*clusters, *nodes, *interval, *batch);
                    let (changes, latency) = (args.changes, args.latency);
                    fleets.push(Fleet { clusters, nodes, interval, batch, changes, latency });
                }
            }
        }
    }
    fleets
}

fn figures(fleet: Fleet, prices: &Prices) -> Figures {
    let load = Load::of(&fleet);
    let bill = Bill::of(&load, prices);
    Figures { fleet, load, bill, quotas: quotas(&load), prices: prices.clone() }
}

fn json(value: &impl Serialize) -> Result<Vec<String>, CliError> {
    let text = serde_json::to_string_pretty(value).map_err(|error| CliError::Failed(error.to_string()))?;
    Ok(text.lines().map(String::from).collect())
}

const HEADINGS: [&str; 10] = [
    "CLUSTERS",
    "EVERY",
    "BATCH",
    "WRITES/S",
    "WORKERS",
    "TABLE",
    "LAMBDA, SQS",
    "MONTH",
    "PROVISIONED",
    "ALWAYS ON",
];

fn row(one: &Figures) -> [String; 10] {
    let Figures { fleet, load, bill, .. } = one;
    let of = |service: &str| -> f64 {
        bill.items.iter().filter(|item| item.what.starts_with(service)).map(|item| item.cost).sum()
    };
    [
        grouped(fleet.clusters as f64, 0),
        human(fleet.interval),
        fleet.batch.to_string(),
        figure(load.writes),
        figure(load.concurrency),
        grouped(of("DynamoDB"), 0),
        grouped(of("Lambda") + of("SQS"), 0),
        grouped(bill.total, 0),
        grouped(bill.with_provisioned_table, 0),
        grouped(bill.always_on, 0),
    ]
}

fn markdown(all: &[Figures]) -> Vec<String> {
    let headings = HEADINGS.map(str::to_lowercase).join(" | ");
    let mut lines = vec![format!("| {headings} |"), format!("|{}", " --: |".repeat(HEADINGS.len()))];
    lines.extend(all.iter().map(|one| format!("| {} |", row(one).join(" | "))));
    lines
}

fn details(one: &Figures) -> Vec<String> {
    let Figures { fleet, load, bill, quotas, prices } = one;
    let Fleet { clusters, nodes, interval, batch, changes, .. } = fleet;
    let of_each = if *changes == 1.0 { "change" } else { "changes" };
    let mut lines = vec![
        format!(
            "{} clusters of {nodes} nodes, each refreshed every {} in batches of {batch}, {changes} {of_each} an hour each",
            grouped(*clusters as f64, 0),
            human(*interval)
        ),
        String::new(),
    ];
    let one = &load.refresh;
    let units = format!(
        "{} for a refresh, {} with new readings, {} with changes",
        one.unchanged_writes, one.readings_writes, one.changed_writes
    );
    let seconds =
        format!("of {:.0} ms; RefreshConcurrency at least twice that", load.invocation_seconds * 1e3);
    let rows = [
        ("refreshes a second", figure(load.refreshes), String::new()),
        ("write units a second", figure(load.writes), units),
        ("read units a second", figure(load.reads), format!("{} for a refresh", one.reads)),
        (
            "... provisioned, at 70 %",
            figure(bill.provisioned_units.0 as f64),
            format!("write units, and {} read units", grouped(bill.provisioned_units.1 as f64, 0)),
        ),
        ("messages a second", figure(load.messages), format!("{} requests", figure(load.requests))),
        ("refresh workers at once", figure(load.concurrency), seconds),
        ("GB-seconds a second", figure(load.gb_seconds), format!("{} invocations", figure(load.invocations))),
        ("events a second", figure(load.events), format!("{} bytes", figure(load.event_bytes))),
        ("shards", load.shards.to_string(), String::new()),
        ("log bytes a second", figure(load.log_bytes), String::new()),
    ];
    let rows = rows.map(|(what, number, more)| vec![Cell::text(what), Cell::right(number), Cell::text(more)]);
    lines.extend(table(&["NEEDED", "", ""], &rows, None));
    lines.push(String::new());

    let costs = bill.items.iter().map(|item| (item.what.to_owned(), item.cost));
    let mut rows: Vec<Vec<Cell>> = costs.map(|(what, cost)| money(&what, cost)).collect();
    rows.push(money("all", bill.total));
    rows.push(money("for a million refreshes", bill.by_million));
    let heading = format!("{} A MONTH", prices.currency);
    lines.extend(table(&[&heading, ""], &rows, None));
    lines.push(String::new());

    let servers = format!("{} servers that are always on, with the state in memory", bill.servers);
    let rows = [
        money("the table provisioned, scaling to 70 %", bill.with_provisioned_table),
        money("the stream on demand", bill.with_stream_on_demand),
        money(&servers, bill.always_on),
    ];
    lines.extend(table(&["BY OTHER MEANS", ""], &rows, None));
    lines.push(String::new());

    let rows: Vec<Vec<Cell>> = quotas.iter().map(quota).collect();
    lines.extend(table(&["MET FIRST", "TAKEN", "OF", ""], &rows, None));
    lines.push(String::new());
    let Prices { region, as_of, .. } = prices;
    // A heading without words leaves spaces behind.
    lines.iter_mut().for_each(|line| line.truncate(line.trim_end().len()));
    lines.push(format!(
        "List prices of {region} as of {as_of}, without free tiers; docs/cost.md says what is left out."
    ));
    lines
}

fn money(what: &str, cost: f64) -> Vec<Cell> {
    vec![Cell::text(what), Cell::right(grouped(cost, 2))]
}

fn quota(quota: &Quota) -> Vec<Cell> {
    let taken = quota.taken() * 100.0;
    let taken = if taken < 0.1 { "< 0.1 %".to_owned() } else { format!("{taken:.1} %") };
    let raised = if quota.can_be_raised { "raised on request" } else { "" };
    vec![Cell::text(quota.what), Cell::right(taken), Cell::right(grouped(quota.limit, 0)), Cell::text(raised)]
}

/// A figure with as many digits as it is worth.
fn figure(number: f64) -> String {
    let digits = match number {
        number if number >= 100.0 || number.fract() == 0.0 => 0,
        number if number >= 1.0 => 1,
        _ => 3,
    };
    grouped(number, digits)
}

/// A number with commas between its thousands.
fn grouped(number: f64, digits: usize) -> String {
    let text = format!("{number:.digits$}");
    let (whole, rest) =
        text.split_once('.').map_or((text.as_str(), None), |(whole, rest)| (whole, Some(rest)));
    let mut grouped = String::new();
    for (index, digit) in whole.chars().enumerate() {
        if index > 0 && (whole.len() - index) % 3 == 0 {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    rest.map_or(grouped.clone(), |rest| format!("{grouped}.{rest}"))
}

#[cfg(test)]
#[path = "capacity_tests.rs"]
mod tests;
