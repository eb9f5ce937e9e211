//! `restore-check`: makes a table that was restored from a backup fit to be worked on again.

use clap::Args;
use replicante_model::Timestamp;

use crate::commands::forget::confirm;
use crate::commands::task::actor_of;
use crate::error::CliError;
use crate::out;
use crate::place::{Place, PlaceArgs};
use crate::restore::Check;
use crate::restore::plan::count;
use crate::restore::raise::Raised;
use crate::view::style::Tone;
use crate::view::text::list;

/// Names of records that a note lists.
const NAMES: usize = 5;

/// Values of `restore-check`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    replicante restore-check --restored-to 2026-01-02T03:04:05Z --dry-run   looks\n  \
    replicante restore-check --restored-to 2026-01-02T03:04:05Z             does it\n\n\
    Required after every restore, before the functions run on the restored table: without\n\
    it events get numbers that the stream has already. Every record begins a new epoch:\n\
    readers start anew, each cluster with a snapshot of what was restored. It can be\n\
    stopped and run again. docs/restore.md says it step by step.")]
pub struct RestoreCheckArgs {
    /// The point in time that the table was restored to, or when its backup was made
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub restored_to: Timestamp,
    /// Says what is to be done, and changes nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Does it although it was done for this restore, and why: every time is a restart for all readers
    #[arg(long, value_name = "REASON")]
    pub again: Option<String>,
    /// Who asks: events say so [default: the user]
    #[arg(long, env = "REPLICANTE_ACTOR", hide_env_values = true, value_parser = crate::commands::task::actor, value_name = "NAME")]
    pub actor: Option<String>,
    /// Does not ask
    #[arg(short, long)]
    pub yes: bool,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap takes the group's own text")]
    pub place: PlaceArgs,
}

fn time(text: &str) -> Result<Timestamp, String> {
    let expected = "expected a time with its offset, like 2026-01-02T03:04:05Z";
    Timestamp::parse(text).map_err(|_| expected.to_owned())
}

/// Runs the command.
///
/// # Errors
/// When it was done before, the functions work on the table, nobody confirms, or table or stream can't be read or
/// written.
pub async fn run(args: RestoreCheckArgs) -> Result<(), CliError> {
    let now = Timestamp::now();
    if args.restored_to > now {
        return Err(CliError::Usage(format!("--restored-to {} is in the future", args.restored_to)));
    }
    if args.again.as_deref().is_some_and(|reason| reason.trim().is_empty()) {
        return Err(CliError::Usage("--again wants a reason".into()));
    }
    let place = Place::find(&args.place).await?;
    let check = Check {
        table: place.table(),
        stream: place.stream(),
        source: place.source()?,
        restored_to: args.restored_to,
        whole_stream: place.local,
        actor: actor_of(args.actor),
        again: args.again,
    };
    let plan = check.plan(now).await?;
    plan.lines(check.table.name()).into_iter().try_for_each(out::line)?;
    if args.dry_run {
        return Ok(());
    }
    if !args.yes {
        confirm("Every reader of the stream starts anew.", check.table.name())?;
    }
    told(&check.carry_out(&plan, now).await?)
}

fn told(raised: &Raised) -> Result<(), CliError> {
    let Raised { records, tombstones, removed, anew } = raised;
    if !anew.is_empty() {
        let names = list(anew, NAMES);
        let why = "what is stored did not fit their heads, as the backup took them";
        out::note(
            Tone::Warn.paint(&format!("{names}: {why}. They begin anew with their next refresh or run.")),
        );
    }
    let told = match removed {
        0 => String::new(),
        removed => format!(", {} told to be removed", count(*removed, "cluster", "clusters")),
    };
    let records = count(*records, "record", "records");
    let tombstones = count(*tombstones, "tombstone", "tombstones");
    out::line(format_args!("raised {records} and {tombstones}{told}: the functions may run again"))
}
