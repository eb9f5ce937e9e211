//! The envelope (events.md): names, ids, times and causes, as published.

use std::time::Duration;

use replicante_model::change::Change;
use replicante_model::event::{Cause, Event, MAX_EVENT, Sealer};
use replicante_model::observation::Role;
use replicante_model::view::NodeStatus;
use replicante_model::{RecordName, Timestamp};

use crate::given::{NOW, agent_down, heard, item, up};
use crate::history::{EPOCH, History};

fn sealer(record: &RecordName) -> Sealer<'_> {
    Sealer {
        source: "/replicante/prod",
        record,
        epoch: EPOCH,
        sequence: 41,
        time: NOW,
        cause: Cause::Schedule,
        actor: None,
        maintenance: None,
    }
}

fn seal(record: &RecordName, change: &Change) -> Event {
    let sealed = sealer(record).seal([change], 1, MAX_EVENT).unwrap();
    replicante_event_schemas::validate(&sealed[0].bytes).unwrap();
    let event: Event = serde_json::from_slice(&sealed[0].bytes).unwrap();
    assert_eq!(serde_json::to_vec(&event).unwrap(), sealed[0].bytes, "an event reads back as it was");
    assert_eq!(event.record().unwrap(), *record);
    event
}

fn down(node: &str) -> Change {
    let (before, after) = (NodeStatus::Up, NodeStatus::AgentDown { reason: "connect timeout".into() });
    Change::AgentDown { node: node.into(), before, after }
}

#[test]
fn an_event_is_named_after_record_epoch_and_sequence_and_its_subject_after_what_it_is_about() {
    let record = RecordName::cluster("default", "orders");
    let event = seal(&record, &down("mongo-2.example.com:27017"));
    assert_eq!(event.id, "cluster/default/orders/1767319445/42");
    assert_eq!(event.subject, "cluster/default/orders/mongo-2.example.com:27017");
    assert_eq!(event.sequence, "00000000000000000042");
    assert_eq!(event.epoch, "1767319445");
    assert_eq!(event.time, "2026-01-02T02:04:05.678Z");
    assert_eq!(event.dataschema, "urn:replicante:schema:agent.down:1");
    assert_eq!(event.position(), Some((EPOCH, 42)));
    let shard = Change::ShardRemoved {
        node: "n 1".into(),
        shard: "a/b".into(),
        before: replicante_model::change::RoleOf { role: Role::Primary },
    };
    assert_eq!(seal(&record, &shard).subject, "cluster/default/orders/n%201/a%2Fb");
    assert_eq!(seal(&record, &Change::ClusterMissing { since: Some(NOW) }).subject, "cluster/default/orders");
}

#[test]
fn parts_of_a_name_are_percent_encoded_so_that_only_slashes_divide_them() {
    let record = RecordName::cluster("default", "ä b/c%");
    let event = seal(&record, &down("http://n1:80"));
    assert_eq!(event.id, "cluster/default/%C3%A4%20b%2Fc%25/1767319445/42");
    assert_eq!(event.subject, "cluster/default/%C3%A4%20b%2Fc%25/http:%2F%2Fn1:80");
    let discovery = RecordName::discovery("default", "fleet");
    let event = seal(&discovery, &Change::DiscoveryFailed { reason: "timeout".into() });
    assert_eq!(event.subject, "discovery/default/fleet");
}

#[test]
fn an_event_is_never_earlier_than_the_records_previous_one_though_the_clock_goes_back() {
    let mut history = History::after(item(&["n1"]), &heard([("n1", up("n1", &[]))]));
    let last = history.events.last().unwrap().time.clone();
    history.now = Timestamp(NOW.0 - 3_600_000);
    assert_eq!(history.refresh(&heard([("n1", agent_down())])).changes.len(), 2);
    assert_eq!(history.events.last().unwrap().time, last);
    history.pass(Duration::from_secs(5));
    history.refresh(&heard([("n1", up("n1", &[]))]));
    assert_eq!(history.events.last().unwrap().time, last, "nor at the next commit");
    history.now = NOW.plus(Duration::from_secs(1));
    history.refresh(&heard([("n1", agent_down())]));
    assert_eq!(history.events.last().unwrap().time, history.now.rfc3339());
}

#[test]
fn the_cause_is_discovery_for_what_its_record_says_and_the_schedule_for_what_agents_say() {
    let mut history = History::after(item(&["n1", "n2"]), &heard([("n1", up("n1", &[]))]));
    for event in &history.events {
        let discovered = matches!(event.change.name(), "cluster.new" | "agent.new");
        let cause = if discovered { Cause::Discovery } else { Cause::Schedule };
        assert_eq!((event.cause, &event.actor), (cause, &None), "{}", event.change.name());
    }
    (history.cause, history.actor) = (Cause::Manual, Some("ada"));
    history.input = item(&["n1"]);
    let before = history.events.len();
    history.refresh(&heard([("n1", agent_down())]));
    for event in &history.events[before..] {
        assert_eq!((event.cause, event.actor.as_deref()), (Cause::Manual, Some("ada")));
    }
}

#[test]
fn an_event_that_the_stream_would_refuse_is_never_sealed() {
    let record = RecordName::discovery("default", "fleet");
    let fits = |bytes: usize| {
        let change = Change::DiscoveryFailed { reason: "x".repeat(bytes) };
        sealer(&record).seal([&change], 1, usize::MAX).map(|sealed| sealed[0].bytes.len())
    };
    let envelope = fits(0).unwrap();
    assert_eq!(fits(MAX_EVENT - envelope), Ok(MAX_EVENT));
    let refused = fits(MAX_EVENT - envelope + 1).unwrap_err();
    assert_eq!((refused.name, refused.bytes), ("discovery.failed", MAX_EVENT + 1));
    let key = RecordName::discovery("n".repeat(63), "i".repeat(160)).key();
    assert!(MAX_EVENT + key.len() <= 1024 * 1024, "data and partition key together");
}
