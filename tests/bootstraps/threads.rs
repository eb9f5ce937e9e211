//! A bootstrap has one thread, also while it works on a batch: see the decision in docs/architecture.md.

use std::time::Duration;

use replicante_fleet::{Change, Kind};
use replicante_local::task_payload;
use replicante_model::RecordName;
use replicante_protocol::task::Task;
use replicante_tests::bootstraps::{Ended, Function, Sandbox};
use tokio::time::interval;

use crate::rig::{LONG, deployed};

#[tokio::test]
async fn a_worker_has_one_thread_while_it_works_on_a_batch() {
    let Some(system) = deployed(&[]).await else { return };
    let mut tasks = Vec::new();
    for number in 0..10 {
        let cluster = format!("c{number}");
        system.add_cluster(&cluster, Kind::Zookeeper, 3).unwrap();
        let (node, millis) = ("node-1".into(), 200);
        system.fleet.apply(Change::Latency { cluster: cluster.clone(), node, millis }).unwrap();
        tasks.push(Task::manual(RecordName::cluster("default", cluster), "test"));
    }
    system.apply_discovery("").await.unwrap();
    system.discover().await;
    let mut process =
        Sandbox::start(&system.deployed().unwrap().image(Function::RefreshWorker)).await.unwrap();
    let (signals, payload) = (process.signals().unwrap(), task_payload(&tasks).unwrap());
    let (mut most, mut looks, mut pause) = (0, 0, interval(Duration::from_millis(10)));
    let mut invoking = std::pin::pin!(process.invoke(&payload, LONG));
    let ended = loop {
        tokio::select! {
            ended = &mut invoking => break ended.unwrap(),
            _ = pause.tick() => {
                most = most.max(signals.threads().unwrap());
                looks += 1;
            }
        }
    };
    let Ended::Answered(body) = ended else { panic!("{ended:?}") };
    assert_eq!(&*body, br#"{"batchItemFailures":[]}"#);
    assert!(looks > 20, "{looks}");
    assert_eq!(most, 1);
    assert_eq!(system.check().await.unwrap().views.len(), 10);
}
