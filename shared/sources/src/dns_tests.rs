use std::sync::{Arc, Mutex};

use insta::assert_snapshot;
use proptest::prelude::*;
use replicante_model::observation::MAX_REASON;
use replicante_objects::SourceSpec;
use replicante_outbound::{AddressPolicy, Outbound};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;
use crate::normalise;
use crate::test_server::outside;

/// What comes before the first name of a message.
const HEADER: usize = 12;
const CNAME: u8 = 5;
const SRV: u8 = 33;

/// A name server that answers a question, whose name it is given, as `answer` says, over TCP. `None` never answers.
struct NameServer {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
}

impl NameServer {
    async fn start(answer: impl Fn(&str, &[u8]) -> Option<Vec<u8>> + Send + Sync + 'static) -> NameServer {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&asked);
        tokio::spawn(async move {
            let mut hanging = Vec::new();
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut question = vec![0; usize::from(stream.read_u16().await.unwrap())];
                stream.read_exact(&mut question).await.unwrap();
                let name = asked_name(&question);
                log.lock().unwrap().push(name.clone());
                match answer(&name, &question) {
                    Some(message) => {
                        stream.write_u16(message.len().try_into().unwrap()).await.unwrap();
                        let _ = stream.write_all(&message).await;
                    }
                    None => hanging.push(stream),
                }
            }
        });
        NameServer { address, asked }
    }

    /// The source of one cluster, `a`, with more settings.
    fn source(&self, more: Value) -> Box<dyn Source> {
        let mut settings = json!({
            "clusters": { "a": "_agent._tcp.a.example.com" },
            "server": self.address, "timeout": 5000, "scheme": "http",
        });
        settings.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        crate::open(&SourceSpec { kind: "dns".into(), settings }).unwrap()
    }

    /// A server's address in an error, as one that stays the same.
    fn hidden(&self, error: &SourceError) -> String {
        error.to_string().replace(&self.address.to_string(), "10.0.0.2:53")
    }
}

fn asked_name(question: &[u8]) -> String {
    let (mut labels, mut at) = (Vec::new(), HEADER);
    while question[at] != 0 {
        let end = at + 1 + usize::from(question[at]);
        labels.push(String::from_utf8(question[at + 1..end].to_vec()).unwrap());
        at = end;
    }
    labels.join(".")
}

/// A name as messages hold it. The empty one is the root.
fn name(text: &str) -> Vec<u8> {
    let labels = text.split('.').filter(|label| !label.is_empty());
    let mut bytes: Vec<u8> =
        labels.flat_map(|label| [&[label.len() as u8], label.as_bytes()].concat()).collect();
    bytes.push(0);
    bytes
}

fn record(owner: &str, kind: u8, data: &[u8]) -> Vec<u8> {
    // Class IN, a minute to live, and the length.
    let head = [0, kind, 0, 1, 0, 0, 0, 60, 0, data.len() as u8];
    [&name(owner), &head[..], data].concat()
}

fn srv(owner: &str, target: &str, port: u16) -> Vec<u8> {
    // Priority and weight.
    let head = [0, 1, 0, 2];
    record(owner, SRV, &[&head, &port.to_be_bytes()[..], &name(target)].concat())
}

/// An answer to the question: a code, and records.
fn reply(question: &[u8], code: u8, records: &[Vec<u8>]) -> Option<Vec<u8>> {
    let [high, low] = (records.len() as u16).to_be_bytes();
    // An answer to what was asked with recursion, from one that has it.
    let head = [question[0], question[1], 0x81, 0x80 | code, 0, 1, high, low, 0, 0, 0, 0];
    Some([&head, &question[HEADER..], &records.concat()].concat())
}

async fn found(source: &dyn Source) -> SourceAnswer {
    source.fetch(&outside()).await.unwrap()
}

async fn failed(source: &dyn Source) -> SourceError {
    source.fetch(&outside()).await.unwrap_err()
}

/// A server with as many records for each name as its second label says.
async fn fleet() -> NameServer {
    NameServer::start(|name, question| {
        let count = name.split('.').nth(1).unwrap().parse().unwrap();
        let records: Vec<_> =
            (1..=count).map(|node| srv(name, &format!("node-{node}.{name}"), 8000 + node)).collect();
        reply(question, 0, &records)
    })
    .await
}

#[tokio::test]
async fn each_name_is_a_cluster_and_each_record_a_node() {
    let server = fleet().await;
    let clusters = json!({ "zk-main": "zk.3.example.com.", "kafka-a": "kafka.2.example.com" });
    let source = server.source(json!({ "clusters": clusters }));
    let answer = found(&*source).await;
    assert!(answer.rejected.is_empty() && answer.repeated.is_empty());
    let urls = |id: &str| {
        let record = &answer.clusters[id];
        assert!(record.display_name.is_none() && record.labels.is_empty());
        assert!(record.nodes.iter().all(|(id, url)| id == url));
        record.nodes.keys().cloned().collect::<Vec<_>>()
    };
    assert_eq!(answer.clusters.len(), 2);
    assert_eq!(
        urls("kafka-a"),
        ["http://node-1.kafka.2.example.com:8001", "http://node-2.kafka.2.example.com:8002"]
    );
    assert_eq!(urls("zk-main").len(), 3);
    // One by one, in the order of the ids.
    assert_eq!(*server.asked.lock().unwrap(), ["kafka.2.example.com", "zk.3.example.com"]);
    assert_eq!(
        source.shown(),
        format!("SRV records of kafka.2.example.com, zk.3.example.com. from {}", server.address)
    );
}

#[tokio::test]
async fn scheme_and_prefix_make_the_url_and_the_same_target_twice_is_one_node() {
    let server = NameServer::start(|name, question| {
        reply(question, 0, &[srv(name, "Node.Example.COM", 443), srv(name, "node.example.com", 443)])
    })
    .await;
    let answer = found(&*server.source(json!({ "scheme": "https", "path_prefix": "/agent" }))).await;
    let nodes = &answer.clusters["a"].nodes;
    assert_eq!(nodes.keys().collect::<Vec<_>>(), ["https://node.example.com/agent"]);
}

#[tokio::test]
async fn an_alias_is_followed() {
    let server = NameServer::start(|name, question| {
        reply(question, 0, &[record(name, CNAME, &self::name("b.example")), srv("b.example", "node", 80)])
    })
    .await;
    assert!(found(&*server.source(json!({}))).await.clusters["a"].nodes.contains_key("http://node"));
}

#[tokio::test]
async fn a_name_that_has_decidedly_no_service_is_a_cluster_without_nodes() {
    let server = NameServer::start(|name, question| reply(question, 0, &[srv(name, "", 0)])).await;
    let answer = found(&*server.source(json!({}))).await;
    assert!(answer.clusters["a"].nodes.is_empty() && answer.rejected.is_empty());
}

/// Reason and error where the second of three lookups, that of cluster `b`, gets an answer.
async fn seen(answer: impl Fn(&[u8]) -> Option<Vec<u8>> + Send + Sync + 'static) -> (String, String) {
    let server = NameServer::start(move |name, question| match name {
        "b.example" => answer(question),
        name => reply(question, 0, &[srv(name, "node", 1)]),
    })
    .await;
    let clusters = json!({ "a": "a.example", "b": "b.example", "c": "c.example" });
    let error = failed(&*server.source(json!({ "clusters": clusters, "timeout": 1000 }))).await;
    assert_eq!(*server.asked.lock().unwrap(), ["a.example", "b.example"], "and no second try");
    (error.reason(), server.hidden(&error))
}

#[tokio::test]
async fn one_lookup_that_fails_fails_the_whole_and_says_which() {
    assert_snapshot!(seen(|question| reply(question, 3, &[])).await.1, @"SRV records of b.example from 10.0.0.2:53: no such name (cluster `b`); check the name in the discovery's `clusters`, and that the name server (`server`) knows it");
    assert_snapshot!(seen(|question| reply(question, 0, &[])).await.1, @"SRV records of b.example from 10.0.0.2:53: the name has no SRV records (cluster `b`); check the name in the discovery's `clusters`, and that the name server (`server`) knows it");
    assert_snapshot!(seen(|question| reply(question, 5, &[])).await.1, @"SRV records of b.example from 10.0.0.2:53: the name server answered REFUSED (cluster `b`); look into the name server's log, or give the discovery another `server`");
    assert_snapshot!(seen(|question| reply(question, 2, &[])).await.1, @"SRV records of b.example from 10.0.0.2:53: the name server answered SERVFAIL (cluster `b`); look into the name server's log, or give the discovery another `server`");
    assert_snapshot!(seen(|_| None).await.1, @"SRV records of b.example from 10.0.0.2:53: timeout after 1 s; check that the name server answers over TCP, or raise the discovery's `timeout`");
    assert_snapshot!(seen(|_| Some(b"HTTP/1.1 400 Bad Request".to_vec())).await.1, @"SRV records of b.example from 10.0.0.2:53: answer is not DNS (cluster `b`); check that the discovery's `server` is a name server, and what it answers");
    assert_snapshot!(seen(|_| Some(Vec::new())).await.1, @"SRV records of b.example from 10.0.0.2:53: answer is not DNS (cluster `b`); check that the discovery's `server` is a name server, and what it answers");
    let cut = |question: &[u8]| {
        let mut message = reply(question, 0, &[]).unwrap();
        message[2] |= 2;
        Some(message)
    };
    assert_snapshot!(seen(cut).await.1, @"SRV records of b.example from 10.0.0.2:53: more records than an answer of DNS holds (cluster `b`); leave fewer SRV records at the name that the discovery's `clusters` gives");
    assert_snapshot!(seen(|question| reply(question, 0, &[srv("b.example", "a@b", 1)])).await.1, @"SRV records of b.example from 10.0.0.2:53: a target is no host name (cluster `b`); correct the SRV records at the name that the discovery's `clusters` gives");
}

#[tokio::test]
async fn the_reason_names_the_cluster_whose_records_are_wrong_and_no_server() {
    assert_eq!(seen(|question| reply(question, 3, &[])).await.0, "no such name (cluster `b`)");
    assert_eq!(seen(|_| None).await.0, "timeout after 1 s");
    // An id may hold anything: the reason is one line, and what is wrong comes before what may be cut.
    let server = NameServer::start(|_, question| reply(question, 3, &[])).await;
    let clusters = json!({ "\n".repeat(50): "a.example" });
    let reason = failed(&*server.source(json!({ "clusters": clusters }))).await.reason();
    assert!(reason.starts_with(r"no such name (cluster `\n\n") && !reason.contains('\n'), "{reason}");
    assert!(reason.len() <= MAX_REASON);
}

#[tokio::test]
async fn where_nothing_listens_or_the_connection_ends_the_server_is_what_is_wrong() {
    let mut server = fleet().await;
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    server.address = free;
    assert_snapshot!(server.hidden(&failed(&*server.source(json!({}))).await), @"SRV records of _agent._tcp.a.example.com from 10.0.0.2:53: connection refused; check that the name server answers over TCP and that the discovery's `server` is right");
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    server.address = listener.local_addr().unwrap();
    tokio::spawn(async move { while listener.accept().await.is_ok() {} });
    let error = failed(&*server.source(json!({}))).await;
    assert_eq!(error.reason(), "connection closed before the answer was complete");
}

#[tokio::test]
async fn the_address_policy_holds_for_the_server_before_anything_is_sent() {
    let server = fleet().await;
    let strict = Outside { outbound: Arc::new(Outbound::new(AddressPolicy::default())), ..outside() };
    let error = server.source(json!({})).fetch(&strict).await.unwrap_err();
    assert_snapshot!(server.hidden(&error), @"SRV records of _agent._tcp.a.example.com from 10.0.0.2:53: address is loopback, which is not allowed; allow its network and port in the deployment's address policy, if it should be reachable");
    assert!(server.asked.lock().unwrap().is_empty());
}

#[test]
fn what_is_wrong_with_names_and_servers_of_the_system_has_its_way_out() {
    let seen = |error: LookupError| {
        let failure = no_records("a", &error);
        SourceError { tried: "x".into(), form: FORM, failure }.to_string()
    };
    assert_snapshot!(seen(LookupError::NoServer), @"x: no name server is set in /etc/resolv.conf; set one there, or as the discovery's `server`");
    assert_snapshot!(seen(LookupError::BadName("a b".into())), @"x: `a b` is no DNS name (cluster `a`); check the name in the discovery's `clusters`, and that the name server (`server`) knows it");
    assert_snapshot!(seen(LookupError::Fetch(FetchError::Exhausted("too many open files"))), @"x: no connection could be opened: too many open files; look into what else this process has open");
}

#[tokio::test]
async fn limits_are_used_and_what_is_asked_too_much_is_named() {
    let server = fleet().await;
    let clusters = json!({ "a": "a.2.example", "b": "b.3.example" });
    let with = |limits: Value| server.source(json!({ "clusters": clusters, "limits": limits }));
    assert_eq!(found(&*with(json!({ "clusters": 2, "nodes": 3, "total_nodes": 5 }))).await.clusters.len(), 2);
    assert_snapshot!(server.hidden(&failed(&*with(json!({ "clusters": 1 }))).await), @"SRV records of b.3.example from 10.0.0.2:53: more than 1 records of clusters, the limit `clusters`; check what the source answers, or raise `limits.clusters`");
    assert_snapshot!(server.hidden(&failed(&*with(json!({ "nodes": 2 }))).await), @"SRV records of b.3.example from 10.0.0.2:53: more than 2 nodes in one cluster, the limit `nodes`; check what the source answers, or raise `limits.nodes`");
    assert_snapshot!(server.hidden(&failed(&*with(json!({ "total_nodes": 4 }))).await), @"SRV records of b.3.example from 10.0.0.2:53: more than 4 nodes in all clusters, the limit `total_nodes`; check what the source answers, or raise `limits.total_nodes`");
    // They count pages and bytes, of which there are none.
    found(&*with(json!({ "pages": 0, "bytes": 0, "total_bytes": 0 }))).await;
}

#[tokio::test]
async fn a_target_that_makes_no_url_sets_its_cluster_aside() {
    let server = NameServer::start(|name, question| {
        let (target, port) = match name {
            "port.example" => ("node", 0),
            "number.example" => ("256.256.256.256", 1),
            _ => ("node", 1),
        };
        reply(question, 0, &[srv(name, target, port), srv(name, "other", 1)])
    })
    .await;
    let clusters = json!({ "good": "good.example", "number": "number.example", "port": "port.example" });
    let answer = found(&*server.source(json!({ "clusters": clusters }))).await;
    assert_eq!(answer.clusters.keys().collect::<Vec<_>>(), ["good"]);
    let rejected: Vec<String> =
        answer.rejected.iter().map(|record| format!("{}: {}", record.record, record.reason)).collect();
    assert_snapshot!(rejected.join("\n"), @r"
    number: the address `http://256.256.256.256:1` is no URL of an agent: expected http:// or https:// and a host
    port: the address `http://node:0` is no URL of an agent: expected http:// or https:// and a host
    ");
}

fn spec(settings: &Value) -> Dns {
    Dns::deserialize(settings).unwrap()
}

#[test]
fn what_is_stored_is_read_back_and_an_older_form_has_its_defaults() {
    let stored = json!({
        "clusters": { "a": "a.example" }, "server": "[fd00::2]:53", "timeout": 1500, "scheme": "https",
        "path_prefix": "/agent", "limits": Limits::default(),
    });
    assert_eq!(serde_json::to_value(spec(&stored)).unwrap(), stored);
    let limits = Limits::default();
    let least =
        json!({ "clusters": { "a": "a.example" }, "timeout": 5000, "scheme": "http", "limits": limits });
    let source = spec(&least);
    assert_eq!(serde_json::to_value(&source).unwrap(), least, "nothing is null");
    assert_eq!(source.shown(), "SRV records of a.example from the system's name servers");
    assert_eq!(spec(&json!({ "clusters": { "a": "a.example" }, "timeout": 5000, "later": true })), source);
}

/// Hosts, numbers that are near to addresses, and anything.
const TARGET: &str = "([a-z0-9_-]{1,4}\\.?){0,4}|[0-9a-fx.]{1,12}|\\PC{0,8}";

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_048))]

    #[test]
    fn no_target_makes_it_panic_and_what_it_gives_is_in_normal_form(
        targets in prop::collection::vec((TARGET, any::<u16>()), 0..5), prefix in "(/[a-z/]{0,9})?",
    ) {
        let source = spec(&json!({ "clusters": {}, "timeout": 1, "path_prefix": prefix }));
        let found: Vec<Srv> = targets.into_iter().map(|(target, port)| Srv { target, port }).collect();
        let mut collector = Collector::new(Limits::default());
        collector.add(source.record("a", &found)).unwrap();
        let answer = collector.finish();
        prop_assert_eq!(answer.clusters.len() + answer.rejected.len(), 1);
        for (id, address) in answer.clusters.values().flat_map(|record| &record.nodes) {
            prop_assert_eq!(&normalise(address).unwrap(), address);
            prop_assert_eq!(id, address);
        }
    }
}

proptest! {
    // Each goes over a connection.
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn no_answer_makes_it_panic(
        noise in any::<Vec<u8>>(), near in any::<bool>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..3),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let server = NameServer::start(move |name, question| {
                let mut message = if near {
                    let alias = record(name, CNAME, &self::name("b.example"));
                    reply(question, 0, &[alias, srv("b.example", "a", 1), srv("b.example", "b", 2)])?
                } else {
                    noise.clone()
                };
                for (index, byte) in &changes {
                    if !message.is_empty() {
                        let at = index.index(message.len());
                        message[at] = *byte;
                    }
                }
                Some(message)
            })
            .await;
            if let Err(error) = server.source(json!({})).fetch(&outside()).await {
                let reason = error.reason();
                assert!(reason.len() <= MAX_REASON && !reason.contains("127.0.0.1"), "{error}");
            }
        });
    }
}
