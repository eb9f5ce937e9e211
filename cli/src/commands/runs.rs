//! `runs`: what the last tasks of a record did.

use std::time::Duration;

use clap::Args;
use replicante_model::event::Cause;
use replicante_model::{RecordName, Timestamp};
use replicante_stack::{Line, Looked};

use crate::args::{Moment, moment};
use crate::commands::get::unknown;
use crate::error::CliError;
use crate::out::{self, Output};
use crate::place::{Place, PlaceArgs};
use crate::records::heads;
use crate::runs::{Run, last};
use crate::view::clusters::ago;
use crate::view::style::Tone;
use crate::view::table::{Cell, table};
use crate::view::text::short;

/// How far back the log on AWS is read, unless it is said.
const WINDOW: Duration = Duration::from_secs(3600);

/// Values of `runs`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    replicante runs zk-01                 the last refreshes of a cluster, oldest first\n  \
    replicante runs zk-01 --failed        only those that failed, and why\n  \
    replicante runs --discovery fleet     the last runs of a discovery\n  \
    replicante runs zk-01 -o json | jq '.[] | select(.events > 0)'\n\n\
    From the log that `up` keeps in its data folder, of 16 MiB at most; on AWS from the\n\
    worker's log, of the last hour unless --since says otherwise.")]
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
    /// Only those that began so long ago, or since: 2h, or a time with its offset [default: all; on AWS 1h]
    #[arg(long, value_parser = moment, value_name = "TIME")]
    pub since: Option<Moment>,
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
    let now = Timestamp::now();
    let since = args.since.map(|moment| moment.time(now));
    let runs = match &place.folder {
        Some(folder) => {
            let began = |run: &Run, since| Timestamp::parse(&run.at).is_ok_and(|at| at >= since);
            let is_asked = |run: &Run| {
                (!args.failed || run.outcome == "failed") && since.is_none_or(|since| began(run, since))
            };
            last(folder, &record, args.limit, is_asked)
                .map_err(|error| CliError::file("reading the log of tasks in", folder, error))?
        }
        None => logged(&place, &record, args.failed, since.unwrap_or(now.minus(WINDOW)), args.limit).await?,
    };
    if runs.is_empty() && place.table().head(&record).await?.is_none() {
        return Err(unknown(&record, &heads(&place.table(), record.kind).await?));
    }
    if args.output.wrote(|| &runs)? {
        return Ok(());
    }
    if runs.is_empty() {
        let what = if args.failed { "failed" } else { "is in the log" };
        out::note(format_args!("no task of {record} {what}"));
        return Ok(());
    }
    let width = out::size().map(|(width, _)| width);
    lines(&runs, now, width).into_iter().try_for_each(out::line)
}

/// The last tasks of a record that its worker's log has.
async fn logged(
    place: &Place,
    record: &RecordName,
    failed: bool,
    since: Timestamp,
    most: usize,
) -> Result<Vec<Run>, CliError> {
    let (group, pattern) = (place.logs(record.kind)?, pattern(record, failed));
    let looked = Looked { group: &group, pattern: &pattern, since: since.0, most };
    let found = replicante_stack::lines(place.clients().account(), looked).await;
    let found = found.map_err(|error| CliError::Failed(error.to_string()))?;
    if !found.whole {
        out::note(
            "there is more in the log than is read at once: these are not the last, choose a later --since",
        );
    }
    let read = |line: &Line| Run::of_line(&line.text, Timestamp(line.at));
    let key = record.key();
    Ok(found.lines.iter().filter_map(read).filter(|run| run.record == key).collect())
}

/// Which lines are asked for. A name that the pattern's own signs are part of is looked for on this side: `%` and `*`.
fn pattern(record: &RecordName, failed: bool) -> String {
    let key = record.key();
    let mut pattern = "$.fields.message = \"task\"".to_owned();
    if !key.contains(['%', '*', '"', '\\']) {
        pattern += &format!(" && $.fields.record = \"{key}\"");
    }
    if failed {
        pattern += " && $.fields.outcome = \"failed\"";
    }
    format!("{{ {pattern} }}")
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
    use crate::view::given::{NOW, plain, written};

    #[test]
    fn the_pattern_names_the_record_unless_it_holds_signs_of_its_own() {
        let record = RecordName::cluster("default", "zk-01");
        insta::assert_snapshot!(pattern(&record, false), @r#"{ $.fields.message = "task" && $.fields.record = "cluster/default/zk-01" }"#);
        let odd = RecordName::discovery("default", "a b");
        insta::assert_snapshot!(pattern(&odd, true), @r#"{ $.fields.message = "task" && $.fields.outcome = "failed" }"#);
    }

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
        insta::assert_snapshot!(written(&runs).0, @r#"
        [
          {
            "at": "2026-01-02T02:02:30.000Z",
            "record": "cluster/default/orders",
            "cause": "schedule",
            "outcome": "changed",
            "ms": 12,
            "late_ms": 1500,
            "events": 3
          },
          {
            "at": "2026-01-02T02:03:00.000Z",
            "record": "cluster/default/orders",
            "cause": "manual",
            "actor": "ann",
            "outcome": "unchanged",
            "ms": 12,
            "events": 0
          },
          {
            "at": "2026-01-02T02:04:00.000Z",
            "record": "cluster/default/orders",
            "cause": "schedule",
            "outcome": "failed",
            "ms": 12,
            "late_ms": 1500,
            "events": 0,
            "error": "throttled"
          }
        ]
        "#);
        insta::assert_snapshot!(written(&runs).1, @r#"
        - at: "2026-01-02T02:02:30.000Z"
          record: cluster/default/orders
          cause: schedule
          outcome: changed
          ms: 12
          late_ms: 1500
          events: 3
        - at: "2026-01-02T02:03:00.000Z"
          record: cluster/default/orders
          cause: manual
          actor: ann
          outcome: unchanged
          ms: 12
          events: 0
        - at: "2026-01-02T02:04:00.000Z"
          record: cluster/default/orders
          cause: schedule
          outcome: failed
          ms: 12
          late_ms: 1500
          events: 0
          error: throttled
        "#);
    }
}
