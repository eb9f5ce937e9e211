//! A worker's whole process dies, before and after each call that it makes.

use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;
use std::time::Duration;

use replicante_fleet::{Change, Kind as Store};
use replicante_model::{Kind, RecordName};
use replicante_protocol::task::Task;
use replicante_tests::System;
use tokio::process::Command;
use tokio::time::timeout;

const SIGABRT: i32 = 6;
/// A worker's process, on a machine that is busy.
const LONG: Duration = Duration::from_secs(60);

/// Whether the worker's process died at its call of this number. It ends by itself when it makes fewer.
async fn dies_at(system: &System, task: &Task, call: usize, after: bool) -> bool {
    let mut worker = Command::new(env!("CARGO_BIN_EXE_mortal-worker"))
        .envs(&system.local.environment)
        .env("REPLICANTE_TEST_TASK", serde_json::to_string(task).unwrap())
        .env("REPLICANTE_TEST_CALL", call.to_string())
        .env("REPLICANTE_TEST_AFTER", after.to_string())
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let status = timeout(LONG, worker.wait()).await.unwrap().unwrap();
    assert!(status.success() || status.signal() == Some(SIGABRT), "{status}");
    !status.success()
}

/// Kills the worker at each of its calls, with something new to tell each time, and goes on.
async fn every_call(kind: Kind) {
    let system = System::start_embedded(None).await.unwrap();
    system.add_cluster("zk", Store::Zookeeper, 3).unwrap();
    system.apply_discovery("").await.unwrap();
    system.discover().await;
    system.refresh("zk").await;
    let record = match kind {
        Kind::Discovery => RecordName::discovery("default", "fleet"),
        Kind::Cluster => RecordName::cluster("default", "zk"),
    };
    let task = Task::manual(record.clone(), "test");
    let (mut deaths, mut told) = (0, system.head(&record).await.unwrap().sequence);
    for call in 0.. {
        let before = deaths;
        for after in [false, true] {
            let name = Some(format!("{call}, {after}"));
            system.fleet.apply(Change::RenameCluster { cluster: "zk".into(), display_name: name }).unwrap();
            deaths += usize::from(dies_at(&system, &task, call, after).await);
            system.expire_lease(&record).await.unwrap();
            let response = match kind {
                Kind::Discovery => system.run_discovery(task.clone()).await,
                Kind::Cluster => system.run_refresh(task.clone()).await,
            };
            assert!(response.batch_item_failures.is_empty(), "call {call}, after: {after}");
            let head = system.head(&record).await.unwrap();
            assert!(!head.owed && head.published == head.sequence, "{head:?}");
            if kind == Kind::Cluster {
                assert!(head.sequence > told, "the change is told, by whom it may");
            }
            told = head.sequence;
            system.check().await.unwrap();
        }
        if deaths == before {
            break;
        }
    }
    println!("{kind}: the process died {deaths} times");
    // At least claim, load, commit, release, and what each of them has of its own.
    assert!(deaths >= 2 * 6, "{deaths}");
}

#[tokio::test]
async fn a_refresh_dies_at_each_of_its_calls() {
    every_call(Kind::Cluster).await;
}

#[tokio::test]
async fn a_discovery_dies_at_each_of_its_calls() {
    every_call(Kind::Discovery).await;
}
