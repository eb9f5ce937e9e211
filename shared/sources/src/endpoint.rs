//! The request of every source that speaks HTTP: headers, timeout, TLS settings and limits of its endpoint, and what
//! counts as an answer. Redirects and addresses are the client's matter (`replicante-outbound`).

use bytes::Bytes;
use replicante_objects::{Endpoint, HeaderValue};
use replicante_outbound::{Fetched, Outbound, Reference, ReferenceError, Request, Secret, Secrets};

use crate::Outside;
use crate::error::Failure;

/// An endpoint that is about to be asked, once or page by page.
pub(crate) struct Caller<'a> {
    endpoint: &'a Endpoint,
    outbound: &'a Outbound,
    /// References are resolved at each fetch.
    headers: Vec<(String, Secret)>,
}

impl<'a> Caller<'a> {
    pub async fn new(endpoint: &'a Endpoint, outside: &'a Outside) -> Result<Self, Failure> {
        let headers = headers(endpoint, outside.outbound.secrets()).await?;
        Ok(Caller { endpoint, outbound: &outside.outbound, headers })
    }

    /// Posts JSON to the endpoint, and gives the JSON that comes back.
    pub async fn post(&self, json: Vec<u8>) -> Result<Bytes, Failure> {
        self.ask(Request::post(self.endpoint.url.as_str(), json)).await
    }

    /// Gets the JSON of a URL: the endpoint's, or one below it.
    pub async fn get(&self, url: &str) -> Result<Bytes, Failure> {
        self.ask(Request::get(url)).await
    }

    async fn ask(&self, request: Request<'_>) -> Result<Bytes, Failure> {
        let request = Request {
            headers: &self.headers,
            tls: &self.endpoint.tls,
            timeout: self.endpoint.timeout,
            max_body: self.endpoint.limits.bytes,
            ..request
        };
        let answer = self.outbound.fetch(&request).await.map_err(Failure::Fetch)?;
        check(&answer)?;
        Ok(answer.body)
    }
}

async fn headers(endpoint: &Endpoint, secrets: &Secrets) -> Result<Vec<(String, Secret)>, Failure> {
    let mut headers = Vec::with_capacity(endpoint.headers.len());
    for (name, given) in &endpoint.headers {
        let value = match given {
            HeaderValue::Literal(text) => Ok(text.clone().into()),
            HeaderValue::Reference(reference) => match Reference::parse(&reference.to_string()) {
                Ok(reference) => secrets.read(&reference).await.map(|secret| secret.line()),
                Err(error) => Err(error),
            },
        };
        let failed =
            |error: ReferenceError| Failure::Header { header: name.clone(), problem: error.to_string() };
        headers.push((name.clone(), value.map_err(failed)?));
    }
    Ok(headers)
}

/// Refuses whatever is not plainly a whole answer of JSON: 206 is a part of one, and a page of HTML with status 200
/// comes from something else than the source.
fn check(answer: &Fetched) -> Result<(), Failure> {
    if answer.status != 200 {
        return Err(Failure::Status(answer.status));
    }
    match answer.content_type() {
        Some(media) if is_json(media) => Ok(()),
        media => Err(Failure::ContentType(media.map(|media| media.chars().take(80).collect()))),
    }
}

/// `application/json`, or a type that is JSON by its suffix (RFC 6839).
fn is_json(media: &str) -> bool {
    let media = media.to_ascii_lowercase();
    media == "application/json" || (media.starts_with("application/") && media.ends_with("+json"))
}
