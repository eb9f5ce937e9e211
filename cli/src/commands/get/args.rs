//! What can be said to `get`.

use clap::{Args, Subcommand, ValueEnum};
use replicante_model::view::NodeView;

use super::names::Pattern;
use crate::out::Output;
use crate::place::PlaceArgs;

/// Values of `get`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    replicante get clusters                  all clusters, with their health\n  \
    replicante get clusters -w --health degraded,down --sort health\n  \
    replicante get nodes 'zk-*' --status agent-down\n  \
    replicante get nodes -l rack=r1          by a label of the source, or an attribute\n  \
    replicante get clusters -o json | jq -r '.[] | select(.health != \"healthy\") | .id'\n  \
    replicante get cluster zk-01             one cluster: its nodes, its shards, who leads them\n  \
    replicante get discoveries               the sources, and whether they answer\n\n\
    What is shown is what was last observed: check that the world still matches before you act on it.")]
pub struct GetArgs {
    /// What to show
    #[command(subcommand)]
    pub what: What,
}

impl GetArgs {
    /// Whether it is shown again and again.
    pub fn is_watch(&self) -> bool {
        match &self.what {
            What::Clusters(args) => args.list.watch,
            What::Nodes(args) => args.list.watch,
            What::Actions(args) => args.list.watch,
            What::Shards(args) => args.list.watch,
            What::Discoveries(args) => args.list.watch,
            What::Cluster(_) | What::Discovery(_) => false,
        }
    }
}

/// What can be shown.
#[derive(Debug, Subcommand)]
pub enum What {
    /// The list of clusters
    Clusters(ClustersArgs),
    /// One cluster
    Cluster(ClusterArgs),
    /// The nodes of all clusters
    Nodes(NodesArgs),
    /// The shards of all clusters, and who leads them
    Shards(ShardsArgs),
    /// The actions of all agents
    Actions(ActionsArgs),
    /// The list of discoveries
    Discoveries(DiscoveriesArgs),
    /// One discovery
    Discovery(OneArgs),
}

/// Values for a list.
#[derive(Debug, Args)]
pub struct ListArgs {
    /// Only those of these names, of clusters or discoveries: * stands for any text, ? for any character
    #[arg(value_name = "NAME")]
    pub names: Vec<Pattern>,
    /// Only those of this namespace [default: all]
    #[arg(short, long, value_name = "NAME")]
    pub namespace: Option<String>,
    /// How to show it
    #[arg(short, long, value_enum, default_value = "table")]
    pub output: ListOutput,
    /// Shows it again and again, until Ctrl-C
    #[arg(short, long)]
    pub watch: bool,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap takes the group's own text")]
    pub place: PlaceArgs,
}

/// Which nodes are looked for.
#[derive(Debug, Default, Args)]
pub struct LabelArgs {
    /// Only nodes with this label of their source or attribute of their agent, and what they have or belong to: rack=r1; may be
    /// given again, and all must fit
    #[arg(short = 'l', long, value_name = "NAME=VALUE", value_parser = attribute)]
    pub attribute: Vec<(String, String)>,
}

impl LabelArgs {
    /// Whether any node will do.
    pub fn is_any(&self) -> bool {
        self.attribute.is_empty()
    }

    /// Whether the node's agent tells each of them, or its source does.
    pub fn fit(&self, node: &NodeView) -> bool {
        let told = |name: &String| node.details.as_ref().and_then(|details| details.attributes.get(name));
        let fits = |(name, value): &(String, String)| {
            told(name) == Some(value) || node.labels.get(name) == Some(value)
        };
        self.attribute.iter().all(fits)
    }
}

/// Values for the list of clusters.
#[derive(Debug, Args)]
pub struct ClustersArgs {
    /// Only those of this health; may be given again
    #[arg(long, value_enum, value_delimiter = ',')]
    pub health: Vec<HealthArg>,
    /// Only those with nodes of this kind, in any case: kafka
    #[arg(long, value_name = "KIND", value_delimiter = ',')]
    pub kind: Vec<String>,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap takes the group's own text")]
    pub labels: LabelArgs,
    /// What comes first
    #[arg(long, value_enum, default_value = "name")]
    pub sort: Sort,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap takes the group's own text")]
    pub list: ListArgs,
}

/// The health of a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum HealthArg {
    /// All nodes are up
    Healthy,
    /// Some nodes are not
    Degraded,
    /// No node is
    Down,
    /// No agent answers
    Unknown,
    /// Never refreshed
    New,
}

/// The order of a list of clusters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Sort {
    /// By namespace and name
    Name,
    /// The worst first
    Health,
    /// The largest first
    Nodes,
    /// The one that was not refreshed for longest first
    Refreshed,
}

/// Values for the list of discoveries.
#[derive(Debug, Args)]
pub struct DiscoveriesArgs {
    /// Only those of this status; may be given again
    #[arg(long, value_enum, value_delimiter = ',')]
    pub status: Vec<DiscoveryArg>,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap takes the group's own text")]
    pub list: ListArgs,
}

/// How a discovery is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum DiscoveryArg {
    /// Its source answers
    Ok,
    /// Its source does not
    Failing,
    /// So many are no longer reported that they are held until confirmed
    Holding,
    /// Its clusters can't be reached: it may be us
    CutOff,
    /// It never ran
    New,
    /// It is told not to run
    Disabled,
}

/// Values for the list of nodes.
#[derive(Debug, Args)]
pub struct NodesArgs {
    /// Only those of this status; may be given again
    #[arg(long, value_enum, value_delimiter = ',')]
    pub status: Vec<StatusArg>,
    /// Only those of this kind, in any case: kafka
    #[arg(long, value_name = "KIND", value_delimiter = ',')]
    pub kind: Vec<String>,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap takes the group's own text")]
    pub labels: LabelArgs,
    /// What comes first
    #[arg(long, value_enum, default_value = "name")]
    pub sort: NodesSort,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap takes the group's own text")]
    pub list: ListArgs,
}

/// Reads an attribute: `rack=r1`.
fn attribute(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("expected a name and a value: rack=r1".into()),
    }
}

/// The status of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum StatusArg {
    /// Agent and datastore answer
    Up,
    /// The agent does not answer
    AgentDown,
    /// The agent answers, the datastore does not
    NodeDown,
    /// The agent answers for another cluster or node
    Conflict,
    /// Its source no longer reports it
    Missing,
}

/// The order of a list of nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum NodesSort {
    /// By cluster and name
    Name,
    /// The worst first
    Status,
}

/// Values for the list of shards.
#[derive(Debug, Args)]
pub struct ShardsArgs {
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap takes the group's own text")]
    pub labels: LabelArgs,
    /// What comes first
    #[arg(long, value_enum, default_value = "name")]
    pub sort: ShardsSort,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap takes the group's own text")]
    pub list: ListArgs,
}

/// The order of a list of shards.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ShardsSort {
    /// By cluster and name
    Name,
    /// Those that nobody leads first
    Primary,
    /// Those that the fewest nodes hold first
    Nodes,
}

/// The order of a list of actions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ActionsSort {
    /// What goes on first
    Unfinished,
    /// By cluster, node and name
    Name,
}

/// Values for the list of actions.
#[derive(Debug, Args)]
pub struct ActionsArgs {
    /// Only those that have not ended
    #[arg(long)]
    pub unfinished: bool,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap takes the group's own text")]
    pub labels: LabelArgs,
    /// What comes first
    #[arg(long, value_enum, default_value = "unfinished")]
    pub sort: ActionsSort,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap takes the group's own text")]
    pub list: ListArgs,
}

/// Values for one cluster.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    replicante get cluster zk-01\n  \
    replicante get cluster zk-01 --events 20   with more of what changed\n  \
    replicante get cluster zk-01 --events 0    without: the stream is not read\n  \
    replicante get cluster zk-01 -o json       everything that is stored\n\n\
    Events are those of the last hour, from the cluster's shard of the stream, as far as it is read in 2 seconds.\n\
    What is shown is what was last observed: check that the world still matches before you act on it.")]
pub struct ClusterArgs {
    /// How many of its last events are shown, of the last hour
    #[arg(long, value_name = "NUMBER", default_value_t = 5)]
    pub events: usize,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap takes the group's own text")]
    pub one: OneArgs,
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
    #[arg(short, long, value_enum, default_value = "table")]
    pub output: Output,
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
    /// For programs and people
    Yaml,
}
