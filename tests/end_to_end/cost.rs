//! What a refresh costs is a tested figure: of the embedded services, which count as AWS does.

use std::time::Duration;

use replicante_aws::Queue;
use replicante_fleet::{Change, Kind, StoreState};
use replicante_model::{Kind as RecordKind, RecordName, Timestamp};
use replicante_protocol::head::MAX_HEAD;
use replicante_protocol::machine::Outcome;
use replicante_scheduler::Scheduler;
use replicante_tests::System;
use tokio::time::Instant;

/// Time enough for a pass.
fn far() -> Instant {
    Instant::now() + Duration::from_secs(60)
}

/// A cluster `zk` of so many nodes that its discovery has found.
async fn with_cluster(nodes: usize) -> System {
    let mut system = System::start_embedded(None).await.unwrap();
    // The line that a bootstrap logs does not tell how many records it put.
    system.run_in_process();
    system.add_cluster("zk", Kind::Zookeeper, nodes).unwrap();
    system.apply_discovery("").await.unwrap();
    system.discover().await;
    system
}

/// The refresh scheduler.
fn scheduler(system: &System) -> Scheduler {
    Scheduler::of(RecordKind::Cluster, &system.local.clients, &system.local.settings)
}

#[tokio::test]
async fn an_unchanged_refresh_costs_three_write_units_one_read_unit_an_item_and_no_record() {
    let system = with_cluster(5).await;
    system.refresh("zk").await;
    system.reports();

    // The mark: one write unit for a record that is due.
    let pass = scheduler(&system).pass(Timestamp::now(), far()).await;
    assert_eq!((pass.records, pass.queued, pass.cost.write_units), (1, 1, 1.0), "{pass:?}");

    // Claim and release: two more.
    system.refresh("zk").await;
    let reports = system.reports();
    let cost = reports[0].cost;
    assert_eq!(reports[0].outcome, Outcome::Unchanged);
    assert_eq!((cost.write_units, cost.stream_requests, cost.stream_records), (2.0, 0, 0));
    let head = system.head(&RecordName::cluster("default", "zk")).await.unwrap();
    let state_units = head.body.unwrap().state_bytes.div_ceil(4096);
    assert_eq!(state_units, 1);
    assert_eq!(cost.read_units, state_units as f64 + 1.0, "the state and the discovery item");
    assert_eq!(cost.table_requests, 4);
}

#[tokio::test]
async fn a_changed_refresh_adds_the_slot_the_commit_and_one_call_to_the_stream() {
    let system = with_cluster(5).await;
    system.refresh("zk").await;
    system.reports();
    system.fleet.apply(Change::store("zk", "node-2", StoreState::Down)).unwrap();
    system.refresh("zk").await;
    let cost = system.reports()[0].cost;
    let body = system.head(&RecordName::cluster("default", "zk")).await.unwrap().body.unwrap();
    // A chunk's item has its keys and its fence beside the data.
    let keys = 100;
    let slot = (body.state_bytes + keys).div_ceil(1024) + (body.outbox_bytes + keys).div_ceil(1024);
    assert_eq!(cost.write_units, 3.0 + slot as f64, "claim, commit, release and the slot: {body:?}");
    assert_eq!((cost.stream_requests, cost.stream_records), (1, 2));
    assert_eq!(cost.read_units, 2.0);
}

#[tokio::test]
async fn a_scheduler_that_finds_nothing_due_writes_nothing_and_sends_nothing() {
    let system = with_cluster(1).await;
    let scheduler = scheduler(&system);
    let first = scheduler.pass(Timestamp::now(), far()).await;
    let second = scheduler.pass(Timestamp::now(), far()).await;
    assert_eq!(
        (first.queued, second.queued, second.cost.write_units),
        (1, 0, 0.0),
        "queued once until it is done"
    );
    // Half a unit for each spread shard, and for the pauses, of which there are none.
    assert_eq!(second.cost.read_units, 64.0 / 2.0 + 0.5);
    let queue = Queue::new(&system.local.clients, &system.local.settings.refresh_queue);
    assert_eq!(queue.receive(1).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_refused_send_moves_nothing() {
    let system = with_cluster(1).await;
    let record = RecordName::cluster("default", "zk");
    let before = system.head(&record).await.unwrap();
    let queue =
        Queue::new(&system.local.clients, &format!("{}-nowhere", system.local.settings.refresh_queue));
    let table = system.table.clone();
    let scheduler = Scheduler::new(RecordKind::Cluster, table, queue, &system.local.settings);
    let pass = scheduler.pass(Timestamp::now(), far()).await;
    assert_eq!((pass.queued, pass.refused), (0, 1));
    assert!(pass.error.unwrap().contains("sending 1 tasks to"), "and says what was refused");
    assert_eq!(system.head(&record).await.unwrap(), before);
}

/// Each write of a head costs one write unit as long as the head stays within 1 KB.
#[test]
fn the_largest_head_stays_within_one_write_unit() {
    use replicante_model::name::{MAX_ID_ENCODED, MAX_NAME};
    use replicante_model::summary::Summary;
    use replicante_model::view::{ClusterView, Health, NodeView};
    use replicante_protocol::head::Head;
    use replicante_protocol::slot::{Body, FORMAT, Slot};

    let mut view = ClusterView { display_name: Some("\"\u{1F600}".repeat(100)), ..ClusterView::default() };
    view.health = Some(Health::Degraded);
    for n in 0..10_000 {
        let mut node = NodeView::unseen("http://a");
        let kind = format!("\\{n:05}{}", "k".repeat(100));
        node.details = Some(replicante_model::observation::NodeDetails { kind, ..Default::default() });
        view.nodes.insert(format!("n{n}"), node);
    }
    let mut summary = Summary::of_cluster(&view);
    (summary.shards, summary.primaries, summary.missing) = (9_999_999, 9_999_999, 10_000);
    summary.set_reason(Some(&"\"".repeat(500)));
    (summary.at, summary.outcome, summary.ms) = (Timestamp(9_999_999_999_999), "failed".into(), 900_000);

    let now = Timestamp(9_999_999_999_999);
    let record = RecordName::cluster("n".repeat(MAX_NAME), "i".repeat(MAX_ID_ENCODED));
    let mut head = Head::new(record, std::time::Duration::from_secs(86_400), true, now);
    (head.fence, head.sequence, head.published, head.wanted) =
        (9_999_999_999, 9_999_999_999, 9_999_999_999, 999_999);
    (head.lease_until, head.queued_due, head.queued_at, head.done_due) = (now, now, now, now);
    head.maintenance = now;
    head.holder = "00000000-0000-0000-0000-000000000000".into();
    head.body = Some(Body {
        slot: Slot::A,
        fence: 9_999_999_999,
        state_chunks: 99,
        outbox_chunks: 99,
        state_bytes: 99_999_999,
        outbox_bytes: 99_999_999,
        format: FORMAT,
    });
    head.summary = Some(summary.to_json());
    let size = replicante_aws::head_size(&head);
    assert!(size <= MAX_HEAD, "{size} bytes: {head:?}");
}

#[tokio::test]
async fn changes_of_an_object_that_are_told_cost_nothing_any_more() {
    let system = System::start_embedded(None).await.unwrap();
    system.apply_discovery("").await.unwrap();
    system.discover().await;
    system.reports();
    system.discover().await;
    let report = &system.reports()[0];
    assert_eq!((report.outcome, report.cost.write_units), (Outcome::Unchanged, 2.0));
    // The state, the object, and half a unit each for the intents and the notices.
    assert_eq!(report.cost.read_units, 3.0, "{:?}", report.cost);
}
