//! The pools of connections: one for each TLS setting and connect timeout.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use replicante_address_policy::AddressPolicy;
use replicante_model::record::TlsSettings;
use reqwest::header::{ACCEPT, HeaderMap, HeaderValue};
use reqwest::{Client, redirect};
use rustls::ClientConfig;

use crate::error::FetchError;
use crate::resolve::{Lookups, Names, Resolver};
use crate::secrets::Secrets;
use crate::tls::Material;

/// How long a connection is kept without a request: for the next request to the same node within its poll, which follows
/// at once. Refreshes are much further apart, so that longer would only pile up open sockets, with their buffers; a
/// function has 1,024 descriptors.
const POOL_IDLE: Duration = Duration::from_millis(250);
/// The most pools that are kept. One a TLS setting in use, so a handful; beyond it the oldest goes.
const MOST: usize = 64;

struct Pool {
    /// `None` for plain HTTP, which needs no authorities to be loaded.
    tls: Option<TlsSettings>,
    connect_timeout: Duration,
    /// When its TLS material is to be read again: a rotated certificate is picked up, and one that is gone refused.
    until: Option<Instant>,
    connections: Connections,
}

/// What requests are sent with.
#[derive(Clone, Debug)]
pub(crate) struct Connections {
    pub(crate) client: Client,
    /// What the client says and trusts in TLS; `None` for plain HTTP.
    pub(crate) tls: Option<Arc<ClientConfig>>,
}

/// The clients that were built, most recent last.
pub(crate) struct Clients {
    resolver: Resolver,
    secrets: Secrets,
    pools: Mutex<Vec<Pool>>,
}

impl Clients {
    pub(crate) fn new(policy: Arc<AddressPolicy>, names: Names, secrets: Secrets) -> Self {
        let resolver = Resolver { policy, lookups: Lookups::new(), names };
        Clients { resolver, secrets, pools: Mutex::new(Vec::new()) }
    }

    /// What resolves references.
    pub(crate) fn secrets(&self) -> &Secrets {
        &self.secrets
    }

    /// The client for these settings, built when there is none. Building reads the TLS material first; without a CA
    /// bundle the system's authorities are loaded, under the lock, so that many requests at the start of a function
    /// build one client.
    ///
    /// # Errors
    /// [`FetchError::TlsSettings`] when the material can't be had.
    pub(crate) async fn get(
        &self,
        tls: Option<&TlsSettings>,
        connect_timeout: Duration,
    ) -> Result<Connections, FetchError> {
        if let Some(known) = known(&mut self.pools(), tls, connect_timeout) {
            return Ok(known);
        }
        let material = match tls {
            Some(tls) => Some(Material::read(tls, &self.secrets).await?),
            None => None,
        };
        let mut pools = self.pools();
        // Another request may have built it meanwhile.
        if let Some(known) = known(&mut pools, tls, connect_timeout) {
            return Ok(known);
        }
        let connections = build(self.resolver(), material.as_ref(), connect_timeout)?;
        if pools.len() >= MOST {
            pools.remove(0);
        }
        let until = material.and_then(|material| material.until);
        pools.push(Pool { tls: tls.cloned(), connect_timeout, until, connections: connections.clone() });
        Ok(connections)
    }

    fn pools(&self) -> MutexGuard<'_, Vec<Pool>> {
        self.pools.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The resolver that all connections are opened with.
    pub(crate) fn resolver(&self) -> Resolver {
        self.resolver.clone()
    }
}

/// The client of these settings whose material still counts. One whose material does not is forgotten, also when it can't
/// be read again: an authority may be gone on purpose.
fn known(pools: &mut Vec<Pool>, tls: Option<&TlsSettings>, connect_timeout: Duration) -> Option<Connections> {
    let now = Instant::now();
    pools.retain(|pool| pool.until.is_none_or(|until| now < until));
    let known = |pool: &&Pool| pool.tls.as_ref() == tls && pool.connect_timeout == connect_timeout;
    pools.iter().find(known).map(|pool| pool.connections.clone())
}

fn build(
    resolver: Resolver,
    material: Option<&Material<'_>>,
    connect_timeout: Duration,
) -> Result<Connections, FetchError> {
    let accept = HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static("application/json"))]);
    let builder = Client::builder()
        .tls_backend_rustls()
        .user_agent(concat!("replicante-serverless/", env!("CARGO_PKG_VERSION")))
        .default_headers(accept)
        .redirect(redirect::Policy::none())
        .no_proxy()
        .referer(false)
        .dns_resolver(resolver)
        .connect_timeout(connect_timeout)
        .pool_idle_timeout(POOL_IDLE);
    let config = material.map(crate::tls::config).transpose()?;
    let builder = match &config {
        None => builder.tls_certs_only([]),
        Some(config) => builder.tls_backend_preconfigured(config.clone()),
    };
    let client = builder.build().map_err(|error| FetchError::TlsSettings {
        what: "tls",
        problem: format!("no client could be built: {}", root(&error)),
    })?;
    Ok(Connections { client, tls: config.map(Arc::new) })
}

fn root(error: &dyn std::error::Error) -> String {
    let mut last = error;
    while let Some(cause) = last.source() {
        last = cause;
    }
    last.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(3);

    fn clients() -> Clients {
        Clients::new(Arc::new(AddressPolicy::default()), crate::resolve::system(), Secrets::default())
    }

    fn count(clients: &Clients) -> usize {
        clients.pools.lock().unwrap().len()
    }

    fn with(ca_bundle: Option<&str>, client_certificate: Option<&str>) -> TlsSettings {
        let text = |reference: &str| reference.to_owned();
        TlsSettings { ca_bundle: ca_bundle.map(text), client_certificate: client_certificate.map(text) }
    }

    fn pki(file: &str) -> String {
        format!("file:{}/tests/pki/{file}", env!("CARGO_MANIFEST_DIR"))
    }

    #[tokio::test]
    async fn a_client_is_built_once_for_each_setting() {
        let clients = clients();
        let tls = with(Some(&pki("ca.pem")), Some(&pki("client.pem")));
        for _ in 0..3 {
            clients.get(None, LIMIT).await.unwrap();
            clients.get(Some(&tls), LIMIT).await.unwrap();
        }
        assert_eq!(count(&clients), 2);
        clients.get(None, LIMIT * 2).await.unwrap();
        assert_eq!(count(&clients), 3);
        for millis in 0..MOST as u64 * 2 {
            clients.get(None, Duration::from_millis(millis)).await.unwrap();
        }
        assert_eq!(count(&clients), MOST);
    }

    #[tokio::test]
    async fn material_that_cannot_be_had_says_what_and_why() {
        let clients = clients();
        let reason = async |tls: TlsSettings| clients.get(Some(&tls), LIMIT).await.unwrap_err().reason();
        assert_eq!(
            reason(with(Some("ssm:/ca"), None)).await,
            "ca_bundle: ssm:/ca can't be read here: use env:NAME or file:/path"
        );
        assert_eq!(
            reason(with(Some("env:CARGO_PKG_NAME"), None)).await,
            "ca_bundle: env:CARGO_PKG_NAME holds no PEM certificates"
        );
        let no_key = pki("ca.pem");
        assert_eq!(
            reason(with(None, Some(&no_key))).await,
            format!("client_certificate: {no_key} holds no PEM certificate chain with its private key")
        );
        let no_reference = reason(with(None, Some("-----BEGIN"))).await;
        assert!(no_reference.starts_with("client_certificate: not a reference"), "{no_reference}");
        assert_eq!(count(&clients), 0);
    }

    #[tokio::test]
    async fn material_is_read_again_and_what_is_gone_is_no_longer_trusted() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ca.pem");
        std::fs::copy(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/pki/ca.pem"), &path).unwrap();
        let clients = clients();
        let tls = with(Some(&format!("file:{}", path.display())), None);
        clients.get(Some(&tls), LIMIT).await.unwrap();
        let until = || clients.pools.lock().unwrap()[0].until.unwrap();
        assert!(until() > Instant::now() + Duration::from_secs(290));
        clients.pools.lock().unwrap()[0].until = Some(Instant::now());
        let certificate = std::fs::read(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        let reason = clients.get(Some(&tls), LIMIT).await.unwrap_err().reason();
        assert!(reason.ends_with("can't be read: entity not found"), "{reason}");
        std::fs::write(&path, certificate).unwrap();
        clients.get(Some(&tls), LIMIT).await.unwrap();
        assert!(until() > Instant::now(), "it was read again");
        assert_eq!(count(&clients), 1);
    }
}
