use std::convert::Infallible;
use std::future::pending;
use std::sync::Mutex;
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request as Asked, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use replicante_model::record::TlsSettings;
use replicante_objects::Limits;
use replicante_outbound::AddressPolicy;
use serde_json::json;
use tokio::net::TcpListener;

use super::*;

/// What the server was asked.
#[derive(Clone, Debug)]
struct Question {
    method: String,
    content_type: Option<String>,
    authorization: Option<String>,
    body: String,
}

/// What it answers; `None` never answers.
type Answer = Option<Response<Full<Bytes>>>;

/// A server that answers the question of each number as `answer` says.
struct Server {
    url: String,
    asked: Arc<Mutex<Vec<Question>>>,
}

impl Server {
    async fn start(answer: impl Fn(usize, &Question) -> Answer + Send + Sync + 'static) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/clusters?secret=hunter2", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (log, answer) = (Arc::clone(&asked), Arc::new(answer));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (log, answer) = (Arc::clone(&log), Arc::clone(&answer));
                let service = service_fn(move |asked: Asked<Incoming>| {
                    let (log, answer) = (Arc::clone(&log), Arc::clone(&answer));
                    async move {
                        let (parts, body) = asked.into_parts();
                        let header =
                            |name: &str| Some(parts.headers.get(name)?.to_str().unwrap().to_string());
                        let question = Question {
                            method: parts.method.to_string(),
                            content_type: header("content-type"),
                            authorization: header("authorization"),
                            body: String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec())
                                .unwrap(),
                        };
                        let number = {
                            let mut log = log.lock().unwrap();
                            log.push(question.clone());
                            log.len() - 1
                        };
                        match answer(number, &question) {
                            Some(answer) => Ok::<_, Infallible>(answer),
                            None => pending().await,
                        }
                    }
                });
                tokio::spawn(async move {
                    let _ = auto::Builder::new(TokioExecutor::new())
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
            }
        });
        Server { url, asked }
    }

    fn spec(&self) -> HttpSource {
        HttpSource {
            url: self.url.parse().unwrap(),
            method: HttpMethod::Post,
            body: serde_json::Map::new(),
            headers: Default::default(),
            timeout: Duration::from_secs(30),
            tls: TlsSettings::default(),
            limits: Limits::default(),
        }
    }

    fn bodies(&self) -> Vec<String> {
        self.asked.lock().unwrap().iter().map(|question| question.body.clone()).collect()
    }
}

fn reply(status: u16, content_type: &str, body: impl Into<Bytes>) -> Answer {
    let response = Response::builder().status(status).header("content-type", content_type);
    Some(response.body(Full::new(body.into())).unwrap())
}

fn page(cursor: Option<&str>, clusters: &[&str]) -> Answer {
    let records: Vec<Value> = clusters
        .iter()
        .map(|id| json!({ "cluster_id": id, "nodes": [format!("http://{id}:8000/")] }))
        .collect();
    reply(200, "application/json", json!({ "cursor": cursor, "clusters": records }).to_string())
}

async fn fetch(spec: HttpSource) -> Result<SourceAnswer, SourceError> {
    Http::new(spec, Arc::new(Outbound::new(AddressPolicy::local()))).fetch().await
}

/// The reason for which one misbehaviour fails the run.
async fn reason(answer: impl Fn(usize, &Question) -> Answer + Send + Sync + 'static) -> String {
    let server = Server::start(answer).await;
    let limits = Limits { pages: 5, ..Limits::default() };
    fetch(HttpSource { limits, ..server.spec() }).await.unwrap_err().reason()
}

#[tokio::test]
async fn the_tls_settings_of_a_source_are_used() {
    let server = Server::start(|_, _| page(None, &[])).await;
    let url = server.url.replace("http://", "https://").parse().unwrap();
    let tls = TlsSettings { ca_bundle: Some("env:REPLICANTE_NO_SUCH_CA".into()), client_certificate: None };
    let reason = fetch(HttpSource { url, tls, ..server.spec() }).await.unwrap_err().reason();
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
    let answer = fetch(HttpSource { body, ..server.spec() }).await.unwrap();
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
    let spec = HttpSource { method: HttpMethod::Get, ..server.spec() };
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
        HttpSource { headers: headers.into(), ..server.spec() }
    };
    // Cargo sets this one for every test.
    fetch(with("env:CARGO_PKG_NAME")).await.unwrap();
    assert_eq!(server.asked.lock().unwrap()[0].authorization.as_deref(), Some("replicante-sources"));
    for (reference, problem) in
        [("env:REPLICANTE_NO_SUCH_THING", "is not set"), ("ssm:/token", "is not supported yet")]
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
    let error = fetch(server.spec()).await.unwrap_err();
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
        assert_eq!(fetch(server.spec()).await, Ok(SourceAnswer::default()), "{right}");
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
    let endless = fetch(HttpSource { limits: limits.clone(), ..server.spec() }).await.unwrap_err();
    assert_eq!(endless.reason(), "more than 5 pages, the limit `pages`");
    assert_eq!(server.bodies().len(), 5);
    let server = Server::start(|number, _| page((number < 4).then_some(&number.to_string()), &[])).await;
    assert!(fetch(HttpSource { limits, ..server.spec() }).await.is_ok());
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
    let error = fetch(HttpSource { limits, ..server.spec() }).await.unwrap_err();
    assert_eq!(error.reason(), "more than 3 records of clusters, the limit `clusters`");
    let server = Server::start(|_, _| {
        let nodes = json!({ "clusters": [{ "cluster_id": "a", "nodes": ["http://a", "http://b"] }] });
        reply(200, "application/json", nodes.to_string())
    })
    .await;
    let limits = Limits { nodes: 1, ..Limits::default() };
    let error = fetch(HttpSource { limits, ..server.spec() }).await.unwrap_err();
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
    let answer = fetch(server.spec()).await.unwrap();
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
    let error = fetch(HttpSource { timeout, ..server.spec() }).await.unwrap_err();
    assert_eq!(error.reason(), "timeout after 50 ms");
}

#[tokio::test]
async fn a_source_that_is_down_is_shown_with_what_was_tried_and_the_way_out_but_not_its_query() {
    let server = Server::start(|_, _| None).await;
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let mut spec = server.spec();
    spec.url.set_port(Some(free.port())).unwrap();
    let error = fetch(spec).await.unwrap_err();
    assert_eq!(error.reason(), "connection refused");
    assert_eq!(
        error.to_string(),
        format!(
            "POST http://127.0.0.1:{}/clusters, page 1: connection refused; check that the source runs and that the \
             discovery's `url` is right",
            free.port()
        )
    );
}

#[tokio::test]
async fn the_address_policy_holds_for_sources() {
    let server = Server::start(|_, _| page(None, &[])).await;
    let strict = Arc::new(Outbound::new(AddressPolicy::default()));
    let error = Http::new(server.spec(), strict).fetch().await.unwrap_err();
    assert_eq!(error.reason(), "address is loopback, which is not allowed");
    assert!(server.bodies().is_empty());
}

#[tokio::test]
async fn a_source_is_opened_by_its_settings() {
    let server = Server::start(|_, _| page(None, &["a"])).await;
    let outbound = Arc::new(Outbound::new(AddressPolicy::local()));
    let source = crate::open(&replicante_objects::SourceSpec::Http(server.spec()), &outbound);
    assert_eq!(source.fetch().await.unwrap().clusters.len(), 1);
}
