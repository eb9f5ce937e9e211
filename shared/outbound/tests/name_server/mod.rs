//! A name server over TCP, and the messages of DNS (RFC 1035) byte by byte: what reads them has no part in it.

// Each crate that takes this in uses another part of it.
#![allow(dead_code)]

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

pub const CNAME: u16 = 5;
pub const SRV: u16 = 33;
/// A response to a query with recursion, NOERROR.
pub const RESPONSE: u16 = 0x8180;

/// A name as it goes over the wire, not compressed. Empty or `.` is the root.
pub fn wire_name(name: &str) -> Vec<u8> {
    let labels = name.split('.').filter(|label| !label.is_empty());
    let mut bytes: Vec<u8> =
        labels.flat_map(|label| [&[label.len() as u8], label.as_bytes()].concat()).collect();
    bytes.push(0);
    bytes
}

pub fn record(owner: &str, kind: u16, data: &[u8]) -> Vec<u8> {
    let head = [kind.to_be_bytes(), 1u16.to_be_bytes(), [0, 0], 30u16.to_be_bytes()].concat();
    [wire_name(owner), head, (data.len() as u16).to_be_bytes().to_vec(), data.to_vec()].concat()
}

pub fn srv(owner: &str, target: &str, port: u16) -> Vec<u8> {
    let numbers = [10u16.to_be_bytes(), 5u16.to_be_bytes(), port.to_be_bytes()].concat();
    record(owner, SRV, &[numbers, wire_name(target)].concat())
}

pub fn alias(owner: &str, of: &str) -> Vec<u8> {
    record(owner, CNAME, &wire_name(of))
}

/// The question for records of a name.
pub fn question(name: &str, kind: u16) -> Vec<u8> {
    [wire_name(name), kind.to_be_bytes().to_vec(), 1u16.to_be_bytes().to_vec()].concat()
}

/// A message with the number 0.
pub fn message(flags: u16, question: &[u8], answers: &[Vec<u8>]) -> Vec<u8> {
    let counts = [u16::from(!question.is_empty()), answers.len() as u16, 0, 0];
    let mut message = [[0, 0], flags.to_be_bytes()].concat();
    message.extend(counts.iter().flat_map(|count| count.to_be_bytes()));
    message.extend_from_slice(question);
    message.extend(answers.concat());
    message
}

/// A message with its length before it.
pub fn framed(message: &[u8]) -> Vec<u8> {
    [&(message.len() as u16).to_be_bytes(), message].concat()
}

/// What is said of a name.
#[derive(Clone)]
pub enum Reply {
    /// Targets with their ports.
    Targets(Vec<(String, u16)>),
    /// Another name, and the targets of that one.
    Alias(String, Vec<(String, u16)>),
    /// An error, by its number: 2 is SERVFAIL, 3 says that there is no such name, 5 is REFUSED.
    Error(u16),
    /// These bytes, whatever they are, and the end of the connection.
    Bytes(Vec<u8>),
    /// Nothing.
    Silence,
}

impl Reply {
    pub fn targets(targets: &[(&str, u16)]) -> Reply {
        Reply::Targets(owned(targets))
    }

    pub fn alias(of: &str, targets: &[(&str, u16)]) -> Reply {
        Reply::Alias(of.into(), owned(targets))
    }

    fn bytes(&self, name: &str) -> Vec<u8> {
        let records = |owner: &str, targets: &[(String, u16)]| {
            targets.iter().map(|(target, port)| srv(owner, target, *port)).collect::<Vec<_>>()
        };
        let (flags, answers) = match self {
            Reply::Targets(targets) => (RESPONSE, records(name, targets)),
            Reply::Alias(of, targets) => (RESPONSE, [vec![alias(name, of)], records(of, targets)].concat()),
            Reply::Error(code) => (RESPONSE | code, Vec::new()),
            Reply::Bytes(bytes) => return bytes.clone(),
            Reply::Silence => return Vec::new(),
        };
        framed(&message(flags, &question(name, SRV), &answers))
    }
}

fn owned(targets: &[(&str, u16)]) -> Vec<(String, u16)> {
    targets.iter().map(|(target, port)| ((*target).to_owned(), *port)).collect()
}

/// A name server of the names that it is told. Any other name does not exist.
#[derive(Clone)]
pub struct NameServer {
    pub address: SocketAddr,
    replies: Arc<Mutex<BTreeMap<String, Reply>>>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl NameServer {
    pub fn start(replies: &[(&str, Reply)]) -> NameServer {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let replies = replies.iter().map(|(name, reply)| ((*name).to_owned(), reply.clone()));
        let server = NameServer {
            address: listener.local_addr().unwrap(),
            replies: Arc::new(Mutex::new(replies.collect())),
            asked: Arc::default(),
        };
        let serving = server.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let serving = serving.clone();
                thread::spawn(move || serving.serve(stream));
            }
        });
        server
    }

    /// What is said of a name from now on.
    pub fn set(&self, name: &str, reply: Reply) {
        self.replies.lock().unwrap().insert(name.into(), reply);
    }

    /// The names that were asked for, one after the other.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }

    /// Answers one question.
    fn serve(&self, mut stream: TcpStream) -> Option<()> {
        let mut length = [0; 2];
        stream.read_exact(&mut length).ok()?;
        let mut query = vec![0; usize::from(u16::from_be_bytes(length))];
        stream.read_exact(&mut query).ok()?;
        let name = name_of(query.get(12..)?)?;
        self.asked.lock().unwrap().push(name.clone());
        let reply = self.replies.lock().unwrap().get(&name).cloned().unwrap_or(Reply::Error(3));
        stream.write_all(&reply.bytes(&name)).ok()?;
        if matches!(reply, Reply::Silence) {
            // Until whoever asked gives up.
            let _ = stream.read(&mut length);
        }
        Some(())
    }
}

/// The name at the beginning of a question.
fn name_of(mut question: &[u8]) -> Option<String> {
    let mut labels = Vec::new();
    loop {
        let (length, rest) = question.split_first()?;
        if *length == 0 {
            return Some(labels.join("."));
        }
        let (label, rest) = rest.split_at_checked(usize::from(*length))?;
        labels.push(String::from_utf8(label.to_vec()).ok()?);
        question = rest;
    }
}
