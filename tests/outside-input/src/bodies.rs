//! Encoded states and outboxes, by themselves.

use std::fmt::Debug;

use replicante_model::discovery::DiscoveryState;
use replicante_model::record::DiscoveredCluster;
use replicante_model::view::ClusterState;
use replicante_protocol::slot::{FORMAT, Outbox, READ_FORMATS, SlotError, decode_state, encode_state};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::choices::Choices;
use crate::damage;

/// Compresses as bodies are compressed, whatever it is.
pub(crate) fn compressed(bytes: &[u8]) -> Vec<u8> {
    zstd::stream::encode_all(bytes, 1).unwrap()
}

/// Any bytes are a body or an error, as they are and as what a body holds; and what is a body reads back.
pub fn check(bytes: &[u8]) {
    for body in [bytes, &compressed(bytes)] {
        state::<ClusterState>(body);
        state::<DiscoveryState>(body);
        state::<DiscoveredCluster>(body);
        if let Ok(outbox) = Outbox::decode(FORMAT, body) {
            assert_eq!(outbox.last().saturating_sub(outbox.first) + 1, (outbox.events.len() as u64).max(1));
            let back = Outbox::decode(FORMAT, &outbox.encode().unwrap()).unwrap();
            assert!(back == outbox || outbox.is_empty());
        }
        for format in [READ_FORMATS.start() - 1, READ_FORMATS.end() + 1, u32::MAX] {
            assert!(matches!(decode_state::<ClusterState>(format, body), Err(SlotError::Format(_))));
        }
    }
}

fn state<S: Serialize + DeserializeOwned + PartialEq + Debug>(body: &[u8]) {
    if let Ok(state) = decode_state::<S>(FORMAT, body) {
        let back: S = decode_state(FORMAT, &encode_state(&state).unwrap()).unwrap();
        assert_eq!(back, state);
    }
}

/// An outbox whose text is damaged: it is refused, or all that it delivers is what it names.
pub fn damaged_outbox(choices: &mut Choices<'_>) {
    let numbers = [0, 1, 2, 3, 41, u64::MAX, u64::MAX - 1, u64::MAX / 2 + 1];
    let lines = choices.below(5);
    let header = format!(
        r#"{{"first":{},"events":{},"items":{}}}"#,
        choices.one_of(&numbers),
        choices.one_of(&numbers),
        choices.one_of(&numbers)
    );
    let mut text = header.into_bytes();
    (0..lines).for_each(|line| text.extend(format!("\n{{\"line\":{line}}}").bytes()));
    if choices.once_in(4) {
        damage::bytes(&mut text, choices);
    }
    check(&compressed(&text));
}

/// A body that is damaged once it is compressed is refused, or is what it was: never something else.
pub fn damaged_bytes(choices: &mut Choices<'_>) {
    let events =
        (0..choices.below(40)).map(|number| format!("{{\"event\":{number}}}").into_bytes()).collect();
    let outbox = Outbox { events, first: 1 + choices.number() % 1_000, items: vec![b"{}".to_vec()] };
    let mut bytes = outbox.encode().unwrap();
    damage::bytes(&mut bytes, choices);
    if let Ok(read) = Outbox::decode(FORMAT, &bytes) {
        assert!(read == outbox || bytes.is_empty(), "{read:?} of {outbox:?}");
    }
    check(&bytes);
}

/// Either of both, as the first choice says.
pub fn some_damage(choices: &mut Choices<'_>) {
    match choices.below(2) {
        0 => damaged_outbox(choices),
        _ => damaged_bytes(choices),
    }
}
