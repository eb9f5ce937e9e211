//! Polling of datastore agents: what one refresh hears of each node, as an [`Observation`].
//!
//! An agent is a HTTP process beside a datastore process. Two protocols exist in the field; the wire is
//! described with each parser, and real agents' answers in `tests/recorded/` are what the parsers
//! are tested against.
//!
//! # Map
//!
//! ```text
//! poll.rs        Agents: all nodes of a cluster at once, within limits and until a deadline
//! node.rs        one node: which requests, in which order, and what their outcome means
//! v1.rs v2.rs    the answers of each protocol          (pure: bytes in, values out)
//! shards.rs      the list of shards, common to both    (pure)
//! actions.rs     the actions: their requests, and their lists, common to both
//! attributes.rs  names and values of the agent's own   (pure)
//! liberal.rs     JSON values of a type that may vary   (pure)
//! first.rs       objects whose fields are given twice  (pure)
//! reason.rs      short, stable text for what failed    (pure)
//! quirks.rs      what single stores do differently     (a table)
//! ```
//!
//! # What is not here
//!
//! - No decision that needs another node or an earlier refresh: identity conflicts, counts of failures before
//!   a node is called down, what is stale. The model does that; a report carries the `cluster_id` it came with.
//! - No retries: the next refresh is the retry. (A `GET` whose connection is closed before an answer is repeated
//!   once by `replicante-outbound`.)

pub mod actions;
mod attributes;
mod first;
mod liberal;
mod node;
mod poll;
mod quirks;
pub mod reason;
#[cfg(test)]
mod recorded;
mod shards;
pub mod v1;
pub mod v2;

pub use liberal::Malformed;
pub use poll::{Agents, ClusterLimits, DEFAULT_IN_FLIGHT, Target};
pub use replicante_model::observation::Observation;
