//! Every call of a history, with each fault in turn: the same events, once each, whatever breaks.

use std::collections::BTreeMap;

use replicante_tests::faults::Fault;
use replicante_tests::story::{CLUSTERS, story};

use crate::rig::Rig;

/// What a run of the story came to.
#[derive(Default)]
struct Told {
    /// What the stream tells of each record when all is over.
    events: BTreeMap<String, Vec<String>>,
    /// The calls of each act, by operation.
    acts: Vec<Vec<String>>,
    /// How often the fault struck which operation.
    struck: BTreeMap<String, usize>,
}

/// The story, with the call of this number faulted in each act that has one.
async fn tell(fault: Option<(usize, Fault)>) -> Told {
    let rig = Rig::start().await;
    let mut told = Told::default();
    for (number, changes) in story().into_iter().enumerate() {
        rig.apply(number).await;
        for act in rig.step(changes, fault).await {
            told.acts.push(act.calls);
            if let Some(operation) = act.struck {
                *told.struck.entry(operation).or_default() += 1;
            }
        }
    }
    let checked = rig.system.check().await.unwrap_or_else(|problem| panic!("{fault:?}: {problem}"));
    let records = CLUSTERS.map(|cluster| format!("cluster/default/{cluster}"));
    for record in records.into_iter().chain(["discovery/default/fleet".to_owned()]) {
        let events = checked.all_told(&record);
        told.events.insert(record, events);
    }
    told
}

/// Whether a fault can strike a call of this operation.
fn strikes(fault: Fault, operation: &str) -> bool {
    !matches!(fault, Fault::InPart | Fault::OutOfOrder) || operation == "PutRecords"
}

async fn every_call(fault: Fault) {
    let clean = tell(None).await;
    let changes: usize = clean.events.values().map(Vec::len).sum();
    let most = clean.acts.iter().map(Vec::len).max().unwrap_or_default();
    let mut struck: BTreeMap<String, usize> = BTreeMap::new();
    for call in 0..most {
        let mut operations = clean.acts.iter().filter_map(|calls| calls.get(call));
        if !operations.any(|operation| strikes(fault, operation)) {
            continue;
        }
        let told = tell(Some((call, fault))).await;
        assert_eq!(told.events, clean.events, "call {call}, {fault:?}");
        for (operation, times) in told.struck {
            *struck.entry(operation).or_default() += times;
        }
    }
    let points: usize = struck.values().sum();
    println!(
        "{fault:?}: {points} fault points in {} acts of up to {most} calls, {changes} events: {struck:?}",
        clean.acts.len()
    );
    for operation in ["GetItem", "PutItem", "PutRecords", "Query", "TransactWriteItems", "UpdateItem"] {
        assert_eq!(struck.contains_key(operation), strikes(fault, operation), "{operation}");
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
