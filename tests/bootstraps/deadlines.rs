//! An invocation whose time is too short: Lambda kills its process.

use std::time::Duration;

use replicante_model::Kind;
use replicante_tests::bootstraps::{Ended, Moment};

use crate::rig::{LONG, Rig};

/// A service does not answer one of the calls until the time is over.
async fn every_call(kind: Kind) {
    let Some(mut rig) = Rig::start(kind, &[]).await else { return };
    let (mut killed, mut given_up) = (0, 0);
    for call in 0.. {
        rig.change(&format!("{call}"));
        let mut process = rig.process().await;
        let most = Duration::from_millis(400);
        let (ended, stuck) = rig.disturbed(&mut process, (call, Moment::After), most, async |_| {}).await;
        // Near its deadline a worker gives up what it does by itself. On a busy machine it comes that far before the call.
        let gave_up =
            ended == Ended::Answered(br#"{"batchItemFailures":[{"itemIdentifier":"m0"}]}"#.as_slice().into());
        let at_deadline = ended == Ended::TimedOut;
        assert!(at_deadline || gave_up || !stuck, "call {call}: {ended:?}");
        killed += usize::from(at_deadline);
        given_up += usize::from(gave_up);
        rig.told().await;
        rig.landed().await;
        if !stuck && !at_deadline {
            break;
        }
    }
    println!("{kind}: killed at its deadline {killed} times, gave up {given_up} times");
    assert!(killed >= 4, "{killed}");
}

#[tokio::test]
async fn a_refresh_that_runs_into_its_deadline_loses_nothing() {
    every_call(Kind::Cluster).await;
}

#[tokio::test]
async fn a_discovery_that_runs_into_its_deadline_loses_nothing() {
    every_call(Kind::Discovery).await;
}

#[tokio::test]
async fn whatever_the_time_the_next_invocation_makes_up_for_it() {
    let Some(mut rig) = Rig::start(Kind::Cluster, &[]).await else { return };
    let mut ends = Vec::new();
    for millis in [1, 3, 6, 10, 15, 25, 40, 80, 200] {
        rig.change(&format!("{millis} ms"));
        let mut process = rig.process().await;
        let most = Duration::from_millis(millis);
        let (ended, _) = rig.disturbed(&mut process, (usize::MAX, Moment::Before), most, async |_| {}).await;
        ends.push(ended == Ended::TimedOut);
        rig.told().await;
    }
    assert!(ends[0], "1 ms is too short for anything");
    let mut process = rig.process().await;
    rig.change("no hurry");
    let (ended, _) = rig.disturbed(&mut process, (usize::MAX, Moment::Before), LONG, async |_| {}).await;
    assert!(matches!(ended, Ended::Answered(_)), "{ended:?}");
    rig.told().await;
}
