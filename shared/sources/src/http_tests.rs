use std::sync::Arc;
use std::time::Duration;

use http_body_util::Full;
use hyper::Response;
use hyper::body::Bytes;
use replicante_model::record::TlsSettings;
use replicante_objects::{HeaderValue, Limits};
use replicante_outbound::{AddressPolicy, Outbound};
use serde_json::json;
use tokio::net::TcpListener;

use super::*;
use crate::test_server::{Answer, Question, Server, outside, reply};

fn page(cursor: Option<&str>, clusters: &[&str]) -> Answer {
    let records: Vec<Value> = clusters
        .iter()
        .map(|id| json!({ "cluster_id": id, "nodes": [format!("http://{id}:8000/")] }))
        .collect();
    reply(200, "application/json", json!({ "cursor": cursor, "clusters": records }).to_string())
}

fn spec(server: &Server) -> Http {
    Http { endpoint: server.endpoint(), method: Method::Post, body: Map::new() }
}

fn with(server: &Server, change: impl FnOnce(&mut Endpoint)) -> Http {
    let mut spec = spec(server);
    change(&mut spec.endpoint);
    spec
}

async fn fetch(spec: Http) -> Result<SourceAnswer, SourceError> {
    spec.fetch(&outside()).await
}

/// The reason for which one misbehaviour fails the run.
async fn reason(answer: impl Fn(usize, &Question) -> Answer + Send + Sync + 'static) -> String {
    let server = Server::start(answer).await;
    let limits = Limits { pages: 5, ..Limits::default() };
    fetch(with(&server, |endpoint| endpoint.limits = limits)).await.unwrap_err().reason()
}

#[tokio::test]
async fn the_tls_settings_of_a_source_are_used() {
    let server = Server::start(|_, _| page(None, &[])).await;
    let url = server.url.replace("http://", "https://").parse().unwrap();
    let tls = TlsSettings { ca_bundle: Some("env:REPLICANTE_NO_SUCH_CA".into()), client_certificate: None };
    let reason = fetch(with(&server, |endpoint| (endpoint.url, endpoint.tls) = (url, tls)))
        .await
        .unwrap_err()
        .reason();
    assert!(reason.starts_with("ca_bundle: env:REPLICANTE_NO_SUCH_CA is not set"), "{reason}");
}

#[tokio::test]
async fn post_sends_the_configured_body_and_follows_cursors_until_null() {
    let server = Server::start(|number, _| match number {
        0 => page(Some("second"), &["a", "b"]),
        1 => page(Some(""), &[]),
        _ => page(None, &["c"]),
    })
    .await;
    let body = json!({ "region": "eu" }).as_object().unwrap().clone();
    let answer = fetch(Http { body, ..spec(&server) }).await.unwrap();
    assert_eq!(answer.clusters.keys().collect::<Vec<_>>(), ["a", "b", "c"]);
    assert_eq!(
        server.bodies(),
        [
            r#"{"cursor":null,"region":"eu"}"#,
            r#"{"cursor":"second","region":"eu"}"#,
            r#"{"cursor":"","region":"eu"}"#
        ]
    );
    let question = server.asked.lock().unwrap()[0].clone();
    assert_eq!(
        (question.method.as_str(), question.content_type.as_deref()),
        ("POST", Some("application/json"))
    );
}

#[tokio::test]
async fn get_sends_no_body_and_takes_no_pages() {
    let server = Server::start(|number, _| page((number > 0).then_some("more"), &["a"])).await;
    let spec = Http { method: Method::Get, ..spec(&server) };
    assert_eq!(fetch(spec.clone()).await.unwrap().clusters.len(), 1);
    let question = server.asked.lock().unwrap()[0].clone();
    assert_eq!((question.method.as_str(), question.body.as_str()), ("GET", ""));
    let error = fetch(spec).await.unwrap_err();
    assert_eq!(error.failure, Failure::UnexpectedCursor);
}

#[tokio::test]
async fn headers_are_sent_with_their_references_resolved() {
    let server = Server::start(|_, _| page(None, &[])).await;
    let with = |value: &str| {
        let headers = [("authorization".to_string(), HeaderValue::try_from(value.to_string()).unwrap())];
        self::with(&server, |endpoint| endpoint.headers = headers.into())
    };
    // Cargo sets this one for every test.
    fetch(with("env:CARGO_PKG_NAME")).await.unwrap();
    assert_eq!(server.asked.lock().unwrap()[0].authorization.as_deref(), Some("replicante-sources"));
    for (reference, problem) in
        [("env:REPLICANTE_NO_SUCH_THING", "is not set"), ("ssm:/token", "can't be read here")]
    {
        let error = fetch(with(reference)).await.unwrap_err();
        assert!(
            error.reason().starts_with(&format!("header authorization: {reference} {problem}")),
            "{error}"
        );
    }
    assert_eq!(server.asked.lock().unwrap().len(), 1, "nothing is sent without the secret");
}

#[tokio::test]
async fn a_wrong_status_fails_the_run() {
    for status in [201, 204, 206, 400, 404, 500] {
        let body = r#"{"clusters": []}"#;
        assert_eq!(
            reason(move |_, _| reply(status, "application/json", body)).await,
            format!("status {status} instead of 200")
        );
    }
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let server = Server::start(|_, _| {
        let redirect = Response::builder().status(307).header("location", "/elsewhere");
        Some(redirect.body(Full::default()).unwrap())
    })
    .await;
    let error = fetch(spec(&server)).await.unwrap_err();
    assert_eq!(error.failure, Failure::Status(307));
    assert!(
        error.to_string().ends_with("redirects are not followed: give the final address as `url`"),
        "{error}"
    );
    assert_eq!(server.bodies().len(), 1);
}

#[tokio::test]
async fn a_wrong_content_type_fails_the_run_whatever_the_body() {
    let body = r#"{"clusters": []}"#;
    for wrong in ["text/html; charset=utf-8", "text/json", "application/jsonp", "application/yaml"] {
        let media = wrong.split(';').next().unwrap();
        assert_eq!(
            reason(move |_, _| reply(200, wrong, body)).await,
            format!("content type {media} instead of application/json")
        );
    }
    let none = reason(move |_, _| Some(Response::new(Full::new(Bytes::from(body))))).await;
    assert_eq!(none, "content type missing instead of application/json");
    for right in ["application/json; charset=utf-8", "Application/JSON", "application/vnd.inventory+json"] {
        let server = Server::start(move |_, _| reply(200, right, body)).await;
        assert_eq!(fetch(spec(&server)).await, Ok(SourceAnswer::default()), "{right}");
    }
}

#[tokio::test]
async fn malformed_json_and_what_is_no_list_fail_the_run() {
    assert_eq!(reason(|_, _| reply(200, "application/json", "<html>oops</html>")).await, "malformed JSON");
    assert_eq!(reason(|_, _| reply(200, "application/json", r#"{"clusters": ["#)).await, "malformed JSON");
    assert_eq!(
        reason(|_, _| reply(200, "application/json", "{}")).await,
        "the answer has no clusters: expected a list, which may be empty"
    );
}

#[tokio::test]
async fn a_repeated_cursor_fails_the_run() {
    let repeated = "the cursor of an earlier page was given again";
    assert_eq!(reason(|_, _| page(Some("same"), &[])).await, repeated);
    assert_eq!(reason(|number, _| page(Some(["a", "b", "a", "b"][number]), &[])).await, repeated);
}

#[tokio::test]
async fn an_endless_cursor_ends_at_the_limit_of_pages_and_exactly_as_many_are_allowed() {
    let limits = Limits { pages: 5, ..Limits::default() };
    let server = Server::start(|number, _| page(Some(&number.to_string()), &[])).await;
    let most = limits.clone();
    let endless = fetch(with(&server, |endpoint| endpoint.limits = most)).await.unwrap_err();
    assert_eq!(endless.reason(), "more than 5 pages, the limit `pages`");
    assert_eq!(server.bodies().len(), 5);
    let server = Server::start(|number, _| page((number < 4).then_some(&number.to_string()), &[])).await;
    assert!(fetch(with(&server, |endpoint| endpoint.limits = limits)).await.is_ok());
    assert_eq!(server.bodies().len(), 5);
}

#[tokio::test]
async fn an_answer_above_the_limit_of_bytes_fails_the_run() {
    let huge = Bytes::from(vec![b' '; 40 * 1024 * 1024]);
    assert_eq!(
        reason(move |_, _| reply(200, "application/json", huge.clone())).await,
        "answer larger than 32 MiB"
    );
}

#[tokio::test]
async fn limits_of_clusters_and_nodes_fail_the_run() {
    let server = Server::start(|number, _| page((number == 0).then_some("x"), &["a", "b"])).await;
    let limits = Limits { clusters: 3, ..Limits::default() };
    let error = fetch(with(&server, |endpoint| endpoint.limits = limits)).await.unwrap_err();
    assert_eq!(error.reason(), "more than 3 records of clusters, the limit `clusters`");
    let server = Server::start(|_, _| {
        let nodes = json!({ "clusters": [{ "cluster_id": "a", "nodes": ["http://a", "http://b"] }] });
        reply(200, "application/json", nodes.to_string())
    })
    .await;
    let limits = Limits { nodes: 1, ..Limits::default() };
    let error = fetch(with(&server, |endpoint| endpoint.limits = limits)).await.unwrap_err();
    assert_eq!(error.reason(), "more than 1 nodes in one cluster, the limit `nodes`");
}

#[tokio::test]
async fn one_bad_record_is_set_aside_and_the_run_succeeds() {
    let server = Server::start(|_, _| {
        let records =
            json!([{ "cluster_id": "a", "nodes": ["http://a"] }, { "cluster_id": "b", "nodes": ["b"] }]);
        reply(200, "application/json", json!({ "cursor": null, "clusters": records }).to_string())
    })
    .await;
    let answer = fetch(spec(&server)).await.unwrap();
    assert_eq!(answer.clusters.keys().collect::<Vec<_>>(), ["a"]);
    assert_eq!(answer.rejected[0].record, "b");
}

#[tokio::test]
async fn a_later_page_that_fails_fails_the_run() {
    let second = reason(|number, _| match number {
        0 => page(Some("x"), &["a"]),
        _ => reply(500, "application/json", "{}"),
    });
    assert_eq!(second.await, "status 500 instead of 200");
}

#[tokio::test]
async fn a_source_that_hangs_ends_with_its_timeout() {
    let server = Server::start(|_, _| None).await;
    let timeout = Duration::from_millis(50);
    let error = fetch(with(&server, |endpoint| endpoint.timeout = timeout)).await.unwrap_err();
    assert_eq!(error.reason(), "timeout after 50 ms");
}

#[tokio::test]
async fn a_source_that_is_down_is_shown_with_what_was_tried_and_the_way_out_but_not_its_query() {
    let server = Server::start(|_, _| None).await;
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let mut spec = spec(&server);
    spec.endpoint.url.set_port(Some(free.port())).unwrap();
    let error = fetch(spec).await.unwrap_err();
    assert_eq!(error.reason(), "connection refused");
    assert_eq!(
        error.to_string(),
        format!(
            "POST http://127.0.0.1:{}/clusters?..., page 1: connection refused; check that the source runs and that the \
             discovery's `url` is right",
            free.port()
        )
    );
}

#[tokio::test]
async fn the_address_policy_holds_for_sources() {
    let server = Server::start(|_, _| page(None, &[])).await;
    let strict = Outside { outbound: Arc::new(Outbound::new(AddressPolicy::default())), ..outside() };
    let error = spec(&server).fetch(&strict).await.unwrap_err();
    assert_eq!(error.reason(), "address is loopback, which is not allowed");
    assert!(server.bodies().is_empty());
}
