//! `discovery`: what a source would change, and the operator's word on what it holds.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};
use replicante_discovery_worker::{outside, preview};
use replicante_model::absence::Confirmation;
use replicante_model::discovery::DiscoveryState;
use replicante_model::intent::{Intent, Intents};
use replicante_model::{Kind, RecordName, Timestamp};
use replicante_objects::Object;

use crate::commands::forget::confirm as ask;
use crate::commands::get::unknown;
use crate::commands::task::{actor_of, send_stored};
use crate::error::CliError;
use crate::place::{Place, PlaceArgs};
use crate::records::heads;
use crate::view::dry_run;
use crate::view::text::clean;
use crate::{files, out, progress};

/// How long a secret counts: longer than a test lasts.
const SECRETS_AGE: Duration = Duration::from_secs(300);
/// The exit code of a test that found differences.
const DIFFERS: u8 = 3;
/// The exit code of a test that found so many gone that they would be held.
const HOLDS: u8 = 4;

/// Values of `discovery`.
#[derive(Debug, Args)]
pub struct DiscoveryArgs {
    /// What to do
    #[command(subcommand)]
    pub what: What,
}

/// What can be done.
#[derive(Debug, Subcommand)]
pub enum What {
    /// Ask a source once, and show what it would change; nothing is stored
    Test(TestArgs),
    /// Say that what a discovery holds is gone
    Confirm(ConfirmArgs),
}

/// Values of `discovery test`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    replicante discovery test -f discovery.yaml              before it is applied\n  \
    replicante discovery test -f discovery.yaml >/dev/null   for its exit code\n\n\
    It asks from here, not from the function: what can be reached may differ.\n\
    Exit codes: 0 nothing would change, 3 something would, 4 so much is gone that the shrink guard would hold it,\n\
    1 the source gives no complete answer, or a file is wrong.")]
pub struct TestArgs {
    /// Discoveries: YAML or JSON; `-` for the standard input
    #[arg(short, long = "file", value_name = "FILE", num_args = 1.., required = true)]
    pub files: Vec<PathBuf>,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap takes the group's own text")]
    pub place: PlaceArgs,
}

/// Values of `discovery confirm`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    replicante discovery confirm fleet                             shows what is held\n  \
    replicante discovery confirm fleet --answer 4f1c0a9be2d37768   asks, and lets it go\n  \
    replicante discovery confirm fleet --cluster orders --answer 90cd2b54aa01f3e6 --yes\n\n\
    The answer names exactly what would go: if that is something else by now, nothing is done.")]
pub struct ConfirmArgs {
    /// The discovery
    pub name: String,
    /// The nodes of this cluster [default: the clusters]
    #[arg(long, value_name = "NAME")]
    pub cluster: Option<String>,
    /// What was seen to be held [default: shows what is]
    #[arg(long, value_name = "HASH")]
    pub answer: Option<String>,
    /// Does not ask
    #[arg(short, long)]
    pub yes: bool,
    /// Its namespace
    #[arg(short, long, default_value = "default", value_name = "NAME")]
    pub namespace: String,
    /// Who confirms: events say so [default: the user]
    #[arg(long, env = "REPLICANTE_ACTOR", hide_env_values = true, value_parser = crate::commands::task::actor, value_name = "NAME")]
    pub actor: Option<String>,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap takes the group's own text")]
    pub place: PlaceArgs,
}

/// Runs the command.
///
/// # Errors
/// Whatever keeps it from what it was asked for; [`CliError::Result`] for what a test found.
pub async fn run(args: DiscoveryArgs) -> Result<(), CliError> {
    match args.what {
        What::Test(args) => test(args).await,
        What::Confirm(args) => confirm(args).await,
    }
}

async fn test(args: TestArgs) -> Result<(), CliError> {
    let objects = files::read(&args.files, Duration::ZERO)?;
    let discoveries: Vec<_> = objects
        .iter()
        .filter_map(|object| match object {
            Object::Discovery(discovery) => Some(discovery),
            Object::Cluster(_) => None,
        })
        .collect();
    if discoveries.is_empty() {
        return Err(CliError::Failed(
            "there is no Discovery in these files: a Cluster has no source to be asked".into(),
        ));
    }
    let place = Place::find(&args.place).await?;
    let (table, outside) = (place.table(), outside(place.clients(), place.addresses()?, SECRETS_AGE));
    let mut code = 0;
    let mut failed = Vec::new();
    for discovery in &discoveries {
        let record = RecordName::discovery(&*discovery.metadata.namespace, &*discovery.metadata.name);
        let known = table.look::<DiscoveryState>(&record).await?.and_then(|(_, state)| state);
        let state = known.clone().unwrap_or_default();
        let now = Timestamp::now();
        let intents = Intents::at(now, table.intents(&record).await?);
        progress::say("asking the source");
        match preview(&outside, &record.id, &discovery.spec, &state, &intents, now).await {
            Err(error) => {
                failed.push(format!("{record}: the source gave no complete answer: {}", clean(&error)));
            }
            Ok((answer, run)) => {
                for line in dry_run::lines(&record, known.is_some(), &state, &answer, &run) {
                    out::line(line)?;
                }
                let holds = !dry_run::held(&run.state).is_empty();
                code = code.max(if holds { HOLDS } else { DIFFERS * u8::from(!run.items.is_empty()) });
            }
        }
    }
    match (failed.as_slice(), code) {
        ([], 0) => Ok(()),
        ([], code) => Err(CliError::Result(code)),
        ([failed], _) => Err(CliError::Failed(failed.clone())),
        (several, _) => {
            let all =
                format!("{} of {} sources failed: {}", several.len(), discoveries.len(), several.join("; "));
            Err(CliError::Failed(all))
        }
    }
}

async fn confirm(args: ConfirmArgs) -> Result<(), CliError> {
    let place = Place::find(&args.place).await?;
    let table = place.table();
    let record = RecordName::discovery(&*args.namespace, &*args.name);
    let Some((_, state)) = table.look::<DiscoveryState>(&record).await? else {
        return Err(unknown(&record, &heads(&table, Kind::Discovery).await?));
    };
    let state = state.unwrap_or_default();
    let absences = match &args.cluster {
        None => Some(&state.absences),
        Some(cluster) => state.clusters.get(cluster).map(|known| &known.nodes),
    };
    let Some((absences, held)) = absences.and_then(|it| Some((it, it.held.as_ref()?))) else {
        let hint = match dry_run::held(&state).first() {
            None => "it needs no word".to_owned(),
            Some((None, _)) => "its clusters are held: leave --cluster out".into(),
            Some((Some(cluster), _)) => format!("the nodes of {cluster} are held: add --cluster {cluster}"),
        };
        return Err(CliError::Failed(format!("{record} holds no such thing; {hint}")));
    };
    dry_run::would_go(absences, held).into_iter().try_for_each(out::line)?;
    let Some(answer) = args.answer else {
        let of = args.cluster.map(|cluster| format!(" --cluster {cluster}")).unwrap_or_default();
        let (program, name) = (out::program(), args.name);
        out::note(format_args!(
            "are they gone? {program} discovery confirm {name}{of} --answer {}",
            held.answer
        ));
        return Ok(());
    };
    if answer != held.answer {
        return Err(CliError::Failed(format!(
            "what is held is {} by now, and not {answer}: look at it above; nothing was done",
            held.answer
        )));
    }
    if !args.yes {
        ask("They will be removed.", &args.name)?;
    }
    let actor = actor_of(args.actor);
    let word = Confirmation { answer, held_since: held.since, actor: actor.clone() };
    let intent = Intent::Confirm { cluster: args.cluster, word };
    table.put_intent(&record, &intent, Timestamp::now()).await?;
    send_stored(&place, &record, &actor).await?;
    out::line(format_args!("{record}: {} are confirmed to be gone, as {actor}", held.dropped))?;
    out::note(format_args!("`{} events --since 1m` shows what comes of it", out::program()));
    Ok(())
}
