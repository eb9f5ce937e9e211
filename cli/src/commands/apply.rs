//! `apply`: stores what operators want.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use crate::commands::task::actor_of;
use crate::error::CliError;
use crate::place::{Place, PlaceArgs};
use crate::{files, out};

/// Values of `apply`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    replicante apply -f discovery.yaml            a Discovery, or a Cluster that overrides what its discovery says\n  \
    replicante apply -f discoveries/*.yaml        checked first: one error, and no file is applied\n  \
    replicante apply --dry-run -f discovery.yaml  only checks, and says what would change\n  \
    generate | replicante apply -f -              from the standard input\n\n\
    Objects are stored in steps of 33, each as a whole: where one fails, those before it are applied.\n\
    Events tell who applied what, from before to after.\n\
    Intervals are checked against the tick of the deployment (REPLICANTE_TICK, else 60s).")]
pub struct ApplyArgs {
    /// Objects: YAML or JSON, several documents a file; `-` for the standard input
    #[arg(short, long = "file", value_name = "FILE", num_args = 1.., required = true)]
    pub files: Vec<PathBuf>,
    /// Says what would change, and stores nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Who applies: events say so [default: the user]
    #[arg(long, env = "REPLICANTE_ACTOR", hide_env_values = true, value_parser = crate::commands::task::actor, value_name = "NAME")]
    pub actor: Option<String>,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap takes the group's own text")]
    pub place: PlaceArgs,
}

/// Runs the command.
///
/// # Errors
/// When an object is wrong, or the table can't be written.
pub async fn run(args: ApplyArgs) -> Result<(), CliError> {
    let place = Place::find(&args.place).await;
    // What is wrong with the files is said wherever Replicante runs, or if it runs nowhere.
    let tick = place.as_ref().map_or(Ok(Duration::ZERO), Place::tick)?;
    let objects = files::read(&args.files, tick)?;
    let place = place?;
    let actor = actor_of(args.actor);
    let effects = files::apply(&place.table(), &objects, &actor, args.dry_run).await?;
    let suffix = if args.dry_run { " (dry run)" } else { "" };
    for (object, effect) in objects.iter().zip(effects) {
        out::line(format_args!("{} {}{suffix}", files::title(object), effect.as_str()))?;
    }
    Ok(())
}
