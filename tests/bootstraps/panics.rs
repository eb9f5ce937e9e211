//! A panic in the middle of an invocation. The process is the worker's code with a fault of its own: `panicking-worker`.

use std::path::PathBuf;

use replicante_fleet::{Change, Kind};
use replicante_local::task_payload;
use replicante_model::RecordName;
use replicante_protocol::task::Task;
use replicante_tests::System;
use replicante_tests::bootstraps::{Ended, Image, Sandbox, environment};

use crate::rig::LONG;

/// Panics at each call of a refresh. `aborts`: the process ends with it, as the deployed ones do.
async fn every_call(aborts: bool) {
    let system = System::start().await.unwrap();
    system.add_cluster("zk", Kind::Zookeeper, 3).unwrap();
    system.apply_discovery("").await.unwrap();
    system.discover().await;
    let record = RecordName::cluster("default", "zk");
    let payload = task_payload(&[Task::manual(record.clone(), "test")]).unwrap();
    let (mut panics, mut told) = (0, 0);
    for call in 0.. {
        let name = Some(format!("{call}"));
        system.fleet.apply(Change::RenameCluster { cluster: "zk".into(), display_name: name }).unwrap();
        let mut image = Image {
            function: "refresh-worker".into(),
            path: PathBuf::from(env!("CARGO_BIN_EXE_panicking-worker")),
            environment: environment(&system.local).unwrap(),
        };
        image.environment.insert("REPLICANTE_TEST_PANIC_AT".into(), call.to_string());
        image.environment.insert("REPLICANTE_TEST_PANIC_ABORTS".into(), aborts.to_string());
        let mut process = Sandbox::start(&image).await.unwrap();
        let ended = process.invoke(&payload, LONG).await.unwrap();
        let panicked = !matches!(ended, Ended::Answered(_));
        if panicked {
            let log = process.logged().unwrap();
            assert!(
                log.lines().any(|line| line.contains("ERROR") && line.contains("belongs to this test")),
                "{log}"
            );
        }
        system.expire_lease(&record).await.unwrap();
        match ended {
            Ended::Answered(_) => {}
            Ended::Exited(how) if aborts => assert_eq!(how, "signal 6"),
            // The process goes on: its next invocation does the task.
            Ended::Failed(_, message) if !aborts => {
                assert!(message.contains("belongs to this test"), "{message}");
                let ended = process.invoke(&payload, LONG).await.unwrap();
                assert!(matches!(ended, Ended::Answered(_)), "{ended:?}");
            }
            ended => panic!("call {call}: {ended:?}"),
        }
        assert!(system.refresh("zk").await.batch_item_failures.is_empty());
        let head = system.head(&record).await.unwrap();
        assert!(!head.owed && head.published == head.sequence && head.sequence > told, "{head:?}");
        told = head.sequence;
        system.check().await.unwrap();
        panics += usize::from(panicked);
        if !panicked {
            break;
        }
    }
    println!("it panicked {panics} times");
    assert!(panics >= 6, "{panics}");
}

#[tokio::test]
async fn a_panic_that_ends_the_process_loses_nothing() {
    every_call(true).await;
}

#[tokio::test]
async fn a_panic_that_is_caught_loses_nothing() {
    every_call(false).await;
}
