//! Changes of the fleet: what can happen to it, and how that is told to people.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::discovery::DiscoveryFault;
use crate::kind::Kind;
use crate::world::{Action, ActionsMode, AgentState, Fault, StoreState};

/// One thing that happens to the fleet. `Display` tells it in one line.
///
/// As JSON: `{"change":"agent","cluster":"zk-01","node":"node-2","state":"gone"}`; the word `change` is the
/// variant's name in snake case, the rest are its fields.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "change", rename_all = "snake_case", deny_unknown_fields)]
pub enum Change {
    /// An agent stops, starts or hangs. With an agent that is gone goes the machine's leadership.
    Agent {
        /// The cluster's id.
        cluster: String,
        /// The node's id.
        node: String,
        /// What its agent does from now on.
        state: AgentState,
    },
    /// A datastore process stops, starts, hangs and so on. A primary that stops serving is replaced.
    Store {
        /// The cluster's id.
        cluster: String,
        /// The node's id.
        node: String,
        /// What its store does from now on.
        state: StoreState,
    },
    /// An agent begins to answer wrongly, or rightly again.
    Fault {
        /// The cluster's id.
        cluster: String,
        /// The node's id.
        node: String,
        /// How; `None` ends it.
        fault: Option<Fault>,
    },
    /// An agent becomes slower or faster.
    Latency {
        /// The cluster's id.
        cluster: String,
        /// The node's id.
        node: String,
        /// How long it waits before each answer, in milliseconds.
        millis: u64,
    },
    /// Another node becomes primary.
    FailOver {
        /// The cluster's id.
        cluster: String,
        /// The shard's id; `None` means every shard that the first one's primary leads.
        #[serde(default)]
        shard: Option<String>,
        /// The next primary's id; `None` takes the next node that can lead.
        #[serde(default)]
        to: Option<String>,
    },
    /// A node's datastore gets another version.
    UpgradeStore {
        /// The cluster's id.
        cluster: String,
        /// The node's id.
        node: String,
        /// The version from now on.
        version: String,
    },
    /// A node's agent gets another version.
    UpgradeAgent {
        /// The cluster's id.
        cluster: String,
        /// The node's id.
        node: String,
        /// The version from now on.
        version: String,
    },
    /// An attribute of a node is set or removed; version 2 alone reports it.
    Attribute {
        /// The cluster's id.
        cluster: String,
        /// The node's id.
        node: String,
        /// The attribute's name.
        name: String,
        /// Its value; `None` removes it.
        value: Option<String>,
    },
    /// An action appears in the lists of an agent or gets another state. Switches the agent's actions on.
    Action {
        /// The cluster's id.
        cluster: String,
        /// The node's id.
        node: String,
        /// The action as it is from now on.
        action: Action,
    },
    /// An agent forgets an action, whatever its state.
    ForgetAction {
        /// The cluster's id.
        cluster: String,
        /// The node's id.
        node: String,
        /// The action's id.
        action: String,
    },
    /// An agent begins to tell of its actions in another way.
    Actions {
        /// The cluster's id.
        cluster: String,
        /// The node's id.
        node: String,
        /// How from now on.
        mode: ActionsMode,
    },
    /// A healthy cluster appears, in discovery too.
    AddCluster {
        /// Its id: 1 to 63 of `A-Z a-z 0-9 . _ -`.
        cluster: String,
        /// What it is a cluster of.
        kind: Kind,
        /// How many nodes it has, at least 1: `node-1` and so on.
        nodes: usize,
        /// How many shards it has, where its kind has several; by default as the world's settings say.
        #[serde(default)]
        shards: Option<usize>,
    },
    /// A cluster goes for good: from discovery, and its agents with it.
    RemoveCluster {
        /// The cluster's id.
        cluster: String,
    },
    /// Discovery forgets or remembers a cluster; its agents stay.
    ListCluster {
        /// The cluster's id.
        cluster: String,
        /// Whether discovery tells of it from now on.
        listed: bool,
    },
    /// A cluster gets another display name, or none.
    RenameCluster {
        /// The cluster's id.
        cluster: String,
        /// The name from now on.
        display_name: Option<String>,
    },
    /// A healthy node joins, with a replica of every shard. It gets the next free number.
    AddNode {
        /// The cluster's id.
        cluster: String,
    },
    /// A node goes for good: from discovery, and its agent with it.
    RemoveNode {
        /// The cluster's id.
        cluster: String,
        /// The node's id.
        node: String,
    },
    /// A node's agent gets another address under the same id; nothing listens at the old one.
    MoveNode {
        /// The cluster's id.
        cluster: String,
        /// The node's id.
        node: String,
    },
    /// The discovery endpoint begins to answer wrongly, or rightly again.
    Discovery {
        /// How; `None` ends it.
        fault: Option<DiscoveryFault>,
    },
}

impl Change {
    /// An agent stops, starts or hangs.
    pub fn agent(cluster: impl Into<String>, node: impl Into<String>, state: AgentState) -> Self {
        Change::Agent { cluster: cluster.into(), node: node.into(), state }
    }

    /// A datastore process stops, starts, hangs and so on.
    pub fn store(cluster: impl Into<String>, node: impl Into<String>, state: StoreState) -> Self {
        Change::Store { cluster: cluster.into(), node: node.into(), state }
    }

    /// An agent begins to answer wrongly, or rightly again.
    pub fn fault(cluster: impl Into<String>, node: impl Into<String>, fault: Option<Fault>) -> Self {
        Change::Fault { cluster: cluster.into(), node: node.into(), fault }
    }

    /// An action appears in the lists of an agent or gets another state.
    pub fn action(
        cluster: impl Into<String>,
        node: impl Into<String>,
        id: impl Into<String>,
        state: impl Into<String>,
    ) -> Self {
        let kind = "agent.replicante.io/test.ping".into();
        let action = Action { id: id.into(), kind, state: state.into() };
        Change::Action { cluster: cluster.into(), node: node.into(), action }
    }

    /// An agent begins to tell of its actions in another way.
    pub fn actions(cluster: impl Into<String>, node: impl Into<String>, mode: ActionsMode) -> Self {
        Change::Actions { cluster: cluster.into(), node: node.into(), mode }
    }

    /// The primary of the first shard, and of all that it leads, fails over to the next node that can.
    pub fn fail_over(cluster: impl Into<String>) -> Self {
        Change::FailOver { cluster: cluster.into(), shard: None, to: None }
    }

    /// Discovery forgets or remembers a cluster; its agents stay.
    pub fn list(cluster: impl Into<String>, listed: bool) -> Self {
        Change::ListCluster { cluster: cluster.into(), listed }
    }

    /// The discovery endpoint begins to answer wrongly, or rightly again.
    pub fn discovery(fault: Option<DiscoveryFault>) -> Self {
        Change::Discovery { fault }
    }

    /// The cluster that it is about; `None` for the discovery endpoint.
    pub fn cluster(&self) -> Option<&str> {
        match self {
            Change::Agent { cluster, .. }
            | Change::Store { cluster, .. }
            | Change::Fault { cluster, .. }
            | Change::Latency { cluster, .. }
            | Change::FailOver { cluster, .. }
            | Change::UpgradeStore { cluster, .. }
            | Change::UpgradeAgent { cluster, .. }
            | Change::Attribute { cluster, .. }
            | Change::Action { cluster, .. }
            | Change::ForgetAction { cluster, .. }
            | Change::Actions { cluster, .. }
            | Change::AddCluster { cluster, .. }
            | Change::RemoveCluster { cluster }
            | Change::ListCluster { cluster, .. }
            | Change::RenameCluster { cluster, .. }
            | Change::AddNode { cluster }
            | Change::RemoveNode { cluster, .. }
            | Change::MoveNode { cluster, .. } => Some(cluster),
            Change::Discovery { .. } => None,
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Change::Agent { cluster, node, state } => {
                write!(f, "{cluster}/{node}: agent {}", agent_does(*state))
            }
            Change::Store { cluster, node, state } => {
                write!(f, "{cluster}/{node}: store {}", store_does(*state))
            }
            Change::Fault { cluster, node, fault } => {
                write!(f, "{cluster}/{node}: agent answers {}", answers(fault.as_ref()))
            }
            Change::Latency { cluster, node, millis } => {
                write!(f, "{cluster}/{node}: agent answers after {millis} ms")
            }
            Change::FailOver { cluster, shard, to } => {
                write!(f, "{cluster}: ")?;
                shard.iter().try_for_each(|shard| write!(f, "shard {shard} "))?;
                f.write_str("fails over")?;
                to.iter().try_for_each(|to| write!(f, " to {to}"))
            }
            Change::UpgradeStore { cluster, node, version } => {
                write!(f, "{cluster}/{node}: store now {version}")
            }
            Change::UpgradeAgent { cluster, node, version } => {
                write!(f, "{cluster}/{node}: agent now {version}")
            }
            Change::Attribute { cluster, node, name, value: Some(value) } => {
                write!(f, "{cluster}/{node}: attribute {name} is {value}")
            }
            Change::Attribute { cluster, node, name, value: None } => {
                write!(f, "{cluster}/{node}: attribute {name} removed")
            }
            Change::Action { cluster, node, action } => {
                write!(f, "{cluster}/{node}: action {} {} is {}", action.kind, action.id, action.state)
            }
            Change::ForgetAction { cluster, node, action } => {
                write!(f, "{cluster}/{node}: action {action} is forgotten")
            }
            Change::Actions { cluster, node, mode } => {
                write!(f, "{cluster}/{node}: actions {}", actions_do(*mode))
            }
            Change::AddCluster { cluster, kind, nodes, .. } => {
                write!(f, "{cluster}: {kind:?} cluster of {nodes} appears")
            }
            Change::RemoveCluster { cluster } => write!(f, "{cluster}: cluster removed"),
            Change::ListCluster { cluster, listed: true } => write!(f, "{cluster}: listed in discovery"),
            Change::ListCluster { cluster, listed: false } => write!(f, "{cluster}: gone from discovery"),
            Change::RenameCluster { cluster, display_name: Some(name) } => {
                write!(f, "{cluster}: now called {name}")
            }
            Change::RenameCluster { cluster, display_name: None } => write!(f, "{cluster}: name removed"),
            Change::AddNode { cluster } => write!(f, "{cluster}: a node joins"),
            Change::RemoveNode { cluster, node } => write!(f, "{cluster}/{node}: node removed"),
            Change::MoveNode { cluster, node } => write!(f, "{cluster}/{node}: moved to another address"),
            Change::Discovery { fault: Some(fault) } => write!(f, "discovery: {fault}"),
            Change::Discovery { fault: None } => f.write_str("discovery: answers rightly again"),
        }
    }
}

fn agent_does(state: AgentState) -> &'static str {
    match state {
        AgentState::Up => "answers",
        AgentState::Gone => "stopped",
        AgentState::Hanging => "hangs",
    }
}

fn store_does(state: StoreState) -> &'static str {
    match state {
        StoreState::Up => "serves",
        StoreState::Down => "stopped",
        StoreState::Hanging => "hangs",
        StoreState::Recovering => "recovers",
        StoreState::RollingBack => "rolls back",
        StoreState::NotInCluster => "left the cluster",
    }
}

fn answers(fault: Option<&Fault>) -> String {
    match fault {
        None => "rightly again".into(),
        Some(Fault::Garbage) => "garbage".into(),
        Some(Fault::Html) => "HTML".into(),
        Some(Fault::Huge(bytes)) => format!("{bytes} bytes"),
        Some(Fault::ServerError) => "500".into(),
        Some(Fault::OtherCluster(other)) => format!("for cluster {other}"),
    }
}

fn actions_do(mode: ActionsMode) -> &'static str {
    match mode {
        ActionsMode::Listed => "are listed",
        ActionsMode::Reversed => "are listed the other way round",
        ActionsMode::Off => "are switched off",
        ActionsMode::Failing => "fail",
        ActionsMode::Hanging => "hang",
    }
}
