//! A simulated fleet of datastore clusters: real HTTP agents of both protocols and a real discovery endpoint.
//!
//! ```text
//! kind.rs     what is particular to each kind of datastore
//! world.rs    the fleet as a value          change.rs, apply.rs, random.rs   how it changes
//! answer.rs   what an agent answers now     v1.rs, v2.rs                     in the words of each protocol
//! discovery.rs  what discovery answers now
//! ------------------------------------------ above: pure; below: sockets, tasks and the clock
//! route.rs    from a request to an answer   serve.rs   connections and bodies
//! ports.rs    a port for each agent         fleet.rs   the handle: start, apply, script.rs, shut down
//! ```
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), replicante_fleet::FleetError> {
//! use replicante_fleet::{AgentState, Change, Fleet, FleetConfig};
//!
//! let fleet = Fleet::start(FleetConfig::default()).await?;
//! let (discovery, agent) = (fleet.discovery_url(), fleet.agent_url("zk-01", "node-1"));
//! let applied = fleet.apply(Change::agent("zk-01", "node-1", AgentState::Gone))?;
//! println!("{applied}; ask {discovery} and {agent:?}");
//! assert!(fleet.with_world(|world| world.cluster("zk-01").is_some_and(|zk| zk.leader() != Some("node-1"))));
//! fleet.shutdown().await;
//! # Ok(())
//! # }
//! ```
//!
//! The clock is read once a request, for offsets; everything else follows from the settings and the changes.

mod actions;
mod answer;
mod applied;
mod apply;
mod change;
mod discovery;
mod fleet;
mod kind;
mod ports;
mod random;
mod route;
mod script;
mod serve;
mod v1;
mod v2;
mod world;

pub use answer::{Answer, Endpoint};
pub use applied::{Applied, ChangeError, Election};
pub use change::Change;
pub use discovery::{DiscoveryFault, NodeEntries};
pub use fleet::{Changes, Fleet, FleetConfig, FleetError, Layout};
pub use kind::Kind;
pub use script::{Script, ScriptError, Step};
pub use world::{
    Action, ActionsMode, AgentState, Cluster, Fault, Node, Shard, StoreState, World, WorldConfig,
};
