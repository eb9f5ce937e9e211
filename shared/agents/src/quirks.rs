//! What the agents of single stores do differently from the protocol.

/// The shard id that an agent reports is of no use; what stands for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ShardId {
    /// As reported.
    Reported,
    /// The store has one shard, the cluster: its id is the cluster's.
    Cluster,
}

/// By version 2's `store_id`. One line a quirk, with where it was seen.
const SHARD_IDS: [(&str, ShardId); 1] = [
    // Agent 0.1.0 reports its own member address (`127.0.0.1:27101`), so that no two nodes of a replica set
    // would share a shard: tests/recorded/v2/healthy.
    ("mongo.replica", ShardId::Cluster),
];

/// What stands for the shard ids of this store.
pub(crate) fn shard_id(store_id: &str) -> ShardId {
    SHARD_IDS.iter().find(|(store, _)| *store == store_id).map_or(ShardId::Reported, |(_, quirk)| *quirk)
}
