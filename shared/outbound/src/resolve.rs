//! Name resolution that hands on allowed addresses alone.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use replicante_address_policy::{AddressPolicy, Refused};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// Why a name gave no address. Found again in the error of the request, see `classify.rs`.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ResolveError {
    #[error("every address of the name is refused")]
    Refused(#[source] Refused),
    #[error("no address for the name")]
    Failed(#[source] Option<io::Error>),
}

/// The system's resolver behind the policy.
pub(crate) struct Resolver(pub(crate) Arc<AddressPolicy>);

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let policy = Arc::clone(&self.0);
        Box::pin(async move {
            // The port is set by the caller; it was checked before.
            let found = tokio::net::lookup_host((name.as_str(), 0)).await;
            let found = found.map_err(|error| ResolveError::Failed(Some(error)))?;
            let allowed = allowed(&policy, found)?;
            Ok(Box::new(allowed.into_iter()) as Addrs)
        })
    }
}

/// What the policy allows of what a name resolved to.
///
/// # Errors
/// The reason of the first refused address when none is left.
fn allowed(
    policy: &AddressPolicy,
    found: impl Iterator<Item = SocketAddr>,
) -> Result<Vec<SocketAddr>, ResolveError> {
    let mut allowed = Vec::new();
    let mut refused = None;
    for address in found {
        match policy.check_address(address.ip()) {
            Ok(()) => allowed.push(address),
            Err(reason) => refused = refused.or(Some(reason)),
        }
    }
    match (allowed.is_empty(), refused) {
        (false, _) => Ok(allowed),
        (true, Some(reason)) => Err(ResolveError::Refused(reason)),
        (true, None) => Err(ResolveError::Failed(None)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(list: &[&str]) -> Vec<SocketAddr> {
        list.iter().map(|text| format!("{text}:0").parse().unwrap()).collect()
    }

    #[test]
    fn refused_addresses_are_left_out() {
        let found = addresses(&["169.254.169.254", "10.0.0.1", "[::1]", "10.0.0.2"]);
        let left = allowed(&AddressPolicy::default(), found.into_iter()).unwrap();
        assert_eq!(left, addresses(&["10.0.0.1", "10.0.0.2"]));
    }

    #[test]
    fn a_name_with_refused_addresses_alone_fails_with_the_policys_reason() {
        let found = addresses(&["169.254.169.254", "127.0.0.1"]);
        match allowed(&AddressPolicy::default(), found.into_iter()) {
            Err(ResolveError::Refused(reason)) => assert_eq!(reason, Refused::BuiltIn("link-local")),
            other => panic!("{other:?}"),
        }
        assert!(matches!(
            allowed(&AddressPolicy::default(), std::iter::empty()),
            Err(ResolveError::Failed(None))
        ));
    }
}
