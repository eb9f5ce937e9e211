//! A server behind TLS that may demand a client certificate, and tells what it saw.
#![allow(dead_code, missing_docs, clippy::unwrap_used, clippy::expect_used)]

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response, Version};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::version::TLS13;
use tokio_rustls::rustls::{RootCertStore, ServerConfig, SupportedProtocolVersion};

/// Where a certificate of the tests is: `pki/README.md` tells of them.
pub fn pki(file: &str) -> String {
    let mut above = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors();
    let folder = above.find_map(|folder| {
        let folder = folder.join("shared/outbound/tests/pki");
        folder.is_dir().then_some(folder)
    });
    folder.unwrap().join(file).display().to_string()
}

/// What a server shows and wants. The default is one that is in order, and that any client may use.
pub struct Terms {
    /// The file of its certificate and key.
    pub certificate: &'static str,
    /// Whether it wants a client certificate, of `ca.pem`.
    pub wants_client: bool,
    /// What it offers by ALPN.
    pub protocols: &'static [&'static str],
    /// The one version of TLS that it speaks.
    pub version: &'static SupportedProtocolVersion,
}

impl Default for Terms {
    fn default() -> Self {
        Terms {
            certificate: "server.pem",
            wants_client: false,
            protocols: &["h2", "http/1.1"],
            version: &TLS13,
        }
    }
}

impl Terms {
    fn acceptor(&self) -> TlsAcceptor {
        let file = pki(self.certificate);
        let chain = CertificateDer::pem_file_iter(&file).unwrap().map(Result::unwrap).collect();
        let key = PrivateKeyDer::from_pem_file(&file).unwrap();
        let builder = ServerConfig::builder_with_protocol_versions(&[self.version]);
        let builder = if self.wants_client {
            let mut roots = RootCertStore::empty();
            roots.add(CertificateDer::from_pem_file(pki("ca.pem")).unwrap()).unwrap();
            builder.with_client_cert_verifier(WebPkiClientVerifier::builder(Arc::new(roots)).build().unwrap())
        } else {
            builder.with_no_client_auth()
        };
        let mut config = builder.with_single_cert(chain, key).unwrap();
        config.alpn_protocols = self.protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        TlsAcceptor::from(Arc::new(config))
    }
}

/// What a server saw.
#[derive(Default)]
pub struct Seen {
    /// Handshakes that were completed.
    pub handshakes: usize,
    /// Each request's version of HTTP and path.
    pub requests: Vec<(Version, String)>,
}

/// A server that runs as long as the test.
pub struct TlsServer {
    pub address: SocketAddr,
    seen: Arc<Mutex<Seen>>,
    _running: oneshot::Sender<()>,
}

impl TlsServer {
    /// Answers each request with what `answer` says to its path: a status and JSON. On a thread of its own, as a server
    /// elsewhere would: which end sees first that a connection ends is a race.
    pub fn start(terms: Terms, answer: impl Fn(&str) -> (u16, String) + Send + Sync + 'static) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Seen::default()));
        let (acceptor, answer, all) = (terms.acceptor(), Arc::new(answer), Arc::clone(&seen));
        let (running, stopped) = oneshot::channel::<()>();
        let serving = async move {
            let listener = TcpListener::from_std(listener).unwrap();
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(acceptor.clone(), stream, Arc::clone(&all), Arc::clone(&answer)));
            }
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        std::thread::spawn(move || {
            runtime.block_on(async {
                tokio::select! { () = serving => {}, _ = stopped => {} }
            });
        });
        TlsServer { address, seen, _running: running }
    }

    pub fn url(&self, path: &str) -> String {
        format!("https://{}{path}", self.address)
    }

    /// What was seen since the last call.
    pub fn take_seen(&self) -> Seen {
        std::mem::take(&mut self.seen.lock().unwrap())
    }
}

async fn serve(
    acceptor: TlsAcceptor,
    stream: TcpStream,
    seen: Arc<Mutex<Seen>>,
    answer: Arc<impl Fn(&str) -> (u16, String)>,
) {
    let Ok(stream) = acceptor.accept(stream).await else { return };
    seen.lock().unwrap().handshakes += 1;
    let service = service_fn(move |request: Request<Incoming>| {
        let path = request.uri().path().to_owned();
        let (status, body) = answer(&path);
        seen.lock().unwrap().requests.push((request.version(), path));
        let response = Response::builder().status(status).header("content-type", "application/json");
        let response = response.body(Full::new(Bytes::from(body))).unwrap();
        async { Ok::<_, Infallible>(response) }
    });
    let _ = Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await;
}
