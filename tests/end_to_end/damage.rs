//! What is damaged in the table is said, and keeps nothing else from its work.

use std::time::Duration;

use replicante_aws::{Queue, Table};
use replicante_fleet::Kind;
use replicante_model::name::SPREAD_SHARDS;
use replicante_model::{Kind as RecordKind, RecordName, Timestamp};
use replicante_protocol::machine::Outcome;
use replicante_scheduler::Scheduler;
use replicante_tests::System;
use serde_json::{Value, json};
use tokio::time::Instant;

/// Somebody's hand in the table: a call that this project does not make.
async fn by_hand(system: &System, call: &str, mut request: Value) {
    request["TableName"] = json!(system.local.settings.table);
    let answer = reqwest::Client::new()
        .post(&system.local.environment["AWS_ENDPOINT_URL_DYNAMODB"])
        .header("content-type", "application/x-amz-json-1.0")
        .header("x-amz-target", format!("DynamoDB_20120810.{call}"))
        .header(
            "authorization",
            "AWS4-HMAC-SHA256 Credential=local/20260101/us-east-1/dynamodb/aws4_request, \
             SignedHeaders=host;x-amz-date, Signature=0",
        )
        .header("x-amz-date", "20260101T000000Z")
        .body(request.to_string())
        .send()
        .await
        .unwrap();
    assert!(answer.status().is_success(), "{}", answer.text().await.unwrap());
}

fn key(pk: &str, sk: &str) -> Value {
    json!({ "pk": { "S": pk }, "sk": { "S": sk } })
}

async fn system(clusters: &[&str]) -> System {
    let system = System::start().await.unwrap();
    for cluster in clusters {
        system.add_cluster(cluster, Kind::Zookeeper, 1).unwrap();
    }
    system.apply_discovery("").await.unwrap();
    system.discover().await;
    system
}

#[tokio::test]
async fn a_lost_chunk_is_a_failure_that_names_it_not_a_take_over() {
    let system = system(&["zk"]).await;
    system.refresh("zk").await;
    by_hand(&system, "DeleteItem", json!({ "Key": key("body#cluster#default/zk", "A#s0") })).await;
    system.reports();
    assert_eq!(
        system.refresh("zk").await.batch_item_failures.len(),
        1,
        "it comes again, and then lies with the dead"
    );
    let report = &system.reports()[0];
    assert_eq!(report.outcome, Outcome::Failed);
    let error = report.error.as_deref().unwrap();
    assert!(error.starts_with("chunk A#s0 of cluster/default/zk is damaged"), "{error}");
    assert!(!system.head(&RecordName::cluster("default", "zk")).await.unwrap().is_held(Timestamp::now()));
}

#[tokio::test]
async fn a_damaged_head_is_named_and_the_others_of_its_shard_are_queued() {
    let mut of_one_shard: Vec<String> = (0..)
        .map(|n| format!("zk-{n}"))
        .filter(|id| RecordName::cluster("default", id.as_str()).spread_shard() == 7)
        .take(3)
        .collect();
    of_one_shard.sort();
    let names: Vec<&str> = of_one_shard.iter().map(String::as_str).collect();
    let system = system(&names).await;
    let damage = json!({
        "Key": key("cluster#07", &format!("default/{}", names[0])),
        "UpdateExpression": "SET fence = :text",
        "ExpressionAttributeValues": { ":text": { "S": "seven" } },
    });
    by_hand(&system, "UpdateItem", damage).await;
    let settings = &system.local.settings;
    let scheduler = Scheduler::of(RecordKind::Cluster, &system.local.clients, settings);
    let pass = scheduler.pass(Timestamp::now(), Instant::now() + Duration::from_secs(60)).await;
    assert_eq!((pass.records, pass.queued, pass.unreadable), (2, 2, 1));
    let error = pass.error.unwrap();
    assert!(error.contains(names[0]) && error.contains("`fence` is"), "{error}");
}

#[tokio::test]
async fn a_pass_without_time_says_what_it_left() {
    let system = system(&["zk"]).await;
    let settings = &system.local.settings;
    let queue = Queue::new(&system.local.clients, &settings.refresh_queue);
    let table = Table::new(&system.local.clients, &settings.table);
    let scheduler = Scheduler::new(RecordKind::Cluster, table, queue, settings);
    let pass = scheduler.pass(Timestamp::now(), Instant::now()).await;
    assert_eq!((pass.left, pass.queued), (SPREAD_SHARDS, 0));
    assert_eq!(pass.error.as_deref(), Some("64 of 64 spread shards were left for want of time"));
}

#[tokio::test]
async fn a_cluster_object_that_cannot_be_read_holds_up_no_discovery() {
    let system = system(&[]).await;
    let newer = json!({
        "Item": {
            "pk": { "S": "object#cluster" }, "sk": { "S": "default/zk" }, "version": { "N": "1" },
            "object": { "S": "{\"apiVersion\":\"replicante.io/v9\",\"kind\":\"Cluster\"}" },
        },
    });
    by_hand(&system, "PutItem", newer).await;
    system.add_cluster("zk", Kind::Zookeeper, 1).unwrap();
    assert!(system.discover().await.batch_item_failures.is_empty());
    let head = system.head(&RecordName::cluster("default", "zk")).await.unwrap();
    assert!(head.enabled && head.interval == Duration::from_secs(5), "its discovery's word");
}

#[tokio::test]
async fn an_object_applied_while_its_cluster_is_asked_for_is_not_lost() {
    let system = system(&["zk"]).await;
    let record = RecordName::cluster("default", "zk");
    for round in 0..25 {
        let enabled = round % 2 == 0;
        let yaml = format!(
            "apiVersion: replicante.io/v0\nkind: Cluster\nmetadata: {{ name: zk }}\nspec: {{ enabled: {enabled} }}\n"
        );
        // The node makes the discovery write the cluster's item, and ask for it.
        system.fleet.apply(replicante_fleet::Change::AddNode { cluster: "zk".into() }).unwrap();
        let (discovered, applied) = tokio::join!(system.discover(), async {
            for _ in 0..round {
                tokio::task::yield_now().await;
            }
            system.apply(&yaml).await
        });
        applied.unwrap();
        assert!(discovered.batch_item_failures.is_empty());
        assert_eq!(system.head(&record).await.unwrap().enabled, enabled, "round {round}");
    }
}
