//! `events`, `at` and `diff` on a stream that is written to, and split, while they read.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::time::{Duration, Instant};

use replicante_aws::{Buried, Stream, Table};
use replicante_local::{Local, LocalConfig};
use replicante_model::change::{Change, ClusterHeader};
use replicante_model::event::{Cause, Sealer};
use replicante_model::view::Health;
use replicante_model::{RecordName, Timestamp};
use replicante_protocol::head::Head;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::replicante;

/// A stream on the embedded services, with events of clusters that a test makes up.
pub struct Rig {
    pub runtime: Runtime,
    pub local: Local,
    stream: Stream,
    /// The next number of each cluster.
    next: BTreeMap<String, u64>,
}

impl Rig {
    pub fn start() -> Self {
        let runtime = Runtime::new().unwrap();
        let local = runtime.block_on(Local::start(&LocalConfig::default())).unwrap();
        let stream = Stream::new(&local.clients, &local.settings.stream);
        Rig { runtime, local, stream, next: BTreeMap::new() }
    }

    /// The next event of a cluster is the one after this number.
    pub fn begin(&mut self, cluster: &str, after: u64) {
        self.next.insert(cluster.to_owned(), after);
    }

    pub fn publish(&mut self, cluster: &str, time: Timestamp, changes: &[Change]) {
        let record = RecordName::cluster("default", cluster);
        let next = self.next.entry(cluster.to_owned()).or_default();
        let (source, epoch) = ("/replicante/test", 7);
        let sealer = Sealer {
            source,
            record: &record,
            epoch,
            sequence: *next,
            time,
            cause: Cause::Schedule,
            actor: None,
            maintenance: None,
        };
        let events: Vec<Vec<u8>> =
            sealer.seal(changes, 1_000, 1 << 20).unwrap().into_iter().map(|event| event.bytes).collect();
        *next += events.len() as u64;
        let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
        let (published, problem) =
            self.runtime.block_on(self.stream.publish(&record.key(), &events, deadline));
        assert_eq!(published, events.len(), "{problem:?}");
    }

    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = replicante(args);
        command.envs(&self.local.environment);
        command
    }

    pub fn run(&self, args: &[&str]) -> (Option<i32>, String, String) {
        let output = self.command(args).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    }

    /// One request to the stream's service. The embedded one looks at no signature.
    fn kinesis(&self, operation: &str, request: &Value) -> Value {
        let url = &self.local.environment["AWS_ENDPOINT_URL_KINESIS"];
        let host = url.strip_prefix("http://").unwrap().trim_end_matches('/');
        let mut connection = TcpStream::connect(host).unwrap();
        let body = request.to_string();
        let head = format!(
            "POST / HTTP/1.1\r\nhost: {host}\r\nx-amz-target: Kinesis_20131202.{operation}\r\n\
             content-type: application/x-amz-json-1.1\r\nauthorization: AWS4-HMAC-SHA256 Credential=a/20260101/us-east-1/kinesis/aws4_request, \
             SignedHeaders=host, Signature=0\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        connection.write_all(head.as_bytes()).unwrap();
        connection.write_all(body.as_bytes()).unwrap();
        let mut answer = String::new();
        connection.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        serde_json::from_str(answer.split("\r\n\r\n").nth(1).unwrap()).unwrap_or_default()
    }

    fn shards(&self) -> Vec<Value> {
        let listed = self.kinesis("ListShards", &json!({ "StreamName": self.local.settings.stream }));
        listed["Shards"].as_array().unwrap().clone()
    }

    /// Splits every open shard in the middle.
    fn split(&self) {
        let number = |shard: &Value, name: &str| -> u128 {
            shard["HashKeyRange"][name].as_str().unwrap().parse().unwrap()
        };
        for shard in self.shards() {
            if shard["SequenceNumberRange"]["EndingSequenceNumber"].is_string() {
                continue;
            }
            let (from, to) = (number(&shard, "StartingHashKey"), number(&shard, "EndingHashKey"));
            let request = json!({
                "StreamName": self.local.settings.stream, "ShardToSplit": shard["ShardId"],
                "NewStartingHashKey": (from + (to - from) / 2).to_string(),
            });
            self.kinesis("SplitShard", &request);
        }
    }
}

fn health(before: Health, after: Health) -> Change {
    Change::ClusterHealthChanged { before: Some(before), after: Some(after) }
}

fn new() -> Change {
    let after = ClusterHeader { display_name: None, discovery: Some("fleet".into()) };
    Change::ClusterNew { after, nodes: BTreeMap::new() }
}

/// Events of a burst, and between two of them: 5,000 events a second.
const BURST: usize = 500;
const PACE: Duration = Duration::from_millis(100);

#[test]
fn following_5000_events_a_second_loses_and_doubles_nothing_when_the_stream_is_split() {
    const CLUSTERS: usize = 10;
    const ROUNDS: usize = 80;
    let mut rig = Rig::start();
    let mut follow = rig.command(&["events", "--follow", "-o", "json"]).spawn().unwrap();
    let lines = BufReader::new(follow.stdout.take().unwrap()).lines();
    // Judged as it comes, beside what is published.
    let (send, seen) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let told = |line: String| {
            let event: Value = serde_json::from_str(&line).unwrap();
            let record = event["id"].as_str().unwrap().rsplitn(3, '/').nth(2).unwrap().to_owned();
            let number: u64 = event["sequence"].as_str().unwrap().parse().unwrap();
            send.send((record, number))
        };
        lines.map_while(Result::ok).try_for_each(told)
    });
    let names: Vec<String> = (0..CLUSTERS).map(|number| format!("c-{number}")).collect();
    for name in &names {
        rig.publish(name, Timestamp::now(), &[new()]);
    }
    let flips: Vec<Change> = [health(Health::Healthy, Health::Down), health(Health::Down, Health::Healthy)]
        .into_iter()
        .cycle()
        .take(BURST / CLUSTERS)
        .collect();
    let began = Instant::now();
    for round in 0..ROUNDS {
        // In the middle of it, and again: what was a child is a parent.
        if round == ROUNDS / 3 || round == ROUNDS / 2 {
            rig.split();
        }
        for name in &names {
            rig.publish(name, Timestamp::now(), &flips);
        }
        // A machine that is slower than this pace publishes as fast as it can.
        let next = PACE * (round as u32 + 1);
        std::thread::sleep(next.saturating_sub(began.elapsed()));
    }
    assert_eq!(rig.shards().len(), 2 + 4 + 8);
    let all = CLUSTERS * (ROUNDS * flips.len() + 1);
    let mut last: BTreeMap<String, u64> = BTreeMap::new();
    // It kept up: what is left is there soon.
    let published = Instant::now();
    for count in 0..all {
        let left = Duration::from_secs(30).saturating_sub(published.elapsed());
        let (record, number) =
            seen.recv_timeout(left).unwrap_or_else(|_| panic!("{count} of {all} events came"));
        let before = last.insert(record.clone(), number).unwrap_or(0);
        assert_eq!(number, before + 1, "of {record}");
    }
    follow.kill().unwrap();
    follow.wait().unwrap();
    assert_eq!(seen.try_recv().ok(), None);

    // Of one cluster: its own shards, through both splits.
    let (code, out, errors) = rig.run(&["events", "--cluster", "c-3", "-o", "json"]);
    assert_eq!((code, errors.as_str()), (Some(0), ""));
    assert_eq!(out.lines().count(), ROUNDS * flips.len() + 1);
}

#[test]
fn a_name_that_nothing_knows_is_refused_and_one_that_was_removed_is_not() {
    let mut rig = Rig::start();
    let table = Table::new(&rig.local.clients, &rig.local.settings.table);
    let record = |name: &str| RecordName::cluster("default", name);
    for name in ["orders", "gone"] {
        let head = Head::new(record(name), Duration::from_secs(60), true, Timestamp::now());
        assert!(rig.runtime.block_on(table.create_head(&head)).unwrap());
    }
    let head = rig.runtime.block_on(table.head(&record("gone"))).unwrap().unwrap();
    let buried = rig.runtime.block_on(table.bury(&head, head.wanted, Timestamp::now())).unwrap();
    assert_eq!(buried, Buried::Done);
    let told = |rig: &Rig, args: &[&str]| {
        let (code, out, errors) = rig.run(args);
        assert!(errors.lines().count() <= 1, "{errors}");
        (code, out, errors)
    };
    for known in ["orders", "gone"] {
        assert_eq!(told(&rig, &["events", "--cluster", known]), (Some(0), String::new(), String::new()));
    }
    for args in [&["events", "--cluster", "ordres"][..], &["events", "--cluster", "ordres", "--follow"]] {
        let (code, out, errors) = told(&rig, args);
        assert_eq!((code, out.as_str()), (Some(1), ""), "{errors}");
        assert!(
            errors.contains("there is no cluster `ordres` in namespace default; is it orders?"),
            "{errors}"
        );
    }
    let (code, _, errors) = told(&rig, &["events", "--discovery", "fleet"]);
    assert!(code == Some(1) && errors.contains("there is no discovery `fleet`"), "{errors}");
    // What the stream tells of is known, whatever is left of it, and whatever of it is asked for.
    rig.publish("late", Timestamp::now(), &[new()]);
    let (code, out, _) = told(&rig, &["events", "--cluster", "late", "--type", "agent.*"]);
    assert_eq!((code, out.as_str()), (Some(0), ""));
    let (code, out, _) = told(&rig, &["events", "--cluster", "late", "--type", "cluster.n*", "-o", "table"]);
    assert!(code == Some(0) && out.lines().count() == 1, "{out}");
    let (code, out, errors) = told(&rig, &["events", "--from", "1h", "--to", "2h"]);
    assert!(code == Some(1) && out.is_empty() && errors.contains("--from is later than --to"), "{errors}");
}

#[test]
fn what_the_stream_no_longer_holds_is_told_whoever_asks_for_it() {
    let mut rig = Rig::start();
    rig.begin("orders", 5);
    rig.publish("orders", Timestamp::now(), &[health(Health::Healthy, Health::Down)]);
    let note = |since: &[&str]| {
        let (code, out, errors) = rig.run(&[&["events"], since].concat());
        assert!(code == Some(0) && out.lines().count() == 1, "{out}{errors}");
        errors
    };
    let told = note(&[]);
    assert!(told.contains("the stream begins at event 6"), "{told}");
    assert_eq!(note(&["--since", "3000d"]), told);
    assert_eq!(note(&["--since", "1h"]), "");
}

#[test]
fn a_moment_of_the_past_is_what_was_known_then() {
    let mut rig = Rig::start();
    let at = |minutes: u64| Timestamp::now().minus(Duration::from_secs(60 * minutes));
    rig.publish(
        "orders",
        at(50),
        &[new(), Change::ClusterHealthChanged { before: None, after: Some(Health::Healthy) }],
    );
    rig.publish("orders", at(40), &[health(Health::Healthy, Health::Down)]);
    rig.publish("billing", at(40), &[new()]);
    rig.publish("orders", at(30), &[health(Health::Down, Health::Degraded)]);
    rig.publish("billing", at(20), &[Change::ClusterRemoved { missing_since: None, actor: None }]);

    let health_at = |time: &str| {
        let (code, out, errors) = rig.run(&["at", "orders", "--time", time, "-o", "json"]);
        assert_eq!(code, Some(0), "{errors}");
        serde_json::from_str::<Value>(&out).unwrap()["view"]["health"].as_str().unwrap().to_owned()
    };
    assert_eq!(["45m", "35m", "25m", "now"].map(health_at), ["healthy", "down", "degraded", "degraded"]);
    let (code, out, _) = rig.run(&["at", "orders", "--time", "35m"]);
    assert!(code == Some(0) && out.starts_with("orders  down  at 2"), "{out}");

    let (code, out, _) = rig.run(&["diff", "orders", "--from", "45m", "--to", "25m"]);
    assert!(
        code == Some(0) && out.contains("healthy -> degraded") && out.ends_with("1 difference\n"),
        "{out}"
    );
    let (code, out, _) = rig.run(&["diff", "orders", "--from", "45m", "--to", "44m", "-o", "json"]);
    let told: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &told["changes"]), (Some(0), &json!([])));
    let (code, out, _) = rig.run(&["diff", "billing", "--from", "30m"]);
    assert!(code == Some(0) && out.contains("\n  removed\n"), "{out}");

    let refused = |args: &[&str], words: &[&str]| {
        let (code, out, errors) = rig.run(args);
        assert!(code == Some(1) && out.is_empty(), "{args:?}: {out}{errors}");
        assert!(errors.starts_with("error: ") && errors.lines().count() == 1, "{errors}");
        words.iter().for_each(|word| assert!(errors.contains(word), "{errors}"));
    };
    refused(
        &["at", "billing", "--time", "10m"],
        &["cluster/default/billing was no more", "it had been removed at"],
    );
    refused(&["at", "nobody", "--time", "10m"], &["there is no cluster `nobody`"]);
    refused(&["at", "orders", "--time", "2999-01-01T00:00:00Z"], &["still to come"]);
    refused(&["diff", "orders", "--from", "1m", "--to", "2m"], &["--from is later than --to"]);

    let times = |args: &[&str]| {
        let (code, out, errors) = rig.run(args);
        assert_eq!(code, Some(0), "{errors}");
        out.lines().map(|line| line.split_whitespace().nth(1).unwrap().to_owned()).collect::<BTreeSet<_>>()
    };
    assert_eq!(times(&["events", "--from", "45m", "--to", "35m"]).len(), 2);
    assert_eq!(times(&["events", "--since", "25m"]), BTreeSet::from(["billing".to_owned()]));
    let (_, json, _) = rig.run(&["events", "-o", "json"]);
    let (code, cloudevents, _) = rig.run(&["events", "-o", "cloudevents"]);
    assert!(code == Some(0) && !json.is_empty() && json == cloudevents, "they are published as such");
    let (_, out, _) = rig.run(&["events", "--relative", "--cluster", "orders", "--limit", "1"]);
    assert!(out.trim_start().starts_with("30m ago  orders"), "{out}");
    let (code, _, errors) = rig.run(&["events", "--relative", "-o", "json"]);
    assert!(code == Some(2) && errors.contains("needs -o table"), "{errors}");
    let (code, _, errors) = rig.run(&["events", "--from", "2026-11-23T08:00:00"]);
    assert!(code == Some(2) && errors.contains("add Z for UTC"), "{errors}");
}
