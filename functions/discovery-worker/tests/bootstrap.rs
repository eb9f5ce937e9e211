//! The binary that is deployed, by the Runtime API.

// Helpers of tests fail as tests do.
#![allow(clippy::unwrap_used)]

#[path = "../../../shared/logs/tests/bootstrap/mod.rs"]
mod bootstrap;

#[test]
fn an_invocation_is_one_line_of_metrics_and_does_not_fail_for_it() {
    let task = r#"{"kind":"discovery","namespace":"default","id":"gone","stamp":1767319445000}"#;
    let record = serde_json::json!({
        "messageId": "m1", "body": task, "attributes": {}, "messageAttributes": {}, "eventSource": "aws:sqs",
    });
    let payload = serde_json::json!({ "Records": [record] }).to_string();
    bootstrap::check(env!("CARGO_BIN_EXE_discovery-worker"), &payload, "discovery-worker", "TasksGone");
}
