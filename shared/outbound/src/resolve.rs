//! Name resolution that hands on allowed addresses alone.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::time::Duration;

use replicante_address_policy::{AddressPolicy, Refused};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tokio::sync::Semaphore;

/// The most lookups at once. Each takes a thread until the system's resolver gives up, also after its request has
/// ended; Tokio has 512 of them, for files too.
const AT_ONCE: usize = 256;
/// How long a request waits for its turn to look a name up.
const WAIT: Duration = Duration::from_secs(1);

/// Why a name gave no address. Found again in the error of the request, see `classify.rs`.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ResolveError {
    #[error("every address of the name is refused")]
    Refused(#[source] Refused),
    #[error("no address for the name")]
    Failed(#[source] Option<io::Error>),
    /// Too many lookups hang.
    #[error("too many names are being looked up")]
    Busy,
}

/// The lookups under way, of all pools together.
#[derive(Clone, Debug)]
pub(crate) struct Lookups(Arc<Semaphore>);

impl Lookups {
    pub(crate) fn new() -> Self {
        Lookups(Arc::new(Semaphore::new(AT_ONCE)))
    }

    /// Asks `lookup` on a thread of its own, which keeps its turn until it is done.
    async fn run(
        &self,
        lookup: impl FnOnce() -> io::Result<Vec<SocketAddr>> + Send + 'static,
    ) -> Result<Vec<SocketAddr>, ResolveError> {
        let turn = tokio::time::timeout(WAIT, Arc::clone(&self.0).acquire_owned()).await;
        let Ok(Ok(turn)) = turn else { return Err(ResolveError::Busy) };
        let found = tokio::task::spawn_blocking(move || {
            let found = lookup();
            drop(turn);
            found
        });
        let found = found.await.map_err(|_| ResolveError::Failed(None))?;
        found.map_err(|error| ResolveError::Failed(Some(error)))
    }
}

/// What finds the addresses of a name. Called on a thread that may block.
pub(crate) type Names = Arc<dyn Fn(&str) -> io::Result<Vec<SocketAddr>> + Send + Sync>;

/// The system's own.
pub(crate) fn system() -> Names {
    // The port is set by the caller; it was checked before.
    Arc::new(|name| (name, 0).to_socket_addrs().map(Iterator::collect))
}

/// Names behind the policy. A connection goes to the very addresses that were checked: nobody asks again in between.
#[derive(Clone)]
pub(crate) struct Resolver {
    pub(crate) policy: Arc<AddressPolicy>,
    pub(crate) lookups: Lookups,
    pub(crate) names: Names,
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let Resolver { policy, lookups, names } = self.clone();
        Box::pin(async move {
            let found = lookups.run(move || names(name.as_str())).await?;
            let allowed = allowed(&policy, found.into_iter())?;
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

    #[tokio::test]
    async fn hanging_lookups_take_no_more_than_their_threads_and_the_rest_is_told_to_wait() {
        let lookups = Lookups::new();
        let (release, hang) = std::sync::mpsc::channel::<()>();
        let hang = Arc::new(std::sync::Mutex::new(hang));
        for _ in 0..AT_ONCE {
            let hang = Arc::clone(&hang);
            // As a request that ended: nobody waits, the thread hangs on.
            let lookup = lookups.run(move || {
                let _ = hang.lock().map(|hang| hang.recv());
                Ok(Vec::new())
            });
            let _ = tokio::time::timeout(Duration::from_millis(1), lookup).await;
        }
        assert!(matches!(lookups.run(|| Ok(Vec::new())).await, Err(ResolveError::Busy)));
        let files = tokio::task::spawn_blocking(|| 1);
        assert_eq!(files.await.unwrap(), 1, "threads are left for other work");
        drop(release);
        assert!(lookups.run(|| Ok(Vec::new())).await.is_ok());
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
