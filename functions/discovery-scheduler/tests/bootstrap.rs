//! The binary that is deployed, by the Runtime API.

// Helpers of tests fail as tests do.
#![allow(clippy::unwrap_used)]

#[path = "../../../shared/logs/tests/bootstrap/mod.rs"]
mod bootstrap;

#[test]
fn an_invocation_is_one_line_of_metrics_and_does_not_fail_for_it() {
    let payload = serde_json::json!({
        "version": "0", "id": "1", "detail-type": "Scheduled Event", "source": "aws.events", "account": "0",
        "time": "2026-01-02T03:04:05Z", "region": "us-east-1", "resources": [], "detail": {},
    });
    bootstrap::check(
        env!("CARGO_BIN_EXE_discovery-scheduler"),
        &payload.to_string(),
        "discovery-scheduler",
        "Passes",
    );
}
