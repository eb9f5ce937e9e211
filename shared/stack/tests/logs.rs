//! Lines of a log, from a server that answers as CloudWatch Logs does.

#![allow(clippy::unwrap_used)]

mod fake;

use fake::{Fake, Said};
use replicante_aws::Account;
use replicante_stack::{Looked, lines};
use serde_json::{Value, json};

const LOOKED: Looked<'_> =
    Looked { group: "/aws/lambda/worker", pattern: "{ $.x = 1 }", since: 1_000, most: 2 };

#[tokio::test]
async fn the_last_lines_come_page_after_page_and_the_request_is_signed() {
    let fake = Fake::start().await;
    fake.say_each([
        Said::lines(&[(1, "a"), (2, "b")], Some("p2")),
        Said::lines(&[], Some("p3")),
        Said::lines(&[(3, "c\n")], None),
    ]);
    let found = lines(&Account::at(&fake.url), LOOKED).await.unwrap();
    let seen: Vec<_> = found.lines.iter().map(|line| (line.at, line.text.as_str())).collect();
    assert_eq!((seen, found.whole), (vec![(2, "b"), (3, "c\n")], true));
    let asked = fake.asked();
    assert!(asked[0].0.contains("/us-east-1/logs/aws4_request") && asked[0].0.contains("x-amz-target"));
    let bodies: Vec<Value> = asked.iter().map(|(_, body)| serde_json::from_str(body).unwrap()).collect();
    let first = json!({ "logGroupName": "/aws/lambda/worker", "filterPattern": "{ $.x = 1 }", "startTime": 1_000,
        "limit": 1_000 });
    assert_eq!(bodies[0], first);
    assert_eq!((&bodies[1]["nextToken"], &bodies[2]["nextToken"]), (&json!("p2"), &json!("p3")));
}

#[tokio::test]
async fn a_log_without_an_end_is_not_read_without_one() {
    let fake = Fake::start().await;
    let pages = (0..200).map(|page| Said::lines(&[(page, "x")], Some(&page.to_string())));
    fake.say_each(pages);
    let found = lines(&Account::at(&fake.url), LOOKED).await.unwrap();
    assert_eq!((found.whole, found.lines.len(), fake.asked().len()), (false, 2, 100));
    // A token that comes again leads nowhere.
    fake.say(Said::lines(&[], Some("same")));
    assert!(lines(&Account::at(&fake.url), LOOKED).await.unwrap().whole);
}

#[tokio::test]
async fn every_refusal_says_what_to_do() {
    let fake = Fake::start().await;
    for (status, code, expected, times) in [
        (400, "ResourceNotFoundException", "there is none of this name in this account and region", 1),
        (400, "AccessDeniedException", "it needs logs:FilterLogEvents on the log group", 1),
        (400, "com.amazonaws#ExpiredTokenException", "not taken (ExpiredTokenException); sign in again", 1),
        (400, "InvalidParameterException", "CloudWatch Logs answered InvalidParameterException: why", 1),
        (400, "ThrottlingException", "CloudWatch Logs answered ThrottlingException: why", 3),
        (503, "ServiceUnavailableException", "answered ServiceUnavailableException: why", 3),
    ] {
        let before = fake.asked().len();
        fake.say(Said::json_error(status, code, "why"));
        let told = lines(&Account::at(&fake.url), LOOKED).await.unwrap_err().to_string();
        assert!(told.starts_with("the log group /aws/lambda/worker can't be read: "), "{told}");
        assert!(told.ends_with(expected), "{told}");
        assert_eq!(fake.asked().len() - before, times, "{code}");
    }
    fake.say(Said { status: 200, body: "<html/>".into(), ..Said::default() });
    let told = lines(&Account::at(&fake.url), LOOKED).await.unwrap_err().to_string();
    assert!(told.contains("is not as expected"), "{told}");
}
