//! A Kinesis that does what the embedded one never does: its shards say that they are closed, iterators expire, reads are
//! refused, and a shard may be written to with every read.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::sync::{Arc, Mutex, MutexGuard};

use replicante_aws::{Clients, Endpoints, Stream};
use replicante_model::RecordName;
use replicante_model::Timestamp;
use replicante_model::change::Change;
use replicante_model::event::{Cause, Sealer};
use serde_json::{Value, json};

use crate::replicante;

/// The service, on a port of its own.
pub struct Fake {
    url: String,
    state: Arc<Mutex<State>>,
}

/// What it holds.
#[derive(Default)]
pub struct State {
    pub shards: Vec<Shard>,
    /// Records of a page.
    pub page: usize,
    /// Reads that are refused, the first ones first: of which shard, and with which code.
    pub faults: VecDeque<(&'static str, &'static str)>,
    /// What every read is refused with.
    pub refusal: Option<&'static str>,
    /// How far its clock is ahead, in milliseconds. It tells what time it is.
    pub ahead: i64,
    /// The shards that were read, one for each read.
    pub reads: Vec<String>,
}

/// A shard.
#[derive(Clone, Default)]
pub struct Shard {
    pub id: &'static str,
    pub parents: &'static [&'static str],
    /// Key, data, and when it arrived.
    pub records: Vec<(String, Vec<u8>, Timestamp)>,
    /// Whether it was split or merged.
    pub ended: bool,
    /// The cluster of which every read finds one event more.
    pub busy: Option<&'static str>,
}

impl Shard {
    pub fn new(id: &'static str, parents: &'static [&'static str]) -> Self {
        Shard { id, parents, ..Shard::default() }
    }

    /// Events of a cluster, from the one after this number on, that arrived at this time.
    pub fn put(&mut self, cluster: &str, after: u64, arrived: Timestamp, changes: &[Change]) {
        let record = RecordName::cluster("default", cluster);
        let sealer = Sealer {
            source: "/replicante/test",
            record: &record,
            epoch: 7,
            sequence: after,
            time: arrived,
            cause: Cause::Schedule,
            actor: None,
            maintenance: None,
        };
        let sealed = sealer.seal(changes, 10_000, 1 << 20).unwrap();
        self.records.extend(sealed.into_iter().map(|event| (record.key(), event.bytes, arrived)));
    }
}

impl Fake {
    pub fn start(state: State) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::new(Mutex::new(state));
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            for connection in listener.incoming().map_while(Result::ok) {
                let state = Arc::clone(&shared);
                // Whoever only looks whether somebody listens asks nothing.
                std::thread::spawn(move || answer(connection, &state));
            }
        });
        Fake { url, state }
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// The stream, as the commands have it.
    pub fn stream(&self) -> Stream {
        let url = || self.url.clone();
        Stream::new(&Clients::local(&Endpoints { dynamodb: url(), sqs: url(), kinesis: url() }), "s")
    }

    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = replicante(args);
        for service in ["DYNAMODB", "KINESIS", "SQS"] {
            command.env(format!("AWS_ENDPOINT_URL_{service}"), &self.url);
        }
        command
            .env("AWS_REGION", "us-east-1")
            .env("AWS_ACCESS_KEY_ID", "a")
            .env("AWS_SECRET_ACCESS_KEY", "s");
        command
    }
}

/// Answers the one request of a connection.
fn answer(mut connection: TcpStream, state: &Mutex<State>) -> Option<()> {
    let mut asked = Vec::new();
    let mut some = [0_u8; 4096];
    let end = loop {
        let count = connection.read(&mut some).ok().filter(|count| *count > 0)?;
        asked.extend_from_slice(&some[..count]);
        if let Some(at) = asked.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
            break at + 4;
        }
    };
    let head = String::from_utf8_lossy(&asked[..end]).to_lowercase();
    let header = |name: &str| {
        let line = head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.map(|value| value.trim().to_owned())
    };
    let length: usize = header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    while asked.len() < end + length {
        let count = connection.read(&mut some).ok().filter(|count| *count > 0)?;
        asked.extend_from_slice(&some[..count]);
    }
    let request: Value = serde_json::from_slice(&asked[end..]).unwrap_or_default();
    let operation = header("x-amz-target")?;
    let (date, answer) = {
        let mut state = state.lock().unwrap();
        let now = Timestamp(Timestamp::now().0 + state.ahead);
        (http_date(now), state.answer(operation.rsplit('.').next()?, &request, now))
    };
    let (status, body) = match answer {
        Ok(body) => ("200 OK", body),
        Err(code) if code.starts_with("Internal") => {
            ("500 Broken", json!({ "__type": code, "message": "m" }))
        }
        Err(code) => ("400 Bad Request", json!({ "__type": code, "message": "m" })),
    };
    let body = body.to_string();
    let head = format!(
        "HTTP/1.1 {status}\r\ndate: {date}\r\ncontent-type: application/x-amz-json-1.1\r\nconnection: close\r\n\
         content-length: {}\r\n\r\n",
        body.len()
    );
    connection.write_all(head.as_bytes()).ok()?;
    connection.write_all(body.as_bytes()).ok()
}

impl State {
    fn answer(&mut self, operation: &str, request: &Value, now: Timestamp) -> Result<Value, &'static str> {
        match operation {
            "listshards" => {
                Ok(json!({ "Shards": self.shards.iter().map(Shard::listed).collect::<Vec<_>>() }))
            }
            "getsharditerator" => {
                let shard = request["ShardId"].as_str().unwrap();
                let found = self.shards.iter().find(|known| known.id == shard).unwrap();
                let at = match request["ShardIteratorType"].as_str().unwrap() {
                    "TRIM_HORIZON" => 0,
                    "AFTER_SEQUENCE_NUMBER" => {
                        request["StartingSequenceNumber"].as_str().unwrap().parse().unwrap()
                    }
                    "AT_TIMESTAMP" => {
                        let from = Timestamp((request["Timestamp"].as_f64().unwrap() * 1000.0) as i64);
                        found.records.iter().take_while(|(_, _, arrived)| *arrived < from).count()
                    }
                    other => panic!("{other}"),
                };
                Ok(json!({ "ShardIterator": format!("{shard}|{at}") }))
            }
            "getrecords" => self.page(request["ShardIterator"].as_str().unwrap(), now),
            "describestreamsummary" => Err("AccessDeniedException"),
            other => panic!("{other}"),
        }
    }

    fn page(&mut self, iterator: &str, now: Timestamp) -> Result<Value, &'static str> {
        let (id, at) = iterator.split_once('|').unwrap();
        let from: usize = at.parse().unwrap();
        self.reads.push(id.to_owned());
        if let Some(code) = self.refusal {
            return Err(code);
        }
        if let Some((_, code)) = self.faults.pop_front_if(|(shard, _)| *shard == id) {
            return Err(code);
        }
        let shard = self.shards.iter_mut().find(|known| known.id == id).unwrap();
        if let Some(cluster) = shard.busy {
            let before = shard.records.iter().filter(|(key, _, _)| key.ends_with(cluster)).count() as u64;
            let change = Change::ClusterHealthChanged { before: None, after: None };
            shard.put(cluster, before, now, &[change]);
        }
        let end = (from + self.page).min(shard.records.len());
        let records: Vec<Value> = (from..end)
            .map(|index| {
                let (key, data, arrived) = &shard.records[index];
                json!({
                    "SequenceNumber": (index + 1).to_string(), "PartitionKey": key, "Data": base64(data),
                    "ApproximateArrivalTimestamp": arrived.0 as f64 / 1000.0,
                })
            })
            .collect();
        let is_all = end == shard.records.len();
        let next = (!(is_all && shard.ended)).then(|| format!("{id}|{end}"));
        let behind = if is_all { 0 } else { 1000 };
        Ok(json!({ "Records": records, "NextShardIterator": next, "MillisBehindLatest": behind }))
    }
}

impl Shard {
    fn listed(&self) -> Value {
        let mut listed =
            json!({ "ShardId": self.id, "SequenceNumberRange": { "StartingSequenceNumber": "0" } });
        for (name, parent) in ["ParentShardId", "AdjacentParentShardId"].into_iter().zip(self.parents) {
            listed[name] = json!(parent);
        }
        listed
    }
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let group = |some: &[u8]| {
        let bits = (0..3).fold(0, |bits, at| bits << 8 | u32::from(*some.get(at).unwrap_or(&0)));
        (0..4)
            .map(|at| match at <= some.len() {
                true => char::from(DIGITS[(bits >> (18 - 6 * at)) as usize & 63]),
                false => '=',
            })
            .collect::<String>()
    };
    bytes.chunks(3).map(group).collect()
}

/// `Fri, 02 Jan 2026 02:04:05 GMT`.
fn http_date(time: Timestamp) -> String {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let text = time.rfc3339();
    let month: usize = text[5..7].parse().unwrap();
    let day = DAYS[(time.0 / 86_400_000 % 7) as usize];
    format!("{day}, {} {} {} {} GMT", &text[8..10], MONTHS[month - 1], &text[..4], &text[11..19])
}
