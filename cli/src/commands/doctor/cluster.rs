//! `doctor cluster`: asks each agent from here, as a worker does.

use std::time::Duration;

use clap::Args;
use futures::stream::{self, StreamExt};
use replicante_agents::ClusterLimits;
use replicante_model::view::ClusterState;
use replicante_model::{Kind, RecordName, Timestamp};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{CommonArgs, Output, verdict};
use crate::commands::get::unknown;
use crate::diagnosis::nodes::{Asked, checks, of_cluster};
use crate::diagnosis::{Check, Verdict, lines, worst};
use crate::error::CliError;
use crate::place::Place;
use crate::records::heads;
use crate::view::text::count;
use crate::{out, progress};

/// How long all nodes may take: as long as a worker has, about.
const WITHIN: Duration = Duration::from_secs(45);
/// How long a secret counts: longer than one look.
const SECRETS_AGE: Duration = Duration::from_secs(300);

/// Values of `doctor cluster`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    replicante doctor cluster zk-01\n  \
    replicante doctor cluster zk-01 --node node-2     one of its nodes\n  \
    replicante doctor cluster zk-01 -o json | jq '.nodes[] | select(.verdict != \"ok\")'\n\n\
    Agents are asked as the workers do it, but from here: what can be reached may differ,\n\
    and the networks that are allowed are those of this environment. Nothing is stored.\n\
    Exit codes: 0 all is well, 3 warnings, 4 something is bad, 1 it could not be found out.")]
pub struct ClusterArgs {
    /// Its name
    pub name: String,
    /// Only this node; may be given again
    #[arg(long, value_name = "NAME")]
    pub node: Vec<String>,
    /// Its namespace
    #[arg(short, long, default_value = "default", value_name = "NAME")]
    pub namespace: String,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap takes the group's own text")]
    pub common: CommonArgs,
}

/// Runs the command.
///
/// # Errors
/// When the table can't be read, or there is no such cluster or node; [`CliError::Result`] when something is not well.
pub(super) async fn run(args: ClusterArgs) -> Result<(), CliError> {
    let place = Place::find(&args.common.place).await?;
    let table = place.table();
    let record = RecordName::cluster(&args.namespace, &args.name);
    let Some((head, state)) = table.look::<ClusterState>(&record).await? else {
        return Err(unknown(&record, &heads(&table, Kind::Cluster).await?));
    };
    let (state, pauses) = (state.unwrap_or_default(), table.pauses().await?);
    let Some(item) = table.discovery_item(&record).await? else {
        let why = "its discovery has yet to say where its nodes are: get discoveries shows whether it works";
        return Err(CliError::Failed(format!("{record} can't be asked: {why}")));
    };
    let is_meant = |id: &str| args.node.is_empty() || args.node.iter().any(|node| node == id);
    if let Some(node) = args
        .node
        .iter()
        .find(|node| !item.record.nodes.contains_key(*node) && !item.missing_nodes.contains_key(*node))
    {
        return Err(CliError::Failed(format!(
            "{record} has no node `{node}`: get cluster {} shows them",
            args.name
        )));
    }
    let agents = replicante_refresh_worker::agents(
        place.clients(),
        place.addresses()?,
        SECRETS_AGE,
        ClusterLimits::default().in_flight,
    );
    progress::say("asking agents");
    let deadline = Instant::now() + WITHIN;
    let cluster_id = &item.record.cluster_id;
    let nodes: Vec<(&String, &String)> = item.record.nodes.iter().filter(|(id, _)| is_meant(id)).collect();
    let (agents, settings, known) = (&agents, &item.agents, &state);
    let asked = stream::iter(nodes).map(async |(id, address)| {
        let target = replicante_refresh_worker::target(id, address, known);
        let began = Instant::now();
        let found = agents.poll(&target, cluster_id, settings, deadline).await;
        Asked { node: id.clone(), found, took: began.elapsed() }
    });
    let mut asked: Vec<Asked> = asked.buffer_unordered(ClusterLimits::default().in_flight).collect().await;
    asked.sort_by(|a, b| a.node.cmp(&b.node));
    let now = Timestamp::now();
    let mut nodes = checks(&asked, &item, &state, &args.name, now);
    nodes.retain(|check| is_meant(&check.what));
    let of_cluster = of_cluster(&head, &item, &pauses, now);
    let all: Vec<Check> = of_cluster.iter().chain(&nodes).cloned().collect();
    match args.common.output {
        Output::Json => {
            let node = |check: &Check| {
                let asked = asked.iter().find(|asked| asked.node == check.what);
                let mut told = json!(check);
                told["node"] = told["what"].take();
                told.as_object_mut().map(|told| told.remove("what"));
                told["address"] = json!(item.record.nodes.get(&check.what));
                told["took_ms"] = json!(asked.map(|asked| asked.took.as_millis() as u64));
                told["observation"] = json!(asked.map(|asked| &asked.found));
                let view = state.view.as_ref().and_then(|view| view.nodes.get(&check.what));
                told["stored"] = json!(view.map(|view| &view.status));
                told
            };
            let nodes: Vec<Value> = nodes.iter().map(node).collect();
            let (cluster, verdict) = (record.key(), worst(&all));
            out::json(&json!({
                "cluster": cluster, "at": now, "verdict": verdict, "checks": of_cluster, "nodes": nodes,
            }))?;
        }
        Output::Text => {
            lines(&all).into_iter().try_for_each(out::line)?;
            let bad = nodes.iter().filter(|check| check.verdict == Verdict::Bad).count() as u64;
            let asked = count(asked.len() as u64, "node");
            out::note(format_args!("{asked} of {record} asked from here: {bad} bad"));
        }
    }
    verdict(&all)
}
