//! The actions of a node: what is asked for, and what becomes of the node when it fails.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod agent;
#[path = "../../outbound/tests/server/mod.rs"]
mod server;

use std::time::Duration;

use agent::*;
use replicante_agents::actions::MAX_DETAILS;
use replicante_agents::{Observation, Target};
use replicante_model::actions::{ActionView, ActionsReport, NodeActions};
use replicante_model::record::{AgentApi, AgentSettings, ClusterIdCheck};
use tokio::time::Instant;

const V2_STORE_OF_LAB: Case = ("info/store", || Reply::json(200, r#"{"cluster_id":"lab","attributes":{}}"#));
const EMPTY: NodeActions = NodeActions { known: std::collections::BTreeMap::new(), more: false };

fn v1() -> Vec<Case> {
    vec![V1_AGENT, V1_STORE, V1_SHARDS]
}

fn v2() -> Vec<Case> {
    vec![V2_NODE, V2_STORE_OF_LAB, V2_SHARDS]
}

/// An agent with these lists, that answers for every action. Without lists, actions are switched off.
async fn agent(node: Vec<Case>, queue: &str, finished: &str) -> Server {
    let (queue, finished) = (queue.to_owned(), finished.to_owned());
    Server::start(move |line| {
        let endpoint = line.split_once("/api/unstable/").unwrap().1;
        let known = node.iter().find(|(name, _)| *name == endpoint);
        match endpoint {
            "actions/queue" => Reply::json(200, queue.as_str()),
            "actions/finished" => Reply::json(200, finished.as_str()),
            _ if endpoint.starts_with("actions/info/") => {
                Reply::json(200, r#"{"action":{"created_ts":"noon","requester":"CORE_API"},"history":[]}"#)
            }
            _ if endpoint.starts_with("action/") => {
                Reply::json(200, r#"{"created_time":"noon","state":{"error":{"error_msg":"no route"}}}"#)
            }
            _ => known.map_or_else(|| Reply::answer(404, "", ""), |(_, reply)| reply()),
        }
    })
    .await
}

async fn poll_with(
    server: &Server,
    api: AgentApi,
    settings: &AgentSettings,
    known: Option<&NodeActions>,
) -> Observation {
    let address = server.url("");
    let target =
        Target { node_id: "n", address: &address, was_down: false, last_api: Some(api), actions: known };
    agents().poll(&target, "lab", settings, far()).await
}

async fn actions(server: &Server, api: AgentApi, known: Option<&NodeActions>) -> ActionsReport {
    up(poll_with(server, api, &soon(), known).await).actions
}

fn list(report: ActionsReport) -> NodeActions {
    match report {
        ActionsReport::Listed(listed) => listed,
        other => panic!("expected a list: {other:?}"),
    }
}

#[tokio::test]
async fn both_lists_are_asked_for_after_the_shards_on_the_same_connection() {
    let server = agent(v1(), r#"[{"id":"a","kind":"k","state":"NEW"}]"#, "[]").await;
    assert_eq!(list(actions(&server, AgentApi::V1, None).await).known.len(), 1);
    assert_eq!(
        asked(&server),
        ["info/agent", "info/datastore", "shards", "actions/queue", "actions/finished"],
        "and no details at the first contact"
    );
    assert_eq!(server.connections(), 1);
    let server = agent(v2(), r#"{"actions":[{"id":"a","kind":"k","phase":"NEW"}]}"#, "[]").await;
    assert_eq!(list(actions(&server, AgentApi::V2, None).await).known.len(), 1);
    assert_eq!(
        asked(&server),
        ["info/node", "info/store", "info/shards", "actions/queue", "actions/finished"]
    );
}

#[tokio::test]
async fn recorded_agents_list_their_actions_and_those_without_mutual_tls_have_none() {
    for (scenario, node, cluster, actions) in [
        ("v1/healthy", "node1", "zk-lab", None),
        ("v1/healthy", "node1.tls", "zk-lab", Some(0)),
        ("v2/healthy", "node1", "rs-lab", Some(0)),
    ] {
        let server = recorded(scenario, node).await;
        let address = server.url("");
        let target =
            Target { node_id: "n", address: &address, was_down: false, last_api: None, actions: None };
        let report = up(agents().poll(&target, cluster, &soon(), far()).await);
        match (report.actions, actions) {
            (ActionsReport::Off, None) => {}
            (ActionsReport::Listed(listed), Some(count)) => assert_eq!(listed.known.len(), count),
            other => panic!("{scenario} {node}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn details_are_asked_for_where_something_changed_and_nowhere_else() {
    let queue = r#"[{"id":"a","state":"NEW"},{"id":"b","state":"RUNNING"}]"#;
    let finished = r#"[{"id":"c","state":"FAILED"},{"id":"d","state":"DONE"}]"#;
    let view = |state: &str, finished| ActionView { state: state.into(), finished, ..ActionView::default() };
    let mut known = EMPTY;
    for (id, action) in [("b", view("NEW", false)), ("c", view("RUNNING", false)), ("d", view("DONE", true))]
    {
        known.known.insert(id.into(), action);
    }
    for (api, node, path) in [(AgentApi::V1, v1(), "actions/info/"), (AgentApi::V2, v2(), "action/")] {
        let server = agent(node, queue, finished).await;
        let listed = list(actions(&server, api, Some(&known)).await);
        assert_eq!(asked(&server)[5..], ["a", "b", "c"].map(|id| format!("{path}{id}")));
        for id in ["a", "b", "c"] {
            assert_eq!(listed.known[id].details.created_at.as_deref(), Some("noon"), "{id}");
        }
        assert_eq!(listed.known["d"].details, Default::default());
        let error = listed.known["c"].details.error.as_deref();
        assert_eq!(error, (api == AgentApi::V2).then_some("no route"));
        // A steady node costs the two lists.
        let server = agent(if api == AgentApi::V1 { v1() } else { v2() }, queue, finished).await;
        actions(&server, api, Some(&listed)).await;
        assert_eq!(asked(&server).len(), 5);
    }
}

#[tokio::test]
async fn details_are_bounded_and_further_actions_go_without() {
    let queue: Vec<String> = (0..40).map(|id| format!(r#"{{"id":"a{id:02}","state":"NEW"}}"#)).collect();
    let server = agent(v1(), &format!("[{}]", queue.join(",")), "[]").await;
    let listed = list(actions(&server, AgentApi::V1, Some(&EMPTY)).await);
    assert_eq!((listed.known.len(), asked(&server).len()), (40, 5 + MAX_DETAILS));
    let with = listed.known.values().filter(|action| action.details.created_at.is_some()).count();
    assert_eq!(with, MAX_DETAILS);
}

#[tokio::test]
async fn actions_that_are_switched_off_need_one_request_and_are_no_failure() {
    for (api, node) in [(AgentApi::V1, v1()), (AgentApi::V2, v2())] {
        let server = answering(node).await;
        assert_eq!(actions(&server, api, Some(&EMPTY)).await, ActionsReport::Off);
        assert_eq!(asked(&server).last().unwrap(), "actions/queue");
    }
}

#[tokio::test]
async fn a_failing_call_for_actions_leaves_the_node_up_and_its_actions_unknown() {
    let good: Case = ("actions/queue", || Reply::json(200, "[]"));
    let bad: [fn() -> Reply; 6] = [
        || Reply::answer(500, "", "locked"),
        || Reply::json(404, r#"{"error":"no such page"}"#),
        || Reply::json(200, "nope"),
        || Reply::json(200, r#"{"error":"?"}"#),
        || Reply::Last(Vec::new()),
        || Reply::Hang,
    ];
    for (api, node) in [(AgentApi::V1, v1()), (AgentApi::V2, v2())] {
        for reply in bad {
            for failing in [vec![("actions/queue", reply)], vec![good, ("actions/finished", reply)]] {
                let server = answering(node.iter().copied().chain(failing)).await;
                assert_eq!(actions(&server, api, Some(&EMPTY)).await, ActionsReport::Unknown);
            }
        }
        // Without a list of finished ones, what is not in the queue may be finished or lost.
        let server = answering(node.into_iter().chain([good])).await;
        assert_eq!(actions(&server, api, None).await, ActionsReport::Unknown);
    }
    let settings = AgentSettings { max_body: 1 << 20, ..soon() };
    let endless: Case = ("actions/queue", || Reply::Endless);
    let server = answering(v1().into_iter().chain([endless])).await;
    let report = up(poll_with(&server, AgentApi::V1, &settings, None).await);
    assert_eq!(report.actions, ActionsReport::Unknown);
}

#[tokio::test]
async fn actions_that_fail_for_their_details_are_told_without() {
    let queue: Case =
        ("actions/queue", || Reply::json(200, r#"[{"id":"a","state":"NEW"},{"id":"b","state":"NEW"}]"#));
    let finished: Case = ("actions/finished", || Reply::json(200, "[]"));
    for (reply, requests) in [
        ((|| Reply::Hang) as fn() -> Reply, 1),
        (|| Reply::answer(404, "", ""), 2),
        (|| Reply::json(200, "?"), 2),
    ] {
        let details = [("actions/info/a", reply), ("actions/info/b", reply)];
        let server = answering(v1().into_iter().chain([queue, finished]).chain(details)).await;
        let listed = list(actions(&server, AgentApi::V1, Some(&EMPTY)).await);
        assert_eq!(listed.known["a"].details, Default::default());
        assert_eq!(asked(&server).len(), 5 + requests, "a silent agent is not asked again");
    }
}

#[tokio::test]
async fn actions_that_hang_until_the_time_of_node_or_cluster_is_up_leave_the_node_up() {
    let hangs: Case = ("actions/queue", || Reply::Hang);
    let node_timeout = Duration::from_millis(400);
    let settings = AgentSettings { node_timeout, ..AgentSettings::default() };
    let server = answering(v1().into_iter().chain([hangs])).await;
    assert_eq!(up(poll_with(&server, AgentApi::V1, &settings, None).await).actions, ActionsReport::Unknown);
    let address = server.url("");
    let target = Target { node_id: "n", address: &address, was_down: false, last_api: None, actions: None };
    let deadline = Instant::now() + Duration::from_millis(400);
    let found = agents().poll(&target, "lab", &AgentSettings::default(), deadline).await;
    assert_eq!(up(found).actions, ActionsReport::Unknown);
}

#[tokio::test]
async fn a_node_of_another_cluster_is_not_asked_for_its_actions() {
    let server = answering([V2_NODE, V2_STORE, V2_SHARDS, V2_QUEUE]).await;
    assert_eq!(actions(&server, AgentApi::V2, None).await, ActionsReport::Unknown);
    assert_eq!(asked(&server), ["info/node", "info/store", "info/shards"]);
}

#[tokio::test]
async fn where_the_cluster_id_is_ignored_the_actions_of_such_a_node_are_asked_for() {
    let node = vec![V2_NODE, V2_STORE, V2_SHARDS];
    let server = agent(node, r#"{"actions":[{"id":"a","kind":"k","phase":"NEW"}]}"#, "[]").await;
    let settings = AgentSettings { cluster_id: ClusterIdCheck::Ignore, ..soon() };
    let report = up(poll_with(&server, AgentApi::V2, &settings, None).await);
    assert_eq!((report.cluster_id.as_str(), list(report.actions).known.len()), ("other", 1));
}
