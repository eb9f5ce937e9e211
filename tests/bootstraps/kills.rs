//! SIGKILL in the middle of an invocation, at each call that it makes.

use replicante_model::Kind;
use replicante_tests::bootstraps::{Ended, Moment};

use crate::rig::{LONG, Rig};

/// A call that was stopped before its service heard of it lands when another process has done the task.
async fn every_call(kind: Kind) {
    let Some(mut rig) = Rig::start(kind, &[]).await else { return };
    let mut deaths = 0;
    for call in 0.. {
        let before = deaths;
        for moment in Moment::ALL {
            rig.change(&format!("{call}, {moment:?}"));
            let mut process = rig.process().await;
            let killed =
                rig.disturbed(&mut process, (call, moment), LONG, async |it| it.kill().unwrap()).await;
            match killed {
                (Ended::Exited(how), true) => assert_eq!(how, "signal 9"),
                (Ended::Answered(_), false) => {}
                other => panic!("call {call}, {moment:?}: {other:?}"),
            }
            deaths += usize::from(killed.1);
            rig.told().await;
            rig.landed().await;
        }
        if deaths == before {
            break;
        }
    }
    println!("{kind}: killed {deaths} times");
    // At least claim, load, commit, release, and what each of them has of its own.
    assert!(deaths >= 2 * 6, "{deaths}");
}

#[tokio::test]
async fn a_refresh_that_is_killed_at_any_of_its_calls_loses_nothing() {
    every_call(Kind::Cluster).await;
}

#[tokio::test]
async fn a_discovery_that_is_killed_at_any_of_its_calls_loses_nothing() {
    every_call(Kind::Discovery).await;
}
