//! `forget` and `unforget`: a cluster or a node goes, whatever its source says.

use std::io::{BufRead, IsTerminal};
use std::time::Duration;

use clap::Args;
use replicante_model::intent::Intent;
use replicante_model::time::parse_human;
use replicante_model::{Kind, RecordName, Timestamp};

use crate::commands::get::unknown;
use crate::commands::task::{actor_of, send_stored};
use crate::error::CliError;
use crate::place::{Place, PlaceArgs};
use crate::records::heads;
use crate::{out, progress};

/// What is forgotten.
#[derive(Debug, Args)]
pub struct NameArgs {
    /// The cluster
    pub cluster: String,
    /// One node of it, by the id that `get cluster` shows [default: the whole cluster]
    pub node: Option<String>,
    /// Its namespace
    #[arg(short, long, default_value = "default", value_name = "NAME")]
    pub namespace: String,
    /// Who asks: events say so [default: the user]
    #[arg(long, env = "REPLICANTE_ACTOR", hide_env_values = true, value_parser = crate::commands::task::actor, value_name = "NAME")]
    pub actor: Option<String>,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap takes the group's own text")]
    pub place: PlaceArgs,
}

/// Values of `forget`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    replicante forget orders                       asks, removes it, and ignores it for 7 days\n  \
    replicante forget orders --yes                 does not ask: for scripts\n  \
    replicante forget orders mongo-3 --until 30d   one node of it, for 30 days\n\n\
    Neither grace nor shrink guard holds it; cluster.removed or node.removed tells who asked. What its source still\n\
    reports when the time is over returns as something new. The history in the stream stays.")]
pub struct ForgetArgs {
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap takes the group's own text")]
    pub name: NameArgs,
    /// Until when its source's word does not count: a duration from now, or a time like 2026-01-02T03:04:05Z
    #[arg(long, default_value = "7d", value_parser = until, value_name = "TIME")]
    pub until: Until,
    /// Does not ask
    #[arg(short, long)]
    pub yes: bool,
}

/// Values of `unforget`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  replicante unforget orders")]
pub struct UnforgetArgs {
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap takes the group's own text")]
    pub name: NameArgs,
}

/// A time, or a duration from now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// At that time.
    At(Timestamp),
    /// So long after now.
    After(Duration),
}

impl Until {
    /// The time that is meant, now.
    pub fn from(self, now: Timestamp) -> Timestamp {
        match self {
            Until::At(time) => time,
            Until::After(span) => now.plus(span),
        }
    }
}

/// The longest duration from now: a hundred years. A time beyond the year 9999 can't be written.
const FURTHEST: Duration = Duration::from_secs(36_500 * 24 * 3600);

/// Reads a duration, or a time with its offset.
///
/// # Errors
/// Says what was expected.
pub fn until(text: &str) -> Result<Until, String> {
    let read = match parse_human(text) {
        Ok(span) if span > FURTHEST => {
            return Err(format!("expected at most {} days", FURTHEST.as_secs() / (24 * 3600)));
        }
        read => read.map(Until::After),
    };
    read.or_else(|_| Timestamp::parse(text).map(Until::At)).map_err(|_| {
        "expected a duration like 7d, or a time with its offset, like 2026-01-02T03:04:05Z".into()
    })
}

/// Runs `forget`.
///
/// # Errors
/// When there is no such cluster or node, nobody confirms, or the table or the queue can't be written to.
pub async fn forget(args: ForgetArgs) -> Result<(), CliError> {
    let now = Timestamp::now();
    let until = args.until.from(now);
    if until <= now {
        return Err(CliError::Usage(format!("--until {until} is in the past")));
    }
    let place = Place::find(&args.name.place).await?;
    let (discovery, what, is_removed) = find(&place, &args.name).await?;
    if !args.yes {
        let goes = if is_removed { "stays removed" } else { "will be removed" };
        let question = format!("{what} {goes}, and ignored until {until} whatever {discovery} reports.");
        confirm(&question, &args.name.cluster)?;
    }
    let actor = actor_of(args.name.actor);
    let NameArgs { cluster, node, .. } = args.name;
    let record = RecordName::cluster(&*args.name.namespace, &*cluster);
    let intent = Intent::Forget { cluster, node, until, actor: actor.clone() };
    place.table().put_intent(&discovery, &intent, now).await?;
    send_stored(&place, &discovery, &actor).await?;
    out::line(format_args!("{what} is forgotten until {until}, as {actor}"))?;
    let pauses = place.table().pauses().await?;
    if pauses.on(&record, now).is_some() {
        out::note(format_args!("{record} is paused: it goes when it is resumed"));
    }
    out::note(format_args!("`{} events --since 1m` shows what comes of it", out::program()));
    Ok(())
}

/// Runs `unforget`.
///
/// # Errors
/// When there is no such cluster, it is not forgotten, or the table or the queue can't be written to.
pub async fn unforget(args: UnforgetArgs) -> Result<(), CliError> {
    let NameArgs { cluster, node, namespace, actor, place } = args.name;
    let place = Place::find(&place).await?;
    let record = RecordName::cluster(&*namespace, &*cluster);
    let table = place.table();
    let Some(item) = table.discovery_item(&record).await? else {
        return Err(unknown(&record, &heads(&table, Kind::Cluster).await?));
    };
    let discovery = RecordName::discovery(namespace, item.discovery);
    let actor = actor_of(actor);
    let what = named(&record, node.as_deref());
    let key = Intent::Forget { cluster, node, until: Timestamp::ZERO, actor: actor.clone() }.key();
    if !table.delete_intent(&discovery, &key).await? {
        return Err(CliError::Failed(format!("{what} is not forgotten: there is nothing to take back")));
    }
    send_stored(&place, &discovery, &actor).await?;
    out::line(format_args!("{what} is taken from {discovery} again"))?;
    Ok(())
}

/// The discovery of what is meant, what it is called, and whether its cluster was removed already.
async fn find(place: &Place, args: &NameArgs) -> Result<(RecordName, String, bool), CliError> {
    let table = place.table();
    let record = RecordName::cluster(&*args.namespace, &*args.cluster);
    let Some(item) = table.discovery_item(&record).await? else {
        return Err(unknown(&record, &heads(&table, Kind::Cluster).await?));
    };
    if let Some(node) = &args.node
        && !item.record.nodes.contains_key(node)
        && !item.missing_nodes.contains_key(node)
    {
        let some: Vec<&str> = item.record.nodes.keys().map(String::as_str).take(5).collect();
        let known = if some.is_empty() { "it has none".into() } else { format!("like {}", some.join(", ")) };
        return Err(CliError::Failed(format!(
            "{record} has no node `{node}`: expected one of its own, {known}"
        )));
    }
    let discovery = RecordName::discovery(&*args.namespace, item.discovery);
    Ok((discovery, named(&record, args.node.as_deref()), item.removed.is_some()))
}

fn named(record: &RecordName, node: Option<&str>) -> String {
    node.map_or_else(|| record.to_string(), |node| format!("{node} of {record}"))
}

/// Asks to type a name. Where nobody can, `--yes` has to say it.
///
/// # Errors
/// When something else is typed, or there is no terminal.
pub fn confirm(question: &str, name: &str) -> Result<(), CliError> {
    let stdin = std::io::stdin();
    if !stdin.is_terminal() {
        return Err(CliError::Usage(format!("{question} There is no terminal to ask at: add --yes")));
    }
    progress::answer();
    out::note(question);
    out::note(format_args!("Type {name} to go on:"));
    let mut typed = String::new();
    stdin.lock().read_line(&mut typed).map_err(CliError::output)?;
    if typed.trim() == name {
        return Ok(());
    }
    Err(CliError::Failed(format!("that is not {name}: nothing was done")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_is_a_duration_or_a_time_with_its_offset() {
        assert_eq!(until("7d").unwrap(), Until::After(Duration::from_secs(7 * 24 * 3600)));
        let at = Timestamp::parse("2026-01-02T03:04:05Z").unwrap();
        assert_eq!(until("2026-01-02T03:04:05Z").unwrap(), Until::At(at));
        assert_eq!(Until::After(Duration::from_secs(1)).from(Timestamp(5)), Timestamp(1005));
        assert_eq!(until("3000000d").unwrap_err(), "expected at most 36500 days");
        for text in ["soon", "2026-01-02", "2026-01-02T03:04:05", "-1d"] {
            assert!(until(text).unwrap_err().contains("with its offset"), "{text}");
        }
    }
}
