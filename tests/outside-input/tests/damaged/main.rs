//! Thousands of damaged inputs of each kind. `fuzz/` runs the same checks for longer.
#![allow(clippy::unwrap_used)]

mod agents;

use proptest::collection::vec;
use proptest::prelude::*;
use replicante_outside_input::choices::Choices;
use replicante_outside_input::{agents as of_agents, bodies, discovery, events, objects, records, tasks};

/// Cases of each property.
const CASES: u32 = 2_048;
/// Of those that take many requests a case. A fuzzer does more of them.
const FEWER: u32 = 1_024;

/// `REPLICANTE_TIMES=N` asks for N times the cases.
fn cases(cases: u32) -> ProptestConfig {
    let times = std::env::var("REPLICANTE_TIMES").map_or(1, |times| times.parse().unwrap());
    ProptestConfig::with_cases(cases * times)
}

/// The choices that say what is wrong. Most damage needs few.
fn choices() -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), 8..200)
}

/// Text that is nearly a document of some kind.
fn nearly() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        vec(any::<u8>(), 0..200),
        "[-{}\\[\\]\":,0-9a-z.e \n\t#&*!|>%@'?~ü\\\\]{0,200}".prop_map(String::into_bytes),
    ]
}

macro_rules! takes {
    ($($name:ident($cases:expr): $input:ident => $check:expr;)*) => {$(
        proptest! {
            #![proptest_config(cases($cases))]
            #[test]
            fn $name(input in $input()) {
                $check(&input);
            }
        }
    )*};
}

/// The check that makes these choices.
fn by(check: fn(&mut Choices<'_>)) -> impl Fn(&[u8]) {
    move |bytes| check(&mut Choices::new(bytes))
}

takes! {
    any_body_of_an_agent_is_an_answer_or_refused(CASES): nearly => of_agents::check;
    a_recorded_answer_that_is_damaged_stays_within_its_bounds(CASES): choices => by(of_agents::damaged);
    one_bad_shard_or_action_takes_no_other_with_it(CASES): choices => by(of_agents::one_bad_entry);

    any_body_of_a_source_is_an_answer_or_an_error_that_names_it(FEWER): nearly => discovery::check;
    a_damaged_answer_of_a_source_stays_within_its_limits(CASES): choices => by(discovery::damaged);
    one_bad_record_takes_no_other_with_it(CASES): choices => by(discovery::one_bad_record);
    pages_end_whatever_their_cursors(CASES): choices => by(discovery::pages);

    any_text_is_objects_or_errors_with_their_lines(CASES): nearly => objects::check;
    damaged_objects_are_refused_or_can_be_stored_and_opened(CASES): choices => by(objects::damaged);
    an_unknown_field_is_refused_wherever_it_stands(CASES): choices => by(objects::unknown_field);

    any_message_is_a_task_or_fails(CASES): nearly => tasks::check;
    messages_that_are_no_tasks_take_no_other_with_them(CASES): choices => by(tasks::batch);

    any_bytes_are_a_body_or_an_error(CASES): nearly => bodies::check;
    an_outbox_that_miscounts_is_refused(CASES): choices => by(bodies::damaged_outbox);
    a_damaged_body_is_never_another_one(CASES): choices => by(bodies::damaged_bytes);

    any_bytes_in_a_record_are_read_or_named_with_it(FEWER / 8): nearly => records::check;
    a_record_with_damaged_bytes_is_named_and_never_another_one(FEWER): choices => by(records::damaged_bytes);
    a_record_with_a_damaged_document_is_read_or_named(FEWER): choices => by(records::damaged_documents);
    a_record_with_damaged_items_is_read_or_named(FEWER): choices => by(records::damaged_items);

    a_reader_takes_any_lines(CASES): nearly => events::check;
    a_reader_places_damaged_events_once_or_not_at_all(CASES): choices => by(events::damaged);
}
