//! What can go wrong with a request.

use std::time::Duration;

use replicante_address_policy::Refused;

use crate::classify::OUT_OF_DESCRIPTORS;
use crate::reference::ReferenceError;

/// Why a request brought no answer.
///
/// `Display` and [`reason`](FetchError::reason) hold no address, no name and no time that passed: the same
/// failure reads the same at every refresh, and may be stored.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FetchError {
    /// The whole request took longer than its limit.
    #[error("timeout after {}", limit_text(*.0))]
    Timeout(Duration),
    /// Opening the connection (name resolution, TCP and TLS) took longer than its limit.
    #[error("connect timeout after {}", limit_text(*.0))]
    ConnectTimeout(Duration),
    /// Nothing listens there.
    #[error("connection refused")]
    ConnectionRefused,
    /// The other side closed or reset the connection before the answer was complete.
    #[error("connection closed before the answer was complete")]
    ConnectionClosed,
    /// There is no route to the host.
    #[error("host unreachable")]
    Unreachable,
    /// The host's name could not be resolved.
    #[error("name could not be resolved")]
    Dns,
    /// No trusted connection came about.
    #[error("TLS: {0}")]
    Tls(TlsFailure),
    /// The address policy refuses the address or the port.
    #[error("{0}")]
    AddressRefused(Refused),
    /// The body is longer than the limit, in bytes. What there was of it is dropped.
    #[error("answer larger than {}", size_text(*.0))]
    TooLarge(u64),
    /// What came back is no HTTP.
    #[error("answer is not HTTP")]
    NotHttp,
    /// This process lacks what a connection needs. That says nothing of the other side.
    #[error("no connection could be opened: {0}")]
    Exhausted(&'static str),
    /// The request could not be made: a URL that is none, a bad header. Nothing was sent.
    #[error("{0}")]
    BadRequest(String),
    /// The TLS material could not be had. Nothing was sent.
    #[error("{what}: {problem}")]
    TlsSettings {
        /// Which of the settings: `ca_bundle` or `client_certificate`.
        what: &'static str,
        /// What is wrong with it, and what to do.
        problem: String,
    },
    /// Anything else.
    #[error("request failed")]
    Other {
        /// For the log: may hold addresses, so it is not part of the reason.
        detail: String,
    },
}

impl FetchError {
    /// Short, stable text for a stored state: the same failure gives the same text.
    pub fn reason(&self) -> String {
        self.to_string()
    }

    pub(crate) fn material(what: &'static str, error: &ReferenceError) -> Self {
        match error {
            ReferenceError::OutOfDescriptors(_) => OUT_OF_DESCRIPTORS,
            error => FetchError::TlsSettings { what, problem: error.to_string() },
        }
    }
}

/// Why TLS brought no trusted connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TlsFailure {
    /// The server's certificate comes from no trusted authority.
    #[error("certificate from an unknown authority")]
    UnknownAuthority,
    /// The server's certificate is that of an authority: a self-signed one, as tools make it unless told otherwise.
    #[error("certificate is an authority's own, not a server's")]
    AuthorityAsServer,
    /// The server's certificate was valid once.
    #[error("certificate expired")]
    Expired,
    /// The server's certificate will be valid.
    #[error("certificate not yet valid")]
    NotYetValid,
    /// The server's certificate is for another name.
    #[error("certificate for another name")]
    OtherName,
    /// The server's certificate is wrong in another way.
    #[error("invalid certificate")]
    InvalidCertificate,
    /// The server wants a client certificate and got none.
    #[error("client certificate missing")]
    ClientMissing,
    /// The client certificate is not valid by the server's clock. Servers do not tell too late from too early.
    #[error("client certificate expired or not yet valid")]
    ClientNotValidNow,
    /// The server does not trust the authority of the client certificate.
    #[error("client certificate from an authority that the peer does not trust")]
    ClientUnknownAuthority,
    /// The server wants a client certificate, or does not take the one that it got, and does not say which.
    #[error("client certificate missing or refused")]
    ClientRefused,
    /// The server ended the handshake.
    #[error("refused by the peer")]
    RefusedByPeer,
    /// The port does not speak TLS.
    #[error("the peer does not speak TLS")]
    NotTls,
    /// Anything else.
    #[error("handshake failed")]
    Handshake,
}

/// A limit in words: `10 s`, `50 ms`.
fn limit_text(limit: Duration) -> String {
    match limit.as_millis() {
        whole if whole % 1000 == 0 => format!("{} s", whole / 1000),
        millis => format!("{millis} ms"),
    }
}

/// A size in words, in the largest unit that leaves a whole number: `8 MiB`, `1000 bytes`.
fn size_text(size: u64) -> String {
    [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")]
        .into_iter()
        .find(|(unit, _)| size >= *unit && size.is_multiple_of(*unit))
        .map_or_else(|| format!("{size} bytes"), |(unit, name)| format!("{} {name}", size / unit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn material_that_no_descriptor_is_left_for_says_nothing_of_the_settings() {
        let error = ReferenceError::OutOfDescriptors("/ca.pem".into());
        assert_eq!(FetchError::material("ca_bundle", &error), FetchError::Exhausted("too many open files"));
    }

    #[test]
    fn reasons_are_short_and_name_limits_as_people_say_them() {
        for (error, reason) in [
            (FetchError::Timeout(Duration::from_secs(10)), "timeout after 10 s"),
            (FetchError::Timeout(Duration::from_millis(1500)), "timeout after 1500 ms"),
            (FetchError::ConnectTimeout(Duration::from_secs(3)), "connect timeout after 3 s"),
            (FetchError::ConnectionRefused, "connection refused"),
            (FetchError::TooLarge(8 << 20), "answer larger than 8 MiB"),
            (FetchError::TooLarge(1000), "answer larger than 1000 bytes"),
            (
                FetchError::AddressRefused(Refused::BuiltIn("link-local")),
                "address is link-local, which is not allowed",
            ),
            (FetchError::Tls(TlsFailure::UnknownAuthority), "TLS: certificate from an unknown authority"),
            (
                FetchError::Exhausted("too many open files"),
                "no connection could be opened: too many open files",
            ),
            (FetchError::Other { detail: "10.0.0.1:80 exploded".into() }, "request failed"),
        ] {
            assert_eq!(error.reason(), reason);
        }
    }
}
