//! What an agent answers to a request, as a value: faults and states first, then the protocol's own words.

use std::time::Duration;

use replicante_model::Timestamp;
use replicante_model::record::AgentApi;
use serde::Serialize;

use crate::world::{AgentState, Cluster, Fault, Node, Shard, StoreState, World};
use crate::{actions, v1, v2};

/// What a request asks for. Requests are counted by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Endpoint {
    /// Version 1: `GET info/agent`.
    InfoAgent,
    /// Version 1: `GET info/datastore`.
    InfoDatastore,
    /// Version 1: `GET shards`.
    Shards,
    /// Version 2: `GET info/node`.
    InfoNode,
    /// Version 2: `GET info/store`.
    InfoStore,
    /// Version 2: `GET info/shards`.
    InfoShards,
    /// Both: `GET actions/queue`.
    ActionsQueue,
    /// Both: `GET actions/finished`.
    ActionsFinished,
    /// Version 1: `GET actions/info/<id>`; version 2: `GET action/<id>`.
    ActionInfo,
    /// Any other path of an agent.
    Other,
    /// `POST` or `GET /clusters`, `GET /discover`, `GET /targets`, `GET /inventory/clusters.json`.
    Discovery,
    /// Everything else: the fleet's own endpoints and unknown paths.
    Admin,
}

impl Endpoint {
    /// How many there are.
    pub(crate) const COUNT: usize = Endpoint::Admin as usize + 1;
    /// All of them, in order.
    pub(crate) const ALL: [Endpoint; Endpoint::COUNT] = [
        Endpoint::InfoAgent,
        Endpoint::InfoDatastore,
        Endpoint::Shards,
        Endpoint::InfoNode,
        Endpoint::InfoStore,
        Endpoint::InfoShards,
        Endpoint::ActionsQueue,
        Endpoint::ActionsFinished,
        Endpoint::ActionInfo,
        Endpoint::Other,
        Endpoint::Discovery,
        Endpoint::Admin,
    ];

    /// The endpoint of an agent at a path below its base URL.
    pub fn of_agent(path: &str) -> Endpoint {
        match path.strip_prefix("/api/unstable/").unwrap_or_default() {
            "info/agent" => Endpoint::InfoAgent,
            "info/datastore" => Endpoint::InfoDatastore,
            "shards" => Endpoint::Shards,
            "info/node" => Endpoint::InfoNode,
            "info/store" => Endpoint::InfoStore,
            "info/shards" => Endpoint::InfoShards,
            "actions/queue" => Endpoint::ActionsQueue,
            "actions/finished" => Endpoint::ActionsFinished,
            other if other.starts_with("actions/info/") || other.starts_with("action/") => {
                Endpoint::ActionInfo
            }
            _ => Endpoint::Other,
        }
    }
}

/// An answer to be given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// A status and a body. An empty body has no content type.
    Reply {
        /// The HTTP status.
        status: u16,
        /// The content type.
        content_type: &'static str,
        /// The body.
        body: Vec<u8>,
    },
    /// 200 with a JSON object, streamed: `start`, this many filling bytes, `"}`.
    Huge {
        /// What the body begins with.
        start: &'static str,
        /// How many bytes follow it.
        bytes: u64,
    },
    /// A redirect (307) to this location.
    Redirect(&'static str),
    /// Nothing, until the world has changed; then ask again.
    Hang,
    /// Nothing: the connection is closed.
    Close,
}

impl Answer {
    /// A JSON body.
    pub(crate) fn json(status: u16, value: &impl Serialize) -> Answer {
        // Strings, numbers and maps with string keys always serialise.
        let body = serde_json::to_vec(value).unwrap_or_default();
        Answer::Reply { status, content_type: "application/json", body }
    }

    /// A body of text.
    pub(crate) fn text(status: u16, content_type: &'static str, body: impl Into<String>) -> Answer {
        Answer::Reply { status, content_type, body: body.into().into_bytes() }
    }

    /// 404 with an empty body.
    pub(crate) fn not_found() -> Answer {
        Answer::text(404, "", "")
    }
}

/// A page that no agent sends.
pub(crate) const HTML: &str =
    "<!DOCTYPE html>\n<html><head><title>Welcome</title></head><body>It works!</body></html>\n";

/// Where a request meets the world: a node of a cluster at a time.
pub(crate) struct Place<'a> {
    /// The cluster's id.
    pub id: &'a str,
    /// The cluster.
    pub cluster: &'a Cluster,
    /// The node's id.
    pub node_id: &'a str,
    /// The node.
    pub node: &'a Node,
    /// When the request is answered.
    pub now: Timestamp,
    /// The path that is asked for, below the agent's base URL. Told apart where an endpoint has many.
    pub path: &'a str,
}

impl World {
    /// What the agent of a node answers at `now`, and how long it waits first.
    ///
    /// `moves` tells the address that was asked: a former address of a node is as silent as a node that is gone.
    /// For a node that the world does not have it is [`Answer::Close`].
    pub fn answer(
        &self,
        cluster: &str,
        node: &str,
        moves: u32,
        endpoint: Endpoint,
        now: Timestamp,
    ) -> (Answer, Duration) {
        self.answer_at(cluster, node, moves, (endpoint, ""), now)
    }

    /// [`World::answer`] to a request for a path: that of an action ends with its id.
    pub fn answer_at(
        &self,
        cluster: &str,
        node: &str,
        moves: u32,
        (endpoint, path): (Endpoint, &str),
        now: Timestamp,
    ) -> (Answer, Duration) {
        let place = self.clusters.get_key_value(cluster).and_then(|(id, cluster)| {
            let (node_id, node) = cluster.nodes.get_key_value(node)?;
            Some(Place { id, cluster, node_id, node, now, path })
        });
        match place {
            Some(place) if place.node.moves == moves => (place.answer(endpoint), place.node.latency),
            _ => (Answer::Close, Duration::ZERO),
        }
    }
}

impl Place<'_> {
    fn answer(&self, endpoint: Endpoint) -> Answer {
        match (self.node.agent, &self.node.fault) {
            (AgentState::Gone, _) => Answer::Close,
            (AgentState::Hanging, _) => Answer::Hang,
            (_, Some(Fault::Garbage)) => Answer::text(200, "application/json", "{\"version\": [1, 2,, NaN"),
            (_, Some(Fault::Html)) => Answer::text(200, "text/html; charset=utf-8", HTML),
            (_, Some(Fault::Huge(bytes))) => Answer::Huge { start: "{\"filler\":\"", bytes: *bytes },
            (_, Some(Fault::ServerError)) => {
                Answer::text(500, "text/plain; charset=utf-8", "Internal Server Error")
            }
            (AgentState::Up, _) => match (endpoint, self.cluster.kind.api()) {
                (Endpoint::ActionsQueue | Endpoint::ActionsFinished | Endpoint::ActionInfo, api) => {
                    actions::answer(self, api, endpoint)
                }
                (_, AgentApi::V1) => v1::answer(self, endpoint),
                (_, AgentApi::V2) => v2::answer(self, endpoint),
            },
        }
    }

    /// The cluster id that the node reports.
    pub fn cluster_id(&self) -> &str {
        match &self.node.fault {
            Some(Fault::OtherCluster(other)) => other,
            _ => self.id,
        }
    }

    /// Whether the node leads a shard: a store that does not serve leads nothing.
    pub fn leads(&self, shard: &Shard) -> bool {
        self.node.store == StoreState::Up && shard.primary.as_deref() == Some(self.node_id)
    }

    /// How far a node is behind the shard's primary, in whole seconds: 0 for the primary, else 0 to 2.
    pub fn lag(&self, index: usize, shard: &Shard) -> i64 {
        if self.leads(shard) {
            return 0;
        }
        (self.now.seconds() + i64::from(self.node.number) * 7 + index as i64 * 5).rem_euclid(3)
    }
}
