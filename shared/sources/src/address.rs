//! The addresses of agents: base URLs, in one normal form.

use replicante_model::observation::cut;
use url::Url;

/// The longest address of an agent, in bytes.
pub const MAX_ADDRESS: usize = 1024;

/// Why an address was refused. The text is stable, and shows the address only where it holds no password.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// No `http` or `https` URL with a host.
    #[error("the address `{0}` is no URL of an agent: expected http:// or https:// and a host")]
    NoUrl(String),
    /// It carries a user or a password.
    #[error("an address holds a user or a password: expected none")]
    UserInfo,
    /// It goes on behind its path: paths are appended to it, so it can't.
    #[error("the address `{0}` has a query or a fragment: expected a base URL")]
    NoBase(String),
    /// It is longer than [`MAX_ADDRESS`].
    #[error("an address has more than {MAX_ADDRESS} bytes")]
    TooLong,
}

/// The normal form of an agent's base URL: scheme and host in lower case, no default port, no trailing slash, a path
/// kept as it is (an agent may live under one).
///
/// # Errors
/// [`AddressError`] for whatever is no base URL.
pub fn normalise(text: &str) -> Result<String, AddressError> {
    if text.len() > MAX_ADDRESS {
        return Err(AddressError::TooLong);
    }
    if text.contains('@') {
        return Err(AddressError::UserInfo);
    }
    let shown = || cut(text, 80).chars().flat_map(char::escape_debug).collect();
    // The URL parser drops blanks and line ends in silence: two texts would be one address.
    if text.chars().any(|c| c.is_control() || c.is_whitespace() || c == '\\') {
        return Err(AddressError::NoUrl(shown()));
    }
    let url = Url::parse(text).map_err(|_| AddressError::NoUrl(shown()))?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() || url.port() == Some(0) {
        return Err(AddressError::NoUrl(shown()));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(AddressError::NoBase(shown()));
    }
    let normal = url.as_str().trim_end_matches('/');
    if normal.len() > MAX_ADDRESS { Err(AddressError::TooLong) } else { Ok(normal.into()) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn one_address_has_one_form_however_it_is_written() {
        for (text, normal) in [
            ("http://Agent-1.Example.COM:80/", "http://agent-1.example.com"),
            ("HTTPS://a:443", "https://a"),
            ("https://a:80/", "https://a:80"),
            ("http://a:8000/agents/One/", "http://a:8000/agents/One"),
            ("http://a//", "http://a"),
            ("http://[::1]:7000/", "http://[::1]:7000"),
            ("http://0x7f.1", "http://127.0.0.1"),
        ] {
            assert_eq!(normalise(text).unwrap(), normal, "{text}");
        }
    }

    #[test]
    fn what_is_no_base_url_is_refused_with_its_reason() {
        for text in [
            "",
            "a:8000",
            "//a",
            "ftp://a",
            "http://",
            "http:// a",
            "http://a b",
            "http://a:0",
            "http://a:99999",
            "http://a\n",
            "http:\\\\a",
        ] {
            assert!(matches!(normalise(text), Err(AddressError::NoUrl(_))), "{text}");
        }
        for text in ["http://a?b", "http://a#b", "http://a/?"] {
            assert!(matches!(normalise(text), Err(AddressError::NoBase(_))), "{text}");
        }
        assert_eq!(normalise("http://me:hunter2@a"), Err(AddressError::UserInfo));
        assert_eq!(normalise(&format!("http://a/{}", "x".repeat(MAX_ADDRESS))), Err(AddressError::TooLong));
        assert_eq!(normalise(&format!("http://a/{}", "ü".repeat(300))), Err(AddressError::TooLong));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_048))]

        #[test]
        fn a_normal_form_is_its_own_normal_form(text in "(http://)?[a-zA-Z0-9.:/%_~ü-]{0,40}") {
            if let Ok(normal) = normalise(&text) {
                prop_assert_eq!(normalise(&normal), Ok(normal));
            }
        }
    }
}
