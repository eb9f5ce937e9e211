//! The discovery endpoint and the fleet's own endpoints over real HTTP.

use replicante_fleet::{
    AgentState, Change, DiscoveryFault, Endpoint, Fleet, FleetConfig, Layout, NodeEntries, WorldConfig,
};
use reqwest::{Client, Response};
use serde_json::{Value, json};

async fn fleet() -> Fleet {
    Fleet::start(FleetConfig { page_size: 5, ..FleetConfig::default() }).await.unwrap()
}

fn client() -> Client {
    Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap()
}

async fn page(client: &Client, fleet: &Fleet, cursor: Value) -> Response {
    client.post(fleet.discovery_url()).json(&json!({"cursor": cursor, "region": "eu"})).send().await.unwrap()
}

async fn pages(client: &Client, fleet: &Fleet) -> Vec<Value> {
    let (mut cursor, mut clusters) = (Value::Null, Vec::new());
    loop {
        let answer: Value = page(client, fleet, cursor).await.json().await.unwrap();
        let found = answer["clusters"].as_array().unwrap();
        assert!(found.len() <= 5);
        clusters.extend(found.iter().cloned());
        cursor = answer["cursor"].clone();
        if cursor.is_null() {
            return clusters;
        }
    }
}

#[tokio::test]
async fn pages_and_the_whole_list_name_the_same_clusters_and_every_agent_answers_where_they_say() {
    let (fleet, client) = (fleet().await, client());
    let paged = pages(&client, &fleet).await;
    let whole: Value = client.get(fleet.discovery_url()).send().await.unwrap().json().await.unwrap();
    assert_eq!((paged.len(), &whole["cursor"]), (24, &Value::Null));
    assert_eq!(whole["clusters"], json!(paged));
    for cluster in &paged {
        for node in cluster["nodes"].as_array().unwrap() {
            let address = node["agent_address"].as_str().unwrap();
            assert_eq!(
                fleet.agent_url(cluster["cluster_id"].as_str().unwrap(), node["node_id"].as_str().unwrap()),
                Some(address.to_owned())
            );
            let mut answers = 0;
            for path in ["info/agent", "info/node"] {
                let url = format!("{address}/api/unstable/{path}");
                answers += u32::from(client.get(url).send().await.unwrap().status() == 200);
            }
            assert_eq!(answers, 1, "{address}");
        }
    }
    let requests = fleet.requests();
    assert_eq!((requests[&Endpoint::Discovery], requests[&Endpoint::Shards]), (6, 0));
    assert_eq!(requests[&Endpoint::InfoAgent], requests[&Endpoint::InfoNode]);
    assert!(fleet.connections() >= 1);
}

#[tokio::test]
async fn the_last_page_ends_the_list_even_when_it_is_full() {
    let world = WorldConfig { clusters: 10, ..WorldConfig::default() };
    let fleet = Fleet::start(FleetConfig { world, page_size: 5, ..FleetConfig::default() }).await.unwrap();
    assert_eq!(pages(&client(), &fleet).await.len(), 10);
    assert_eq!(fleet.requests()[&Endpoint::Discovery], 2);
}

#[tokio::test]
async fn nodes_can_be_urls_and_platform_lists_have_classes() {
    let config = FleetConfig { node_entries: NodeEntries::Urls, ..FleetConfig::default() };
    let (fleet, client) = (Fleet::start(config).await.unwrap(), client());
    let all: Value = client.get(fleet.discovery_url()).send().await.unwrap().json().await.unwrap();
    assert!(all["clusters"][0]["nodes"][0].as_str().unwrap().starts_with(fleet.base_url()));
    let url = format!("{}/discover", fleet.base_url());
    let platform: Value = client.get(url).send().await.unwrap().json().await.unwrap();
    let node = &platform["clusters"][0]["nodes"][0];
    assert_eq!((node["node_class"].is_string(), node.get("node_group")), (true, Some(&Value::Null)));
    assert!(platform.get("cursor").is_none());
}

#[tokio::test]
async fn target_groups_and_the_object_name_the_same_clusters_and_agents() {
    let config = FleetConfig { layout: Layout::PortEach, ..FleetConfig::default() };
    let (fleet, client) = (Fleet::start(config).await.unwrap(), client());
    let get = async |path: &str| {
        let url = format!("{}{path}", fleet.base_url());
        client.get(url).send().await.unwrap().json::<Value>().await.unwrap()
    };
    let all = get("/clusters").await;
    assert_eq!(get("/inventory/clusters.json").await, all);
    let expected: Vec<Value> = all["clusters"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|cluster| cluster["nodes"].as_array().unwrap().iter().map(move |node| (cluster, node)))
        .map(|(cluster, node)| {
            let target = node["agent_address"].as_str().unwrap().strip_prefix("http://").unwrap();
            json!([target, cluster["cluster_id"], cluster["display_name"]])
        })
        .collect();
    let groups = get("/targets").await;
    let group =
        |group: &Value| json!([group["targets"][0], group["labels"]["cluster"], group["labels"]["title"]]);
    assert_eq!(groups.as_array().unwrap().iter().map(group).collect::<Vec<_>>(), expected);
    fleet.apply(Change::discovery(Some(DiscoveryFault::Forgets))).unwrap();
    assert_eq!(get("/targets").await, json!([]));
    fleet.apply(Change::discovery(Some(DiscoveryFault::BadRecord))).unwrap();
    assert!(get("/targets").await[0]["labels"].get("cluster").is_none());
}

#[tokio::test]
async fn a_cluster_that_is_unlisted_leaves_discovery_and_its_agents_stay() {
    let (fleet, client) = (fleet().await, client());
    fleet.apply(Change::list("zk-01", false)).unwrap();
    assert!(pages(&client, &fleet).await.iter().all(|cluster| cluster["cluster_id"] != "zk-01"));
    let url = format!("{}/api/unstable/info/agent", fleet.agent_url("zk-01", "node-1").unwrap());
    assert_eq!(client.get(url).send().await.unwrap().status(), 200);
    fleet.apply(Change::list("zk-01", true)).unwrap();
    assert_eq!(pages(&client, &fleet).await.len(), 24);
}

#[tokio::test]
async fn each_fault_of_discovery_does_what_it_says() {
    let (fleet, client) = (fleet().await, client());
    let fault = |fault| fleet.apply(Change::discovery(Some(fault))).unwrap();
    let first = || page(&client, &fleet, Value::Null);

    fault(DiscoveryFault::Down);
    assert_eq!(first().await.status(), 500);
    fault(DiscoveryFault::Html);
    let html = first().await;
    assert_eq!(
        (html.status().as_u16(), &html.headers()["content-type"]),
        (200, &"text/html; charset=utf-8".parse().unwrap())
    );
    fault(DiscoveryFault::EmptyObject);
    assert_eq!(first().await.text().await.unwrap(), "{}");
    fault(DiscoveryFault::Forgets);
    assert_eq!(first().await.json::<Value>().await.unwrap(), json!({"cursor": null, "clusters": []}));
    fault(DiscoveryFault::EndlessCursor);
    let mut seen = vec![Value::Null];
    for _ in 0..4 {
        let next = page(&client, &fleet, seen.last().unwrap().clone()).await.json::<Value>().await.unwrap();
        assert!(!seen.contains(&next["cursor"]));
        seen.push(next["cursor"].clone());
    }
    fault(DiscoveryFault::RepeatedCursor);
    let one: Value = first().await.json().await.unwrap();
    let two: Value = page(&client, &fleet, one["cursor"].clone()).await.json().await.unwrap();
    assert_eq!((one["cursor"].is_string(), &one["cursor"]), (true, &two["cursor"]));
    fault(DiscoveryFault::Huge(40 << 20));
    let huge = first().await;
    assert_eq!(huge.content_length(), None);
    let body = huge.bytes().await.unwrap();
    assert!(body.len() > 40 << 20 && serde_json::from_slice::<Value>(&body).unwrap()["clusters"].is_array());
    fault(DiscoveryFault::Redirect);
    let redirect = first().await;
    assert_eq!(
        (redirect.status().as_u16(), &redirect.headers()["location"]),
        (307, &"/elsewhere".parse().unwrap())
    );
    fault(DiscoveryFault::WrongContentType);
    let plain = first().await;
    assert_eq!(plain.headers()["content-type"], "text/plain");
    assert_eq!(plain.json::<Value>().await.unwrap()["clusters"].as_array().unwrap().len(), 5);
    fault(DiscoveryFault::BadRecord);
    let mixed: Value = first().await.json().await.unwrap();
    assert!(
        mixed["clusters"][0].get("cluster_id").is_none() && mixed["clusters"][1]["cluster_id"].is_string()
    );
    fault(DiscoveryFault::Duplicate);
    let twice: Value = first().await.json().await.unwrap();
    assert_eq!(twice["clusters"][0], twice["clusters"][5]);
    fault(DiscoveryFault::Close);
    assert!(client.get(fleet.discovery_url()).send().await.is_err());
    fleet.apply(Change::discovery(None)).unwrap();
    assert_eq!(pages(&client, &fleet).await.len(), 24);
}

#[tokio::test]
async fn discovery_that_hangs_answers_once_the_fault_ends() {
    let (fleet, client) = (fleet().await, client());
    fleet.apply(Change::discovery(Some(DiscoveryFault::Hang))).unwrap();
    let waiting = tokio::spawn(client.get(fleet.discovery_url()).send());
    while fleet.requests()[&Endpoint::Discovery] == 0 {
        tokio::task::yield_now().await;
    }
    fleet.apply(Change::fault("zk-01", "node-1", None)).unwrap();
    assert!(!waiting.is_finished(), "another change does not end it");
    fleet.apply(Change::discovery(None)).unwrap();
    assert_eq!(waiting.await.unwrap().unwrap().status(), 200);
}

#[tokio::test]
async fn a_shell_script_can_change_the_fleet_and_compare() {
    let (fleet, client) = (fleet().await, client());
    let url = format!("{}/fleet", fleet.base_url());
    let truth = || async { client.get(&url).send().await.unwrap().json::<Value>().await.unwrap() };
    let post = |body: String| client.post(format!("{url}/changes")).body(body).send();

    let before = truth().await;
    assert_eq!(before["clusters"]["zk-01"]["nodes"]["node-1"]["agent"], "up");
    assert_eq!(
        before["clusters"]["zk-01"]["nodes"]["node-1"]["address"],
        json!(fleet.agent_url("zk-01", "node-1"))
    );
    let change = serde_json::to_string(&Change::agent("zk-01", "node-1", AgentState::Gone)).unwrap();
    let answer = post(change).await.unwrap();
    assert_eq!(answer.status(), 200);
    let told: Value = answer.json().await.unwrap();
    assert!(told["told"].as_str().unwrap().starts_with("zk-01/node-1: agent stopped"), "{told}");
    let after = truth().await;
    assert_eq!(
        (&after["changes"], &after["clusters"]["zk-01"]["nodes"]["node-1"]["agent"]),
        (&json!(1), &json!("gone"))
    );

    let unknown = post(r#"{"change":"add_node","cluster":"nope"}"#.into()).await.unwrap();
    assert_eq!((unknown.status().as_u16(), truth().await["changes"].clone()), (409, json!(1)));
    assert!(unknown.text().await.unwrap().contains("no cluster `nope`"));
    let misspelt = post(r#"{"change":"fail_over","cluster":"zk-01","node":"node-2"}"#.into()).await.unwrap();
    assert_eq!(misspelt.status(), 400, "an unknown field is refused");
    assert_eq!(post("nonsense".into()).await.unwrap().status(), 400);
    assert_eq!(client.put(&url).send().await.unwrap().status(), 405);
    assert_eq!(client.get(format!("{}/elsewhere", fleet.base_url())).send().await.unwrap().status(), 404);
}
