//! What Systems Manager says of a parameter, as AWS says it.
#![allow(clippy::unwrap_used)]

mod fake;

use fake::{Fake, Said};
use replicante_aws::Account;
use replicante_outbound::{SecretStore, StoreError};
use replicante_ssm::Parameters;
use serde_json::json;

const NAME: &str = "/replicante/token";

#[tokio::test]
async fn a_parameter_is_read_decrypted() {
    let fake = Fake::start().await;
    fake.say(NAME, Said::Value("s3cret\n".into()));
    let parameters = Parameters::of(&Account::at(&fake.url));
    assert_eq!(parameters.read(NAME).await.unwrap().bytes(), b"s3cret\n");
    assert_eq!(fake.last(), json!({ "Name": NAME, "WithDecryption": true }));
    assert_eq!(fake.asked(NAME), 1);
}

#[tokio::test]
async fn each_failure_says_what_to_do_and_shows_nothing_of_the_account() {
    let denied = "access denied: the role needs ssm:GetParameter on it, and leave to decrypt with its key";
    let refused = |text: &str| StoreError::Refused(text.into());
    let unavailable = |text: &str| StoreError::Unavailable(text.into());
    let error = |status, code| Some(Said::Error(status, code));
    // The last: how often it is asked, at least.
    let cases = [
        (None, refused("no such parameter in this account and region"), 1),
        (error(400, "AccessDeniedException"), refused(denied), 1),
        (error(400, "InvalidKeyId"), refused("Systems Manager answered InvalidKeyId"), 1),
        (error(400, "ThrottlingException"), unavailable("Systems Manager throttles"), 3),
        (error(500, "InternalServerError"), unavailable("Systems Manager answered InternalServerError"), 3),
        (Some(Said::Hang), unavailable("no answer of Systems Manager within 5 s"), 2),
    ];
    for (said, expected, asked) in cases {
        let fake = Fake::start().await;
        if let Some(said) = &said {
            fake.say(NAME, said.clone());
        }
        let parameters = Parameters::of(&Account::at(&fake.url));
        assert_eq!(parameters.read(NAME).await.unwrap_err(), expected);
        assert!(fake.asked(NAME) >= asked, "{said:?}: {}", fake.asked(NAME));
    }
    let nowhere = Parameters::of(&Account::at("http://127.0.0.1:9"));
    let error = nowhere.read(NAME).await.unwrap_err().to_string();
    assert!(error.starts_with("Systems Manager could not be asked: ") && !error.contains("127"), "{error}");
}
