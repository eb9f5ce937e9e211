//! Golden files: one full event of each type, byte for byte, in `tests/golden/events`. What readers of the stream
//! rest on changes only where a review sees it. `UPDATE_GOLDEN=1 cargo test -p replicante-model --test model` writes
//! them anew.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use replicante_model::RecordName;
use replicante_model::change::Change;
use replicante_model::event::{Cause, Event, MAX_EVENT, Sealer};

use crate::examples::{TYPES, examples, number};
use crate::given::NOW;
use crate::history::EPOCH;

pub fn golden(folder: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(folder)
}

/// Compares text with a golden file, or writes it when asked to.
pub fn compare(folder: &str, name: &str, text: &str) -> Result<(), String> {
    let path = golden(folder).join(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::create_dir_all(golden(folder)).unwrap();
        fs::write(&path, text).unwrap();
    }
    let expected = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    if expected == text { Ok(()) } else { Err(format!("{} differs; it is now:\n{text}", path.display())) }
}

/// The bytes of an event with fixed inputs.
pub fn sealed(change: &Change) -> Vec<u8> {
    let record = if change.name().starts_with("discovery.") {
        RecordName::discovery("default", "fleet")
    } else {
        RecordName::cluster("default", "orders")
    };
    // Each cause once, with who asked for the manual ones.
    let (cause, actor) = match number(change) {
        9 | 44 | 45 => (Cause::Manual, Some("ada@example.com")),
        _ => (Cause::Schedule, None),
    };
    let sealer = Sealer {
        source: "/replicante/prod",
        record: &record,
        epoch: EPOCH,
        sequence: 41,
        time: NOW,
        cause,
        actor,
        maintenance: None,
    };
    sealer.seal([change], 1, MAX_EVENT).unwrap().remove(0).bytes
}

/// Indents JSON without touching the order of its fields.
fn indent(json: &[u8]) -> String {
    let (mut text, mut depth, mut quoted, mut escaped) = (String::new(), 0, false, false);
    let line = |text: &mut String, depth: usize| {
        text.push('\n');
        text.push_str(&"  ".repeat(depth));
    };
    for c in String::from_utf8(json.to_vec()).unwrap().chars() {
        if quoted {
            text.push(c);
            quoted = escaped || c != '"';
            escaped = !escaped && c == '\\';
            continue;
        }
        match c {
            '{' | '[' => {
                text.push(c);
                depth += 1;
                line(&mut text, depth);
            }
            '}' | ']' => {
                depth -= 1;
                line(&mut text, depth);
                text.push(c);
            }
            ',' => {
                text.push(c);
                line(&mut text, depth);
            }
            ':' => text.push_str(": "),
            _ => {
                quoted = c == '"';
                text.push(c);
            }
        }
    }
    text.push('\n');
    text
}

#[test]
fn every_type_has_an_example() {
    let numbers: Vec<usize> = examples().iter().map(number).collect();
    assert_eq!(numbers, (0..TYPES).collect::<Vec<_>>());
    let names: BTreeSet<&str> = examples().iter().map(Change::name).collect();
    assert_eq!(names.len(), TYPES, "each name once");
}

#[test]
fn the_event_of_each_type_is_as_its_golden_file_byte_for_byte() {
    let differences: Vec<String> = examples()
        .iter()
        .filter_map(|change| {
            compare("events", &format!("{}.json", change.name()), &indent(&sealed(change))).err()
        })
        .collect();
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

#[test]
fn there_is_no_golden_file_of_a_type_that_does_not_exist() {
    let files: BTreeSet<String> = fs::read_dir(golden("events"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    let expected: BTreeSet<String> =
        examples().iter().map(|change| format!("{}.json", change.name())).collect();
    assert_eq!(files, expected);
}

#[test]
fn an_event_reads_back_to_the_change_and_to_the_same_bytes() {
    for change in examples() {
        let bytes = sealed(&change);
        let event: Event = serde_json::from_slice(&bytes).unwrap();
        assert_eq!(event.change, change);
        assert_eq!(serde_json::to_vec(&event).unwrap(), bytes, "{}", change.name());
    }
}
