//! Outputs of a stack, from a server that answers as CloudFormation does.

#![allow(clippy::unwrap_used)]

mod fake;

use fake::{Fake, Said};
use replicante_aws::Account;
use replicante_stack::{StackError, outputs};

#[tokio::test]
async fn the_outputs_of_a_stack_come_by_their_keys_and_the_request_is_signed() {
    let fake = Fake::start().await;
    fake.say(Said::outputs(&[("TableName", "replicante-Table-1"), ("Deployment", "prod")]));
    let found = outputs(&Account::at(&fake.url), "replicante").await.unwrap();
    assert_eq!(found["TableName"], "replicante-Table-1");
    assert_eq!(found.len(), 2);
    let asked = fake.asked();
    assert_eq!(asked[0].1, "Action=DescribeStacks&Version=2010-05-15&StackName=replicante");
    assert!(asked[0].0.contains("/us-east-1/cloudformation/aws4_request"), "{asked:?}");

    let arn = "arn:aws:cloudformation:us-east-1:123456789012:stack/replicante/1b2c";
    outputs(&Account::at(&fake.url), arn).await.unwrap();
    assert!(fake.asked()[1].1.ends_with(
        "StackName=arn%3Aaws%3Acloudformation%3Aus-east-1%3A123456789012%3Astack%2Freplicante%2F1b2c"
    ));
}

#[tokio::test]
async fn every_refusal_says_what_to_do() {
    let fake = Fake::start().await;
    let account = Account::at(&fake.url);
    let cases = [
        (
            400,
            "ValidationError",
            "Stack with id nowhere does not exist",
            "there is no stack nowhere in us-east-1",
        ),
        (
            403,
            "AccessDenied",
            "User: arn:aws:iam::1:user/x is not authorized",
            "needs cloudformation:DescribeStacks",
        ),
        (
            403,
            "ExpiredToken",
            "The security token included in the request is expired",
            "not taken (ExpiredToken)",
        ),
        (403, "InvalidClientTokenId", "The security token is invalid", "not taken (InvalidClientTokenId)"),
        (
            400,
            "ValidationError",
            "1 validation error detected",
            "CloudFormation answered ValidationError: 1 validation",
        ),
    ];
    for (status, code, message, expected) in cases {
        let before = fake.asked().len();
        fake.say(Said::error(status, code, message));
        let told = outputs(&account, "nowhere").await.unwrap_err().to_string();
        assert!(told.contains(expected), "{code}: {told}");
        assert_eq!(fake.asked().len(), before + 1, "{code}: asked once");
    }
}

#[tokio::test]
async fn what_may_pass_is_asked_again_and_what_is_no_answer_is_told() {
    let fake = Fake::start().await;
    let account = Account::at(&fake.url);
    fake.say(Said::error(503, "ServiceUnavailable", "later"));
    let told = outputs(&account, "replicante").await.unwrap_err().to_string();
    assert!(told.contains("CloudFormation answered ServiceUnavailable: later"), "{told}");
    assert_eq!(fake.asked().len(), 3);
    fake.say(Said { status: 200, body: "<html/>".into(), ..Said::default() });
    let told = outputs(&account, "replicante").await.unwrap_err().to_string();
    assert!(told.ends_with("names no stack"), "{told}");
    fake.say(Said { status: 200, body: "x".repeat(2 * 1024 * 1024), ..Said::default() });
    let told = outputs(&account, "replicante").await.unwrap_err().to_string();
    assert!(told.ends_with("answered too much"), "{told}");
    let nobody = outputs(&Account::at("http://127.0.0.1:9"), "replicante").await.unwrap_err().to_string();
    assert!(nobody.contains("does not answer"), "{nobody}");
}

#[tokio::test]
async fn a_name_that_no_stack_has_is_not_asked_for() {
    let fake = Fake::start().await;
    for name in ["", "a&Action=DeleteStack", "a b", "ä"] {
        let refused = outputs(&Account::at(&fake.url), name).await.unwrap_err();
        assert_eq!(refused, StackError::Name(name.into()));
    }
    assert!(fake.asked().is_empty());
}
