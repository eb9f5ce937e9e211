//! Temporary.
use std::time::Instant;
use replicante_fleet::*;
use replicante_model::RecordName;
use replicante_protocol::task::Task;
use replicante_tests::System;

#[tokio::main]
async fn main() {
    let system = System::start_on(None, FleetConfig::default()).await.unwrap();
    for n in 0..100 {
        let kind = [Kind::Zookeeper, Kind::Mongodb, Kind::Kafka, Kind::Cassandra][n % 4];
        system.add_cluster(&format!("c{n}"), kind, 5).unwrap();
    }
    system.apply_discovery("").await.unwrap();
    system.discover().await;
    let tasks: Vec<Task> = (0..100).map(|n| Task::manual(RecordName::cluster("default", format!("c{n}")), "bench")).collect();
    for batch in tasks.chunks(10) { system.run_refreshes(batch).await; }
    let seconds: u64 = std::env::args().nth(1).and_then(|a| a.parse().ok()).unwrap_or(10);
    let lanes: usize = std::env::args().nth(2).and_then(|a| a.parse().ok()).unwrap_or(4);
    let start = Instant::now();
    let next = std::sync::atomic::AtomicUsize::new(0);
    let done = std::sync::atomic::AtomicUsize::new(0);
    let lane = || async {
        while start.elapsed().as_secs() < seconds {
            let n = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed) % 10;
            system.run_refreshes(&tasks[n * 10..n * 10 + 10]).await;
            done.fetch_add(10, std::sync::atomic::Ordering::Relaxed);
        }
    };
    futures::future::join_all((0..lanes).map(|_| lane())).await;
    let reports = system.reports();
    let ok = reports.iter().filter(|r| r.outcome == replicante_protocol::machine::Outcome::Unchanged).count();
    let secs = start.elapsed().as_secs_f64();
    println!("{} refreshes, {} unchanged, {:.0} clusters/s, {:.0} node refreshes/s", done.into_inner(), ok, ok as f64 / secs, ok as f64 * 5.0 / secs);
}
