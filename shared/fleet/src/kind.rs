//! The kinds of datastore in the fleet, and what is particular to each: one table, no state.

use replicante_model::record::AgentApi;
use serde::{Deserialize, Serialize};

/// A kind of datastore.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// ZooKeeper ensembles: version 1, one shard named like the cluster, no lag.
    Zookeeper,
    /// Kafka clusters: version 1, a shard for each partition.
    Kafka,
    /// MongoDB replica sets: version 2, each node reports its own member address as the shard's id.
    Mongodb,
    /// Cassandra clusters: version 2, a shard for each token range; "primary" is its first replica.
    Cassandra,
    /// Redis clusters: version 2, a shard for each range of slots.
    Redis,
}

impl Kind {
    /// All kinds, in the order in which a new world uses them.
    pub const ALL: [Kind; 5] = [Kind::Zookeeper, Kind::Mongodb, Kind::Kafka, Kind::Cassandra, Kind::Redis];

    /// The protocol that its agents speak.
    pub fn api(self) -> AgentApi {
        match self {
            Kind::Zookeeper | Kind::Kafka => AgentApi::V1,
            Kind::Mongodb | Kind::Cassandra | Kind::Redis => AgentApi::V2,
        }
    }

    /// What agents call the store: version 1's `kind`, version 2's `store_id`.
    pub fn store_name(self) -> &'static str {
        match self {
            Kind::Zookeeper => "Zookeeper",
            Kind::Kafka => "Kafka",
            Kind::Mongodb => "mongo.replica",
            Kind::Cassandra => "cassandra",
            Kind::Redis => "redis.cluster",
        }
    }

    /// What generated cluster ids begin with.
    pub fn prefix(self) -> &'static str {
        match self {
            Kind::Zookeeper => "zk",
            Kind::Kafka => "kafka",
            Kind::Mongodb => "mongo",
            Kind::Cassandra => "cass",
            Kind::Redis => "redis",
        }
    }

    /// Whether its primaries are elected by a majority of the nodes.
    pub fn needs_majority(self) -> bool {
        matches!(self, Kind::Zookeeper | Kind::Mongodb)
    }

    /// Whether a cluster has one shard alone, whatever number was asked for.
    pub fn single_shard(self) -> bool {
        matches!(self, Kind::Zookeeper | Kind::Mongodb)
    }

    /// The id of a cluster's shard, counted from 0.
    pub fn shard_id(self, cluster: &str, index: usize) -> String {
        match self {
            Kind::Zookeeper | Kind::Mongodb => cluster.to_owned(),
            Kind::Kafka => format!("{}/{}", ["orders", "payments", "clicks"][index % 3], index / 3),
            Kind::Cassandra => format!("range-{index}"),
            Kind::Redis => format!("slots-{index}"),
        }
    }

    /// The datastore's version in a new cluster.
    pub(crate) fn first_version(self) -> &'static str {
        match self {
            Kind::Zookeeper => "3.8.0",
            Kind::Kafka => "3.7.0",
            Kind::Mongodb => "4.4.13",
            Kind::Cassandra => "4.1.3",
            Kind::Redis => "7.2.4",
        }
    }

    /// The version of a new node's agent.
    pub(crate) fn first_agent_version(self) -> &'static str {
        match self.api() {
            AgentApi::V1 => "0.6.0",
            AgentApi::V2 => "0.1.0",
        }
    }

    /// The unit of offsets, and of lags where the kind reports them.
    pub(crate) fn unit(self) -> &'static str {
        match self {
            Kind::Zookeeper => "zxid",
            Kind::Kafka | Kind::Redis => "offset",
            Kind::Mongodb => "milliseconds",
            Kind::Cassandra => "seconds",
        }
    }

    /// The port on which the datastore itself would listen.
    pub(crate) fn store_port(self) -> u16 {
        match self {
            Kind::Zookeeper => 2181,
            Kind::Kafka => 9092,
            Kind::Mongodb => 27017,
            Kind::Cassandra => 9042,
            Kind::Redis => 6379,
        }
    }

    /// A new node's attributes (version 2 alone reports them).
    pub(crate) fn node_attributes(self, number: u32) -> Vec<(&'static str, String)> {
        match self {
            Kind::Zookeeper | Kind::Kafka => Vec::new(),
            Kind::Mongodb => vec![("mongodb.com/mode", "replica-set".into())],
            Kind::Cassandra => vec![
                ("cassandra.apache.org/datacenter", "dc1".into()),
                ("cassandra.apache.org/rack", format!("rack-{}", number % 3 + 1)),
            ],
            Kind::Redis => vec![("redis.io/mode", "cluster".into())],
        }
    }
}
