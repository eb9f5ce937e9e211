//! Reasons: short, stable text for what failed.
//!
//! A reason is stored with the node, and a node whose reason changes has changed. So what differs between two
//! occurrences of the same failure is taken out: addresses and ports, times and spans, ids, stack traces.

use std::net::{IpAddr, SocketAddr};

use replicante_model::observation::{MAX_REASON, cut};
use serde::Deserialize;

use crate::liberal::{Malformed, Piece, read, read_object};

/// How much of a text is looked at, in bytes.
const LOOKED_AT: usize = 1024;

const ADDRESS: &str = "<address>";
const TIME: &str = "<time>";
const ID: &str = "<id>";
const NUMBER: &str = "<number>";

/// The fields of both protocols' errors. Version 1: `error` is text, `layers` are texts, outermost first.
/// Version 2: `error` is `true`.
#[derive(Deserialize)]
struct ErrorBody<'a> {
    #[serde(borrow, default)]
    error: Piece<'a>,
    #[serde(borrow, default)]
    layers: Piece<'a>,
    #[serde(borrow, default)]
    error_msg: Piece<'a>,
    #[serde(borrow, default)]
    error_cause: Piece<'a>,
}

/// The reason for an answer with a status other than 200: `HTTP 500: <what the agent says>`, or
/// `HTTP 404 from <endpoint>` where it says nothing that is fit to be stored.
pub fn of_answer(endpoint: &str, status: u16, body: &[u8]) -> String {
    let said = match read_object::<ErrorBody<'_>>(body) {
        Ok(error) => of_error(&error),
        Err(Malformed::Shape | Malformed::TooManyShards) => {
            read::<Piece<'_>>(body).map(|piece| stable(&piece.text())).unwrap_or_default()
        }
        Err(Malformed::NotJson) => plain(body),
    };
    let reason = match said.as_str() {
        "" => format!("HTTP {status} from {endpoint}"),
        said => format!("HTTP {status}: {said}"),
    };
    bounded(reason)
}

/// Cuts a reason to [`MAX_REASON`].
pub fn bounded(mut reason: String) -> String {
    let length = cut(&reason, MAX_REASON).len();
    reason.truncate(length);
    reason
}

fn of_error(error: &ErrorBody<'_>) -> String {
    if let Some(message) = error.error_msg.some_text() {
        let cause = stable(kind_of_cause(&error.error_cause.text()));
        let message = stable(&message);
        return if cause.is_empty() { message } else { format!("{message} ({cause})") };
    }
    // The innermost layer may differ from one attempt to the next, the outermost says what was tried.
    let outermost = match &error.layers {
        Piece::List(Some(first)) => first.some_text(),
        _ => None,
    };
    stable(&outermost.unwrap_or_else(|| error.error.text()))
}

/// The part of version 2's `error_cause` that stays the same: two steps of the cause at most, and nothing from
/// where details begin. As recorded: `Server selection timeout: No available servers`, without the topology
/// that follows and holds addresses; `Command failed: Error code 94 (NotYetInitialized)`.
fn kind_of_cause(cause: &str) -> &str {
    let cause = cause.strip_prefix("Kind: ").unwrap_or(cause);
    let details = [". ", ", labels", "{"].iter().filter_map(|mark| cause.find(mark)).min();
    let cause = &cause[..details.unwrap_or(cause.len())];
    let second = cause.match_indices(": ").nth(1).map_or(cause.len(), |(place, _)| place);
    cause[..second].trim_end()
}

/// The first line of a plain text; empty for mark-up and for bytes that are no text.
fn plain(body: &[u8]) -> String {
    let start = &body[..body.len().min(LOOKED_AT)];
    let text = match std::str::from_utf8(start) {
        Ok(text) => text,
        // Cut in the middle of a character, or no text at all.
        Err(error) if body.len() > LOOKED_AT && error.error_len().is_none() => {
            std::str::from_utf8(&start[..error.valid_up_to()]).unwrap_or_default()
        }
        Err(_) => return String::new(),
    };
    let line = text.trim_start().lines().next().unwrap_or_default();
    if line.starts_with(['<', '{', '[']) { String::new() } else { stable(line) }
}

/// The first line of a text without addresses, times and ids; spaces made single.
///
/// Addresses are IP addresses, `host:port` and URLs; a bare host name is not told from a word, and stays.
pub fn stable(text: &str) -> String {
    let line = cut(text, LOOKED_AT).trim_start().lines().next().unwrap_or_default();
    let words: Vec<&str> =
        line.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty()).collect();
    let mut out = String::with_capacity(line.len());
    let mut skip = false;
    let mut is_code = false;
    for (place, word) in words.iter().enumerate() {
        if std::mem::take(&mut skip) {
            continue;
        }
        if !out.is_empty() {
            out.push(' ');
        }
        let (before, core, after) = peel(word);
        let unit = words.get(place + 1).map(|next| peel(next));
        // The number of a code says what failed, every other number may be a counter.
        let was_code = std::mem::replace(&mut is_code, names_code(core));
        match unit {
            Some((_, unit, end)) if after.is_empty() && is_decimal(core) && is_unit(unit) => {
                out.extend([before, TIME, end]);
                skip = true;
            }
            _ => match core.split_once('=') {
                Some((name, value)) => {
                    out.extend([before, name, "=", replaced(value, names_code(name)), after])
                }
                None => out.extend([before, replaced(core, was_code), after]),
            },
        }
    }
    out
}

/// A word without the punctuation around it.
fn peel(word: &str) -> (&str, &str, &str) {
    let punctuation = |c: char| "()<>{}\"'`,;!?".contains(c);
    let from_start = word.trim_start_matches(punctuation);
    let core = from_start.trim_end_matches(|c: char| punctuation(c) || c == '.' || c == ':');
    // `::` is an address of its own kind, and a unit of nothing.
    let core = if core.is_empty() { from_start } else { core };
    let before = &word[..word.len() - from_start.len()];
    (before, core, &from_start[core.len()..])
}

/// Whether a number that follows the word is that of a code: `Error code 94`, `os error 111`, `status=503`.
fn names_code(word: &str) -> bool {
    const NAMES: [&str; 6] = ["code", "error", "errno", "status", "http", "version"];
    let word = word.trim_end_matches(':').to_ascii_lowercase();
    NAMES.iter().any(|name| word.ends_with(name))
}

/// A whole number, also `#17`, `17%` and `3/5`.
fn is_number(core: &str) -> bool {
    core.bytes().any(|byte| byte.is_ascii_digit())
        && core.bytes().all(|byte| byte.is_ascii_digit() || b"#%/+-,".contains(&byte))
}

/// The word itself, or what stands for its kind.
fn replaced(core: &str, is_code: bool) -> &str {
    // Java writes `host/10.0.0.1:2181`.
    if core.contains("://") || core.split('/').any(is_address) {
        ADDRESS
    } else if is_id(core) {
        ID
    } else if is_time(core) {
        TIME
    } else if !is_code && is_number(core) {
        NUMBER
    } else {
        core
    }
}

fn is_address(core: &str) -> bool {
    let bare = core.trim_start_matches('[').trim_end_matches(']');
    if core.parse::<SocketAddr>().is_ok() || bare.parse::<IpAddr>().is_ok() {
        return true;
    }
    let Some((host, port)) = bare.rsplit_once(':') else { return false };
    !port.is_empty()
        && port.len() <= 5
        && port.bytes().all(|byte| byte.is_ascii_digit())
        && host.bytes().any(|byte| byte.is_ascii_alphabetic())
        && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte))
}

/// A date, a time of day, or a span like `503.4ms`.
fn is_time(core: &str) -> bool {
    let digits = core.bytes().filter(u8::is_ascii_digit).count();
    let count = |mark: u8| core.bytes().filter(|byte| *byte == mark).count();
    if digits >= 2
        && core.bytes().all(|byte| byte.is_ascii_digit() || b":-+.,TZ/".contains(&byte))
        && (count(b':') >= 1 || count(b'-') == 2 || count(b'/') == 2)
    {
        return true;
    }
    let unit = core.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
    unit.len() < core.len() && is_decimal(&core[..core.len() - unit.len()]) && is_unit(unit)
}

fn is_decimal(core: &str) -> bool {
    core.starts_with(|c: char| c.is_ascii_digit())
        && core.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
}

fn is_unit(word: &str) -> bool {
    const UNITS: [&str; 22] = [
        "ns",
        "us",
        "µs",
        "ms",
        "s",
        "m",
        "h",
        "d",
        "sec",
        "secs",
        "second",
        "seconds",
        "min",
        "mins",
        "minute",
        "minutes",
        "hour",
        "hours",
        "millis",
        "milliseconds",
        "microseconds",
        "nanoseconds",
    ];
    UNITS.contains(&word)
}

/// A long number, a UUID, or a hexadecimal word: of eight digits, or four after `0x`.
fn is_id(core: &str) -> bool {
    let bare = core.strip_prefix("0x").unwrap_or(core);
    let least = if core.len() > bare.len() { 4 } else { 8 };
    if bare.len() >= least && bare.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return true;
    }
    // Shorter ones with dashes may be words or dates.
    bare.len() >= 16
        && bare.bytes().any(|byte| byte.is_ascii_digit())
        && bare.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recorded;

    fn reasons(api: &str, request: &str, scenario: &str) -> Vec<String> {
        let all = recorded::answers(api, request).into_iter();
        all.filter(|answer| answer.scenario == scenario && answer.status.is_some_and(|status| status >= 400))
            .map(|answer| of_answer(request, answer.status.unwrap(), &answer.body))
            .collect()
    }

    #[test]
    fn recorded_failures_of_version_1_give_what_was_tried() {
        for (scenario, count) in [("no-quorum", 4), ("one-node-killed", 2), ("default-4lw-whitelist", 2)] {
            let found = reasons("v1", "info-datastore", scenario);
            assert_eq!(found, vec!["HTTP 500: datastore operation 'conf' failed"; count], "{scenario}");
        }
        let found = reasons("v1", "shards", "no-quorum");
        assert_eq!(found, ["HTTP 500: datastore operation 'srvr' failed"; 2]);
        let layers = of_answer("shards", 500, br#"{"error":true,"layers":["outermost","innermost"]}"#);
        assert_eq!(layers, "HTTP 500: outermost");
    }

    #[test]
    fn recorded_failures_of_version_2_give_the_same_reason_whatever_the_driver_saw_last() {
        // Three causes: `Connection refused`, `unexpected end of file` and `timed out`, at two addresses.
        let mut found = Vec::new();
        for request in ["info-store", "info-shards"] {
            for scenario in ["store-down", "store-hung"] {
                found.extend(reasons("v2", request, scenario));
            }
        }
        let expected = "HTTP 500: get replica set status command failed (Server selection timeout: No available servers)";
        assert_eq!(found, [expected; 4]);
        let found = reasons("v2", "info-store", "not-initialised");
        let expected = "HTTP 500: get replica set status command failed (Command failed: Error code 94 (NotYetInitialized))";
        assert_eq!(found, [expected]);
    }

    #[test]
    fn no_recorded_failure_leaves_a_trace_an_address_or_a_long_reason() {
        for api in ["v1", "v2"] {
            for request in [
                "info-agent",
                "info-datastore",
                "shards",
                "info-node",
                "info-store",
                "info-shards",
                "queue",
                "not-found",
            ] {
                for answer in recorded::answers(api, request) {
                    let reason = of_answer(request, answer.status.unwrap_or(500), &answer.body);
                    assert!(reason.len() <= MAX_REASON, "{reason}");
                    for never in ["127.0.0.1", "unknown>", "start_thread", "Topology", "\n"] {
                        assert!(!reason.contains(never), "{reason}");
                    }
                }
            }
        }
    }

    #[test]
    fn an_answer_that_says_nothing_leaves_its_status_and_place() {
        for body in [
            "",
            "{}",
            "[]",
            "null",
            "<html><h1>Bad Gateway</h1>",
            "{\"broken",
            "\u{0}\u{1}",
            r#"{"error":{"a":1}}"#,
        ] {
            assert_eq!(of_answer("shards", 502, body.as_bytes()), "HTTP 502 from shards", "{body}");
        }
        assert_eq!(of_answer("shards", 503, br#""too busy""#), "HTTP 503: too busy");
        assert_eq!(of_answer("shards", 502, &[0xff, 0xfe, b'x']), "HTTP 502 from shards");
    }

    #[test]
    fn plain_text_counts_with_its_first_line() {
        let body = b"\n  upstream 10.1.2.3:9000 timed out after 503 ms\n   at frame 1\n";
        assert_eq!(of_answer("shards", 500, body), "HTTP 500: upstream <address> timed out after <time>");
        assert_eq!(of_answer("shards", 500, &"é".repeat(4000).into_bytes()).len(), MAX_REASON);
    }

    #[test]
    fn addresses_times_and_ids_are_taken_out() {
        for (text, expected) in [
            ("connect to 127.0.0.1:27102 failed", "connect to <address> failed"),
            ("connect to (10.0.0.1), port", "connect to (<address>), port"),
            ("connect to [::1]:8000: refused", "connect to <address>: refused"),
            ("from fe80::1 and [2001:db8::1]", "from <address> and <address>"),
            ("no route to mongo-1.internal:27017.", "no route to <address>."),
            ("localhost/127.0.0.1:2181 closed", "<address> closed"),
            ("see http://10.0.0.1/x for more", "see <address> for more"),
            ("addr=10.0.0.1:80, state=DOWN", "addr=<address>, state=DOWN"),
            ("at 2026-11-23T03:55:39Z it failed", "at <time> it failed"),
            ("at 2026-11-23 03:55:39.123 it failed", "at <time> <time> it failed"),
            ("after 503.4ms, or 5s", "after <time>, or <time>"),
            ("after 12 seconds.", "after <time>."),
            ("epoch 1795407995000", "epoch <id>"),
            ("id 0b9f2c3e-1111-4222-8333-444455556666", "id <id>"),
            ("pointer 0x7f3a4b5c", "pointer <id>"),
            ("request 1a2b3c4d of deadbeef failed", "request <id> of <id> failed"),
            ("attempt 17 of 20 failed, 3/5 left", "attempt <number> of <number> failed, <number> left"),
            ("retries=4, (#12) at 97%", "retries=<number>, (<number>) at <number>"),
            ("status=503, code: 1234567", "status=503, code: 1234567"),
            ("HTTP 503", "HTTP 503"),
            ("Connection refused (os error 111)", "Connection refused (os error 111)"),
            ("Error code 94 (NotYetInitialized): x", "Error code 94 (NotYetInitialized): x"),
            ("version 3.8.0 of 5.0.15-rc1", "version 3.8.0 of 5.0.15-rc1"),
            ("two  spaces\tand\ttabs", "two spaces and tabs"),
            ("first line\nsecond", "first line"),
        ] {
            assert_eq!(stable(text), expected, "{text}");
        }
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig::with_cases(2_048))]

        #[test]
        fn no_body_makes_a_reason_panic_or_grow(status: u16, body: Vec<u8>, text in "\\PC{0,300}") {
            proptest::prop_assert!(of_answer("shards", status, &body).len() <= MAX_REASON);
            proptest::prop_assert!(of_answer("shards", status, text.as_bytes()).len() <= MAX_REASON);
            let json = serde_json::json!({"error": true, "error_msg": text, "error_cause": text}).to_string();
            proptest::prop_assert!(of_answer("shards", status, json.as_bytes()).len() <= MAX_REASON);
        }

        #[test]
        fn two_ids_and_two_counters_give_one_reason(a: u32, b: u32, wide: u64, count: u16) {
            let text = |id: u32, wide: u64, count: u16| stable(&format!("op {id:08x} ({wide:012x}) failed, attempt {count}"));
            proptest::prop_assert_eq!(text(a, wide, count), text(b, 0xa000_0000_0000, 1));
        }

        #[test]
        fn two_addresses_and_two_times_give_one_reason(a: [u8; 4], b: [u8; 4], port in 1u16.., millis: u32) {
            let text = |address: [u8; 4], port: u16, millis: u32| {
                let address = std::net::Ipv4Addr::from(address);
                stable(&format!("no answer from {address}:{port} ({address}) after {millis}ms"))
            };
            proptest::prop_assert_eq!(text(a, port, millis), text(b, 1, 0));
        }
    }
}
