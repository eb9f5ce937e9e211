//! `refresh` and `discover`: asks for a task now, by name.

use std::time::Duration;

use clap::Args;
use replicante_aws::ObjectKind;
use replicante_model::time::human;
use replicante_model::view::Health;
use replicante_model::{Kind, RecordName};
use replicante_protocol::head::Head;
use replicante_protocol::task::Task;
use serde_json::{Value, json};

use crate::args::positive;
use crate::commands::get::unknown;
use crate::error::CliError;
use crate::out::{self, Output};
use crate::place::{Place, PlaceArgs};
use crate::records::heads;
use crate::view::record;
use crate::view::text::{clean, count};
use crate::wait::{Done, Stage, Wait};

/// Who asks, when the system does not say.
const NOBODY: &str = "replicante-cli";

/// Values of `refresh` and `discover`.
#[derive(Debug, Args)]
pub struct TaskArgs {
    /// Its name
    pub name: String,
    /// Its namespace
    #[arg(short, long, default_value = "default", value_name = "NAME")]
    pub namespace: String,
    /// Waits until it is done, and says how it ended
    #[arg(short, long)]
    pub wait: bool,
    /// How long it waits at most
    #[arg(long, value_parser = positive, default_value = "1m", value_name = "TIME", requires = "wait")]
    pub timeout: Duration,
    /// How to show what came of it
    #[arg(short, long, value_enum, default_value = "table")]
    pub output: Output,
    /// Who asks: events say so [default: the user]
    #[arg(long, env = "REPLICANTE_ACTOR", hide_env_values = true, value_parser = crate::commands::task::actor, value_name = "NAME")]
    pub actor: Option<String>,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap takes the group's own text")]
    pub place: PlaceArgs,
}

/// Runs the command for a record of that kind.
///
/// # Errors
/// When there is no such record, or the queue can't be written to; when it was waited for: when it failed, or did not end
/// in time.
pub async fn run(args: TaskArgs, kind: Kind) -> Result<(), CliError> {
    let place = Place::find(&args.place).await?;
    let table = place.table();
    let name = RecordName::new(kind, &args.namespace, &args.name);
    let Some(head) = table.head(&name).await? else {
        return Err(unknown(&name, &heads(&table, kind).await?));
    };
    if kind == Kind::Discovery
        && table.object(ObjectKind::Discovery, &args.namespace, &args.name).await?.is_none()
    {
        let program = out::program();
        return Err(CliError::Failed(format!(
            "{name} has no object any more: it was deleted; `{program} apply -f FILE` stores it again"
        )));
    }
    let actor = actor_of(args.actor);
    let what = what(kind);
    if args.wait {
        let wait = Wait::start(format!("{what} of {name}"), args.timeout);
        let stage = match wait.free(&table, head).await? {
            None => Stage::AtWork,
            Some(head) => {
                send(&place, &name, &actor).await?;
                wait.end(&table, &head).await?
            }
        };
        drop(wait);
        return tell(&name, &stage, args.timeout, args.output);
    }
    send(&place, &name, &actor).await?;
    if args.output.wrote(|| json!({ "record": name.key(), "outcome": "asked", "actor": actor }))? {
        return Ok(());
    }
    let look = match kind {
        Kind::Cluster => format!("events --cluster {}", args.name),
        Kind::Discovery => format!("get discovery {}", args.name),
    };
    out::line(format_args!("asked for a {what} of {name}, as {actor}"))?;
    out::note(format_args!("`{} {look}` shows what comes of it, --wait waits for it", out::program()));
    Ok(())
}

fn what(kind: Kind) -> &'static str {
    match kind {
        Kind::Cluster => "refresh",
        Kind::Discovery => "run",
    }
}

/// Says how a task ended that was waited for.
fn tell(name: &RecordName, stage: &Stage, timeout: Duration, output: Output) -> Result<(), CliError> {
    let outcome = outcome(name, stage, timeout);
    if output.wrote(|| as_json(name, stage, &outcome))? {
        return outcome.map(drop).map_err(|_| CliError::Result(1));
    }
    out::line(outcome.map_err(CliError::Failed)?)
}

fn as_json(name: &RecordName, stage: &Stage, outcome: &Result<String, String>) -> Value {
    let mut told = json!({ "record": name.key(), "outcome": word(stage), "error": outcome.as_ref().err() });
    if let (Stage::Done(done), Value::Object(told)) = (stage, &mut told) {
        told.insert("events".into(), done.events.into());
        told.insert("ms".into(), done.summary.ms.into());
        told.insert("head".into(), record::json(&done.head));
    }
    told
}

fn word(stage: &Stage) -> &'static str {
    match stage {
        Stage::Queued | Stage::AtWork => "timeout",
        Stage::Done(done) if failure(done).is_some() => "failed",
        Stage::Done(_) => "ok",
        Stage::Ended => "ended",
    }
}

/// Why a task failed that is done: itself, or the source that it asked.
fn failure(done: &Done) -> Option<&str> {
    let Done { head, summary, .. } = done;
    let failed = summary.outcome != "ok" || (head.record.kind == Kind::Discovery && summary.reason.is_some());
    failed.then(|| summary.reason.as_deref().unwrap_or("no reason is known: see the log of its worker"))
}

/// What came of a task, in one line.
fn outcome(name: &RecordName, stage: &Stage, timeout: Duration) -> Result<String, String> {
    let what = what(name.kind);
    let Stage::Done(done) = stage else {
        let (waited, program) = (human(timeout), out::program());
        return match stage {
            Stage::Ended => Ok(format!("{name} has ended: it was removed")),
            Stage::AtWork => Err(format!(
                "the {what} of {name} was not done within {waited}: a worker is at it; wait longer with --timeout"
            )),
            _ => Err(format!(
                "nobody took up the {what} of {name} within {waited}: `{program} status` says whether the workers are well"
            )),
        };
    };
    if let Some(reason) = failure(done) {
        return Err(format!("the {what} of {name} failed: {}", clean(reason)));
    }
    let events = match done.events {
        0 => "nothing changed".to_owned(),
        events => count(events, "event"),
    };
    Ok(format!("{name}: done in {} ms, {events}; {}", done.summary.ms, state(&done.head, done)))
}

/// What is known now.
fn state(head: &Head, Done { summary, .. }: &Done) -> String {
    match head.record.kind {
        Kind::Cluster => {
            let down = summary.nodes_down + summary.agents_down;
            let up = summary.nodes.saturating_sub(down);
            let health = summary.health.map_or("new", Health::as_str);
            format!("{health}, {up} of {} up", count(summary.nodes, "node"))
        }
        Kind::Discovery => {
            let held = match summary.held {
                0 => String::new(),
                held => format!(", {held} held until confirmed"),
            };
            format!("{}, {} missing{held}", count(summary.clusters, "cluster"), summary.missing)
        }
    }
}

/// Sends a task for a record, as somebody's.
///
/// # Errors
/// When the queue can't be written to.
pub async fn send(place: &Place, record: &RecordName, actor: &str) -> Result<(), CliError> {
    let sent = place.queue(record.kind)?.send(&[(Task::manual(record.clone(), actor), 0)]).await;
    sent.refused.map_or(Ok(()), |error| Err(error.into()))
}

/// The same once something is stored that the task will find: that holds whether it is sent or not.
///
/// # Errors
/// When the queue can't be written to: it says so.
pub async fn send_stored(place: &Place, record: &RecordName, actor: &str) -> Result<(), CliError> {
    send(place, record, actor).await.map_err(|error| {
        let problem = error.shown();
        CliError::Failed(format!(
            "it is stored, and the next task of {record} finds it; asking for one now: {problem}"
        ))
    })
}

/// The most characters of who asks.
const MAX_ACTOR: usize = 128;

/// Reads who asks.
///
/// # Errors
/// Says what was expected.
pub fn actor(text: &str) -> Result<String, String> {
    if text.trim().is_empty() || text.chars().count() > MAX_ACTOR || text.contains(char::is_control) {
        return Err(format!("expected a name of 1 to {MAX_ACTOR} characters"));
    }
    Ok(text.to_owned())
}

/// Who asks: as said, else the user.
pub fn actor_of(said: Option<String>) -> String {
    if let Some(actor) = said {
        return actor;
    }
    let names = ["USER", "LOGNAME", "USERNAME"];
    let name = names.iter().filter_map(|name| std::env::var(name).ok()).find(|name| !name.is_empty());
    name.unwrap_or_else(|| NOBODY.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::given::{NOW, cluster_head, head, written};
    use replicante_model::summary::Summary;

    #[test]
    fn whoever_asks_has_a_name() {
        assert_eq!(actor("ann"), Ok("ann".into()));
        for text in ["", " ", "a\nb", &"a".repeat(129)] {
            assert!(actor(text).is_err(), "{text:?}");
        }
    }

    fn told(head: Head, events: u64) -> String {
        let summary = Summary::parse(head.summary.as_deref());
        let name = head.record.clone();
        let stage = Stage::Done(Box::new(Done { head, summary, events }));
        outcome(&name, &stage, Duration::from_secs(60)).unwrap_or_else(|error| format!("error: {error}"))
    }

    #[test]
    fn a_task_that_was_waited_for_says_how_it_ended() {
        let run = |summary: Summary| head(RecordName::discovery("default", "fleet"), summary);
        insta::assert_snapshot!(told(cluster_head(), 3), @"cluster/default/orders: done in 12 ms, 3 events; degraded, 2 of 3 nodes up");
        insta::assert_snapshot!(told(cluster_head(), 0), @"cluster/default/orders: done in 12 ms, nothing changed; degraded, 2 of 3 nodes up");
        insta::assert_snapshot!(told(run(Summary { clusters: 8, held: 2, ..Summary::default() }), 1), @"discovery/default/fleet: done in 12 ms, 1 event; 8 clusters, 0 missing, 2 held until confirmed");
        let reason = Some("status 500".to_owned());
        insta::assert_snapshot!(told(run(Summary { reason: reason.clone(), ..Summary::default() }), 1), @"error: the run of discovery/default/fleet failed: status 500");
        let mut failed = cluster_head();
        let summary = Summary { at: NOW, outcome: "failed".into(), reason, ..Summary::default() };
        failed.summary = Some(summary.to_json());
        insta::assert_snapshot!(told(failed, 0), @"error: the refresh of cluster/default/orders failed: status 500");
        let name = RecordName::cluster("default", "orders");
        let late = |stage| outcome(&name, &stage, Duration::from_secs(60)).unwrap_err();
        assert!(
            late(Stage::Queued)
                .starts_with("nobody took up the refresh of cluster/default/orders within 1m: ")
        );
        insta::assert_snapshot!(late(Stage::AtWork), @"the refresh of cluster/default/orders was not done within 1m: a worker is at it; wait longer with --timeout");
        assert_eq!(
            outcome(&name, &Stage::Ended, NOW.since(NOW)).unwrap(),
            "cluster/default/orders has ended: it was removed"
        );
    }

    #[test]
    fn a_task_that_was_waited_for_is_told_to_programs() {
        let head = cluster_head();
        let name = head.record.clone();
        let summary = Summary::parse(head.summary.as_deref());
        let json = |stage: Stage| {
            let outcome = outcome(&name, &stage, Duration::from_secs(60));
            written(&as_json(&name, &stage, &outcome)).0
        };
        insta::assert_snapshot!(json(Stage::Done(Box::new(Done { head, summary, events: 3 }))), @r#"
        {
          "error": null,
          "events": 3,
          "head": {
            "agents_down": 1,
            "at": "2026-01-02T02:04:03.000Z",
            "due": "2026-01-02T02:05:03.000Z",
            "enabled": true,
            "epoch": 1767315845,
            "health": "degraded",
            "id": "orders",
            "interval_ms": 60000,
            "kinds": [
              "Kafka"
            ],
            "ms": 12,
            "name": "Orders [31mEU",
            "namespace": "default",
            "nodes": 3,
            "outcome": "ok",
            "primaries": 2,
            "published": 0,
            "record": "cluster/default/orders",
            "sequence": 42,
            "shards": 2
          },
          "ms": 12,
          "outcome": "ok",
          "record": "cluster/default/orders"
        }
        "#);
        insta::assert_snapshot!(json(Stage::AtWork), @r#"
        {
          "error": "the refresh of cluster/default/orders was not done within 1m: a worker is at it; wait longer with --timeout",
          "outcome": "timeout",
          "record": "cluster/default/orders"
        }
        "#);
        insta::assert_snapshot!(json(Stage::Ended), @r#"
        {
          "error": null,
          "outcome": "ended",
          "record": "cluster/default/orders"
        }
        "#);
    }
}
