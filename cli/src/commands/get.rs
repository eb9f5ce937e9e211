//! `get`: what is known now, from the table.

use clap::{Args, Subcommand, ValueEnum};
use replicante_model::discovery::DiscoveryState;
use replicante_model::view::ClusterState;
use replicante_model::{Kind, RecordName, Timestamp};
use replicante_protocol::head::Head;
use serde_json::json;

use crate::error::CliError;
use crate::place::{Place, PlaceArgs};
use crate::records::heads;
use crate::view::{cluster, clusters, discoveries, record};
use crate::{files, out};

/// Values of `get`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    replicante get clusters                  all clusters, with their health\n  \
    replicante get clusters -o json | jq -r '.[] | select(.health != \"healthy\") | .id'\n  \
    replicante get cluster zk-01             one cluster: its nodes, its shards, who leads them\n  \
    replicante get discoveries               the sources, and whether they answer\n\n\
    What is shown is what was last observed: check that the world still matches before you act on it.")]
pub struct GetArgs {
    /// What to show
    #[command(subcommand)]
    pub what: What,
}

/// What can be shown.
#[derive(Debug, Subcommand)]
pub enum What {
    /// The list of clusters
    Clusters(ListArgs),
    /// One cluster
    Cluster(OneArgs),
    /// The list of discoveries
    Discoveries(ListArgs),
    /// One discovery
    Discovery(OneArgs),
}

/// Values for a list.
#[derive(Debug, Args)]
pub struct ListArgs {
    /// Only those of this namespace [default: all]
    #[arg(short, long, value_name = "NAME")]
    pub namespace: Option<String>,
    /// How to show it
    #[arg(short, long, value_enum, default_value = "table")]
    pub output: ListOutput,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap takes the group's own text")]
    pub place: PlaceArgs,
}

/// Values for one record.
#[derive(Debug, Args)]
pub struct OneArgs {
    /// Its name
    pub name: String,
    /// Its namespace
    #[arg(short, long, default_value = "default", value_name = "NAME")]
    pub namespace: String,
    /// How to show it
    #[arg(short, long, value_enum, default_value = "text")]
    pub output: OneOutput,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap takes the group's own text")]
    pub place: PlaceArgs,
}

/// How a list is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ListOutput {
    /// For people, cut to the terminal
    Table,
    /// For people, all columns, not cut
    Wide,
    /// For programs
    Json,
}

/// How one record is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum OneOutput {
    /// For people
    Text,
    /// For programs: everything that is stored
    Json,
}

/// Runs the command.
///
/// # Errors
/// When the table can't be read, or there is no such record.
pub async fn run(args: GetArgs) -> Result<(), CliError> {
    match args.what {
        What::Clusters(args) => many(args, Kind::Cluster).await,
        What::Discoveries(args) => many(args, Kind::Discovery).await,
        What::Cluster(args) => one_cluster(args).await,
        What::Discovery(args) => one_discovery(args).await,
    }
}

async fn many(args: ListArgs, kind: Kind) -> Result<(), CliError> {
    let table = Place::find(&args.place).await?.table();
    let mut heads = heads(&table, kind).await?;
    if let Some(namespace) = &args.namespace {
        heads.retain(|head| head.record.namespace == *namespace);
    }
    let width = out::size().map(|(width, _)| width);
    let now = Timestamp::now();
    let lines = match (args.output, kind) {
        (ListOutput::Json, _) => return out::json(&heads.iter().map(record::json).collect::<Vec<_>>()),
        _ if heads.is_empty() => {
            out::note(nothing(kind, args.namespace.as_deref()));
            return Ok(());
        }
        (ListOutput::Wide, Kind::Cluster) => clusters::wide(&heads, now),
        (ListOutput::Wide, Kind::Discovery) => discoveries::list(&heads, now, None),
        (ListOutput::Table, Kind::Cluster) => {
            clusters::list(&heads.iter().map(record::row).collect::<Vec<_>>(), now, width)
        }
        (ListOutput::Table, Kind::Discovery) => discoveries::list(&heads, now, width),
    };
    lines.into_iter().try_for_each(out::line)
}

fn nothing(kind: Kind, namespace: Option<&str>) -> String {
    let within = namespace.map(|name| format!(" in namespace {name}")).unwrap_or_default();
    let program = out::program();
    match kind {
        Kind::Discovery => format!("no discoveries{within} yet: {program} apply -f FILE"),
        Kind::Cluster => {
            format!("no clusters{within} yet: {program} get discoveries says whether the sources answer")
        }
    }
}

async fn one_cluster(args: OneArgs) -> Result<(), CliError> {
    let table = Place::find(&args.place).await?.table();
    let name = RecordName::cluster(&args.namespace, &args.name);
    let Some((head, state)) = table.look::<ClusterState>(&name).await? else {
        return Err(unknown(&name, &heads(&table, Kind::Cluster).await?));
    };
    if args.output == OneOutput::Json {
        let object = files::stored(&table, &name).await?;
        return out::json(&json!({ "head": record::json(&head), "object": object, "state": state }));
    }
    let width = out::size().map(|(width, _)| width);
    let lines = cluster::cluster(&head, state.as_ref(), Timestamp::now(), width);
    lines.into_iter().try_for_each(out::line)
}

async fn one_discovery(args: OneArgs) -> Result<(), CliError> {
    let table = Place::find(&args.place).await?.table();
    let name = RecordName::discovery(&args.namespace, &args.name);
    let Some((head, state)) = table.look::<DiscoveryState>(&name).await? else {
        return Err(unknown(&name, &heads(&table, Kind::Discovery).await?));
    };
    let object = files::stored(&table, &name).await?;
    if args.output == OneOutput::Json {
        return out::json(&json!({ "head": record::json(&head), "object": object, "state": state }));
    }
    let width = out::size().map(|(width, _)| width);
    let lines = discoveries::discovery(&head, object.as_ref(), state.as_ref(), Timestamp::now(), width);
    lines.into_iter().try_for_each(out::line)
}

/// There is no such record: names those that may be meant.
pub fn unknown(name: &RecordName, heads: &[Head]) -> CliError {
    let kind = name.kind;
    let elsewhere = heads.iter().find(|head| head.record.id == name.id);
    let like: Vec<&str> = heads
        .iter()
        .filter(|head| head.record.namespace == name.namespace)
        .map(|head| head.record.id.as_str())
        .filter(|id| id.contains(&name.id) || name.id.contains(id) || near(id, &name.id))
        .take(3)
        .collect();
    let hint = match (elsewhere, like.as_slice()) {
        (Some(head), _) => format!("there is one in namespace {0}: add -n {0}", head.record.namespace),
        (None, []) => format!("`{} get {}` lists them", out::program(), plural(kind)),
        (None, like) => format!("is it {}?", like.join(" or ")),
    };
    CliError::Failed(format!("there is no {kind} `{}` in namespace {}; {hint}", name.id, name.namespace))
}

fn plural(kind: Kind) -> &'static str {
    match kind {
        Kind::Cluster => "clusters",
        Kind::Discovery => "discoveries",
    }
}

/// Whether two names differ in one character, or in the order of two.
fn near(a: &str, b: &str) -> bool {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let front = a.iter().zip(&b).take_while(|(a, b)| a == b).count();
    let (a, b) = (&a[front..], &b[front..]);
    let back = a.iter().rev().zip(b.iter().rev()).take_while(|(a, b)| a == b).count();
    let (a, b) = (&a[..a.len() - back], &b[..b.len() - back]);
    a.len().max(b.len()) <= 1 || matches!((a, b), ([p, q], [r, s]) if p == s && q == r)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn heads(names: &[(&str, &str)]) -> Vec<Head> {
        let head = |(namespace, id): &(&str, &str)| {
            let record = RecordName::cluster(*namespace, *id);
            Head::new(record, Duration::from_secs(60), true, Timestamp(1))
        };
        names.iter().map(head).collect()
    }

    #[test]
    fn a_name_that_is_not_there_is_answered_with_what_may_be_meant() {
        let all = heads(&[("default", "zk-01"), ("default", "orders"), ("prod", "billing")]);
        let told = |id: &str| unknown(&RecordName::cluster("default", id), &all).to_string();
        insta::assert_snapshot!(told("zk-0"), @"there is no cluster `zk-0` in namespace default; is it zk-01?");
        insta::assert_snapshot!(told("odrers"), @"there is no cluster `odrers` in namespace default; is it orders?");
        insta::assert_snapshot!(told("billing"), @"there is no cluster `billing` in namespace default; there is one in namespace prod: add -n prod");
        assert!(told("x").ends_with("get clusters` lists them"), "{}", told("x"));
    }
}
