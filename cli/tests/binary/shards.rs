//! Reading a stream whose shards end, refuse and never fall silent.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read};
use std::process::Child;
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use ::replicante::history::History;
use ::replicante::order::Seen;
use replicante_aws::Start;
use replicante_model::Timestamp;
use replicante_model::change::{Change, ClusterHeader};
use replicante_model::view::Health;
use serde_json::Value;

use crate::kinesis::{Fake, Shard, State};

/// How long anything may take that should not last.
const LONG: Duration = Duration::from_secs(60);

fn new() -> Change {
    let after = ClusterHeader { display_name: None, discovery: Some("fleet".into()) };
    Change::ClusterNew { after, nodes: BTreeMap::new() }
}

fn health(before: Option<Health>) -> Change {
    Change::ClusterHealthChanged { before, after: Some(Health::Healthy) }
}

fn changes(count: usize) -> Vec<Change> {
    vec![health(Some(Health::Healthy)); count]
}

fn numbers(seen: &[Seen]) -> BTreeMap<String, Vec<u64>> {
    let mut numbers: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    for seen in seen {
        numbers.entry(seen.record.id.clone()).or_default().push(seen.event.position().unwrap().1);
    }
    numbers
}

#[tokio::test]
async fn shards_that_end_are_read_to_their_end_and_then_their_children() {
    // One is split, its parts are split again or go on, and two of those are merged into one with two parents.
    let mut shards = [
        Shard::new("root", &[]),
        Shard::new("left", &["root"]),
        Shard::new("right", &["root"]),
        Shard::new("merged", &["left", "right"]),
    ];
    // All at one time: nothing but the shards says what comes first.
    let time = Timestamp::now().minus(Duration::from_secs(600));
    let clusters: Vec<String> = (0..6).map(|number| format!("c-{number}")).collect();
    for after in (0..8).step_by(2) {
        for (number, cluster) in clusters.iter().enumerate() {
            shards[0].put(cluster, after, time, &changes(2));
            // More of what is right, so that the left one is done long before.
            shards[1 + number % 2].put(cluster, 8 + after, time, &changes(2));
            shards[3].put(cluster, 16 + after, time, &changes(2));
        }
    }
    for after in 0..20 {
        shards[2].put("d", after, time, &changes(1));
    }
    for shard in &mut shards[..3] {
        shard.ended = true;
    }
    let fault = |shard, code| (shard, code);
    let faults = [
        fault("root", "ExpiredIteratorException"),
        // As often as the SDK tries it again: the next attempt is the reader's.
        fault("right", "ProvisionedThroughputExceededException"),
        fault("right", "ProvisionedThroughputExceededException"),
        fault("right", "ProvisionedThroughputExceededException"),
        fault("merged", "ExpiredIteratorException"),
    ];
    let state = State { shards: shards.to_vec(), page: 5, faults: faults.into(), ..State::default() };
    let fake = Fake::start(state);
    let mut history = History::open(&fake.stream(), Start::Oldest).await.unwrap().joining();
    history = history.pausing(Duration::from_millis(1));
    let mut seen = Vec::new();
    loop {
        let some = history.next().await.unwrap();
        if some.is_empty() {
            break;
        }
        seen.extend(some);
    }
    assert!(fake.state().faults.is_empty(), "{:?}", fake.state().faults);
    assert!(history.order.oddities().is_empty() && history.order.copies == 0);
    let read = numbers(&seen);
    assert_eq!(read["d"], (1..=20).collect::<Vec<u64>>());
    for cluster in &clusters {
        assert_eq!(read[cluster], (1..=24).collect::<Vec<u64>>(), "{cluster}");
    }
    let reads = std::mem::take(&mut fake.state().reads);
    let last = |id: &str| reads.iter().rposition(|read| read == id).unwrap();
    let first = |id: &str| reads.iter().position(|read| read == id).unwrap();
    assert!(last("root") < first("left").min(first("right")), "{reads:?}");
    assert!(last("left").max(last("right")) < first("merged"), "both parents come before it: {reads:?}");

    // The rest of the stream's life: what is closed is not asked again, and the last one is split as well.
    {
        let mut state = fake.state();
        let later = Timestamp::now();
        state.shards[3].put("d", 20, later, &changes(7));
        state.shards[3].ended = true;
        state.shards.push(Shard::new("last", &["merged"]));
        state.shards[4].put("d", 27, later, &changes(7));
    }
    let read = numbers(&history.rest().await.unwrap());
    assert_eq!(read, BTreeMap::from([("d".to_owned(), (21..=34).collect())]));
    assert!(history.rest().await.unwrap().is_empty());
    let reads = fake.state().reads.clone();
    assert!(reads.iter().all(|id| id == "merged" || id == "last"), "{reads:?}");
    assert!(history.order.oddities().is_empty() && history.order.copies == 0);
}

#[tokio::test]
async fn a_child_waits_for_what_its_parent_still_holds_at_the_end_of_a_pass() {
    let fake = Fake::start(State {
        shards: vec![Shard::new("busy", &[]), Shard::new("other", &[])],
        page: 2,
        ..State::default()
    });
    let mut history = History::open(&fake.stream(), Start::Oldest).await.unwrap().joining();
    {
        let mut state = fake.state();
        let later = Timestamp::now().plus(Duration::from_secs(30));
        // The first page ends the pass. What is behind it comes before what its child holds.
        state.shards[0].put("a", 0, later, &changes(2));
        state.shards[0].put("new", 0, later, &changes(1));
        state.shards[0].ended = true;
        state.shards.push(Shard::new("child", &["busy"]));
        state.shards[2].put("new", 1, later, &changes(1));
        // So the child is known before the pass is over.
        state.shards[1].put("b", 0, later, &changes(1));
        state.shards[1].ended = true;
        state.shards.push(Shard::new("another", &["other"]));
    }
    let mut seen = Vec::new();
    loop {
        let some = history.next().await.unwrap();
        if some.is_empty() {
            break;
        }
        seen.extend(some);
    }
    assert!(fake.state().reads.contains(&"another".to_owned()), "its children were not looked for");
    assert_eq!(numbers(&seen), BTreeMap::from([("a".into(), vec![1, 2]), ("b".into(), vec![1])]));
    let rest = history.rest().await.unwrap();
    assert_eq!(numbers(&rest), BTreeMap::from([("new".to_owned(), vec![1, 2])]));
    assert!(history.order.oddities().is_empty() && history.order.copies == 0);
}

/// The lines that a command writes, as they come.
fn lines(from: impl Read + Send + 'static) -> Receiver<String> {
    let (send, lines) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        BufReader::new(from).lines().map_while(Result::ok).try_for_each(|line| send.send(line))
    });
    lines
}

/// Waits for the end, but not for ever.
fn ended(child: &mut Child, what: &str) -> Option<i32> {
    let began = Instant::now();
    while began.elapsed() < LONG {
        if let Some(status) = child.try_wait().unwrap() {
            return status.code();
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    child.kill().unwrap();
    panic!("it does not end: {what}");
}

fn busy(ahead: i64) -> Fake {
    let mut shard = Shard::new("busy", &[]);
    let before =
        |minutes: u64| Timestamp(Timestamp::now().0 + ahead).minus(Duration::from_secs(60 * minutes));
    shard.put("orders", 0, before(120), &[new(), health(None)]);
    shard.put("orders", 2, before(90), &changes(29));
    shard.put("orders", 31, before(5), &changes(30));
    shard.busy = Some("busy");
    // A shard that nothing is written to beside it.
    let mut quiet = Shard::new("quiet", &[]);
    quiet.put("billing", 0, before(60), &[new()]);
    Fake::start(State { shards: vec![shard, quiet], page: 10, ahead, ..State::default() })
}

#[test]
fn reading_ends_on_a_stream_that_is_written_to_all_the_time() {
    // Also where its clock is not that of this machine: what arrived before is all there.
    for ahead in [0, 600_000, -600_000] {
        let fake = busy(ahead);
        let told = |args: &[&str]| {
            let mut child = fake.command(args).spawn().unwrap();
            let (out, errors) = (lines(child.stdout.take().unwrap()), lines(child.stderr.take().unwrap()));
            let code = ended(&mut child, &args.join(" "));
            let errors: Vec<String> = errors.iter().collect();
            assert_eq!((code, errors), (Some(0), Vec::new()), "{args:?}");
            out.iter().collect::<Vec<String>>()
        };
        let of = |name: &str, out: &[String]| out.iter().filter(|line| line.contains(name)).count();
        let out = told(&["events", "-o", "json"]);
        assert_eq!((of("default/orders/", &out), of("default/billing/", &out)), (61, 1), "ahead {ahead}");
        assert!(of("default/busy/", &out) > 0);
        if ahead == 0 {
            assert!(told(&["at", "orders", "--time", "now"])[0].starts_with("orders  healthy"));
            assert!(told(&["diff", "orders", "--from", "1h", "--to", "now"])[1].contains("no difference"));
        }
    }
}

#[test]
fn following_shows_events_as_they_are_read_where_the_stream_is_never_silent() {
    let fake = busy(0);
    fake.state().shards[0].busy = None;
    let mut follow = fake.command(&["events", "--follow", "-o", "json"]).spawn().unwrap();
    let out = lines(follow.stdout.take().unwrap());
    let mut last: BTreeMap<String, u64> = BTreeMap::new();
    let began = Instant::now();
    // Once it has caught up with what was stored, each look finds something new.
    while last.get("cluster/default/busy").is_none_or(|number| *number < 5) {
        if last.values().sum::<u64>() == 62 {
            fake.state().shards[0].busy = Some("busy");
        }
        let left = LONG.saturating_sub(began.elapsed());
        let line = out.recv_timeout(left).unwrap_or_else(|_| panic!("only {last:?} came"));
        let event: Value = serde_json::from_str(&line).unwrap();
        let record = event["id"].as_str().unwrap().rsplitn(3, '/').nth(2).unwrap().to_owned();
        let number: u64 = event["sequence"].as_str().unwrap().parse().unwrap();
        let before = last.insert(record.clone(), number).unwrap_or(0);
        assert_eq!(number, before + 1, "of {record}");
    }
    assert_eq!((last["cluster/default/orders"], last["cluster/default/billing"]), (61, 1));
    follow.kill().unwrap();
    follow.wait().unwrap();
}

#[test]
fn following_outlasts_what_passes_by_itself_and_ends_where_nothing_is_permitted() {
    let mut shard = Shard::new("only", &[]);
    shard.put("orders", 0, Timestamp::now(), &[new()]);
    let fake = Fake::start(State { shards: vec![shard], page: 10, ..State::default() });
    let mut follow = fake.command(&["events", "--follow", "-o", "json"]).spawn().unwrap();
    let (out, errors) = (lines(follow.stdout.take().unwrap()), lines(follow.stderr.take().unwrap()));
    out.recv_timeout(LONG).expect("what is stored");
    fake.state().refusal = Some("InternalFailureException");
    let note = errors.recv_timeout(LONG).expect("that it fails");
    assert!(note.starts_with("note: reading only of stream replicante failed: Internal"), "{note}");
    // It is said once, however long it lasts.
    let reads = fake.state().reads.len();
    let began = Instant::now();
    while fake.state().reads.len() < reads + 10 {
        assert!(began.elapsed() < LONG, "it no longer reads");
        std::thread::sleep(Duration::from_millis(20));
    }
    {
        let mut state = fake.state();
        state.refusal = None;
        state.shards[0].put("orders", 1, Timestamp::now(), &changes(1));
    }
    let event: Value = serde_json::from_str(&out.recv_timeout(LONG).expect("what came since")).unwrap();
    assert!(event["id"].as_str().unwrap().ends_with("/2"), "{event}");
    fake.state().refusal = Some("AccessDeniedException");
    assert_eq!(ended(&mut follow, "--follow without permission"), Some(1));
    let errors: Vec<String> = errors.iter().collect();
    assert!(errors.len() == 1 && errors[0].starts_with("error: reading only"), "{errors:?}");
}
