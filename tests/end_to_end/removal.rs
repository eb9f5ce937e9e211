//! Clusters and nodes that go away, and come back.

use std::time::Duration;

use replicante_aws::Buried;
use replicante_fleet::{Change, Endpoint, Fault, Kind};
use replicante_model::absence::Confirmation;
use replicante_model::intent::Intent;
use replicante_model::{RecordName, Timestamp};
use replicante_protocol::head::Head;
use replicante_protocol::machine::Outcome;
use replicante_protocol::task::Task;
use replicante_tests::System;
use replicante_tests::faults::Turnstile;
use tokio::time::timeout;

use crate::settings::discover_file;

/// Missing with the first answer without it, removed with the second.
const SOON: &str = "  removal: { grace: 0s, confirmations: 2, max_shrink: off }\n";

async fn system(removal: &str) -> System {
    let system = System::start().await.unwrap();
    for cluster in ["a", "b", "c", "d"] {
        system.add_cluster(cluster, Kind::Redis, 2).unwrap();
    }
    system.apply_discovery(removal).await.unwrap();
    system.discover().await;
    refresh_all(&system).await;
    system.reports();
    system
}

async fn refresh_all(system: &System) {
    for cluster in ["a", "b", "c", "d"] {
        assert!(system.refresh(cluster).await.batch_item_failures.is_empty());
    }
}

fn record(cluster: &str) -> RecordName {
    RecordName::cluster("default", cluster)
}

async fn told(system: &System, cluster: &str) -> Vec<String> {
    system.check().await.unwrap().told(&record(cluster).key())
}

#[tokio::test]
async fn a_cluster_goes_missing_is_removed_and_returns_under_a_new_epoch() {
    let system = system(SOON).await;
    let before = system.head(&record("a")).await.unwrap();
    system.fleet.apply(Change::list("a", false)).unwrap();
    system.discover().await;
    system.refresh("a").await;
    assert_eq!(told(&system, "a").await.last().unwrap(), "cluster.missing");
    assert!(system.view("a").await.unwrap().missing_since.is_some());
    system.discover().await;
    system.reports();
    system.refresh("a").await;
    let outcomes: Vec<Outcome> = system.reports().iter().map(|report| report.outcome).collect();
    assert_eq!(outcomes, [Outcome::Changed, Outcome::Ended], "told, and then ended at once");
    assert_eq!(told(&system, "a").await.last().unwrap(), "cluster.removed");
    assert!(system.table.head(&record("a")).await.unwrap().is_none());
    let tombstone = system.table.tombstone(&record("a")).await.unwrap().unwrap();
    let checked = system.check().await.unwrap();
    let last = checked.events[&record("a").key()].last().unwrap();
    let kept = (tombstone.epoch.to_string(), format!("{:020}", tombstone.sequence));
    assert_eq!(kept, (last.epoch.clone(), last.sequence.clone()), "of its last event");
    assert!(system.refresh("a").await.batch_item_failures.is_empty(), "what is gone is acknowledged");

    system.fleet.apply(Change::list("a", true)).unwrap();
    system.discover().await;
    system.refresh("a").await;
    let after = system.head(&record("a")).await.unwrap();
    assert!(after.epoch > before.epoch && after.fence > before.fence, "{before:?} {after:?}");
    let told = told(&system, "a").await;
    let removed = told.iter().position(|told| told == "cluster.removed").unwrap();
    assert_eq!(told[removed + 1], "cluster.new");
    assert_eq!(system.view("a").await.unwrap().nodes.len(), 2);
}

#[tokio::test]
async fn a_missing_cluster_that_is_reported_again_is_restored_with_its_history() {
    let system = system(SOON).await;
    let before = system.view("a").await.unwrap();
    system.fleet.apply(Change::list("a", false)).unwrap();
    system.discover().await;
    system.refresh("a").await;
    // It is not polled while it is missing.
    let node = before.nodes.keys().next().unwrap();
    system.fleet.apply(Change::fault("a", node, Some(Fault::ServerError))).unwrap();
    system.refresh("a").await;
    assert_eq!(told(&system, "a").await.last().unwrap(), "cluster.missing");
    system.fleet.apply(Change::fault("a", node, None)).unwrap();
    system.fleet.apply(Change::list("a", true)).unwrap();
    system.discover().await;
    system.refresh("a").await;
    let told = told(&system, "a").await;
    assert_eq!(told[told.len() - 2..], ["cluster.missing", "cluster.restored"]);
    assert_eq!(system.view("a").await.unwrap(), before);
}

#[tokio::test]
async fn what_is_missing_is_not_removed_before_its_grace_is_over() {
    let system = system("  removal: { grace: 1h, confirmations: 1, max_shrink: off }\n").await;
    system.fleet.apply(Change::list("a", false)).unwrap();
    for _ in 0..3 {
        system.discover().await;
        system.refresh("a").await;
    }
    assert_eq!(told(&system, "a").await.last().unwrap(), "cluster.missing");
    assert!(system.view("a").await.unwrap().missing_since.is_some());
}

#[tokio::test]
async fn a_missing_node_is_no_longer_polled() {
    let system = System::start().await.unwrap();
    system.add_cluster("a", Kind::Zookeeper, 2).unwrap();
    let polled = async |nodes: &[&str]| {
        let url = |node: &&str| system.fleet.agent_url("a", node).unwrap();
        let nodes: Vec<String> = nodes.iter().map(url).collect();
        let records = serde_json::json!([{ "cluster_id": "a", "nodes": nodes }]);
        discover_file(&system, "default", records).await;
        let asked = || system.fleet.requests().get(&Endpoint::InfoAgent).copied().unwrap_or_default();
        let before = asked();
        system.refresh("a").await;
        asked() - before
    };
    assert_eq!(polled(&["node-1", "node-2"]).await, 2);
    assert_eq!(polled(&["node-1"]).await, 1);
    let view = system.view("a").await.unwrap();
    assert_eq!(view.nodes.values().filter(|node| node.missing_since.is_some()).count(), 1);
}

#[tokio::test]
async fn a_node_goes_missing_and_is_removed() {
    let system = system(SOON).await;
    system.fleet.apply(Change::AddNode { cluster: "a".into() }).unwrap();
    system.discover().await;
    system.refresh("a").await;
    let node = system.view("a").await.unwrap().nodes.last_key_value().unwrap().0.clone();
    system.fleet.apply(Change::RemoveNode { cluster: "a".into(), node: node.clone() }).unwrap();
    system.discover().await;
    system.refresh("a").await;
    assert!(told(&system, "a").await.contains(&format!("node.missing {node}")));
    assert!(system.view("a").await.unwrap().nodes[&node].missing_since.is_some());
    system.discover().await;
    system.refresh("a").await;
    assert!(told(&system, "a").await.contains(&format!("node.removed {node}")));
    assert!(!system.view("a").await.unwrap().nodes.contains_key(&node));
}

/// Stops a refresh at the call that ends the record, and lets it go on when `meanwhile` is over.
async fn before_the_end(system: &System, meanwhile: impl Future<Output = ()>) {
    let turnstile = Turnstile::default();
    let clients = system.clients_through(turnstile.gate(0));
    let worker = replicante_refresh_worker::RefreshWorker::new(&clients, &system.local.settings);
    let event = system.event(&[Task::manual(record("a"), "test")]);
    let running = tokio::spawn(async move { worker.handle(event).await });
    loop {
        turnstile.until(|| turnstile.waiting(0) > 0).await;
        if turnstile.queue()[0].1 == "TransactWriteItems" {
            break;
        }
        turnstile.take(0).pass(None).await;
    }
    meanwhile.await;
    while !running.is_finished() {
        if turnstile.waiting(0) > 0 {
            turnstile.take(0).pass(None).await;
        }
        tokio::task::yield_now().await;
    }
    assert!(running.await.unwrap().batch_item_failures.is_empty());
}

#[tokio::test]
async fn a_cluster_that_returns_while_its_removal_is_under_way_is_not_lost() {
    let mut system = System::start_embedded(None).await.unwrap();
    system.time_left = Duration::from_secs(60);
    for cluster in ["a", "b"] {
        system.add_cluster(cluster, Kind::Redis, 2).unwrap();
    }
    system.apply_discovery(SOON).await.unwrap();
    system.discover().await;
    system.refresh("a").await;
    system.fleet.apply(Change::list("a", false)).unwrap();
    system.discover().await;
    system.discover().await;
    let returns = async {
        system.fleet.apply(Change::list("a", true)).unwrap();
        assert!(system.discover().await.batch_item_failures.is_empty());
    };
    timeout(Duration::from_secs(60), before_the_end(&system, returns)).await.unwrap();
    system.refresh("a").await;
    assert!(system.head(&record("a")).await.unwrap().body.is_some(), "it goes on");
    let told = told(&system, "a").await;
    let removed = told.iter().position(|told| told == "cluster.removed").unwrap();
    assert_eq!(told[removed + 1], "cluster.new");
}

#[tokio::test]
async fn what_a_source_forgets_all_at_once_is_held_until_an_operator_confirms() {
    let system = system("  removal: { grace: 0s, confirmations: 1 }\n").await;
    for cluster in ["a", "b", "c", "d"] {
        system.fleet.apply(Change::list(cluster, false)).unwrap();
    }
    for _ in 0..3 {
        system.discover().await;
        refresh_all(&system).await;
    }
    let discovery = RecordName::discovery("default", "fleet");
    let told = system.check().await.unwrap().told(&discovery.key());
    assert_eq!(told, ["discovery.shrink_held"], "told once");
    assert!(system.view("a").await.unwrap().missing_since.is_none(), "held, and polled");
    let held = system.discovery_state().await.unwrap().absences.held.unwrap();
    assert_eq!((held.dropped, held.known), (4, 4));
    let word = Confirmation { answer: held.answer, held_since: held.since, actor: "ann".into() };
    let intent = Intent::Confirm { cluster: None, word };
    system.table.put_intent(&discovery, &intent, Timestamp::now()).await.unwrap();
    system.discover().await;
    refresh_all(&system).await;
    let checked = system.check().await.unwrap();
    assert_eq!(checked.told(&discovery.key()).last().unwrap(), "discovery.shrink_confirmed");
    for cluster in ["a", "b", "c", "d"] {
        let told = checked.told(&record(cluster).key());
        assert_eq!(told[told.len() - 2..], ["cluster.missing", "cluster.removed"], "{cluster}");
        assert!(system.table.head(&record(cluster)).await.unwrap().is_none());
    }
}

#[tokio::test]
async fn a_discovery_that_is_disabled_removes_nothing() {
    let system = system(SOON).await;
    let discovery = RecordName::discovery("default", "fleet");
    system.apply_discovery(&format!("  enabled: false\n{SOON}")).await.unwrap();
    for cluster in ["a", "b", "c", "d"] {
        system.fleet.apply(Change::list(cluster, false)).unwrap();
    }
    for outcome in [Outcome::Changed, Outcome::Delivered, Outcome::Delivered] {
        system.reports();
        system.run_discovery(Task::scheduled(discovery.clone(), Timestamp::now())).await;
        let outcomes: Vec<Outcome> = system.reports().iter().map(|report| report.outcome).collect();
        assert_eq!(outcomes, [outcome], "first its object is told");
        refresh_all(&system).await;
    }
    for cluster in ["a", "b", "c", "d"] {
        assert_eq!(system.view(cluster).await.unwrap().missing_since, None);
        assert!(!told(&system, cluster).await.iter().any(|told| told.starts_with("cluster.missing")));
    }
}

#[tokio::test]
async fn what_an_operator_forgets_goes_though_the_source_reports_it_and_without_its_discovery_too() {
    let system = system("").await;
    let discovery = RecordName::discovery("default", "fleet");
    let forget = |cluster: &str, node: Option<String>| Intent::Forget {
        cluster: cluster.into(),
        node,
        until: Timestamp::now().plus(Duration::from_secs(3600)),
        actor: "ann".into(),
    };
    let node = system.view("b").await.unwrap().nodes.first_key_value().unwrap().0.clone();
    for intent in [forget("a", None), forget("b", Some(node.clone()))] {
        system.table.put_intent(&discovery, &intent, Timestamp::now()).await.unwrap();
    }
    for _ in 0..2 {
        system.discover().await;
        refresh_all(&system).await;
    }
    let checked = system.check().await.unwrap();
    assert_eq!(checked.told(&record("a").key()).last().unwrap(), "cluster.removed");
    assert!(checked.told(&record("b").key()).contains(&format!("node.removed {node}")));
    assert!(system.table.head(&record("a")).await.unwrap().is_none());
    assert_eq!(system.view("b").await.unwrap().nodes.len(), 1);

    let key = forget("a", None).key();
    assert!(system.table.delete_intent(&discovery, &key).await.unwrap());
    system.discover().await;
    refresh_all(&system).await;
    assert!(system.table.head(&record("a")).await.unwrap().is_some(), "it is taken from the source again");
}

#[tokio::test]
async fn a_cluster_that_its_owner_retired_is_free_for_another() {
    let system = system(SOON).await;
    let other = RecordName::discovery("default", "other");
    let object = |name: &str, more: &str| {
        let url = system.fleet.discovery_url();
        format!(
            "apiVersion: replicante.io/v0\nkind: Discovery\nmetadata: {{ name: {name} }}\nspec:\n  interval: 5s\n  \
             refresh: {{ interval: 5s }}\n  source: {{ http: {{ url: \"{url}\" }} }}\n{SOON}{more}"
        )
    };
    system.apply(&object("other", "")).await.unwrap();
    system.run_discovery(Task::manual(other.clone(), "test")).await;
    assert_eq!(system.check().await.unwrap().told(&other.key()), ["discovery.conflict"; 4]);
    system.apply(&object("fleet", "  ignore: { clusters: [a] }\n")).await.unwrap();
    for _ in 0..2 {
        system.discover().await;
    }
    let item = system.table.discovery_item(&record("a")).await.unwrap().unwrap();
    assert!(item.removed.is_some() && item.discovery == "fleet");
    system.run_discovery(Task::manual(other.clone(), "test")).await;
    let told_of_other = system.check().await.unwrap().told(&other.key());
    assert_eq!(told_of_other.last().unwrap(), "discovery.conflict_resolved");
    system.refresh("a").await;
    assert_eq!(system.view("a").await.unwrap().discovery.as_deref(), Some("other"));
    // The first has no say in it any more.
    system.apply(&object("fleet", "")).await.unwrap();
    system.discover().await;
    system.refresh("a").await;
    assert_eq!(system.view("a").await.unwrap().discovery.as_deref(), Some("other"));
}

#[tokio::test]
async fn a_return_is_above_the_epoch_that_ended_whatever_the_clock_says() {
    let system = System::start().await.unwrap();
    let now = Timestamp::now();
    // Found by a clock that was an hour ahead.
    let ahead = now.plus(Duration::from_secs(3_600));
    let head = Head::new(record("a"), Duration::from_secs(60), true, ahead);
    assert!(system.table.create_head(&head).await.unwrap());
    assert_eq!(system.table.bury(&head, head.wanted, now).await.unwrap(), Buried::Done);
    assert!(system.table.head(&record("a")).await.unwrap().is_none());
    let returned = Head::new(record("a"), Duration::from_secs(60), true, now);
    assert!(system.table.create_head(&returned).await.unwrap());
    assert_eq!(system.head(&record("a")).await.unwrap().epoch, head.epoch + 1);
}
