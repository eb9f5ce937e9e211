//! The measurements of `bench refresh`.

use std::time::Duration;

use replicante_fleet::WorldConfig;
use replicante_local::{Runner, scheduled as scheduled_event};
use replicante_protocol::task::Task;
use replicante_refresh_scheduler::refresh_scheduler;
use replicante_worker::TaskReport;

use crate::bench::figures::{Figure, Wanted, figure};
use crate::bench::rig::{Rig, TICK};
use crate::error::CliError;
use crate::out;
use crate::tally::{SharedTally, percentile};

/// Batches in flight at once: as many as Lambda would run beside each other on so few cores.
const IN_FLIGHT: usize = 4;
/// How long each agent of the slow fleet waits, and the fewest requests of a full exchange with one: version 1 with its
/// actions switched off.
const LATENCY: Duration = Duration::from_millis(20);
const REQUESTS: u32 = 4;
/// How long work in flight may take to finish.
const GRACE: Duration = Duration::from_secs(20);

fn world(clusters: usize, nodes: usize, latency: Duration) -> WorldConfig {
    WorldConfig { clusters, nodes: nodes..=nodes, latency, ..WorldConfig::default() }
}

/// All measurements, each over `span`.
///
/// # Errors
/// When something can't start, or a refresh fails.
pub async fn measure(span: Duration) -> Result<Vec<Figure>, CliError> {
    let mut figures = Vec::new();
    out::note("100 clusters of 5 nodes: batches of 10, handed to the worker ...");
    let rig = Rig::start(world(100, 5, Duration::ZERO)).await?;
    let reports = throughput(&rig, span, &mut figures).await?;
    cost(&rig, &reports, &mut figures).await?;
    out::note("the same through scheduler and queue, each cluster every second ...");
    scheduled(&rig, span, &mut figures).await?;
    drop(rig);
    out::note("20 clusters of 50 nodes, 20 ms latency: one at a time, then batches of 10 ...");
    slow_agents(span, &mut figures).await?;
    Ok(figures)
}

async fn throughput(
    rig: &Rig,
    span: Duration,
    figures: &mut Vec<Figure>,
) -> Result<Vec<TaskReport>, CliError> {
    let (reports, took) = rig.drive(&rig.batches, IN_FLIGHT, span).await?;
    let nodes = reports.len() as f64 * 5.0 / took.as_secs_f64();
    let what = "node refreshes, 100 clusters of 5, no latency";
    figures.push(figure(what, nodes, "a second", Some(Wanted::AtLeast(1500.0))));
    figures.push(figure(
        "cluster refreshes of these",
        reports.len() as f64 / took.as_secs_f64(),
        "a second",
        None,
    ));
    Ok(reports)
}

/// What an unchanged refresh costs: the worker's part from its reports, the scheduler's from one pass of it.
async fn cost(rig: &Rig, reports: &[TaskReport], figures: &mut Vec<Figure>) -> Result<(), CliError> {
    let each = |sum: f64| sum / reports.len().max(1) as f64;
    let scheduler = refresh_scheduler(&rig.local.clients, &rig.local.settings);
    // Everything is due once a tick is over.
    tokio::time::sleep(2 * TICK).await;
    let pass = scheduler
        .handle(scheduled_event("bench"))
        .await
        .map_err(|error| CliError::Failed(format!("a pass of the scheduler failed: {error}")))?;
    let marks = pass.cost.write_units / pass.queued.max(1) as f64;
    let writes = each(reports.iter().map(|report| report.cost.write_units).sum());
    let reads = each(reports.iter().map(|report| report.cost.read_units).sum());
    let records = each(reports.iter().map(|report| report.cost.stream_records as f64).sum());
    let what = "an unchanged refresh";
    figures.push(figure(
        format!("{what}: claim and release, and the scheduler's mark"),
        writes + marks,
        "write units",
        Some(Wanted::Exactly(3.0)),
    ));
    figures.push(figure(
        format!("{what}: state and discovery item"),
        reads,
        "read units",
        Some(Wanted::Exactly(2.0)),
    ));
    figures.push(figure(what, records, "Kinesis records", Some(Wanted::Exactly(0.0))));
    let sqs = 3.0 / 10.0;
    figures.push(figure(
        format!("{what}: send, receive, delete in full batches (computed)"),
        sqs,
        "SQS requests",
        None,
    ));
    Ok(())
}

/// The whole way: scheduler, queue, worker, as the local runner does it.
async fn scheduled(rig: &Rig, span: Duration, figures: &mut Vec<Figure>) -> Result<(), CliError> {
    let tally = SharedTally::default();
    let runner = Runner::start(&rig.local, tally.observer(|_| {}));
    tokio::time::sleep(span).await;
    let (done, late) = tally.with(|tally| (tally.refreshed(), tally.late(50)));
    runner.stop(GRACE).await;
    let rate = done as f64 / span.as_secs_f64();
    figures.push(figure("cluster refreshes through scheduler and queue, 100 wanted", rate, "a second", None));
    let late = late.unwrap_or_default().as_secs_f64();
    figures.push(figure("lateness of these, p50 (the embedded queue adds up to 2 s)", late, "seconds", None));
    Ok(())
}

async fn slow_agents(span: Duration, figures: &mut Vec<Figure>) -> Result<(), CliError> {
    let rig = Rig::start(world(20, 50, LATENCY)).await?;
    let alone: Vec<Vec<Task>> = rig.batches.iter().flatten().map(|task| vec![task.clone()]).collect();
    // The slowest of all, and of ten at a time the slow ones too, are a matter of what else the machine does.
    for (batches, in_flight, how, enforced) in
        [(&alone, 1, "one at a time", [50, 99].as_slice()), (&rig.batches, 1, "10 at a time", &[50])]
    {
        let (reports, _) = rig.drive(batches, in_flight, span / 2).await?;
        let exchange = (LATENCY * REQUESTS).as_micros() as f64;
        let durations: Vec<u128> = reports.iter().map(|report| report.duration.as_micros()).collect();
        for (percent, name) in [(50, "p50"), (99, "p99"), (100, "max")] {
            let value = percentile(durations.iter().copied(), percent).unwrap_or(0) as f64 / exchange;
            let what = format!("a refresh of 50 nodes at 20 ms, {how}, {name}");
            let wanted = enforced.contains(&percent).then_some(Wanted::AtMost(2.5));
            figures.push(figure(what, value, "x its slowest agent", wanted));
        }
    }
    Ok(())
}
