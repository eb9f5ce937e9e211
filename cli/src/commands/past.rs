//! `at` and `diff`: a cluster as it was, from its events.

use std::time::Duration;

use clap::Args;
use replicante_aws::{Start, Stream};
use replicante_model::past::{self, Known, Past, Then};
use replicante_model::snapshot::MAX_AGE;
use replicante_model::{Kind, RecordName, Timestamp};
use serde_json::{Value, json};

use crate::args::{Moment, moment};
use crate::commands::events::EARLIER;
use crate::commands::get::unknown;
use crate::error::CliError;
use crate::history::History;
use crate::out::{self, Output};
use crate::place::{Place, PlaceArgs};
use crate::records::heads;
use crate::view::past as page;
use crate::view::style::Tone;

/// How much earlier than the moment reading starts, one after the other, until there is a snapshot to start from. The
/// first is the longest time between two of them, and some for a refresh that was late.
const WINDOWS: [Duration; 2] = [MAX_AGE.saturating_add(Duration::from_secs(3600)), MAX_AGE.saturating_mul(5)];

/// Values of `at`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    replicante at zk-01 --time 2h\n  \
    replicante at zk-01 --time 2026-11-23T08:30:00Z -o json\n\n\
    The view is folded from the events of the stream, as far back as it is kept.\n\
    How far replicas were behind is not in the events, and not shown.")]
pub struct AtArgs {
    /// The cluster's name
    pub cluster: String,
    /// Its namespace
    #[arg(short, long, default_value = "default", value_name = "NAME")]
    pub namespace: String,
    /// When: how long ago (2h), or a time with its offset (2026-11-23T08:30:00Z)
    #[arg(short, long, value_parser = moment)]
    pub time: Moment,
    /// How to show it
    #[arg(short, long, value_enum, default_value = "table")]
    pub output: Output,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap takes the group's own text")]
    pub place: PlaceArgs,
}

/// Values of `diff`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    replicante diff zk-01 --from 1d             what is different from yesterday\n  \
    replicante diff zk-01 --from 2h --to 1h\n\n\
    What changed and changed back in between is not shown: `events` shows it.")]
pub struct DiffArgs {
    /// The cluster's name
    pub cluster: String,
    /// Its namespace
    #[arg(short, long, default_value = "default", value_name = "NAME")]
    pub namespace: String,
    /// The earlier moment: how long ago (2h), or a time with its offset (2026-11-23T08:30:00Z)
    #[arg(long, value_parser = moment, value_name = "TIME")]
    pub from: Moment,
    /// The later moment
    #[arg(long, value_parser = moment, default_value = "now", value_name = "TIME")]
    pub to: Moment,
    /// How to show it
    #[arg(short, long, value_enum, default_value = "table")]
    pub output: Output,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap takes the group's own text")]
    pub place: PlaceArgs,
}

/// Runs `at`.
///
/// # Errors
/// When the history can't be read, or does not tell.
pub async fn at(args: AtArgs) -> Result<(), CliError> {
    let place = Place::find(&args.place).await?;
    let record = RecordName::cluster(&args.namespace, &args.cluster);
    let now = Timestamp::now();
    let time = not_to_come(args.time.time(now), now)?;
    let known = match of(&place, &record, time).await? {
        Then::Known(known) => known,
        Then::Removed { at } => return Err(removed(&record, time, at)),
        Then::Unknown => return Err(not_told(&place, &record, time).await?),
    };
    warn(&record, &known);
    let shown = || {
        let mut shown = told(&known);
        shown["cluster"] = json!(record.key());
        shown["time"] = json!(time.rfc3339());
        shown["view"] = json!(known.view);
        shown
    };
    if args.output.wrote(shown)? {
        return Ok(());
    }
    let width = out::size().map(|(width, _)| width);
    page::at(&record, &known, time, width).into_iter().try_for_each(out::line)
}

/// Runs `diff`.
///
/// # Errors
/// When the history can't be read, or does not tell.
pub async fn difference(args: DiffArgs) -> Result<(), CliError> {
    let place = Place::find(&args.place).await?;
    let record = RecordName::cluster(&args.namespace, &args.cluster);
    let now = Timestamp::now();
    let (from, to) = (args.from.time(now), not_to_come(args.to.time(now), now)?);
    if from > to {
        let problem = format!("--from is later than --to: {from} is after {to}");
        return Err(CliError::Failed(problem));
    }
    let mut sides = Vec::new();
    for time in [from, to] {
        match of(&place, &record, time).await? {
            Then::Known(known) => {
                warn(&record, &known);
                sides.push((time, Ok(known)));
            }
            Then::Removed { at } => sides.push((time, Err(at))),
            Then::Unknown => return Err(not_told(&place, &record, time).await?),
        }
    }
    let view = |side: &(Timestamp, Result<Box<Known>, Timestamp>)| match &side.1 {
        Ok(known) => Some(known.view.clone()),
        Err(_) => None,
    };
    let (before, after) = (view(&sides[0]), view(&sides[1]));
    let changes = after.as_ref().map(|after| past::difference(before.as_ref(), after)).transpose();
    let changes = changes.map_err(|error| CliError::Failed(format!("the history of {record}: {error}")))?;
    let changes = changes.unwrap_or_default();
    let shown = || {
        let side = |(time, side): &(Timestamp, Result<Box<Known>, Timestamp>)| {
            let mut shown =
                side.as_ref().map_or_else(|at| json!({ "removed": at.rfc3339() }), |known| told(known));
            shown["time"] = json!(time.rfc3339());
            shown
        };
        let (from, to) = (side(&sides[0]), side(&sides[1]));
        json!({ "cluster": record.key(), "from": from, "to": to, "changes": changes })
    };
    if args.output.wrote(shown)? {
        return Ok(());
    }
    let is_removed = before.is_some() && after.is_none();
    page::difference(&record, from, to, &changes, is_removed).into_iter().try_for_each(out::line)
}

fn told(known: &Known) -> Value {
    json!({ "changed": known.changed.rfc3339(), "epoch": known.position.epoch, "sequence": known.position.sequence })
}

/// What was known of a cluster at a moment.
async fn of(place: &Place, record: &RecordName, time: Timestamp) -> Result<Then, CliError> {
    let stream = place.stream();
    // Where the history was loaded from a file its arrival times are those of the start of `up`.
    if !place.local {
        for window in WINDOWS {
            let then = read(&stream, record, time, Start::Time(time.minus(window).minus(EARLIER))).await?;
            if then != Then::Unknown {
                return Ok(then);
            }
        }
    }
    read(&stream, record, time, Start::Oldest).await
}

async fn read(stream: &Stream, record: &RecordName, time: Timestamp, start: Start) -> Result<Then, CliError> {
    let mut history = History::open_for(stream, start, Some(record)).await?;
    let (key, mut past) = (record.key(), Past::new(time));
    while let Some(arrived) = history.arrived().await? {
        if let (true, Ok(event)) = (arrived.key == key, &arrived.event) {
            past.take(event).map_err(|error| CliError::Failed(format!("the history of {key}: {error}")))?;
            if past.is_over() {
                break;
            }
        }
    }
    Ok(past.then())
}

fn not_to_come(time: Timestamp, now: Timestamp) -> Result<Timestamp, CliError> {
    if time > now {
        return Err(CliError::Failed(format!("{time} is still to come: it is {now}")));
    }
    Ok(time)
}

fn removed(record: &RecordName, time: Timestamp, at: Timestamp) -> CliError {
    CliError::Failed(format!("{record} was no more at {time}: it had been removed at {at}"))
}

/// The history does not tell: says why.
async fn not_told(place: &Place, record: &RecordName, time: Timestamp) -> Result<CliError, CliError> {
    if place.table().head(record).await?.is_none() {
        return Ok(unknown(record, &heads(&place.table(), Kind::Cluster).await?));
    }
    let key = record.key();
    let mut history = History::open_for(&place.stream(), Start::Oldest, Some(record)).await?;
    while let Some(arrived) = history.arrived().await? {
        if arrived.key == key && arrived.event.is_ok() {
            let first = arrived.time();
            return Ok(CliError::Failed(format!(
                "nothing tells how {record} was at {time}: what the stream holds of it begins at {first}"
            )));
        }
    }
    Ok(CliError::Failed(format!("the stream holds no event of {record}")))
}

fn warn(record: &RecordName, known: &Known) {
    if let Some(missing) = known.missing {
        let note = format!(
            "note: event {missing} of {record} is missing from the stream: shown is what was known before it"
        );
        out::note(Tone::Warn.paint(&note));
    }
}
