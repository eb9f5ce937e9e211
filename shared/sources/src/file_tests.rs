use http_body_util::Full;
use hyper::Response;
use hyper::body::Bytes;
use replicante_s3::Objects;

use super::*;
use crate::test_server::{Server, outside, reply};

async fn fetch(name: &str, content: &[u8]) -> Result<SourceAnswer, SourceError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, content).unwrap();
    let limits = Limits { bytes: 1000, ..Limits::default() };
    File { path: path.display().to_string(), limits }.fetch(&outside()).await
}

async fn reason(name: &str, content: &[u8]) -> String {
    fetch(name, content).await.unwrap_err().reason()
}

#[tokio::test]
async fn a_file_is_json_or_yaml_in_the_form_of_http() {
    let json = br#"{"cursor": null, "clusters": [{"cluster_id": "a", "nodes": [
        {"agent_address": "http://a:1/", "labels": {"rack": "r1"}}]}]}"#;
    let yaml = b"# the fleet\nclusters:\n  - cluster_id: a\n    nodes:\n      - agent_address: http://a:1/\n        \
        labels: { rack: r1, unit: 5 }\n";
    let expected = fetch("fleet.json", json).await.unwrap();
    assert_eq!(expected.clusters["a"].nodes["http://a:1"], "http://a:1");
    assert_eq!(expected.clusters["a"].labels["http://a:1"], [("rack".into(), "r1".into())].into());
    for (name, content) in [("fleet.yaml", &yaml[..]), ("fleet.yml", yaml), ("fleet", yaml), ("fleet", json)]
    {
        assert_eq!(fetch(name, content).await.as_ref(), Ok(&expected), "{name}");
    }
}

#[tokio::test]
async fn a_file_that_is_no_whole_list_fails() {
    for (name, content, expected) in [
        ("a.json", "{}", "the answer has no clusters: expected a list, which may be empty"),
        ("a.yaml", "", "the answer is null: expected an object"),
        ("a.json", "clusters: []", "malformed JSON"),
        ("a.yaml", "clusters: [", "malformed YAML"),
        ("a.yaml", "clusters: []\n---\nclusters: []\n", "malformed YAML"),
        (
            "a.yaml",
            "clusters: []\ncursor: more\n",
            "the answer has a cursor, but only POST asks for further pages",
        ),
    ] {
        assert_eq!(reason(name, content.as_bytes()).await, expected, "{content}");
    }
    assert_eq!(reason("a.yaml", b"clusters: [\xff]").await, "malformed YAML");
    assert_eq!(reason("a.yaml", &[b' '; 1001]).await, "more than 1000 bytes, the limit `bytes`");
}

#[tokio::test]
async fn what_is_no_readable_file_fails_with_what_was_tried_and_the_way_out() {
    let fetch = async |path: &str| {
        File { path: path.into(), limits: Limits::default() }.fetch(&outside()).await.unwrap_err()
    };
    let error = fetch("/no/such/file.yaml").await;
    assert_eq!(error.reason(), "the file can't be read: entity not found");
    assert_eq!(
        error.to_string(),
        "read /no/such/file.yaml: the file can't be read: entity not found; check the discovery's `path`, and that the \
         process may read it"
    );
    assert_eq!(fetch("/").await.reason(), "the file can't be read: it is no regular file");
    assert_eq!(fetch("/dev/zero").await.reason(), "the file can't be read: it is no regular file");
}

const LIST: &str = r#"{"clusters": [{"cluster_id": "a", "nodes": ["http://a:1/"]}]}"#;

/// Asks a server for an object of at most 1000 bytes.
async fn object(key: &str, server: &Server) -> Result<SourceAnswer, SourceError> {
    let objects = Objects::at(server.url.split("/clusters").next().unwrap());
    let limits = Limits { bytes: 1000, ..Limits::default() };
    File { path: format!("s3://inventory/{key}"), limits }.fetch(&Outside { objects, ..outside() }).await
}

#[tokio::test]
async fn an_object_of_s3_is_read_like_a_file() {
    let server = Server::start(|_, _| reply(200, "binary/octet-stream", LIST)).await;
    for key in ["fleet.json", "a/b c/fleet.yaml", "fleet"] {
        assert_eq!(object(key, &server).await.unwrap().clusters["a"].nodes.len(), 1, "{key}");
    }
    let asked: Vec<String> = server.asked.lock().unwrap().iter().map(|asked| asked.target.clone()).collect();
    let paths: Vec<&str> = asked.iter().map(|target| target.split('?').next().unwrap()).collect();
    assert_eq!(paths, ["/inventory/fleet.json", "/inventory/a/b%20c/fleet.yaml", "/inventory/fleet"]);
}

#[tokio::test]
async fn an_object_that_is_no_list_is_too_large_or_may_not_be_read_fails_with_the_way_out() {
    let server = Server::start(|_, _| reply(200, "application/json", "<html></html>")).await;
    assert_eq!(object("a.json", &server).await.unwrap_err().reason(), "malformed JSON");
    // With a length, and without one.
    for announced in [true, false] {
        let server = Server::start(move |_, _| {
            let body = Full::new(Bytes::from(vec![b' '; 1001]));
            let response = Response::builder();
            let response = if announced { response } else { response.header("transfer-encoding", "chunked") };
            Some(response.body(body).unwrap())
        })
        .await;
        let error = object("a.json", &server).await.unwrap_err();
        assert_eq!(error.reason(), "the object is larger than 1000 bytes", "{announced}");
        assert!(error.to_string().ends_with("raise `limits.bytes`"), "{error}");
    }
    let server = Server::start(|_, _| {
        let denied = "<?xml version=\"1.0\"?><Error><Code>AccessDenied</Code><Message>no</Message></Error>";
        reply(403, "application/xml", denied)
    })
    .await;
    let error = object("a.json", &server).await.unwrap_err();
    assert_eq!(error.reason(), "S3 answered AccessDenied");
    assert!(
        error.to_string().contains("s3://inventory/a.json") && error.to_string().contains("SourceBucket"),
        "{error}"
    );
}

#[tokio::test]
async fn where_no_s3_answers_the_reason_names_no_address() {
    let mut server = Server::start(|_, _| None).await;
    let free = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    server.url = format!("http://{free}/clusters");
    let error = object("a.json", &server).await.unwrap_err();
    assert!(error.reason().starts_with("S3 could not be asked: "), "{error}");
    assert!(!error.reason().contains("127.0.0.1"), "{error}");
}
