//! The source `http`: an endpoint that answers with pages of records.
//!
//! `POST`: a JSON object, the configured body with `"cursor": null`; then again with the cursor of the answer until
//! that is null. `GET`: one request without a body, one answer without further pages.

use std::collections::HashSet;

use replicante_model::record::SourceAnswer;
use replicante_objects::{Endpoint, Fields};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::answer::{Collector, Cursor, FORM};
use crate::endpoint::Caller;
use crate::error::{Failure, SourceError};
use crate::{Fetching, Outside, Settings, Source};

/// The largest configured body, in bytes of JSON.
const MAX_BODY: usize = 64 * 1024;

/// The method of a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub(crate) enum Method {
    /// A JSON object goes out, pages come back. The default.
    #[default]
    Post,
    /// No body and no pages.
    Get,
}

/// An HTTP endpoint.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Http {
    #[serde(flatten)]
    pub endpoint: Endpoint,
    /// How to ask.
    #[serde(default)]
    pub method: Method,
    /// What is sent beside the cursor. Of `POST` alone. At most 64 KiB of JSON.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub body: Map<String, Value>,
}

impl Settings for Http {
    const NAME: &'static str = "http";

    fn read(fields: &mut Fields<'_>) -> Option<Self> {
        let methods = [("POST", Method::Post), ("GET", Method::Get)];
        let method = fields.choice("method", &methods).unwrap_or_default();
        let body = read_body(fields, method);
        Some(Http { endpoint: Endpoint::read(fields)?, method, body })
    }
}

fn read_body(fields: &mut Fields<'_>, method: Method) -> Map<String, Value> {
    if method == Method::Get {
        if let Some(entry) = fields.take("body") {
            fields.refuse_as(entry, "given with method GET", "no body: a GET sends none");
        }
        return Map::new();
    }
    let body = fields.nested("body", |fields| {
        if let Some(cursor) = fields.has("cursor").then(|| fields.take("cursor")).flatten() {
            fields.refuse_as(cursor, "given", "no such field: each request sets it, for its page");
        }
        fields.json(MAX_BODY)
    });
    body.flatten().unwrap_or_default()
}

impl Http {
    async fn fetch_all(&self, outside: &Outside) -> Result<SourceAnswer, SourceError> {
        let caller = Caller::new(&self.endpoint, outside).await.map_err(|failure| self.error(1, failure))?;
        let limits = &self.endpoint.limits;
        let mut collector = Collector::new(limits.clone());
        let mut seen = HashSet::new();
        let mut cursor = None;
        for page in 1..=limits.pages {
            let next = self.fetch_page(&caller, cursor.as_deref(), &mut collector).await;
            let Some(next) = next.map_err(|failure| self.error(page, failure))? else {
                return Ok(collector.finish());
            };
            if self.method == Method::Get {
                return Err(self.error(page, Failure::UnexpectedCursor));
            }
            if !seen.insert(next.clone()) {
                return Err(self.error(page, Failure::RepeatedCursor));
            }
            cursor = Some(next);
        }
        let most = limits.pages;
        Err(self.error(most, Failure::Limit { limit: "pages", what: "pages", most }))
    }

    async fn fetch_page(
        &self,
        caller: &Caller<'_>,
        cursor: Option<&str>,
        collector: &mut Collector,
    ) -> Result<Cursor, Failure> {
        match self.method {
            Method::Post => collector.add_json(&caller.post(self.body(cursor)).await?),
            Method::Get => collector.add_json(&caller.get(self.endpoint.url.as_str()).await?),
        }
    }

    /// The body of a request: what is configured, and the cursor.
    fn body(&self, cursor: Option<&str>) -> Vec<u8> {
        let mut body = self.body.clone();
        body.insert("cursor".into(), cursor.into());
        Value::Object(body).to_string().into_bytes()
    }

    fn error(&self, page: u64, failure: Failure) -> SourceError {
        SourceError { tried: format!("{}, page {page}", self.shown()), form: FORM, failure }
    }
}

impl Source for Http {
    fn fetch<'a>(&'a self, outside: &'a Outside) -> Fetching<'a> {
        Box::pin(self.fetch_all(outside))
    }

    fn shown(&self) -> String {
        let method = match self.method {
            Method::Post => "POST",
            Method::Get => "GET",
        };
        format!("{method} {}", self.endpoint.shown_url())
    }
}

#[cfg(test)]
#[path = "http_tests.rs"]
mod tests;
