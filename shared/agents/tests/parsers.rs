//! What the parsers of both protocols have in common. That they take anything is checked in `tests/outside-input`.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use replicante_agents::{v1, v2};

#[test]
fn a_field_that_is_given_twice_counts_as_it_stands_first() {
    let agent = v1::agent(br#"{"version":{"number":"1","number":"2"},"version":{"number":"3"}}"#).unwrap();
    assert_eq!(agent.version.number, "1");
    let store = v1::datastore(br#"{"cluster_id":"c","node_id":"n","cluster_id":"d","node_id":"m"}"#).unwrap();
    assert_eq!((store.cluster_id.as_str(), store.node.node_id.as_str()), ("c", "n"));
    let node = v2::node(
        br#"{"node_id":"n","node_status":"HEALTHY","attributes":{"a":1},"node_status":"UNAVAILABLE","attributes":{"a":2}}"#,
    );
    let node = node.unwrap();
    assert!(node.available && node.node.attributes["a"] == "1");
    assert_eq!(v2::store(br#"{"cluster_id":"c","cluster_id":"d"}"#).unwrap().cluster_id, "c");
    let shards = v1::shards(br#"{"shards":[{"id":"s","id":"t"}]}"#).unwrap();
    assert_eq!(shards.keys().collect::<Vec<_>>(), ["s"]);
}
