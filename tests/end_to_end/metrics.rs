//! What the functions tell CloudWatch, and how long their lines are.

use std::collections::BTreeSet;
use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use replicante_fleet::{AgentState, Change, DiscoveryFault, Kind};
use replicante_local::scheduled;
use replicante_metrics::{NAMESPACE, TABLE};
use replicante_model::{Kind as RecordKind, RecordName, Timestamp};
use replicante_protocol::head::Head;
use replicante_protocol::machine::Outcome;
use replicante_protocol::task::Task;
use replicante_tests::{Metrics, System};

fn record(cluster: &str) -> RecordName {
    RecordName::cluster("default", cluster)
}

/// A system whose discovery has found these clusters of three nodes, and what is told of that is forgotten.
async fn system(clusters: &[&str], spec: &str) -> System {
    found(System::start().await.unwrap(), clusters, spec).await
}

async fn found(system: System, clusters: &[&str], spec: &str) -> System {
    for cluster in clusters {
        system.add_cluster(cluster, Kind::Zookeeper, 3).unwrap();
    }
    system.apply_discovery(spec).await.unwrap();
    system.discover().await;
    forget(&system);
    system
}

fn forget(system: &System) {
    system.reports();
    system.metrics().unwrap();
}

/// The metrics of the one invocation since the last look.
fn only(system: &System) -> Metrics {
    let mut lines = system.metrics().unwrap();
    assert_eq!(lines.len(), 1, "one line an invocation: {lines:?}");
    lines.remove(0)
}

/// The line is this function's, and holds what its metrics are documented to be.
fn check(metrics: &Metrics, function: &str) {
    assert_eq!(metrics.namespace, NAMESPACE);
    let dimensions: Vec<(&str, &str)> =
        metrics.dimensions.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(dimensions, [("Deployment", "local"), ("Function", function)]);
    for (name, unit) in &metrics.units {
        let known = TABLE.iter().find(|definition| definition.name == name).unwrap();
        assert_eq!(unit, known.unit.as_str());
        assert!(known.functions.iter().any(|known| known.as_str() == function), "{name} of {function}");
    }
}

#[tokio::test]
async fn a_hanging_agent_a_failed_task_and_a_duplicate_are_counted_in_one_line_of_their_batch() {
    let system = system(&["a", "b"], "  agents: { timeout: 300ms }\n").await;
    let now = Timestamp::now().minus(Duration::from_secs(4));
    system.run_refresh(Task::scheduled(record("b"), now)).await;
    check(&only(&system), "refresh-worker");
    let head = Head::new(record("unknown"), Duration::from_secs(5), true, now);
    system.table.create_head(&head).await.unwrap();
    system.reports();

    system.fleet.apply(Change::agent("a", "node-2", AgentState::Hanging)).unwrap();
    let tasks = [
        Task::manual(record("a"), "test"),
        Task::scheduled(record("b"), now),
        Task::scheduled(record("unknown"), now),
        Task::manual(record("nobody"), "test"),
    ];
    assert_eq!(system.run_refreshes(&tasks).await.batch_item_failures.len(), 1);
    let metrics = only(&system);
    check(&metrics, "refresh-worker");
    for (name, expected) in [
        ("TasksChanged", 1.0),
        ("TasksDuplicate", 1.0),
        ("TasksFailed", 1.0),
        ("TasksGone", 1.0),
        ("TasksUnchanged", 0.0),
        ("AgentsPolled", 3.0),
        ("AgentsFailed", 1.0),
        ("ObserverSuspect", 0.0),
    ] {
        assert_eq!(metrics.sum(name), expected, "{name}: {metrics:?}");
        assert_eq!(metrics.values.contains_key(name), expected > 0.0, "zero is not told");
    }
    let reports = system.reports();
    assert_eq!(metrics.sum("Events"), reports.iter().map(|report| report.events as f64).sum::<f64>());
    assert_eq!(metrics.sum("WriteUnits"), reports.iter().map(|report| report.cost.write_units).sum::<f64>());
    assert!(metrics.sum("Events") > 0.0 && metrics.sum("StreamRequests") > 0.0);
    let durations = &metrics.values["TaskDuration"];
    assert_eq!(durations.len(), 4);
    assert!(
        durations.iter().any(|millis| (300.0..10_000.0).contains(millis)),
        "the hanging one: {durations:?}"
    );
    let late = &metrics.values["Lateness"];
    assert!(late.len() == 2 && late.iter().all(|millis| (4_000.0..60_000.0).contains(millis)), "{late:?}");
}

#[tokio::test]
async fn held_runs_and_failed_sources_are_counted_run_by_run() {
    let system = system(&["a", "b", "c"], "").await;
    system.discover().await;
    let quiet = only(&system);
    check(&quiet, "discovery-worker");
    assert_eq!((quiet.sum("HeldRuns"), quiet.sum("SourcesFailed")), (0.0, 0.0));
    for cluster in ["a", "b"] {
        system.fleet.apply(Change::list(cluster, false)).unwrap();
    }
    for _ in 0..2 {
        system.discover().await;
        let held = only(&system);
        check(&held, "discovery-worker");
        assert_eq!((held.sum("HeldRuns"), held.sum("SourcesFailed")), (1.0, 0.0));
    }
    system.fleet.apply(Change::discovery(Some(DiscoveryFault::Hang))).unwrap();
    for _ in 0..2 {
        system.discover().await;
        let failed = only(&system);
        assert_eq!((failed.sum("HeldRuns"), failed.sum("SourcesFailed")), (1.0, 1.0), "still held");
        assert_eq!(failed.sum("TasksFailed"), 0.0, "a source that fails is a run of its own");
    }
    system.fleet.apply(Change::discovery(None)).unwrap();
    system.fleet.apply(Change::list("a", true)).unwrap();
    system.discover().await;
    let fine = only(&system);
    assert_eq!((fine.sum("HeldRuns"), fine.sum("SourcesFailed")), (0.0, 0.0));
}

#[tokio::test]
async fn a_scheduler_tells_what_is_due_and_owed_and_how_long() {
    let system = found(System::start_in_process().await.unwrap(), &["a", "b"], "").await;
    let scheduler = system.scheduler(RecordKind::Cluster);
    let mut lines = Vec::new();
    for _ in 0..2 {
        scheduler.handle(scheduled("refresh")).await.unwrap();
        lines.push(only(&system));
    }
    for (metrics, queued) in lines.iter().zip([2.0, 0.0]) {
        check(metrics, "refresh-scheduler");
        let sums = ["Passes", "Due", "Queued", "Owed"].map(|name| metrics.sum(name));
        assert_eq!(sums, [1.0, 2.0, queued, 0.0], "due until it is done");
        assert!(metrics.sum("ReadUnits") > 0.0 && metrics.values.contains_key("PassDuration"));
        assert!(!metrics.values.contains_key("OwedAge"));
    }
    assert!(lines[1].sum("OldestDue") >= lines[0].sum("OldestDue"));
    assert!((0.0..60_000.0).contains(&lines[1].sum("OldestDue")));

    let mut heads = Vec::new();
    for cluster in ["a", "b"] {
        let head = system.head(&record(cluster)).await.unwrap();
        system.run_refresh(Task::scheduled(head.record, head.queued_due)).await;
        heads.push(system.head(&record(cluster)).await.unwrap());
    }
    forget(&system);
    // Their next slots come within five seconds, by chance before the pass.
    let due = || heads.iter().filter(|head| head.due <= Timestamp::now()).count() as f64;
    let before = due();
    scheduler.handle(scheduled("refresh")).await.unwrap();
    let done = only(&system);
    assert!((before..=due()).contains(&done.sum("Due")), "what is done is due no more: {done:?}");
    assert_eq!(done.values.contains_key("OldestDue"), done.sum("Due") > 0.0);

    // A worker that is killed between its commit and its delivery leaves a record that owes.
    let mut polls = 1;
    while !system.head(&record("a")).await.unwrap().owed {
        assert!(polls < 2_000, "no kill fell between commit and release");
        system.expire_lease(&record("a")).await.unwrap();
        let (cluster, node) = ("a".into(), "node-1".into());
        system.fleet.apply(Change::Latency { cluster, node, millis: polls as u64 % 2 }).unwrap();
        let agents = if polls % 2 == 0 { AgentState::Up } else { AgentState::Gone };
        system.fleet.apply(Change::agent("a", "node-2", agents)).unwrap();
        System::killed_after(polls, system.refresh("a")).await;
        polls += 1;
    }
    forget(&system);
    scheduler.handle(scheduled("refresh")).await.unwrap();
    assert_eq!(only(&system).sum("Owed"), 0.0, "its lease has not ended");
    system.expire_lease(&record("a")).await.unwrap();
    scheduler.handle(scheduled("refresh")).await.unwrap();
    let owing = only(&system);
    check(&owing, "refresh-scheduler");
    assert_eq!(owing.sum("Owed"), 1.0);
    assert!((0.0..600_000.0).contains(&owing.values["OwedAge"][0]), "{owing:?}");
}

#[tokio::test]
async fn a_pass_that_fails_is_measured_too() {
    let mut system = system(&["a"], "").await;
    system.local.settings.refresh_queue = format!("{}-none", system.local.settings.refresh_queue);
    let scheduler = system.scheduler(RecordKind::Cluster);
    assert!(scheduler.handle(scheduled("refresh")).await.is_err());
    let metrics = only(&system);
    check(&metrics, "refresh-scheduler");
    assert_eq!(["Passes", "Due", "Queued"].map(|name| metrics.sum(name)), [1.0, 1.0, 0.0]);
}

#[tokio::test]
async fn the_discovery_scheduler_tells_its_own_line() {
    let system = system(&["a"], "").await;
    system.scheduler(RecordKind::Discovery).handle(scheduled("discovery")).await.unwrap();
    let metrics = only(&system);
    check(&metrics, "discovery-scheduler");
    assert_eq!((metrics.sum("Passes"), metrics.sum("Queued")), (1.0, 1.0));
}

#[tokio::test]
async fn an_unchanged_refresh_is_one_short_line_in_the_log_and_one_of_metrics() {
    let id = "orders-eu-central-1-production";
    assert_eq!(id.len(), 30);
    // The line is looked at where it is written: in this process.
    let mut system = System::start_embedded(None).await.unwrap();
    system.run_in_process();
    let system = found(system, &[id], "").await;
    let now = Timestamp::now().minus(Duration::from_secs(75));
    system.run_refresh(Task::scheduled(record(id), now)).await;
    forget(&system);

    // Other tests run beside this one, without a subscriber. One of their threads may be about to note that nobody wants
    // the line, and do so for all; with the next subscriber that is looked at anew.
    let mut line = None;
    for round in 1..=10 {
        forget(&system);
        line =
            logged(system.run_refresh(Task::scheduled(record(id), now.plus(round * Duration::from_secs(5)))))
                .await;
        if line.is_some() {
            break;
        }
    }
    let line = line.unwrap();
    assert_eq!(system.reports().remove(0).outcome, Outcome::Unchanged);
    let fields: serde_json::Value = serde_json::from_str(&line).unwrap();
    let fields = fields["fields"].as_object().unwrap();
    let names: BTreeSet<&str> = fields.keys().map(String::as_str).collect();
    let expected = [
        "cause",
        "duration_ms",
        "late_ms",
        "message",
        "outcome",
        "read_units",
        "record",
        "table_requests",
        "write_units",
    ];
    assert_eq!(names, expected.into(), "what is zero or not there is left out");
    assert_eq!(fields["record"], format!("cluster/default/{id}"));
    assert_eq!(fields["table_requests"], 4);
    assert!(line.len() < 400, "{} bytes: {line}", line.len());

    let metrics = only(&system);
    check(&metrics, "refresh-worker");
    assert_eq!(metrics.sum("TasksUnchanged"), 1.0);
    assert!(metrics.bytes < 1_000, "{metrics:?}");
    println!("{} bytes of log, {} bytes of metrics\n{line}", line.len(), metrics.bytes);
}

/// The line of a task, as a function writes it with `AWS_LAMBDA_LOG_FORMAT=JSON`.
async fn logged<T>(work: impl Future<Output = T>) -> Option<String> {
    let written = Written::default();
    let json = |name: &str| (name == "AWS_LAMBDA_LOG_FORMAT").then(|| "JSON".to_owned());
    let writer = written.clone();
    let logs = tracing::subscriber::set_default(replicante_logs::subscriber(&json, move || writer.clone()));
    work.await;
    drop(logs);
    let text = String::from_utf8(written.0.lock().unwrap().clone()).unwrap();
    text.lines().find(|line| line.contains("\"task\"")).map(str::to_owned)
}

/// What was logged, kept.
#[derive(Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl Write for Written {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
