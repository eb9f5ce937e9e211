//! Where agents and sources may not be: every spelling of such an address is refused with its reason, and nothing is
//! connected to.

use std::collections::BTreeMap;
use std::net::TcpListener;

use replicante_model::RecordName;
use replicante_model::discovery::DiscoveryState;
use replicante_model::view::ClusterView;
use replicante_protocol::task::Task;
use replicante_tests::System;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const LOOPBACK: &str = "address is loopback, which is not allowed";
const LINK_LOCAL: &str = "address is link-local, which is not allowed";
const METADATA: &str = "address is instance metadata, which is not allowed";
const UNSPECIFIED: &str = "address is unspecified, which is not allowed";

/// Ports of the loopback interface where nobody may come.
struct Traps {
    /// On 127.0.0.1.
    four: TcpListener,
    /// On ::1, where this machine has it.
    six: Option<TcpListener>,
}

impl Traps {
    fn set() -> Traps {
        let set = |address: &str| {
            let listener = TcpListener::bind((address, 0))?;
            listener.set_nonblocking(true)?;
            Ok::<_, std::io::Error>(listener)
        };
        Traps { four: set("127.0.0.1").unwrap(), six: set("::1").ok() }
    }

    fn ports(&self) -> [u16; 2] {
        let port = |listener: &TcpListener| listener.local_addr().unwrap().port();
        [port(&self.four), self.six.as_ref().map_or(9001, port)]
    }

    /// How many connections were opened, to each: the system takes them in before anybody accepts them.
    fn sprung(&self) -> [usize; 2] {
        let count = |listener: &TcpListener| std::iter::from_fn(|| listener.accept().ok()).count();
        [count(&self.four), self.six.as_ref().map_or(0, count)]
    }
}

/// What the spelling is, the address, and the reason.
fn spellings([four, six]: [u16; 2]) -> Vec<(&'static str, String, &'static str)> {
    let mut all: Vec<(&str, String, &str)> = [
        ("metadata", "169.254.169.254", LINK_LOCAL),
        ("metadata, decimal", "2852039166", LINK_LOCAL),
        ("metadata, octal", "0251.0376.0251.0376", LINK_LOCAL),
        ("metadata, hexadecimal", "0xa9fea9fe", LINK_LOCAL),
        ("metadata, IPv4-mapped", "[::ffff:169.254.169.254]", LINK_LOCAL),
        ("metadata, IPv4-mapped, as hextets", "[::ffff:a9fe:a9fe]", LINK_LOCAL),
        ("metadata, IPv4-compatible", "[::169.254.169.254]", LINK_LOCAL),
        ("metadata, NAT64", "[64:ff9b::169.254.169.254]", LINK_LOCAL),
        ("metadata, 6to4", "[2002:a9fe:a9fe::1]", LINK_LOCAL),
        ("metadata, IPv6", "[fd00:ec2::254]", METADATA),
    ]
    .map(|(spelling, host, reason)| (spelling, format!("http://{host}/"), reason))
    .into();
    all.extend(
        [
            ("loopback", "127.0.0.1", four, LOOPBACK),
            ("a name", "localhost", four, LOOPBACK),
            ("decimal", "2130706433", four, LOOPBACK),
            ("octal", "0177.0.0.1", four, LOOPBACK),
            ("octal, whole", "017700000001", four, LOOPBACK),
            ("hexadecimal", "0x7f.0x0.0x0.0x1", four, LOOPBACK),
            ("shortened", "127.1", four, LOOPBACK),
            ("a dot at the end", "127.0.0.1.", four, LOOPBACK),
            ("percent-encoded", "%31%32%37.0.0.1", four, LOOPBACK),
            ("wide digits", "１２７。０。０。１", four, LOOPBACK),
            ("IPv4-mapped", "[::ffff:127.0.0.1]", four, LOOPBACK),
            ("IPv4-mapped, as hextets", "[::ffff:7f00:1]", four, LOOPBACK),
            ("IPv4-compatible", "[::127.0.0.1]", four, LOOPBACK),
            ("NAT64", "[64:ff9b::127.0.0.1]", four, LOOPBACK),
            ("6to4", "[2002:7f00:1::]", four, LOOPBACK),
            ("Teredo", "[2001:0:5366:7cee::80ff:fffe]", four, LOOPBACK),
            ("unspecified", "0.0.0.0", four, UNSPECIFIED),
            ("unspecified, shortened", "0", four, UNSPECIFIED),
            ("IPv6", "[::1]", six, LOOPBACK),
            ("IPv6, in full", "[0:0:0:0:0:0:0:1]", six, LOOPBACK),
            ("IPv6, unspecified", "[::]", six, UNSPECIFIED),
        ]
        .map(|(spelling, host, port, reason)| (spelling, format!("http://{host}:{port}/"), reason)),
    );
    all.push(("TLS", format!("https://127.0.0.1:{four}/"), LOOPBACK));
    all
}

/// A system whose workers have the policy that a function has unless its settings say otherwise.
async fn strict() -> System {
    let mut system = System::start().await.unwrap();
    system.local.settings.addresses = Default::default();
    system.restart_workers();
    system
}

/// Applies a discovery of this source, and runs it. Why it fails, if it does, as it is stored.
async fn discover(system: &System, name: &str, source: &str) -> Option<String> {
    let yaml = format!(
        "apiVersion: replicante.io/v0\nkind: Discovery\nmetadata: {{ name: {name} }}\nspec:\n  interval: 5s\n  \
         source: {{ {source} }}\n  agents: {{ timeout: 200ms, connect_timeout: 200ms }}\n"
    );
    system.apply(&yaml).await.unwrap();
    let record = RecordName::discovery("default", name);
    assert!(system.run_discovery(Task::manual(record.clone(), "test")).await.batch_item_failures.is_empty());
    let (_, state) = system.table.look::<DiscoveryState>(&record).await.unwrap().unwrap();
    state.unwrap().failing.map(|failing| failing.reason)
}

/// The status and the reason of each node, as `get cluster` shows them.
fn shown(view: &ClusterView) -> BTreeMap<&str, (&str, &str)> {
    let nodes = view.nodes.iter();
    nodes
        .map(|(id, node)| (id.as_str(), (node.status.as_str(), node.status.reason().unwrap_or_default())))
        .collect()
}

#[tokio::test]
async fn an_answer_that_names_nodes_where_none_may_be_is_refused_for_each_and_nothing_is_connected_to() {
    let traps = Traps::set();
    let spellings = spellings(traps.ports());
    let nodes: Vec<_> =
        spellings.iter().map(|(id, url, _)| json!({ "node_id": id, "agent_address": url })).collect();
    let file = tempfile::NamedTempFile::with_suffix(".json").unwrap();
    let answer = json!({ "clusters": [{ "cluster_id": "c", "nodes": nodes }] });
    std::fs::write(file.path(), answer.to_string()).unwrap();

    let mut system = strict().await;
    let source = format!("file: {{ path: \"{}\" }}", file.path().display());
    assert_eq!(discover(&system, "fleet", &source).await, None);
    system.refresh("c").await;
    let view = system.view("c").await.unwrap();
    let seen = shown(&view);
    assert_eq!(seen.len(), spellings.len());
    println!("| spelling | the answer's address | status | reason |\n| --- | --- | --- | --- |");
    for (id, url, reason) in &spellings {
        let (status, why) = seen[id];
        println!("| {id} | `{url}` | {status} | {why} |");
        assert_eq!((status, why), ("agent_down", *reason), "{id}: {url}");
    }
    assert_eq!(traps.sprung(), [0, 0]);
    let told = system.check().await.unwrap().told("cluster/default/c");
    assert_eq!(told.iter().filter(|told| told.starts_with("agent.down")).count(), spellings.len());

    // The traps work: with loopback allowed they are walked into, and all else is refused as before.
    let settings = &mut system.local.settings;
    settings.addresses = settings.addresses.clone().with_loopback();
    system.restart_workers();
    system.refresh("c").await;
    let [four, six] = traps.sprung();
    assert!(four >= 8 && (six >= 2 || traps.six.is_none()), "{four} and {six}");
    let view = system.view("c").await.unwrap();
    let seen = shown(&view);
    for (id, url, reason) in &spellings {
        assert_eq!(seen[id].1 == *reason, *reason != LOOPBACK, "{id}: {url}: {}", seen[id].1);
    }
}

#[tokio::test]
async fn a_source_where_none_may_be_is_refused_in_every_spelling_and_nothing_is_connected_to() {
    let traps = Traps::set();
    let system = strict().await;
    println!("| source | its address | reason |\n| --- | --- | --- |");
    for (n, (id, url, reason)) in spellings(traps.ports()).iter().enumerate() {
        for (kind, more) in [("http", ""), ("platform", ""), ("prometheus", ", cluster_label: cluster")] {
            let source = format!("{kind}: {{ url: \"{url}\"{more} }}");
            let failing = discover(&system, &format!("{kind}-{n}"), &source).await;
            if kind == "http" {
                println!("| {id} | `{url}` | {} |", failing.as_deref().unwrap_or("none"));
            }
            assert_eq!(failing.as_deref(), Some(*reason), "{kind}, {id}: {url}");
        }
    }
    assert_eq!(traps.sprung(), [0, 0]);
}

/// A server that answers every request with a redirect. Its base URL.
async fn redirecting(to: String) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.read(&mut [0; 4096]).await;
            let answer = format!(
                "HTTP/1.1 307 Moved\r\nlocation: {to}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
            );
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    url
}

#[tokio::test]
async fn a_redirect_is_followed_neither_by_sources_nor_by_agents() {
    let traps = Traps::set();
    // The policy of local runs allows where it leads to: that it is not followed does not rest on the policy.
    let system = System::start().await.unwrap();
    let server = redirecting(format!("http://127.0.0.1:{}/", traps.ports()[0])).await;
    for (kind, more) in
        [("http", ""), ("http", ", method: GET"), ("platform", ""), ("prometheus", ", cluster_label: c")]
    {
        let failing = discover(&system, "fleet", &format!("{kind}: {{ url: \"{server}\"{more} }}")).await;
        assert_eq!(failing.as_deref(), Some("status 307 instead of 200"), "{kind}");
    }
    let file = tempfile::NamedTempFile::with_suffix(".json").unwrap();
    let nodes = [json!({ "node_id": "n", "agent_address": server })];
    std::fs::write(file.path(), json!({ "clusters": [{ "cluster_id": "c", "nodes": nodes }] }).to_string())
        .unwrap();
    let source = format!("file: {{ path: \"{}\" }}", file.path().display());
    assert_eq!(discover(&system, "agents", &source).await, None);
    system.refresh("c").await;
    let view = system.view("c").await.unwrap();
    assert_eq!(shown(&view)["n"], ("agent_down", "HTTP 307 from info/agent"));
    assert_eq!(traps.sprung(), [0, 0]);
}
