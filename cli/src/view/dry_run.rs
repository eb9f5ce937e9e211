//! What a run of a discovery would change, line by line.

use replicante_model::RecordName;
use replicante_model::absence::{Absences, Held};
use replicante_model::discovery::{DiscoveryState, Run};
use replicante_model::record::{ClusterRecord, DiscoveredCluster, SourceAnswer};

use crate::view::style::Tone;
use crate::view::text::{clean, count};

/// What the shrink guard holds: of the clusters, or of the nodes of one.
pub fn held(state: &DiscoveryState) -> Vec<(Option<&str>, &Held)> {
    let clusters = state.absences.held.iter().map(|held| (None, held));
    let nodes = state.clusters.iter();
    let nodes = nodes.filter_map(|(id, known)| Some((Some(&**id), known.nodes.held.as_ref()?)));
    clusters.chain(nodes).collect()
}

/// The lines: what is new, changed, missing or removed, held, and set aside.
pub fn lines(
    record: &RecordName,
    is_known: bool,
    state: &DiscoveryState,
    answer: &SourceAnswer,
    run: &Run,
) -> Vec<String> {
    let reported = count(answer.clusters.len() as u64, "cluster");
    let mut lines = vec![format!("{record}: the source reports {reported}")];
    if !is_known {
        lines.push("  it has never run here: all of it is new".into());
    }
    for item in &run.items {
        let (mark, tone, what) = change(state, item);
        let text = format!("  {mark} {}: {what}", clean(&item.record.cluster_id));
        lines.push(tone.paint(&text));
    }
    for (cluster, held) in held(&run.state) {
        let of = cluster.map_or_else(|| "clusters".into(), |cluster| format!("nodes of {}", clean(cluster)));
        let text = format!("  ! {} of {} {of} are gone: held until confirmed", held.dropped, held.known);
        lines.push(Tone::Bad.paint(&text));
    }
    for (bad, reason) in &run.state.rejected {
        let text = format!("  ! {} is set aside: {}", clean(bad), clean(reason));
        lines.push(Tone::Warn.paint(&text));
    }
    if run.items.is_empty() && run.state.rejected.is_empty() && held(&run.state).is_empty() {
        lines.push("  nothing would change".into());
    }
    if run.more {
        lines.push("  and more, with the runs that follow".into());
    }
    lines
}

/// Exactly what would go of what is held.
pub fn would_go(absences: &Absences, held: &Held) -> Vec<String> {
    let Held { since, dropped, known, answer } = held;
    let title = format!("{dropped} of {known} are no longer reported, since {since} (answer {answer}):");
    let gone = absences.absent.iter().filter(|(_, absence)| absence.confirmed_by.is_none());
    std::iter::once(title).chain(gone.map(|(id, _)| format!("  {}", clean(id)))).collect()
}

fn change(state: &DiscoveryState, item: &DiscoveredCluster) -> (char, Tone, String) {
    let (id, are) = (&item.record.cluster_id, &item.record.nodes);
    if item.removed.is_some() {
        return ('-', Tone::Bad, "removed".into());
    }
    if item.missing_since.is_some() {
        return ('-', Tone::Warn, "missing from now on".into());
    }
    let Some(known) = state.clusters.get(id) else {
        return ('+', Tone::Good, format!("new, {}", count(are.len() as u64, "node")));
    };
    let were = &known.record.nodes;
    let added = are.keys().filter(|node| !were.contains_key(*node)).count();
    let gone = were.keys().filter(|node| !are.contains_key(*node)).count();
    let moved = are.iter().filter(|(node, at)| were.get(*node).is_some_and(|was| was != *at)).count();
    let labels = |record: &ClusterRecord, node: &String| record.labels.get(node).cloned();
    let labelled = are
        .keys()
        .filter(|node| were.contains_key(*node) && labels(&known.record, node) != labels(&item.record, node));
    let labelled = labelled.count();
    let mut parts = Vec::new();
    for (number, what) in
        [(added, "added"), (gone, "gone"), (moved, "moved"), (labelled, "with other labels")]
    {
        if number > 0 {
            parts.push(format!("{} {what}", count(number as u64, "node")));
        }
    }
    if state.absences.missing_since(id).is_some() {
        parts.push("reported again".into());
    }
    if parts.is_empty() {
        parts.push("another name, or other settings".into());
    }
    ('~', Tone::Plain, parts.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::given::plain;
    use replicante_model::Timestamp;
    use replicante_model::absence::RemovalRules;
    use replicante_model::discovery::{ClusterSettings, Given, answered};
    use replicante_model::intent::Intents;
    use replicante_model::record::RejectedRecord;
    use std::collections::BTreeMap;

    fn answer(clusters: &[(&str, &[&str])]) -> SourceAnswer {
        let record = |(id, nodes): &(&str, &[&str])| {
            let nodes = nodes.iter().map(|node| ((*node).to_string(), format!("http://{node}"))).collect();
            ((*id).to_string(), ClusterRecord { cluster_id: (*id).into(), nodes, ..ClusterRecord::default() })
        };
        SourceAnswer { clusters: clusters.iter().map(record).collect(), ..SourceAnswer::default() }
    }

    fn run(state: &DiscoveryState, answer: &SourceAnswer) -> Run {
        let (settings, owners, intents) = (ClusterSettings::default(), BTreeMap::new(), Intents::default());
        let (rules, now) = (RemovalRules::default(), Timestamp(1_767_319_445_000));
        let given =
            Given { name: "fleet", settings: &settings, rules, owners: &owners, intents: &intents, now };
        answered(state, answer, &given)
    }

    #[test]
    fn the_difference_is_told_line_by_line() {
        let record = RecordName::discovery("default", "fleet");
        let five: &[(&str, &[&str])] =
            &[("a", &["n1", "n2"]), ("b", &["n1"]), ("c", &["n1"]), ("d", &["n1"]), ("e", &[])];
        let first = run(&DiscoveryState::default(), &answer(five));
        let state = &first.state;
        let mut next =
            answer(&[("a", &["n2", "n3"]), ("b", &["n1"]), ("c", &["n1"]), ("d", &["n1"]), ("f", &[])]);
        next.rejected.push(RejectedRecord { record: "g".into(), reason: "an address is no URL".into() });
        let shown = plain(&lines(&record, true, state, &next, &run(state, &next)));
        insta::assert_snapshot!(shown, @"
        discovery/default/fleet: the source reports 5 clusters
          ~ a: 1 node added, 1 node gone
          - e: missing from now on
          + f: new, 0 nodes
          ! g is set aside: an address is no URL
        ");
        let mut labelled = answer(five);
        let labels = [("rack".to_string(), "r1".to_string())].into();
        labelled.clusters.get_mut("a").unwrap().labels.insert("n2".into(), labels);
        insta::assert_snapshot!(plain(&lines(&record, true, state, &labelled, &run(state, &labelled))), @"
        discovery/default/fleet: the source reports 5 clusters
          ~ a: 1 node with other labels
        ");
        let none = answer(&[]);
        let held = run(state, &none).state;
        let absences = &held.absences;
        insta::assert_snapshot!(plain(&would_go(absences, absences.held.as_ref().unwrap())), @"
        5 of 5 are no longer reported, since 2026-01-02T02:04:05.000Z (answer 86dc03602dcf3852):
          a
          b
          c
          d
          e
        ");
        insta::assert_snapshot!(plain(&lines(&record, true, state, &none, &run(state, &none))), @"
        discovery/default/fleet: the source reports 0 clusters
          ! 5 of 5 clusters are gone: held until confirmed
        ");
        let same = answer(five);
        insta::assert_snapshot!(plain(&lines(&record, true, state, &same, &run(state, &same))), @"
        discovery/default/fleet: the source reports 5 clusters
          nothing would change
        ");
        let empty = DiscoveryState::default();
        insta::assert_snapshot!(plain(&lines(&record, false, &empty, &same, &first)), @"
        discovery/default/fleet: the source reports 5 clusters
          it has never run here: all of it is new
          + a: new, 2 nodes
          + b: new, 1 node
          + c: new, 1 node
          + d: new, 1 node
          + e: new, 0 nodes
        ");
    }
}
