//! Agents over real HTTP, in both layouts: what each state and fault does on the wire.

use std::time::Duration;

use replicante_fleet::{
    AgentState, Change, Fault, Fleet, FleetConfig, Kind, Layout, StoreState, WorldConfig,
};
use reqwest::{Client, Error, Response};
use serde_json::Value;

async fn fleet(layout: Layout) -> Fleet {
    let world = WorldConfig { clusters: 0, ..WorldConfig::default() };
    let fleet = Fleet::start(FleetConfig { world, layout, ..FleetConfig::default() }).await.unwrap();
    for (cluster, kind) in [("zk", Kind::Zookeeper), ("mongo", Kind::Mongodb)] {
        let cluster = cluster.to_owned();
        fleet.apply(Change::AddCluster { cluster, kind, nodes: 3, shards: None }).unwrap();
    }
    fleet
}

async fn get(client: &Client, fleet: &Fleet, cluster: &str, path: &str) -> Result<Response, Error> {
    let url = format!("{}/api/unstable/{path}", fleet.agent_url(cluster, "node-1").unwrap());
    client.get(url).timeout(Duration::from_secs(20)).send().await
}

async fn hangs(client: &Client, fleet: &Fleet, cluster: &str, path: &str) -> bool {
    let url = format!("{}/api/unstable/{path}", fleet.agent_url(cluster, "node-1").unwrap());
    client.get(url).timeout(Duration::from_millis(50)).send().await.is_err_and(|error| error.is_timeout())
}

#[tokio::test]
async fn each_state_and_fault_does_what_it_says_in_both_layouts() {
    for layout in [Layout::OnePort, Layout::PortEach] {
        let (fleet, client) = (fleet(layout).await, Client::new());
        let get = |cluster, path| get(&client, &fleet, cluster, path);

        assert_eq!(get("zk", "info/datastore").await.unwrap().status(), 200);
        fleet.apply(Change::store("zk", "node-1", StoreState::Down)).unwrap();
        assert_eq!(get("zk", "info/datastore").await.unwrap().status(), 500);
        assert_eq!(get("zk", "info/agent").await.unwrap().status(), 200);
        fleet.apply(Change::store("mongo", "node-1", StoreState::Hanging)).unwrap();
        assert!(hangs(&client, &fleet, "mongo", "info/node").await);
        assert_eq!(get("mongo", "actions/queue").await.unwrap().status(), 200);
        fleet.apply(Change::store("zk", "node-1", StoreState::Up)).unwrap();
        fleet.apply(Change::store("mongo", "node-1", StoreState::Up)).unwrap();

        let fault = |fault| fleet.apply(Change::fault("zk", "node-1", fault)).unwrap();
        fault(Some(Fault::Garbage));
        assert!(get("zk", "info/agent").await.unwrap().json::<Value>().await.is_err());
        fault(Some(Fault::Html));
        assert_eq!(get("zk", "shards").await.unwrap().headers()["content-type"], "text/html; charset=utf-8");
        fault(Some(Fault::ServerError));
        assert_eq!(get("zk", "info/agent").await.unwrap().status(), 500);
        fault(Some(Fault::Huge(9 << 20)));
        let huge = get("zk", "shards").await.unwrap();
        assert_eq!(huge.content_length(), None);
        assert!(huge.bytes().await.unwrap().len() > 9 << 20);
        fault(Some(Fault::OtherCluster("another".into())));
        assert_eq!(
            get("zk", "info/datastore").await.unwrap().json::<Value>().await.unwrap()["cluster_id"],
            "another"
        );
        fault(None);
        assert_eq!(
            get("zk", "info/datastore").await.unwrap().json::<Value>().await.unwrap()["cluster_id"],
            "zk"
        );

        fleet.apply(Change::agent("zk", "node-1", AgentState::Hanging)).unwrap();
        assert!(hangs(&client, &fleet, "zk", "info/agent").await);
        fleet.apply(Change::agent("zk", "node-1", AgentState::Gone)).unwrap();
        let gone = get("zk", "info/agent").await.unwrap_err();
        assert_eq!(gone.is_connect(), layout == Layout::PortEach, "{gone:?}");
        assert_eq!(get("mongo", "info/node").await.unwrap().status(), 200);
        let address = fleet.agent_url("zk", "node-1");
        fleet.apply(Change::agent("zk", "node-1", AgentState::Up)).unwrap();
        assert_eq!(fleet.agent_url("zk", "node-1"), address);
        assert_eq!(get("zk", "info/agent").await.unwrap().status(), 200);

        fleet.apply(Change::MoveNode { cluster: "zk".into(), node: "node-1".into() }).unwrap();
        assert_ne!(fleet.agent_url("zk", "node-1"), address);
        assert!(client.get(format!("{}/api/unstable/shards", address.unwrap())).send().await.is_err());
        assert_eq!(get("zk", "shards").await.unwrap().status(), 200);
        fleet.shutdown().await;
    }
}

#[tokio::test]
async fn an_agent_with_latency_answers_late() {
    let (fleet, client) = (fleet(Layout::OnePort).await, Client::new());
    fleet.apply(Change::Latency { cluster: "zk".into(), node: "node-1".into(), millis: 40 }).unwrap();
    let start = std::time::Instant::now();
    assert_eq!(get(&client, &fleet, "zk", "info/agent").await.unwrap().status(), 200);
    assert!(start.elapsed() >= Duration::from_millis(40));
}

#[tokio::test]
async fn agents_speak_http_2_with_prior_knowledge() {
    for layout in [Layout::OnePort, Layout::PortEach] {
        let fleet = fleet(layout).await;
        let client = Client::builder().http2_prior_knowledge().build().unwrap();
        let answer = get(&client, &fleet, "mongo", "info/node").await.unwrap();
        assert_eq!((answer.status().as_u16(), answer.version()), (200, reqwest::Version::HTTP_2));
        fleet.apply(Change::agent("mongo", "node-1", AgentState::Gone)).unwrap();
        assert!(get(&client, &fleet, "mongo", "info/node").await.is_err());
    }
}

#[tokio::test]
async fn an_agent_that_goes_takes_its_idle_connections_with_it_and_returns_at_the_same_port_many_times() {
    let (fleet, client) = (fleet(Layout::PortEach).await, Client::new());
    let address = fleet.agent_url("zk", "node-1");
    for _ in 0..50 {
        assert_eq!(get(&client, &fleet, "zk", "info/agent").await.unwrap().status(), 200);
        fleet.apply(Change::agent("zk", "node-1", AgentState::Gone)).unwrap();
        assert!(get(&client, &fleet, "zk", "info/agent").await.is_err());
        fleet.apply(Change::agent("zk", "node-1", AgentState::Up)).unwrap();
        assert_eq!(fleet.agent_url("zk", "node-1"), address);
    }
}

#[tokio::test]
async fn a_removed_cluster_is_silent_and_a_fleet_that_shut_down_refuses_connections() {
    for layout in [Layout::OnePort, Layout::PortEach] {
        let (fleet, client) = (fleet(layout).await, Client::new());
        let removed = format!("{}/api/unstable/info/agent", fleet.agent_url("zk", "node-1").unwrap());
        let kept = format!("{}/api/unstable/info/node", fleet.agent_url("mongo", "node-1").unwrap());
        fleet.apply(Change::RemoveCluster { cluster: "zk".into() }).unwrap();
        assert!(client.get(removed).send().await.is_err());
        assert_eq!(client.get(&kept).send().await.unwrap().status(), 200);
        fleet.shutdown().await;
        assert!(client.get(&kept).send().await.unwrap_err().is_connect());
    }
}
