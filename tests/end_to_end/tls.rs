//! Sources and agents that demand TLS of both sides, and what each says of the other's certificate.

use hyper::Version;
use replicante_model::RecordName;
use replicante_model::discovery::DiscoveryState;
use replicante_model::view::{ClusterView, NodeStatus};
use replicante_protocol::task::Task;
use replicante_tests::System;
use serde_json::json;

use crate::tls_server::{Terms, TlsServer, pki};

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

/// The mapping `tls` of an object.
fn tls(client: Option<&str>) -> String {
    let client = client.map(|file| format!(", client_certificate: \"file:{}\"", pki(file)));
    format!("tls: {{ ca_bundle: \"file:{}\"{} }}", pki("ca.pem"), client.unwrap_or_default())
}

/// Applies a discovery of this source, and runs it. Why it fails, if it does, as it is stored.
async fn discover(system: &System, name: &str, source: &str, agents: &str) -> Option<String> {
    let yaml = format!(
        "apiVersion: replicante.io/v0\nkind: Discovery\nmetadata: {{ name: {name} }}\nspec:\n  interval: 5s\n  \
         source: {{ {source} }}\n  agents: {{ {agents} }}\n"
    );
    system.apply(&yaml).await.unwrap();
    let record = RecordName::discovery("default", name);
    let task = Task::manual(record.clone(), "test");
    assert!(system.run_discovery(task).await.batch_item_failures.is_empty());
    let (_, state) = system.table.look::<DiscoveryState>(&record).await.unwrap().unwrap();
    state.unwrap().failing.map(|failing| failing.reason)
}

/// Discovers a cluster of these agents from a file, and refreshes it.
async fn refresh(system: &System, cluster: &str, nodes: &[&TlsServer], tls: &str) -> ClusterView {
    let file = tempfile::NamedTempFile::with_suffix(".json").unwrap();
    let nodes = nodes.iter().enumerate();
    let nodes =
        nodes.map(|(n, server)| json!({ "node_id": format!("n{n}"), "agent_address": server.url("") }));
    let record = json!({ "cluster_id": cluster, "nodes": nodes.collect::<Vec<_>>() });
    std::fs::write(file.path(), json!({ "clusters": [record] }).to_string()).unwrap();
    let source = format!("file: {{ path: \"{}\" }}", file.path().display());
    assert_eq!(discover(system, &format!("of-{cluster}"), &source, tls).await, None);
    system.refresh(cluster).await;
    system.view(cluster).await.unwrap()
}

// On one thread: with several, the HTTP client sometimes opens a connection of HTTP/1.1 too many, when the next request
// comes before it has taken the last one's back.
#[tokio::test]
async fn a_fleet_behind_mutual_tls_is_polled_over_one_connection_a_node_and_http_2_where_offered() {
    let system = System::start().await.unwrap();
    let offered: [(&[_], _); 4] = [
        (&["h2", "http/1.1"], Version::HTTP_2),
        (&["h2"], Version::HTTP_2),
        (&["http/1.1"], Version::HTTP_11),
        (&[], Version::HTTP_11),
    ];
    let mut servers = Vec::new();
    for (protocols, _) in offered {
        let terms = Terms { wants_client: true, protocols, ..Terms::default() };
        servers.push(TlsServer::start(terms, answer));
    }
    let tls = tls(Some("client.pem"));
    let source = format!("http: {{ url: \"{}\", method: GET, {tls} }}", servers[0].url("/clusters"));
    assert_eq!(discover(&system, "secured", &source, "").await, None);
    assert_eq!(servers[0].take_seen().requests, [(Version::HTTP_2, "/clusters".to_owned())]);

    let view = refresh(&system, "c", &servers.iter().collect::<Vec<_>>(), &tls).await;
    assert!(view.nodes.values().all(|node| node.status == NodeStatus::Up));
    for (server, (_, version)) in servers.iter().zip(offered) {
        let seen = server.take_seen();
        assert_eq!((seen.handshakes, seen.requests.len()), (1, 4), "{version:?}");
        assert!(seen.requests.iter().all(|(spoken, _)| *spoken == version), "{:?}", seen.requests);
    }
}

#[tokio::test]
async fn whatever_is_wrong_with_a_certificate_has_one_reason_for_sources_and_agents() {
    let of_client = |file: &str, problem: &str| format!("client_certificate: file:{} {problem}", pki(file));
    let mismatch = of_client("client-mismatch.pem", "holds a private key that is not its certificate's");
    let absent = of_client("absent.pem", "can't be read: entity not found");
    let stray = "TLS: client certificate from an authority that the peer does not trust";
    let cases = [
        ("expired.pem", Some("client.pem"), "TLS: certificate expired"),
        ("early.pem", Some("client.pem"), "TLS: certificate not yet valid"),
        ("elsewhere.pem", Some("client.pem"), "TLS: certificate for another name"),
        ("stray.pem", Some("client.pem"), "TLS: certificate from an unknown authority"),
        ("self-signed.pem", Some("client.pem"), "TLS: certificate from an unknown authority"),
        ("self-signed-ca.pem", None, "TLS: certificate is an authority's own, not a server's"),
        ("server.pem", None, "TLS: client certificate missing"),
        ("server.pem", Some("client-expired.pem"), "TLS: client certificate expired or not yet valid"),
        ("server.pem", Some("client-stray.pem"), stray),
        ("server.pem", Some("client-mismatch.pem"), &mismatch),
        ("server.pem", Some("absent.pem"), &absent),
    ];
    let system = System::start().await.unwrap();
    for (n, (certificate, client, expected)) in cases.iter().enumerate() {
        let terms = Terms { certificate, wants_client: true, ..Terms::default() };
        let server = TlsServer::start(terms, answer);
        let tls = tls(*client);
        let source = format!("http: {{ url: \"{}\", method: GET, {tls} }}", server.url("/clusters"));
        for _ in 0..2 {
            let failing = discover(&system, &format!("secured-{n}"), &source, "").await;
            assert_eq!(failing.as_deref(), Some(*expected));
            let view = refresh(&system, &format!("c{n}"), &[&server], &tls).await;
            let status = &view.nodes["n0"].status;
            assert_eq!((status.as_str(), status.reason()), ("agent_down", Some(*expected)));
        }
        assert!(server.take_seen().requests.is_empty(), "{expected}");
    }
    let checked = system.check().await.unwrap();
    for n in 0..cases.len() {
        assert_eq!(checked.told(&format!("discovery/default/secured-{n}")), ["discovery.failed"]);
        let told = checked.told(&format!("cluster/default/c{n}"));
        let downs = told.iter().filter(|told| told.starts_with("agent.down")).count();
        assert_eq!(downs, 1, "the same failure is the same state: {told:?}");
    }
}
