//! `maintenance`: what happens to a cluster for a while is expected, and its events say so.

use clap::{Args, Subcommand};
use replicante_model::maintenance::Maintenance;
use replicante_model::{Kind, RecordName, Timestamp};

use crate::commands::forget::{Until, until};
use crate::commands::get::unknown;
use crate::commands::task::{actor_of, send_stored};
use crate::error::CliError;
use crate::out;
use crate::place::{Place, PlaceArgs};
use crate::records::heads;
use crate::view::text::reason;

/// Values of `maintenance`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    replicante maintenance begin orders --until 2h --reason 'new racks'\n  \
    replicante maintenance end orders\n\n\
    Nothing is hidden, and the cluster is refreshed as ever. Each event that is observed\n\
    within the window carries its end as `maintenance`: whoever is woken by events may leave\n\
    those out. To have it left alone: `replicante pause`.")]
pub struct MaintenanceArgs {
    /// What to do
    #[command(subcommand)]
    pub what: What,
}

/// What can be done.
#[derive(Debug, Subcommand)]
pub enum What {
    /// Begin a window, or say that it is another than was said
    #[command(after_help = "Examples:\n  \
        replicante maintenance begin orders --until 2h\n  \
        replicante maintenance begin orders --until 3h --reason 'it takes longer'")]
    Begin(BeginArgs),
    /// End a window before its time
    #[command(after_help = "Example:\n  replicante maintenance end orders")]
    End(NameArgs),
}

/// Which cluster, and who.
#[derive(Debug, Args)]
pub struct NameArgs {
    /// The cluster
    pub cluster: String,
    /// Its namespace
    #[arg(short, long, default_value = "default", value_name = "NAME")]
    pub namespace: String,
    /// Who says so: events tell [default: the user]
    #[arg(long, env = "REPLICANTE_ACTOR", hide_env_values = true, value_parser = crate::commands::task::actor, value_name = "NAME")]
    pub actor: Option<String>,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap takes the group's own text")]
    pub place: PlaceArgs,
}

/// Values of `maintenance begin`.
#[derive(Debug, Args)]
pub struct BeginArgs {
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap takes the group's own text")]
    pub name: NameArgs,
    /// When it ends by itself: a duration from now, or a time like 2026-01-02T03:04:05Z
    #[arg(long, value_parser = until, value_name = "TIME")]
    pub until: Until,
    /// What is done: at most 200 characters
    #[arg(long, value_parser = reason, value_name = "TEXT")]
    pub reason: Option<String>,
}

/// Runs the command.
///
/// # Errors
/// When there is no such cluster or window, or the table or the queue can't be written to.
pub async fn run(args: MaintenanceArgs) -> Result<(), CliError> {
    match args.what {
        What::Begin(args) => begin(args).await,
        What::End(args) => end(args).await,
    }
}

async fn begin(args: BeginArgs) -> Result<(), CliError> {
    let BeginArgs { name, until, reason } = args;
    let since = Timestamp::now();
    let until = until.from(since);
    if until <= since {
        return Err(CliError::Usage(format!("--until {until} is in the past")));
    }
    let place = Place::find(&name.place).await?;
    let table = place.table();
    let record = RecordName::cluster(&*name.namespace, &*name.cluster);
    let actor = actor_of(name.actor);
    let known = table.maintenance(&record).await?.filter(|window| window.is_on(since));
    // One window, that is longer or shorter than was said.
    let since = known.map_or(since, |window| window.since);
    let window = Maintenance { since, until, reason, actor: actor.clone() };
    if !table.begin_maintenance(&record, &window).await? {
        return Err(unknown(&record, &heads(&table, Kind::Cluster).await?));
    }
    send_stored(&place, &record, &actor).await?;
    out::line(format_args!("{record} is in maintenance until {until}, as {actor}"))?;
    out::note("what is observed of it meanwhile is told as ever, and says so");
    Ok(())
}

async fn end(args: NameArgs) -> Result<(), CliError> {
    let place = Place::find(&args.place).await?;
    let table = place.table();
    let record = RecordName::cluster(&*args.namespace, &*args.cluster);
    let now = Timestamp::now();
    let known = table.maintenance(&record).await?.filter(|window| window.is_on(now));
    if known.is_none() || !table.end_maintenance(&record).await? {
        if table.head(&record).await?.is_none() {
            return Err(unknown(&record, &heads(&table, Kind::Cluster).await?));
        }
        return Err(CliError::Failed(format!("{record} is not in maintenance: there is nothing to end")));
    }
    send_stored(&place, &record, &actor_of(args.actor)).await?;
    out::line(format_args!("{record} is no longer in maintenance"))
}
