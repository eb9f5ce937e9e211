//! Version 1 of the agents' protocol: the agents 0.x of the ZooKeeper, MongoDB and Kafka era.

use std::collections::BTreeMap;

use replicante_model::observation::{AgentInfo, NodeDetails, ShardReport};
use replicante_model::record::AgentApi;
use serde::Deserialize;

use crate::liberal::{Malformed, Piece, read_object};

/// Where the agent tells of itself. Answers while the datastore is down.
pub const INFO_AGENT: &str = "info/agent";
/// Where the datastore is told of.
pub const INFO_DATASTORE: &str = "info/datastore";
/// Where the shards are.
pub const SHARDS: &str = "shards";

#[derive(Deserialize)]
struct Agent<'a> {
    #[serde(borrow)]
    version: Piece<'a>,
}

#[derive(Deserialize)]
struct Store<'a> {
    #[serde(borrow, default)]
    cluster_display_name: Piece<'a>,
    #[serde(borrow, default)]
    cluster_id: Piece<'a>,
    #[serde(borrow, default)]
    kind: Piece<'a>,
    #[serde(borrow, default)]
    node_id: Piece<'a>,
    /// The specification's name for `node_id`.
    #[serde(borrow, default)]
    id: Piece<'a>,
    #[serde(borrow, default)]
    version: Piece<'a>,
}

/// What `info/datastore` tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Datastore {
    /// The cluster that the node answers for.
    pub cluster_id: String,
    /// The cluster's name for people. Absent when the agent has none.
    pub display_name: Option<String>,
    /// The node. Version 1 tells no condition and no attributes.
    pub node: NodeDetails,
}

/// Reads the answer of [`INFO_AGENT`].
///
/// # Errors
/// When the body is no JSON or tells no version.
pub fn agent(body: &[u8]) -> Result<AgentInfo, Malformed> {
    let agent: Agent<'_> = read_object(body)?;
    Ok(AgentInfo { api: AgentApi::V1, version: agent.version.version() })
}

/// Reads the answer of [`INFO_DATASTORE`].
///
/// # Errors
/// When the body is no JSON or names no cluster or no node.
pub fn datastore(body: &[u8]) -> Result<Datastore, Malformed> {
    let store: Store<'_> = read_object(body)?;
    let node = NodeDetails {
        node_id: store.node_id.some_text().map_or_else(|| store.id.required(), Ok)?,
        kind: store.kind.text(),
        version: store.version.text(),
        condition: None,
        attributes: BTreeMap::new(),
    };
    let cluster_id = store.cluster_id.required()?;
    Ok(Datastore { cluster_id, display_name: store.cluster_display_name.some_text(), node })
}

/// Reads the answer of [`SHARDS`]. Of a shard that is named twice the report with the leading role counts.
///
/// # Errors
/// When the body is no JSON or has no list of shards.
pub fn shards(body: &[u8]) -> Result<BTreeMap<String, ShardReport>, Malformed> {
    crate::shards::parse(body, None)
}

#[cfg(test)]
mod tests {
    use replicante_model::observation::{Offset, Role};

    use super::*;
    use crate::recorded;

    #[test]
    fn every_recorded_agent_is_read() {
        let mut read = 0;
        for answer in recorded::answers("v1", "info-agent") {
            let info = agent(&answer.body).unwrap();
            assert_eq!((info.version.number.as_str(), info.version.taint.as_str()), ("0.6.0", "not tainted"));
            assert_eq!(info.version.checkout, "0ab1560a247fdd65b19b7509c2b3a5cafd79dd5d");
            read += 1;
        }
        assert_eq!(read, 9);
    }

    #[test]
    fn every_recorded_datastore_is_read() {
        let mut read = 0;
        for answer in
            recorded::answers("v1", "info-datastore").into_iter().filter(|answer| answer.status == Some(200))
        {
            let store = datastore(&answer.body).unwrap();
            let node = answer.name.split('.').next().unwrap().trim_start_matches("node");
            assert_eq!(
                (store.cluster_id.as_str(), store.node.node_id.as_str()),
                ("zk-lab", node),
                "{}",
                answer.name
            );
            assert_eq!(
                (store.node.kind.as_str(), store.node.version.as_str()),
                ("Zookeeper", "3.8.0+${mvngit.commit.id}")
            );
            let name = answer.name.contains(".tls.").then_some("ZooKeeper lab");
            assert_eq!(store.display_name.as_deref(), name, "{}", answer.name);
            read += 1;
        }
        assert_eq!(read, 8);
    }

    #[test]
    fn every_recorded_list_of_shards_is_read() {
        let mut roles = Vec::new();
        for answer in
            recorded::answers("v1", "shards").into_iter().filter(|answer| answer.status == Some(200))
        {
            let shards = shards(&answer.body).unwrap();
            let report = &shards["zk-lab"];
            assert_eq!((shards.len(), &report.lag), (1, &None));
            let offset = report.commit_offset.as_ref().unwrap();
            assert!(offset.unit == "zxid" && offset.value >= 4_294_967_319, "{offset:?}");
            roles.push((answer.scenario, answer.name, report.role.clone()));
        }
        assert_eq!(roles.len(), 5);
        for (scenario, name, role) in roles {
            let leads = scenario == "healthy" && name == "node3.shards";
            assert_eq!(role, if leads { Role::Primary } else { Role::Secondary }, "{scenario}/{name}");
        }
    }

    #[test]
    fn no_recorded_failure_reads_as_an_answer() {
        for what in ["info-datastore", "shards"] {
            for answer in
                recorded::answers("v1", what).into_iter().filter(|answer| answer.status == Some(500))
            {
                assert_eq!(datastore(&answer.body), Err(Malformed::Shape));
                assert_eq!(shards(&answer.body), Err(Malformed::Shape));
            }
        }
    }

    #[test]
    fn the_specifications_words_are_read_too() {
        let store = datastore(br#"{"id":"n1","cluster_id":"c","kind":"mongodb","version":"4.4","more":[1]}"#)
            .unwrap();
        assert_eq!((store.node.node_id.as_str(), store.display_name), ("n1", None));
        let both = datastore(br#"{"id":"old","node_id":"new","cluster_id":"c"}"#).unwrap();
        assert_eq!(both.node.node_id, "new");
        let shards = shards(
            br#"{"shards":[{"id":"s","role":"PRIMARY","commit_offset":{"unit":"seconds","value":-3},"lag":{"unit":"seconds","value":33}}]}"#,
        )
        .unwrap();
        let offset = |value| Some(Offset { value, unit: "seconds".into() });
        let expected = ShardReport { role: Role::Primary, commit_offset: offset(-3), lag: offset(33) };
        assert_eq!(shards["s"], expected);
    }

    #[test]
    fn what_no_answer_lacks_is_asked_for() {
        assert_eq!(agent(b"{}"), Err(Malformed::Shape));
        assert_eq!(agent(b"OK"), Err(Malformed::NotJson));
        assert_eq!(datastore(br#"{"cluster_id":"c"}"#), Err(Malformed::Shape));
        assert_eq!(datastore(br#"{"node_id":"n","cluster_id":null}"#), Err(Malformed::Shape));
    }
}
