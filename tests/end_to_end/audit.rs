//! Who applied or deleted which object is told by the worker of its record: once each, in order, asked for or not.

use replicante_aws::{ObjectKind, ObjectWrite};
use replicante_fleet::{Change as Act, DiscoveryFault, Kind};
use replicante_model::change::Change;
use replicante_model::event::{Cause, Event};
use replicante_model::object::ObjectChange;
use replicante_model::{Kind as RecordKind, RecordName, Timestamp};
use replicante_protocol::machine::Outcome;
use replicante_protocol::task::Task;
use replicante_scheduler::Scheduler;
use replicante_tests::System;
use serde_json::{Value, json};
use tokio::time::{Duration, Instant};

fn fleet() -> RecordName {
    RecordName::discovery("default", "fleet")
}

fn cluster() -> RecordName {
    RecordName::cluster("default", "c")
}

/// A system with one cluster in its fleet.
async fn system() -> System {
    let system = System::start_in_process().await.unwrap();
    system.add_cluster("c", Kind::Zookeeper, 1).unwrap();
    system
}

/// Applies a discovery, or an object of a cluster, as somebody's.
async fn apply(system: &System, actor: &str, kind: &str, name: &str, spec: &str) {
    let yaml = format!(
        "apiVersion: replicante.io/v0\nkind: {kind}\nmetadata: {{ name: {name} }}\nspec: {{ {spec} }}\n"
    );
    let kinds = replicante_sources::kinds();
    let objects = replicante_objects::parse("test.yaml", &yaml, Duration::from_secs(1), &kinds).unwrap();
    let writes: Vec<ObjectWrite> = objects.iter().map(|object| ObjectWrite::from(&object.value)).collect();
    system.table.apply(&writes, actor, Timestamp::now()).await.unwrap();
}

async fn apply_fleet(system: &System, actor: &str, more: &str) {
    let url = system.fleet.discovery_url();
    let spec =
        format!("source: {{ http: {{ url: \"{url}\", timeout: 2s }} }}, refresh: {{ interval: 5s }}{more}");
    apply(system, actor, "Discovery", "fleet", &spec).await;
}

async fn delete(system: &System, actor: &str, kind: ObjectKind, name: &str) {
    let object = system.table.object(kind, "default", name).await.unwrap().unwrap();
    let now = Timestamp::now();
    assert!(system.table.delete_object(kind, "default", name, object.version, actor, now).await.unwrap());
}

/// What is told of the objects of a record: number, who, and a setting before and after.
async fn told(system: &System, record: &RecordName, setting: &str) -> Vec<(u64, String, Value, Value)> {
    let checked = system.check().await.unwrap();
    let value = |spec: &Option<serde_json::Map<String, Value>>| {
        spec.as_ref().and_then(|spec| spec.get(setting)).cloned().unwrap_or_default()
    };
    let one = |event: &Event| {
        let (Change::ObjectApplied(change) | Change::ObjectDeleted(change)) = &event.change else {
            return None;
        };
        assert_eq!((event.cause, change.kind), (Cause::Manual, record.kind));
        let ObjectChange { version, before, after, .. } = change;
        Some((*version, event.actor.clone().unwrap_or_default(), value(before), value(after)))
    };
    checked.events.get(&record.key()).into_iter().flatten().filter_map(one).collect()
}

/// One pass of the scheduler of a kind, and the task of each record that it sends. How many those were.
async fn pass(system: &System, record: &RecordName) -> u64 {
    let settings = &system.local.settings;
    let scheduler = Scheduler::of(record.kind, &system.local.clients, settings);
    let pass = scheduler.pass(Timestamp::now(), Instant::now() + Duration::from_secs(60)).await;
    assert_eq!(pass.error, None);
    let head = system.head(record).await.unwrap();
    if pass.queued > 0 {
        let task = Task::scheduled(record.clone(), head.queued_due);
        let response = match record.kind {
            RecordKind::Discovery => system.run_discovery(task).await,
            RecordKind::Cluster => system.run_refresh(task).await,
        };
        assert!(response.batch_item_failures.is_empty(), "{response:?}");
    }
    pass.queued
}

#[tokio::test]
async fn what_was_applied_before_the_worker_ran_is_told_in_order_as_each_ones_and_unchanged_is_nothing() {
    let system = system().await;
    apply_fleet(&system, "ann", ", interval: 1m").await;
    apply_fleet(&system, "bob", ", interval: 30s").await;
    let version = async || {
        system.table.object(ObjectKind::Discovery, "default", "fleet").await.unwrap().unwrap().version
    };
    apply_fleet(&system, "eve", ", interval: 30s").await;
    assert_eq!(version().await, 2, "it is stored just so");
    system.discover().await;
    let expected = vec![
        (1, "ann".to_owned(), Value::Null, json!("1m")),
        (2, "bob".to_owned(), json!("1m"), json!("30s")),
    ];
    assert_eq!(told(&system, &fleet(), "interval").await, expected);
    // Once: nothing is told again. What that costs: cost.rs.
    system.reports();
    system.discover().await;
    let report = &system.reports()[0];
    assert_eq!((report.outcome, report.events), (Outcome::Unchanged, 0));
    assert_eq!(told(&system, &fleet(), "interval").await, expected);
    let head = system.head(&fleet()).await.unwrap();
    assert_eq!((head.object, head.told), (2, 2));
}

#[tokio::test]
async fn a_discovery_that_is_disabled_or_deleted_tells_it_without_asking_its_source() {
    let system = system().await;
    apply_fleet(&system, "ann", "").await;
    assert_eq!(pass(&system, &fleet()).await, 1);
    // From now on its source would be a failure, which it would tell.
    system.fleet.apply(Act::discovery(Some(DiscoveryFault::Down))).unwrap();
    apply_fleet(&system, "bob", ", enabled: false").await;
    assert_eq!(pass(&system, &fleet()).await, 1, "for the sake of it alone");
    assert_eq!(pass(&system, &fleet()).await, 0, "once");
    delete(&system, "ann", ObjectKind::Discovery, "fleet").await;
    assert_eq!(pass(&system, &fleet()).await, 1);
    assert_eq!(pass(&system, &fleet()).await, 0);
    // A task that was on its way has nothing to do, and is no failure that ends as a dead letter.
    system.reports();
    let response = system.run_discovery(Task::manual(fleet(), "ann")).await;
    assert!(response.batch_item_failures.is_empty(), "{response:?}");
    assert_eq!(system.reports()[0].outcome, Outcome::Unchanged);
    // What is applied anew has a higher number.
    apply_fleet(&system, "eve", ", enabled: false").await;
    assert_eq!(pass(&system, &fleet()).await, 1);
    let expected = vec![
        (1, "ann".to_owned(), Value::Null, json!(true)),
        (2, "bob".to_owned(), json!(true), json!(false)),
        (3, "ann".to_owned(), json!(false), Value::Null),
        (4, "eve".to_owned(), Value::Null, json!(false)),
    ];
    assert_eq!(told(&system, &fleet(), "enabled").await, expected);
    let told = system.check().await.unwrap().all_told(&fleet().key());
    assert!(!told.contains(&"discovery.failed".to_owned()), "{told:?}");
}

#[tokio::test]
async fn an_object_of_a_cluster_is_told_by_its_refresh_also_what_is_older_than_the_cluster() {
    let system = system().await;
    apply(&system, "ann", "Cluster", "c", "interval: 1h").await;
    delete(&system, "bob", ObjectKind::Cluster, "c").await;
    apply_fleet(&system, "ann", "").await;
    system.discover().await;
    system.refresh("c").await;
    let mut expected = vec![
        (1, "ann".to_owned(), Value::Null, json!("1h")),
        (2, "bob".to_owned(), json!("1h"), Value::Null),
    ];
    assert_eq!(told(&system, &cluster(), "interval").await, expected);
    let all = system.check().await.unwrap().all_told(&cluster().key());
    assert_eq!(all[..3], ["object.applied", "object.deleted", "cluster.new"], "{all:?}");

    // A disabled one asks no agent: that it is gone would be told.
    apply(&system, "eve", "Cluster", "c", "interval: 2h, enabled: false").await;
    system.fleet.apply(Act::agent("c", "node-1", replicante_fleet::AgentState::Gone)).unwrap();
    assert_eq!((pass(&system, &cluster()).await, pass(&system, &cluster()).await), (1, 0));
    expected.push((3, "eve".to_owned(), Value::Null, json!("2h")));
    assert_eq!(told(&system, &cluster(), "interval").await, expected);
    let all = system.check().await.unwrap().all_told(&cluster().key());
    assert!(!all.contains(&"agent.down node-1".to_owned()), "{all:?}");
    system.reports();
    system.refresh("c").await;
    assert!(
        system.check().await.unwrap().all_told(&cluster().key()).contains(&"agent.down node-1".to_owned())
    );
}

#[tokio::test]
async fn a_cluster_that_is_disabled_before_it_is_found_tells_who_did_so() {
    let system = system().await;
    apply(&system, "ann", "Cluster", "c", "enabled: false").await;
    apply_fleet(&system, "ann", "").await;
    system.discover().await;
    assert_eq!((pass(&system, &cluster()).await, pass(&system, &cluster()).await), (1, 0));
    assert_eq!(system.check().await.unwrap().all_told(&cluster().key()), ["object.applied"]);
    system.refresh("c").await;
    let all = system.check().await.unwrap().all_told(&cluster().key());
    assert_eq!(all[..2], ["object.applied", "cluster.new"]);
}

#[tokio::test]
async fn what_was_told_is_not_told_again_when_a_cluster_returns_and_what_came_meanwhile_is() {
    let system = system().await;
    apply_fleet(&system, "ann", ", removal: { grace: 0s, confirmations: 1, max_shrink: off }").await;
    apply(&system, "ann", "Cluster", "c", "interval: 1h").await;
    system.discover().await;
    system.refresh("c").await;
    apply(&system, "bob", "Cluster", "c", "interval: 2h").await;
    system.fleet.apply(Act::list("c", false)).unwrap();
    system.discover().await;
    system.refresh("c").await;
    assert!(system.table.head(&cluster()).await.unwrap().is_none());
    let all = system.check().await.unwrap().all_told(&cluster().key());
    let last = ["object.applied", "cluster.missing", "cluster.removed"];
    assert_eq!(all[all.len() - 3..], last, "the removal is the last word");
    delete(&system, "eve", ObjectKind::Cluster, "c").await;
    system.fleet.apply(Act::list("c", true)).unwrap();
    system.discover().await;
    system.refresh("c").await;
    let expected = vec![
        (1, "ann".to_owned(), Value::Null, json!("1h")),
        (2, "bob".to_owned(), json!("1h"), json!("2h")),
        (3, "eve".to_owned(), json!("2h"), Value::Null),
    ];
    assert_eq!(told(&system, &cluster(), "interval").await, expected);
}
