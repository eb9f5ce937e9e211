//! Discovery: what one run of a discovery commits. `(old state, answer, settings, now) -> (new state, changes,
//! items)`.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::change::Change;
use crate::record::{AgentSettings, ClusterRecord, DiscoveredCluster, RejectedRecord, SourceAnswer};
use crate::time::Timestamp;

/// The most clusters whose items one commit writes.
pub const MAX_CLUSTERS: usize = 5_000;
/// The most changes of one commit: conflicts and rejected records.
pub const MAX_CHANGES: usize = 5_000;

/// What a discovery says of all its clusters.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterSettings {
    /// How their agents are polled.
    pub agents: AgentSettings,
    /// How often they are refreshed.
    #[serde(with = "crate::time::as_millis")]
    pub refresh_interval: Duration,
    /// Complete answers in a row without a cluster before it may be removed: where counting ends.
    pub confirmations: u32,
}

/// One cluster, as its discovery knows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownCluster {
    /// The record as it was reported last.
    pub record: ClusterRecord,
    /// Since when it is not reported.
    #[serde(default, with = "crate::time::as_rfc3339", skip_serializing_if = "Option::is_none")]
    pub missing_since: Option<Timestamp>,
    /// Complete answers in a row without it, counted up to `confirmations`.
    #[serde(default)]
    pub missing_answers: u32,
    /// The generation of the settings that its item was written with.
    #[serde(default)]
    pub generation: u32,
    /// The discovery that owns it, when that is another one: its item is not written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
}

/// A row of failed runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failing {
    /// Since when.
    pub since: Timestamp,
    /// Why, the last time.
    pub reason: String,
}

/// The state of a discovery's record.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiscoveryState {
    /// The clusters it has reported, by id.
    pub clusters: BTreeMap<String, KnownCluster>,
    /// The records that are set aside, with the reason.
    #[serde(default)]
    pub rejected: BTreeMap<String, String>,
    /// Set while runs fail.
    #[serde(default)]
    pub failing: Option<Failing>,
    /// The settings of its clusters, as of the last run.
    #[serde(default)]
    pub settings: ClusterSettings,
    /// Up by one whenever they change.
    #[serde(default)]
    pub generation: u32,
    /// The time of the record's last event: the next is not earlier.
    #[serde(default)]
    pub last_event: Timestamp,
}

/// What a run commits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// The new state.
    pub state: DiscoveryState,
    /// The changes, in order.
    pub changes: Vec<Change>,
    /// The clusters whose items are to be written.
    pub items: Vec<DiscoveredCluster>,
    /// Whether anything changed at all: an event, an item or a counter.
    pub store: bool,
    /// Whether more is to come than one commit takes.
    pub more: bool,
}

/// What a run of a failed source commits: the first failure of a row is a change. Those after it are none; what is
/// stored and shown is the reason of the last.
pub fn failed(old: &DiscoveryState, reason: &str, now: Timestamp) -> Run {
    let mut state = old.clone();
    let mut changes = Vec::new();
    if let Some(failing) = &mut state.failing {
        failing.reason = reason.into();
    } else {
        state.failing = Some(Failing { since: now, reason: reason.into() });
        changes.push(Change::DiscoveryFailed { reason: reason.into() });
    }
    finish(old, state, changes, Vec::new(), false, now)
}

/// What a run with a complete answer commits.
///
/// `name` is the discovery's. `owners` says who owns, by now, the clusters that another discovery owned the
/// last time: the other one still, or nobody, or this one.
pub fn answered(
    old: &DiscoveryState,
    name: &str,
    answer: &SourceAnswer,
    settings: &ClusterSettings,
    owners: &BTreeMap<String, Option<String>>,
    now: Timestamp,
) -> Run {
    let mut state = old.clone();
    let mut changes = Vec::new();
    let mut items = Vec::new();
    let mut more = false;

    if let Some(failing) = state.failing.take() {
        changes.push(Change::DiscoveryRecovered { failed_since: Some(failing.since) });
    }
    if state.settings != *settings {
        state.generation = state.generation.wrapping_add(1);
        state.settings = settings.clone();
    }
    let generation = state.generation;
    set_aside(&mut state, answer, &mut changes, &mut more);

    for (id, record) in &answer.clusters {
        let known = state.clusters.get(id);
        let owner = known.and_then(|known| known.owner.as_deref());
        let still_owned = match owner {
            None => None,
            Some(owner) => owners.get(id).cloned().unwrap_or(Some(owner.into())).filter(|now| now != name),
        };
        let as_known = known.is_some_and(|known| {
            known.record == *record
                && known.missing_since.is_none()
                && known.generation == generation
                && known.owner == still_owned
        });
        if as_known {
            continue;
        }
        if items.len() >= MAX_CLUSTERS || changes.len() + 2 > MAX_CHANGES {
            more = true;
            break;
        }
        if owner != still_owned.as_deref() {
            if let Some(owner) = owner {
                changes.push(resolved(id, owner));
            }
            if let Some(owner) = &still_owned {
                changes.push(Change::DiscoveryConflict { cluster: id.clone(), owner: owner.clone() });
            }
        }
        if still_owned.is_none() {
            items.push(item(name, record, None, settings));
        }
        let known = KnownCluster {
            record: record.clone(),
            missing_since: None,
            missing_answers: 0,
            generation,
            owner: still_owned,
        };
        state.clusters.insert(id.clone(), known);
    }

    // A cluster whose record was set aside is reported, if badly: its last good record stands.
    let set_aside: BTreeSet<&str> = answer.rejected.iter().map(|rejected| &*rejected.record).collect();
    let missing: Vec<String> = state
        .clusters
        .keys()
        .filter(|id| !answer.clusters.contains_key(*id) && !set_aside.contains(id.as_str()))
        .cloned()
        .collect();
    for id in missing {
        let Some(known) = state.clusters.get_mut(&id) else { continue };
        if known.owner.is_some() && changes.len() >= MAX_CHANGES {
            more = true;
            break;
        }
        if let Some(owner) = known.owner.take() {
            // Another discovery's cluster that this one no longer reports is not this one's to track.
            changes.push(resolved(&id, &owner));
            state.clusters.remove(&id);
            continue;
        }
        known.missing_answers = known.missing_answers.saturating_add(1).min(settings.confirmations.max(1));
        if known.missing_since.is_none() || known.generation != generation {
            if items.len() >= MAX_CLUSTERS {
                more = true;
                break;
            }
            let since = *known.missing_since.get_or_insert(now);
            known.generation = generation;
            items.push(item(name, &known.record, Some(since), settings));
        }
    }
    finish(old, state, changes, items, more, now)
}

/// What a commit takes note of when items it delivered were refused because other discoveries own the clusters.
pub fn contested(old: &DiscoveryState, owners: &BTreeMap<String, String>, now: Timestamp) -> Run {
    let mut state = old.clone();
    let mut changes = Vec::new();
    for (id, owner) in owners {
        let Some(known) = state.clusters.get_mut(id) else { continue };
        if known.owner.as_ref() != Some(owner) {
            known.owner = Some(owner.clone());
            changes.push(Change::DiscoveryConflict { cluster: id.clone(), owner: owner.clone() });
        }
    }
    finish(old, state, changes, Vec::new(), false, now)
}

fn finish(
    old: &DiscoveryState,
    mut state: DiscoveryState,
    changes: Vec<Change>,
    items: Vec<DiscoveredCluster>,
    more: bool,
    now: Timestamp,
) -> Run {
    if !changes.is_empty() {
        state.last_event = now.max(old.last_event);
    }
    let store = !changes.is_empty() || !items.is_empty() || state != *old;
    Run { state, changes, items, store, more }
}

/// Reports records that are newly set aside, or for another reason, and those that no longer are.
fn set_aside(state: &mut DiscoveryState, answer: &SourceAnswer, changes: &mut Vec<Change>, more: &mut bool) {
    let repeated = answer.repeated.iter().map(|id| RejectedRecord {
        record: id.clone(),
        reason: "the answer names it more than once: its nodes were merged".into(),
    });
    let mut rejected: BTreeMap<String, String> = BTreeMap::new();
    for record in repeated.chain(answer.rejected.iter().cloned()) {
        rejected.insert(record.record, record.reason);
    }
    let keys: BTreeSet<String> = state.rejected.keys().chain(rejected.keys()).cloned().collect();
    for record in keys {
        if changes.len() + 1 > MAX_CHANGES / 2 {
            *more = true;
            return;
        }
        match (state.rejected.get(&record), rejected.remove(&record)) {
            (before, Some(reason)) if before != Some(&reason) => {
                changes
                    .push(Change::DiscoveryRecordRejected { record: record.clone(), reason: reason.clone() });
                state.rejected.insert(record, reason);
            }
            (Some(_), None) => {
                state.rejected.remove(&record);
                changes.push(Change::DiscoveryRecordAccepted { record });
            }
            _ => {}
        }
    }
}

fn resolved(cluster: &str, owner: &str) -> Change {
    Change::DiscoveryConflictResolved { cluster: cluster.into(), owner: owner.into() }
}

/// The discovery item of a cluster: what the discovery `name` says of it.
pub fn item(
    name: &str,
    record: &ClusterRecord,
    missing_since: Option<Timestamp>,
    settings: &ClusterSettings,
) -> DiscoveredCluster {
    DiscoveredCluster {
        record: record.clone(),
        discovery: name.into(),
        missing_since,
        agents: settings.agents.clone(),
        refresh_interval: settings.refresh_interval,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(id: &str, address: &str) -> ClusterRecord {
        ClusterRecord {
            cluster_id: id.into(),
            display_name: None,
            nodes: [("n1".to_string(), address.to_string())].into(),
        }
    }

    fn known(id: &str) -> KnownCluster {
        KnownCluster {
            record: record(id, "http://a"),
            missing_since: None,
            missing_answers: 0,
            generation: 0,
            owner: None,
        }
    }

    fn answer(ids: &[&str]) -> SourceAnswer {
        SourceAnswer {
            clusters: ids.iter().map(|id| ((*id).to_string(), record(id, "http://a"))).collect(),
            ..SourceAnswer::default()
        }
    }

    fn settings() -> ClusterSettings {
        ClusterSettings { confirmations: 3, ..ClusterSettings::default() }
    }

    fn run(old: &DiscoveryState, answer: &SourceAnswer, now: i64) -> Run {
        answered(old, "fleet", answer, &settings(), &BTreeMap::new(), Timestamp(now))
    }

    fn names(run: &Run) -> Vec<&'static str> {
        run.changes.iter().map(Change::name).collect()
    }

    #[test]
    fn a_first_answer_writes_every_item_and_the_same_again_writes_nothing() {
        let first = run(&DiscoveryState::default(), &answer(&["a", "b"]), 1);
        assert_eq!(first.items.len(), 2);
        assert!(first.store && first.changes.is_empty());
        let again = run(&first.state, &answer(&["a", "b"]), 2);
        assert!(!again.store && again.items.is_empty());
        assert_eq!(again.state, first.state);
    }

    #[test]
    fn what_is_missing_is_tracked_in_state_and_item_and_comes_back() {
        let first = run(&DiscoveryState::default(), &answer(&["a", "b"]), 1);
        let missing = run(&first.state, &answer(&["a"]), 2);
        assert_eq!(missing.items[0].missing_since, Some(Timestamp(2)));
        assert_eq!(missing.state.clusters["b"].missing_answers, 1);
        let still = run(&missing.state, &answer(&["a"]), 3);
        assert!(still.items.is_empty() && still.store, "the count alone is stored");
        assert_eq!(still.state.clusters["b"].missing_since, Some(Timestamp(2)));
        let counted = run(&run(&still.state, &answer(&["a"]), 4).state, &answer(&["a"]), 5);
        assert!(!counted.store, "the count ends at the confirmations");
        let back = run(&still.state, &answer(&["a", "b"]), 6);
        assert_eq!(back.items[0].missing_since, None);
        assert_eq!(back.state.clusters["b"].missing_answers, 0);
    }

    #[test]
    fn a_cluster_whose_record_was_set_aside_is_not_missing() {
        let first = run(&DiscoveryState::default(), &answer(&["a", "b"]), 1);
        let mut bad = answer(&["a"]);
        bad.rejected.push(RejectedRecord { record: "b".into(), reason: "an address is no URL".into() });
        let next = run(&first.state, &bad, 2);
        assert_eq!(names(&next), ["discovery.record_rejected"]);
        assert_eq!(next.state.clusters["b"].missing_since, None);
    }

    #[test]
    fn as_many_missing_clusters_as_bad_records_are_compared_in_no_time() {
        let ids: Vec<String> = (0..40_000).map(|n| format!("c{n:05}")).collect();
        let cluster =
            |id: &String| (id.clone(), KnownCluster { missing_since: Some(Timestamp(1)), ..known(id) });
        let clusters = ids.iter().map(cluster).collect();
        let old = DiscoveryState { clusters, settings: settings(), ..DiscoveryState::default() };
        let rejected = |id: &String| RejectedRecord { record: format!("{id}x"), reason: "no nodes".into() };
        let bad = SourceAnswer { rejected: ids.iter().map(rejected).collect(), ..SourceAnswer::default() };
        let started = std::time::Instant::now();
        let next = run(&old, &bad, 2);
        assert!(next.state.clusters.values().all(|known| known.missing_answers == 1));
        // Some 100 ms; comparing each with each takes a minute.
        assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
    }

    #[test]
    fn a_failed_run_changes_nothing_but_that_it_failed_the_first_of_a_row() {
        let first = run(&DiscoveryState::default(), &answer(&["a"]), 1);
        let down = failed(&first.state, "connection refused", Timestamp(2));
        assert_eq!(names(&down), ["discovery.failed"]);
        assert_eq!(down.state.clusters, first.state.clusters);
        let same = failed(&down.state, "connection refused", Timestamp(3));
        assert!(!same.store && same.changes.is_empty());
        let still = failed(&same.state, "status 500", Timestamp(3));
        let expected = Failing { since: Timestamp(2), reason: "status 500".into() };
        assert_eq!(still.state.failing, Some(expected), "what is shown is the present reason");
        assert!(still.store && still.changes.is_empty());
        let up = run(&still.state, &answer(&["a"]), 4);
        assert_eq!(up.changes, [Change::DiscoveryRecovered { failed_since: Some(Timestamp(2)) }]);
    }

    #[test]
    fn records_set_aside_are_reported_when_that_changes() {
        let mut bad = answer(&["a"]);
        bad.rejected
            .push(RejectedRecord { record: "(no cluster_id)".into(), reason: "it has no cluster_id".into() });
        bad.repeated.push("a".into());
        let first = run(&DiscoveryState::default(), &bad, 1);
        assert_eq!(names(&first), ["discovery.record_rejected", "discovery.record_rejected"]);
        assert_eq!(first.items.len(), 1, "the others stand");
        assert!(run(&first.state, &bad, 2).changes.is_empty());
        let good = run(&first.state, &answer(&["a"]), 3);
        assert_eq!(names(&good), ["discovery.record_accepted", "discovery.record_accepted"]);
    }

    #[test]
    fn new_settings_reach_every_item() {
        let first = run(&DiscoveryState::default(), &answer(&["a", "b"]), 1);
        let missing = run(&first.state, &answer(&["a"]), 2);
        let changed = ClusterSettings { refresh_interval: Duration::from_secs(5), ..settings() };
        let next =
            answered(&missing.state, "fleet", &answer(&["a"]), &changed, &BTreeMap::new(), Timestamp(3));
        assert_eq!(next.items.len(), 2);
        assert!(next.items.iter().all(|item| item.refresh_interval == Duration::from_secs(5)));
    }

    #[test]
    fn another_discoverys_cluster_is_reported_and_taken_when_it_is_free() {
        let first = run(&DiscoveryState::default(), &answer(&["a", "b"]), 1);
        let owners = BTreeMap::from([("b".to_string(), "other".to_string())]);
        let noted = contested(&first.state, &owners, Timestamp(2));
        assert_eq!(names(&noted), ["discovery.conflict"]);
        assert!(!contested(&noted.state, &owners, Timestamp(3)).store, "noted once");
        let with = |owner: Option<&str>, now| {
            let owners = BTreeMap::from([("b".to_string(), owner.map(String::from))]);
            answered(&noted.state, "fleet", &answer(&["a", "b"]), &settings(), &owners, Timestamp(now))
        };
        assert!(!with(Some("other"), 4).store);
        let freed = with(None, 5);
        assert_eq!(names(&freed), ["discovery.conflict_resolved"]);
        assert_eq!(freed.items.len(), 1);
        let third = with(Some("third"), 6);
        assert_eq!(names(&third), ["discovery.conflict_resolved", "discovery.conflict"]);
        assert!(third.items.is_empty(), "an item of another is never written");
        let gone = run(&noted.state, &answer(&["a"]), 7);
        assert_eq!(names(&gone), ["discovery.conflict_resolved"]);
        assert!(!gone.state.clusters.contains_key("b") && gone.items.is_empty());
    }

    #[test]
    fn a_first_sight_of_many_clusters_is_a_series_of_commits() {
        let ids: Vec<String> = (0..MAX_CLUSTERS + 10).map(|n| format!("c{n:05}")).collect();
        let all = answer(&ids.iter().map(String::as_str).collect::<Vec<_>>());
        let first = run(&DiscoveryState::default(), &all, 1);
        assert!(first.more);
        assert_eq!(first.items.len(), MAX_CLUSTERS);
        let second = run(&first.state, &all, 2);
        assert!(!second.more);
        assert_eq!(second.items.len(), 10);
        assert!(!run(&second.state, &all, 3).store);
    }
}
