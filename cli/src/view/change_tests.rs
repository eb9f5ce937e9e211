use std::collections::BTreeSet;

use replicante_model::absence::Held;
use replicante_model::actions::ActionDetails;
use replicante_model::change::{AddressChange, RoleOf, SnapshotPart};
use replicante_model::observation::AgentVersion;
use replicante_model::view::NodeView;
use serde_json::json;

use super::*;

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        other => panic!("{other} is no object"),
    }
}

fn agent_of(number: &str) -> AgentInfo {
    AgentInfo {
        api: AgentApi::V1,
        version: AgentVersion { number: number.into(), ..AgentVersion::default() },
    }
}

fn a_window() -> Maintenance {
    let (since, until) = (Timestamp(1_767_319_445_678), Timestamp(1_767_326_645_000));
    Maintenance { since, until, reason: Some("new racks".into()), actor: "ann".into() }
}

fn down() -> NodeStatus {
    NodeStatus::AgentDown { reason: "connection refused".into() }
}

fn store_down() -> NodeStatus {
    NodeStatus::NodeDown { reason: "status 500".into() }
}

fn led_by(node: &str) -> Primary {
    Primary::Elected { node: node.into() }
}

fn action(state: &str) -> ActionView {
    let finished = state == "FAILED";
    let details = ActionDetails {
        requester: Some("CORE_API".into()),
        error: finished.then(|| "no route".into()),
        ..ActionDetails::default()
    };
    ActionView { kind: "test.ping".into(), state: state.into(), finished, details }
}

fn shrink(cluster: Option<String>) -> Shrink {
    let answer = "4f1c0a9be2d37768".into();
    Shrink::of(cluster, Held { since: Timestamp(0), answer, dropped: 3, known: 4 })
}

/// An object whose interval was changed.
fn of_object(before: Option<&str>, after: Option<&str>) -> ObjectChange {
    let spec = |interval: &str| object(json!({ "interval": interval, "enabled": true }));
    let (kind, at) = (replicante_model::Kind::Discovery, Timestamp(0));
    let (before, after) = (before.map(spec), after.map(spec));
    ObjectChange { kind, version: 2, at, before, after, left_out: false }
}

/// One change of every type.
pub(crate) fn every_change() -> Vec<Change> {
    let node = || "node-2".to_string();
    let shard = || "orders/0".to_string();
    let since = Some(Timestamp(1_767_319_445_678));
    let name =
        |name: &str| Some(ClusterHeader { display_name: Some(name.into()), discovery: Some("fleet".into()) });
    let role = |role| RoleOf { role };
    let conflict = IdentityConflict::ClusterId { node: node(), reported: "billing".into() };
    vec![
        Change::ClusterNew {
            after: name("Orders").unwrap_or_default(),
            nodes: [("node-1".into(), "http://a".into()), (node(), "http://b".into())].into(),
        },
        Change::ClusterChanged {
            before: name("Orders"),
            after: name("Orders EU"),
            nodes: RecordDifference {
                added: [("node-4".to_string(), "http://d".to_string())].into(),
                removed: ["node-1".to_string()].into(),
                changed: [(node(), AddressChange { before: "http://b".into(), after: "http://c".into() })]
                    .into(),
            },
        },
        Change::ClusterMissing { since },
        Change::ClusterRestored { missing_since: since },
        Change::ClusterRemoved { missing_since: None, actor: Some("ann".into()) },
        Change::ClusterHealthChanged { before: Some(Health::Healthy), after: Some(Health::Degraded) },
        Change::ClusterIdentityConflict(conflict.clone()),
        Change::ClusterIdentityResolved(conflict),
        Change::ClusterSnapshot(Box::new(SnapshotPart {
            part: 1,
            parts: 2,
            nodes: [(node(), NodeView::unseen("http://b"))].into(),
            ..SnapshotPart::default()
        })),
        Change::AgentNew { node: node(), address: "http://b:8000".into(), labels: Default::default() },
        Change::AgentUp { node: node(), before: down(), after: NodeStatus::Up },
        Change::AgentDown { node: node(), before: NodeStatus::Up, after: down() },
        Change::AgentInfoNew { node: node(), after: agent_of("0.6.0") },
        Change::AgentInfoChanged { node: node(), before: agent_of("0.6.0"), after: agent_of("0.6.1") },
        Change::NodeNew {
            node: node(),
            after: object(
                json!({ "kind": "Kafka", "version": "3.7.0", "node_id": "b:9092", "address": "http://b" }),
            ),
        },
        Change::NodeChanged {
            node: node(),
            before: object(json!({ "version": "3.7.0", "attributes": { "rack": null } })),
            after: object(json!({ "version": "3.7.1", "attributes": { "rack": "r1" } })),
        },
        Change::NodeUp { node: node(), before: store_down(), after: NodeStatus::Up },
        Change::NodeDown { node: node(), before: NodeStatus::Up, after: store_down() },
        Change::NodeMissing { node: node(), since },
        Change::NodeRestored { node: node(), missing_since: since },
        Change::NodeRemoved { node: node(), missing_since: since, actor: None },
        Change::ShardNew { node: node(), shard: shard(), after: role(Role::Secondary) },
        Change::ShardChanged {
            node: node(),
            shard: shard(),
            before: role(Role::Secondary),
            after: role(Role::Primary),
        },
        Change::ShardRemoved { node: node(), shard: shard(), before: role(Role::Other("arbiter".into())) },
        Change::ShardPrimaryChanged { shard: shard(), before: None, after: led_by("node-2") },
        Change::ShardPrimaryLost {
            shard: shard(),
            before: Some(led_by("node-2")),
            after: Primary::Lost { last: Some(node()) },
        },
        Change::ShardPrimaryConflict {
            shard: shard(),
            before: Some(led_by("node-2")),
            after: Primary::Conflict { nodes: vec!["node-1".into(), node()] },
        },
        Change::ActionNew { node: node(), action: "b0fc".into(), after: action("NEW") },
        Change::ActionChanged {
            node: node(),
            action: "b0fc".into(),
            before: action("NEW"),
            after: action("RUNNING"),
        },
        Change::ActionFinished {
            node: node(),
            action: "b0fc".into(),
            before: action("RUNNING"),
            after: action("FAILED"),
        },
        Change::ActionLost { node: node(), action: "b0fc".into(), before: action("NEW") },
        Change::DiscoveryFailed { reason: "status 500".into() },
        Change::DiscoveryRecovered { failed_since: since },
        Change::DiscoveryRecordRejected {
            record: "clusters[3]".into(),
            reason: "it has no cluster_id".into(),
        },
        Change::DiscoveryRecordAccepted { record: "clusters[3]".into() },
        Change::DiscoveryConflict { cluster: "orders".into(), owner: "other".into() },
        Change::DiscoveryConflictResolved { cluster: "orders".into(), owner: "other".into() },
        Change::DiscoveryShrinkHeld(shrink(None)),
        Change::DiscoveryShrinkConfirmed(Shrink { actor: Some("ann".into()), ..shrink(None) }),
        Change::DiscoveryShrinkResolved(shrink(Some("orders".into()))),
        Change::DiscoveryObserverSuspect { since, polled: 12, failed: 10 },
        Change::DiscoveryObserverTrusted { suspect_since: since },
        Change::ClusterMaintenanceBegan { before: None, after: a_window() },
        Change::ClusterMaintenanceEnded { before: a_window() },
        Change::ObjectApplied(of_object(Some("1m"), Some("30s"))),
        Change::ObjectDeleted(of_object(Some("30s"), None)),
    ]
}

#[test]
fn every_type_of_event_is_one_line_that_says_what_changed() {
    let lines: Vec<String> = every_change()
        .iter()
        .map(|change| format!("{:<26} {:?}: {}", change.name(), tone(change), describe(change)))
        .collect();
    insta::assert_snapshot!(lines.join("\n"), @"
    cluster.new                Good: 2 nodes from discovery fleet, called Orders
    cluster.changed            Plain: name Orders -> Orders EU; node-4 added; node-1 removed; node-2 http://b -> http://c
    cluster.missing            Warn: no longer reported by its source
    cluster.restored           Good: reported by its source again, missing since 2026-01-02T02:04:05.678Z
    cluster.removed            Warn: removed by ann
    cluster.health_changed     Warn: healthy -> degraded
    cluster.identity_conflict  Bad: node-2 answers for cluster billing
    cluster.identity_resolved  Good: no longer: node-2 answers for cluster billing
    cluster.snapshot           Quiet: part 1 of 2: 1 node
    agent.new                  Plain: node-2 at http://b:8000
    agent.up                   Good: node-2: agent down (connection refused) -> up
    agent.down                 Bad: node-2: up -> agent down (connection refused)
    agent.info_new             Plain: node-2: agent 0.6.0 (v1)
    agent.info_changed         Plain: node-2: agent 0.6.0 (v1) -> agent 0.6.1 (v1)
    node.new                   Plain: node-2: Kafka 3.7.0, calls itself b:9092
    node.changed               Plain: node-2: attributes.rack none -> r1 and version 3.7.0 -> 3.7.1
    node.up                    Good: node-2: node down (status 500) -> up
    node.down                  Bad: node-2: up -> node down (status 500)
    node.missing               Warn: node-2: no longer reported by its source
    node.restored              Good: node-2: reported by its source again, missing since 2026-01-02T02:04:05.678Z
    node.removed               Warn: node-2: removed, missing since 2026-01-02T02:04:05.678Z
    shard.new                  Plain: orders/0 on node-2: secondary
    shard.changed              Plain: orders/0 on node-2: secondary -> primary
    shard.removed              Warn: orders/0 on node-2: arbiter -> gone
    shard.primary_changed      Plain: orders/0: unknown -> node-2
    shard.primary_lost         Bad: orders/0: node-2 -> nobody
    shard.primary_conflict     Bad: orders/0: node-2 -> node-1 and node-2
    action.new                 Plain: test.ping b0fc on node-2: NEW, asked for by CORE_API
    action.changed             Plain: test.ping b0fc on node-2: NEW -> RUNNING
    action.finished            Bad: test.ping b0fc on node-2: RUNNING -> FAILED (no route)
    action.lost                Warn: test.ping b0fc on node-2: NEW -> no longer listed
    discovery.failed           Bad: status 500
    discovery.recovered        Good: works again, failed since 2026-01-02T02:04:05.678Z
    discovery.record_rejected  Warn: clusters[3] is set aside: it has no cluster_id
    discovery.record_accepted  Good: clusters[3] is good now, or gone
    discovery.conflict         Warn: orders belongs to discovery other: what this one says of it is not used
    discovery.conflict_resolved Good: orders no longer belongs to discovery other
    discovery.shrink_held      Bad: 3 of 4 clusters would go: held until confirmed (answer 4f1c0a9be2d37768)
    discovery.shrink_confirmed Warn: 3 of 4 clusters are gone: confirmed by ann
    discovery.shrink_resolved  Good: no longer held: 3 of 4 nodes of orders
    discovery.observer_suspect Warn: a worker may be cut off: no connection to 10 of 12 agents, since 2026-01-02T02:04:05.678Z; what seems down is held back
    discovery.observer_trusted Good: no worker seems cut off, as one did since 2026-01-02T02:04:05.678Z
    cluster.maintenance_began  Plain: in maintenance until 2026-01-02T04:04:05.000Z by ann: new racks
    cluster.maintenance_ended  Plain: no longer in maintenance, as it was since 2026-01-02T02:04:05.678Z: new racks
    object.applied             Plain: interval 1m -> 30s
    object.deleted             Warn: its object is gone
    ");
    let names: BTreeSet<&str> = every_change().iter().map(Change::name).collect();
    assert_eq!(names.len(), lines.len(), "each type once");
    assert_eq!(names, replicante_model::change::TYPES.into_iter().collect(), "those that --type takes");
}

#[test]
fn of_an_object_the_settings_that_changed_are_told() {
    let told = |change: ObjectChange| describe(&Change::ObjectApplied(change));
    assert_eq!(told(of_object(Some("1m"), Some("30s"))), "interval 1m -> 30s");
    assert_eq!(told(of_object(None, Some("30s"))), "it is new");
    assert_eq!(told(of_object(Some("30s"), Some("30s"))), "nothing that is shown");
    let large = ObjectChange { left_out: true, ..of_object(None, None) };
    assert_eq!(told(large), "what is in it is too large to be told");
    assert_eq!(describe(&Change::ObjectDeleted(of_object(Some("30s"), None))), "its object is gone");
}

#[test]
fn what_was_before_is_shown_wherever_the_event_tells_it() {
    let is_told = |value: &Value| !matches!(value, Value::Null);
    for change in every_change() {
        let data = &serde_json::to_value(&change).unwrap()["data"];
        if is_told(&data["before"]) && is_told(&data["after"]) {
            assert!(describe(&change).contains(" -> "), "{}: {}", change.name(), describe(&change));
        }
    }
}

#[test]
fn every_event_is_a_cloud_event_as_it_is_published() {
    let is_name = |name: &str| {
        (1..=20).contains(&name.len()) && name.bytes().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit())
    };
    let record = replicante_model::RecordName::cluster("default", "orders");
    let seen = crate::view::given::events(&record, &every_change());
    assert_eq!(seen.len(), every_change().len());
    for seen in seen {
        assert!(!seen.bytes.contains(&b'\n'), "one line");
        let event: Map<String, Value> = serde_json::from_slice(&seen.bytes).unwrap();
        assert_eq!(event["specversion"], "1.0");
        for required in ["id", "source", "type"] {
            assert!(event[required].as_str().is_some_and(|text| !text.is_empty()), "{required}");
        }
        assert!(Timestamp::parse(event["time"].as_str().unwrap()).is_ok());
        for (name, value) in event.iter().filter(|(name, _)| *name != "data") {
            // An attribute is a text, a truth or a number of 32 bits; objects and lists are for the data.
            assert!(is_name(name) && !value.is_object() && !value.is_array(), "{name}: {value}");
        }
    }
}

#[test]
fn contradictions_name_who_says_what() {
    let repeated =
        IdentityConflict::RepeatedNodeId { reported: "b:9092".into(), nodes: vec!["n1".into(), "n2".into()] };
    let named = IdentityConflict::DisplayName { names: vec!["Orders".into(), "Billing".into()] };
    let other = IdentityConflict::NodeId { node: "n1".into(), reported: "b:9092".into() };
    assert_eq!(contradiction(&repeated), "n1 and n2 all say they are b:9092");
    assert_eq!(contradiction(&named), "the nodes call it Orders and Billing");
    assert_eq!(contradiction(&other), "n1 says it is b:9092");
}
