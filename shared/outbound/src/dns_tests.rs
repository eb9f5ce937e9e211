use std::io::Write;
use std::net::{Ipv4Addr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use replicante_address_policy::{AddressPolicy, Refused};

use super::*;
use crate::dns_message::tests::{NAME, answer, srv};

/// A name server that writes these bytes to everyone who asked, and then closes the connection; how many asked.
fn server(bytes: Vec<u8>) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut question = vec![0; crate::dns_message::question(NAME).unwrap().len()];
            stream.read_exact(&mut question).unwrap();
            assert_eq!(question, crate::dns_message::question(NAME).unwrap());
            count.fetch_add(1, Ordering::SeqCst);
            let _ = stream.write_all(&bytes);
        }
    });
    (address, asked)
}

/// With its length before it.
fn framed(message: &[u8]) -> Vec<u8> {
    [&(message.len() as u16).to_be_bytes(), message].concat()
}

fn one(target: &str) -> Vec<u8> {
    framed(&answer(&[srv(NAME, target, 8000)]))
}

/// A server that takes connections and says nothing.
fn silent() -> TcpListener {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap()
}

/// An address where nothing listens.
fn nobody() -> SocketAddr {
    silent().local_addr().unwrap()
}

fn lookup(server: SocketAddr) -> SrvLookup<'static> {
    SrvLookup { name: NAME, server: Some(server), timeout: Duration::from_secs(10) }
}

async fn at(server: SocketAddr) -> Result<Vec<String>, LookupError> {
    let found = Outbound::new(AddressPolicy::local()).srv(&lookup(server)).await?;
    Ok(found.into_iter().map(|srv| srv.target).collect())
}

async fn of_each(servers: &[SocketAddr], timeout: Duration) -> Result<Vec<String>, LookupError> {
    let question = crate::dns_message::question(NAME).unwrap();
    let lookup = SrvLookup { timeout, ..lookup(nobody()) };
    let found = ask_each(servers, &question, &lookup).await?;
    Ok(found.into_iter().map(|srv| srv.target).collect())
}

#[tokio::test]
async fn a_name_server_is_asked_once_and_its_answer_read() {
    let (address, asked) = server(one("a.test"));
    assert_eq!(at(address).await.unwrap(), ["a.test"]);
    assert_eq!(asked.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn the_largest_answer_is_read() {
    let targets: Vec<String> = (0..1250).map(|n| format!("n{n:04}.zk.test")).collect();
    let answers: Vec<_> = targets.iter().map(|target| srv(NAME, target, 8000)).collect();
    let message = answer(&answers);
    assert!((64_000..=65_535).contains(&message.len()), "{}", message.len());
    let (address, _) = server(framed(&message));
    assert_eq!(at(address).await.unwrap(), targets);
}

#[tokio::test]
async fn a_name_server_that_is_given_obeys_the_address_policy() {
    let (address, asked) = server(one("a.test"));
    let refused = LookupError::Fetch(FetchError::AddressRefused(Refused::BuiltIn("loopback")));
    assert_eq!(Outbound::new(AddressPolicy::default()).srv(&lookup(address)).await, Err(refused));
    let policy = AddressPolicy::parse("", "", "", "1-65535").unwrap().with_loopback();
    let refused = LookupError::Fetch(FetchError::AddressRefused(Refused::DeniedPort));
    assert_eq!(Outbound::new(policy).srv(&lookup(address)).await, Err(refused));
    assert_eq!(asked.load(Ordering::SeqCst), 0, "nothing was sent");
}

#[tokio::test]
async fn a_name_that_is_none_is_asked_nobody() {
    let (address, asked) = server(one("a.test"));
    let lookup = SrvLookup { name: "a b", ..lookup(address) };
    let failed = Outbound::new(AddressPolicy::local()).srv(&lookup).await;
    assert_eq!(failed, Err(LookupError::BadName("a b".into())));
    assert_eq!(asked.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn each_way_to_no_answer_has_its_reason() {
    let whole = one("a.test");
    for (bytes, reason) in [
        (Vec::new(), "connection closed before the answer was complete"),
        (whole[..whole.len() - 1].to_vec(), "connection closed before the answer was complete"),
        (framed(b""), "answer is not DNS"),
        (b"SSH-2.0-OpenSSH\r\n".repeat(1300).to_vec(), "answer is not DNS"),
    ] {
        let (address, _) = server(bytes);
        assert_eq!(at(address).await.unwrap_err().to_string(), reason);
    }
    assert_eq!(at(nobody()).await.unwrap_err().to_string(), "connection refused");
    let hanging = silent();
    let lookup = SrvLookup { timeout: Duration::from_millis(50), ..lookup(hanging.local_addr().unwrap()) };
    let error = Outbound::new(AddressPolicy::local()).srv(&lookup).await.unwrap_err();
    assert_eq!(error.to_string(), "timeout after 50 ms");
}

#[tokio::test]
async fn the_next_server_is_asked_where_one_does_not_know() {
    let hanging = silent();
    let (broken, _) = server(framed(&message_of_refusal()));
    let (second, _) = server(one("a.test"));
    let (strange, _) = server(framed(b"what?"));
    let servers = [nobody(), broken, strange, hanging.local_addr().unwrap(), second];
    assert_eq!(of_each(&servers, Duration::from_secs(4)).await.unwrap(), ["a.test"]);
    let reason = of_each(&servers[..4], Duration::from_millis(300)).await.unwrap_err();
    assert_eq!(reason.to_string(), "connection refused", "what the first says");
}

#[tokio::test]
async fn what_a_server_knows_is_not_asked_of_the_next() {
    let (none, _) = server(framed(&answer(&[])));
    let (next, asked) = server(one("a.test"));
    assert_eq!(of_each(&[none, next], Duration::from_secs(10)).await, Err(LookupError::NoRecords));
    assert_eq!(asked.load(Ordering::SeqCst), 0);
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
          nameserver fd00::2\nnameserver 10.0.0.3\nnameserver 10.0.0.4\n\xff\n",
    )
    .unwrap();
    let expected = ["10.0.0.2:53", "[fd00::2]:53", "10.0.0.3:53"].map(|text| text.parse().unwrap());
    assert_eq!(system_servers(file.path()), expected);
    assert_eq!(system_servers(Path::new("/nowhere/resolv.conf")), []);
}

fn message_of_refusal() -> Vec<u8> {
    let mut refusal = answer(&[]);
    refusal[3] |= 5;
    refusal
}
