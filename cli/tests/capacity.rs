//! The formula of `capacity` against counts: real refreshes of real fleets, on services that count as AWS does.

// Helpers of tests fail as tests do.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use replicante::capacity::counted::{
    EVENT, EVENTS, HEAD, ITEM, ITEM_KEYS, KNOWN, PACKED, SNAPSHOT, SNAPSHOT_PACKED, STATE, WRITES,
};
use replicante::capacity::load::{commit, pass_reads, refresh, sends};
use replicante_aws::{Cost, encode_cluster, head_size};
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

/// What the last commits wrote: bytes of the state and of the events, as they are stored.
struct Commits(Vec<(f64, f64)>);

impl Commits {
    /// A refresh that commits. Its cost, the scheduler's mark included, is that of what it wrote, to the unit.
    async fn refresh(&mut self, system: &System, record: &RecordName, what: &str) -> Cost {
        assert!(system.refresh(&record.id).await.batch_item_failures.is_empty());
        let cost = system.reports()[0].cost;
        let body = system.head(record).await.unwrap().body.unwrap();
        let written = (body.state_bytes as f64, body.outbox_bytes as f64);
        // An item that is written over costs what the larger of the two does: the commit before the last one had this slot.
        // Events stay there until others are written over them.
        let slot = || self.0.iter().rev().skip(1).step_by(2);
        let over = (
            slot().next().map_or(0.0, |(state, _)| *state),
            slot().find(|(_, events)| *events > 0.0).map_or(0.0, |(_, events)| *events),
        );
        self.0.push(written);
        let events = if written.1 > 0.0 { written.1.max(over.1) } else { 0.0 };
        // Keys of some bytes are there, and how many differs by a few.
        let of = |keys: f64| WRITES + commit(written.0.max(over.0), events, keys);
        let counted = cost.write_units + 1.0;
        let bounds = of(0.0)..=of(2.0 * ITEM_KEYS);
        assert!(
            bounds.contains(&counted),
            "{what}: {counted} units for {written:?} over {over:?}: {bounds:?}"
        );
        Cost { write_units: counted, ..cost }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn readings_changes_and_snapshots_cost_what_the_formula_says() {
    for nodes in [1, 3, 5, 20, 60] {
        let mut system = fleet(1, nodes).await;
        let record = RecordName::cluster("default", name(0));
        let formula = refresh(nodes as u64);
        let what = |what: &str| format!("{what} of {nodes} nodes");
        let body = system.head(&record).await.unwrap().body.unwrap();
        let mut commits = Commits(vec![(body.state_bytes as f64, body.outbox_bytes as f64)]);
        system.local.settings.readings_age = Duration::ZERO;
        system.restart_workers();
        let readings = commits.refresh(&system, &record, &what("readings")).await;
        assert_eq!(readings.read_units, formula.reads, "{nodes} nodes");
        let mut changed = readings;
        for state in [StoreState::Down, StoreState::Up, StoreState::Down, StoreState::Up, StoreState::Down] {
            system.fleet.apply(Change::store(name(0), "node-1", state)).unwrap();
            changed = commits.refresh(&system, &record, &what("changes")).await;
        }
        let packed_events = system.head(&record).await.unwrap().body.unwrap().outbox_bytes;
        let head = system.head(&record).await.unwrap();
        let item = encode_cluster(&system.table.discovery_item(&record).await.unwrap().unwrap()).unwrap();
        system.local.settings.retention = Duration::from_millis(4);
        system.restart_workers();
        let mut snapshot = changed;
        for _ in 0..3 {
            snapshot = commits.refresh(&system, &record, &what("a snapshot")).await;
        }
        let packed = system.head(&record).await.unwrap().body.unwrap().outbox_bytes;
        let history = system.history().await.unwrap();
        let own = history.records.iter().filter(|(key, _)| *key == record.key());
        let events: Vec<usize> = own.map(|(_, data)| data.len()).collect();
        let snapshot_bytes = *events.last().unwrap() as f64;
        let told: Vec<usize> = events.iter().rev().skip(3).take(2).copied().collect();

        // What is counted is exact for what was written; the formula knows its size but nearly, and a size near the end of a
        // unit may be on either side of it: one unit for the state, one for the events.
        let unit = |counted: f64, formula: f64, most: f64, of: &str| {
            assert!(
                (counted - formula).abs() <= most,
                "{}: {counted} counted, {formula} by the formula",
                what(of)
            );
        };
        unit(readings.write_units, formula.readings_writes, 1.0, "new readings");
        unit(changed.write_units, formula.changed_writes, 2.0, "changes");
        unit(snapshot.write_units, formula.snapshot_writes, 2.0, "a snapshot");
        let of = |(base, each): (f64, f64)| base + each * nodes as f64;
        near(head.body.unwrap().state_bytes as f64, of(STATE), 0.25, &what("state"));
        near(item.len() as f64, of(ITEM), 0.25, &what("item"));
        near(snapshot_bytes, of(SNAPSHOT), 0.1, &what("snapshot"));
        near(packed as f64, of(SNAPSHOT_PACKED), 0.25, &what("packed snapshot"));
        near(packed_events as f64, EVENTS * EVENT / PACKED, 0.25, &what("packed events"));
        near(told.iter().sum::<usize>() as f64 / told.len() as f64, EVENT, 0.1, &what("event"));
        near(head_size(&head) as f64, HEAD, 0.1, &what("head"));
    }
}
