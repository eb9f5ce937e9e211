//! From what the HTTP client reports to a [`FetchError`].
//!
//! The client's errors are chains of causes. The TLS library's error type is not ours to name (one HTTP stack,
//! reached through `reqwest` alone), so it is known by the beginning of its text; everything else by type.

use std::error::Error;
use std::io;
use std::time::Duration;

use crate::error::{FetchError, TlsFailure};
use crate::resolve::ResolveError;

/// Names what went wrong; `connect_timeout` is the limit that the client was built with.
pub(crate) fn classify(error: &reqwest::Error, connect_timeout: Duration) -> FetchError {
    if error.is_connect() && error.is_timeout() {
        return FetchError::ConnectTimeout(connect_timeout);
    }
    let mut detail = String::new();
    let mut next: Option<&(dyn Error + 'static)> = error.source();
    while let Some(cause) = next {
        let text = cause.to_string();
        if let Some(found) = of_cause(cause, &text) {
            return found;
        }
        detail = text;
        next = inner(cause);
    }
    FetchError::Other { detail }
}

/// The cause below; that of an I/O error is its content, which `source` would skip.
fn inner<'a>(cause: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    match cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
        Some(content) => Some(content),
        None => cause.source(),
    }
}

fn of_cause(cause: &(dyn Error + 'static), text: &str) -> Option<FetchError> {
    if let Some(error) = cause.downcast_ref::<ResolveError>() {
        return Some(match error {
            ResolveError::Refused(refused) => FetchError::AddressRefused(*refused),
            ResolveError::Failed(Some(error)) if lacks_descriptors(error) => OUT_OF_DESCRIPTORS,
            ResolveError::Failed(_) => FetchError::Dns,
            ResolveError::Busy => FetchError::Exhausted("too many names are being looked up"),
        });
    }
    if let Some(error) = cause.downcast_ref::<io::Error>() {
        return of_io(error);
    }
    of_text(text)
}

pub(crate) const OUT_OF_DESCRIPTORS: FetchError = FetchError::Exhausted("too many open files");

/// `ENFILE` and `EMFILE`: no descriptor is left, of the system's or of the process's. The standard library has no
/// kind for them.
pub(crate) fn lacks_descriptors(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(23 | 24))
}

fn of_io(error: &io::Error) -> Option<FetchError> {
    use io::ErrorKind as Kind;
    if lacks_descriptors(error) {
        return Some(OUT_OF_DESCRIPTORS);
    }
    match error.kind() {
        Kind::ConnectionRefused => Some(FetchError::ConnectionRefused),
        Kind::ConnectionReset
        | Kind::ConnectionAborted
        | Kind::BrokenPipe
        | Kind::NotConnected
        | Kind::TimedOut
        | Kind::UnexpectedEof => Some(FetchError::ConnectionClosed),
        Kind::HostUnreachable | Kind::NetworkUnreachable | Kind::NetworkDown => Some(FetchError::Unreachable),
        _ => None,
    }
}

/// hyper 1's and rustls 0.23's own words.
fn of_text(text: &str) -> Option<FetchError> {
    let begins = |start: &str| text.starts_with(start);
    if let Some(certificate) = text.strip_prefix("invalid peer certificate: ") {
        return Some(FetchError::Tls(of_certificate(certificate)));
    }
    if let Some(alert) = text.strip_prefix("received fatal alert: ") {
        let client = ["certificate required", "bad certificate", "unknown ca", "certificate unknown"];
        let plain: String = alert.chars().filter(char::is_ascii_alphabetic).collect();
        let about_client = client.iter().any(|known| known.replace(' ', "").eq_ignore_ascii_case(&plain));
        let failure = if about_client { TlsFailure::ClientCertificate } else { TlsFailure::RefusedByPeer };
        return Some(FetchError::Tls(failure));
    }
    if begins("received corrupt message") {
        return Some(FetchError::Tls(TlsFailure::NotTls));
    }
    if begins("peer is incompatible") || begins("peer misbehaved") || begins("received unexpected") {
        return Some(FetchError::Tls(TlsFailure::Handshake));
    }
    if begins("connection closed before message completed") {
        return Some(FetchError::ConnectionClosed);
    }
    if (begins("invalid HTTP") && text.contains("parsed")) || begins("message head is too large") {
        return Some(FetchError::NotHttp);
    }
    None
}

fn of_certificate(text: &str) -> TlsFailure {
    if text.contains("UnknownIssuer") {
        TlsFailure::UnknownAuthority
    } else if text.contains("expired")
        || text.contains("Expired")
        || text.contains("not valid yet")
        || text.contains("NotValidYet")
    {
        TlsFailure::NotValidNow
    } else if text.contains("not valid for name") || text.contains("NotValidForName") {
        TlsFailure::OtherName
    } else {
        TlsFailure::InvalidCertificate
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lack_of_descriptors_is_our_own() {
        for code in [23, 24] {
            let error = || io::Error::from_raw_os_error(code);
            let expected = Some(FetchError::Exhausted("too many open files"));
            assert_eq!(of_cause(&error(), ""), expected);
            assert_eq!(of_cause(&ResolveError::Failed(Some(error())), ""), expected);
        }
        let other = io::Error::from_raw_os_error(2);
        assert_eq!(of_cause(&ResolveError::Failed(Some(other)), ""), Some(FetchError::Dns));
    }
}
