//! Every call of a history, with each fault in turn: the same events, once each, whatever breaks.

use std::collections::BTreeMap;

use replicante_tests::faults::Fault;

use crate::rig::Rig;
use crate::story::{CLUSTERS, story};

/// What the stream tells of each record when all is over, and how often a fault struck which operation.
struct Told {
    events: BTreeMap<String, Vec<String>>,
    struck: BTreeMap<String, usize>,
    most_calls: usize,
}

/// The story, with the call of this number faulted in each act that has one.
async fn tell(fault: Option<(usize, Fault)>) -> Told {
    let rig = Rig::start().await;
    let mut told = Told { events: BTreeMap::new(), struck: BTreeMap::new(), most_calls: 0 };
    for changes in story() {
        for act in rig.step(changes, fault).await {
            told.most_calls = told.most_calls.max(act.calls);
            if let Some(operation) = act.struck {
                *told.struck.entry(operation).or_default() += 1;
            }
        }
    }
    let checked = rig.system.check().await.unwrap_or_else(|problem| panic!("{fault:?}: {problem}"));
    for record in CLUSTERS.map(|cluster| format!("cluster/default/{cluster}")) {
        told.events.insert(record.clone(), checked.told(&record));
    }
    let record = "discovery/default/fleet".to_owned();
    told.events.insert(record.clone(), checked.told(&record));
    told
}

async fn every_call(fault: Fault) {
    let clean = tell(None).await;
    let changes: usize = clean.events.values().map(Vec::len).sum();
    let mut struck: BTreeMap<String, usize> = BTreeMap::new();
    for call in 0..clean.most_calls {
        let told = tell(Some((call, fault))).await;
        assert_eq!(told.events, clean.events, "call {call}, {fault:?}");
        for (operation, times) in told.struck {
            *struck.entry(operation).or_default() += times;
        }
    }
    let points: usize = struck.values().sum();
    println!(
        "{fault:?}: {points} fault points of up to {} calls an act, {changes} events: {struck:?}",
        clean.most_calls
    );
    let expected: &[&str] = match fault {
        Fault::InPart | Fault::OutOfOrder => &["PutRecords"],
        _ => &["GetItem", "PutItem", "PutRecords", "UpdateItem"],
    };
    for operation in expected {
        assert!(struck.contains_key(*operation), "no {operation} was struck");
    }
}

macro_rules! faults {
    ($($test:ident: $fault:ident;)*) => {
        $(#[tokio::test] async fn $test() { every_call(Fault::$fault).await; })*
        #[test]
        fn each_fault_has_its_test() {
            assert_eq!([$(Fault::$fault),*], Fault::ALL);
        }
    };
}

faults! {
    an_attempt_that_was_never_sent: Unsent;
    an_attempt_whose_answer_is_lost: Unanswered;
    a_call_that_was_never_sent: UnsentForGood;
    a_call_whose_answer_is_lost: UnansweredForGood;
    a_crash_before_the_call: CrashBefore;
    a_crash_after_the_call: CrashAfter;
    a_service_of_which_too_much_is_asked: Throttled;
    a_batch_that_is_stored_in_part: InPart;
    a_batch_that_is_stored_out_of_order: OutOfOrder;
}
