//! The steps of a refresh that need no network, each alone: `cargo bench`.

#![allow(
    clippy::expect_used,
    missing_docs,
    reason = "a bench that can't build its input has failed; macros of criterion"
)]

use std::collections::BTreeMap;
use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use replicante_agents::v1;
use replicante_model::actions::ActionsReport;
use replicante_model::diff::diff;
use replicante_model::event::{Cause, Sealer};
use replicante_model::fold::fold;
use replicante_model::observation::{NodeDetails, NodeReport, Observation};
use replicante_model::observe::observe;
use replicante_model::record::{AgentApi, AgentSettings, ClusterRecord, DiscoveredCluster};
use replicante_model::view::ClusterState;
use replicante_model::{RecordName, Timestamp};
use replicante_protocol::slot::{FORMAT, decode_state, encode_state};
use serde_json::json;

const NOW: Timestamp = Timestamp(1_800_000_000_000);

/// A cluster of so many nodes of so many shards each, all healthy.
struct Case {
    name: String,
    input: DiscoveredCluster,
    observations: BTreeMap<String, Observation>,
    shards: Vec<u8>,
}

fn case(nodes: usize, shards: usize) -> Case {
    let ids: Vec<String> = (0..nodes).map(|n| format!("node-{n}")).collect();
    let body = json!({ "shards": (0..shards).map(|n| json!({
        "commit_offset": { "unit": "seconds", "value": 67_890 + n },
        "id": format!("orders-{n}"),
        "lag": { "unit": "seconds", "value": n },
        "role": if n % nodes == 0 { "primary" } else { "secondary" },
    })).collect::<Vec<_>>() })
    .to_string()
    .into_bytes();
    let reported = v1::shards(&body).expect("a list of shards");
    let report = |id: &String| {
        Observation::Up(Box::new(NodeReport {
            agent: v1::agent(br#"{"version":{"number":"0.6.0","checkout":"abc","taint":"not tainted"}}"#)
                .expect("an agent"),
            node: NodeDetails {
                node_id: id.clone(),
                kind: "Kafka".into(),
                version: "3.7.0".into(),
                ..NodeDetails::default()
            },
            cluster_id: "orders".into(),
            display_name: None,
            shards: reported.clone(),
            actions: ActionsReport::default(),
        }))
    };
    Case {
        name: format!("{nodes} nodes of {shards} shards"),
        observations: ids.iter().map(|id| (id.clone(), report(id))).collect(),
        input: DiscoveredCluster {
            record: ClusterRecord {
                cluster_id: "orders".into(),
                nodes: ids.iter().map(|id| (id.clone(), format!("http://{id}:8000"))).collect(),
                ..ClusterRecord::default()
            },
            discovery: "fleet".into(),
            agents: AgentSettings { api: Some(AgentApi::V1), ..AgentSettings::default() },
            refresh_interval: Duration::from_secs(60),
            ..DiscoveredCluster::default()
        },
        shards: body,
    }
}

fn steps(criterion: &mut Criterion) {
    for case in [case(5, 4), case(50, 200)] {
        let Case { name, input, observations, shards } = &case;
        let mut group = criterion.benchmark_group(name);
        group.bench_function("decode: the shards of one agent", |bench| {
            bench.iter(|| v1::shards(black_box(shards)));
        });
        let new = ClusterState::default();
        let state = observe(&new, input, observations, NOW);
        let view = state.view.clone().expect("a view");
        group.bench_function("observe: nothing changed", |bench| {
            bench.iter(|| observe(black_box(&state), input, observations, NOW));
        });
        group.bench_function("diff: nothing changed", |bench| {
            bench.iter(|| diff(Some(black_box(&view)), &view));
        });
        group.bench_function("diff: first sight", |bench| {
            bench.iter(|| diff(None, black_box(&view)));
        });
        let changes = diff(None, &view);
        let record = RecordName::cluster("default", "orders");
        let sealer = Sealer {
            source: "/replicante/bench",
            record: &record,
            epoch: 1,
            sequence: 0,
            time: NOW,
            cause: Cause::Schedule,
            actor: None,
            maintenance: None,
        };
        group.bench_function("seal: the events of the first sight", |bench| {
            bench.iter(|| sealer.seal(black_box(&changes), usize::MAX, usize::MAX));
        });
        group.bench_function("fold: the events of the first sight", |bench| {
            bench.iter(|| fold(None, black_box(&changes)));
        });
        group.bench_function("encode: the state", |bench| {
            bench.iter(|| encode_state(black_box(&state)));
        });
        let bytes = encode_state(&state).expect("a state");
        group.bench_function("decode: the state", |bench| {
            bench.iter(|| decode_state::<ClusterState>(FORMAT, black_box(&bytes)));
        });
        group.finish();
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
        .sample_size(20);
    targets = steps
}
criterion_main!(benches);
