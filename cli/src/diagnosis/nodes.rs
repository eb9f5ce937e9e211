//! Why a node is down: what it answers to this machine, beside what the workers stored of it.

use std::time::Duration;

use replicante_model::Timestamp;
use replicante_model::observation::{Failure, NodeReport, Observation};
use replicante_model::pause::Pauses;
use replicante_model::record::{ClusterIdCheck, DiscoveredCluster};
use replicante_model::summary::Summary;
use replicante_model::view::{ClusterState, NodeStatus};
use replicante_protocol::head::Head;

use super::Check;
use crate::view::change::status;
use crate::view::clusters::ago;
use crate::view::record::paused;
use crate::view::text::{short, tenths};

/// What one node answered.
#[derive(Clone, Debug)]
pub struct Asked {
    /// The node.
    pub node: String,
    /// What it answered to this machine.
    pub found: Observation,
    /// How long that took.
    pub took: Duration,
}

/// What keeps the workers from asking any node of it, or from storing what they heard.
pub fn of_cluster(head: &Head, item: &DiscoveredCluster, pauses: &Pauses, now: Timestamp) -> Vec<Check> {
    let cluster = &head.record.id;
    let summary = Summary::parse(head.summary.as_deref());
    let mut checks = Vec::new();
    if let Some(since) = item.missing_since {
        checks.push(Check::warn(
            "cluster",
            format!("no worker asks its nodes: its source no longer reports it, since {since}"),
            format!("correct the source, or `forget {cluster}`"),
        ));
    }
    if !head.enabled {
        checks.push(Check::warn(
            "cluster",
            "no worker asks its nodes: its refreshes are switched off",
            "switch them on, with the Cluster or Discovery object that says so",
        ));
    }
    if let Some(pause) = pauses.on(&head.record, now) {
        let is_own = pauses.records.get(&head.record) == Some(pause);
        let resume = if is_own { format!("cluster {cluster}") } else { "all".into() };
        checks.push(Check::warn(
            "cluster",
            format!("no worker asks its nodes: paused {}", paused(pause)),
            format!("`resume {resume}`"),
        ));
    }
    if summary.outcome == "failed" {
        let reason = summary.reason.as_deref().unwrap_or("no reason was given");
        let at = ago(Some(summary.at), now);
        checks.push(Check::bad(
            "cluster",
            format!("its last refresh failed, {at}: {reason}"),
            "`status` and `doctor` say whether it is this cluster alone",
        ));
    }
    checks
}

/// A check of each node that was asked, and of each that no worker asks any more.
pub fn checks(
    asked: &[Asked],
    item: &DiscoveredCluster,
    state: &ClusterState,
    cluster: &str,
    now: Timestamp,
) -> Vec<Check> {
    let mut checks: Vec<Check> = asked.iter().map(|asked| node(asked, item, state, cluster, now)).collect();
    checks.extend(item.missing_nodes.iter().map(|(id, since)| {
        Check::warn(
            id,
            format!("no worker asks it: its source no longer reports it, since {since}"),
            format!("correct the source, or `forget {cluster} {id}`"),
        )
    }));
    checks
}

fn node(
    asked: &Asked,
    item: &DiscoveredCluster,
    state: &ClusterState,
    cluster: &str,
    now: Timestamp,
) -> Check {
    let Asked { node, found, took } = asked;
    let took = tenths(*took);
    let known = state.view.as_ref().and_then(|view| view.nodes.get(node)).map(|node| &node.status);
    let is_up = known == Some(&NodeStatus::Up);
    let stored = match known {
        None => "the workers have not asked it yet".to_owned(),
        Some(known) => format!("the workers see it {}", status(known)),
    };
    let silent = state.counters.nodes.get(node).and_then(|counters| counters.silent_since);
    let silent = silent.map(|since| format!(", silent for {}", short(now.since(since)))).unwrap_or_default();
    match found {
        Observation::NotPolled => Check::warn(
            node,
            format!("it was not asked, within {took}; {stored}"),
            "this machine has too few open files, or it takes longer than a refresh may",
        ),
        Observation::AgentDown { reason, .. } if is_up => Check::warn(
            node,
            format!("the agent does not answer to this machine ({reason}, {took}), and {stored}"),
            "this machine may not reach it: what the workers see is what counts",
        ),
        Observation::AgentDown { reason, failure } => Check::bad(
            node,
            format!("the agent does not answer: {reason} ({took}); {stored}{silent}"),
            to_do(*failure),
        ),
        Observation::NodeDown { reason, .. } => Check::bad(
            node,
            format!("the agent answers, its datastore does not: {reason} ({took}); {stored}"),
            "look at the datastore and its log on that node: the agent does its part",
        ),
        Observation::Up(report) if is_foreign(report, item) => Check::bad(
            node,
            format!("it answers for the cluster {} ({took}); {stored}", report.cluster_id),
            "correct its address in the source; agents.cluster_id: ignore is for agents that can't know",
        ),
        Observation::Up(report) if is_up || known.is_none() => match &report.node.condition {
            None => Check::ok(node, format!("up ({took}); {stored}")),
            Some(condition) => Check::warn(
                node,
                format!("up, and says of itself: {condition} ({took})"),
                "look at the datastore on that node",
            ),
        },
        Observation::Up(_) => Check::warn(
            node,
            format!("it answers to this machine ({took}), and {stored}{silent}"),
            format!(
                "`refresh {cluster}` asks it now; if it stays down, the way from the workers to it is cut: network, \
                 security groups, AllowNetworks"
            ),
        ),
    }
}

fn is_foreign(report: &NodeReport, item: &DiscoveredCluster) -> bool {
    item.agents.cluster_id == ClusterIdCheck::Check && report.cluster_id != item.record.cluster_id
}

fn to_do(failure: Failure) -> &'static str {
    match failure {
        Failure::Unconnected => "is the agent running, its address right, and its port open from here?",
        Failure::Unanswered => {
            "the agent hangs, or something in between does: look at its process and its log"
        }
        Failure::Wrong => {
            "something else answers at its address, or another protocol or TLS is spoken: see agents in the discovery"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnosis::lines;
    use crate::view::given::{NOW, cluster_head, plain, state};
    use replicante_model::actions::ActionsReport;
    use replicante_model::observation::{AgentInfo, AgentVersion, NodeDetails};
    use replicante_model::pause::Pause;
    use replicante_model::record::{AgentApi, AgentSettings, ClusterRecord};

    fn item() -> DiscoveredCluster {
        DiscoveredCluster {
            record: ClusterRecord { cluster_id: "orders".into(), ..ClusterRecord::default() },
            discovery: "fleet".into(),
            missing_nodes: [("node-9".to_owned(), NOW)].into(),
            forgotten_nodes: Default::default(),
            missing_since: None,
            removed: None,
            agents: AgentSettings::default(),
            refresh_interval: Duration::from_secs(60),
        }
    }

    fn up(cluster: &str, condition: Option<&str>) -> Observation {
        Observation::Up(Box::new(NodeReport {
            agent: AgentInfo { api: AgentApi::V1, version: AgentVersion::default() },
            node: NodeDetails { condition: condition.map(Into::into), ..NodeDetails::default() },
            cluster_id: cluster.into(),
            display_name: None,
            shards: Default::default(),
            actions: ActionsReport::Unknown,
        }))
    }

    #[test]
    fn what_this_machine_sees_stands_beside_what_the_workers_saw() {
        let down = |failure| Observation::AgentDown { reason: "connection refused".into(), failure };
        let store = Observation::NodeDown { reason: "HTTP 500: no leader".into(), agent: None };
        // In the state nodes 1 and 2 are up, and 3 is down.
        let told = |node: &str, found: &Observation| {
            let asked = Asked { node: node.into(), found: found.clone(), took: Duration::from_millis(12) };
            let mut item = item();
            item.missing_nodes.clear();
            plain(&lines(&checks(&[asked], &item, &state(), "orders", NOW)))
        };
        let all = [
            told("node-1", &up("orders", None)),
            told("node-3", &up("orders", None)),
            told("node-1", &up("orders", Some("RECOVERING"))),
            told("node-1", &up("billing", None)),
            told("node-1", &down(Failure::Unconnected)),
            told("node-3", &down(Failure::Unconnected)),
            told("node-3", &down(Failure::Unanswered)),
            told("node-2", &store),
            told("node-7", &up("orders", None)),
            told("node-1", &Observation::NotPolled),
        ];
        insta::assert_snapshot!(all.join("\n"), @"
        ok    node-1  up (12ms); the workers see it up
        warn  node-3  it answers to this machine (12ms), and the workers see it agent down (connection refused); next: `refresh orders` asks it now; if it stays down, the way from the workers to it is cut: network, security groups, AllowNetworks
        warn  node-1  up, and says of itself: RECOVERING (12ms); next: look at the datastore on that node
        bad   node-1  it answers for the cluster billing (12ms); the workers see it up; next: correct its address in the source; agents.cluster_id: ignore is for agents that can't know
        warn  node-1  the agent does not answer to this machine (connection refused, 12ms), and the workers see it up; next: this machine may not reach it: what the workers see is what counts
        bad   node-3  the agent does not answer: connection refused (12ms); the workers see it agent down (connection refused); next: is the agent running, its address right, and its port open from here?
        bad   node-3  the agent does not answer: connection refused (12ms); the workers see it agent down (connection refused); next: the agent hangs, or something in between does: look at its process and its log
        bad   node-2  the agent answers, its datastore does not: HTTP 500: no leader (12ms); the workers see it up; next: look at the datastore and its log on that node: the agent does its part
        ok    node-7  up (12ms); the workers have not asked it yet
        warn  node-1  it was not asked, within 12ms; the workers see it up; next: this machine has too few open files, or it takes longer than a refresh may
        ");
        let missing = checks(&[], &item(), &state(), "orders", NOW);
        insta::assert_snapshot!(plain(&lines(&missing)), @"warn  node-9  no worker asks it: its source no longer reports it, since 2026-01-02T02:04:05.000Z; next: correct the source, or `forget orders node-9`");
        let mut ignoring = item();
        ignoring.agents.cluster_id = ClusterIdCheck::Ignore;
        let other = Asked { node: "node-1".into(), found: up("billing", None), took: Duration::ZERO };
        assert_eq!(node(&other, &ignoring, &state(), "orders", NOW).verdict, super::super::Verdict::Ok);
    }

    #[test]
    fn what_keeps_the_workers_from_all_of_its_nodes_is_told() {
        let (mut head, mut item, mut pauses) = (cluster_head(), item(), Pauses::default());
        assert_eq!(of_cluster(&head, &item, &pauses, NOW), []);
        pauses.all = Some(Pause {
            since: NOW,
            until: None,
            reason: Some("new racks".into()),
            actor: "ann".into(),
            ended_by: None,
        });
        let mut summary = Summary::parse(head.summary.as_deref());
        (summary.outcome, summary.reason) = ("failed".into(), Some("throttled".into()));
        (head.summary, head.enabled, item.missing_since) = (Some(summary.to_json()), false, Some(NOW));
        insta::assert_snapshot!(plain(&lines(&of_cluster(&head, &item, &pauses, NOW))), @"
        warn  cluster  no worker asks its nodes: its source no longer reports it, since 2026-01-02T02:04:05.000Z; next: correct the source, or `forget orders`
        warn  cluster  no worker asks its nodes: its refreshes are switched off; next: switch them on, with the Cluster or Discovery object that says so
        warn  cluster  no worker asks its nodes: paused since 2026-01-02T02:04:05.000Z by ann: new racks; next: `resume all`
        bad   cluster  its last refresh failed, 2s ago: throttled; next: `status` and `doctor` say whether it is this cluster alone
        ");
    }
}
