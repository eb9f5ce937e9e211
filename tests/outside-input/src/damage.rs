//! Damage: valid documents and bytes with something wrong in them.

use serde_json::{Map, Value, json};

use crate::choices::Choices;

/// What stands where something else is expected. Even within each other none of it is deeper than every
/// parser goes.
fn odd(choices: &mut Choices<'_>) -> Value {
    match choices.below(16) {
        0 => Value::Null,
        1 => json!(true),
        2 => json!(0),
        3 => json!(-1),
        4 => json!(u64::MAX),
        5 => json!(i64::MIN),
        6 => json!(u32::MAX),
        7 => json!(1.5e308),
        8 => json!(""),
        9 => json!("\u{0}\n\u{e9}\u{fffd} \u{1f980}"),
        10 => json!("x".repeat(2_000)),
        11 => json!([]),
        12 => json!({}),
        13 => json!([null, [1], { "a": [] }]),
        14 => (0..8).fold(Value::Null, |inner, _| json!([inner])),
        _ => json!(choices.number()),
    }
}

/// Damages a document in one to four places: parts are replaced, taken away, doubled, moved, wrapped, renamed.
pub fn document(document: &mut Value, choices: &mut Choices<'_>) {
    for _ in 0..=choices.below(4) {
        let count = size(document);
        let (mut place, mut elsewhere) = (choices.below(count), choices.below(count));
        let other = part(document, &mut elsewhere).map(|part| part.clone()).unwrap_or_default();
        if let Some(part) = part(document, &mut place) {
            damage(part, other, choices);
        }
    }
}

fn damage(value: &mut Value, other: Value, choices: &mut Choices<'_>) {
    match (choices.below(8), &mut *value) {
        (1, value) => *value = other,
        (2, Value::Array(items)) if !items.is_empty() => drop(items.remove(choices.below(items.len()))),
        (3, Value::Array(items)) if !items.is_empty() => {
            let copy = items[choices.below(items.len())].clone();
            (0..=choices.below(4)).for_each(|_| items.push(copy.clone()));
        }
        (4, Value::Array(items)) => items.insert(choices.below(items.len() + 1), odd(choices)),
        (2, Value::Object(fields)) => drop(name(fields, choices).and_then(|name| fields.remove(&name))),
        (3, Value::Object(fields)) => {
            if let (Some(from), Some(to)) = (name(fields, choices), name(fields, choices)) {
                let copy = fields[&from].clone();
                fields.insert(to, copy);
            }
        }
        (4, Value::Object(fields)) => drop(fields.insert("later".into(), odd(choices))),
        (5, Value::Object(fields)) => {
            if let Some(value) = name(fields, choices).and_then(|name| fields.remove(&name)) {
                fields.insert(["ID", "", "kind ", "\u{e9}\u{0}"][choices.below(4)].into(), value);
            }
        }
        (6, value) => *value = json!([value.take()]),
        (7, value) => *value = json!({ "id": value.take() }),
        (_, value) => *value = odd(choices),
    }
}

fn name(fields: &Map<String, Value>, choices: &mut Choices<'_>) -> Option<String> {
    fields.keys().nth(choices.below(fields.len())).cloned()
}

fn size(value: &Value) -> usize {
    1 + match value {
        Value::Array(items) => items.iter().map(size).sum::<usize>(),
        Value::Object(fields) => fields.values().map(size).sum(),
        _ => 0,
    }
}

/// The part at a place, counted from the whole on downwards.
fn part<'v>(value: &'v mut Value, place: &mut usize) -> Option<&'v mut Value> {
    if *place == 0 {
        return Some(value);
    }
    *place -= 1;
    match value {
        Value::Array(items) => items.iter_mut().find_map(|item| part(item, place)),
        Value::Object(fields) => fields.values_mut().find_map(|field| part(field, place)),
        _ => None,
    }
}

/// A document as text: at times with a field that is given twice, a number beyond every type, deep nesting, or bytes
/// that are damaged afterwards.
pub fn text(document: &Value, choices: &mut Choices<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    write(document, choices, &mut out);
    if choices.once_in(4) {
        bytes(&mut out, choices);
    }
    out
}

fn write(value: &Value, choices: &mut Choices<'_>, out: &mut Vec<u8>) {
    match value {
        Value::Array(items) => {
            out.push(b'[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                write(item, choices, out);
            }
            out.push(b']');
        }
        Value::Object(fields) => {
            out.push(b'{');
            for (index, (name, field)) in fields.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                for again in 0..=usize::from(choices.once_in(32)) {
                    if again > 0 {
                        out.push(b',');
                    }
                    out.extend(Value::from(name.as_str()).to_string().bytes());
                    out.push(b':');
                    write(field, choices, out);
                }
            }
            out.push(b'}');
        }
        _ if choices.once_in(64) => {
            let deep = 1 + choices.below(400);
            let odd = ["1e999", "-0", "123456789012345678901234567890123456789012345", "\"\\ud800\""];
            match choices.below(5) {
                4 => out.extend(["[".repeat(deep), "]".repeat(deep)].concat().bytes()),
                which => out.extend(odd[which].bytes()),
            }
        }
        leaf => out.extend(leaf.to_string().bytes()),
    }
}

/// Damages bytes in one to three places: a flipped bit, another byte, a piece that is cut, doubled or added.
pub fn bytes(bytes: &mut Vec<u8>, choices: &mut Choices<'_>) {
    for _ in 0..=choices.below(3) {
        let place = choices.below(bytes.len());
        let end = (place + choices.below(64)).min(bytes.len());
        match choices.below(6) {
            0 if !bytes.is_empty() => bytes[place] ^= 1 << choices.below(8),
            1 if !bytes.is_empty() => bytes[place] = choices.byte(),
            2 => bytes.truncate(place),
            3 => drop(bytes.drain(place..end)),
            4 => {
                let piece = bytes[place..end].to_vec();
                bytes.splice(place..place, piece);
            }
            _ => bytes.insert(place, choices.byte()),
        }
    }
}
