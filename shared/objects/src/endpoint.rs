//! The settings of an HTTP endpoint: the same for every source that speaks HTTP.

use std::collections::BTreeMap;
use std::time::Duration;

use replicante_model::record::TlsSettings;
use replicante_model::time::as_millis;
use serde::{Deserialize, Serialize};
use url::Url;

use crate::agents::read_tls;
use crate::error::Problem;
use crate::fields::Fields;
use crate::limits::Limits;
use crate::reference::{HeaderValue, is_secret_header};
use crate::tree::{Entry, Value};

/// The longest URL, in bytes.
const MAX_URL: usize = 2048;
/// The most headers.
const MAX_HEADERS: usize = 64;
/// The longest value of a header, in bytes.
const MAX_HEADER: usize = 4096;

/// An HTTP endpoint. A source's settings hold it, flattened: its fields stand beside the source's own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoint {
    /// Where to ask: `http` or `https`, without user or password.
    pub url: Url,
    /// Headers to send, names in lower case. Default none, at most 64.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, HeaderValue>,
    /// Limit for one request with its answer. Default 30 s.
    #[serde(default = "timeout", with = "as_millis")]
    pub timeout: Duration,
    /// TLS material.
    #[serde(default)]
    pub tls: TlsSettings,
    /// What an answer may hold.
    #[serde(default)]
    pub limits: Limits,
}

fn timeout() -> Duration {
    Duration::from_secs(30)
}

impl Endpoint {
    /// Reads the fields of an endpoint beside whatever else `fields` holds. `None` when it is wrong, which is
    /// reported then.
    pub fn read(fields: &mut Fields<'_>) -> Option<Endpoint> {
        let headers = fields.nested("headers", read_headers).unwrap_or_default();
        let timeout = fields.timeout("timeout").unwrap_or_else(self::timeout);
        let tls = fields.nested("tls", read_tls).unwrap_or_default();
        let limits = fields.nested("limits", Limits::read).unwrap_or_default();
        let url = read_url(fields)?;
        Some(Endpoint { url, headers, timeout, tls, limits })
    }

    /// Its URL as it may be shown: a query may hold a key.
    pub fn shown_url(&self) -> String {
        let mut url = self.url.clone();
        url.set_query(None);
        let query = if self.url.query().is_some() { "?..." } else { "" };
        format!("{url}{query}")
    }
}

fn read_url(fields: &mut Fields<'_>) -> Option<Url> {
    const EXPECTED: &str = "an absolute http:// or https:// URL";
    if !fields.has("url") {
        fields.missing("url", EXPECTED);
    }
    let (text, entry) = fields.text("url", EXPECTED)?;
    let url = match Url::parse(text) {
        Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() && text.len() <= MAX_URL => url,
        // What holds an @ may hold a password: not shown, readable or not.
        _ if text.contains('@') => {
            fields.refuse_as(entry, "no such URL", format!("{EXPECTED}, without user and password"));
            return None;
        }
        _ => {
            fields.refuse(entry, format!("{EXPECTED} of at most {MAX_URL} bytes"));
            return None;
        }
    };
    if !url.username().is_empty() || url.password().is_some() {
        let field = fields.field("url");
        let expected = "a header, like authorization: env:NAME";
        fields.errors.push(entry.line, Problem::SecretInTheOpen { field, expected });
        return None;
    }
    if url.fragment().is_some() {
        fields.refuse(entry, "a URL without a fragment (#...): it would not be sent");
        return None;
    }
    Some(url)
}

/// Headers that the connection needs to be right: no setting.
const OWN_HEADERS: [&str; 9] = [
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "expect",
    "host",
    "te",
    "transfer-encoding",
    "upgrade",
];

fn read_headers(fields: &mut Fields<'_>) -> BTreeMap<String, HeaderValue> {
    let mut headers = BTreeMap::new();
    let entries = fields.all();
    if entries.len() > MAX_HEADERS {
        fields.refuse_as(&entries[MAX_HEADERS], "one header too many", format!("at most {MAX_HEADERS}"));
    }
    for entry in entries {
        let name = entry.key.to_ascii_lowercase();
        if !is_token(&name) {
            fields.refuse_as(entry, "no name of a header", "letters, digits and any of !#$%&'*+-.^_`|~");
        } else if OWN_HEADERS.contains(&name.as_str()) {
            fields.refuse_as(entry, "no header to be set", "other headers: the client sets this one itself");
        } else if let Some(value) = read_header(fields, entry)
            && headers.insert(name, value).is_some()
        {
            fields.refuse_as(
                entry,
                "given again in another case",
                "each header once: case makes no difference",
            );
        }
    }
    headers
}

fn read_header(fields: &mut Fields<'_>, entry: &Entry) -> Option<HeaderValue> {
    let secret = is_secret_header(&entry.key);
    let value = match &entry.node.value {
        Value::Text(text) => Some(HeaderValue::try_from(text.clone())),
        _ => None,
    };
    match value {
        Some(Ok(HeaderValue::Reference(reference))) => Some(HeaderValue::Reference(reference)),
        _ if secret => {
            let field = fields.field(&entry.key);
            let expected = "env:NAME or ssm:/name";
            fields.errors.push(entry.line, Problem::SecretInTheOpen { field, expected });
            None
        }
        Some(Ok(HeaderValue::Literal(text))) if is_visible(&text) => Some(HeaderValue::Literal(text)),
        Some(Err(_)) => {
            fields.refuse(entry, "a reference, env:NAME or ssm:/name, since it starts like one");
            None
        }
        _ => {
            fields.refuse(entry, format!("text of at most {MAX_HEADER} visible ASCII characters, in quotes"));
            None
        }
    }
}

/// A header's name, by RFC 9110.
fn is_token(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 128
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
}

fn is_visible(text: &str) -> bool {
    text.len() <= MAX_HEADER && text.bytes().all(|b| (b' '..=b'~').contains(&b)) && text.trim() == text
}
