use replicante_objects::SourceSpec;
use serde_json::json;

use super::*;
use crate::test_server::{Server, outside, reply};

/// As Replicante Platform writes it.
const ANSWER: &str = r#"{"clusters": [
    {"cluster_id": "orders", "nodes": [
        {"node_id": "orders-1", "agent_address": "http://10.0.0.1:8000", "node_class": "mongo.replica", "node_group": null},
        {"node_id": "orders-2", "agent_address": "http://10.0.0.2:8000", "node_class": "mongo.replica", "node_group": "eu"}]},
    {"cluster_id": "empty", "nodes": []}]}"#;

#[tokio::test]
async fn clusters_and_their_nodes_are_those_that_platform_knows() {
    let server = Server::start(|_, _| reply(200, "application/json", ANSWER)).await;
    let answer = Platform { endpoint: server.endpoint() }.fetch(&outside()).await.unwrap();
    assert_eq!(answer.clusters.keys().collect::<Vec<_>>(), ["empty", "orders"]);
    assert_eq!(answer.clusters["orders"].nodes["orders-2"], "http://10.0.0.2:8000");
    assert!(answer.rejected.is_empty() && answer.repeated.is_empty());
    let labels = &answer.clusters["orders"].labels;
    assert_eq!(labels["orders-1"], [("node_class".into(), "mongo.replica".into())].into());
    let both = [("node_class".into(), "mongo.replica".into()), ("node_group".into(), "eu".into())];
    assert_eq!(labels["orders-2"], both.into());
    let asked = server.asked.lock().unwrap()[0].clone();
    assert_eq!((asked.method.as_str(), asked.body.as_str()), ("GET", ""));
    assert_eq!(asked.target, "/clusters/discover?secret=hunter2", "the server's URL has a path and a query");
}

#[test]
fn discover_is_asked_below_the_url_whether_it_ends_with_a_slash_or_not() {
    for (url, shown) in [
        ("https://platform", "GET https://platform/discover"),
        ("https://platform/", "GET https://platform/discover"),
        ("https://platform/api/v1", "GET https://platform/api/v1/discover"),
        ("https://platform/api/v1/?key=secret", "GET https://platform/api/v1/discover?..."),
    ] {
        let spec = SourceSpec { kind: "platform".into(), settings: json!({ "url": url }) };
        assert_eq!(crate::open(&spec).unwrap().shown(), shown);
    }
}

#[tokio::test]
async fn an_answer_in_pages_is_refused_since_platform_has_none() {
    let answer = r#"{"cursor": "more", "clusters": []}"#;
    let server = Server::start(move |_, _| reply(200, "application/json", answer)).await;
    let error = Platform { endpoint: server.endpoint() }.fetch(&outside()).await.unwrap_err();
    assert_eq!(error.failure, Failure::UnexpectedCursor);
}
