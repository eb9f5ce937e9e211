use std::io::Write;
use std::net::Ipv4Addr;

use replicante_address_policy::{AddressPolicy, Refused};

use super::*;
use crate::dns_message::tests::{NAME, answer};
use crate::name_server::{NameServer, Reply, framed, srv};

/// A name server that says this to whoever asks for [`NAME`].
fn server(reply: Reply) -> NameServer {
    NameServer::start(&[(NAME, reply)])
}

fn good() -> NameServer {
    server(Reply::targets(&[("a.test", 8000)]))
}

/// An address where nothing listens.
fn nobody() -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, 9))
}

fn lookup(server: SocketAddr) -> SrvLookup<'static> {
    SrvLookup { name: NAME, server: Some(server), timeout: Duration::from_secs(10) }
}

fn targets(found: Vec<Srv>) -> Vec<String> {
    found.into_iter().map(|srv| srv.target).collect()
}

async fn at(server: SocketAddr) -> Result<Vec<String>, LookupError> {
    Outbound::new(AddressPolicy::local()).srv(&lookup(server)).await.map(targets)
}

async fn of_each(servers: &[SocketAddr], timeout: Duration) -> Result<Vec<String>, LookupError> {
    let question = dns_message::question(NAME).unwrap();
    let lookup = SrvLookup { timeout, ..lookup(nobody()) };
    ask_each(servers, &AtomicUsize::default(), &question, &lookup).await.map(targets)
}

#[tokio::test]
async fn a_name_server_is_asked_once_and_its_answer_read() {
    let server = good();
    assert_eq!(at(server.address).await.unwrap(), ["a.test"]);
    assert_eq!(server.asked(), [NAME]);
}

#[tokio::test]
async fn the_largest_answer_is_read() {
    let expected: Vec<String> = (0..1250).map(|n| format!("n{n:04}.zk.test")).collect();
    let answers: Vec<_> = expected.iter().map(|target| srv(NAME, target, 8000)).collect();
    let message = answer(&answers);
    assert!((64_000..=65_535).contains(&message.len()), "{}", message.len());
    let server = server(Reply::Bytes(framed(&message)));
    assert_eq!(at(server.address).await.unwrap(), expected);
}

#[tokio::test]
async fn a_name_server_that_is_given_obeys_the_address_policy() {
    let server = good();
    let refused = LookupError::Fetch(FetchError::AddressRefused(Refused::BuiltIn("loopback")));
    assert_eq!(Outbound::new(AddressPolicy::default()).srv(&lookup(server.address)).await, Err(refused));
    let policy = AddressPolicy::parse("", "", "", "1-65535").unwrap().with_loopback();
    let refused = LookupError::Fetch(FetchError::AddressRefused(Refused::DeniedPort));
    assert_eq!(Outbound::new(policy).srv(&lookup(server.address)).await, Err(refused));
    assert_eq!(server.asked(), [""; 0]);
}

#[tokio::test]
async fn a_name_that_is_none_is_asked_nobody() {
    let server = good();
    let lookup = SrvLookup { name: "a b", ..lookup(server.address) };
    let failed = Outbound::new(AddressPolicy::local()).srv(&lookup).await;
    assert_eq!(failed, Err(LookupError::BadName("a b".into())));
    assert_eq!(server.asked(), [""; 0]);
}

#[tokio::test]
async fn each_way_to_no_answer_has_its_reason() {
    let whole = framed(&answer(&[srv(NAME, "a.test", 8000)]));
    for (bytes, reason) in [
        (Vec::new(), "connection closed before the answer was complete"),
        (whole[..whole.len() - 1].to_vec(), "connection closed before the answer was complete"),
        (framed(b""), "answer is not DNS"),
        (b"SSH-2.0-OpenSSH\r\n".repeat(1300).to_vec(), "answer is not DNS"),
    ] {
        assert_eq!(at(server(Reply::Bytes(bytes)).address).await.unwrap_err().to_string(), reason);
    }
    assert_eq!(at(nobody()).await.unwrap_err().to_string(), "connection refused");
    let lookup = SrvLookup { timeout: Duration::from_millis(50), ..lookup(server(Reply::Silence).address) };
    let error = Outbound::new(AddressPolicy::local()).srv(&lookup).await.unwrap_err();
    assert_eq!(error.to_string(), "timeout after 50 ms");
}

#[tokio::test]
async fn the_next_server_is_asked_where_one_does_not_know() {
    let (broken, strange) = (server(Reply::Error(2)), server(Reply::Bytes(framed(b"what?"))));
    let (hanging, last) = (server(Reply::Silence), good());
    let servers = [nobody(), broken.address, strange.address, hanging.address, last.address];
    assert_eq!(of_each(&servers, Duration::from_secs(4)).await.unwrap(), ["a.test"]);
    let reason = of_each(&servers[..4], Duration::from_millis(300)).await.unwrap_err();
    assert_eq!(reason.to_string(), "connection refused", "what the first says");
}

#[tokio::test]
async fn a_server_that_asks_no_others_does_not_know() {
    let (mut empty, next) = (answer(&[]), good());
    // Neither recursion nor an authority.
    empty[2..4].copy_from_slice(&[0x81, 0]);
    let other = server(Reply::Bytes(framed(&empty)));
    assert_eq!(at(other.address).await, Err(LookupError::NoRecursion));
    assert_eq!(of_each(&[other.address, next.address], Duration::from_secs(10)).await.unwrap(), ["a.test"]);
}

#[tokio::test]
async fn what_a_server_knows_is_not_asked_of_the_next() {
    let (none, next) = (server(Reply::targets(&[])), good());
    let found = of_each(&[none.address, next.address], Duration::from_secs(10)).await;
    assert_eq!(found, Err(LookupError::NoRecords));
    assert_eq!(next.asked(), [""; 0]);
}

#[tokio::test]
async fn the_server_that_knew_the_last_time_is_asked_first() {
    let (broken, first, second) = (server(Reply::Error(2)), good(), good());
    let servers = [broken.address, first.address, second.address];
    let question = dns_message::question(NAME).unwrap();
    let last = AtomicUsize::default();
    let asked = || [&broken, &first, &second].map(|server| server.asked().len());
    for _ in 0..3 {
        ask_each(&servers, &last, &question, &lookup(nobody())).await.unwrap();
    }
    assert_eq!(asked(), [1, 3, 0]);
    first.set(NAME, Reply::Error(2));
    ask_each(&servers, &last, &question, &lookup(nobody())).await.unwrap();
    assert_eq!(asked(), [1, 4, 1]);
    second.set(NAME, Reply::Error(5));
    let failed = ask_each(&servers, &last, &question, &lookup(nobody())).await;
    assert_eq!(failed, Err(LookupError::Refused("REFUSED")));
    assert_eq!(asked(), [2, 5, 2], "each once");
}

#[tokio::test]
async fn what_servers_that_answer_at_once_leave_of_the_time_is_for_the_next() {
    let servers = [nobody(), nobody(), server(Reply::Silence).address];
    let started = Instant::now();
    of_each(&servers, Duration::from_millis(900)).await.unwrap_err();
    assert!(started.elapsed() >= Duration::from_millis(800), "{:?}", started.elapsed());
}

#[tokio::test]
async fn without_a_name_server_there_is_no_answer() {
    let reason = of_each(&[], Duration::from_secs(1)).await.unwrap_err();
    assert_eq!(reason.to_string(), "no name server is set in /etc/resolv.conf");
}

#[test]
fn the_systems_name_servers_are_the_first_three_of_its_file() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(
        b"# made by hand\nsearch test\nnameserver 10.0.0.2\nnameserver what\noptions ndots:5\n\
          nameserver fd00::2\nnameserver fe80::1%eth0\nnameserver 10.0.0.3\nnameserver 10.0.0.4\n\xff\n",
    )
    .unwrap();
    let expected = ["10.0.0.2:53", "[fd00::2]:53", "10.0.0.3:53"].map(|text| text.parse().unwrap());
    assert_eq!(system_servers(file.path()).unwrap(), expected);
    assert_eq!(system_servers(Path::new("/nowhere/resolv.conf")).unwrap(), []);
    // What comes after 64 KiB is not read.
    let comment = format!("#{}\n", "x".repeat(64 * 1024));
    std::fs::write(file.path(), comment + "nameserver 10.0.0.2\n").unwrap();
    assert_eq!(system_servers(file.path()).unwrap(), []);
    // A folder can't be read.
    assert!(system_servers(Path::new("/")).is_err());
}
