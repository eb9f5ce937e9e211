use std::sync::{Arc, LazyLock};

use insta::assert_snapshot;
use proptest::prelude::*;
use replicante_model::observation::MAX_REASON;
use replicante_objects::SourceSpec;
use replicante_outbound::{AddressPolicy, Outbound};
use serde_json::{Value, json};

use super::*;
use crate::normalise;
use crate::test_server::outside;

#[path = "../../outbound/tests/name_server/mod.rs"]
mod name_server;

use name_server::{NameServer, RESPONSE, Reply, alias, framed, message, question, srv};

/// The name of cluster `a`, unless said otherwise.
const NAME: &str = "_agent._tcp.a.example.com";

/// The source of one cluster, `a`, with more settings.
fn source(server: SocketAddr, more: Value) -> Box<dyn Source> {
    let mut settings =
        json!({ "clusters": { "a": NAME }, "server": server, "timeout": 5000, "scheme": "http" });
    settings.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    crate::open(&SourceSpec { kind: "dns".into(), settings }).unwrap()
}

/// An error, with an address of the server that stays the same.
fn hidden(server: SocketAddr, error: &SourceError) -> String {
    error.to_string().replace(&server.to_string(), "10.0.0.2:53")
}

async fn found(source: &dyn Source) -> SourceAnswer {
    source.fetch(&outside()).await.unwrap()
}

async fn failed(source: &dyn Source) -> SourceError {
    source.fetch(&outside()).await.unwrap_err()
}

/// A server of these names, each with so many records.
fn fleet(names: &[(&str, u16)]) -> NameServer {
    let replies = names.iter().map(|(name, count)| {
        let targets = (1..=*count).map(|node| (format!("node-{node}.{name}"), 8000 + node));
        (*name, Reply::Targets(targets.collect()))
    });
    NameServer::start(&replies.collect::<Vec<_>>())
}

#[tokio::test]
async fn each_name_is_a_cluster_and_each_record_a_node() {
    let server = fleet(&[("zk.example.com", 3), ("kafka.example.com", 2)]);
    let clusters = json!({ "zk-main": "zk.example.com.", "kafka-a": "kafka.example.com" });
    let source = source(server.address, json!({ "clusters": clusters }));
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
        ["http://node-1.kafka.example.com:8001", "http://node-2.kafka.example.com:8002"]
    );
    assert_eq!(urls("zk-main").len(), 3);
    // One by one, in the order of the ids.
    assert_eq!(server.asked(), ["kafka.example.com", "zk.example.com"]);
    assert_eq!(
        source.shown(),
        format!("SRV records of kafka.example.com, zk.example.com. from {}", server.address)
    );
}

#[tokio::test]
async fn scheme_and_prefix_make_the_url_and_the_same_target_twice_is_one_node() {
    let server =
        NameServer::start(&[(NAME, Reply::targets(&[("Node.Example.COM", 443), ("node.example.com", 443)]))]);
    let settings = json!({ "scheme": "https", "path_prefix": "/agent" });
    let answer = found(&*source(server.address, settings)).await;
    let nodes = &answer.clusters["a"].nodes;
    assert_eq!(nodes.keys().collect::<Vec<_>>(), ["https://node.example.com/agent"]);
}

#[tokio::test]
async fn an_alias_is_followed() {
    let server = NameServer::start(&[(NAME, Reply::alias("b.example", &[("node", 80)]))]);
    let answer = found(&*source(server.address, json!({}))).await;
    assert!(answer.clusters["a"].nodes.contains_key("http://node"));
}

#[tokio::test]
async fn a_name_that_has_decidedly_no_service_is_a_cluster_without_nodes() {
    let server = NameServer::start(&[(NAME, Reply::targets(&[(".", 0)]))]);
    let answer = found(&*source(server.address, json!({}))).await;
    assert!(answer.clusters["a"].nodes.is_empty() && answer.rejected.is_empty());
}

/// Reason and error where the second of three lookups, that of cluster `b`, gets this reply.
async fn seen(reply: Reply) -> (String, String) {
    let timeout = if matches!(reply, Reply::Silence) { 1000 } else { 30_000 };
    let server = fleet(&[("a.example", 1), ("c.example", 1)]);
    server.set("b.example", reply);
    let clusters = json!({ "a": "a.example", "b": "b.example", "c": "c.example" });
    let error = failed(&*source(server.address, json!({ "clusters": clusters, "timeout": timeout }))).await;
    assert_eq!(server.asked(), ["a.example", "b.example"], "and no second try");
    (error.reason(), hidden(server.address, &error))
}

#[tokio::test]
async fn one_lookup_that_fails_fails_the_whole_and_says_which() {
    assert_snapshot!(seen(Reply::Error(3)).await.1, @"SRV records of b.example from 10.0.0.2:53: no such name (cluster `b`); check the name in the discovery's `clusters`, and that the name server knows it");
    assert_snapshot!(seen(Reply::targets(&[])).await.1, @"SRV records of b.example from 10.0.0.2:53: the name has no SRV records (cluster `b`); check the name in the discovery's `clusters`, and that the name server knows it");
    assert_snapshot!(seen(Reply::Error(5)).await.1, @"SRV records of b.example from 10.0.0.2:53: the name server answered REFUSED (cluster `b`); look into the name server's log, or give the discovery another `server`");
    assert_snapshot!(seen(Reply::Error(2)).await.1, @"SRV records of b.example from 10.0.0.2:53: the name server answered SERVFAIL (cluster `b`); look into the name server's log, or give the discovery another `server`");
    assert_snapshot!(seen(Reply::Silence).await.1, @"SRV records of b.example from 10.0.0.2:53: timeout after 1 s; check that the name server answers over TCP, or raise the discovery's `timeout`");
    assert_snapshot!(seen(Reply::Bytes(framed(b"HTTP/1.1 400 Bad Request"))).await.1, @"SRV records of b.example from 10.0.0.2:53: answer is not DNS; check that the discovery's `server` is a name server that answers over TCP");
    assert_snapshot!(seen(Reply::Bytes(framed(b""))).await.1, @"SRV records of b.example from 10.0.0.2:53: answer is not DNS; check that the discovery's `server` is a name server that answers over TCP");
    let cut = message(RESPONSE | 0x0200, &question("b.example", name_server::SRV), &[]);
    assert_snapshot!(seen(Reply::Bytes(framed(&cut))).await.1, @"SRV records of b.example from 10.0.0.2:53: more records than an answer of DNS holds (cluster `b`); leave fewer SRV records at the name that the discovery's `clusters` gives");
    assert_snapshot!(seen(Reply::targets(&[("a@b", 1)])).await.1, @"SRV records of b.example from 10.0.0.2:53: a target is no host name (cluster `b`); correct the SRV records at the name that the discovery's `clusters` gives");
}

#[tokio::test]
async fn the_reason_names_the_cluster_whose_records_are_wrong_and_no_server() {
    assert_eq!(seen(Reply::Error(3)).await.0, "no such name (cluster `b`)");
    assert_eq!(seen(Reply::Silence).await.0, "timeout after 1 s");
    // An id may hold anything: the reason is one line, and what is wrong comes before what may be cut.
    let server = NameServer::start(&[]);
    let clusters = json!({ "\n".repeat(50): "a.example" });
    let reason = failed(&*source(server.address, json!({ "clusters": clusters }))).await.reason();
    assert!(reason.starts_with(r"no such name (cluster `\n\n") && !reason.contains('\n'), "{reason}");
    assert!(reason.len() <= MAX_REASON);
}

#[tokio::test]
async fn where_nothing_listens_or_the_connection_ends_the_server_is_what_is_wrong() {
    let free = SocketAddr::from(([127, 0, 0, 1], 9));
    assert_snapshot!(hidden(free, &failed(&*source(free, json!({}))).await), @"SRV records of _agent._tcp.a.example.com from 10.0.0.2:53: connection refused; check that the discovery's `server` is a name server that answers over TCP");
    let server = NameServer::start(&[(NAME, Reply::Bytes(Vec::new()))]);
    let error = failed(&*source(server.address, json!({}))).await;
    assert_eq!(error.reason(), "connection closed before the answer was complete");
}

#[tokio::test]
async fn the_address_policy_holds_for_the_server_before_anything_is_sent() {
    let server = fleet(&[(NAME, 1)]);
    let strict = Outside { outbound: Arc::new(Outbound::new(AddressPolicy::default())), ..outside() };
    let error = source(server.address, json!({})).fetch(&strict).await.unwrap_err();
    assert_snapshot!(hidden(server.address, &error), @"SRV records of _agent._tcp.a.example.com from 10.0.0.2:53: address is loopback, which is not allowed; allow its network and port in the deployment's address policy, if it should be reachable");
    assert_eq!(server.asked(), [""; 0]);
}

#[test]
fn what_is_wrong_with_names_and_servers_of_the_system_has_its_way_out() {
    let source = spec(&json!({ "clusters": { "a": "a.example" }, "timeout": 5000 }));
    let seen = |error: LookupError| {
        let failure = source.no_records("a", &error);
        SourceError { tried: source.asked("a.example"), form: FORM, failure }.to_string()
    };
    assert_snapshot!(seen(LookupError::NoServer), @"SRV records of a.example from the system's name servers: no name server is set in /etc/resolv.conf; set one there, or as the discovery's `server`");
    assert_snapshot!(seen(LookupError::NoRecursion), @"SRV records of a.example from the system's name servers: the name server does not know the name, nor asks others (cluster `a`); give one that does, or that has the name, as the discovery's `server`");
    assert_snapshot!(seen(LookupError::TooManyAliases), @"SRV records of a.example from the system's name servers: the name's aliases lead too far, or in a circle (cluster `a`); correct the aliases (CNAME) of the name that the discovery's `clusters` gives");
    assert_snapshot!(seen(LookupError::Contradiction), @"SRV records of a.example from the system's name servers: the records of the name are damaged or contradict each other (cluster `a`); correct the SRV records at the name that the discovery's `clusters` gives");
    assert_snapshot!(seen(LookupError::NotDns), @"SRV records of a.example from the system's name servers: answer is not DNS; check that they answer over TCP, or give another one as the discovery's `server`");
    assert_snapshot!(seen(LookupError::Fetch(FetchError::ConnectionRefused)), @"SRV records of a.example from the system's name servers: connection refused; check that they answer over TCP, or give another one as the discovery's `server`");
    assert_snapshot!(seen(LookupError::BadName("a b".into())), @"SRV records of a.example from the system's name servers: `a b` is no DNS name (cluster `a`); check the name in the discovery's `clusters`, and that the name server knows it");
    assert_snapshot!(seen(LookupError::Fetch(FetchError::Exhausted("too many open files"))), @"SRV records of a.example from the system's name servers: no connection could be opened: too many open files; look into what else this process has open");
}

#[test]
fn of_many_names_the_first_few_are_shown() {
    let shown = |count: usize| {
        let clusters: Value =
            (0..count).map(|n| (format!("c-{n}"), Value::from(format!("{n}.example")))).collect();
        spec(&json!({ "clusters": clusters, "timeout": 5000 })).shown()
    };
    assert_snapshot!(shown(3), @"SRV records of 0.example, 1.example, 2.example from the system's name servers");
    assert_snapshot!(shown(9), @"SRV records of 0.example, 1.example, 2.example, 6 more from the system's name servers");
}

#[tokio::test]
async fn limits_are_used_and_what_is_asked_too_much_is_named() {
    let server = fleet(&[("a.example", 2), ("b.example", 3)]);
    let clusters = json!({ "a": "a.example", "b": "b.example" });
    let with = |limits: Value| source(server.address, json!({ "clusters": clusters, "limits": limits }));
    let seen = async |limits: Value| hidden(server.address, &failed(&*with(limits)).await);
    assert_eq!(found(&*with(json!({ "clusters": 2, "nodes": 3, "total_nodes": 5 }))).await.clusters.len(), 2);
    assert_snapshot!(seen(json!({ "clusters": 1 })).await, @"SRV records of b.example from 10.0.0.2:53: more than 1 records of clusters, the limit `clusters`; check what the source answers, or raise `limits.clusters`");
    assert_snapshot!(seen(json!({ "nodes": 2 })).await, @"SRV records of b.example from 10.0.0.2:53: more than 2 nodes in one cluster, the limit `nodes`; check what the source answers, or raise `limits.nodes`");
    assert_snapshot!(seen(json!({ "total_nodes": 4 })).await, @"SRV records of b.example from 10.0.0.2:53: more than 4 nodes in all clusters, the limit `total_nodes`; check what the source answers, or raise `limits.total_nodes`");
    // They count pages and bytes, of which there are none.
    found(&*with(json!({ "pages": 0, "bytes": 0, "total_bytes": 0 }))).await;
}

#[tokio::test]
async fn a_target_that_makes_no_url_sets_its_cluster_aside() {
    let server = NameServer::start(&[
        ("good.example", Reply::targets(&[("node", 1), ("other", 1)])),
        ("number.example", Reply::targets(&[("256.256.256.256", 1), ("other", 1)])),
        ("port.example", Reply::targets(&[("node", 0), ("other", 1)])),
    ]);
    let clusters = json!({ "good": "good.example", "number": "number.example", "port": "port.example" });
    let answer = found(&*source(server.address, json!({ "clusters": clusters }))).await;
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

/// A name server for all cases: it never stops.
static ANY: LazyLock<NameServer> = LazyLock::new(|| NameServer::start(&[]));

proptest! {
    // Each goes over a connection.
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn any_answer_is_a_cluster_or_a_reason_without_an_address(
        noise in any::<Vec<u8>>(), near in any::<bool>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..3),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let mut bytes = noise;
        if near {
            let records = [alias(NAME, "b.example"), srv("b.example", "a", 1), srv("b.example", "b", 2)];
            bytes = message(RESPONSE, &question(NAME, name_server::SRV), &records);
        }
        for (index, byte) in &changes {
            if !bytes.is_empty() {
                let at = index.index(bytes.len());
                bytes[at] = *byte;
            }
        }
        ANY.set(NAME, Reply::Bytes(framed(&bytes)));
        let source = source(ANY.address, json!({}));
        match runtime.block_on(source.fetch(&outside())) {
            Ok(answer) => {
                prop_assert!(near);
                prop_assert_eq!(answer.clusters.len() + answer.rejected.len(), 1);
            }
            Err(error) => {
                let reason = error.reason();
                prop_assert!(reason.len() <= MAX_REASON && !reason.contains("127.0.0.1"), "{}", error);
            }
        }
    }
}
