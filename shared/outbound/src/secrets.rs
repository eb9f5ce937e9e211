//! What references give: secrets, and how long they are kept.
//!
//! A variable and a file are read at each use. A parameter of AWS Systems Manager is read once for all that refer to it
//! at the same time, and kept in memory for as long as the owner says. A refused read is asked again after seconds. While
//! the store can't be asked at all, the last value serves for up to an hour more: that says nothing of the secret.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use zeroize::Zeroizing;

use crate::reference::{Reference, ReferenceError};

/// How long secrets and TLS material are kept unless said.
const KEEP: Duration = Duration::from_secs(300);
/// How long a failure counts before the store is asked again.
const RETRY: Duration = Duration::from_secs(5);
/// How long a value serves beyond its time while the store can't be asked.
const SPARE: Duration = Duration::from_secs(3600);
/// The most parameters that are kept. One a reference in use, so a handful; beyond it all are forgotten and read again.
const MOST: usize = 256;

/// A secret value. It is printed by nothing, and its memory is cleared when the last copy is dropped.
#[derive(Clone)]
pub struct Secret(Arc<Zeroizing<Vec<u8>>>);

impl Secret {
    /// The value, for who sends it.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// A value that is one line of text, like a token for a header: without the blanks and line ends around it.
    #[must_use]
    pub fn line(&self) -> Secret {
        Secret::from(self.bytes().trim_ascii().to_vec())
    }
}

impl From<Vec<u8>> for Secret {
    fn from(value: Vec<u8>) -> Self {
        Secret(Arc::new(Zeroizing::new(value)))
    }
}

impl From<String> for Secret {
    fn from(value: String) -> Self {
        Secret::from(value.into_bytes())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// Why a store gave no value. The texts are stable, say what to do, and hold no secret: they may be stored.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The store was asked and gives none.
    #[error("{0}")]
    Refused(String),
    /// The store can't be asked now.
    #[error("{0}")]
    Unavailable(String),
}

/// A read under way.
pub type Reading<'a> = Pin<Box<dyn Future<Output = Result<Secret, StoreError>> + Send + 'a>>;

/// Where parameters are.
pub trait SecretStore: Send + Sync {
    /// Reads the parameter of this name, which begins with a slash. Ends within seconds.
    ///
    /// # Errors
    /// [`StoreError`].
    fn read<'a>(&'a self, name: &'a str) -> Reading<'a>;
}

/// Resolves references. Made once a process and shared.
pub struct Secrets {
    store: Option<Arc<dyn SecretStore>>,
    keep: Duration,
    parameters: Mutex<BTreeMap<String, Arc<tokio::sync::Mutex<Kept>>>>,
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secrets").field("keep", &self.keep).finish_non_exhaustive()
    }
}

impl Default for Secrets {
    /// Variables and files alone: there is no store. TLS material is kept for five minutes.
    fn default() -> Self {
        Secrets { store: None, keep: KEEP, parameters: Mutex::default() }
    }
}

/// A value, and when it is to be read again.
pub(crate) struct Found {
    pub(crate) value: Secret,
    pub(crate) until: Instant,
}

impl Secrets {
    /// Secrets of this store as well. Its values, and TLS material wherever it is from, are kept for `keep`.
    pub fn new(store: impl SecretStore + 'static, keep: Duration) -> Self {
        Secrets { store: Some(Arc::new(store)), keep, ..Secrets::default() }
    }

    /// Reads what is referred to, as it is: a line end at the end of a file stays. Blocks for a file.
    ///
    /// # Errors
    /// Says which reference failed and what to do.
    pub async fn read(&self, reference: &Reference) -> Result<Secret, ReferenceError> {
        Ok(self.find(reference).await?.value)
    }

    pub(crate) async fn find(&self, reference: &Reference) -> Result<Found, ReferenceError> {
        let until = || Instant::now().checked_add(self.keep).unwrap_or_else(Instant::now);
        match reference {
            Reference::Ssm(name) => self.parameter(name).await,
            Reference::Env(name) => Ok(Found { value: crate::reference::variable(name)?, until: until() }),
            Reference::File(path) => Ok(Found { value: crate::reference::file(path)?, until: until() }),
        }
    }

    /// One read at a time for each name: whoever comes meanwhile waits for it and takes what it brought.
    async fn parameter(&self, name: &str) -> Result<Found, ReferenceError> {
        let Some(store) = &self.store else { return Err(ReferenceError::NoStore(name.to_owned())) };
        let known = self.known(name);
        let mut kept = known.lock().await;
        let now = Instant::now();
        let used = match kept.used_at(now) {
            Some(used) => used,
            None => {
                let outcome = store.read(name).await;
                kept.learn(outcome, now, self.keep)
            }
        };
        let failed = |error: StoreError| ReferenceError::Parameter {
            name: name.to_owned(),
            problem: error.to_string(),
        };
        used.map_err(failed)
    }

    fn known(&self, name: &str) -> Arc<tokio::sync::Mutex<Kept>> {
        let mut parameters = self.parameters.lock().unwrap_or_else(PoisonError::into_inner);
        if parameters.len() >= MOST && !parameters.contains_key(name) {
            parameters.clear();
        }
        Arc::clone(parameters.entry(name.to_owned()).or_default())
    }
}

/// What is known of one parameter.
#[derive(Default)]
struct Kept {
    /// What serves, and until when.
    used: Option<(Result<Secret, StoreError>, Instant)>,
    /// When the value that serves was read.
    read: Option<Instant>,
}

impl Kept {
    /// What serves at `now`; `None`: the store is to be asked.
    fn used_at(&self, now: Instant) -> Option<Result<Found, StoreError>> {
        let (used, until) = self.used.as_ref()?;
        let found = |value: Secret| Found { value, until: *until };
        (now < *until).then(|| used.clone().map(found))
    }

    /// Takes in what a read brought that began at `now`, and says what serves from then on.
    fn learn(
        &mut self,
        outcome: Result<Secret, StoreError>,
        now: Instant,
        keep: Duration,
    ) -> Result<Found, StoreError> {
        let spare = self.read.is_some_and(|read| now.saturating_duration_since(read) <= keep + SPARE);
        let (used, lasts) = match (outcome, self.used.take()) {
            (Ok(value), _) => {
                self.read = Some(now);
                (Ok(value), keep)
            }
            (Err(StoreError::Unavailable(_)), Some((Ok(value), _))) if spare => (Ok(value), RETRY.min(keep)),
            (Err(error), _) => {
                self.read = None;
                (Err(error), RETRY.min(keep))
            }
        };
        let until = now.checked_add(lasts).unwrap_or(now);
        self.used = Some((used.clone(), until));
        used.map(|value| Found { value, until })
    }
}

#[cfg(test)]
#[path = "secrets_tests.rs"]
mod tests;
