use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Semaphore;

use super::*;

const NAME: &str = "/replicante/token";

fn unavailable() -> StoreError {
    StoreError::Unavailable("Systems Manager throttles".into())
}

fn refused() -> StoreError {
    StoreError::Refused("there is no such parameter".into())
}

fn value(found: Result<Found, StoreError>) -> Result<String, StoreError> {
    found.map(|found| String::from_utf8_lossy(found.value.bytes()).into_owned())
}

fn secret(text: &str) -> Secret {
    text.to_owned().into()
}

/// Gives its values one after the other, each when it is let.
struct Store {
    asked: AtomicUsize,
    turns: Semaphore,
    outcomes: Vec<Result<&'static str, StoreError>>,
}

impl SecretStore for Arc<Store> {
    fn read<'a>(&'a self, name: &'a str) -> Reading<'a> {
        Box::pin(async move {
            assert_eq!(name, NAME);
            let number = self.asked.fetch_add(1, Ordering::SeqCst);
            self.turns.acquire().await.unwrap().forget();
            self.outcomes[number].clone().map(secret)
        })
    }
}

fn store(turns: usize, outcomes: &[Result<&'static str, StoreError>]) -> Arc<Store> {
    Arc::new(Store { asked: AtomicUsize::new(0), turns: Semaphore::new(turns), outcomes: outcomes.to_vec() })
}

async fn read(secrets: &Secrets) -> Result<String, String> {
    let read = secrets.read(&Reference::Ssm(NAME.into())).await;
    read.map(|secret| String::from_utf8_lossy(secret.bytes()).into_owned()).map_err(|error| error.to_string())
}

#[test]
fn a_value_serves_for_its_time_and_is_then_asked_for() {
    let (now, keep) = (Instant::now(), Duration::from_secs(300));
    let mut kept = Kept::default();
    assert!(kept.used_at(now).is_none());
    assert_eq!(value(kept.learn(Ok(secret("one")), now, keep)).unwrap(), "one");
    let last = now + keep - Duration::from_millis(1);
    assert_eq!(value(kept.used_at(last).unwrap()).unwrap(), "one");
    assert!(kept.used_at(now + keep).is_none());
    assert_eq!(value(kept.learn(Ok(secret("two")), now + keep, keep)).unwrap(), "two");
    assert_eq!(value(kept.used_at(now + keep).unwrap()).unwrap(), "two");
}

#[test]
fn a_failure_serves_for_seconds() {
    let (now, keep) = (Instant::now(), Duration::from_secs(300));
    for error in [refused(), unavailable()] {
        let mut kept = Kept::default();
        assert_eq!(value(kept.learn(Err(error.clone()), now, keep)), Err(error.clone()));
        let last = now + RETRY - Duration::from_millis(1);
        assert_eq!(value(kept.used_at(last).unwrap()), Err(error));
        assert!(kept.used_at(now + RETRY).is_none());
    }
}

#[test]
fn a_refusal_ends_a_value_and_a_store_that_cannot_be_asked_leaves_it_for_an_hour() {
    let (now, keep) = (Instant::now(), Duration::from_secs(300));
    let mut kept = Kept::default();
    let _ = kept.learn(Ok(secret("one")), now, keep);
    let late = now + keep;
    assert_eq!(value(kept.learn(Err(unavailable()), late, keep)).unwrap(), "one");
    assert!(kept.used_at(late + RETRY).is_none(), "it is asked for again soon");
    assert_eq!(value(kept.learn(Err(unavailable()), now + keep + SPARE, keep)).unwrap(), "one");
    let too_late = now + keep + SPARE + RETRY;
    assert_eq!(value(kept.learn(Err(unavailable()), too_late, keep)), Err(unavailable()));
    let _ = kept.learn(Ok(secret("two")), now, keep);
    assert_eq!(value(kept.learn(Err(refused()), late, keep)), Err(refused()));
    assert_eq!(value(kept.learn(Err(unavailable()), late + RETRY, keep)), Err(unavailable()), "it is gone");
}

#[tokio::test]
async fn whoever_asks_at_the_same_time_waits_for_one_read() {
    let store = store(0, &[Ok("s3cret")]);
    let secrets = Secrets::new(Arc::clone(&store), KEEP);
    let let_go = async {
        tokio::task::yield_now().await;
        store.turns.add_permits(3);
    };
    let (one, two, three, ()) = tokio::join!(read(&secrets), read(&secrets), read(&secrets), let_go);
    assert_eq!([one, two, three], ["s3cret", "s3cret", "s3cret"].map(|value| Ok(value.to_owned())));
    assert_eq!(store.asked.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_read_that_is_given_up_is_done_by_the_next() {
    let store = store(0, &[Ok("never"), Ok("s3cret")]);
    let secrets = Secrets::new(Arc::clone(&store), KEEP);
    assert!(tokio::time::timeout(Duration::from_millis(10), read(&secrets)).await.is_err());
    store.turns.add_permits(1);
    assert_eq!(read(&secrets).await.unwrap(), "s3cret");
}

#[tokio::test]
async fn a_failure_names_the_reference_and_what_the_store_says() {
    let secrets = Secrets::new(store(1, &[Err(refused())]), KEEP);
    let expected = "ssm:/replicante/token can't be read: there is no such parameter";
    assert_eq!(read(&secrets).await.unwrap_err(), expected);
    assert_eq!(
        read(&Secrets::default()).await.unwrap_err(),
        "ssm:/replicante/token can't be read here: use env:NAME or file:/path"
    );
}

#[tokio::test]
async fn no_more_parameters_are_kept_than_the_limit() {
    struct Any;
    impl SecretStore for Any {
        fn read<'a>(&'a self, _: &'a str) -> Reading<'a> {
            Box::pin(async { Ok(secret("s3cret")) })
        }
    }
    let secrets = Secrets::new(Any, KEEP);
    for n in 0..MOST * 2 + 1 {
        secrets.read(&Reference::Ssm(format!("/{n}"))).await.unwrap();
        assert!(secrets.parameters.lock().unwrap().len() <= MOST);
    }
}

#[test]
fn a_secret_is_printed_by_nothing() {
    let secret = secret(" s3cret\n");
    assert_eq!(secret.line().bytes(), b"s3cret");
    let headers = [("authorization".to_owned(), secret.clone())];
    let request = crate::Request { headers: &headers, ..crate::Request::get("http://a/") };
    let secrets = Secrets::default();
    let printed = format!("{secret:?} {request:?} {secrets:?}");
    assert!(!printed.contains("s3cret") && !printed.contains("115"), "{printed}");
}
