//! `pause` and `resume`: a cluster, a discovery or everything is left alone for a while.

use clap::{Args, Subcommand};
use replicante_model::pause::Pause;
use replicante_model::{Kind, RecordName, Timestamp};

use crate::commands::forget::{Until, until};
use crate::commands::get::unknown;
use crate::commands::task::actor_of;
use crate::error::CliError;
use crate::out;
use crate::place::{Place, PlaceArgs};
use crate::records::heads;
use crate::view::text::{count, reason};

/// Values of `pause`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    replicante pause cluster orders --until 2h --reason 'new racks'\n  \
    replicante pause discovery fleet             its runs; its clusters are refreshed on\n  \
    replicante pause all --until 30m\n\n\
    No scheduler sends tasks for what is paused. Those that were sent already still run, two\n\
    ticks later at most; `refresh` and `discover` work all the same; what is owed to the\n\
    stream is delivered. After the pause each goes on in its next slot. A second pause takes\n\
    the place of the first.")]
pub struct PauseArgs {
    /// What to pause
    #[command(subcommand)]
    pub what: What<PauseOptions>,
}

/// Values of `resume`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    replicante resume cluster orders\n  \
    replicante resume all             what is paused by its own name stays so")]
pub struct ResumeArgs {
    /// What goes on
    #[command(subcommand)]
    pub what: What<ResumeOptions>,
}

/// What can be paused, and goes on.
#[derive(Debug, Subcommand)]
pub enum What<O: Options> {
    /// The refreshes of a cluster
    #[command(after_help = format!("Example:\n  replicante {} cluster orders{}", O::NAME, O::SOME))]
    Cluster(OneArgs<O>),
    /// The runs of a discovery
    #[command(after_help = format!("Example:\n  replicante {} discovery fleet{}", O::NAME, O::SOME))]
    Discovery(OneArgs<O>),
    /// All refreshes and all runs
    #[command(after_help = format!("Example:\n  replicante {} all{}", O::NAME, O::SOME))]
    All(O),
}

/// The options of `pause`, or of `resume`.
pub trait Options: Args {
    /// The name of the command.
    const NAME: &'static str;
    /// Options of an example.
    const SOME: &'static str;
}

impl Options for PauseOptions {
    const NAME: &'static str = "pause";
    const SOME: &'static str = " --until 2h";
}

impl Options for ResumeOptions {
    const NAME: &'static str = "resume";
    const SOME: &'static str = "";
}

/// One record.
#[derive(Debug, Args)]
pub struct OneArgs<O: Options> {
    /// Its name
    pub name: String,
    /// Its namespace
    #[arg(short, long, default_value = "default", value_name = "NAME")]
    pub namespace: String,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap takes the group's own text")]
    pub options: O,
}

/// How to pause.
#[derive(Debug, Args)]
pub struct PauseOptions {
    /// When it ends by itself: a duration from now, or a time like 2026-01-02T03:04:05Z [default: with `resume`]
    #[arg(long, value_parser = until, value_name = "TIME")]
    pub until: Option<Until>,
    /// Why: at most 200 characters
    #[arg(long, value_parser = reason, value_name = "TEXT")]
    pub reason: Option<String>,
    /// Who pauses [default: the user]
    #[arg(long, env = "REPLICANTE_ACTOR", hide_env_values = true, value_parser = crate::commands::task::actor, value_name = "NAME")]
    pub actor: Option<String>,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap takes the group's own text")]
    pub place: PlaceArgs,
}

/// How to go on.
#[derive(Debug, Args)]
pub struct ResumeOptions {
    /// Who resumes: kept with the pause for a day [default: the user]
    #[arg(long, env = "REPLICANTE_ACTOR", hide_env_values = true, value_parser = crate::commands::task::actor, value_name = "NAME")]
    pub actor: Option<String>,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap takes the group's own text")]
    pub place: PlaceArgs,
}

impl<O: Options> What<O> {
    /// The record that is meant, unless it is everything; and the options.
    fn split(self) -> (Option<RecordName>, O) {
        match self {
            What::Cluster(OneArgs { name, namespace, options }) => {
                (Some(RecordName::cluster(namespace, name)), options)
            }
            What::Discovery(OneArgs { name, namespace, options }) => {
                (Some(RecordName::discovery(namespace, name)), options)
            }
            What::All(options) => (None, options),
        }
    }
}

/// What a pause is about, in words.
fn told(record: Option<&RecordName>) -> String {
    record.map_or_else(|| "everything".to_owned(), RecordName::to_string)
}

/// Runs `pause`.
///
/// # Errors
/// When there is no such record, or the table can't be written to.
pub async fn pause(args: PauseArgs) -> Result<(), CliError> {
    let (record, options) = args.what.split();
    let since = Timestamp::now();
    let until = options.until.map(|until| until.from(since));
    if let Some(until) = until.filter(|until| *until <= since) {
        return Err(CliError::Usage(format!("--until {until} is in the past")));
    }
    let table = Place::find(&options.place).await?.table();
    if let Some(record) = &record
        && table.head(record).await?.is_none()
    {
        return Err(unknown(record, &heads(&table, record.kind).await?));
    }
    let actor = actor_of(options.actor);
    let pause = Pause { since, until, reason: options.reason, actor, ended_by: None };
    table.put_pause(record.as_ref(), &pause).await?;
    let end = until.map_or_else(String::new, |until| format!(" until {until}"));
    out::line(format_args!("{} is paused{end}, as {}", told(record.as_ref()), pause.actor))?;
    let ask = match record.as_ref().map(|record| record.kind) {
        Some(Kind::Cluster) => "refresh",
        Some(Kind::Discovery) => "discover",
        None => "refresh and discover",
    };
    out::note(format_args!("tasks that were sent already still run; {ask} may be asked for all the same"));
    Ok(())
}

/// Runs `resume`.
///
/// # Errors
/// When there is no such record, it is not paused, or the table can't be written to.
pub async fn resume(args: ResumeArgs) -> Result<(), CliError> {
    let (record, options) = args.what.split();
    let table = Place::find(&options.place).await?.table();
    let pauses = table.pauses().await?;
    let now = Timestamp::now();
    let known = record.as_ref().map_or(pauses.all.as_ref(), |record| pauses.records.get(record));
    let Some(pause) = known.filter(|pause| pause.is_on(now)) else {
        if let Some(record) = &record
            && table.head(record).await?.is_none()
        {
            return Err(unknown(record, &heads(&table, record.kind).await?));
        }
        let hint = match pauses.all.filter(|pause| pause.is_on(now)) {
            Some(_) => format!("everything is: `{} resume all`", out::program()),
            None => format!("`{} status` says what is", out::program()),
        };
        return Err(CliError::Failed(format!("{} is not paused; {hint}", told(record.as_ref()))));
    };
    // What ended is kept for a while: by it a scheduler knows what fell into the pause.
    let ended = Pause { until: Some(now), ended_by: Some(actor_of(options.actor)), ..pause.clone() };
    table.put_pause(record.as_ref(), &ended).await?;
    out::line(format_args!("{} goes on, each record in its next slot", told(record.as_ref())))?;
    match &record {
        Some(_) if pauses.all.is_some_and(|pause| pause.is_on(now)) => {
            out::note(format_args!("everything is still paused: `{} resume all`", out::program()));
        }
        None => {
            let left = pauses.records.values().filter(|pause| pause.is_on(now)).count() as u64;
            if left > 0 {
                let (verb, records) = (if left == 1 { "is" } else { "are" }, count(left, "record"));
                out::note(format_args!(
                    "{records} {verb} still paused by name: `{} status` says which",
                    out::program()
                ));
            }
        }
        Some(_) => {}
    }
    Ok(())
}
