//! The four functions running by themselves, on queues and schedules, while their processes are killed and stopped.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use replicante_fleet::{Change, Kind, StoreState};
use replicante_local::Stopped;
use replicante_model::RecordName;
use replicante_model::view::Health;
use tokio::time::{Instant, sleep};

use crate::rig::deployed;

const CLUSTERS: usize = 6;
/// The order that the protocol rests on: timeout, lease, visibility timeout.
const MOST: Duration = Duration::from_secs(4);
const SETTINGS: [(&str, &str); 4] = [
    ("REPLICANTE_LEASE", "5s"),
    ("REPLICANTE_VISIBILITY_TIMEOUT", "6s"),
    // A task that is killed again and again must not end with the dead.
    ("REPLICANTE_MAX_RECEIVE_COUNT", "100"),
    ("REPLICANTE_DEADLINE_MARGIN", "1s"),
];

/// While this lasts, a process is killed or stopped every now and then.
const STORM: Duration = Duration::from_secs(15);

#[tokio::test(flavor = "multi_thread")]
async fn functions_whose_processes_are_killed_and_stopped_keep_the_views_current() {
    let Some(mut system) = deployed(&SETTINGS).await else { return };
    system.time_left = MOST;
    for n in 0..CLUSTERS {
        system.add_cluster(&format!("c{n}"), Kind::Zookeeper, 3).unwrap();
    }
    system.apply_discovery("").await.unwrap();
    let running = system.run();
    let mut random = StdRng::seed_from_u64(1);
    let (mut killed, mut stopped, began) = (0, 0, Instant::now());
    while began.elapsed() < STORM || killed < 5 || stopped < 5 {
        assert!(began.elapsed() < 6 * STORM, "only {killed} killed, {stopped} stopped");
        sleep(Duration::from_millis(random.random_range(1..60))).await;
        let (cluster, node) = (random.random_range(0..CLUSTERS), random.random_range(1..=3));
        let state = if random.random_bool(0.5) { StoreState::Up } else { StoreState::Down };
        system.fleet.apply(Change::store(format!("c{cluster}"), format!("node-{node}"), state)).unwrap();
        let busy = system.deployed().unwrap().busy();
        if busy.is_empty() {
            continue;
        }
        // It may have ended meanwhile.
        let (_, process) = busy[random.random_range(0..busy.len())];
        match random.random_range(0..6) {
            0 => killed += usize::from(process.kill().is_ok()),
            1 if process.freeze().is_ok() => {
                stopped += 1;
                tokio::spawn(async move {
                    sleep(Duration::from_millis(700)).await;
                    let _ = process.thaw();
                });
            }
            _ => {}
        }
    }
    println!("killed {killed}, stopped {stopped}");

    // From now on all is well: the queues bring back what was lost, and each cluster is seen as it is.
    for n in 0..CLUSTERS {
        for node in 1..=3 {
            let state = if n == 0 && node == 2 { StoreState::Down } else { StoreState::Up };
            system.fleet.apply(Change::store(format!("c{n}"), format!("node-{node}"), state)).unwrap();
        }
    }
    let end = Instant::now() + Duration::from_secs(60);
    for n in 0..CLUSTERS {
        let expected = if n == 0 { Health::Degraded } else { Health::Healthy };
        let record = RecordName::cluster("default", format!("c{n}"));
        loop {
            let view = system.view(&format!("c{n}")).await.ok();
            let head = system.head(&record).await.ok();
            if view.is_some_and(|view| view.health == Some(expected)) && head.is_some_and(|head| !head.owed) {
                break;
            }
            assert!(Instant::now() < end, "{record} is not seen as it is within a minute");
            sleep(Duration::from_millis(100)).await;
        }
    }
    assert_eq!(running.stop(Duration::from_secs(30)).await.unwrap(), Stopped::Finished);
    let checked = system.check().await.unwrap();
    assert_eq!(checked.views.len(), CLUSTERS);
}
