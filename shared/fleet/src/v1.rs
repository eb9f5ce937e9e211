//! The words of version 1, as the agents 0.6.0 were recorded: field by field, in their order.

use std::sync::LazyLock;

use serde::Serialize;

use crate::answer::{Answer, Endpoint, Place};
use crate::kind::Kind;
use crate::world::StoreState;

/// A commit of the agents' repository.
const CHECKOUT: &str = "0ab1560a247fdd65b19b7509c2b3a5cafd79dd5d";
/// Offsets that count events advance by this many in a second.
const RATE: i64 = 10;

/// The backtrace that errors carry.
static TRACE: LazyLock<String> = LazyLock::new(|| {
    let mut trace: String = (0..31).map(|frame| format!("{frame:>4}: <unknown>\n")).collect();
    trace.push_str("  31: start_thread\n             at ./nptl/./nptl/pthread_create.c:442:8\n");
    trace
});

#[derive(Serialize)]
struct InfoAgent<'a> {
    version: Version<'a>,
}

#[derive(Serialize)]
struct Version<'a> {
    checkout: &'a str,
    number: &'a str,
    taint: &'a str,
}

#[derive(Serialize)]
struct InfoDatastore<'a> {
    cluster_display_name: Option<&'a str>,
    cluster_id: &'a str,
    kind: &'a str,
    node_id: &'a str,
    version: &'a str,
}

#[derive(Serialize)]
struct Shards<'a> {
    shards: Vec<Shard<'a>>,
}

#[derive(Serialize)]
struct Shard<'a> {
    commit_offset: Offset,
    id: &'a str,
    lag: Option<Offset>,
    role: Role,
}

#[derive(Serialize)]
struct Offset {
    unit: Unit,
    value: i64,
}

#[derive(Serialize)]
struct Unit {
    unit: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
enum Role {
    Primary,
    Secondary,
    Unknown(&'static str),
}

#[derive(Serialize)]
struct Error<'a> {
    error: &'a str,
    layers: &'a [&'a str],
    trace: &'a str,
    variant: &'a str,
}

/// What a version 1 agent that is up answers.
pub(crate) fn answer(place: &Place<'_>, endpoint: Endpoint) -> Answer {
    match endpoint {
        Endpoint::InfoAgent => {
            let number = place.node.agent_version.as_str();
            Answer::json(
                200,
                &InfoAgent { version: Version { checkout: CHECKOUT, number, taint: "not tainted" } },
            )
        }
        Endpoint::InfoDatastore => store_failure(place, endpoint).unwrap_or_else(|| {
            Answer::json(
                200,
                &InfoDatastore {
                    cluster_display_name: place.cluster.display_name.as_deref(),
                    cluster_id: place.cluster_id(),
                    kind: place.cluster.kind.store_name(),
                    node_id: place.node_id,
                    version: &place.node.store_version,
                },
            )
        }),
        Endpoint::Shards => {
            store_failure(place, endpoint).unwrap_or_else(|| Answer::json(200, &shards(place)))
        }
        _ => Answer::not_found(),
    }
}

/// How the endpoints that ask the store fail, if the store does not serve its agent.
fn store_failure(place: &Place<'_>, endpoint: Endpoint) -> Option<Answer> {
    let (operation, field) = match endpoint {
        Endpoint::InfoDatastore => ("datastore operation 'conf' failed", "zk_server_id"),
        _ => ("datastore operation 'srvr' failed", "zk_mode"),
    };
    const REFUSED: &str = "Connection refused (os error 111)";
    let (io_error, missing) =
        (format!("Encountered I/O error: {REFUSED}"), format!("Field missing from response: {field}"));
    let layers: &[&str] = match place.node.store {
        StoreState::Up | StoreState::Recovering | StoreState::RollingBack => return None,
        StoreState::Hanging => return Some(Answer::Hang),
        StoreState::Down => &[operation, &io_error, REFUSED],
        StoreState::NotInCluster => &[operation, &missing],
    };
    Some(Answer::json(500, &Error { error: operation, layers, trace: &TRACE, variant: "StoreOpFailed" }))
}

fn shards<'a>(place: &'a Place<'_>) -> Shards<'a> {
    let kind = place.cluster.kind;
    let offset = |value| Offset { unit: Unit { unit: kind.unit() }, value };
    let shard = |(index, shard): (usize, &'a crate::world::Shard)| {
        let lag = place.lag(index, shard) * RATE;
        let count = place.now.seconds() * RATE - lag;
        let value = match kind {
            // A ZooKeeper transaction's id: the term in the upper half, a counter in the lower.
            Kind::Zookeeper => (i64::from(shard.term) << 32) | (count & 0x7fff_ffff),
            _ => count,
        };
        Shard {
            commit_offset: offset(value),
            id: &shard.id,
            lag: (kind != Kind::Zookeeper && !place.leads(shard)).then(|| offset(lag)),
            role: match place.node.store {
                StoreState::Recovering => Role::Unknown("recovering"),
                StoreState::RollingBack => Role::Unknown("rolling back"),
                _ if place.leads(shard) => Role::Primary,
                _ => Role::Secondary,
            },
        }
    };
    Shards { shards: place.cluster.shards.iter().enumerate().map(shard).collect() }
}
