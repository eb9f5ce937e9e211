//! `dlq`: the dead letters, tasks that failed too often.

mod hold;
pub mod show;

use std::collections::BTreeSet;

use clap::{Args, Subcommand, ValueEnum};
use replicante_aws::{Message, Queue};
use replicante_model::{Kind, Timestamp};
use replicante_protocol::task::Task;
use serde_json::{Value, json};

use self::hold::Hold;
use crate::commands::forget::confirm;
use crate::error::CliError;
use crate::out::{self, Output};
use crate::place::{Place, PlaceArgs};
use crate::progress;
use crate::view::clusters::ago;
use crate::view::style::Tone;
use crate::view::table::{Cell, table};
use crate::view::text::{clean, count, list as list_of};

/// How long messages are hidden from others while they are looked at or moved, in seconds.
const HELD: i32 = 60;
/// Ids that are named of many.
const IDS: usize = 5;
/// Dead letters that are listed at most.
const LISTED: usize = 1_000;

/// Values of `dlq`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    replicante dlq list                    what failed too often\n  \
    replicante dlq show 5fd1b2             the whole message, and what became of its record\n  \
    replicante dlq redrive                 tries it all again\n  \
    replicante dlq redrive --id 5fd1b2     ... one of them\n  \
    replicante dlq purge --queue refresh   forgets it: the schedule goes on all the same\n\n\
    A task names a record, nothing more: whatever is tried again works on the record as it is then.")]
pub struct DlqArgs {
    /// What to do
    #[command(subcommand)]
    pub what: What,
}

/// What can be done with dead letters.
#[derive(Debug, Subcommand)]
pub enum What {
    /// Lists them
    List(ListArgs),
    /// Shows one: the whole message, and what became of its record
    Show(show::ShowArgs),
    /// Puts them back into their queue
    Redrive(RedriveArgs),
    /// Deletes them all
    Purge(PurgeArgs),
}

/// Which dead letters.
#[derive(Clone, Debug, Args)]
pub struct WhichArgs {
    /// Only those of this queue [default: both]
    #[arg(long, value_enum, value_name = "NAME")]
    pub queue: Option<QueueName>,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap takes the group's own text")]
    pub place: PlaceArgs,
}

/// A queue of tasks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum QueueName {
    /// Refreshes of clusters
    Refresh,
    /// Runs of discoveries
    Discovery,
}

/// Values of `dlq list`.
#[derive(Debug, Args)]
pub struct ListArgs {
    /// How to show them
    #[arg(short, long, value_enum, default_value = "table")]
    pub output: Output,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap takes the group's own text")]
    pub which: WhichArgs,
}

/// Values of `dlq redrive`.
#[derive(Debug, Args)]
pub struct RedriveArgs {
    /// Only the one of this id, or of ids that begin so; may be given again
    #[arg(long, value_name = "ID")]
    pub id: Vec<String>,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap takes the group's own text")]
    pub which: WhichArgs,
}

/// Values of `dlq purge`.
#[derive(Debug, Args)]
pub struct PurgeArgs {
    /// Does not ask
    #[arg(short = 'y', long)]
    pub yes: bool,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap takes the group's own text")]
    pub which: WhichArgs,
}

/// A dead letter.
#[derive(Clone, Debug)]
struct Letter {
    kind: Kind,
    message: Message,
    /// What it asks for, where it is a task at all.
    task: Result<Task, String>,
}

impl Letter {
    fn of(kind: Kind, message: Message) -> Self {
        let task = serde_json::from_str(&message.body).map_err(|error| error.to_string());
        Letter { kind, message, task }
    }

    /// Those of the ids, or beginnings of ids, that mean this one.
    fn named<'a>(&'a self, ids: &'a [String]) -> impl Iterator<Item = &'a String> {
        ids.iter().filter(|id| self.message.id.starts_with(id.as_str()))
    }

    fn sent(&self) -> Option<Timestamp> {
        self.message.sent.parse().ok().map(Timestamp)
    }
}

/// Runs the command.
///
/// # Errors
/// When a queue can't be read or written to, or nothing is as it is said to be.
pub async fn run(args: DlqArgs) -> Result<(), CliError> {
    let hold = Hold::default();
    match args.what {
        What::List(args) => hold.during(list(args, &hold)).await,
        What::Show(args) => hold.during(show::show(args, &hold)).await,
        What::Redrive(args) => hold.during(redrive(args, &hold)).await,
        // It holds nothing, and may ask: then Ctrl-C ends it as it ends any other.
        What::Purge(args) => purge(args).await,
    }
}

/// The queues that are asked for, each with its dead-letter queue.
async fn queues(place: &Place, args: &WhichArgs) -> Result<Vec<(Kind, Queue, Queue)>, CliError> {
    let kinds: &[Kind] = match args.queue {
        Some(QueueName::Refresh) => &[Kind::Cluster],
        Some(QueueName::Discovery) => &[Kind::Discovery],
        None => &[Kind::Discovery, Kind::Cluster],
    };
    let mut queues = Vec::new();
    for kind in kinds {
        let queue = place.queue(*kind)?;
        let none =
            || CliError::Failed(format!("{} has no dead-letter queue: see its redrive policy", queue.url()));
        let dead = queue.dead_letters().await?.ok_or_else(none)?;
        queues.push((*kind, queue, dead));
    }
    Ok(queues)
}

/// The dead letters of a queue, hidden from others for a while.
async fn held(kind: Kind, dead: &Queue, hold: &Hold) -> Result<Vec<Letter>, CliError> {
    progress::count("dead letters");
    let mut letters: Vec<Letter> = Vec::new();
    let mut known = BTreeSet::new();
    while letters.len() < LISTED {
        let some = hold.take(dead, HELD).await?;
        if some.is_empty() {
            break;
        }
        progress::step(some.len());
        letters.extend(
            some.into_iter()
                .filter(|message| known.insert(message.id.clone()))
                .map(|message| Letter::of(kind, message)),
        );
    }
    Ok(letters)
}

/// Those that somebody else holds, of a queue that gave none.
async fn hidden(dead: &Queue, letters: &[Letter]) -> Result<u64, CliError> {
    Ok(if letters.is_empty() { dead.depth().await?.in_flight } else { 0 })
}

/// That there may be more than was seen.
fn hidden_note(hidden: u64) -> String {
    let what = count(hidden, "dead letter");
    format!("{what} can't be seen now: somebody looks at them, or did so within the last {HELD} seconds")
}

/// None of these ids: exit code 1.
fn no_such(ids: &[&str], hidden: u64) -> CliError {
    let hint = match hidden {
        0 => "dlq list shows them".to_owned(),
        _ => hidden_note(hidden),
    };
    CliError::Failed(format!("no dead letter has the id {}: {hint}", ids.join(" or ")))
}

async fn list(args: ListArgs, hold: &Hold) -> Result<(), CliError> {
    let mut all = Vec::new();
    let mut unseen = 0;
    for (kind, _, dead) in queues(&Place::find(&args.which.place).await?, &args.which).await? {
        let letters = held(kind, &dead, hold).await?;
        hold.let_go().await?;
        unseen += hidden(&dead, &letters).await?;
        all.extend(letters);
    }
    if unseen > 0 {
        out::note(Tone::Warn.paint(&hidden_note(unseen)));
    }
    if args.output.wrote(|| all.iter().map(as_json).collect::<Value>())? {
        return Ok(());
    }
    if all.is_empty() {
        if unseen == 0 {
            out::note("no dead letters: no task failed too often");
        }
        return Ok(());
    }
    let width = out::size().map(|(width, _)| width);
    lines(&all, Timestamp::now(), width).into_iter().try_for_each(out::line)?;
    if all.len() >= LISTED {
        out::note(format_args!("there may be more: the first {LISTED} of a queue are listed"));
    }
    out::note(format_args!("`{} dlq redrive` tries them again", out::program()));
    Ok(())
}

fn lines(letters: &[Letter], now: Timestamp, most: Option<usize>) -> Vec<String> {
    let row = |letter: &Letter| {
        let (record, cause) = match &letter.task {
            Ok(task) => (Cell::text(task.record.key()), format!("{:?}", task.cause).to_lowercase()),
            Err(_) => (Cell::text("no task").toned(Tone::Bad), clean(&letter.message.body).into_owned()),
        };
        vec![
            Cell::text(&letter.message.id),
            Cell::text(queue(letter.kind)),
            record,
            Cell::text(cause),
            Cell::text(ago(letter.sent(), now)),
        ]
    };
    let rows: Vec<Vec<Cell>> = letters.iter().map(row).collect();
    table(&["ID", "QUEUE", "RECORD", "CAUSE", "SENT"], &rows, most)
}

fn queue(kind: Kind) -> &'static str {
    match kind {
        Kind::Cluster => "refresh",
        Kind::Discovery => "discovery",
    }
}

fn as_json(letter: &Letter) -> Value {
    json!({
        "id": letter.message.id, "queue": queue(letter.kind), "sent": letter.sent().map(Timestamp::rfc3339),
        "body": letter.message.body,
        "record": letter.task.as_ref().ok().map(|task| task.record.key()),
    })
}

async fn redrive(args: RedriveArgs, hold: &Hold) -> Result<(), CliError> {
    let is_meant = |letter: &&Letter| args.id.is_empty() || letter.named(&args.id).next().is_some();
    let (mut moved, mut unseen) = (0, 0);
    let mut foreign = BTreeSet::new();
    let mut missing: BTreeSet<&String> = args.id.iter().collect();
    for (kind, queue, dead) in queues(&Place::find(&args.which.place).await?, &args.which).await? {
        loop {
            let letters = held(kind, &dead, hold).await?;
            unseen += hidden(&dead, &letters).await?;
            let meant: Vec<&Letter> = letters.iter().filter(is_meant).collect();
            meant.iter().flat_map(|letter| letter.named(&args.id)).for_each(|id| {
                missing.remove(id);
            });
            let no_tasks = meant.iter().filter(|letter| letter.task.is_err());
            foreign.extend(no_tasks.map(|letter| letter.message.id.clone()));
            let tasks: Vec<(&Letter, Task)> =
                meant.iter().filter_map(|letter| Some((*letter, letter.task.clone().ok()?))).collect();
            progress::all("tasks put back", tasks.len() as u64);
            for some in tasks.chunks(10) {
                // Sent first: what ends in between is there twice, and the second is a duplicate.
                let sending: Vec<(Task, u64)> = some.iter().map(|(_, task)| (task.clone(), 0)).collect();
                let sent = queue.send(&sending).await;
                let accepted = some.iter().zip(&sent.accepted).filter(|(_, accepted)| **accepted);
                let receipts: Vec<String> =
                    accepted.map(|((letter, _), _)| letter.message.receipt.clone()).collect();
                dead.delete(&receipts).await?;
                hold.forget(&receipts);
                moved += receipts.len();
                progress::step(receipts.len());
                if let Some(error) = sent.refused {
                    return Err(error.into());
                }
            }
            hold.let_go().await?;
            // A full list may be followed by more; of what stays nothing would be new.
            if letters.len() < LISTED || tasks.is_empty() {
                break;
            }
        }
    }
    let ids: Vec<&str> = missing.iter().map(|id| id.as_str()).collect();
    if moved > 0 || args.id.is_empty() {
        out::line(format_args!("{} put back", count(moved as u64, "task")))?;
    }
    if !foreign.is_empty() {
        let what = count(foreign.len() as u64, "dead letter");
        let shown = list_of(&foreign, IDS);
        let note = format!("{what} left, no tasks that this release can read: {shown}; see dlq show ID");
        // Whoever named it did not get what was asked for.
        if !args.id.is_empty() && ids.is_empty() {
            return Err(CliError::Failed(note));
        }
        out::note(Tone::Warn.paint(&clean(&note)));
    }
    if ids.is_empty() { Ok(()) } else { Err(no_such(&ids, unseen)) }
}

async fn purge(args: PurgeArgs) -> Result<(), CliError> {
    let queues = queues(&Place::find(&args.which.place).await?, &args.which).await?;
    let mut letters = 0;
    for (_, _, dead) in &queues {
        letters += dead.depth().await?.all();
    }
    if letters == 0 {
        return out::line("no dead letters: nothing to delete");
    }
    let what = count(letters, "dead letter");
    if !args.yes {
        confirm(&format!("{what} will be deleted, and not be tried again."), "purge")?;
    }
    for (_, _, dead) in &queues {
        dead.purge().await?;
    }
    out::line(format_args!("{what} deleted"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::given::{NOW, plain, written};
    use replicante_model::RecordName;
    use std::time::Duration;

    #[test]
    fn dead_letters_are_listed_with_what_they_ask_for() {
        let message = |id: &str, body: String| Message {
            id: id.into(),
            receipt: "r".into(),
            body,
            deliveries: 6,
            sent: NOW.minus(Duration::from_secs(7200)).0.to_string(),
            first_received: String::new(),
            md5: String::new(),
            sender: String::new(),
        };
        let task = Task::scheduled(RecordName::cluster("prod", "orders"), NOW);
        let letters = [
            Letter::of(Kind::Cluster, message("5fd1b2", serde_json::to_string(&task).unwrap())),
            Letter::of(Kind::Discovery, message("77aa00", "{\u{1b}[2J}".into())),
        ];
        insta::assert_snapshot!(plain(&lines(&letters, NOW, None)), @"
        ID      QUEUE      RECORD               CAUSE     SENT
        5fd1b2  refresh    cluster/prod/orders  schedule  2h ago
        77aa00  discovery  no task              {�[2J}    2h ago
        ");
        let told: Value = letters.iter().map(as_json).collect();
        insta::assert_snapshot!(written(&told).0, @r#"
        [
          {
            "body": "{\"kind\":\"cluster\",\"namespace\":\"prod\",\"id\":\"orders\",\"stamp\":1767319445000,\"cause\":\"schedule\"}",
            "id": "5fd1b2",
            "queue": "refresh",
            "record": "cluster/prod/orders",
            "sent": "2026-01-02T00:04:05.000Z"
          },
          {
            "body": "{\u001b[2J}",
            "id": "77aa00",
            "queue": "discovery",
            "record": null,
            "sent": "2026-01-02T00:04:05.000Z"
          }
        ]
        "#);
        insta::assert_snapshot!(written(&told).1, @r#"
        - body: "{\"kind\":\"cluster\",\"namespace\":\"prod\",\"id\":\"orders\",\"stamp\":1767319445000,\"cause\":\"schedule\"}"
          id: 5fd1b2
          queue: refresh
          record: cluster/prod/orders
          sent: "2026-01-02T00:04:05.000Z"
        - body: "{\e[2J}"
          id: 77aa00
          queue: discovery
          record: null
          sent: "2026-01-02T00:04:05.000Z"
        "#);
    }
}
