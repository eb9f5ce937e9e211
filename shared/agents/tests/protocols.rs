//! Which of the two protocols an agent is asked in.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod agent;
#[path = "../../outbound/tests/server/mod.rs"]
mod server;

use agent::*;
use replicante_model::record::AgentApi;

const V1: Option<AgentApi> = Some(AgentApi::V1);
const V2: Option<AgentApi> = Some(AgentApi::V2);

#[tokio::test]
async fn auto_asks_version_1_first_and_version_2_when_info_agent_is_404() {
    let server = answering([V2_NODE, V2_STORE, V2_SHARDS, V2_QUEUE]).await;
    let report = up(poll(&server.url(""), &soon()).await);
    assert_eq!(report.agent.api, AgentApi::V2);
    assert_eq!(asked(&server), ["info/agent", "info/node", "info/store", "info/shards"]);
}

#[tokio::test]
async fn auto_does_not_ask_version_2_for_any_other_failure() {
    let cases: [fn() -> Reply; 3] =
        [|| Reply::answer(500, "", ""), || Reply::json(200, "nope"), || Reply::Hang];
    for case in cases {
        let server = answering([V2_NODE, V2_STORE, V2_SHARDS, ("info/agent", case)]).await;
        agent_down(poll(&server.url(""), &soon()).await);
        assert_eq!(asked(&server), ["info/agent"]);
    }
}

#[tokio::test]
async fn a_remembered_protocol_costs_no_extra_request() {
    let server = answering([V2_NODE, V2_STORE, V2_SHARDS, V2_QUEUE]).await;
    up(poll_known(&server.url(""), &soon(), false, V2).await);
    assert_eq!(asked(&server), ["info/node", "info/store", "info/shards"]);
    let server = answering([V1_AGENT, V1_STORE, V1_SHARDS]).await;
    up(poll_known(&server.url(""), &soon(), false, V1).await);
    assert_eq!(asked(&server), ["info/agent", "info/datastore", "shards", "actions/queue"]);
}

#[tokio::test]
async fn an_agent_that_was_replaced_is_asked_in_the_other_protocol() {
    for was_down in [false, true] {
        let server = answering([V1_AGENT, V1_STORE, V1_SHARDS]).await;
        let report = up(poll_known(&server.url(""), &soon(), was_down, V2).await);
        assert_eq!(report.agent.api, AgentApi::V1);
        let server = answering([V2_NODE, V2_STORE, V2_SHARDS, V2_QUEUE]).await;
        let report = up(poll_known(&server.url(""), &soon(), was_down, V1).await);
        assert_eq!(report.agent.api, AgentApi::V2);
    }
}

#[tokio::test]
async fn what_speaks_neither_is_an_agent_that_is_down() {
    let server = answering([]).await;
    for known in [None, V1, V2] {
        for was_down in [false, true] {
            let reason = agent_down(poll_known(&server.url(""), &soon(), was_down, known).await);
            assert_eq!(reason, "HTTP 404 from info/agent and info/node");
        }
    }
}

#[tokio::test]
async fn a_protocol_that_is_set_is_the_only_one_asked() {
    let server = answering([V2_NODE, V2_STORE, V2_SHARDS]).await;
    let found = poll_known(&server.url(""), &pinned(AgentApi::V1), false, V2).await;
    assert_eq!(
        (agent_down(found).as_str(), asked(&server)),
        ("HTTP 404 from info/agent", vec!["info/agent".into()])
    );
    let server = answering([V1_AGENT, V1_STORE, V1_SHARDS]).await;
    let found = poll_known(&server.url(""), &pinned(AgentApi::V2), false, V1).await;
    assert_eq!(agent_down(found), "HTTP 404 from info/node");
    assert_eq!(asked(&server), ["info/node"]);
}
