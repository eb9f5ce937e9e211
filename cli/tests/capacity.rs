//! The formula of `capacity` against counts: real refreshes of real fleets, on services that count as AWS does.

// Helpers of tests fail as tests do.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use replicante::capacity::counted::{
    EVENT, EVENTS, HEAD, ITEM, KNOWN, PACKED, SNAPSHOT, SNAPSHOT_PACKED, STATE,
};
use replicante::capacity::load::{Refresh, pass_reads, refresh, sends};
use replicante_aws::{encode_cluster, head_size};
use replicante_fleet::{Change, Kind, StoreState};
use replicante_model::{Kind as RecordKind, RecordName, Timestamp};
use replicante_protocol::machine::Outcome;
use replicante_protocol::task::Task;
use replicante_scheduler::Scheduler;
use replicante_tests::System;
use replicante_tests::backup::call;
use replicante_tests::faults::{Faults, Layer};
use serde_json::{Value, json};
use tokio::time::Instant;

fn name(cluster: usize) -> String {
    format!("redis-{cluster:03}")
}

/// A system whose clusters were refreshed once.
async fn fleet(clusters: usize, nodes: usize) -> System {
    let system = System::start_embedded(None).await.unwrap();
    for cluster in 0..clusters {
        system.add_cluster(&name(cluster), Kind::Redis, nodes).unwrap();
    }
    system.apply_discovery("").await.unwrap();
    system.discover().await;
    for some in (0..clusters).collect::<Vec<_>>().chunks(50) {
        let task = |cluster: &usize| Task::manual(RecordName::cluster("default", name(*cluster)), "test");
        let tasks: Vec<Task> = some.iter().map(task).collect();
        assert!(system.run_refreshes(&tasks).await.batch_item_failures.is_empty());
    }
    system.reports();
    system
}

/// What was counted of refreshes through scheduler and queue.
#[derive(Debug, Default)]
struct Counted {
    refreshes: usize,
    writes: f64,
    reads: f64,
    pass_reads: f64,
    records: u64,
    sends: usize,
    /// Requests that received something, and requests that deleted it.
    polls: usize,
}

/// One pass, and all tasks that it queued, in batches of at most so many.
async fn round(system: &System, batch: usize) -> Counted {
    let faults = Faults::default();
    let clients = system.clients_through(Layer::new(&faults));
    let scheduler = Scheduler::of(RecordKind::Cluster, &clients, &system.local.settings);
    let pass = scheduler.pass(Timestamp::now(), Instant::now() + Duration::from_secs(60)).await;
    assert_eq!(pass.error, None);
    let sends = faults.calls().iter().filter(|call| *call == "SendMessageBatch").count();
    let mut counted = Counted {
        writes: pass.cost.write_units,
        pass_reads: pass.cost.read_units,
        sends,
        ..Counted::default()
    };
    let queue = &system.local.settings.refresh_queue;
    loop {
        let request = json!({ "QueueUrl": queue, "MaxNumberOfMessages": batch });
        let received = call(system, "AmazonSQS.ReceiveMessage", &request).await.unwrap();
        let Some(messages) = received["Messages"].as_array().filter(|messages| !messages.is_empty()) else {
            break;
        };
        let task = |message: &Value| serde_json::from_str(message["Body"].as_str().unwrap()).unwrap();
        let tasks: Vec<Task> = messages.iter().map(task).collect();
        assert!(system.run_refreshes(&tasks).await.batch_item_failures.is_empty());
        let entry = |(id, message): (usize, &Value)| json!({ "Id": id.to_string(), "ReceiptHandle": message["ReceiptHandle"] });
        let entries: Vec<Value> = messages.iter().enumerate().map(entry).collect();
        let request = json!({ "QueueUrl": queue, "Entries": entries });
        call(system, "AmazonSQS.DeleteMessageBatch", &request).await.unwrap();
        counted.polls += 2;
    }
    for report in system.reports() {
        assert_eq!(report.outcome, Outcome::Unchanged, "{report:?}");
        counted.refreshes += 1;
        counted.writes += report.cost.write_units;
        counted.reads += report.cost.read_units;
        counted.records += report.cost.stream_records;
    }
    counted
}

fn near(counted: f64, formula: f64, part: f64, what: &str) {
    let bound = formula.abs() * part;
    assert!((counted - formula).abs() <= bound, "{what}: {counted} counted, {formula} by the formula");
}

#[tokio::test(flavor = "multi_thread")]
async fn unchanged_refreshes_cost_what_the_formula_says_in_batches_of_ten_and_of_one() {
    for (clusters, nodes, batch) in [(4, 1, 1), (30, 3, 10), (30, 3, 1), (200, 1, 10)] {
        let system = fleet(clusters, nodes).await;
        let known = system.head(&RecordName::discovery("default", "fleet")).await.unwrap().body.unwrap();
        let by_cluster = KNOWN.1 + KNOWN.2 * nodes as f64;
        near(
            known.state_bytes as f64,
            KNOWN.0 + by_cluster * clusters as f64,
            0.25,
            "bytes of a discovery's state",
        );
        let counted = round(&system, batch).await;
        let what = format!("{clusters} clusters of {nodes} in batches of {batch}");
        let one = refresh(nodes as u64);
        let refreshes = clusters as f64;
        assert_eq!(counted.refreshes, clusters, "{what}");
        assert_eq!(counted.records, 0, "{what}");
        assert_eq!(counted.writes, refreshes * one.unchanged_writes, "{what}");
        assert_eq!(counted.reads, refreshes * one.reads, "{what}");
        near(counted.pass_reads, pass_reads(refreshes), 0.1, &format!("{what}: reads of a pass"));
        near(counted.sends as f64, sends(refreshes), 0.15, &format!("{what}: sends"));
        // Full batches, and one that is not.
        let polls = 2.0 * refreshes / batch as f64;
        assert!((polls..=polls + 2.0).contains(&(counted.polls as f64)), "{what}: {polls} {counted:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn readings_changes_and_snapshots_cost_what_the_formula_says() {
    for nodes in [1, 3, 5, 20, 60] {
        let mut system = fleet(1, nodes).await;
        let record = RecordName::cluster("default", name(0));
        let Refresh { readings_writes, changed_writes, snapshot_writes, reads, .. } = refresh(nodes as u64);
        // Without the scheduler's mark.
        let cost = async |system: &System| {
            assert!(system.refresh(&name(0)).await.batch_item_failures.is_empty());
            system.reports()[0].cost
        };
        system.local.settings.readings_age = Duration::ZERO;
        system.restart_workers();
        let readings = cost(&system).await;
        // A chunk that is written over costs what the larger of the two does: the first of a kind are not like the rest.
        let mut changed = readings;
        for state in [StoreState::Down, StoreState::Up, StoreState::Down, StoreState::Up, StoreState::Down] {
            system.fleet.apply(Change::store(name(0), "node-1", state)).unwrap();
            changed = cost(&system).await;
        }
        let packed_events = system.head(&record).await.unwrap().body.unwrap().outbox_bytes;
        let head = system.head(&record).await.unwrap();
        let item = encode_cluster(&system.table.discovery_item(&record).await.unwrap().unwrap()).unwrap();
        system.local.settings.retention = Duration::from_millis(4);
        system.restart_workers();
        let mut snapshot = changed;
        for _ in 0..3 {
            snapshot = cost(&system).await;
        }
        let packed = system.head(&record).await.unwrap().body.unwrap().outbox_bytes;
        let history = system.history().await.unwrap();
        let events: Vec<usize> = history.records.iter().map(|(_, data)| data.len()).collect();
        let snapshot_bytes = *events.last().unwrap() as f64;
        let told: Vec<usize> = events.iter().rev().skip(3).take(2).copied().collect();

        let what = |what: &str| format!("{what} of {nodes} nodes");
        assert_eq!(readings.read_units, reads, "{nodes} nodes");
        // All but the scheduler's mark.
        assert_eq!(readings.write_units, readings_writes - 1.0, "new readings: {nodes} nodes");
        assert_eq!(changed.write_units, changed_writes - 1.0, "changes: {nodes} nodes");
        assert_eq!(snapshot.write_units, snapshot_writes - 1.0, "a snapshot: {nodes} nodes");
        let of = |(base, each): (f64, f64)| base + each * nodes as f64;
        near(head.body.unwrap().state_bytes as f64, of(STATE), 0.2, &what("state"));
        near(item.len() as f64, of(ITEM), 0.25, &what("item"));
        near(snapshot_bytes, of(SNAPSHOT), 0.1, &what("snapshot"));
        near(packed as f64, of(SNAPSHOT_PACKED), 0.2, &what("packed snapshot"));
        near(packed_events as f64, EVENTS * EVENT / PACKED, 0.25, &what("packed events"));
        near(told.iter().sum::<usize>() as f64 / told.len() as f64, EVENT, 0.1, &what("event"));
        near(head_size(&head) as f64, HEAD, 0.1, &what("head"));
    }
}
