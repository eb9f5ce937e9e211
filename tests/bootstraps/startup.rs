//! What a bootstrap says when it can't start.

use replicante_tests::bootstraps::{Function, NotStarted, Sandbox};
use serde_json::Value;

use crate::rig::deployed;

/// Takes a variable away, or gives it this value. What the Runtime API was told, and the lines of the log.
async fn refused(
    function: Function,
    name: &str,
    value: Option<&str>,
) -> Option<(String, String, Vec<Value>)> {
    let system = deployed(&[]).await?;
    let mut image = system.deployed().unwrap().image(function);
    // An empty variable counts as none, as those that Lambda itself gives.
    image.environment.insert(name.into(), value.unwrap_or_default().into());
    let Err(error) = Sandbox::start(&image).await else { panic!("it starts without {name}") };
    let NotStarted { said, ended, log } = *error.downcast::<NotStarted>().unwrap();
    assert_eq!(ended.as_deref(), Some("exit code 1"));
    let (kind, message) = said.unwrap();
    let lines = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    Some((kind, message, lines))
}

#[tokio::test]
async fn a_function_that_can_t_start_says_in_one_line_which_variable_is_wrong_and_what_is_allowed() {
    let lease = "REPLICANTE_LEASE is `3 weeks`: ";
    for (name, value, kind, expected) in [
        (
            "REPLICANTE_TABLE",
            None,
            "Replicante.Settings",
            "REPLICANTE_TABLE is not set: Name of the DynamoDB table.",
        ),
        ("REPLICANTE_LEASE", Some("3 weeks"), "Replicante.Settings", lease),
        ("AWS_ACCESS_KEY_ID", None, "Replicante.Environment", "AWS_ACCESS_KEY_ID is not set"),
    ] {
        for function in Function::ALL {
            let Some((said, message, lines)) = refused(function, name, value).await else { return };
            println!("{}: {said}: {message}", function.name());
            assert_eq!(said, kind);
            assert!(message.contains(expected) && !message.contains('\n'), "{message}");
            assert_eq!(lines.len(), 1, "{lines:?}");
            assert_eq!(lines[0]["level"], "ERROR");
            let logged = lines[0]["fields"]["message"].as_str().unwrap();
            assert_eq!(logged, format!("the function ended: {message}"));
        }
    }
}
