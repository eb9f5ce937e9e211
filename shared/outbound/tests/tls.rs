//! Requests over TLS: authorities, client certificates, HTTP/2, and what goes wrong.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::service::service_fn;
use hyper::{Response, Version};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use replicante_outbound::{AddressPolicy, FetchError, Outbound, Request, TlsFailure, TlsSettings};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig};

fn pki(file: &str) -> String {
    format!("{}/tests/pki/{file}", env!("CARGO_MANIFEST_DIR"))
}

/// A server with this certificate that wants a client's, if so.
struct Server {
    address: SocketAddr,
    seen: Arc<Mutex<(usize, Vec<Version>)>>,
}

impl Server {
    async fn start(certificate: &str, wants_client: bool, protocols: &[&str]) -> Self {
        let chain = CertificateDer::pem_file_iter(pki(certificate)).unwrap().map(Result::unwrap).collect();
        let key = PrivateKeyDer::from_pem_file(pki(certificate)).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(pki("ca.pem")).unwrap()).unwrap();
        let builder = ServerConfig::builder();
        let builder = if wants_client {
            builder.with_client_cert_verifier(WebPkiClientVerifier::builder(Arc::new(roots)).build().unwrap())
        } else {
            builder.with_no_client_auth()
        };
        let mut config = builder.with_single_cert(chain, key).unwrap();
        config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new((0, Vec::new())));
        let all = Arc::clone(&seen);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let Ok(stream) = acceptor.accept(stream).await else { continue };
                all.lock().unwrap().0 += 1;
                let seen = Arc::clone(&all);
                let service = service_fn(move |request: hyper::Request<_>| {
                    seen.lock().unwrap().1.push(request.version());
                    let _: hyper::body::Incoming = request.into_body();
                    async { Ok::<_, Infallible>(Response::new(Full::new(Bytes::from_static(b"{}")))) }
                });
                tokio::spawn(async move {
                    let _ = Builder::new(TokioExecutor::new())
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
            }
        });
        Server { address, seen }
    }

    fn url(&self) -> String {
        format!("https://{}/", self.address)
    }
}

fn with(authority: &str, client: Option<&str>) -> TlsSettings {
    TlsSettings {
        ca_bundle: Some(format!("file:{}", pki(authority))),
        client_certificate: client.map(|file| format!("file:{}", pki(file))),
    }
}

async fn fails(server: &Server, tls: TlsSettings) -> FetchError {
    let outbound = Outbound::new(AddressPolicy::local());
    outbound.fetch(&Request { tls: &tls, ..Request::get(&server.url()) }).await.unwrap_err()
}

#[tokio::test]
async fn a_ca_bundle_and_a_client_certificate_open_an_agents_door_over_http_2() {
    let server = Server::start("server.pem", true, &["h2", "http/1.1"]).await;
    let outbound = Outbound::new(AddressPolicy::local());
    let tls = with("ca.pem", Some("client.pem"));
    for host in [server.url(), format!("https://localhost:{}/", server.address.port())] {
        for _ in 0..3 {
            let request = Request { tls: &tls, ..Request::get(&host) };
            assert_eq!(outbound.fetch(&request).await.unwrap().status, 200);
        }
    }
    let seen = server.seen.lock().unwrap();
    assert_eq!((seen.0, &seen.1[..]), (2, &[Version::HTTP_2; 6][..]), "one connection a host");
}

#[tokio::test]
async fn a_server_without_http_2_gets_http_1() {
    let server = Server::start("server.pem", false, &[]).await;
    let outbound = Outbound::new(AddressPolicy::local());
    let tls = with("ca.pem", None);
    outbound.fetch(&Request { tls: &tls, ..Request::get(&server.url()) }).await.unwrap();
    assert_eq!(server.seen.lock().unwrap().1, [Version::HTTP_11]);
}

#[tokio::test]
async fn a_ca_bundle_replaces_the_systems_authorities() {
    const VARIABLE: &str = "SSL_CERT_FILE";
    // Where the system's authorities are is said by a variable, which no thread may change: so the test runs itself.
    if std::env::var(VARIABLE) != Ok(pki("ca.pem")) {
        let status = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "a_ca_bundle_replaces_the_systems_authorities"])
            .env(VARIABLE, pki("ca.pem"))
            .env_remove("SSL_CERT_DIR")
            .status();
        assert!(status.unwrap().success());
        return;
    }
    let server = Server::start("server.pem", false, &[]).await;
    let outbound = Outbound::new(AddressPolicy::local());
    assert_eq!(outbound.fetch(&Request::get(&server.url())).await.unwrap().status, 200);
    let error = fails(&server, with("other-ca.pem", None)).await;
    assert_eq!(error, FetchError::Tls(TlsFailure::UnknownAuthority));
    assert_eq!(error.reason(), "TLS: certificate from an unknown authority");
}

#[tokio::test]
async fn a_missing_client_certificate_is_named() {
    let server = Server::start("server.pem", true, &["h2", "http/1.1"]).await;
    let error = fails(&server, with("ca.pem", None)).await;
    assert_eq!(error, FetchError::Tls(TlsFailure::ClientCertificate));
}

#[tokio::test]
async fn a_certificate_for_another_name_and_an_expired_one_are_refused() {
    let server = Server::start("elsewhere.pem", false, &[]).await;
    assert_eq!(fails(&server, with("ca.pem", None)).await, FetchError::Tls(TlsFailure::OtherName));
    let server = Server::start("expired.pem", false, &[]).await;
    assert_eq!(fails(&server, with("ca.pem", None)).await, FetchError::Tls(TlsFailure::NotValidNow));
}
