//! Many nodes at once, within limits and until a deadline.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::stream::{FuturesUnordered, StreamExt};
use replicante_model::actions::NodeActions;
use replicante_model::observation::Observation;
use replicante_model::record::{AgentApi, AgentSettings, NodeId};
use replicante_outbound::Outbound;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};

use crate::node::NodePoll;

/// The default of how many nodes a function polls at once, whatever their clusters.
pub const DEFAULT_IN_FLIGHT: usize = 512;

/// One node to poll, and what is remembered of it.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    /// The node's identity within its cluster.
    pub node_id: &'a str,
    /// The base URL of its agent, with or without a slash at the end.
    pub address: &'a str,
    /// Whether it was down the last time: agent or datastore. It is then probed before anything else is asked.
    pub was_down: bool,
    /// The protocol that its agent spoke last. With it, `agents.api: auto` costs no extra request.
    pub last_api: Option<AgentApi>,
    /// What is known of its actions: the details of those that changed are asked for. `None` before the first contact.
    pub actions: Option<&'a NodeActions>,
}

/// How one cluster is polled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClusterLimits {
    /// How many of its nodes are polled at once; at least 1. Default 64.
    pub in_flight: usize,
    /// The place in the list of the node that is polled first, modulo the list's length; the others follow, and
    /// the list's start after its end. To be changed from refresh to refresh (the number of the slot that was
    /// due), so that the same nodes are not always last when time is short.
    pub start: u64,
}

impl Default for ClusterLimits {
    fn default() -> Self {
        ClusterLimits { in_flight: 64, start: 0 }
    }
}

/// The agents, as one process reaches them. Made once a process and shared by its refreshes.
#[derive(Debug)]
pub struct Agents {
    outbound: Arc<Outbound>,
    limit: Semaphore,
}

impl Agents {
    /// Agents reached through this client, at most `in_flight` nodes at once ([`DEFAULT_IN_FLIGHT`]; at least 1).
    pub fn new(outbound: Arc<Outbound>, in_flight: usize) -> Self {
        Agents { outbound, limit: Semaphore::new(in_flight.clamp(1, Semaphore::MAX_PERMITS)) }
    }

    /// Polls one node.
    ///
    /// `cluster_id` is the discovery's; a report carries the one that the node answered for, whether it is the
    /// same or not. A node whose poll `deadline` cuts off is [`Observation::NotPolled`]: never is a node called
    /// down because the time of its cluster was up. The node's own limit runs from when its turn has come.
    pub async fn poll(
        &self,
        target: &Target<'_>,
        cluster_id: &str,
        settings: &AgentSettings,
        deadline: Instant,
    ) -> Observation {
        // The semaphore is never closed, so only the deadline ends the wait in vain.
        let Ok(Ok(_turn)) = timeout_at(deadline, self.limit.acquire()).await else {
            return Observation::NotPolled;
        };
        let node_end = Instant::now().checked_add(settings.node_timeout).unwrap_or(deadline);
        let outbound = &self.outbound;
        NodePoll { outbound, target, cluster_id, settings, node_end, deadline }.observe().await
    }

    /// Polls all nodes of a cluster, within `limits`, and answers for each of them: at the latest soon after
    /// `deadline`, with [`Observation::NotPolled`] for the nodes that were not reached or not done by then.
    pub async fn poll_cluster(
        &self,
        targets: &[Target<'_>],
        cluster_id: &str,
        settings: &AgentSettings,
        limits: ClusterLimits,
        deadline: Instant,
    ) -> BTreeMap<NodeId, Observation> {
        let length = u64::try_from(targets.len()).unwrap_or(u64::MAX).max(1);
        // Less than the length of the list, so it fits.
        let start = usize::try_from(limits.start % length).unwrap_or(0);
        let (last, first) = targets.split_at(start);
        let mut waiting = first.iter().chain(last);
        let mut observations = BTreeMap::new();
        // A loop, not a stream of closures: the compiler can't see that such a future is `Send`.
        let mut polls = FuturesUnordered::new();
        for target in waiting.by_ref().take(limits.in_flight.max(1)) {
            polls.push(self.poll_named(target, cluster_id, settings, deadline));
        }
        while let Some((node_id, observation)) = polls.next().await {
            observations.insert(node_id, observation);
            if let Some(target) = waiting.next() {
                polls.push(self.poll_named(target, cluster_id, settings, deadline));
            }
        }
        observations
    }

    async fn poll_named(
        &self,
        target: &Target<'_>,
        cluster_id: &str,
        settings: &AgentSettings,
        deadline: Instant,
    ) -> (NodeId, Observation) {
        (target.node_id.to_owned(), self.poll(target, cluster_id, settings, deadline).await)
    }
}
