//! `runs`: what the last tasks of a record did.

use std::time::Duration;

use clap::{Args, ValueEnum};
use replicante_model::event::Cause;
use replicante_model::{RecordName, Timestamp};

use crate::commands::get::unknown;
use crate::error::CliError;
use crate::out;
use crate::place::{Place, PlaceArgs};
use crate::records::heads;
use crate::runs::{Run, last};
use crate::view::clusters::ago;
use crate::view::style::Tone;
use crate::view::table::{Cell, table};
use crate::view::text::short;

/// Values of `runs`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    replicante runs zk-01                 the last refreshes of a cluster, oldest first\n  \
    replicante runs zk-01 --failed        only those that failed, and why\n  \
    replicante runs --discovery fleet     the last runs of a discovery\n  \
    replicante runs zk-01 -o json | jq '.[] | select(.events > 0)'\n\n\
    From the log that `up` keeps in its data folder, of 16 MiB at most. On AWS the same lines are\n\
    in CloudWatch Logs: docs/operations.md has the queries.")]
pub struct RunsArgs {
    /// The cluster
    #[arg(required_unless_present = "discovery")]
    pub name: Option<String>,
    /// A discovery instead
    #[arg(short, long, value_name = "NAME", conflicts_with = "name")]
    pub discovery: Option<String>,
    /// Its namespace
    #[arg(short, long, default_value = "default", value_name = "NAME")]
    pub namespace: String,
    /// Only those that failed
    #[arg(long)]
    pub failed: bool,
    /// Only the last so many
    #[arg(short, long, value_name = "NUMBER", default_value_t = 20)]
    pub limit: usize,
    /// How to show them
    #[arg(short, long, value_enum, default_value = "table")]
    pub output: Output,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap takes the group's own text")]
    pub place: PlaceArgs,
}

/// How they are shown.
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
/// When there is no such record, or no log that can be read.
pub async fn run(args: RunsArgs) -> Result<(), CliError> {
    let place = Place::find(&args.place).await?;
    let record = match (args.name, args.discovery) {
        (_, Some(id)) => RecordName::discovery(&*args.namespace, id),
        (id, None) => RecordName::cluster(&*args.namespace, id.unwrap_or_default()),
    };
    let Some(folder) = &place.folder else {
        return Err(CliError::Failed(format!(
            "no folder holds the runs of {record}: they are in the logs of its functions, docs/operations.md has the \
             queries; of a local deployment name its folder with --data DIR"
        )));
    };
    let is_asked = |run: &Run| !args.failed || run.outcome == "failed";
    let runs = last(folder, &record, args.limit, is_asked)
        .map_err(|error| CliError::file("reading the log of tasks in", folder, error))?;
    if runs.is_empty() && place.table().head(&record).await?.is_none() {
        return Err(unknown(&record, &heads(&place.table(), record.kind).await?));
    }
    match args.output {
        Output::Json => out::json(&runs),
        Output::Table if runs.is_empty() => {
            out::note(format_args!(
                "no task of {record} {}",
                if args.failed { "failed" } else { "is in the log" }
            ));
            Ok(())
        }
        Output::Table => {
            let width = out::size().map(|(width, _)| width);
            lines(&runs, Timestamp::now(), width).into_iter().try_for_each(out::line)
        }
    }
}

fn lines(runs: &[Run], now: Timestamp, most: Option<usize>) -> Vec<String> {
    let span = |ms: i64| short(Duration::from_millis(u64::try_from(ms).unwrap_or(0)));
    let row = |run: &Run| {
        let cause = match (&run.actor, run.cause) {
            (Some(actor), _) => format!("asked for by {actor}"),
            (None, Cause::Schedule) => "schedule".into(),
            (None, cause) => format!("{cause:?}").to_lowercase(),
        };
        let tone = match run.outcome.as_str() {
            "failed" => Tone::Bad,
            "changed" => Tone::Good,
            _ => Tone::Plain,
        };
        vec![
            Cell::text(ago(Timestamp::parse(&run.at).ok(), now)),
            Cell::text(&run.outcome).toned(tone),
            Cell::right(span(run.ms)),
            Cell::right(run.late_ms.map_or_else(|| "-".into(), span)),
            Cell::number(run.events),
            Cell::text(cause),
            Cell::text(run.error.as_deref().unwrap_or_default()),
        ]
    };
    let rows: Vec<Vec<Cell>> = runs.iter().map(row).collect();
    table(&["WHEN", "OUTCOME", "TOOK", "LATE", "EVENTS", "CAUSE", "ERROR"], &rows, most)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::given::{NOW, plain};

    #[test]
    fn tasks_are_listed_with_what_they_did() {
        let run = |seconds, outcome: &str, actor: Option<&str>, events, error: Option<&str>| Run {
            at: NOW.minus(Duration::from_secs(seconds)).rfc3339(),
            record: "cluster/default/orders".into(),
            cause: if actor.is_some() { Cause::Manual } else { Cause::Schedule },
            actor: actor.map(Into::into),
            outcome: outcome.into(),
            ms: 12,
            late_ms: actor.is_none().then_some(1500),
            events,
            error: error.map(Into::into),
        };
        let runs = [
            run(95, "changed", None, 3, None),
            run(65, "unchanged", Some("ann"), 0, None),
            run(5, "failed", None, 0, Some("throttled")),
        ];
        insta::assert_snapshot!(plain(&lines(&runs, NOW, None)), @"
        WHEN     OUTCOME    TOOK  LATE  EVENTS  CAUSE             ERROR
        95s ago  changed    12ms    1s       3  schedule
        65s ago  unchanged  12ms     -       0  asked for by ann
        5s ago   failed     12ms    1s       0  schedule          throttled
        ");
    }
}
