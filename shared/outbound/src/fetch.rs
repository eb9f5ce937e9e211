//! One request and its bounded answer.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use replicante_address_policy::AddressPolicy;
use replicante_model::record::TlsSettings;
use reqwest::dns::Resolve;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, Method, Response, Url};
use rustls::pki_types::ServerName;
use tokio::time::timeout;

use crate::classify::classify;
use crate::clients::{Clients, Connections};
use crate::error::FetchError;
use crate::resolve::{self, Names};
use crate::secrets::{Secret, Secrets};
use crate::tls;

static NO_TLS_SETTINGS: TlsSettings = TlsSettings { ca_bundle: None, client_certificate: None };

/// A request: [`Request::get`] or [`Request::post`], with the limits changed where they should be others.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    /// The whole URL, `http` or `https`.
    pub url: &'a str,
    /// The JSON to `POST`; without it the request is a `GET`.
    pub json: Option<Bytes>,
    /// Further headers: names and values.
    pub headers: &'a [(String, Secret)],
    /// TLS material, for `https`. Default: the system's authorities, no client certificate. What it takes to read a
    /// parameter of Systems Manager, seconds at most, is no part of the request's time.
    pub tls: &'a TlsSettings,
    /// Limit for opening a connection. Default 3 s. A pool of connections is kept for each value in use.
    pub connect_timeout: Duration,
    /// Limit for the whole request, with connecting and the body. Default 10 s.
    pub timeout: Duration,
    /// The largest body of the answer in bytes. Default 8 MiB.
    pub max_body: u64,
}

impl<'a> Request<'a> {
    /// A `GET` with the default limits.
    pub fn get(url: &'a str) -> Self {
        Request {
            url,
            json: None,
            headers: &[],
            tls: &NO_TLS_SETTINGS,
            connect_timeout: Duration::from_secs(3),
            timeout: Duration::from_secs(10),
            max_body: 8 * 1024 * 1024,
        }
    }

    /// A `POST` of JSON with the default limits.
    pub fn post(url: &'a str, json: impl Into<Bytes>) -> Self {
        Request { json: Some(json.into()), ..Request::get(url) }
    }
}

/// An answer, whatever its status. A redirect is an answer as it is.
#[derive(Clone, Debug)]
pub struct Fetched {
    /// The HTTP status.
    pub status: u16,
    /// The whole body, at most the request's limit.
    pub body: Bytes,
    headers: HeaderMap,
}

impl Fetched {
    /// A header's value; `None` when it is absent or no text. Names are in any case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The media type of the body without its parameters, as it was sent: `application/json`.
    pub fn content_type(&self) -> Option<&str> {
        let value = self.headers.get(CONTENT_TYPE)?.to_str().ok()?;
        Some(value.split(';').next().unwrap_or(value).trim())
    }
}

/// The client. Made once a process and shared; it keeps idle connections for the next request of the same poll.
pub struct Outbound {
    policy: Arc<AddressPolicy>,
    clients: Clients,
    /// Which of the system's name servers knew the last time.
    pub(crate) name_server: AtomicUsize,
}

impl std::fmt::Debug for Outbound {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Outbound").field("policy", &self.policy).finish_non_exhaustive()
    }
}

impl Outbound {
    /// A client that obeys this policy. Nothing is opened or read yet.
    pub fn new(policy: AddressPolicy) -> Self {
        Self::with_secrets(policy, Secrets::default())
    }

    /// A client that obeys this policy, and whose references these secrets resolve.
    pub fn with_secrets(policy: AddressPolicy, secrets: Secrets) -> Self {
        Self::built(policy, resolve::system(), secrets)
    }

    /// A client that looks names up as `names` says.
    #[cfg(test)]
    fn with_names(policy: AddressPolicy, names: Names) -> Self {
        Self::built(policy, names, Secrets::default())
    }

    fn built(policy: AddressPolicy, names: Names, secrets: Secrets) -> Self {
        let policy = Arc::new(policy);
        let clients = Clients::new(Arc::clone(&policy), names, secrets);
        Outbound { clients, policy, name_server: AtomicUsize::default() }
    }

    /// The policy that is obeyed.
    pub fn policy(&self) -> &AddressPolicy {
        &self.policy
    }

    /// What resolves references.
    pub fn secrets(&self) -> &Secrets {
        self.clients.secrets()
    }

    /// Sends a request and reads the whole answer.
    ///
    /// A `GET` whose connection is closed before the head of an answer was complete is sent once more, whether the
    /// connection was new or kept, within the same limit of time: a kept one may have been closed by the other side
    /// meanwhile, which says nothing of its health.
    ///
    /// # Errors
    /// Everything but an HTTP answer; any status is an answer. See [`FetchError`].
    pub async fn fetch(&self, request: &Request<'_>) -> Result<Fetched, FetchError> {
        let url = self.admit(request.url)?;
        let headers = headers(request.headers)?;
        let tls_settings = (url.scheme() == "https").then_some(request.tls);
        let connections = self.clients.get(tls_settings, request.connect_timeout).await?;
        let started = Instant::now();
        let left = || request.timeout.saturating_sub(started.elapsed());
        let late = FetchError::Timeout(request.timeout);
        let sending = async {
            let response = send(&connections.client, &url, &headers, request).await;
            match response {
                Err(FetchError::ConnectionClosed) if request.json.is_none() => {
                    send(&connections.client, &url, &headers, request).await
                }
                response => response,
            }
        };
        let response = match timeout(request.timeout, sending).await.unwrap_or(Err(late.clone())) {
            Err(FetchError::ConnectionClosed) => {
                let told = self.verdict(&connections, &url, left()).await;
                return Err(told.unwrap_or(FetchError::ConnectionClosed));
            }
            response => response?,
        };
        timeout(left(), read(response, request)).await.unwrap_or(Err(late))
    }

    /// Why the server closes connections, where TLS knows: see [`verdict`](tls::verdict).
    async fn verdict(&self, connections: &Connections, url: &Url, limit: Duration) -> Option<FetchError> {
        let config = connections.tls.clone()?;
        let (host, port) = (url.host_str()?.trim_matches(['[', ']']), url.port_or_known_default()?);
        let name = ServerName::try_from(host.to_owned()).ok()?;
        let address = match host.parse::<IpAddr>() {
            Ok(address) => SocketAddr::new(address, port),
            Err(_) => {
                let found = self.clients.resolver().resolve(host.parse().ok()?);
                let mut found = timeout(limit, found).await.ok()?.ok()?;
                SocketAddr::new(found.next()?.ip(), port)
            }
        };
        tls::verdict(config, address, name, limit).await
    }

    /// Checks what is known before a name is resolved: the port, and an address in the place of a name. The
    /// HTTP client does not ask the resolver about those. The URL parser has normalised odd forms of
    /// addresses (`0x7f.1`, `2130706433`) by then.
    fn admit(&self, text: &str) -> Result<Url, FetchError> {
        let bad = |problem: &str| FetchError::BadRequest(format!("address is no URL: {problem}"));
        let url = Url::parse(text).map_err(|error| bad(&error.to_string()))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(bad("expected http:// or https://"));
        }
        let port = url.port_or_known_default().ok_or_else(|| bad("expected a port"))?;
        let host = url.host_str().ok_or_else(|| bad("expected a host"))?;
        match host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>() {
            Ok(address) => self.policy.check(SocketAddr::new(address, port)),
            Err(_) => self.policy.check_port(port),
        }
        .map_err(FetchError::AddressRefused)?;
        Ok(url)
    }
}

fn headers(pairs: &[(String, Secret)]) -> Result<HeaderMap, FetchError> {
    let mut headers = HeaderMap::with_capacity(pairs.len());
    for (name, value) in pairs {
        let bad = |what| FetchError::BadRequest(format!("header `{name}`: {what}"));
        let key = HeaderName::from_bytes(name.as_bytes())
            .map_err(|_| bad("the name is no token of letters, digits and dashes"))?;
        let mut value = visible(value).ok_or_else(|| bad("the value holds a line end or is no ASCII"))?;
        value.set_sensitive(true);
        headers.append(key, value);
    }
    Ok(headers)
}

fn visible(value: &Secret) -> Option<HeaderValue> {
    let text = str::from_utf8(value.bytes()).ok()?;
    HeaderValue::from_str(text).ok()
}

async fn send(
    client: &Client,
    url: &Url,
    headers: &HeaderMap,
    request: &Request<'_>,
) -> Result<Response, FetchError> {
    let method = if request.json.is_some() { Method::POST } else { Method::GET };
    let mut builder = client.request(method, url.clone());
    if let Some(json) = &request.json {
        builder = builder.header(CONTENT_TYPE, "application/json").body(json.clone());
    }
    if !headers.is_empty() {
        builder = builder.headers(headers.clone());
    }
    builder.send().await.map_err(|error| classify(&error, request.connect_timeout))
}

/// Reads the body to its very end, so that the connection can be used again; stops where it is too long, which
/// closes the connection.
async fn read(mut response: Response, request: &Request<'_>) -> Result<Fetched, FetchError> {
    let too_large = || FetchError::TooLarge(request.max_body);
    let limit = usize::try_from(request.max_body).unwrap_or(usize::MAX);
    let announced = response.content_length().unwrap_or(0);
    if announced > request.max_body {
        return Err(too_large());
    }
    let status = response.status().as_u16();
    let mut body = Body::default();
    loop {
        let chunk = response.chunk().await.map_err(|error| classify(&error, request.connect_timeout))?;
        let Some(chunk) = chunk else { break };
        if body.len().saturating_add(chunk.len()) > limit {
            return Err(too_large());
        }
        body.push(chunk);
    }
    let headers = std::mem::take(response.headers_mut());
    Ok(Fetched { status, body: body.finish(), headers })
}

/// A body in the making. Most come in one piece, which is not copied.
#[derive(Default)]
struct Body {
    first: Bytes,
    rest: BytesMut,
}

impl Body {
    fn len(&self) -> usize {
        self.first.len().max(self.rest.len())
    }

    fn push(&mut self, chunk: Bytes) {
        if self.first.is_empty() && self.rest.is_empty() {
            self.first = chunk;
            return;
        }
        if self.rest.is_empty() {
            self.rest.extend_from_slice(&std::mem::take(&mut self.first));
        }
        self.rest.extend_from_slice(&chunk);
    }

    fn finish(self) -> Bytes {
        if self.rest.is_empty() { self.first } else { self.rest.freeze() }
    }
}

#[cfg(test)]
#[path = "names_tests.rs"]
mod names_tests;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_values_of_headers_are_shown_by_nobody_who_shows_a_request() {
        let headers =
            headers(&[("authorization".to_owned(), Secret::from("Bearer token".to_owned()))]).unwrap();
        assert_eq!(headers["authorization"], "Bearer token");
        assert!(!format!("{headers:?}").contains("token"), "{headers:?}");
    }
}
