//! The words of version 2, as the MongoDB agent 0.1.0 was recorded: field by field, in their order.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Value, json};

use crate::answer::{Answer, Endpoint, Place};
use crate::kind::Kind;
use crate::world::StoreState;

#[derive(Serialize)]
struct InfoNode<'a> {
    address: Address<'a>,
    agent_version: AgentVersion<'a>,
    attributes: &'a BTreeMap<String, String>,
    node_id: &'a str,
    node_status: &'static str,
    store_id: &'static str,
    store_version: StoreVersion<'a>,
}

#[derive(Serialize)]
struct Address<'a> {
    client: &'a str,
    member: &'a str,
}

#[derive(Serialize)]
struct AgentVersion<'a> {
    checkout: &'static str,
    number: &'a str,
    taint: &'static str,
}

#[derive(Serialize)]
struct StoreVersion<'a> {
    checkout: Option<&'static str>,
    number: &'a str,
    extra: Option<&'static str>,
}

#[derive(Serialize)]
struct InfoStore<'a> {
    cluster_id: &'a str,
    attributes: Value,
}

#[derive(Serialize)]
struct Shards<'a> {
    shards: Vec<Shard<'a>>,
}

#[derive(Serialize)]
struct Shard<'a> {
    commit_offset: Offset,
    lag: Option<Offset>,
    role: Role,
    id: &'a str,
}

#[derive(Serialize)]
struct Offset {
    unit: &'static str,
    value: i64,
}

#[derive(Serialize)]
enum Role {
    Primary,
    Secondary,
    Recovering,
    Other(&'static str),
}

#[derive(Serialize)]
struct Error<'a> {
    error: bool,
    error_cause: &'a str,
    error_msg: &'a str,
}

/// What a version 2 agent that is up answers.
pub(crate) fn answer(place: &Place<'_>, endpoint: Endpoint) -> Answer {
    match endpoint {
        Endpoint::InfoNode => info_node(place),
        Endpoint::InfoStore => store_failure(place, "unexpected end of file").unwrap_or_else(|| {
            Answer::json(
                200,
                &InfoStore { cluster_id: place.cluster_id(), attributes: store_attributes(place) },
            )
        }),
        Endpoint::InfoShards => store_failure(place, "Connection refused (os error 111)")
            .unwrap_or_else(|| Answer::json(200, &shards(place, &member(place)))),
        _ => Answer::not_found(),
    }
}

/// Where the members of the cluster reach the node's store. It changes when the node moves.
fn member(place: &Place<'_>) -> String {
    let moved = if place.node.moves == 0 { String::new() } else { format!("-{}", place.node.moves) };
    format!("{}{moved}.{}.fleet.internal:{}", place.node_id, place.id, place.cluster.kind.store_port())
}

fn info_node(place: &Place<'_>) -> Answer {
    let kind = place.cluster.kind;
    let member = member(place);
    let node_status = match place.node.store {
        StoreState::Hanging => return Answer::Hang,
        StoreState::Up => "HEALTHY",
        StoreState::Down => "UNAVAILABLE",
        StoreState::Recovering | StoreState::RollingBack => "UNHEALTHY",
        StoreState::NotInCluster => "NOT_IN_CLUSTER",
    };
    let mongodb = kind == Kind::Mongodb;
    let store_version = StoreVersion {
        checkout: mongodb.then_some("df25c71b8674a78e17468f48bcda5285decb9246"),
        number: &place.node.store_version,
        extra: mongodb.then_some(r#"{"openSSLVersion":"OpenSSL 1.1.1f  31 Mar 2020","modules":[]}"#),
    };
    let agent_version = AgentVersion {
        checkout: "52e57463d95d9599ba60ea24608f97de69d2ce1e",
        number: &place.node.agent_version,
        taint: "working directory tainted",
    };
    Answer::json(
        200,
        &InfoNode {
            address: Address { client: &member, member: &member },
            agent_version,
            attributes: &place.node.attributes,
            node_id: place.node_id,
            node_status,
            store_id: kind.store_name(),
            store_version,
        },
    )
}

fn store_attributes(place: &Place<'_>) -> Value {
    match place.cluster.kind {
        Kind::Mongodb => {
            let version = &place.node.store_version;
            let (feature, _) = version.rsplit_once('.').unwrap_or((version, ""));
            json!({"mongodb.com/feature-compatibility": feature, "mongodb.com/oplog.size": 1_038_090_240})
        }
        _ => json!({}),
    }
}

/// How the endpoints that ask the store fail, if the store does not serve its agent.
fn store_failure(place: &Place<'_>, refusal: &str) -> Option<Answer> {
    let unreachable = |cause: &str| {
        format!(
            "Kind: Server selection timeout: No available servers. Topology: {{ Type: Single, Servers: [ \
             {{ Address: {}, Type: Unknown, Error: Kind: I/O error: {cause}, labels: {{}} }} ] }}, labels: {{}}",
            member(place)
        )
    };
    let error_cause = match place.node.store {
        StoreState::Up | StoreState::Recovering | StoreState::RollingBack => return None,
        StoreState::Down => unreachable(refusal),
        StoreState::Hanging => unreachable("timed out"),
        StoreState::NotInCluster => {
            "Kind: Command failed: Error code 94 (NotYetInitialized): no replset config \
                                     has been received, labels: {}"
                .to_owned()
        }
    };
    let error_msg = "get replica set status command failed";
    Some(Answer::json(500, &Error { error: true, error_cause: &error_cause, error_msg }))
}

fn shards<'a>(place: &'a Place<'_>, member: &'a str) -> Shards<'a> {
    let kind = place.cluster.kind;
    let offset = |value| Offset { unit: kind.unit(), value };
    // How much of the unit passes in a second.
    let rate = if kind == Kind::Cassandra { 1 } else { 1000 };
    let shard = |(index, shard): (usize, &'a crate::world::Shard)| {
        let lag = place.lag(index, shard);
        Shard {
            commit_offset: offset((place.now.seconds() - lag) * rate),
            lag: (!place.leads(shard)).then(|| offset(lag * rate)),
            role: match place.node.store {
                StoreState::Recovering => Role::Recovering,
                StoreState::RollingBack => Role::Other("ROLLBACK"),
                _ if place.leads(shard) => Role::Primary,
                _ => Role::Secondary,
            },
            id: if kind == Kind::Mongodb { member } else { &shard.id },
        }
    };
    Shards { shards: place.cluster.shards.iter().enumerate().map(shard).collect() }
}
