//! `delete`: an object goes. What it was about goes on without it.

use clap::{Args, Subcommand};
use replicante_aws::ObjectKind;
use replicante_model::discovery::DiscoveryState;
use replicante_model::time::human;
use replicante_model::{RecordName, Timestamp};

use crate::commands::forget::confirm;
use crate::commands::get::like;
use crate::commands::task::actor_of;
use crate::error::CliError;
use crate::out;
use crate::place::{Place, PlaceArgs};
use crate::view::text::count;

/// Values of `delete`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    replicante delete discovery fleet        asks first; its clusters stay\n  \
    replicante delete cluster orders --yes   what its discovery says of orders counts again\n\n\
    Objects are what was applied. To remove a cluster itself: `replicante forget`.")]
pub struct DeleteArgs {
    /// What to delete
    #[command(subcommand)]
    pub what: What,
}

/// What can be deleted.
#[derive(Debug, Subcommand)]
pub enum What {
    /// A Discovery: its source is asked no more
    #[command(after_help = "Examples:\n  \
        replicante export -n default > objects.yaml   keeps what was applied\n  \
        replicante delete discovery fleet\n\n\
        The clusters that it discovered stay, and are refreshed as it said last, until each is\n\
        forgotten (`replicante forget`). Another discovery may not take them before that.\n\
        Applied again, it goes on where it was.")]
    Discovery(ObjectArgs),
    /// A Cluster object: what its discovery says of the cluster counts again
    #[command(after_help = "Example:\n  replicante delete cluster orders\n\n\
        The cluster itself stays: it is due at once, as often as its discovery says, and enabled.")]
    Cluster(ObjectArgs),
}

/// Which object.
#[derive(Debug, Args)]
pub struct ObjectArgs {
    /// Its name
    pub name: String,
    /// Its namespace
    #[arg(short, long, default_value = "default", value_name = "NAME")]
    pub namespace: String,
    /// Does not ask
    #[arg(short, long)]
    pub yes: bool,
    /// Who deletes: events say so [default: the user]
    #[arg(long, env = "REPLICANTE_ACTOR", hide_env_values = true, value_parser = crate::commands::task::actor, value_name = "NAME")]
    pub actor: Option<String>,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap takes the group's own text")]
    pub place: PlaceArgs,
}

/// Runs the command.
///
/// # Errors
/// When there is no such object, nobody confirms, or the table can't be written to.
pub async fn run(args: DeleteArgs) -> Result<(), CliError> {
    let (kind, args) = match args.what {
        What::Discovery(args) => (ObjectKind::Discovery, args),
        What::Cluster(args) => (ObjectKind::Cluster, args),
    };
    let ObjectArgs { name, namespace, yes, actor, place } = args;
    let table = Place::find(&place).await?.table();
    let title = match kind {
        ObjectKind::Discovery => format!("Discovery {namespace}/{name}"),
        ObjectKind::Cluster => format!("Cluster {namespace}/{name}"),
    };
    let Some(object) = table.object(kind, &namespace, &name).await? else {
        let known = table.objects(kind).await?;
        let known = known.iter().filter(|(record, _)| record.namespace == namespace);
        let known: Vec<&str> = known.map(|(record, _)| record.id.as_str()).collect();
        return Err(none(kind, &title, &name, &like(&name, known)));
    };
    let (question, after) = match kind {
        ObjectKind::Discovery => {
            let record = RecordName::discovery(&*namespace, &*name);
            let state = table.look::<DiscoveryState>(&record).await?.and_then(|(_, state)| state);
            let own = state.map_or(0, |state| {
                state.clusters.values().filter(|known| known.owner.is_none()).count() as u64
            });
            let stay = match own {
                0 => "it has discovered no cluster".to_owned(),
                1 => format!("the {} that it discovered stays, refreshed as before", count(own, "cluster")),
                _ => format!("the {} that it discovered stay, refreshed as before", count(own, "cluster")),
            };
            (format!("{title} will be deleted, and its source asked no more: {stay}."), stay)
        }
        ObjectKind::Cluster => {
            let record = RecordName::cluster(&*namespace, &*name);
            let item = table.discovery_item(&record).await?.filter(|item| item.removed.is_none());
            let then = item.map_or_else(
                || "no cluster of that name is known".to_owned(),
                |item| {
                    let every = human(item.refresh_interval);
                    format!("{record} is refreshed every {every}, as discovery {} says", item.discovery)
                },
            );
            (format!("{title} will be deleted: {then}."), then)
        }
    };
    if !yes {
        confirm(&question, &name)?;
    }
    let (actor, now) = (actor_of(actor), Timestamp::now());
    if !table.delete_object(kind, &namespace, &name, object.version, &actor, now).await? {
        return Err(CliError::Failed(format!(
            "{title} was applied or deleted by somebody else meanwhile: nothing was done, look at it again"
        )));
    }
    out::line(format_args!("{title} deleted"))?;
    out::note(after);
    Ok(())
}

fn none(kind: ObjectKind, title: &str, name: &str, like: &[&str]) -> CliError {
    let program = out::program();
    let hint = match kind {
        _ if !like.is_empty() => format!("is it {}?", like.join(" or ")),
        ObjectKind::Discovery => format!("`{program} export` shows what is stored"),
        ObjectKind::Cluster => format!("to remove the cluster itself: `{program} forget {name}`"),
    };
    CliError::Failed(format!("there is no object {title}; {hint}"))
}
