//! The whole system running by itself: schedules, queues, workers.

use std::collections::BTreeSet;
use std::time::Duration;

use replicante_fleet::{Change, Kind, StoreState};
use replicante_local::Stopped;
use replicante_model::view::Health;
use replicante_tests::System;
use tokio::time::{Instant, sleep};

/// Waits until a condition holds, or fails.
async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(30);
    while !holds().await {
        assert!(Instant::now() < end, "{what}: not within 30 s");
        sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn schedules_queues_and_workers_keep_the_views_current_by_themselves() {
    stays_current(&System::start().await.unwrap()).await;
}

/// The same on table, stream and queues of the template, with the settings that it gives the functions.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs what the template creates: localstack/run.sh runs it"]
async fn what_was_deployed_stays_current_by_itself() {
    stays_current(&System::start_deployed().await.unwrap()).await;
}

async fn stays_current(system: &System) {
    for n in 0..6 {
        system.add_cluster(&format!("c{n}"), Kind::Zookeeper, 3).unwrap();
    }
    system.apply_discovery("").await.unwrap();
    let running = system.run();
    until("every cluster is seen healthy", async || {
        let mut healthy = 0;
        for n in 0..6 {
            let view = system.view(&format!("c{n}")).await.ok();
            healthy += usize::from(view.is_some_and(|view| view.health == Some(Health::Healthy)));
        }
        healthy == 6
    })
    .await;
    system.fleet.apply(Change::store("c3", "node-2", StoreState::Down)).unwrap();
    system.add_cluster("late", Kind::Mongodb, 3).unwrap();
    until("a node that went down is seen", async || {
        system.view("c3").await.is_ok_and(|view| view.health == Some(Health::Degraded))
    })
    .await;
    until("a new cluster is discovered and seen", async || system.view("late").await.is_ok()).await;
    assert_eq!(running.stop(Duration::from_secs(25)).await.unwrap(), Stopped::Finished);

    let checked = system.check().await.unwrap();
    assert_eq!(checked.views.len(), 7);
    let causes: BTreeSet<String> =
        checked.events["cluster/default/c3"].iter().map(|event| format!("{:?}", event.cause)).collect();
    assert_eq!(causes, BTreeSet::from(["Discovery".to_string(), "Schedule".to_string()]));
}
