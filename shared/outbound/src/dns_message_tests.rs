use proptest::prelude::*;

use super::*;
use crate::name_server::{RESPONSE as OK, SRV, alias, message, question as asked, record, srv, wire_name};

pub(crate) const NAME: &str = "_agent._tcp.zk.test";

/// A record of the class CH, whose names are others.
fn of_chaos(mut record: Vec<u8>) -> Vec<u8> {
    record[wire_name(NAME).len() + 3] = 3;
    record
}

/// The answer to the question for [`NAME`].
pub(crate) fn answer(answers: &[Vec<u8>]) -> Vec<u8> {
    message(OK, &asked(NAME, SRV), answers)
}

fn found(message: &[u8]) -> Result<Vec<String>, LookupError> {
    let found = read(message, NAME)?;
    Ok(found.iter().map(|srv| format!("{}:{}", srv.target, srv.port)).collect())
}

#[test]
fn a_question_is_that_of_the_rfc_with_its_length_before_it() {
    let header = [0, 0, 0x01, 0x00, 0, 1, 0, 0, 0, 0, 0, 0];
    let message = [header.as_slice(), &asked(NAME, SRV)].concat();
    let expected = [&(message.len() as u16).to_be_bytes(), message.as_slice()].concat();
    assert_eq!(question(NAME).unwrap(), expected);
    assert_eq!(question(&format!("{NAME}.")).unwrap(), expected);
}

#[test]
fn what_is_no_name_is_not_asked_for() {
    let longest = ["x".repeat(63).as_str(); 4].join(".")[..253].to_owned();
    for name in ["a", NAME, "zk.test.", "A-1._tcp.b", &longest] {
        assert!(is_dns_name(name) && question(name).is_ok(), "{name}");
    }
    for name in [
        "",
        ".",
        "a..b",
        ".a",
        "a b",
        "a/b",
        "a:53",
        "ü.test",
        "a\\.b",
        &"x".repeat(64),
        &format!("{longest}x"),
    ] {
        assert!(!is_dns_name(name), "{name}");
        assert_eq!(question(name), Err(LookupError::BadName(name.into())));
    }
}

#[test]
fn targets_come_sorted_and_once_in_small_letters_and_without_records_of_others() {
    let answers = [
        srv(NAME, "B.zk.test", 8001),
        srv("_AGENT._tcp.ZK.test", "a.zk.test", 8000),
        srv(NAME, "b.zk.test", 8001),
        srv(NAME, "a.zk.test", 7999),
        srv("_other._tcp.zk.test", "c.zk.test", 1),
        record(NAME, 16, b"\x04text"),
        of_chaos(srv(NAME, "d.zk.test", 1)),
    ];
    assert_eq!(found(&answer(&answers)).unwrap(), ["a.zk.test:7999", "a.zk.test:8000", "b.zk.test:8001"]);
}

#[test]
fn a_name_that_is_compressed_is_read() {
    // The owner is the question's name, 12 bytes into the message; the target is `a` before its last two labels.
    let target = [&[1, b'a'][..], &[0xc0, 12 + 12]].concat();
    let data = [&[0, 0, 0, 0, 0x1f, 0x40][..], &target].concat();
    let plain = record("", SRV, &data);
    let compressed = [&[0xc0, 12][..], &plain[1..]].concat();
    assert_eq!(found(&answer(&[compressed])).unwrap(), ["a.zk.test:8000"]);
}

#[test]
fn aliases_are_followed_within_the_answer() {
    let [one, two] = ["_agent._tcp.one.test", "_agent._tcp.two.test"];
    let answers = [alias(one, two), srv(two, "a.test", 8000), alias(NAME, one)];
    assert_eq!(found(&answer(&answers)).unwrap(), ["a.test:8000"]);
    // Said twice it is the same.
    let answers = [alias(NAME, one), alias(NAME, one), srv(one, "a.test", 8000)];
    assert_eq!(found(&answer(&answers)).unwrap(), ["a.test:8000"]);
}

#[test]
fn aliases_end() {
    let step = |n: usize| if n == 0 { NAME.to_owned() } else { format!("n{n}.test") };
    let chain = |length: usize| {
        let mut answers: Vec<_> = (0..length).map(|n| alias(&step(n), &step(n + 1))).collect();
        answers.push(srv(&step(length), "a.test", 8000));
        found(&answer(&answers))
    };
    assert_eq!(chain(16).unwrap(), ["a.test:8000"]);
    assert_eq!(chain(17), Err(LookupError::TooManyAliases));
    for length in 0..3 {
        let circle: Vec<_> = (0..=length).map(|n| alias(&step(n), &step((n + 1) % (length + 1)))).collect();
        assert_eq!(found(&answer(&circle)), Err(LookupError::TooManyAliases));
    }
}

#[test]
fn the_root_as_target_is_a_service_that_is_not_there() {
    assert_eq!(found(&answer(&[srv(NAME, ".", 0)])).unwrap(), [""; 0]);
}

#[test]
fn what_is_no_whole_list_is_an_error() {
    let one = [srv(NAME, "a.test", 8000)];
    let question = asked(NAME, SRV);
    let with = |flags: u16| message(flags, &question, &one);
    let records_of_the_alias_elsewhere = answer(&[alias(NAME, "_agent._tcp.elsewhere.test")]);
    let beside = |record: Vec<u8>| answer(&[one[0].clone(), record]);
    let two_aliases = [alias(NAME, "b.test"), alias(NAME, "c.test"), srv("b.test", "a.test", 8000)];
    for (message, expected) in [
        (answer(&[]), LookupError::NoRecords),
        (records_of_the_alias_elsewhere, LookupError::NoRecords),
        (message(OK & !0x0080 | 0x0400, &question, &[]), LookupError::NoRecords),
        (message(OK & !0x0080, &question, &[]), LookupError::NoRecursion),
        (beside(record(NAME, SRV, &[])), LookupError::Contradiction),
        (beside(record(NAME, 5, &[])), LookupError::Contradiction),
        (beside(alias(NAME, "b.test")), LookupError::Contradiction),
        (answer(&two_aliases), LookupError::Contradiction),
        (with(OK | 0x0200), LookupError::Truncated),
        (with(OK | 3), LookupError::NoSuchName),
        (with(OK | 1), LookupError::Refused("FORMERR")),
        (with(OK | 2), LookupError::Refused("SERVFAIL")),
        (with(OK | 4), LookupError::Refused("NOTIMP")),
        (with(OK | 5), LookupError::Refused("REFUSED")),
        (with(OK | 9), LookupError::Refused("an error")),
        (message(OK | 5, &[], &[]), LookupError::Refused("REFUSED")),
        (with(OK & !0x8000), LookupError::NotDns),
        (message(OK, &[], &one), LookupError::NotDns),
        (message(OK, &asked("_agent._tcp.other.test", SRV), &one), LookupError::NotDns),
        (message(OK, &asked(NAME, 1), &one), LookupError::NotDns),
        ([&[0, 1], &answer(&one)[2..]].concat(), LookupError::NotDns),
        (answer(&[srv(NAME, "a.test", 8000), srv(NAME, "a/b.test", 8000)]), LookupError::NoHost),
        (b"HTTP/1.1 400 Bad Request".to_vec(), LookupError::NotDns),
        (Vec::new(), LookupError::NotDns),
    ] {
        assert_eq!(found(&message), Err(expected), "{message:?}");
    }
}

#[test]
fn an_answer_that_ends_early_is_never_a_list() {
    let whole = answer(&[srv(NAME, "a.test", 8000), srv(NAME, "b.test", 8000)]);
    for end in 0..whole.len() {
        assert!(found(&whole[..end]).is_err(), "{end} of {} bytes", whole.len());
    }
}

#[test]
fn pointers_in_a_circle_end() {
    let at_itself = [&[0xc0, 12 + 25][..], &record("", SRV, &[0; 7])[1..]].concat();
    assert_eq!(found(&answer(&[at_itself])), Err(LookupError::NotDns));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_048))]

    #[test]
    fn no_bytes_break_the_reader(
        bytes in prop::collection::vec(any::<u8>(), 0..200),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let _ = found(&bytes);
        let mut message = answer(&[alias(NAME, "a.test"), srv("a.test", "b.test", 8000)]);
        for (at, byte) in changes {
            let at = at.index(message.len());
            message[at] = byte;
        }
        for target in found(&message).unwrap_or_default() {
            let (host, _) = target.split_once(':').unwrap();
            prop_assert!(is_dns_name(host), "{}", host);
        }
    }
}
