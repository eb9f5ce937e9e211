//! Messages of DNS (RFC 1035): a question for SRV records, and what its answer says.

use simple_dns::rdata::RData;
use simple_dns::{CLASS, Name, Packet, PacketFlag, QCLASS, QTYPE, Question, RCODE, ResourceRecord, TYPE};

use crate::dns::{LookupError, Srv};

/// One question goes over each connection, so that the message needs no number of its own.
const ID: u16 = 0;
/// Aliases that are followed, one of the other. A bound on the work, and the end of a circle.
const MAX_ALIASES: usize = 16;

/// Whether a text is a name that can be asked for: at most 253 bytes, labels of 1 to 63 letters, digits, `-` and `_`. A
/// dot at its end says nothing: every name is taken as it is, no domain is put behind it.
pub fn is_dns_name(text: &str) -> bool {
    let name = text.strip_suffix('.').unwrap_or(text);
    name.len() <= 253 && name.split('.').all(|label| is_label(label.as_bytes()))
}

fn is_label(label: &[u8]) -> bool {
    let known = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    (1..=63).contains(&label.len()) && label.iter().all(known)
}

/// The question for the SRV records of a name, with its length before it, as TCP takes it (RFC 1035, 4.2.2).
pub(crate) fn question(name: &str) -> Result<Vec<u8>, LookupError> {
    let bad = || LookupError::BadName(name.to_owned());
    if !is_dns_name(name) {
        return Err(bad());
    }
    let mut packet = Packet::new_query(ID);
    packet.set_flags(PacketFlag::RECURSION_DESIRED);
    let asked = Name::new(name).map_err(|_| bad())?;
    packet.questions.push(Question::new(asked, TYPE::SRV.into(), CLASS::IN.into(), false));
    let message = packet.build_bytes_vec().map_err(|_| bad())?;
    let length = u16::try_from(message.len()).map_err(|_| bad())?;
    Ok([&length.to_be_bytes(), message.as_slice()].concat())
}

/// The SRV records of `name`, or of what it is an alias of, sorted and each once.
///
/// A name without records is an error, not an empty list: name servers that do not look further answer alike.
pub(crate) fn read(message: &[u8], name: &str) -> Result<Vec<Srv>, LookupError> {
    let packet = Packet::parse(message).map_err(|_| LookupError::NotDns)?;
    if packet.id() != ID || !packet.has_flags(PacketFlag::RESPONSE) {
        return Err(LookupError::NotDns);
    }
    match packet.rcode() {
        RCODE::NoError | RCODE::NameError => (),
        refused => return Err(LookupError::Refused(words(refused))),
    }
    let asked = Name::new(name).map_err(|_| LookupError::BadName(name.to_owned()))?;
    let [question] = packet.questions.as_slice() else { return Err(LookupError::NotDns) };
    let of_srv = question.qtype == QTYPE::TYPE(TYPE::SRV) && question.qclass == QCLASS::CLASS(CLASS::IN);
    if !of_srv || question.qname != asked {
        return Err(LookupError::NotDns);
    }
    if packet.has_flags(PacketFlag::TRUNCATION) {
        return Err(LookupError::Truncated);
    }
    if packet.rcode() == RCODE::NameError {
        return Err(LookupError::NoSuchName);
    }
    let owner = real_name(&packet, &asked)?;
    let mut found = Vec::new();
    let mut any = false;
    for record in packet.answers.iter().filter(|record| is_of(record, owner)) {
        let srv = match &record.rdata {
            RData::SRV(srv) => srv,
            // A record without its data. Without it the list would lack a target.
            RData::Empty(TYPE::SRV) => return Err(LookupError::Contradiction),
            _ => continue,
        };
        any = true;
        // The root as target: decidedly no such service (RFC 2782).
        if !srv.target.get_labels().is_empty() {
            found.push(Srv { target: host(&srv.target)?, port: srv.port });
        }
    }
    if !any {
        let flags = [PacketFlag::AUTHORITATIVE_ANSWER, PacketFlag::RECURSION_AVAILABLE];
        let knows = flags.into_iter().any(|flag| packet.has_flags(flag));
        return Err(if knows { LookupError::NoRecords } else { LookupError::NoRecursion });
    }
    found.sort_unstable();
    found.dedup();
    Ok(found)
}

fn is_of(record: &ResourceRecord<'_>, owner: &Name<'_>) -> bool {
    record.class == CLASS::IN && record.name == *owner
}

/// Where the aliases (CNAME) of the answer lead to from `asked`. A name has one alias, and nothing beside it (RFC 1034,
/// 3.6.2): of several records at one name none can be left out.
fn real_name<'a>(packet: &'a Packet<'_>, asked: &'a Name<'_>) -> Result<&'a Name<'a>, LookupError> {
    let mut owner = asked;
    for _ in 0..=MAX_ALIASES {
        let (mut next, mut beside) = (None, false);
        for record in packet.answers.iter().filter(|record| is_of(record, owner)) {
            match &record.rdata {
                RData::CNAME(alias) => match next.replace(&alias.0) {
                    Some(other) if *other != alias.0 => return Err(LookupError::Contradiction),
                    _ => (),
                },
                RData::Empty(TYPE::CNAME) => return Err(LookupError::Contradiction),
                RData::SRV(_) => beside = true,
                _ => (),
            }
        }
        match next {
            Some(_) if beside => return Err(LookupError::Contradiction),
            Some(next) => owner = next,
            None => return Ok(owner),
        }
    }
    Err(LookupError::TooManyAliases)
}

/// A target as the host of a URL. What is no such host would be read as something else there.
fn host(target: &Name<'_>) -> Result<String, LookupError> {
    let mut host = String::new();
    for label in target.as_bytes() {
        if !is_label(label) {
            return Err(LookupError::NoHost);
        }
        if !host.is_empty() {
            host.push('.');
        }
        host.extend(label.iter().map(|byte| char::from(byte.to_ascii_lowercase())));
    }
    Ok(host)
}

/// As name servers and their tools write it.
fn words(code: RCODE) -> &'static str {
    match code {
        RCODE::FormatError => "FORMERR",
        RCODE::ServerFailure => "SERVFAIL",
        RCODE::NotImplemented => "NOTIMP",
        RCODE::Refused => "REFUSED",
        _ => "an error",
    }
}

#[cfg(test)]
#[path = "dns_message_tests.rs"]
pub(crate) mod tests;
