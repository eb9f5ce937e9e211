//! Requests over TLS: authorities, client certificates, HTTP/2, and what goes wrong.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod tls_server;

use hyper::Version;
use replicante_outbound::{AddressPolicy, Outbound, Request, TlsSettings};
use tls_server::{Terms, TlsServer, pki};
use tokio_rustls::rustls::version::{TLS12, TLS13};

/// How often each failure is asked for: which end is the first to see it is a race.
const TIMES: usize = 20;

fn start(terms: Terms) -> TlsServer {
    TlsServer::start(terms, |_| (200, "{}".into()))
}

fn local() -> Outbound {
    Outbound::new(AddressPolicy::local())
}

fn with(authority: &str, client: Option<&str>) -> TlsSettings {
    TlsSettings {
        ca_bundle: Some(format!("file:{}", pki(authority))),
        client_certificate: client.map(|file| format!("file:{}", pki(file))),
    }
}

/// The one reason for which all requests to the server fail.
async fn reason(server: &TlsServer, tls: &TlsSettings) -> String {
    let mut reasons = std::collections::BTreeSet::new();
    for _ in 0..TIMES {
        let error = local().fetch(&Request { tls, ..Request::get(&server.url("/")) }).await.unwrap_err();
        reasons.insert(error.reason());
    }
    assert_eq!(reasons.len(), 1, "the same failure is the same reason: {reasons:?}");
    reasons.pop_first().unwrap()
}

#[tokio::test]
async fn a_ca_bundle_and_a_client_certificate_open_an_agents_door_over_http_2() {
    let server = start(Terms { wants_client: true, ..Terms::default() });
    let outbound = local();
    let tls = with("ca.pem", Some("client.pem"));
    for host in [server.url("/"), format!("https://localhost:{}/", server.address.port())] {
        for _ in 0..3 {
            let request = Request { tls: &tls, ..Request::get(&host) };
            assert_eq!(outbound.fetch(&request).await.unwrap().status, 200);
        }
    }
    let seen = server.take_seen();
    let versions: Vec<_> = seen.requests.into_iter().map(|(version, _)| version).collect();
    assert_eq!((seen.handshakes, versions), (2, vec![Version::HTTP_2; 6]), "one connection a host");
}

#[tokio::test]
async fn http_2_is_spoken_where_it_is_offered_and_http_1_elsewhere() {
    let tls = with("ca.pem", None);
    for (protocols, expected) in [
        (&["h2", "http/1.1"] as &[_], Version::HTTP_2),
        (&["http/1.1", "h2"], Version::HTTP_11),
        (&["h2"], Version::HTTP_2),
        (&["http/1.1"], Version::HTTP_11),
        (&[], Version::HTTP_11),
    ] {
        let server = start(Terms { protocols, ..Terms::default() });
        let outbound = local();
        for _ in 0..3 {
            outbound.fetch(&Request { tls: &tls, ..Request::get(&server.url("/")) }).await.unwrap();
        }
        let seen = server.take_seen();
        assert!(seen.requests.iter().all(|(version, _)| *version == expected), "{protocols:?}");
        assert_eq!((seen.handshakes, seen.requests.len()), (1, 3), "{protocols:?}");
    }
}

#[tokio::test]
async fn a_ca_bundle_replaces_the_systems_authorities() {
    const VARIABLE: &str = "SSL_CERT_FILE";
    // Where the system's authorities are is said by a variable, which no thread may change: so the test runs itself.
    if std::env::var(VARIABLE) != Ok(pki("ca.pem")) {
        let nested = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "a_ca_bundle_replaces_the_systems_authorities"])
            .env(VARIABLE, pki("ca.pem"))
            .env_remove("SSL_CERT_DIR")
            .output()
            .unwrap();
        let told = String::from_utf8_lossy(&nested.stdout);
        // Shown when it failed alone: its total is none of a run's.
        assert!(nested.status.success() && told.contains("1 passed"), "{told}");
        return;
    }
    let server = start(Terms::default());
    assert_eq!(local().fetch(&Request::get(&server.url("/"))).await.unwrap().status, 200);
    assert_eq!(
        reason(&server, &with("other-ca.pem", None)).await,
        "TLS: certificate from an unknown authority"
    );
}

#[tokio::test]
async fn a_server_that_is_not_to_be_trusted_is_refused_with_the_reason() {
    for (certificate, expected) in [
        ("stray.pem", "TLS: certificate from an unknown authority"),
        ("self-signed.pem", "TLS: certificate from an unknown authority"),
        ("self-signed-ca.pem", "TLS: certificate is an authority's own, not a server's"),
        ("expired.pem", "TLS: certificate expired"),
        ("early.pem", "TLS: certificate not yet valid"),
        // Its name is `expired.example`: what a server calls itself does not choose the reason.
        ("elsewhere.pem", "TLS: certificate for another name"),
        ("client.pem", "TLS: invalid certificate"),
    ] {
        let server = start(Terms { certificate, ..Terms::default() });
        assert_eq!(reason(&server, &with("ca.pem", None)).await, expected, "{certificate}");
        let seen = server.take_seen();
        assert!(seen.requests.is_empty(), "{certificate}");
    }
}

#[tokio::test]
async fn a_client_certificate_that_the_server_does_not_take_is_named() {
    for (client, expected) in [
        (None, "TLS: client certificate missing"),
        (Some("client-expired.pem"), "TLS: client certificate expired or not yet valid"),
        (Some("client-early.pem"), "TLS: client certificate expired or not yet valid"),
        (Some("client-stray.pem"), "TLS: client certificate from an authority that the peer does not trust"),
        (Some("server.pem"), "TLS: client certificate missing or refused"),
    ] {
        for (version, protocols) in
            [(&TLS13, &["h2"] as &[_]), (&TLS13, &["http/1.1"]), (&TLS12, &["h2"]), (&TLS12, &["http/1.1"])]
        {
            let server = start(Terms { wants_client: true, protocols, version, ..Terms::default() });
            let reason = reason(&server, &with("ca.pem", client)).await;
            assert_eq!(reason, expected, "{client:?} {version:?} {protocols:?}");
            assert!(server.take_seen().requests.is_empty());
        }
    }
}

#[tokio::test]
async fn a_client_certificate_with_the_key_of_another_is_refused_before_anything_is_sent() {
    let server = start(Terms { wants_client: true, ..Terms::default() });
    let expected = format!(
        "client_certificate: file:{} holds a private key that is not its certificate's",
        pki("client-mismatch.pem")
    );
    assert_eq!(reason(&server, &with("ca.pem", Some("client-mismatch.pem"))).await, expected);
    assert_eq!(server.take_seen().handshakes, 0);
}

#[tokio::test]
async fn a_client_certificate_that_nobody_asks_for_does_no_harm() {
    let server = start(Terms::default());
    let tls = with("ca.pem", Some("client-expired.pem"));
    assert_eq!(
        local().fetch(&Request { tls: &tls, ..Request::get(&server.url("/")) }).await.unwrap().status,
        200
    );
}
