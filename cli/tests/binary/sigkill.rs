//! `replicante up` is killed with SIGKILL twenty times in a row while the fleet changes. Afterwards the
//! history has no gap and no invention, and folds to the stored views.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use replicante_fleet::{Fleet, FleetConfig, WorldConfig};
use replicante_local::{Local, LocalConfig, Runner};
use replicante_model::Kind;
use replicante_model::name::SPREAD_SHARDS;
use replicante_tests::History;

use crate::up;

const KILLS: usize = 20;
const CLUSTERS: usize = 8;

/// Bytes of the archived history: how far the system has come.
fn progress(data: &Path) -> u64 {
    std::fs::metadata(data.join("stream.events")).map_or(0, |metadata| metadata.len())
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_kills_in_a_row_leave_a_history_without_gap_or_invention_that_folds_to_the_views() {
    let seed: u64 =
        std::env::var("REPLICANTE_TEST_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(7);
    println!("seed {seed} (REPLICANTE_TEST_SEED)");
    let mut rng = StdRng::seed_from_u64(seed);
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let world = WorldConfig { clusters: CLUSTERS, seed, ..WorldConfig::default() };
    let fleet = Fleet::start(FleetConfig { world, ..FleetConfig::default() }).await.unwrap();
    let objects = folder.path().join("fleet.yaml");
    let yaml = format!(
        "apiVersion: replicante.io/v0\nkind: Discovery\nmetadata: {{ name: fleet }}\nspec:\n  interval: 1s\n  \
         refresh: {{ interval: 1s }}\n  agents: {{ timeout: 500ms, connect_timeout: 500ms, node_timeout: 1s }}\n  \
         source:\n    http: {{ url: \"{}\", timeout: 1s }}\n",
        fleet.discovery_url()
    );
    std::fs::write(&objects, yaml).unwrap();
    let _changes = fleet.start_changes(seed, Duration::from_millis(30));

    for kill in 0..KILLS {
        let mut child = up(&objects, &data);
        // Killed at a random moment, but not before it has written something: it is to be killed at work.
        let (before, started) = (progress(&data), Instant::now());
        while progress(&data) == before {
            assert!(started.elapsed() < Duration::from_secs(60), "nothing happens before kill {kill}");
            std::thread::sleep(Duration::from_millis(2));
        }
        std::thread::sleep(Duration::from_millis(rng.random_range(0..700)));
        child.kill().unwrap();
        child.wait().unwrap();
    }

    // One run to the end: it delivers what the killed ones owed.
    let config = LocalConfig { data: Some(data), ..LocalConfig::default() };
    let local = Local::start(&config).await.unwrap();
    let table = replicante_aws::Table::new(&local.clients, &local.settings.table);
    let runner = Runner::start(&local, Arc::new(|_| {}));
    let started = Instant::now();
    loop {
        let mut owing = 0;
        for kind in [Kind::Discovery, Kind::Cluster] {
            for shard in 0..SPREAD_SHARDS {
                owing +=
                    table.heads(kind, shard).await.unwrap().heads.iter().filter(|head| head.owed).count();
            }
        }
        if owing == 0 && started.elapsed() > Duration::from_secs(3) {
            break;
        }
        assert!(started.elapsed() < Duration::from_secs(60), "{owing} records still owe");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    runner.stop(Duration::from_secs(25)).await;

    let stream = replicante_aws::Stream::new(&local.clients, &local.settings.stream);
    let checked = History::read(&stream).await.unwrap().check().unwrap();
    assert!(checked.views.len() >= CLUSTERS, "{} clusters", checked.views.len());
    checked.compare(&table).await.unwrap();
    let events: usize = checked.events.values().map(Vec::len).sum();
    println!("{events} events of {} records, {} copies", checked.events.len(), checked.copies);
}
