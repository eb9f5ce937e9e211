//! TLS settings as rustls takes them, and what a server says of a client that it turns away.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use replicante_model::record::TlsSettings;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, InconsistentKeys, RootCertStore};
use rustls_platform_verifier::BuilderVerifierExt;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::classify::of_io_cause;
use crate::error::FetchError;
use crate::reference::Reference;
use crate::secrets::{Secret, Secrets};

/// How long a server is waited for that took a connection and says nothing. Its verdict comes at once.
const VERDICT: Duration = Duration::from_secs(1);

/// The material of TLS settings, read.
#[derive(Default)]
pub(crate) struct Material<'a> {
    /// Its reference, for errors, and what it gave.
    ca_bundle: Option<(&'a str, Secret)>,
    client_certificate: Option<(&'a str, Secret)>,
    /// When it is to be read again; `None`: there is none.
    pub(crate) until: Option<Instant>,
}

impl<'a> Material<'a> {
    /// Reads what the settings refer to.
    ///
    /// # Errors
    /// [`FetchError::TlsSettings`] when it can't be had.
    pub(crate) async fn read(tls: &'a TlsSettings, secrets: &Secrets) -> Result<Self, FetchError> {
        let mut material = Material::default();
        for (what, reference, place) in [
            ("ca_bundle", &tls.ca_bundle, &mut material.ca_bundle),
            ("client_certificate", &tls.client_certificate, &mut material.client_certificate),
        ] {
            let Some(text) = reference else { continue };
            let failed = |error| FetchError::material(what, &error);
            let found = secrets.find(&Reference::parse(text).map_err(failed)?).await.map_err(failed)?;
            *place = Some((text.as_str(), found.value));
            let until = material.until.map_or(found.until, |until| until.min(found.until));
            material.until = Some(until);
        }
        Ok(material)
    }
}

/// What the client says and trusts. Without a CA bundle the system's authorities count.
///
/// # Errors
/// [`FetchError::TlsSettings`] when the material is none.
pub(crate) fn config(material: &Material<'_>) -> Result<ClientConfig, FetchError> {
    let builder = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| unusable(&error))?;
    let builder = match &material.ca_bundle {
        Some((reference, pem)) => builder.with_root_certificates(authorities(reference, pem)?),
        None => builder.with_platform_verifier().map_err(|error| unusable(&error))?,
    };
    let mut config = match &material.client_certificate {
        Some((reference, pem)) => {
            let (chain, key) = identity(reference, pem)?;
            builder.with_client_auth_cert(chain, key).map_err(|error| {
                let problem = match error {
                    rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
                        "holds a private key that is not its certificate's"
                    }
                    _ => NO_IDENTITY,
                };
                bad("client_certificate", reference, problem)
            })?
        }
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = vec![b"h2".into(), b"http/1.1".into()];
    Ok(config)
}

const NO_IDENTITY: &str = "holds no PEM certificate chain with its private key";

fn authorities(reference: &str, pem: &Secret) -> Result<RootCertStore, FetchError> {
    let mut authorities = RootCertStore::empty();
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.bytes()).collect();
    for certificate in found.unwrap_or_default() {
        let added = authorities.add(certificate);
        added.map_err(|_| bad("ca_bundle", reference, "holds a certificate that can't be read"))?;
    }
    if authorities.is_empty() {
        return Err(bad("ca_bundle", reference, "holds no PEM certificates"));
    }
    Ok(authorities)
}

fn identity(
    reference: &str,
    pem: &Secret,
) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), FetchError> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.bytes()).collect();
    match (chain, PrivateKeyDer::from_pem_slice(pem.bytes())) {
        (Ok(chain), Ok(key)) if !chain.is_empty() => Ok((chain, key)),
        _ => Err(bad("client_certificate", reference, NO_IDENTITY)),
    }
}

fn bad(what: &'static str, reference: &str, problem: &str) -> FetchError {
    FetchError::TlsSettings { what, problem: format!("{reference} {problem}") }
}

fn unusable(error: &rustls::Error) -> FetchError {
    FetchError::TlsSettings { what: "tls", problem: format!("no client could be built: {error}") }
}

/// Why a server closes connections, where TLS knows: it is connected to once more, and asked nothing.
///
/// In TLS 1.3 the client is done before the server has looked at its certificate. The refusal comes when the request
/// is already on its way, and it is chance whether the HTTP client gets to read it.
pub(crate) async fn verdict(
    config: Arc<ClientConfig>,
    address: SocketAddr,
    name: ServerName<'static>,
    limit: Duration,
) -> Option<FetchError> {
    let asked = async {
        let stream = TcpStream::connect(address).await?;
        let mut stream = TlsConnector::from(config).connect(name, stream).await?;
        stream.read_u8().await
    };
    let error = tokio::time::timeout(limit.min(VERDICT), asked).await.ok()?.err()?;
    of_io_cause(&error).filter(|said| matches!(said, FetchError::Tls(_)))
}
