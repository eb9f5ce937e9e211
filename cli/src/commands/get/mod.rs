//! `get`: what is known now, from the table.

mod args;
mod lists;
mod names;
mod recent;
mod watch;

use replicante_model::discovery::DiscoveryState;
use replicante_model::view::ClusterState;
use replicante_model::{Kind, RecordName, Timestamp};

pub use self::args::*;
pub use self::names::{Pattern, like, unknown};
use crate::error::CliError;
use crate::files;
use crate::out::{self, Output};
use crate::place::Place;
use crate::records::heads;
use crate::view::style::Tone;
use crate::view::text::clean;
use crate::view::{cluster, discoveries, event, record};

/// Runs the command.
///
/// # Errors
/// When the table can't be read, or there is no such record.
pub async fn run(args: GetArgs) -> Result<(), CliError> {
    match args.what {
        What::Clusters(args) => lists::clusters(&args).await,
        What::Discoveries(args) => lists::discoveries(&args).await,
        What::Nodes(args) => lists::nodes(&args).await,
        What::Shards(args) => lists::shards(&args).await,
        What::Actions(args) => lists::actions(&args).await,
        What::Cluster(args) => one_cluster(args).await,
        What::Discovery(args) => one_discovery(args).await,
    }
}

async fn one_cluster(args: ClusterArgs) -> Result<(), CliError> {
    let ClusterArgs { events, one: args } = args;
    let place = Place::find(&args.place).await?;
    let table = place.table();
    let name = RecordName::cluster(&args.namespace, &args.name);
    let Some((head, state)) = table.look::<ClusterState>(&name).await? else {
        return Err(unknown(&name, &heads(&table, Kind::Cluster).await?));
    };
    let (pauses, now) = (table.pauses().await?, Timestamp::now());
    if args.output != Output::Table {
        let object = files::stored(&table, &name).await?;
        args.output.wrote(|| record::stored(&head, object.as_ref(), state.as_ref(), &pauses, now))?;
        return Ok(());
    }
    let width = out::size().map(|(width, _)| width);
    let lines = cluster::cluster(&head, state.as_ref(), &pauses, now, width);
    lines.into_iter().try_for_each(out::line)?;
    if events == 0 || head.sequence == 0 {
        return Ok(());
    }
    let lines = match recent::events(&place, &name, events, Timestamp::now()).await {
        Ok(Some(last)) => event::recent(&last, Timestamp::now(), width),
        Ok(None) => {
            let hint = format!("its stream holds too much to be read at once: events --cluster {}", name.id);
            vec![Tone::Quiet.paint(&hint)]
        }
        // Whoever may not read the stream is shown the rest all the same.
        Err(error) => {
            vec![Tone::Quiet.paint(&format!("its events can't be read: {}", clean(&error.to_string())))]
        }
    };
    std::iter::once(String::new()).chain(lines).try_for_each(out::line)
}

async fn one_discovery(args: OneArgs) -> Result<(), CliError> {
    let table = Place::find(&args.place).await?.table();
    let name = RecordName::discovery(&args.namespace, &args.name);
    let Some((head, state)) = table.look::<DiscoveryState>(&name).await? else {
        return Err(unknown(&name, &heads(&table, Kind::Discovery).await?));
    };
    let (pauses, now) = (table.pauses().await?, Timestamp::now());
    let object = files::stored(&table, &name).await?;
    if args.output.wrote(|| record::stored(&head, object.as_ref(), state.as_ref(), &pauses, now))? {
        return Ok(());
    }
    let width = out::size().map(|(width, _)| width);
    let lines = discoveries::discovery(&head, object.as_ref(), state.as_ref(), &pauses, now, width);
    lines.into_iter().try_for_each(out::line)
}
