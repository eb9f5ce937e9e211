//! Events as the stream gives them to a reader.

use replicante_model::Timestamp;
use replicante_model::event::Event;
use replicante_model::fold::Fold;
use replicante_model::reader::{Position, Reader, Verdict};

use crate::choices::Choices;
use crate::{damage, known};

/// A reader takes any lines: what is no event is passed over, and what is one is placed once, forwards, and told again
/// as it was.
pub fn check(lines: &[u8]) {
    read(lines.split(|byte| *byte == b'\n').map(<[u8]>::to_vec));
}

fn read(lines: impl IntoIterator<Item = Vec<u8>>) {
    const NOW: Timestamp = Timestamp(1_767_319_445_000);
    let (mut reader, mut fold) = (Reader::new(), Fold::default());
    for line in lines {
        let Ok(event) = serde_json::from_slice::<Event>(&line) else { continue };
        let told = serde_json::to_vec(&event).unwrap();
        assert_eq!(serde_json::from_slice::<Event>(&told).unwrap(), event);
        let Ok(record) = event.record() else { continue };
        let key = record.key();
        let before = reader.position(&key);
        let verdict = reader.judge(&key, &event, NOW);
        let after = reader.position(&key);
        match verdict {
            Verdict::Apply | Verdict::Restart { .. } => {
                let (epoch, sequence) = event.position().unwrap();
                assert!(after > before && after == Position { epoch, sequence });
                assert!(sequence > 0, "numbers begin at 1");
                if let Verdict::Restart { missed: (from, to) } = verdict {
                    assert!(from <= to && to < sequence, "{from} to {to} before {sequence}");
                }
                let _ = fold.apply(&event.change);
            }
            Verdict::Copy | Verdict::Wait | Verdict::Unreadable => assert_eq!(after, before),
        }
        assert_ne!(reader.judge(&key, &event, NOW), Verdict::Apply, "no event is applied twice");
        let _ = (reader.gaps(NOW), reader.waiting());
    }
}

/// A row of events with something wrong in them.
pub fn damaged(choices: &mut Choices<'_>) {
    let events = (0..=choices.below(6)).map(|number| {
        let mut event = choices.one_of(known::events()).clone();
        let sequence = choices.one_of(&["1", "2", "3", "00", "18446744073709551615", "-1"]);
        event["sequence"] =
            if choices.once_in(2) { (*sequence).into() } else { (number + 1).to_string().into() };
        if choices.once_in(2) {
            event["epoch"] = (*choices.one_of(&["0", "1", "2", "18446744073709551615", "x"])).into();
        }
        if choices.once_in(2) {
            damage::document(&mut event, choices);
        }
        damage::text(&event, choices)
    });
    let events: Vec<_> = events.collect();
    read(events);
}
