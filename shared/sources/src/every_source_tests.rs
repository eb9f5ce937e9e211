//! What holds for every source that speaks HTTP, one row a source.

use std::sync::Arc;

use http_body_util::Full;
use hyper::Response;
use replicante_objects::SourceSpec;
use replicante_outbound::{AddressPolicy, Outbound};
use serde_json::{Value, json};

use crate::test_server::{Answer, Question, Server, outside, reply};
use crate::{Outside, SOURCES, SourceError, open};

/// Each source that speaks HTTP: its name, what its settings must hold beside the URL, and an answer of one cluster.
fn table() -> Vec<(&'static str, Value, &'static str)> {
    let platform = r#"{"clusters": [{"cluster_id": "a", "nodes": [{"agent_address": "http://a:1"}]}]}"#;
    let http = r#"{"cursor": null, "clusters": [{"cluster_id": "a", "nodes": ["http://a:1"]}]}"#;
    let groups = r#"[{"targets": ["a:1"], "labels": {"cluster": "a"}}]"#;
    vec![
        ("http", json!({}), http),
        ("http", json!({ "method": "GET" }), http),
        ("platform", json!({}), platform),
        ("prometheus", json!({ "cluster_label": "cluster" }), groups),
    ]
}

/// The clusters that a source finds at a server, with more settings.
async fn fetch(
    kind: &str,
    more: &[&Value],
    server: &Server,
    outside: &Outside,
) -> Result<Vec<String>, SourceError> {
    let mut settings = json!({ "url": server.url });
    for more in more {
        settings.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    }
    let source = open(&SourceSpec { kind: kind.into(), settings }).unwrap();
    Ok(source.fetch(outside).await?.clusters.into_keys().collect())
}

/// The reason why each source of the table gives no list.
async fn reasons(
    settings: Value,
    answer: impl Fn(&Question, &'static str) -> Answer + Copy + Send + Sync + 'static,
) -> Vec<String> {
    let mut reasons = Vec::new();
    for (kind, own, good) in table() {
        let server = Server::start(move |_, question| answer(question, good)).await;
        let error = fetch(kind, &[&own, &settings], &server, &outside()).await.unwrap_err();
        assert!(!error.to_string().contains("hunter2"), "{error}");
        reasons.push(error.reason());
    }
    reasons
}

async fn all_fail(
    expected: &str,
    answer: impl Fn(&Question, &'static str) -> Answer + Copy + Send + Sync + 'static,
) {
    for reason in reasons(json!({}), answer).await {
        assert_eq!(reason, expected);
    }
}

/// Sources that are not asked over HTTP. What this file tests of the others, their own tests have to.
const NOT_OF_HTTP: [&str; 2] = ["dns", "file"];

#[test]
fn every_source_is_in_the_table_or_not_of_http() {
    let mut names: Vec<&str> = table().into_iter().map(|row| row.0).collect();
    names.dedup();
    names.extend(NOT_OF_HTTP);
    names.sort_unstable();
    let mut known = SOURCES.map(|source| source.kind.name);
    known.sort_unstable();
    assert_eq!(known.to_vec(), names);
}

#[tokio::test]
async fn headers_reach_each_request_and_a_cluster_comes_back() {
    // Cargo sets this one for every test.
    let headers = json!({ "headers": { "authorization": "env:CARGO_PKG_NAME" } });
    for (kind, own, good) in table() {
        let server = Server::start(move |_, _| reply(200, "application/json", good)).await;
        assert_eq!(fetch(kind, &[&own, &headers], &server, &outside()).await.unwrap(), ["a"], "{kind}");
        let asked = server.asked.lock().unwrap()[0].clone();
        assert_eq!(asked.authorization.as_deref(), Some("replicante-sources"), "{kind}");
        assert!(asked.target.ends_with("?secret=hunter2"), "{kind}: the query is sent, though never shown");
    }
}

#[tokio::test]
async fn the_timeout_and_the_tls_settings_of_each_are_used() {
    for reason in reasons(json!({ "timeout": 50 }), |_, _| None).await {
        assert_eq!(reason, "timeout after 50 ms");
    }
    for name in ["ca_bundle", "client_certificate"] {
        let tls = json!({ "tls": { name: "env:REPLICANTE_NO_SUCH" } });
        for (kind, own, _) in table() {
            let mut server = Server::start(|_, _| None).await;
            server.url = server.url.replace("http://", "https://");
            let reason = fetch(kind, &[&own, &tls], &server, &outside()).await.unwrap_err().reason();
            assert!(
                reason.starts_with(&format!("{name}: env:REPLICANTE_NO_SUCH is not set")),
                "{kind}: {reason}"
            );
        }
    }
}

#[tokio::test]
async fn limits_of_each_are_used() {
    for (limits, expected) in [
        (json!({ "bytes": 20 }), "answer larger than 20 bytes"),
        (json!({ "total_bytes": 20 }), "more than 20 bytes in all pages, the limit `total_bytes`"),
        (json!({ "clusters": 0 }), "more than 0 records of clusters, the limit `clusters`"),
        (json!({ "nodes": 0 }), "more than 0 nodes in one cluster, the limit `nodes`"),
        (json!({ "total_nodes": 0 }), "more than 0 nodes in all clusters, the limit `total_nodes`"),
    ] {
        for reason in
            reasons(json!({ "limits": limits }), |_, good| reply(200, "application/json", good)).await
        {
            assert_eq!(reason, expected);
        }
    }
}

#[tokio::test]
async fn whatever_is_no_whole_answer_of_json_fails_each() {
    all_fail("status 500 instead of 200", |_, good| reply(500, "application/json", good)).await;
    all_fail("status 206 instead of 200", |_, good| reply(206, "application/json", good)).await;
    all_fail("content type text/html instead of application/json", |_, good| reply(200, "text/html", good))
        .await;
    all_fail("malformed JSON", |_, _| reply(200, "application/json", "<html></html>")).await;
    all_fail("malformed JSON", |_, good| reply(200, "application/json", &good[..good.len() - 1])).await;
    all_fail("status 307 instead of 200", |_, _| {
        Some(Response::builder().status(307).header("location", "/elsewhere").body(Full::default()).unwrap())
    })
    .await;
    for reason in reasons(json!({}), |_, _| reply(200, "application/json", "{}")).await {
        let list = "the answer has no clusters: expected a list, which may be empty";
        assert!(
            [list, "the answer is an object: expected a list of target groups"].contains(&reason.as_str()),
            "{reason}"
        );
    }
}

#[tokio::test]
async fn the_address_policy_holds_for_each_before_anything_is_sent() {
    for (kind, own, good) in table() {
        let server = Server::start(move |_, _| reply(200, "application/json", good)).await;
        let strict = Outside { outbound: Arc::new(Outbound::new(AddressPolicy::default())), ..outside() };
        let error = fetch(kind, &[&own], &server, &strict).await.unwrap_err();
        assert_eq!(error.reason(), "address is loopback, which is not allowed", "{kind}");
        assert!(server.bodies().is_empty());
    }
}

#[test]
fn a_source_of_another_release_says_so() {
    let error = |kind: &str, settings: Value| match open(&SourceSpec { kind: kind.into(), settings }) {
        Ok(_) => panic!("{kind} is opened"),
        Err(error) => error.to_string(),
    };
    assert!(
        error("etcd", json!({}))
            .starts_with("there is no source `etcd`; was its object written by a newer release?")
    );
    assert!(
        error("http", json!({})).starts_with("the settings of `http` can't be read: missing field `url`")
    );
    // What a later release adds is ignored, what an older one did not have has its default.
    let newer = json!({ "url": "http://x/", "later": true });
    assert_eq!(open(&SourceSpec { kind: "http".into(), settings: newer }).unwrap().shown(), "POST http://x/");
}
