//! A process that is stopped for longer than its lease and then goes on, after another one took over.

use std::time::Duration;

use replicante_model::Kind;
use replicante_tests::bootstraps::{Ended, Moment};
use tokio::time::sleep;

use crate::rig::{LONG, Rig};

const LEASE: Duration = Duration::from_secs(1);

/// Stops the process at each of its calls.
async fn every_call(kind: Kind) {
    let settings = [("REPLICANTE_LEASE", "1s"), ("REPLICANTE_VISIBILITY_TIMEOUT", "2s")];
    let Some(mut rig) = Rig::start(kind, &settings).await else { return };
    let (mut freezes, mut taken_over) = (0, 0);
    for call in 0.. {
        let before = freezes;
        for moment in Moment::ALL {
            rig.change(&format!("{call}, {moment:?}"));
            let mut process = rig.process().await;
            let asleep = async |process: replicante_tests::bootstraps::Signals| {
                process.freeze().unwrap();
                sleep(LEASE + Duration::from_millis(200)).await;
                rig.work().await;
                process.thaw().unwrap();
                rig.tap.release().await;
            };
            let (ended, frozen) = rig.disturbed(&mut process, (call, moment), LONG, asleep).await;
            assert!(matches!(ended, Ended::Answered(_)), "call {call}, {moment:?}: {ended:?}");
            freezes += usize::from(frozen);
            taken_over += process.logged().unwrap().matches(r#""outcome":"taken_over""#).count();
            rig.told().await;
        }
        if freezes == before {
            break;
        }
    }
    println!("{kind}: frozen {freezes} times, {taken_over} of them noticed that another took over");
    assert!(freezes >= 2 * 6 && taken_over > 2, "{freezes}, {taken_over}");
}

#[tokio::test]
async fn a_refresh_that_was_frozen_drops_what_another_has_done() {
    every_call(Kind::Cluster).await;
}

#[tokio::test]
async fn a_discovery_that_was_frozen_drops_what_another_has_done() {
    every_call(Kind::Discovery).await;
}
