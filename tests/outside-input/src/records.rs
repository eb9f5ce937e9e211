//! Stored records as the table gives them: heads, chunks of states and outboxes, discovery items, objects.
//!
//! The real workers, and those who look, find a record with something wrong in it. What they say names the record;
//! what is published is what was committed.

use std::collections::BTreeMap;
use std::mem::ManuallyDrop;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use lambda_runtime::LambdaEvent;
use replicante_aws::{Table, head_size};
use replicante_discovery_worker::DiscoveryWorker;
use replicante_model::Timestamp;
use replicante_model::absence::RemovalRules;
use replicante_model::discovery::{ClusterSettings, DiscoveryState, Given, answered};
use replicante_model::event::Event;
use replicante_model::fold::fold;
use replicante_model::intent::Intents;
use replicante_model::name::{Kind, RecordName};
use replicante_model::record::{ClusterRecord, DiscoveredCluster, SourceAnswer};
use replicante_model::summary::Summary;
use replicante_model::view::{ClusterState, Snapshots};
use replicante_protocol::schedule::{Timing, plan};
use replicante_protocol::slot::{Outbox, encode_state};
use replicante_protocol::task::Task;
use replicante_refresh_worker::RefreshWorker;
use replicante_worker::TaskReport;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::bodies::compressed;
use crate::choices::Choices;
use crate::table::{Items, Shelf, b, context, n, runtime, s, settings};
use crate::{damage, known};

const NOW: Timestamp = Timestamp(1_767_319_445_000);
const FENCE: u64 = 7;
/// A record: some calls of a worker, whatever it holds.
const MOST_CALLS: usize = 60;

/// A record that is whole, and a neighbour.
struct Stored {
    kind: Kind,
    head: Value,
    state: Vec<u8>,
    outbox: Outbox,
    item: DiscoveredCluster,
}

impl Stored {
    /// A cluster that owes two events. It has no node to poll.
    fn cluster() -> Self {
        let snapshot = known::events().iter().find(|event| event["type"] == "io.replicante.cluster.snapshot");
        let event: Event = serde_json::from_value(snapshot.unwrap().clone()).unwrap();
        let mut state =
            ClusterState { view: fold(None, [&event.change]).unwrap(), ..ClusterState::default() };
        state.snapshots = Snapshots { commits: 3, last: NOW };
        let events: Vec<Vec<u8>> =
            known::events().iter().take(2).map(|event| event.to_string().into()).collect();
        let outbox = Outbox { events, first: 41, items: Vec::new() };
        Self::of(Kind::Cluster, encode_state(&state).unwrap(), outbox)
    }

    /// A discovery that owes an event. Its source is a file that does not exist.
    fn discovery() -> Self {
        let record = ClusterRecord { cluster_id: "orders".into(), ..ClusterRecord::default() };
        let clusters = BTreeMap::from([("orders".into(), record)]);
        let answer = SourceAnswer { clusters, ..SourceAnswer::default() };
        let (settings, owners, intents) = (ClusterSettings::default(), BTreeMap::new(), Intents::default());
        let (name, rules) = ("orders", RemovalRules::default());
        let given = Given { name, settings: &settings, rules, owners: &owners, intents: &intents, now: NOW };
        let run = answered(&DiscoveryState::default(), &answer, &given);
        let outbox =
            Outbox { events: vec![known::events()[0].to_string().into()], first: 42, items: Vec::new() };
        Self::of(Kind::Discovery, encode_state(&run.state).unwrap(), outbox)
    }

    fn of(kind: Kind, state: Vec<u8>, outbox: Outbox) -> Self {
        let body = json!({
            "slot": "A", "fence": FENCE, "s": 1, "e": 1, "sb": state.len(), "eb": outbox.encode().unwrap().len(), "f": 1,
        });
        let head = json!({
            "pk": s(&partition(kind, "orders")), "sk": s("default/orders"),
            "fence": n(9), "lease_until": n(0), "holder": s("h"), "epoch": n(1_767_319_445), "sequence": n(42),
            "owed": { "BOOL": true }, "published": n(40), "body": s(&body.to_string()),
            "summary": s(&Summary::default().to_json()), "due": n(1_767_319_445_000), "interval": n(60_000),
            "enabled": { "BOOL": true }, "queued_due": n(0), "queued_at": n(0), "done_due": n(0), "wanted": n(1),
        });
        let record = ClusterRecord { cluster_id: "orders".into(), ..ClusterRecord::default() };
        let item = DiscoveredCluster {
            record,
            discovery: "fleet".into(),
            refresh_interval: Duration::from_secs(60),
            ..DiscoveredCluster::default()
        };
        Stored { kind, head, state, outbox, item }
    }

    fn record(&self) -> RecordName {
        RecordName::new(self.kind, "default", "orders")
    }

    /// Its items, those of a neighbour's head included.
    fn items(&self, state: &[u8], outbox: &[u8], item: &[u8]) -> Items {
        let body = format!("body#{}#default/orders", self.kind);
        let chunk = |sk: &str, data: &[u8]| json!({ "pk": s(&body), "sk": s(sk), "fence": n(FENCE), "data": b(data) });
        let discovered = json!({
            "pk": s("body#cluster#default/orders"), "sk": s("discovery"), "owner": s("fleet"), "owner_fence": n(1), "item": b(item),
        });
        let source = json!({ "file": { "path": "/nonexistent/clusters.json" } });
        let object = json!({
            "kind": "Discovery", "metadata": { "namespace": "default", "name": "orders" }, "spec": { "source": source },
        });
        let object = json!({
            "pk": s("object#discovery"), "sk": s("default/orders"), "version": n(1), "object": s(&object.to_string()),
        });
        let mut neighbour = self.head.clone();
        neighbour["sk"] = s("default/neighbour");
        let all =
            [self.head.clone(), neighbour, chunk("A#s0", state), chunk("A#e0", outbox), discovered, object];
        let key = |item: &Value, name: &str| item[name]["S"].as_str().unwrap().to_owned();
        all.into_iter().map(|item| ((key(&item, "pk"), key(&item, "sk")), item)).collect()
    }
}

fn partition(kind: Kind, id: &str) -> String {
    format!("{kind}#{:02}", RecordName::new(kind, "default", id).spread_shard())
}

struct Rig {
    /// Never dropped: at the end of a thread it can't be.
    runtime: ManuallyDrop<Runtime>,
    shelf: Shelf,
    table: Table,
    refresh: RefreshWorker,
    discovery: DiscoveryWorker,
    reports: Arc<Mutex<Vec<TaskReport>>>,
    records: [Stored; 2],
}

impl Rig {
    fn new() -> Self {
        let shelf = Shelf::default();
        let (clients, settings) = (shelf.clients(), settings());
        let reports = Arc::<Mutex<Vec<TaskReport>>>::default();
        let told = Arc::clone(&reports);
        let observer = Arc::new(move |report: &TaskReport| told.lock().unwrap().push(report.clone()));
        Rig {
            runtime: runtime(),
            table: Table::new(&clients, &settings.table),
            refresh: RefreshWorker::new(&clients, &settings).observed(observer.clone()),
            discovery: DiscoveryWorker::new(&clients, &settings).observed(observer),
            shelf,
            reports,
            records: [Stored::cluster(), Stored::discovery()],
        }
    }

    /// Looks at the record as people and the scheduler do. Gives the state, where one is read.
    fn look<S: DeserializeOwned + Serialize>(&self, stored: &Stored) -> Option<Value> {
        let record = stored.record();
        let seen = match self.runtime.block_on(self.table.look::<S>(&record)) {
            Ok(seen) => seen.and_then(|(_, state)| state),
            Err(error) => {
                names(&error.to_string());
                None
            }
        };
        let shard = record.spread_shard();
        let heads = self.runtime.block_on(self.table.heads(record.kind, shard)).unwrap();
        assert_eq!(heads.heads.len() + heads.unreadable.len(), 2);
        assert!(heads.heads.iter().any(|head| head.record.id == "neighbour"), "the others are read");
        heads.unreadable.iter().for_each(|error| names(&error.to_string()));
        let timing = Timing { tick: Duration::from_secs(60), give_up: Duration::from_secs(900) };
        for head in &heads.heads {
            let _ = (
                plan(head, Timestamp::ZERO, NOW, timing),
                plan(head, NOW, Timestamp::ZERO, timing),
                plan(head, Timestamp(i64::MAX), NOW, timing),
                head_size(head),
            );
            let _ = Summary::parse(head.summary.as_deref());
        }
        seen.map(|state| serde_json::to_value(&state).unwrap())
    }

    /// Runs a task for the record. Gives what failed. Where the outbox is whole or refused, nothing but what was
    /// committed is published.
    fn work(&self, stored: &Stored, is_owed_whole: bool) -> Option<String> {
        self.reports.lock().unwrap().clear();
        let task = serde_json::to_string(&Task::manual(stored.record(), "test")).unwrap();
        let message = json!({ "messageId": "m", "body": task, "attributes": {}, "messageAttributes": {} });
        let event =
            LambdaEvent::new(serde_json::from_value(json!({ "Records": [message] })).unwrap(), context());
        let response = match stored.kind {
            Kind::Cluster => self.runtime.block_on(self.refresh.handle(event)),
            Kind::Discovery => self.runtime.block_on(self.discovery.handle(event)),
        };
        let (published, calls) = self.shelf.seen();
        assert!(calls <= MOST_CALLS, "{calls} calls");
        let reports = std::mem::take(&mut *self.reports.lock().unwrap());
        let failed = reports.iter().find_map(|report| report.error.clone());
        assert_eq!(response.batch_item_failures.is_empty(), reports[0].outcome.is_acknowledged());
        let known = published.iter().filter(|event| stored.outbox.events.contains(event)).count() as u64;
        let made: u64 = reports.iter().map(|report| report.events).sum();
        if is_owed_whole {
            assert!(
                published.len() as u64 <= known + made,
                "what was not committed is published: {reports:?}"
            );
        }
        if let Some(error) = &failed {
            names(error);
        }
        failed
    }
}

/// What is said of a record names it.
fn names(error: &str) {
    assert!(error.contains("default/orders"), "{error}");
}

fn with<T>(use_it: impl FnOnce(&Rig) -> T) -> T {
    thread_local!(static RIG: Rig = Rig::new());
    RIG.with(use_it)
}

fn look(rig: &Rig, stored: &Stored) -> Option<Value> {
    match stored.kind {
        Kind::Cluster => rig.look::<ClusterState>(stored),
        Kind::Discovery => rig.look::<DiscoveryState>(stored),
    }
}

fn json_of(encoded: &[u8]) -> Value {
    serde_json::from_slice(&zstd::stream::decode_all(encoded).unwrap()).unwrap()
}

/// Any bytes in place of a state, an outbox or a discovery item are read, or named with their record.
pub fn check(bytes: &[u8]) {
    with(|rig| {
        for stored in &rig.records {
            let (state, outbox) = (stored.state.clone(), stored.outbox.encode().unwrap());
            let item = encode_state(&stored.item).unwrap();
            for bytes in [bytes, &compressed(bytes)] {
                for (state, outbox) in [(bytes, &*outbox), (&state, bytes)] {
                    let mut items = stored.items(state, outbox, &item);
                    fit(&mut items, stored, state.len(), outbox.len());
                    rig.shelf.hold(items);
                    look(rig, stored);
                    rig.work(stored, false);
                }
                rig.shelf.hold(stored.items(&state, &outbox, bytes));
                if let Err(error) = rig.runtime.block_on(rig.table.discovery_item(&rig.records[0].record())) {
                    names(&error.to_string());
                }
            }
        }
    });
}

/// Lets the head name these sizes, so that what is wrong is found behind them.
fn fit(items: &mut Items, stored: &Stored, state: usize, outbox: usize) {
    let head = items.get_mut(&(partition(stored.kind, "orders"), "default/orders".into())).unwrap();
    let mut body: Value = serde_json::from_str(head["body"]["S"].as_str().unwrap()).unwrap();
    (body["sb"], body["eb"]) = (json!(state), json!(outbox));
    head["body"] = s(&body.to_string());
}

/// Encoded bodies of which bytes are damaged: a record that is not what it was is an error that names it, whether it
/// is looked at or worked on; and what was damaged is not published.
pub fn damaged_bytes(choices: &mut Choices<'_>) {
    with(|rig| {
        let stored = &rig.records[choices.below(2)];
        let good =
            [stored.state.clone(), stored.outbox.encode().unwrap(), encode_state(&stored.item).unwrap()];
        let mut bad = good.clone();
        let which = choices.below(3);
        damage::bytes(&mut bad[which], choices);
        let [state, outbox, item] = &bad;
        let mut items = stored.items(state, outbox, item);
        if choices.once_in(4) && !outbox.is_empty() {
            fit(&mut items, stored, state.len(), outbox.len());
        }
        rig.shelf.hold(items);
        let seen = look(rig, stored);
        assert!(seen.is_none_or(|seen| seen == json_of(&good[0])), "a damaged state is not another one");
        match rig.runtime.block_on(rig.table.discovery_item(&rig.records[0].record())) {
            Ok(item) => assert_eq!(item.as_ref(), Some(&stored.item)),
            Err(error) => names(&error.to_string()),
        }
        if which < 2 {
            let failed = rig.work(stored, true);
            let published = rig.shelf.seen().0;
            let delivered = published.starts_with(&stored.outbox.events);
            assert!(delivered || failed.is_some(), "what is owed is delivered, or the task fails");
            assert!(delivered || published.is_empty(), "{published:?}");
        }
    });
}

/// Documents within bodies with something wrong in them: read as far as they are what is expected, or named.
pub fn damaged_documents(choices: &mut Choices<'_>) {
    with(|rig| {
        let stored = &rig.records[choices.below(2)];
        let item = encode_state(&stored.item).unwrap();
        let mut state = json_of(&stored.state);
        damage::document(&mut state, choices);
        let state = compressed(&damage::text(&state, choices));
        let outbox = stored.outbox.encode().unwrap();
        let mut items = stored.items(&state, &outbox, &item);
        fit(&mut items, stored, state.len(), outbox.len());
        rig.shelf.hold(items);
        look(rig, stored);
        rig.work(stored, true);
    });
}

/// Heads and chunks whose attributes are of another type, another number, or not there.
pub fn damaged_items(choices: &mut Choices<'_>) {
    with(|rig| {
        let stored = &rig.records[choices.below(2)];
        let outbox = stored.outbox.encode().unwrap();
        let item = encode_state(&stored.item).unwrap();
        let mut items = stored.items(&stored.state, &outbox, &item);
        let body = format!("body#{}#default/orders", stored.kind);
        let head = (partition(stored.kind, "orders"), "default/orders".to_owned());
        for _ in 0..=choices.below(3) {
            let key = match choices.below(4) {
                0 => (body.clone(), "A#s0".to_owned()),
                1 => (body.clone(), "A#e0".to_owned()),
                _ => head.clone(),
            };
            let attributes = items.get_mut(&key).unwrap().as_object_mut().unwrap();
            let names: Vec<String> =
                attributes.keys().filter(|name| !["pk", "sk"].contains(&name.as_str())).cloned().collect();
            if names.is_empty() {
                continue;
            }
            let name = choices.one_of(&names);
            match attribute(choices) {
                Some(value) => drop(attributes.insert(name.clone(), value)),
                None => drop(attributes.remove(name)),
            }
            if choices.once_in(4) && key == head {
                let mut body =
                    json!({ "slot": "A", "fence": FENCE, "s": 1, "e": 1, "sb": 9, "eb": 9, "f": 1 });
                damage::document(&mut body, choices);
                attributes.insert("body".into(), s(&body.to_string()));
            }
        }
        rig.shelf.hold(items);
        look(rig, stored);
        rig.work(stored, true);
    });
}

/// An attribute of any type, or none.
fn attribute(choices: &mut Choices<'_>) -> Option<Value> {
    let numbers = [0, 1, 6, 8, 43, i64::MAX as u64, u64::MAX];
    Some(match choices.below(10) {
        0 => return None,
        1 => json!({ "NULL": true }),
        2 => json!({ "BOOL": false }),
        3 => s("seven"),
        4 => json!({ "L": [{ "S": "a" }] }),
        5 => json!({ "M": {} }),
        6 => json!({ "N": "-9223372036854775808" }),
        7 => json!({ "N": "1.5e120" }),
        8 => b(&[0xff, 0]),
        _ => n(*choices.one_of(&numbers)),
    })
}

/// One of these damages, as the first choice says.
pub fn some_damage(choices: &mut Choices<'_>) {
    match choices.below(3) {
        0 => damaged_bytes(choices),
        1 => damaged_documents(choices),
        _ => damaged_items(choices),
    }
}
