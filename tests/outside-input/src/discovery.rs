//! Answers of sources: what a source makes of them, through the way that its worker takes.
//!
//! Sources that speak HTTP ask a server of this process, which answers with given pages, the last one again and again.

use std::collections::BTreeSet;
use std::future::Future;
use std::mem::ManuallyDrop;
use std::sync::{Arc, Mutex};

use replicante_model::labels::{MAX_LABEL, MAX_LABEL_NAME, MAX_LABELS};
use replicante_model::name::check_id;
use replicante_model::observation::{MAX_REASON, MAX_TEXT};
use replicante_model::record::SourceAnswer;
use replicante_objects::SourceSpec;
use replicante_outbound::{AddressPolicy, Outbound};
use replicante_s3::Objects;
use replicante_sources::{MAX_NODE_ID, Outside, SourceError, normalise, open};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;

use crate::choices::Choices;
use crate::damage;
use crate::table::runtime;

/// The limits of each source: narrow, so that they are reached.
const PAGES: usize = 5;
const CLUSTERS: usize = 40;
const NODES: usize = 30;
const TOTAL_NODES: usize = 100;
const BYTES: usize = 64 * 1024;

/// A source, and the form of its answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// `http` with `POST`: pages.
    Pages,
    /// `http` with `GET`.
    Get,
    /// `platform`.
    Platform,
    /// `prometheus`.
    Prometheus,
    /// `file`, JSON.
    Json,
    /// `file`, YAML.
    Yaml,
}

/// All of them.
pub const FORMS: [Form; 6] =
    [Form::Pages, Form::Get, Form::Platform, Form::Prometheus, Form::Json, Form::Yaml];

impl Form {
    fn settings(self, rig: &Rig) -> SourceSpec {
        let limits = json!({
            "pages": PAGES, "bytes": BYTES, "total_bytes": 3 * BYTES, "clusters": CLUSTERS, "nodes": NODES,
            "total_nodes": TOTAL_NODES,
        });
        let (kind, mut settings) = match self {
            Form::Pages => ("http", json!({})),
            Form::Get => ("http", json!({ "method": "GET" })),
            Form::Platform => ("platform", json!({})),
            Form::Prometheus => ("prometheus", json!({ "cluster_label": "cluster" })),
            Form::Json => ("file", json!({ "path": rig.folder.path().join("clusters.json") })),
            Form::Yaml => ("file", json!({ "path": rig.folder.path().join("clusters.yaml") })),
        };
        settings["limits"] = limits;
        if kind != "file" {
            settings["url"] = json!(rig.url);
            settings["timeout"] = json!(10_000);
        }
        SourceSpec { kind: kind.into(), settings }
    }

    /// A record of this form.
    fn record(self, id: &str) -> Value {
        match self {
            Form::Prometheus => json!({
                "targets": ["agent-1:8000", "agent-2:8000"], "labels": { "cluster": id, "zone": "a" },
            }),
            _ => json!({
                "cluster_id": id, "display_name": "Orders", "nodes": [
                    {
                        "node_id": "n1", "agent_address": "http://agent-1:8000/", "node_class": "x", "node_group": null,
                        "labels": { "rack": "r1" },
                    },
                    "http://agent-2:8000",
                ],
            }),
        }
    }

    fn answer(self, records: &[Value]) -> Value {
        match self {
            Form::Prometheus => json!(records),
            _ => json!({ "cursor": null, "clusters": records }),
        }
    }
}

/// What came of a fetch, and how many requests it took.
struct Fetched {
    outcome: Result<SourceAnswer, SourceError>,
    asked: usize,
}

/// A server, a folder, and what sources reach them by.
struct Rig {
    /// Never dropped: at the end of a thread it can't be.
    runtime: ManuallyDrop<Runtime>,
    outside: Outside,
    script: Arc<Mutex<Script>>,
    url: String,
    folder: TempDir,
}

#[derive(Default)]
struct Script {
    pages: Vec<Vec<u8>>,
    asked: usize,
}

impl Rig {
    fn new() -> Self {
        let runtime = runtime();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let url = format!("http://{}/clusters", listener.local_addr().unwrap());
        let script = Arc::<Mutex<Script>>::default();
        runtime.spawn(listen(listener, Arc::clone(&script)));
        let outbound = Arc::new(Outbound::new(AddressPolicy::local()));
        let outside = Outside { outbound, objects: Objects::at("http://127.0.0.1:9") };
        Rig { runtime, outside, script, url, folder: TempDir::new().unwrap() }
    }

    fn fetch(&self, form: Form, pages: &[Vec<u8>]) -> Fetched {
        let spec = form.settings(self);
        if let Some(path) = spec.settings["path"].as_str() {
            std::fs::write(path, &pages[0]).unwrap();
        }
        *self.script.lock().unwrap() = Script { pages: pages.to_vec(), asked: 0 };
        let source = open(&spec).unwrap();
        let outcome = self.runtime.block_on(source.fetch(&self.outside));
        let asked = self.script.lock().unwrap().asked;
        if let Err(error) = &outcome {
            named(error, form, spec.settings["path"].as_str().unwrap_or(&self.url), asked);
        }
        Fetched { outcome, asked }
    }
}

async fn listen(listener: TcpListener, script: Arc<Mutex<Script>>) {
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(answer(stream, Arc::clone(&script)));
    }
}

/// Answers the requests of a connection until it ends.
#[expect(clippy::manual_async_fn, reason = "an async fn does not say that its future is Send")]
fn answer(mut stream: TcpStream, script: Arc<Mutex<Script>>) -> impl Future<Output = Option<()>> + Send {
    async move {
        let mut got = Vec::new();
        loop {
            let length = loop {
                if let Some(length) = whole(&got) {
                    break length;
                }
                if stream.read_buf(&mut got).await.ok()? == 0 {
                    return None;
                }
            };
            got.drain(..length);
            let page = {
                let mut script = script.lock().ok()?;
                script.asked += 1;
                script.pages.get(script.asked - 1).or(script.pages.last()).cloned()?
            };
            let head = format!(
                "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
                page.len()
            );
            stream.write_all(&[head.as_bytes(), &page].concat()).await.ok()?;
        }
    }
}

/// The length of the request that begins these bytes, once it is whole.
fn whole(got: &[u8]) -> Option<usize> {
    let head = got.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let text = String::from_utf8_lossy(&got[..head]).to_ascii_lowercase();
    let body = text.split("content-length:").nth(1).and_then(|rest| rest.lines().next());
    let length = head + body.and_then(|length| length.trim().parse().ok()).unwrap_or(0);
    (got.len() >= length).then_some(length)
}

fn with<T>(use_it: impl FnOnce(&Rig) -> T) -> T {
    thread_local!(static RIG: Rig = Rig::new());
    RIG.with(use_it)
}

/// An error names what was asked, and its reason is short and says nothing of it.
fn named(error: &SourceError, form: Form, place: &str, asked: usize) {
    let (text, reason) = (error.to_string(), error.reason());
    assert!(text.contains(place), "{text}");
    assert!(form != Form::Pages || text.contains(&format!("page {asked}")), "{text}");
    assert!(!reason.is_empty() && reason.chars().count() <= MAX_REASON, "{reason}");
    assert!(!reason.contains("127.0.0.1"), "{reason}");
}

/// What is taken in is within its limits, checked, in normal form and in order.
fn fits(answer: &SourceAnswer) {
    assert!(answer.clusters.len() <= CLUSTERS && answer.rejected.len() <= 2 * CLUSTERS);
    assert!(answer.clusters.values().map(|record| record.nodes.len()).sum::<usize>() <= TOTAL_NODES);
    for (id, record) in &answer.clusters {
        assert!(*id == record.cluster_id && check_id(id).is_ok(), "{id}");
        assert!(record.nodes.len() <= NODES);
        assert!(record.labels.keys().all(|node| record.nodes.contains_key(node)));
        assert!(record.display_name.as_ref().is_none_or(|name| (1..=MAX_TEXT).contains(&name.len())));
        for (node, address) in &record.nodes {
            assert!((1..=MAX_NODE_ID).contains(&node.len()), "{node}");
            assert_eq!(normalise(address).as_deref(), Ok(address.as_str()));
        }
    }
    for labels in answer.clusters.values().flat_map(|record| record.labels.values()) {
        assert!((1..=MAX_LABELS).contains(&labels.len()));
        for (name, value) in labels {
            assert!((1..=MAX_LABEL_NAME).contains(&name.chars().count()), "{name}");
            assert!((1..=MAX_LABEL).contains(&value.chars().count()), "{value}");
        }
    }
    assert!(answer.rejected.is_sorted_by(|one, next| one < next), "{:?}", answer.rejected);
    for rejected in &answer.rejected {
        assert!(!rejected.record.trim().is_empty() && rejected.record.chars().count() <= 160);
        assert!(!rejected.reason.is_empty() && rejected.reason.chars().count() <= MAX_REASON);
    }
    assert!(answer.repeated.is_sorted_by(|one, next| one < next));
    assert!(answer.repeated.iter().all(|id| answer.clusters.contains_key(id)));
}

/// Any answer of any source is an answer within its limits, or an error that names its source.
pub fn check(body: &[u8]) {
    FORMS.iter().for_each(|form| check_form(*form, body));
}

fn check_form(form: Form, body: &[u8]) {
    let fetched = with(|rig| rig.fetch(form, &[body.to_vec()]));
    assert!(fetched.asked <= PAGES);
    if let Ok(answer) = &fetched.outcome {
        fits(answer);
    }
}

/// An answer with something wrong in it, and as many records as the limits allow, or some more.
pub fn damaged(choices: &mut Choices<'_>) {
    let form = *choices.one_of(&FORMS);
    let count = if choices.once_in(8) { CLUSTERS - 2 + choices.below(4) } else { choices.below(6) };
    let records: Vec<Value> = (0..count).map(|number| form.record(&format!("c{number}"))).collect();
    let mut answer = form.answer(&records);
    if choices.once_in(16) && count > 0 {
        answer = form.answer(&vec![form.record("same"); CLUSTERS + choices.below(3)]);
    }
    damage::document(&mut answer, choices);
    check_form(form, &damage::text(&answer, choices));
}

/// One record that is wrong is set aside, or left as what it is by now: it takes no other with it. A file says the
/// same in JSON and in YAML.
pub fn one_bad_record(choices: &mut Choices<'_>) {
    let form = *choices.one_of(&FORMS);
    let good = ["good-1", "good-2", "good-3"].map(|id| form.record(id));
    let mut bad = form.record("bad");
    damage::document(&mut bad, choices);
    let mut records = good.to_vec();
    records.insert(choices.below(4), bad);
    let text = |records: &[Value]| form.answer(records).to_string().into_bytes();
    let fetch = |form, body: Vec<u8>| with(|rig| rig.fetch(form, &[body])).outcome.unwrap();
    let alone = fetch(form, text(&good));
    let beside = fetch(form, text(&records));
    fits(&beside);
    for (id, record) in &alone.clusters {
        assert_eq!(beside.clusters.get(id), Some(record), "beside {records:?}");
    }
    assert!(beside.clusters.len() + beside.rejected.len() >= 4, "nothing vanishes: {records:?}");
    match form {
        Form::Json => assert_eq!(fetch(Form::Yaml, text(&records)), beside),
        Form::Yaml => assert_eq!(fetch(Form::Json, text(&records)), beside),
        _ => {}
    }
}

/// Pages whose cursors end, come again or never end: all of them are read, or the run ends with the reason, after as
/// many requests as it takes and no more.
pub fn pages(choices: &mut Choices<'_>) {
    let cursor = |choices: &mut Choices<'_>| match choices.below(12) {
        0 => Value::Null,
        1 => json!(5),
        2 => json!("x".repeat(4_097)),
        3 => json!(""),
        number => json!(format!("c{number}")),
    };
    let given: Vec<Value> = (0..=choices.below(PAGES + 2)).map(|_| cursor(choices)).collect();
    let page = |(number, cursor): (usize, &Value)| {
        let records = [Form::Pages.record(&format!("p{number}"))];
        json!({ "clusters": records, "cursor": cursor }).to_string().into_bytes()
    };
    let bodies: Vec<Vec<u8>> = given.iter().enumerate().map(page).collect();
    let mut seen = BTreeSet::new();
    let mut asked = 0;
    let expected = loop {
        let cursor = given.get(asked).or(given.last()).unwrap();
        asked += 1;
        match cursor.as_str() {
            None if cursor.is_null() => break None,
            None => break Some("the cursor is a number"),
            Some(text) if text.len() > 4_096 => break Some("the cursor has more than"),
            Some(text) if !seen.insert(text) => break Some("given again"),
            Some(_) if asked == PAGES => break Some("the limit `pages`"),
            Some(_) => {}
        }
    };
    let fetched = with(|rig| rig.fetch(Form::Pages, &bodies));
    assert_eq!(fetched.asked, asked, "{given:?}");
    match (expected, fetched.outcome) {
        (None, Ok(answer)) => {
            let ids: BTreeSet<String> = (0..asked).map(|number| format!("p{number}")).collect();
            assert!(answer.clusters.keys().eq(&ids), "{given:?}: {answer:?}");
        }
        (Some(reason), Err(error)) => assert!(error.to_string().contains(reason), "{given:?}: {error}"),
        (expected, outcome) => panic!("{given:?}: {outcome:?} instead of {expected:?}"),
    }
}

/// One of these damages, as the first choice says.
pub fn some_damage(choices: &mut Choices<'_>) {
    match choices.below(2) {
        0 => damaged(choices),
        _ => one_bad_record(choices),
    }
}
