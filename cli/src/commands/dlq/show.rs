//! `dlq show`: one dead letter, and what became of its record.

use clap::Args;
use replicante_model::Timestamp;
use replicante_model::event::Cause;
use replicante_model::summary::Summary;
use replicante_protocol::head::Head;
use serde_json::{Value, json};

use super::hold::Hold;
use super::{IDS, Letter, WhichArgs, as_json, held, hidden, no_such, queue, queues};
use crate::error::CliError;
use crate::out::{self, Output};
use crate::place::Place;
use crate::view::clusters::ago;
use crate::view::record;
use crate::view::style::{Tone, bold};
use crate::view::text::{clean, count, list, pad};

/// Values of `dlq show`.
#[derive(Debug, Args)]
pub struct ShowArgs {
    /// Its id, or how it begins
    pub id: String,
    /// How to show it
    #[arg(short, long, value_enum, default_value = "table")]
    pub output: Output,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap takes the group's own text")]
    pub which: WhichArgs,
}

/// Runs the command.
///
/// # Errors
/// When a queue or the table can't be read, or the id names no message, or several.
pub(super) async fn show(args: ShowArgs, hold: &Hold) -> Result<(), CliError> {
    let place = Place::find(&args.which.place).await?;
    let mut found = Vec::new();
    let mut unseen = 0;
    for (kind, _, dead) in queues(&place, &args.which).await? {
        let letters = held(kind, &dead, hold).await?;
        hold.let_go().await?;
        unseen += hidden(&dead, &letters).await?;
        found.extend(letters.into_iter().filter(|letter| letter.message.id.starts_with(&args.id)));
    }
    let letter = match found.as_slice() {
        [letter] => letter,
        [] => return Err(no_such(&[&args.id], unseen)),
        several => {
            let ids = list(several.iter().map(|letter| &letter.message.id), IDS);
            return Err(CliError::Failed(format!(
                "several dead letters have ids that begin with {}: {ids}",
                args.id
            )));
        }
    };
    let head = match &letter.task {
        Ok(task) => place.table().head(&task.record).await?,
        Err(_) => None,
    };
    let now = Timestamp::now();
    if args.output.wrote(|| told(letter, head.as_ref()))? {
        return Ok(());
    }
    lines(letter, head.as_ref(), now).into_iter().try_for_each(out::line)
}

fn told(letter: &Letter, head: Option<&Head>) -> Value {
    let mut told = as_json(letter);
    told["received"] = json!(letter.message.deliveries);
    told["sender"] = json!(letter.message.sender);
    told["problem"] = json!(letter.task.as_ref().err());
    told["head"] = json!(head.map(record::json));
    told
}

/// What became of its record since: the reason of that failure, where the record still has it.
fn fate(letter: &Letter, head: Option<&Head>, now: Timestamp) -> (Tone, String) {
    if let Err(problem) = &letter.task {
        return (Tone::Bad, format!("it is no task that this release can read: {problem}"));
    }
    let Some(head) = head else {
        return (Tone::Warn, "its record is gone: whoever tries it again finds nothing to do".into());
    };
    let summary = Summary::parse(head.summary.as_deref());
    let at = Some(summary.at).filter(|at| *at > Timestamp::ZERO);
    match (at, summary.outcome.as_str()) {
        (None, _) => {
            (Tone::Warn, "no task of its record ever came to an end: did the function end before it?".into())
        }
        (Some(_), "failed") => {
            let reason = summary.reason.as_deref().unwrap_or("no reason was given");
            (Tone::Bad, format!("the last task of its record failed, {}: {reason}", ago(at, now)))
        }
        (Some(at), _) if letter.sent().is_none_or(|sent| at > sent) => (
            Tone::Good,
            format!("a later task of its record worked, {}: nothing is left to do", ago(Some(at), now)),
        ),
        (Some(_), _) => {
            let ago = ago(at, now);
            (
                Tone::Warn,
                format!("no task of its record came to an end since: the last that did worked, {ago}"),
            )
        }
    }
}

fn lines(letter: &Letter, head: Option<&Head>, now: Timestamp) -> Vec<String> {
    let message = &letter.message;
    let mut lines = vec![bold(&clean(&message.id))];
    let mut fact = |name: &str, what: String| lines.push(format!("  {}  {what}", pad(name, 8)));
    let when = |text: &str| {
        let time: Option<Timestamp> = text.parse().ok().map(Timestamp);
        time.map(|time| format!("{} ({time})", ago(Some(time), now))).unwrap_or_else(|| "unknown".into())
    };
    fact("queue", queue(letter.kind).into());
    if let Ok(task) = &letter.task {
        fact("record", clean(&task.record.key()).into_owned());
        let due = task.stamp.map(|stamp| format!(", for {stamp}")).unwrap_or_default();
        let cause = match (&task.actor, task.cause) {
            (Some(actor), _) => format!("asked for by {actor}"),
            (None, Cause::Schedule) => "the schedule".into(),
            (None, cause) => format!("{cause:?}").to_lowercase(),
        };
        fact("cause", clean(&format!("{cause}{due}")).into_owned());
    }
    fact("sent", when(&message.sent));
    fact(
        "received",
        format!("{}, first {}", count(message.deliveries.into(), "time"), when(&message.first_received)),
    );
    let (tone, why) = fate(letter, head, now);
    fact("why", tone.paint(&clean(&why)));
    lines.push(String::new());
    let body = serde_json::from_str::<Value>(&message.body).ok();
    let body = body.and_then(|body| serde_json::to_string_pretty(&body).ok());
    lines.extend(body.as_ref().unwrap_or(&message.body).lines().map(|line| clean(line).into_owned()));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::given::{NOW, cluster_head, plain, written};
    use replicante_aws::Message;
    use replicante_model::Kind;
    use replicante_protocol::task::Task;
    use std::time::Duration;

    fn letter(body: String) -> Letter {
        let before = |seconds| NOW.minus(Duration::from_secs(seconds)).0.to_string();
        let message = Message {
            id: "5fd1b2".into(),
            body,
            deliveries: 6,
            sent: before(7200),
            first_received: before(7190),
            ..Message::default()
        };
        Letter::of(Kind::Cluster, message)
    }

    fn head(change: impl Fn(&mut Summary)) -> Head {
        let mut head = cluster_head();
        let mut summary = Summary::parse(head.summary.as_deref());
        change(&mut summary);
        head.summary = Some(summary.to_json());
        head
    }

    #[test]
    fn a_dead_letter_is_shown_whole_with_what_became_of_its_record() {
        let head_failed = head(|summary| {
            (summary.outcome, summary.reason) = ("failed".into(), Some("throttled".into()));
        });
        let task = Task::manual(cluster_head().record, "ann");
        let asked_for = letter(serde_json::to_string(&task).unwrap());
        insta::assert_snapshot!(plain(&lines(&asked_for, Some(&head_failed), NOW)), @r#"
        5fd1b2
          queue     refresh
          record    cluster/default/orders
          cause     asked for by ann
          sent      2h ago (2026-01-02T00:04:05.000Z)
          received  6 times, first 119m ago (2026-01-02T00:04:15.000Z)
          why       the last task of its record failed, 2s ago: throttled

        {
          "actor": "ann",
          "cause": "manual",
          "id": "orders",
          "kind": "cluster",
          "namespace": "default"
        }
        "#);
        insta::assert_snapshot!(written(&told(&asked_for, None)).0, @r#"
        {
          "body": "{\"kind\":\"cluster\",\"namespace\":\"default\",\"id\":\"orders\",\"cause\":\"manual\",\"actor\":\"ann\"}",
          "head": null,
          "id": "5fd1b2",
          "problem": null,
          "queue": "refresh",
          "received": 6,
          "record": "cluster/default/orders",
          "sender": "",
          "sent": "2026-01-02T00:04:05.000Z"
        }
        "#);
        let foreign = letter("{\u{1b}[2J}\nmore".into());
        insta::assert_snapshot!(plain(&lines(&foreign, None, NOW)), @"
        5fd1b2
          queue     refresh
          sent      2h ago (2026-01-02T00:04:05.000Z)
          received  6 times, first 119m ago (2026-01-02T00:04:15.000Z)
          why       it is no task that this release can read: key must be a string at line 1 column 2

        {�[2J}
        more
        ");
        assert_eq!(told(&asked_for, Some(&head_failed))["head"]["reason"], "throttled");
        assert!(told(&foreign, None)["problem"].is_string());
    }

    #[test]
    fn why_it_failed_is_told_as_far_as_the_record_knows() {
        let task = Task::scheduled(cluster_head().record, NOW);
        let letter = letter(serde_json::to_string(&task).unwrap());
        let why = |head: Option<&Head>| fate(&letter, head, NOW).1;
        insta::assert_snapshot!(why(None), @"its record is gone: whoever tries it again finds nothing to do");
        insta::assert_snapshot!(why(Some(&head(|_| {}))), @"a later task of its record worked, 2s ago: nothing is left to do");
        insta::assert_snapshot!(why(Some(&head(|summary| summary.at = Timestamp::ZERO))), @"no task of its record ever came to an end: did the function end before it?");
        insta::assert_snapshot!(why(Some(&head(|summary| summary.at = NOW.minus(Duration::from_secs(9000))))), @"no task of its record came to an end since: the last that did worked, 2h ago");
    }
}
