//! Parameters of Systems Manager in the place of secrets: of headers and of TLS material, of sources and of agents.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use replicante_aws::Account;
use replicante_model::RecordName;
use replicante_model::discovery::DiscoveryState;
use replicante_model::view::NodeStatus;
use replicante_protocol::task::Task;
use replicante_tests::System;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::time::{Instant, sleep};

use crate::fake_ssm::{Fake, Said};
use crate::tls_server::{Terms, TlsServer, pki};

const TOKEN: &str = "/replicante/token";

/// A system whose workers read the parameters of `fake`, and keep them for so long.
async fn system(fake: &Fake, age: Duration) -> System {
    let mut system = System::start().await.unwrap();
    system.local.clients = system.local.clients.clone().with_account(Account::at(&fake.url));
    system.local.settings.secrets_age = age;
    system.restart_workers();
    system
}

/// A source of no clusters. Its URL, and the header `authorization` of each request.
async fn source() -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/clusters", listener.local_addr().unwrap());
    let seen = Arc::new(Mutex::new(Vec::new()));
    let all = Arc::clone(&seen);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let all = Arc::clone(&all);
            let service = service_fn(move |request: Request<Incoming>| {
                let header = request.headers().get("authorization");
                all.lock().unwrap().push(header.unwrap().to_str().unwrap().to_owned());
                let body = Full::new(Bytes::from(r#"{"cursor":null,"clusters":[]}"#));
                let response = Response::builder().header("content-type", "application/json");
                async { Ok::<_, Infallible>(response.body(body).unwrap()) }
            });
            tokio::spawn(async move {
                let builder = auto::Builder::new(TokioExecutor::new());
                let _ = builder.serve_connection(TokioIo::new(stream), service).await;
            });
        }
    });
    (url, seen)
}

/// Applies a discovery of this source, and runs it. Why it fails, if it does, as it is stored.
async fn discover(system: &System, source: &str, agents: &str) -> Option<String> {
    let yaml = format!(
        "apiVersion: replicante.io/v0\nkind: Discovery\nmetadata: {{ name: fleet }}\nspec:\n  interval: 5s\n  \
         source: {{ {source} }}\n  agents: {{ {agents} }}\n"
    );
    system.apply(&yaml).await.unwrap();
    let record = RecordName::discovery("default", "fleet");
    assert!(system.run_discovery(Task::manual(record.clone(), "test")).await.batch_item_failures.is_empty());
    let (_, state) = system.table.look::<DiscoveryState>(&record).await.unwrap().unwrap();
    state.unwrap().failing.map(|failing| failing.reason)
}

fn with_token(url: &str) -> String {
    format!("http: {{ url: \"{url}\", headers: {{ authorization: \"ssm:{TOKEN}\" }} }}")
}

#[tokio::test]
async fn a_header_is_read_when_it_is_needed_kept_for_its_time_and_read_again() {
    let (fake, (url, seen)) = (Fake::start().await, source().await);
    let source = with_token(&url);
    let mut system = system(&fake, Duration::from_secs(3600)).await;
    assert_eq!(fake.asked(TOKEN), 0);
    for value in ["Bearer first\n", "Bearer second", "Bearer third"] {
        fake.say(TOKEN, Said::Value(value.into()));
        assert_eq!(discover(&system, &source, "").await, None);
    }
    assert_eq!((fake.asked(TOKEN), &*seen.lock().unwrap()), (1, &vec!["Bearer first".to_owned(); 3]));

    system.local.settings.secrets_age = Duration::from_secs(1);
    system.restart_workers();
    let end = Instant::now() + Duration::from_secs(30);
    for value in ["Bearer fourth", "Bearer fifth"] {
        fake.say(TOKEN, Said::Value(value.into()));
        loop {
            assert_eq!(discover(&system, &source, "").await, None);
            if seen.lock().unwrap().last().is_some_and(|last| last == value) {
                break;
            }
            assert!(Instant::now() < end, "{value}: not within 30 s");
            sleep(Duration::from_millis(20)).await;
        }
    }
}

#[tokio::test]
async fn a_parameter_that_cannot_be_read_is_named_with_its_reason_and_nothing_is_sent() {
    let denied = "access denied: the role needs ssm:GetParameter on it, and leave to decrypt with its key";
    let cases = [
        (None, "no such parameter in this account and region"),
        (Some(Said::Error(400, "AccessDeniedException")), denied),
        (Some(Said::Error(400, "ThrottlingException")), "Systems Manager throttles"),
    ];
    println!("| of | reason |\n| --- | --- |");
    for (said, problem) in cases {
        let (fake, (url, seen)) = (Fake::start().await, source().await);
        let system = system(&fake, Duration::from_secs(300)).await;
        if let Some(said) = said {
            fake.say(TOKEN, said);
        }
        let reason = discover(&system, &with_token(&url), "").await.unwrap();
        println!("| a source | {reason} |");
        assert_eq!(reason, format!("header authorization: ssm:{TOKEN} can't be read: {problem}"));
        assert!(seen.lock().unwrap().is_empty());

        let agent = TlsServer::start(Terms::default(), |_| (404, String::new()));
        let agents = format!("tls: {{ client_certificate: \"ssm:{TOKEN}\" }}");
        let (_file, source) = of_nodes(&[&agent]);
        assert_eq!(discover(&system, &source, &agents).await, None);
        system.refresh("c").await;
        let view = system.view("c").await.unwrap();
        let status = &view.nodes["n0"].status;
        let reason = status.reason().unwrap();
        println!("| an agent | {reason} |");
        assert_eq!(reason, format!("client_certificate: ssm:{TOKEN} can't be read: {problem}"));
        assert_eq!((status.as_str(), agent.take_seen().handshakes), ("agent_down", 0));
    }
}

#[tokio::test]
async fn the_refresh_worker_reads_a_parameter_again_after_its_time() {
    let fake = Fake::start().await;
    let pem = std::fs::read_to_string(pki("client.pem")).unwrap();
    fake.say(TOKEN, Said::Value(pem));
    let mut system = system(&fake, Duration::from_secs(3600)).await;
    let agent = TlsServer::start(Terms { wants_client: true, ..Terms::default() }, answer);
    let (_file, source) = of_nodes(&[&agent]);
    let ca = pki("ca.pem");
    let tls = format!("tls: {{ ca_bundle: \"file:{ca}\", client_certificate: \"ssm:{TOKEN}\" }}");
    assert_eq!(discover(&system, &source, &tls).await, None);
    for _ in 0..3 {
        system.refresh("c").await;
    }
    assert_eq!(system.view("c").await.unwrap().nodes["n0"].status, NodeStatus::Up);
    assert_eq!(fake.asked(TOKEN), 1);

    system.local.settings.secrets_age = Duration::from_secs(1);
    system.restart_workers();
    let end = Instant::now() + Duration::from_secs(30);
    while fake.asked(TOKEN) < 3 {
        system.refresh("c").await;
        assert!(Instant::now() < end, "not read again within 30 s");
        sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(system.view("c").await.unwrap().nodes["n0"].status, NodeStatus::Up);
}

/// A file that names these agents as the nodes of a cluster, and the source that reads it.
fn of_nodes(nodes: &[&TlsServer]) -> (tempfile::NamedTempFile, String) {
    let file = tempfile::NamedTempFile::with_suffix(".json").unwrap();
    let nodes = nodes.iter().enumerate();
    let nodes =
        nodes.map(|(n, server)| json!({ "node_id": format!("n{n}"), "agent_address": server.url("") }));
    let record = json!({ "cluster_id": "c", "nodes": nodes.collect::<Vec<_>>() });
    std::fs::write(file.path(), json!({ "clusters": [record] }).to_string()).unwrap();
    let source = format!("file: {{ path: \"{}\" }}", file.path().display());
    (file, source)
}

/// Answers as a source of no clusters, and as an agent of the cluster `c`.
fn answer(path: &str) -> (u16, String) {
    let json = match path {
        "/clusters" => r#"{"cursor":null,"clusters":[]}"#,
        "/api/unstable/info/agent" => r#"{"version":{"number":"0.6.0"}}"#,
        "/api/unstable/info/datastore" => r#"{"cluster_id":"c","kind":"K","node_id":"n","version":"1"}"#,
        "/api/unstable/shards" => r#"{"shards":[]}"#,
        _ => return (404, String::new()),
    };
    (200, json.to_owned())
}

#[tokio::test]
async fn certificates_and_keys_are_parameters_read_once_for_all_that_need_them_and_stored_nowhere() {
    const KEY: &str = "/replicante/fleet/client";
    const AUTHORITY: &str = "/replicante/fleet/ca";
    let fake = Fake::start().await;
    let pem = |file: &str| std::fs::read_to_string(pki(file)).unwrap();
    fake.say(KEY, Said::Value(pem("client.pem")));
    fake.say(AUTHORITY, Said::Value(pem("ca.pem")));
    let system = system(&fake, Duration::from_secs(300)).await;
    let servers: Vec<TlsServer> =
        (0..8).map(|_| TlsServer::start(Terms { wants_client: true, ..Terms::default() }, answer)).collect();
    let tls = format!("tls: {{ ca_bundle: \"ssm:{AUTHORITY}\", client_certificate: \"ssm:{KEY}\" }}");
    let source = format!("http: {{ url: \"{}\", {tls} }}", servers[0].url("/clusters"));
    assert_eq!(discover(&system, &source, "").await, None);
    assert_eq!((fake.asked(KEY), fake.asked(AUTHORITY)), (1, 1));

    let (_file, source) = of_nodes(&servers.iter().collect::<Vec<_>>());
    assert_eq!(discover(&system, &source, &tls).await, None);
    for _ in 0..2 {
        system.refresh("c").await;
    }
    let view = system.view("c").await.unwrap();
    assert!(view.nodes.values().all(|node| node.status == NodeStatus::Up), "{view:?}");
    assert_eq!((fake.asked(KEY), fake.asked(AUTHORITY)), (2, 2), "each worker once");

    let checked = system.check().await.unwrap();
    let events = serde_json::to_string(&checked.events).unwrap();
    let state =
        format!("{:?} {:?}", system.state("c").await.unwrap(), system.discovery_state().await.unwrap());
    let material = pem("client.pem");
    for line in material.lines().filter(|line| line.len() > 8 && !line.starts_with("-----")) {
        assert!(!events.contains(line) && !state.contains(line));
    }
}
