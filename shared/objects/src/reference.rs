//! References to secrets and to files: what stands in an object instead of a secret.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The longest reference, in bytes.
const MAX_REFERENCE: usize = 1024;

/// A reference to a value that is resolved when it is needed, by whoever connects.
///
/// Written and stored as text: `env:NAME`, `ssm:/name`, `file:/path`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Reference {
    /// `env:NAME`: a variable of the environment.
    Env(String),
    /// `ssm:/name`: a parameter in the Systems Manager's store.
    Ssm(String),
    /// `file:/path`: a file's content. For TLS material alone.
    File(String),
}

/// A text that is no reference. It does not hold the text: that may be the secret itself.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no reference: expected env:NAME, ssm:/name or file:/path")]
pub struct ReferenceError;

impl FromStr for Reference {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        let (scheme, name) = text.split_once(':').ok_or(ReferenceError)?;
        if name.is_empty() || text.len() > MAX_REFERENCE || name.chars().any(char::is_control) {
            return Err(ReferenceError);
        }
        let reference = match scheme {
            "env" if is_variable(name) => Reference::Env(name.into()),
            "ssm" if is_parameter(name) => Reference::Ssm(name.into()),
            "file" => Reference::File(name.into()),
            _ => return Err(ReferenceError),
        };
        Ok(reference)
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reference::Env(name) => write!(f, "env:{name}"),
            Reference::Ssm(name) => write!(f, "ssm:{name}"),
            Reference::File(path) => write!(f, "file:{path}"),
        }
    }
}

impl TryFrom<String> for Reference {
    type Error = ReferenceError;

    fn try_from(text: String) -> Result<Self, ReferenceError> {
        text.parse()
    }
}

impl From<Reference> for String {
    fn from(reference: Reference) -> String {
        reference.to_string()
    }
}

/// `[A-Za-z_][A-Za-z0-9_]*`.
fn is_variable(name: &str) -> bool {
    !name.starts_with(|c: char| c.is_ascii_digit())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// What the Systems Manager allows in the full name of a parameter, with its leading slash.
fn is_parameter(name: &str) -> bool {
    name.len() > 1
        && name.starts_with('/')
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'/' | b'.' | b'_' | b'-'))
}

/// The value of a request's header: text, or a reference to it.
///
/// Any value that starts with `env:` or `ssm:` is a reference.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum HeaderValue {
    /// The value itself. Never a secret: see [`is_secret_header`].
    Literal(String),
    /// Where the value is.
    Reference(Reference),
}

impl TryFrom<String> for HeaderValue {
    type Error = ReferenceError;

    fn try_from(text: String) -> Result<Self, ReferenceError> {
        if text.starts_with("env:") || text.starts_with("ssm:") {
            return text.parse().map(HeaderValue::Reference);
        }
        Ok(HeaderValue::Literal(text))
    }
}

impl From<HeaderValue> for String {
    fn from(value: HeaderValue) -> String {
        match value {
            HeaderValue::Literal(text) => text,
            HeaderValue::Reference(reference) => reference.to_string(),
        }
    }
}

/// What names a header whose value is a secret, as a part of its name.
const SECRET_WORDS: [&str; 9] = [
    "authorization",
    "cookie",
    "token",
    "secret",
    "password",
    "credential",
    "api-key",
    "apikey",
    "private-key",
];

/// Whether a header's value is a secret by its name: `authorization`, `proxy-authorization`, `cookie`, `x-api-key`,
/// `x-auth-token`, `private-token` and whatever else holds one of those words. Such a value must be a reference.
pub fn is_secret_header(name: &str) -> bool {
    let name = name.to_ascii_lowercase().replace('_', "-");
    SECRET_WORDS.iter().any(|word| name.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_read_back_as_they_are_written() {
        for text in ["env:TOKEN", "env:_A1", "ssm:/replicante/token", "file:/etc/ca.pem", "file:ca.pem"] {
            assert_eq!(text.parse::<Reference>().unwrap().to_string(), text);
        }
        for text in
            ["", "TOKEN", "env:", "env:1A", "env:A-B", "ssm:name", "ssm:/", "ssm:/a b", "http://x", "file:"]
        {
            assert!(text.parse::<Reference>().is_err(), "{text}");
        }
        assert!(format!("env:{}", "A".repeat(2000)).parse::<Reference>().is_err());
    }

    #[test]
    fn a_header_value_that_looks_like_a_reference_is_one_or_is_refused() {
        let value = |text: &str| HeaderValue::try_from(text.to_string());
        assert_eq!(value("env:A"), Ok(HeaderValue::Reference(Reference::Env("A".into()))));
        assert_eq!(value("text/plain"), Ok(HeaderValue::Literal("text/plain".into())));
        assert_eq!(value("file:x"), Ok(HeaderValue::Literal("file:x".into())));
        assert_eq!(value("ssm:no-slash"), Err(ReferenceError));
    }

    #[test]
    fn well_known_secret_headers_are_known_in_any_case() {
        for name in [
            "Authorization",
            "proxy-authorization",
            "Cookie",
            "X-API-Key",
            "x_api_key",
            "X-Auth-Token",
            "X-Vault-Token",
        ] {
            assert!(is_secret_header(name), "{name}");
        }
        for name in ["accept", "x-region", "user-agent"] {
            assert!(!is_secret_header(name), "{name}");
        }
    }
}
