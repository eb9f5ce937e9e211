//! `doctor cluster`: asks each agent from here, as a worker does.

use std::time::Duration;

use clap::Args;
use futures::stream::{self, StreamExt};
use replicante_agents::ClusterLimits;
use replicante_model::record::DiscoveredCluster;
use replicante_model::view::ClusterState;
use replicante_model::{Kind, RecordName, Timestamp};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{CommonArgs, verdict};
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
    let deadline = Instant::now() + WITHIN;
    let cluster_id = &item.record.cluster_id;
    let nodes: Vec<(&String, &String)> = item.record.nodes.iter().filter(|(id, _)| is_meant(id)).collect();
    progress::all("agents", nodes.len() as u64);
    let (agents, settings, known) = (&agents, &item.agents, &state);
    let asked = stream::iter(nodes).map(async |(id, address)| {
        let target = replicante_refresh_worker::target(id, address, known);
        let began = Instant::now();
        let found = agents.poll(&target, cluster_id, settings, deadline).await;
        progress::step(1);
        Asked { node: id.clone(), found, took: began.elapsed() }
    });
    let mut asked: Vec<Asked> = asked.buffer_unordered(ClusterLimits::default().in_flight).collect().await;
    asked.sort_by(|a, b| a.node.cmp(&b.node));
    let now = Timestamp::now();
    let mut nodes = checks(&asked, &item, &state, &args.name, now);
    nodes.retain(|check| is_meant(&check.what));
    let of_cluster = of_cluster(&head, &item, &pauses, now);
    let all: Vec<Check> = of_cluster.iter().chain(&nodes).cloned().collect();
    let output = args.common.output;
    if !output.wrote(|| as_json(&record, &of_cluster, &nodes, &asked, &item, &state, now))? {
        lines(&all).into_iter().try_for_each(out::line)?;
        out::note(footer(&record, &asked, &nodes));
    }
    verdict(&all)
}

fn footer(record: &RecordName, asked: &[Asked], nodes: &[Check]) -> String {
    let bad = nodes.iter().filter(|check| check.verdict == Verdict::Bad).count();
    format!("{} of {record} asked from here: {bad} bad", count(asked.len() as u64, "node"))
}

fn as_json(
    record: &RecordName,
    of_cluster: &[Check],
    nodes: &[Check],
    asked: &[Asked],
    item: &DiscoveredCluster,
    state: &ClusterState,
    now: Timestamp,
) -> Value {
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
    let verdict = worst(&of_cluster.iter().chain(nodes).cloned().collect::<Vec<_>>());
    let nodes: Vec<Value> = nodes.iter().map(node).collect();
    json!({ "cluster": record.key(), "at": now.rfc3339(), "verdict": verdict, "checks": of_cluster, "nodes": nodes })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::given::{NOW, state, written};
    use replicante_model::observation::{Failure, Observation};
    use replicante_model::record::{AgentSettings, ClusterRecord};

    #[test]
    fn what_the_agents_answered_is_told_to_programs_and_counted_for_people() {
        let record = RecordName::cluster("default", "orders");
        let found =
            Observation::AgentDown { reason: "connection refused".into(), failure: Failure::Unconnected };
        let asked = [Asked { node: "node-3".into(), found, took: Duration::from_millis(12) }];
        let nodes = [("node-3".to_owned(), "http://10.0.0.3:8000".to_owned())].into();
        let item = DiscoveredCluster {
            record: ClusterRecord { cluster_id: "orders".into(), nodes, ..ClusterRecord::default() },
            discovery: "fleet".into(),
            missing_nodes: [("node-9".to_owned(), NOW)].into(),
            forgotten_nodes: Default::default(),
            missing_since: None,
            removed: None,
            agents: AgentSettings::default(),
            refresh_interval: Duration::from_secs(60),
        };
        let nodes = checks(&asked, &item, &state(), "orders", NOW);
        insta::assert_snapshot!(footer(&record, &asked, &nodes), @"1 node of cluster/default/orders asked from here: 1 bad");
        let value = as_json(&record, &[], &nodes, &asked, &item, &state(), NOW);
        insta::assert_snapshot!(written(&value).0, @r#"
        {
          "at": "2026-01-02T02:04:05.000Z",
          "checks": [],
          "cluster": "cluster/default/orders",
          "nodes": [
            {
              "address": "http://10.0.0.3:8000",
              "found": "the agent does not answer: connection refused (12ms); the workers see it agent down (connection refused)",
              "next": "is the agent running, its address right, and its port open from here?",
              "node": "node-3",
              "observation": {
                "failure": "unconnected",
                "heard": "agent_down",
                "reason": "connection refused"
              },
              "stored": {
                "reason": "connection refused",
                "status": "agent_down"
              },
              "took_ms": 12,
              "verdict": "bad"
            },
            {
              "address": null,
              "found": "no worker asks it: its source no longer reports it, since 2026-01-02T02:04:05.000Z",
              "next": "correct the source, or `forget orders node-9`",
              "node": "node-9",
              "observation": null,
              "stored": null,
              "took_ms": null,
              "verdict": "warn"
            }
          ],
          "verdict": "bad"
        }
        "#);
    }
}
