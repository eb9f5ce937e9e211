//! `refresh` and `discover`: asks for a task now, by name.

use clap::Args;
use replicante_model::{Kind, RecordName};
use replicante_protocol::task::Task;

use crate::commands::get::unknown;
use crate::error::CliError;
use crate::out;
use crate::place::{Place, PlaceArgs};
use crate::records::heads;

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
    /// Who asks: events say so [default: the user]
    #[arg(long, env = "REPLICANTE_ACTOR", hide_env_values = true, value_name = "NAME")]
    pub actor: Option<String>,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap takes the group's own text")]
    pub place: PlaceArgs,
}

/// Runs the command for a record of that kind.
///
/// # Errors
/// When there is no such record, or the queue can't be written to.
pub async fn run(args: TaskArgs, kind: Kind) -> Result<(), CliError> {
    let place = Place::find(&args.place).await?;
    let table = place.table();
    let name = RecordName::new(kind, &args.namespace, &args.name);
    if table.head(&name).await?.is_none() {
        return Err(unknown(&name, &heads(&table, kind).await?));
    }
    let actor = actor_of(args.actor);
    send(&place, &name, &actor).await?;
    let (what, look) = match kind {
        Kind::Cluster => ("refresh", format!("events --cluster {}", args.name)),
        Kind::Discovery => ("run", format!("get discovery {}", args.name)),
    };
    out::line(format_args!("asked for a {what} of {name}, as {actor}"))?;
    out::note(format_args!("`{} {look}` shows what comes of it", out::program()));
    Ok(())
}

/// Sends a task for a record, as somebody's.
///
/// # Errors
/// When the queue can't be written to.
pub async fn send(place: &Place, record: &RecordName, actor: &str) -> Result<(), CliError> {
    let sent = place.queue(record.kind)?.send(&[(Task::manual(record.clone(), actor), 0)]).await;
    sent.refused.map_or(Ok(()), |error| Err(error.into()))
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
