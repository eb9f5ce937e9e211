//! Names whose addresses change between two lookups, or are of both kinds. 127.0.0.1 stands for what is allowed,
//! 127.0.0.2 for what is not.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Mutex;
use std::thread;

use replicante_address_policy::Refused;

use super::*;

const ALLOWED: &str = "127.0.0.1";
const REFUSED: &str = "127.0.0.2";
const LOOPBACK: FetchError = FetchError::AddressRefused(Refused::BuiltIn("loopback"));

/// A port on both addresses: the allowed one answers as `answer` does, the refused one takes note.
struct Two {
    port: u16,
    refused: TcpListener,
}

impl Two {
    fn start(answer: impl Fn(TcpStream) + Send + 'static) -> Two {
        loop {
            let allowed = TcpListener::bind((ALLOWED, 0)).unwrap();
            let port = allowed.local_addr().unwrap().port();
            // Somebody may have it there.
            let Ok(refused) = TcpListener::bind((REFUSED, port)) else { continue };
            refused.set_nonblocking(true).unwrap();
            thread::spawn(move || allowed.incoming().flatten().for_each(answer));
            return Two { port, refused };
        }
    }

    /// Whether the refused address was connected to: the system takes connections in before they are accepted.
    fn was_connected(&self) -> bool {
        self.refused.accept().is_ok()
    }

    fn url(&self, scheme: &str) -> String {
        format!("{scheme}://name.test:{}/", self.port)
    }
}

/// Answers a request, and closes the connection.
fn answering(mut stream: TcpStream) {
    let _ = stream.read(&mut [0; 4096]);
    let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
}

/// Names whose lookups give these addresses, one list after the other, the last again and again; and how many lookups
/// there were.
fn names(lists: &[&[&str]]) -> (Names, Arc<Mutex<usize>>) {
    let lists: Vec<Vec<SocketAddr>> = lists
        .iter()
        .map(|list| list.iter().map(|text| SocketAddr::new(text.parse().unwrap(), 0)).collect())
        .collect();
    let count = Arc::new(Mutex::new(0));
    let counted = Arc::clone(&count);
    let names = move |_: &str| {
        let mut count = counted.lock().unwrap();
        *count += 1;
        Ok(lists[(*count - 1).min(lists.len() - 1)].clone())
    };
    (Arc::new(names), count)
}

fn outbound(lists: &[&[&str]]) -> (Outbound, Arc<Mutex<usize>>) {
    let (names, count) = names(lists);
    let policy = AddressPolicy::parse(ALLOWED, "", "", "").unwrap();
    (Outbound::with_names(policy, names), count)
}

#[tokio::test]
async fn a_connection_goes_to_the_address_that_was_checked_and_the_name_is_not_asked_again() {
    let two = Two::start(answering);
    let (outbound, lookups) = outbound(&[&[ALLOWED], &[REFUSED]]);
    let url = two.url("http");
    assert_eq!(outbound.fetch(&Request::get(&url)).await.unwrap().status, 200);
    assert_eq!(*lookups.lock().unwrap(), 1);
    assert_eq!(outbound.fetch(&Request::get(&url)).await.unwrap_err(), LOOPBACK, "a connection of its own");
    assert_eq!(*lookups.lock().unwrap(), 2);
    assert!(!two.was_connected());
}

#[tokio::test]
async fn of_the_addresses_of_a_name_the_allowed_ones_alone_are_connected_to() {
    let two = Two::start(answering);
    for list in [[REFUSED, ALLOWED], [ALLOWED, REFUSED]] {
        let (outbound, _) = outbound(&[&list]);
        assert_eq!(outbound.fetch(&Request::get(&two.url("http"))).await.unwrap().status, 200);
    }
    assert!(!two.was_connected());
}

#[tokio::test]
async fn a_name_that_changes_before_a_request_is_repeated_does_not_slip_through() {
    let two = Two::start(drop);
    let (outbound, lookups) = outbound(&[&[ALLOWED], &[REFUSED]]);
    assert_eq!(outbound.fetch(&Request::get(&two.url("http"))).await.unwrap_err(), LOOPBACK);
    assert_eq!(*lookups.lock().unwrap(), 2);
    assert!(!two.was_connected());
}

#[tokio::test]
async fn a_name_that_changes_before_a_server_is_asked_why_it_closed_does_not_slip_through() {
    let two = Two::start(drop);
    let (outbound, lookups) = outbound(&[&[ALLOWED], &[ALLOWED], &[REFUSED]]);
    let tls = TlsSettings {
        ca_bundle: Some(concat!("file:", env!("CARGO_MANIFEST_DIR"), "/tests/pki/ca.pem").into()),
        client_certificate: None,
    };
    let url = two.url("https");
    let request = Request { tls: &tls, ..Request::get(&url) };
    assert_eq!(outbound.fetch(&request).await.unwrap_err(), FetchError::ConnectionClosed);
    assert_eq!(*lookups.lock().unwrap(), 3);
    assert!(!two.was_connected());
}

#[tokio::test]
async fn a_name_of_refused_addresses_has_the_reason_of_the_address() {
    for (address, kind) in [
        ("169.254.169.254", "link-local"),
        ("::ffff:169.254.169.254", "link-local"),
        ("64:ff9b::a9fe:a9fe", "link-local"),
        ("2002:a9fe:a9fe::1", "link-local"),
        ("fd00:ec2::254", "instance metadata"),
        ("::ffff:127.0.0.1", "loopback"),
        ("::", "unspecified"),
        ("ff02::1", "multicast"),
    ] {
        let (names, _) = names(&[&[address]]);
        let outbound = Outbound::with_names(AddressPolicy::default(), names);
        let error = outbound.fetch(&Request::get("http://name.test/")).await.unwrap_err();
        assert_eq!(error.reason(), format!("address is {kind}, which is not allowed"), "{address}");
    }
}
