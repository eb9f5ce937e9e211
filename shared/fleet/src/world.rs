//! The fleet as a value: what is true of each cluster and node. No clock, no socket, no global state.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use replicante_model::record::AgentApi;
use replicante_model::time::as_millis;
use serde::{Deserialize, Serialize};

use crate::discovery::DiscoveryFault;
use crate::kind::Kind;

/// What a new world holds. The same settings give the same world.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorldConfig {
    /// Decides the number of nodes of each cluster and where primaries are.
    pub seed: u64,
    /// Clusters at the start. Default 24; 0 is an empty world.
    pub clusters: usize,
    /// Nodes of each cluster at the start, and the bounds of random growth. Default 3 to 7; at least 1.
    pub nodes: RangeInclusive<usize>,
    /// Shards of each cluster whose kind has several. Default 4.
    pub shards: usize,
    /// The kinds, used in turn. Default [`Kind::ALL`]; so is an empty list.
    pub kinds: Vec<Kind>,
    /// Whether version 1 agents have actions switched on. Default off: `actions/queue` is 404.
    pub actions: bool,
    /// How long every agent waits before it answers. Default zero.
    pub latency: Duration,
}

impl Default for WorldConfig {
    fn default() -> Self {
        WorldConfig {
            seed: 1,
            clusters: 24,
            nodes: 3..=7,
            shards: 4,
            kinds: Kind::ALL.to_vec(),
            actions: false,
            latency: Duration::ZERO,
        }
    }
}

impl WorldConfig {
    /// The bounds of `nodes`, made to hold at least one number, of at least 1.
    pub(crate) fn node_bounds(&self) -> RangeInclusive<usize> {
        let fewest = (*self.nodes.start()).max(1);
        fewest..=(*self.nodes.end()).max(fewest)
    }
}

/// What the process of an agent does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AgentState {
    /// It answers.
    #[default]
    Up,
    /// It is not there: the connection is refused, or closed without an answer.
    Gone,
    /// It accepts requests and never answers, until it is up again.
    Hanging,
}

/// What the datastore process beside an agent does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StoreState {
    /// It serves.
    #[default]
    Up,
    /// It is not there. Version 1: 500 from `info/datastore` and `shards`. Version 2: `UNAVAILABLE`, and 500
    /// from `info/store` and `info/shards`.
    Down,
    /// It does not answer its agent. Version 1: `info/datastore` and `shards` hang. Version 2: `info/node`
    /// hangs, `info/store` and `info/shards` are 500.
    Hanging,
    /// It catches up: the role is recovering, and version 2 says `UNHEALTHY`.
    Recovering,
    /// It undoes writes: the role is `ROLLBACK`, and version 2 says `UNHEALTHY`.
    RollingBack,
    /// It runs but belongs to no cluster. Version 1: 500 as a ZooKeeper node without quorum.
    /// Version 2: `NOT_IN_CLUSTER`, and 500 from `info/store` and `info/shards`.
    NotInCluster,
}

/// How an agent that answers answers wrongly.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// 200, announced as JSON, which it is not.
    Garbage,
    /// 200 with an HTML page, as from a proxy in between.
    Html,
    /// 200 with a JSON object of this many bytes (and a few), streamed without a length.
    Huge(u64),
    /// 500 with plain text from every endpoint.
    ServerError,
    /// It reports this cluster id instead of its own.
    OtherCluster(String),
}

/// One unit of data of a cluster. Every node of the cluster holds a replica.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Shard {
    /// The id that the nodes report (MongoDB's nodes report their own address instead).
    pub id: String,
    /// The node that takes writes, if there is one.
    pub primary: Option<String>,
    /// How many primaries there have been: part of a ZooKeeper offset.
    pub term: u32,
}

/// An action of an agent, as its lists show it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Action {
    /// A UUID.
    pub id: String,
    /// Like `agent.replicante.io/test.ping`.
    pub kind: String,
    /// `NEW` and `RUNNING` are queued; anything else (`DONE`, `FAILED`) is finished.
    pub state: String,
}

/// How an agent answers when it is asked for its actions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ActionsMode {
    /// As recorded: version 1 lists the finished ones newest first, version 2 oldest first.
    #[default]
    Listed,
    /// The finished ones in the other order.
    Reversed,
    /// Switched off: 404, with an empty body.
    Off,
    /// 500 from every endpoint of actions.
    Failing,
    /// No endpoint of actions answers, until they do again.
    Hanging,
}

/// One node: a datastore process and the agent beside it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Node {
    /// Counted from 1 within the cluster and never reused: the id `node-<number>` goes with it.
    pub number: u32,
    /// The agent's process.
    pub agent: AgentState,
    /// The datastore's process.
    pub store: StoreState,
    /// A wrong way of answering.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fault: Option<Fault>,
    /// The agent's version.
    pub agent_version: String,
    /// The datastore's version.
    pub store_version: String,
    /// What version 2 reports as attributes of the node.
    pub attributes: BTreeMap<String, String>,
    /// How often its address has changed.
    pub moves: u32,
    /// How long the agent waits before it answers.
    #[serde(rename = "latency_ms", with = "as_millis")]
    pub latency: Duration,
    /// Its actions, oldest first.
    pub actions: Vec<Action>,
    /// How they are told of.
    pub actions_mode: ActionsMode,
}

impl Node {
    /// Whether agent and store are up and the answers are right.
    pub fn is_healthy(&self) -> bool {
        self.agent == AgentState::Up && self.store == StoreState::Up && self.fault.is_none()
    }
}

/// One cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Cluster {
    /// What it is a cluster of.
    pub kind: Kind,
    /// A name for people, in discovery and in version 1's `info/datastore`.
    pub display_name: Option<String>,
    /// Whether discovery tells of it. Its agents answer either way.
    pub listed: bool,
    /// Its shards.
    pub shards: Vec<Shard>,
    /// Its nodes, by the id that discovery gives them.
    pub nodes: BTreeMap<String, Node>,
    /// The highest number that a node has had.
    #[serde(skip)]
    pub(crate) last_number: u32,
}

impl Cluster {
    /// The node that leads most shards, the first of them in order; `None` when no shard has a primary.
    pub fn leader(&self) -> Option<&str> {
        let leads =
            |id: &str| self.shards.iter().filter(|shard| shard.primary.as_deref() == Some(id)).count();
        let most = self.nodes.keys().rev().max_by_key(|id| leads(id))?;
        (leads(most) > 0).then_some(most)
    }

    /// How many nodes are healthy.
    pub fn healthy_nodes(&self) -> usize {
        self.nodes.values().filter(|node| node.is_healthy()).count()
    }
}

/// The whole fleet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct World {
    pub(crate) config: WorldConfig,
    pub(crate) clusters: BTreeMap<String, Cluster>,
    pub(crate) discovery: Option<DiscoveryFault>,
    /// The number of the next cluster that gets a generated id.
    pub(crate) next_cluster: usize,
}

impl World {
    /// Builds a world in which all is healthy. The same `config` gives the same world.
    pub fn new(config: WorldConfig) -> Self {
        let mut rng = StdRng::seed_from_u64(config.seed);
        let clusters = config.clusters;
        let mut world = World { config, clusters: BTreeMap::new(), discovery: None, next_cluster: 1 };
        for _ in 0..clusters {
            let (id, kind) = world.next_id();
            let nodes = rng.random_range(world.config.node_bounds());
            let first_leader = rng.random_range(0..nodes);
            let cluster = world.new_cluster(&id, kind, nodes, world.config.shards, first_leader);
            world.clusters.insert(id, cluster);
            world.next_cluster += 1;
        }
        world
    }

    /// The settings that it was built with.
    pub fn config(&self) -> &WorldConfig {
        &self.config
    }

    /// All clusters, listed or not, by id.
    pub fn clusters(&self) -> &BTreeMap<String, Cluster> {
        &self.clusters
    }

    /// One cluster.
    pub fn cluster(&self, id: &str) -> Option<&Cluster> {
        self.clusters.get(id)
    }

    /// One node.
    pub fn node(&self, cluster: &str, node: &str) -> Option<&Node> {
        self.clusters.get(cluster)?.nodes.get(node)
    }

    /// What is wrong with the discovery endpoint, if anything.
    pub fn discovery_fault(&self) -> Option<&DiscoveryFault> {
        self.discovery.as_ref()
    }

    /// The id and kind that the next generated cluster gets.
    pub(crate) fn next_id(&self) -> (String, Kind) {
        let kinds = if self.config.kinds.is_empty() { &Kind::ALL[..] } else { &self.config.kinds };
        let kind = kinds[(self.next_cluster - 1) % kinds.len()];
        (format!("{}-{:02}", kind.prefix(), self.next_cluster), kind)
    }

    /// A healthy cluster. `first_leader` is the place of the node that leads the first shard.
    pub(crate) fn new_cluster(
        &self,
        id: &str,
        kind: Kind,
        nodes: usize,
        shards: usize,
        first_leader: usize,
    ) -> Cluster {
        let nodes: BTreeMap<String, Node> =
            (1..).take(nodes).map(|number| (format!("node-{number}"), self.new_node(kind, number))).collect();
        let shards = (0..if kind.single_shard() { 1 } else { shards })
            .map(|index| Shard {
                id: kind.shard_id(id, index),
                primary: nodes.keys().cycle().nth((first_leader + index) % nodes.len().max(1)).cloned(),
                term: 1,
            })
            .collect();
        // One in four has no display name: sources and agents need not give one.
        let display_name =
            (!self.next_cluster.is_multiple_of(4)).then(|| format!("{kind:?} {:02}", self.next_cluster));
        let last_number = nodes.values().map(|node| node.number).max().unwrap_or(0);
        Cluster { kind, display_name, listed: true, shards, nodes, last_number }
    }

    /// A healthy node.
    pub(crate) fn new_node(&self, kind: Kind, number: u32) -> Node {
        let attributes = kind.node_attributes(number);
        let actions_mode = match kind.api() {
            AgentApi::V1 if !self.config.actions => ActionsMode::Off,
            _ => ActionsMode::Listed,
        };
        Node {
            number,
            agent: AgentState::Up,
            store: StoreState::Up,
            fault: None,
            agent_version: kind.first_agent_version().into(),
            store_version: kind.first_version().into(),
            attributes: attributes.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
            moves: 0,
            latency: self.config.latency,
            actions: Vec::new(),
            actions_mode,
        }
    }
}
