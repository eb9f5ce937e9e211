//! How a function is configured, from a server that answers as Lambda does.

#![allow(clippy::unwrap_used)]

mod fake;

use std::time::Duration;

use fake::{Fake, Said};
use replicante_aws::Account;
use replicante_stack::function;

fn all(_: &str) -> bool {
    true
}

fn body(body: &str) -> Said {
    Said { status: 200, body: body.into(), ..Said::default() }
}

#[tokio::test]
async fn a_function_is_read_with_its_variables_and_the_request_is_signed() {
    let fake = Fake::start().await;
    fake.say(Said::function(60, &[("REPLICANTE_TABLE", "t"), ("REPLICANTE_TOKEN", "hunter2")]));
    let ours = |name: &str| name == "REPLICANTE_TABLE";
    let found = function(&Account::at(&fake.url), "replicante-RefreshWorker-1", ours).await.unwrap();
    assert_eq!((found.timeout, found.unusable, found.not_updated), (Duration::from_secs(60), None, None));
    // What else it is told may be a secret.
    assert_eq!(found.variables, Ok([("REPLICANTE_TABLE".into(), "t".into())].into()));
    let (authorization, path) = fake.asked().remove(0);
    assert_eq!(path, "/2015-03-31/functions/replicante-RefreshWorker-1/configuration");
    assert!(authorization.contains("/us-east-1/lambda/aws4_request"), "{authorization}");
}

#[tokio::test]
async fn what_keeps_a_function_from_work_is_told() {
    let fake = Fake::start().await;
    let account = Account::at(&fake.url);
    let told = async |said: &str| {
        fake.say(body(said));
        function(&account, "f", all).await.unwrap()
    };
    let failed = told(r#"{"Timeout":3,"State":"Failed","StateReason":"no role"}"#).await;
    assert_eq!(failed.unusable.as_deref(), Some("Failed: no role"));
    let pending = told(r#"{"Timeout":3,"State":"Pending","StateReason":""}"#).await;
    assert_eq!(pending.unusable.as_deref(), Some("Pending"));
    let idle = r#"{"Timeout":3,"State":"Inactive","StateReasonCode":"Idle","LastUpdateStatus":"InProgress"}"#;
    let idle = told(idle).await;
    assert_eq!((idle.unusable, idle.not_updated), (None, None));
    assert_eq!(idle.variables, Ok([].into()), "it has none");
    let lost =
        r#"{"Timeout":3,"State":"Inactive","StateReasonCode":"SubnetOutOfIPAddresses","StateReason":"full"}"#;
    assert_eq!(told(lost).await.unusable.as_deref(), Some("Inactive: full"));
    let nulls =
        r#"{"Timeout":3,"State":null,"LastUpdateStatus":null,"Environment":{"Variables":null,"Error":null}}"#;
    let nulls = told(nulls).await;
    assert_eq!((nulls.unusable, nulls.not_updated, nulls.variables), (None, None, Ok([].into())));
    let old = told(
        r#"{"Timeout":3,"State":"Active","LastUpdateStatus":"Failed","LastUpdateStatusReason":"no subnet"}"#,
    );
    assert_eq!(old.await.not_updated.as_deref(), Some("Failed: no subnet"));
    let locked = told(
        r#"{"Timeout":3,"Environment":{"Variables":null,"Error":{"ErrorCode":"AccessDeniedException","Message":"secret"}}}"#,
    );
    assert_eq!(locked.await.variables, Err("AccessDeniedException".into()));
}

#[tokio::test]
async fn every_refusal_says_what_to_do() {
    let fake = Fake::start().await;
    for (status, code, expected, times) in [
        (404, "ResourceNotFoundException", "there is none of this name in this account and region", 1),
        (403, "AccessDeniedException", "it needs lambda:GetFunctionConfiguration on the function", 1),
        (
            403,
            "ExpiredTokenException:http://internal/",
            "not taken (ExpiredTokenException); sign in again",
            1,
        ),
        (400, "InvalidParameterValueException", "Lambda answered InvalidParameterValueException: why", 1),
        (429, "TooManyRequestsException", "Lambda answered TooManyRequestsException: why", 3),
        (500, "ServiceException", "Lambda answered ServiceException: why", 3),
    ] {
        let before = fake.asked().len();
        fake.say(Said::header_error(status, code, "why"));
        let told = function(&Account::at(&fake.url), "f", all).await.unwrap_err();
        assert_eq!((told.is_missing, told.is_denied), (status == 404, code == "AccessDeniedException"));
        let told = told.to_string();
        assert!(
            told.starts_with("the function f can't be looked at: ") && told.ends_with(expected),
            "{told}"
        );
        assert_eq!(fake.asked().len() - before, times, "{code}");
    }
    // A service beside AWS may tell the code in the body.
    fake.say(Said::json_error(404, "com.amazonaws.lambda#ResourceNotFoundException", "why"));
    assert!(function(&Account::at(&fake.url), "f", all).await.unwrap_err().is_missing);
    for garbage in ["<html/>", "", "[]", r#"{"Timeout":"soon"}"#, "{}"] {
        fake.say(body(garbage));
        let told = function(&Account::at(&fake.url), "f", all).await.unwrap_err().to_string();
        assert!(told.contains("is not as expected"), "{garbage}: {told}");
    }
    fake.say(body(&"x".repeat(300 * 1024)));
    let told = function(&Account::at(&fake.url), "f", all).await.unwrap_err().to_string();
    assert!(told.ends_with("answered too much"), "{told}");
}

#[tokio::test]
async fn a_name_that_no_function_has_is_not_asked_for() {
    let fake = Fake::start().await;
    for name in ["", "a/b", "../x", "a b", "ä", &"x".repeat(65)] {
        let told = function(&Account::at(&fake.url), name, all).await.unwrap_err().to_string();
        assert!(told.contains("that is no name of one"), "{told}");
    }
    assert!(fake.asked().is_empty());
}
