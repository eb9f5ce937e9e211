//! The source `http`: an endpoint that answers with pages of records.
//!
//! `POST`: a JSON object, the configured body with `"cursor": null`; then again with the cursor of the answer until
//! that is null. `GET`: one request without a body, one answer without further pages.

use std::collections::HashSet;
use std::sync::Arc;

use replicante_model::record::SourceAnswer;
use replicante_objects::{HeaderValue, HttpMethod, HttpSource};
use replicante_outbound::{Fetched, Outbound, Reference, Request};
use serde_json::Value;

use crate::answer::{Collector, Cursor};
use crate::error::{Failure, SourceError};
use crate::{Fetching, Source};

/// An HTTP endpoint.
pub(crate) struct Http {
    spec: HttpSource,
    outbound: Arc<Outbound>,
}

impl Http {
    pub fn new(spec: HttpSource, outbound: Arc<Outbound>) -> Self {
        Http { spec, outbound }
    }

    async fn fetch_all(&self) -> Result<SourceAnswer, SourceError> {
        let headers = self.headers().map_err(|failure| self.error(1, failure))?;
        let mut collector = Collector::new(self.spec.limits.clone());
        let mut seen = HashSet::new();
        let mut cursor = None;
        for page in 1..=self.spec.limits.pages {
            let next = self.fetch_page(&headers, cursor.as_deref(), &mut collector).await;
            let Some(next) = next.map_err(|failure| self.error(page, failure))? else {
                return Ok(collector.finish());
            };
            if self.spec.method == HttpMethod::Get {
                return Err(self.error(page, Failure::UnexpectedCursor));
            }
            if !seen.insert(next.clone()) {
                return Err(self.error(page, Failure::RepeatedCursor));
            }
            cursor = Some(next);
        }
        let most = self.spec.limits.pages;
        Err(self.error(most, Failure::Limit { limit: "pages", what: "pages", most }))
    }

    async fn fetch_page(
        &self,
        headers: &[(String, String)],
        cursor: Option<&str>,
        collector: &mut Collector,
    ) -> Result<Cursor, Failure> {
        let url = self.spec.url.as_str();
        let request = match self.spec.method {
            HttpMethod::Post => Request::post(url, self.body(cursor)),
            HttpMethod::Get => Request::get(url),
        };
        let request = Request {
            headers,
            tls: &self.spec.tls,
            timeout: self.spec.timeout,
            max_body: self.spec.limits.bytes,
            ..request
        };
        let answer = self.outbound.fetch(&request).await.map_err(Failure::Fetch)?;
        check(&answer)?;
        collector.add_json(&answer.body)
    }

    /// The body of a request: what is configured, and the cursor.
    fn body(&self, cursor: Option<&str>) -> Vec<u8> {
        let mut body = self.spec.body.clone();
        body.insert("cursor".into(), cursor.into());
        Value::Object(body).to_string().into_bytes()
    }

    /// The headers, references resolved: at each fetch, so that a new secret counts at once.
    fn headers(&self) -> Result<Vec<(String, String)>, Failure> {
        let value = |value: &HeaderValue| match value {
            HeaderValue::Literal(text) => Ok(text.clone()),
            HeaderValue::Reference(reference) => {
                Reference::parse(&reference.to_string()).and_then(|reference| reference.read_text())
            }
        };
        let header = |(name, given): (&String, &HeaderValue)| match value(given) {
            Ok(value) => Ok((name.clone(), value)),
            Err(error) => Err(Failure::Header { header: name.clone(), problem: error.to_string() }),
        };
        self.spec.headers.iter().map(header).collect()
    }

    fn error(&self, page: u64, failure: Failure) -> SourceError {
        let mut url = self.spec.url.clone();
        url.set_query(None);
        let method = match self.spec.method {
            HttpMethod::Post => "POST",
            HttpMethod::Get => "GET",
        };
        SourceError { tried: format!("{method} {url}, page {page}"), failure }
    }
}

impl Source for Http {
    fn fetch(&self) -> Fetching<'_> {
        Box::pin(self.fetch_all())
    }
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

#[cfg(test)]
#[path = "http_tests.rs"]
mod tests;
