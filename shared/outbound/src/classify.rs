//! From what the HTTP client reports to a [`FetchError`].
//!
//! The client's errors are chains of causes. hyper hands a TLS error on as text where HTTP/2 carries it, so it is known by
//! the beginning of its text; everything else by type.

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

/// Names what went wrong below HTTP, where it is known.
pub(crate) fn of_io_cause(error: &io::Error) -> Option<FetchError> {
    match error.get_ref() {
        Some(content) => of_cause(content, &content.to_string()),
        None => of_io(error),
    }
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

/// Names what a connection ended with.
pub(crate) fn of_io(error: &io::Error) -> Option<FetchError> {
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
        return Some(FetchError::Tls(of_alert(alert)));
    }
    if begins("received corrupt message") {
        return Some(FetchError::Tls(TlsFailure::NotTls));
    }
    if begins("peer is incompatible") || begins("peer misbehaved") || begins("received unexpected") {
        return Some(FetchError::Tls(TlsFailure::Handshake));
    }
    // The last two: of a connection that ended when the request was about to be sent.
    if begins("connection closed") || begins("channel closed") || begins("connection was not ready") {
        return Some(FetchError::ConnectionClosed);
    }
    if (begins("invalid HTTP") && text.contains("parsed")) || begins("message head is too large") {
        return Some(FetchError::NotHttp);
    }
    None
}

/// What the server said, in TLS's own words (RFC 8446, 6.2). Alerts about certificates are about the client's.
fn of_alert(alert: &str) -> TlsFailure {
    match alert {
        "CertificateRequired" => TlsFailure::ClientMissing,
        "CertificateExpired" => TlsFailure::ClientNotValidNow,
        "UnknownCA" => TlsFailure::ClientUnknownAuthority,
        "AccessDenied"
        | "BadCertificate"
        | "CertificateRevoked"
        | "CertificateUnknown"
        | "NoCertificate"
        | "UnsupportedCertificate" => TlsFailure::ClientRefused,
        _ => TlsFailure::RefusedByPeer,
    }
}

/// By how the text begins: what follows holds names of the server's choice.
fn of_certificate(text: &str) -> TlsFailure {
    let begins = |start: &str| text.starts_with(start);
    if begins("UnknownIssuer") {
        TlsFailure::UnknownAuthority
    } else if begins("certificate expired") || begins("Expired") {
        TlsFailure::Expired
    } else if begins("certificate not valid yet") || begins("NotValidYet") {
        TlsFailure::NotYetValid
    } else if begins("certificate not valid for name") || begins("NotValidForName") {
        TlsFailure::OtherName
    } else if text.contains("CaUsedAsEndEntity") {
        TlsFailure::AuthorityAsServer
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
