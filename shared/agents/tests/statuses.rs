//! What an answer means: recorded agents, and agents that misbehave, each to one observation.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod agent;
#[path = "../../outbound/tests/server/mod.rs"]
mod server;

use std::time::{Duration, Instant};

use agent::*;
use replicante_model::observation::Role;
use replicante_model::record::{AgentApi, AgentSettings, ClusterIdCheck, TlsSettings};
use server::free_port;

const UNTIL_TIMEOUT: &str = "timeout after 300 ms";

#[tokio::test]
async fn a_recorded_ensemble_is_up() {
    for (node, role) in [("1", Role::Secondary), ("2", Role::Secondary), ("3", Role::Primary)] {
        let server = recorded("v1/healthy", &format!("node{node}")).await;
        let report = up(poll(&server.url(""), &soon()).await);
        assert_eq!((report.agent.api, report.agent.version.number.as_str()), (AgentApi::V1, "0.6.0"));
        assert_eq!((report.cluster_id.as_str(), report.node.node_id.as_str()), ("zk-lab", node));
        assert_eq!(report.shards["zk-lab"].role, role);
        assert_eq!(asked(&server), ["info/agent", "info/datastore", "shards"]);
        assert_eq!(server.connections(), 1);
    }
    let server = recorded("v1/healthy", "node1.tls").await;
    assert_eq!(up(poll(&server.url("/"), &soon()).await).display_name.unwrap(), "ZooKeeper lab");
    assert_eq!(server.requests()[0], "GET /api/unstable/info/agent");
}

#[tokio::test]
async fn a_recorded_datastore_that_fails_is_a_node_that_is_down() {
    for (scenario, node) in [
        ("v1/no-quorum", "node1"),
        ("v1/no-quorum", "node2.tls"),
        ("v1/one-node-killed", "node3"),
        ("v1/default-4lw-whitelist", "node1"),
    ] {
        let server = recorded(scenario, node).await;
        let found = node_down(poll(&server.url(""), &soon()).await);
        assert_eq!(
            found,
            ("HTTP 500: datastore operation 'conf' failed".into(), Some(AgentApi::V1)),
            "{scenario}"
        );
        assert_eq!(asked(&server), ["info/agent", "info/datastore"]);
    }
}

#[tokio::test]
async fn a_recorded_datastore_that_hangs_is_ended_by_the_timeout() {
    let server = recorded("v1/node2-hung", "node2").await;
    let started = Instant::now();
    let found = node_down(poll(&server.url(""), &soon()).await);
    assert_eq!(found, (UNTIL_TIMEOUT.into(), Some(AgentApi::V1)));
    assert_eq!(asked(&server), ["info/agent", "info/datastore"], "no further request takes a thread");
    assert!(started.elapsed() < Duration::from_secs(10), "the whole node may take longer");
}

#[tokio::test]
async fn a_recorded_replica_set_is_up_whatever_its_members_do() {
    for (scenario, node, condition) in [
        ("v2/healthy", "node1", None),
        ("v2/healthy", "node2", None),
        ("v2/recovering-rollback", "node2", Some("UNHEALTHY")),
        ("v2/recovering-rollback", "node3", Some("UNHEALTHY")),
    ] {
        let server = recorded(scenario, node).await;
        let report = up(poll(&server.url(""), &soon()).await);
        assert_eq!((report.agent.api, report.cluster_id.as_str()), (AgentApi::V2, "rs-lab"));
        assert_eq!(report.node.condition.as_deref(), condition);
        assert_eq!(report.node.attributes["mongodb.com/oplog.size"], "1038090240");
        assert_eq!(report.shards.keys().collect::<Vec<_>>(), ["rs-lab"]);
        assert_eq!(asked(&server), ["info/agent", "info/node", "info/store", "info/shards"]);
        assert_eq!(server.connections(), 1);
    }
}

#[tokio::test]
async fn a_recorded_store_that_is_down_needs_one_request() {
    let server = recorded("v2/store-down", "node2").await;
    let found = node_down(poll_known(&server.url(""), &soon(), false, Some(AgentApi::V2)).await);
    assert_eq!(found, ("info/node says UNAVAILABLE".into(), Some(AgentApi::V2)));
    assert_eq!(asked(&server), ["info/node"]);
}

#[tokio::test]
async fn a_recorded_replica_set_that_is_not_initialised_is_down() {
    let server = recorded("v2/not-initialised", "node1").await;
    let (reason, api) = node_down(poll(&server.url(""), &soon()).await);
    assert!(reason.ends_with("(Command failed: Error code 94 (NotYetInitialized))"), "{reason}");
    assert_eq!(api, Some(AgentApi::V2));
}

#[tokio::test]
async fn a_recorded_store_that_hangs_is_told_from_its_agent_by_another_endpoint() {
    for (known, first_requests) in
        [(None, &["info/agent", "info/node"][..]), (Some(AgentApi::V2), &["info/node", "actions/queue"])]
    {
        let server = recorded("v2/store-hung", "node3").await;
        let found = node_down(poll_known(&server.url(""), &soon(), false, known).await);
        assert_eq!(found, (UNTIL_TIMEOUT.into(), None));
        assert_eq!(asked(&server), first_requests);
    }
}

#[tokio::test]
async fn a_node_that_was_down_is_probed_with_one_request_first() {
    let down = Server::start(|_| Reply::Hang).await;
    for (api, probe) in
        [(None, "info/agent"), (Some(AgentApi::V1), "info/agent"), (Some(AgentApi::V2), "actions/queue")]
    {
        let before = asked(&down).len();
        let reason = agent_down(poll_known(&down.url(""), &soon(), true, api).await);
        assert_eq!((reason.as_str(), &asked(&down)[before..]), (UNTIL_TIMEOUT, &[probe.to_owned()][..]));
    }
    // Version 2 with a hanging store: the same reason as for the node that was up, so no change.
    let server = recorded("v2/store-hung", "node3").await;
    let found = node_down(poll_known(&server.url(""), &soon(), true, Some(AgentApi::V2)).await);
    assert_eq!(
        (found, asked(&server)),
        ((UNTIL_TIMEOUT.into(), None), vec!["actions/queue".into(), "info/node".into()])
    );
    // And one that is back.
    let server = recorded("v2/healthy", "node1").await;
    up(poll_known(&server.url(""), &soon(), true, Some(AgentApi::V2)).await);
    assert_eq!(asked(&server), ["actions/queue", "info/node", "info/store", "info/shards"]);
}

#[tokio::test]
async fn an_agent_that_gives_no_answer_is_down_with_the_reason() {
    let gone = format!("http://{}", free_port().await);
    let cases: [Case; 8] = [
        (UNTIL_TIMEOUT, || Reply::Hang),
        ("connection closed before the answer was complete", || Reply::Last(Vec::new())),
        ("answer is not HTTP", || Reply::Last(b"SSH-2.0-x\r\n\r\n".into())),
        ("no JSON from ", || Reply::answer(200, "", "<html>Welcome</html>")),
        ("unexpected JSON from ", || Reply::json(200, "{}")),
        ("HTTP 500: out of order", || Reply::answer(500, "", "out of order")),
        // No other success will do.
        ("HTTP 201 from ", || Reply::json(201, "{}")),
        ("HTTP 206 from ", || Reply::json(206, "{}")),
    ];
    for (api, endpoint) in [(AgentApi::V1, "info/agent"), (AgentApi::V2, "info/node")] {
        assert_eq!(agent_down(poll(&gone, &pinned(api)).await), "connection refused");
        for (expected, reply) in cases {
            // Whatever else is asked of it hangs.
            let server =
                Server::start(move |line| if line.ends_with(endpoint) { reply() } else { Reply::Hang }).await;
            let reason = agent_down(poll(&server.url(""), &pinned(api)).await);
            let expected =
                if expected.ends_with("from ") { format!("{expected}{endpoint}") } else { expected.into() };
            assert_eq!(reason, expected, "{api:?}");
        }
    }
}

#[tokio::test]
async fn a_version_2_agent_whose_other_endpoint_answers_is_up_and_its_node_down() {
    let cases: [fn() -> Reply; 4] =
        [|| Reply::Hang, || Reply::Last(Vec::new()), || Reply::json(500, "{}"), || Reply::json(200, "nope")];
    let settings = AgentSettings { max_body: 1 << 16, ..pinned(AgentApi::V2) };
    let others: [fn() -> Reply; 4] = [
        || Reply::Endless,
        || Reply::json(200, r#"{"actions":[]}"#),
        || Reply::answer(404, "", ""),
        || Reply::answer(500, "", "x"),
    ];
    for case in cases {
        for other in others {
            let server = answering([("info/node", case), ("actions/queue", other)]).await;
            assert_eq!(node_down(poll(&server.url(""), &settings).await).1, None);
        }
    }
}

#[tokio::test]
async fn a_datastore_that_gives_no_answer_is_down_behind_an_agent_that_is_up() {
    let cases: [Case; 5] = [
        (UNTIL_TIMEOUT, || Reply::Hang),
        ("connection closed before the answer was complete", || Reply::Last(Vec::new())),
        ("no JSON from ", || Reply::json(200, "nope")),
        ("unexpected JSON from ", || Reply::json(200, r#"{"error":"?"}"#)),
        ("HTTP 404 from ", || Reply::answer(404, "", "")),
    ];
    for (expected, reply) in cases {
        for (api, endpoint, before) in [
            (AgentApi::V1, "info/datastore", vec![V1_AGENT, V1_SHARDS]),
            (AgentApi::V1, "shards", vec![V1_AGENT, V1_STORE]),
            (AgentApi::V2, "info/store", vec![V2_NODE, V2_SHARDS]),
            (AgentApi::V2, "info/shards", vec![V2_NODE, V2_STORE]),
        ] {
            let server = answering(before.into_iter().chain([(endpoint, reply)])).await;
            let (reason, agent) = node_down(poll(&server.url(""), &pinned(api)).await);
            let expected =
                if expected.ends_with("from ") { format!("{expected}{endpoint}") } else { expected.into() };
            assert_eq!((reason, agent), (expected, Some(api)), "{endpoint}");
            assert_eq!(asked(&server).last().unwrap(), endpoint, "no further request takes a thread");
        }
    }
}

#[tokio::test]
async fn a_redirect_is_a_status_other_than_200() {
    let target = answering([V1_AGENT, V1_STORE, V1_SHARDS]).await;
    let location = format!("location: {}\r\n", target.url("/api/unstable/info/agent"));
    let server = Server::start(move |_| Reply::answer(302, &location, "")).await;
    assert_eq!(agent_down(poll(&server.url(""), &soon()).await), "HTTP 302 from info/agent");
    assert!(target.requests().is_empty());
}

#[tokio::test]
async fn bodies_are_bounded_and_an_endless_one_is_a_failure_of_its_endpoint() {
    let settings = AgentSettings { max_body: 1 << 20, ..soon() };
    let server = answering([("info/agent", (|| Reply::Endless) as fn() -> Reply)]).await;
    assert_eq!(agent_down(poll(&server.url(""), &settings).await), "answer larger than 1 MiB");
    let server = answering([V1_AGENT, V1_STORE, ("shards", || Reply::Endless)]).await;
    assert_eq!(node_down(poll(&server.url(""), &settings).await).0, "answer larger than 1 MiB");
}

#[tokio::test]
async fn a_node_at_an_address_that_is_not_allowed_is_down_without_a_connection() {
    let server = answering([V1_AGENT]).await;
    let outbound = std::sync::Arc::new(replicante_outbound::Outbound::new(Default::default()));
    let agents = replicante_agents::Agents::new(outbound, 1);
    let address = server.url("");
    let target = replicante_agents::Target {
        node_id: "n",
        address: &address,
        was_down: false,
        last_api: None,
        actions: None,
    };
    let reason = agent_down(agents.poll(&target, "lab", &soon(), far()).await);
    assert_eq!(reason, "address is loopback, which is not allowed");
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn tls_settings_of_the_discovery_are_used_and_their_failure_is_named() {
    let tls = TlsSettings { ca_bundle: Some("env:REPLICANTE_NO_SUCH_CA".into()), client_certificate: None };
    let reason = agent_down(poll("https://127.0.0.1:1", &AgentSettings { tls, ..soon() }).await);
    assert!(reason.starts_with("ca_bundle: env:REPLICANTE_NO_SUCH_CA is not set"), "{reason}");
}

#[tokio::test]
async fn opening_a_connection_has_its_own_limit() {
    // Accepts, and says nothing to a TLS client.
    let server = Server::start(|_| Reply::Hang).await;
    let settings = AgentSettings { connect_timeout: SHORT, ..AgentSettings::default() };
    let reason = agent_down(poll(&server.url("").replace("http://", "https://"), &settings).await);
    assert_eq!(reason, "connect timeout after 300 ms");
}

#[tokio::test]
async fn the_report_carries_the_cluster_id_that_the_node_answered_for() {
    let server = answering([V2_NODE, V2_STORE, V2_SHARDS]).await;
    let report = up(poll(&server.url(""), &pinned(AgentApi::V2)).await);
    assert_eq!(
        (report.cluster_id.as_str(), report.shards.keys().next().unwrap().as_str()),
        ("other", "other")
    );
    // Where agents can't know it, all nodes still name the same shard.
    let settings = AgentSettings { cluster_id: ClusterIdCheck::Ignore, ..pinned(AgentApi::V2) };
    let report = up(poll(&server.url(""), &settings).await);
    assert_eq!((report.cluster_id.as_str(), report.shards.keys().next().unwrap().as_str()), ("other", "lab"));
}

#[tokio::test]
async fn the_whole_node_has_a_limit() {
    let node_timeout = Duration::from_millis(200);
    let settings = AgentSettings { node_timeout, ..AgentSettings::default() };
    let started = Instant::now();
    let server = answering([V1_AGENT, ("info/datastore", || Reply::Hang)]).await;
    let (reason, _) = node_down(poll(&server.url(""), &settings).await);
    assert_eq!(reason, "timeout after 200 ms");
    let server = answering([("info/agent", (|| Reply::Hang) as fn() -> Reply)]).await;
    assert_eq!(agent_down(poll(&server.url(""), &settings).await), "timeout after 200 ms");
    assert!(started.elapsed() < Duration::from_secs(10), "a request alone may take as long");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hung_store_gives_one_reason_whichever_limit_ends_its_poll() {
    async fn reason(agent: fn() -> Reply) -> String {
        let settings = AgentSettings { node_timeout: SHORT * 3 / 2, ..soon() };
        let server = answering([("info/agent", agent), ("info/datastore", || Reply::Hang)]).await;
        node_down(poll(&server.url(""), &settings).await).0
    }
    let agent = || Reply::json(200, r#"{"version":{"number":"0.6.0"}}"#);
    let slow = || {
        // In the middle of the request's time: the node's ends before that of the next request.
        std::thread::sleep(SHORT * 2 / 3);
        Reply::json(200, r#"{"version":{"number":"0.6.0"}}"#)
    };
    assert_eq!(reason(agent).await, "timeout after 300 ms");
    assert_eq!(reason(slow).await, "timeout after 300 ms");
}
