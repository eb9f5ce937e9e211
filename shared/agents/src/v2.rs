//! Version 2 of the agents' protocol: agents built on the agent SDK.

use std::collections::BTreeMap;

use replicante_model::observation::{AgentInfo, MAX_TEXT, NodeDetails, ShardReport, cut};
use replicante_model::record::AgentApi;
use serde::Deserialize;

use crate::attributes::Attributes;
use crate::liberal::{Malformed, Piece, read_object};
use crate::quirks::{self, ShardId};
use crate::reason;

/// Where the agent and its node are told of. Answers while the store is down, hangs while it hangs.
pub const INFO_NODE: &str = "info/node";
/// Where the store is told of.
pub const INFO_STORE: &str = "info/store";
/// Where the shards are.
pub const INFO_SHARDS: &str = "info/shards";
/// Answered by the agent alone, without the store: tells one from the other.
pub const ACTIONS_QUEUE: &str = "actions/queue";

#[derive(Deserialize)]
struct NodeAnswer<'a> {
    #[serde(borrow, default)]
    agent_version: Piece<'a>,
    #[serde(default)]
    attributes: Attributes,
    #[serde(borrow, default)]
    node_id: Piece<'a>,
    #[serde(borrow, default)]
    node_status: Piece<'a>,
    #[serde(borrow, default)]
    store_id: Piece<'a>,
    #[serde(borrow, default)]
    store_version: Piece<'a>,
}

#[derive(Deserialize)]
struct StoreAnswer<'a> {
    #[serde(borrow, default)]
    cluster_id: Piece<'a>,
    #[serde(default)]
    attributes: Attributes,
}

/// What `info/node` tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// The agent.
    pub agent: AgentInfo,
    /// Whether the store serves: `node_status` is not `UNAVAILABLE`.
    pub available: bool,
    /// The node. Its version is the number alone: the checkout and the store's extra text say nothing that an
    /// operator compares, and may be long.
    pub node: NodeDetails,
}

/// What `info/store` tells.
#[derive(Debug)]
pub struct Store {
    /// The cluster that the node answers for.
    pub cluster_id: String,
    attributes: Attributes,
}

impl Store {
    /// Adds the store's attributes to the node's. Where both have one, the node's own word stands.
    pub fn add_to(self, node: &mut NodeDetails) {
        let mut attributes = Attributes(std::mem::take(&mut node.attributes));
        attributes.merge(self.attributes);
        node.attributes = attributes.0;
    }
}

/// Reads the answer of [`INFO_NODE`].
///
/// # Errors
/// When the body is no JSON or names no node or no status.
pub fn node(body: &[u8]) -> Result<Node, Malformed> {
    let answer: NodeAnswer<'_> = read_object(body)?;
    let (status, detail) = answer.node_status.variant();
    if status.is_empty() {
        return Err(Malformed::Shape);
    }
    let node = NodeDetails {
        node_id: answer.node_id.required()?,
        kind: answer.store_id.text(),
        version: answer.store_version.version().number,
        condition: condition(&status, &detail),
        attributes: answer.attributes.0,
    };
    let agent = AgentInfo { api: AgentApi::V2, version: answer.agent_version.version() };
    Ok(Node { agent, available: !status.eq_ignore_ascii_case("UNAVAILABLE"), node })
}

/// The status where it is not `HEALTHY`: `{"UNKNOWN": "<reason>"}` is `UNKNOWN: <reason>`, without what would
/// change from refresh to refresh.
fn condition(status: &str, detail: &str) -> Option<String> {
    match (status, reason::stable(detail)) {
        (healthy, _) if healthy.eq_ignore_ascii_case("HEALTHY") => None,
        (status, detail) if detail.is_empty() => Some(status.to_owned()),
        (status, detail) => Some(cut(&format!("{status}: {detail}"), MAX_TEXT).to_owned()),
    }
}

/// Reads the answer of [`INFO_STORE`].
///
/// # Errors
/// When the body is no JSON or names no cluster.
pub fn store(body: &[u8]) -> Result<Store, Malformed> {
    let answer: StoreAnswer<'_> = read_object(body)?;
    Ok(Store { cluster_id: answer.cluster_id.required()?, attributes: answer.attributes })
}

/// Reads the answer of [`INFO_SHARDS`] of a store of this kind (`store_id`). For a kind whose shard ids are of no
/// use, `cluster_id` stands for them. Of a shard that is named twice the report with the leading role counts.
///
/// # Errors
/// When the body is no JSON or has no list of shards.
pub fn shards(body: &[u8], kind: &str, cluster_id: &str) -> Result<BTreeMap<String, ShardReport>, Malformed> {
    let rename = match quirks::shard_id(kind) {
        ShardId::Reported => None,
        ShardId::Cluster => Some(cluster_id),
    };
    crate::shards::parse(body, rename)
}

#[cfg(test)]
mod tests {
    use replicante_model::observation::Role;

    use super::*;
    use crate::recorded;

    #[test]
    fn every_recorded_node_is_read() {
        let mut read = Vec::new();
        for answer in
            recorded::answers("v2", "info-node").into_iter().filter(|answer| answer.status.is_some())
        {
            let found = node(&answer.body).unwrap();
            assert_eq!(found.agent.version.number, "0.1.0");
            assert_eq!(found.agent.version.taint, "working directory tainted");
            let name = format!("node-{}", &answer.name[4..5]);
            assert_eq!((found.node.node_id, found.node.kind.as_str()), (name, "mongo.replica"));
            assert_eq!(found.node.version, "4.4.13");
            assert_eq!(found.node.attributes["mongodb.com/mode"], "replica-set");
            read.push((answer.scenario, found.available, found.node.condition));
        }
        assert_eq!(read.len(), 7);
        for (scenario, available, condition) in read {
            let expected = match scenario.as_str() {
                "healthy" => (true, None),
                "recovering-rollback" => (true, Some("UNHEALTHY")),
                "not-initialised" => (true, Some("NOT_IN_CLUSTER")),
                _ => (false, Some("UNAVAILABLE")),
            };
            assert_eq!((available, condition.as_deref()), expected, "{scenario}");
        }
    }

    #[test]
    fn every_recorded_store_is_read_and_its_attributes_become_text() {
        let mut read = 0;
        for answer in
            recorded::answers("v2", "info-store").into_iter().filter(|answer| answer.status == Some(200))
        {
            let store = store(&answer.body).unwrap();
            assert_eq!(store.cluster_id, "rs-lab");
            let mut node = NodeDetails::default();
            node.attributes.insert("mongodb.com/mode".into(), "replica-set".into());
            store.add_to(&mut node);
            let expected = [
                ("mongodb.com/feature-compatibility", "4.4"),
                ("mongodb.com/mode", "replica-set"),
                ("mongodb.com/oplog.size", "1038090240"),
            ];
            assert_eq!(node.attributes, expected.map(|(name, value)| (name.into(), value.into())).into());
            read += 1;
        }
        assert_eq!(read, 5);
    }

    #[test]
    fn every_recorded_list_of_shards_is_read_and_a_replica_sets_shard_is_the_cluster() {
        let mut roles = Vec::new();
        for answer in
            recorded::answers("v2", "info-shards").into_iter().filter(|answer| answer.status == Some(200))
        {
            let found = shards(&answer.body, "mongo.replica", "rs-lab").unwrap();
            assert_eq!(found.keys().collect::<Vec<_>>(), ["rs-lab"]);
            let report = &found["rs-lab"];
            assert_eq!(report.commit_offset.as_ref().unwrap().unit, "milliseconds");
            roles.push((answer.scenario, answer.name, report.role.clone()));
            let other = shards(&answer.body, "another.store", "rs-lab").unwrap();
            assert!(
                other.keys().all(|id| id.starts_with("127.0.0.1:2710")),
                "the quirk is that store's alone"
            );
        }
        roles.sort();
        let roles: Vec<_> = roles.into_iter().map(|(_, _, role)| role).collect();
        let rolling_back = Role::Other("ROLLBACK".into());
        assert_eq!(roles, [Role::Primary, Role::Secondary, Role::Secondary, Role::Recovering, rolling_back]);
    }

    #[test]
    fn unknown_statuses_are_kept_without_what_changes() {
        let read = |status: &str| {
            let body = format!(r#"{{"node_id":"n","node_status":{status}}}"#);
            let found = node(body.as_bytes()).unwrap();
            (found.available, found.node.condition)
        };
        assert_eq!(read(r#""HEALTHY""#), (true, None));
        assert_eq!(read(r#""JOINING_CLUSTER""#), (true, Some("JOINING_CLUSTER".into())));
        assert_eq!(read(r#""NEW_WORD""#), (true, Some("NEW_WORD".into())));
        assert_eq!(read(r#""UNAVAILABLE""#), (false, Some("UNAVAILABLE".into())));
        let unknown = read(r#"{"UNKNOWN":"no answer from 10.0.0.1:27017"}"#);
        assert_eq!(unknown, (true, Some("UNKNOWN: no answer from <address>".into())));
    }

    #[test]
    fn what_no_answer_lacks_is_asked_for_and_nothing_else() {
        assert_eq!(node(br#"{"node_id":"n"}"#), Err(Malformed::Shape));
        assert_eq!(node(br#"{"node_status":"HEALTHY"}"#), Err(Malformed::Shape));
        assert!(node(br#"{"node_id":"n","node_status":"HEALTHY","attributes":null}"#).is_ok());
        assert_eq!(store(br#"{"attributes":{}}"#).unwrap_err(), Malformed::Shape);
        assert_eq!(store(b"nope").unwrap_err(), Malformed::NotJson);
    }
}
