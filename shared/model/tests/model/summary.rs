//! The summary of a head: it is bounded, whatever the agents and the source say.

use replicante_model::absence::{Absence, Held};
use replicante_model::discovery::{ClusterSettings, DiscoveryState, Failing, KnownCluster};
use replicante_model::observation::Role;
use replicante_model::summary::Summary;
use replicante_model::view::{ClusterView, Health, NodeStatus, NodeView, Primary};
use replicante_model::{Timestamp, observation::NodeDetails};

/// The most bytes that a summary's JSON may take in a head of 1 KiB.
const MOST: usize = 440;

const NASTY: [&str; 6] = ["\"", "\\", "\u{1}", "\u{1F980}", "ü", "\u{2028}"];

fn finish(mut summary: Summary) -> usize {
    summary.at = Timestamp(4_102_444_800_000);
    summary.outcome = "discarded".into();
    summary.ms = 900_000;
    let json = summary.to_json();
    assert_eq!(Summary::parse(Some(&json)), summary, "it reads back");
    json.len()
}

fn cluster(text: &str) -> Summary {
    let mut view = ClusterView {
        display_name: Some(text.repeat(500)),
        health: Some(Health::Degraded),
        ..ClusterView::default()
    };
    for n in 0..10u32 {
        let mut node = NodeView::unseen("http://a");
        node.status = [NodeStatus::Up, NodeStatus::unseen(), NodeStatus::NodeDown { reason: "r".into() }]
            [n as usize % 3]
            .clone();
        node.details =
            Some(NodeDetails { kind: format!("{}{n}", text.repeat(500)), ..NodeDetails::default() });
        node.shards.insert(format!("s{n}"), Role::Primary);
        // A node that is down still shows its last role; who leads is judged over all nodes.
        let lost = Primary::Lost { last: Some(format!("n{n}")) };
        let led = Primary::Elected { node: format!("n{n}") };
        view.primaries.insert(format!("s{n}"), if node.status == NodeStatus::Up { led } else { lost });
        node.missing_since = (n == 9).then_some(Timestamp(1));
        view.nodes.insert(format!("n{n}"), node);
    }
    let mut summary = Summary::of_cluster(&view);
    assert!(summary.nodes == 9 && summary.missing == 1 && summary.shards == 9 && summary.primaries == 3);
    assert!(summary.agents_down == 3 && summary.nodes_down == 3);
    // As many as the limits of discovery.md and the shards of mission.md allow.
    (summary.nodes, summary.nodes_down, summary.agents_down) = (10_000, 10_000, 10_000);
    (summary.shards, summary.primaries, summary.missing) = (10_000_000, 10_000_000, 10_000);
    summary.set_reason(Some(&text.repeat(500)));
    summary
}

fn discovery(text: &str) -> Summary {
    let mut state = DiscoveryState {
        failing: Some(Failing { since: Timestamp(1), reason: text.repeat(500) }),
        settings: ClusterSettings::default(),
        ..DiscoveryState::default()
    };
    let known =
        |owner: bool| KnownCluster { owner: owner.then(|| "other".into()), ..KnownCluster::default() };
    state.clusters.insert("a".into(), known(false));
    state.clusters.insert("b".into(), known(false));
    state.clusters.insert("c".into(), known(true));
    let absence = |missing| Absence { since: Timestamp(1), answers: 1, missing, confirmed_by: None };
    state.absences.absent.insert("a".into(), absence(false));
    state.absences.absent.insert("b".into(), absence(true));
    let held = Held { since: Timestamp(1), answer: "0".repeat(16), dropped: 7, known: 9 };
    let nodes = Held { dropped: 5, ..held.clone() };
    state.clusters.entry("b".into()).and_modify(|known| known.nodes.held = Some(nodes));
    state.absences.held = Some(held);
    state.rejected.insert("x".into(), "r".into());
    let mut summary = Summary::of_discovery(&state);
    assert_eq!((summary.clusters, summary.missing, summary.conflicts, summary.rejected), (1, 1, 1, 1));
    assert_eq!(summary.held, 12, "clusters, and nodes of a cluster");
    (summary.clusters, summary.missing, summary.conflicts, summary.rejected) =
        (100_000, 100_000, 100_000, 100_000);
    summary.held = 1_000_000_000;
    summary
}

#[test]
fn a_summary_is_bounded_whatever_the_agents_and_the_source_say() {
    let sizes: Vec<(usize, usize)> =
        NASTY.iter().map(|text| (finish(cluster(text)), finish(discovery(text)))).collect();
    println!("bytes of a cluster's and a discovery's summary: {sizes:?}");
    assert!(sizes.iter().all(|(cluster, discovery)| *cluster.max(discovery) <= MOST), "{sizes:?}");
}
