//! A complete answer, and what follows from it: what is new, what changed, what is missing, what is removed, what is held.

use std::collections::{BTreeMap, BTreeSet};

use super::{ClusterSettings, DiscoveryState, KnownCluster, MAX_CHANGES, MAX_CLUSTERS, Run, finish, item};
use crate::absence::{Absence, Guarded, RemovalRules};
use crate::change::{Change, Shrink};
use crate::intent::Intents;
use crate::record::{ClusterRecord, DiscoveredCluster, RejectedRecord, Removal, SourceAnswer};
use crate::time::Timestamp;
use crate::view::MAX_NAMED;

/// The most changes that one cluster of an answer makes: a conflict that ends, one that begins, and its shrink guard.
const CHANGES_OF_ONE: usize = 3;

/// What a run goes by, besides what it heard.
#[derive(Clone, Copy, Debug)]
pub struct Given<'a> {
    /// The discovery's name.
    pub name: &'a str,
    /// What it says of all its clusters.
    pub settings: &'a ClusterSettings,
    /// When what is absent is removed.
    pub rules: RemovalRules,
    /// Who owns, by now, the clusters that another discovery owned the last time: the other one still, or nobody, or
    /// this one.
    pub owners: &'a BTreeMap<String, Option<String>>,
    /// What operators want.
    pub intents: &'a Intents,
    /// The present time.
    pub now: Timestamp,
}

/// What a run with a complete answer commits.
pub fn answered(old: &DiscoveryState, answer: &SourceAnswer, given: &Given<'_>) -> Run {
    let mut run = Answered::of(old, given);
    if let Some(failing) = run.state.failing.take() {
        run.changes.push(Change::DiscoveryRecovered { failed_since: Some(failing.since) });
    }
    if run.state.settings != *given.settings {
        run.state.generation = run.state.generation.wrapping_add(1);
        run.state.settings = given.settings.clone();
    }
    run.set_aside(answer);
    run.forget();
    for (id, record) in &answer.clusters {
        if given.intents.forgotten.contains_key(id) {
            continue;
        }
        if !run.reported(id, record) {
            run.more = true;
            break;
        }
    }
    run.absent(old, answer);
    run.finish(old)
}

/// What a run commits that asks no source: what operators want gone is gone. For a discovery that is disabled, or whose
/// object is no more.
pub fn forgotten(old: &DiscoveryState, given: &Given<'_>) -> Run {
    let mut run = Answered::of(old, given);
    run.forget();
    run.finish(old)
}

struct Answered<'a> {
    given: &'a Given<'a>,
    state: DiscoveryState,
    changes: Vec<Change>,
    /// By cluster: each is written once.
    items: BTreeMap<String, DiscoveredCluster>,
    more: bool,
}

impl<'a> Answered<'a> {
    fn of(old: &DiscoveryState, given: &'a Given<'a>) -> Self {
        Answered { given, state: old.clone(), changes: Vec::new(), items: BTreeMap::new(), more: false }
    }

    fn finish(self, old: &DiscoveryState) -> Run {
        let items = self.items.into_values().collect();
        finish(old, self.state, self.changes, items, self.more, self.given.now)
    }

    /// Reports records that are newly set aside, or for another reason, and those that no longer are.
    fn set_aside(&mut self, answer: &SourceAnswer) {
        let repeated = answer.repeated.iter().map(|id| RejectedRecord {
            record: id.clone(),
            reason: "the answer names it more than once: its nodes were merged".into(),
        });
        let mut rejected: BTreeMap<String, String> = BTreeMap::new();
        for record in repeated.chain(answer.rejected.iter().cloned()) {
            rejected.insert(record.record, record.reason);
        }
        let known = &mut self.state.rejected;
        let keys: BTreeSet<String> = known.keys().chain(rejected.keys()).cloned().collect();
        for record in keys {
            if self.changes.len() + 1 > MAX_CHANGES / 2 {
                self.more = true;
                return;
            }
            match (known.get(&record), rejected.remove(&record)) {
                (before, Some(reason)) if before != Some(&reason) => {
                    let (record, told) = (record.clone(), reason.clone());
                    known.insert(record.clone(), reason);
                    self.changes.push(Change::DiscoveryRecordRejected { record, reason: told });
                }
                (Some(_), None) => {
                    known.remove(&record);
                    self.changes.push(Change::DiscoveryRecordAccepted { record });
                }
                _ => {}
            }
        }
    }

    /// Removes what operators want gone: neither grace nor guard holds it.
    fn forget(&mut self) {
        let Given { name, settings, intents, now, .. } = *self.given;
        for (id, actor) in &intents.forgotten {
            if self.items.len() >= MAX_CLUSTERS {
                self.more = true;
                return;
            }
            let Some(known) = self.state.clusters.remove(id) else { continue };
            let since = self.state.absences.missing_since(id);
            self.state.absences.forget(id);
            if known.owner.is_none() {
                let removed = Removal { at: now, actor: Some(actor.clone()) };
                let item = item(name, &known, since, settings);
                self.items.insert(id.clone(), DiscoveredCluster { removed: Some(removed), ..item });
            }
        }
        for (id, nodes) in &intents.forgotten_nodes {
            let Some(known) = self.state.clusters.get_mut(id) else { continue };
            if known.forgotten == *nodes || known.owner.is_some() {
                continue;
            }
            if self.items.len() >= MAX_CLUSTERS {
                self.more = true;
                return;
            }
            known.record.retain_nodes(|node, _| !nodes.contains_key(node));
            for node in nodes.keys() {
                known.nodes.forget(node);
            }
            known.forgotten.clone_from(nodes);
            let item = item(name, known, self.state.absences.missing_since(id), settings);
            self.items.insert(id.clone(), item);
        }
    }

    /// Takes in a cluster that the answer names. False when the commit has no room for it.
    fn reported(&mut self, id: &str, record: &ClusterRecord) -> bool {
        let Given { name, settings, owners, intents, .. } = *self.given;
        let before = self.state.clusters.get(id);
        let owner_before = before.and_then(|known| known.owner.clone());
        let owner = match &owner_before {
            None => None,
            Some(owner) => owners.get(id).cloned().unwrap_or(Some(owner.clone())).filter(|now| now != name),
        };
        let nothing = BTreeMap::new();
        let forgotten = intents.forgotten_nodes.get(id).unwrap_or(&nothing);
        let generation = self.state.generation;
        let is_absent = self.state.absences.absent.contains_key(id);
        let goes_on = |known: &&KnownCluster| {
            !is_absent
                && known.generation == generation
                && known.owner == owner
                && known.forgotten == *forgotten
        };
        let before_and_on = before.filter(goes_on);
        if before_and_on.is_some_and(|known| known.nodes.is_empty() && known.record == *record) {
            return true;
        }
        if self.items.len() >= MAX_CLUSTERS || self.changes.len() + CHANGES_OF_ONE > MAX_CHANGES {
            return false;
        }
        let is_own = owner.is_none();
        let mut known = KnownCluster {
            record: record.clone(),
            nodes: before.filter(|_| is_own).map(|known| known.nodes.clone()).unwrap_or_default(),
            forgotten: forgotten.clone(),
            generation,
            owner,
        };
        known.record.retain_nodes(|node, _| !forgotten.contains_key(node));
        let guarded = before.filter(|_| is_own).and_then(|before| self.nodes(id, before, &mut known));
        let is_as_before = before_and_on
            .is_some_and(|before| item(name, before, None, settings) == item(name, &known, None, settings));
        if known.owner != owner_before {
            self.changes.extend(owner_before.map(|owner| resolved(id, &owner)));
            let owner = known.owner.clone();
            self.changes.extend(owner.map(|owner| Change::DiscoveryConflict { cluster: id.into(), owner }));
        }
        self.changes.extend(guarded);
        if is_own && !is_as_before {
            self.items.insert(id.into(), item(name, &known, None, settings));
        }
        self.state.absences.forget(id);
        self.state.clusters.insert(id.into(), known);
        true
    }

    /// What becomes of the nodes that a record no longer names: those that are held stay in it.
    fn nodes(&self, id: &str, before: &KnownCluster, known: &mut KnownCluster) -> Option<Change> {
        let Given { rules, intents, now, .. } = *self.given;
        for node in known.record.nodes.keys().chain(known.forgotten.keys()) {
            known.nodes.forget(node);
        }
        let was_known: BTreeSet<&String> =
            before.record.nodes.keys().chain(before.nodes.absent.keys()).collect();
        let (mut named, mut dropped) = (0, BTreeSet::new());
        for node in was_known {
            if known.record.nodes.contains_key(node) {
                named += 1;
            } else if !known.forgotten.contains_key(node) {
                dropped.insert(node.clone());
            }
        }
        let words = intents.nodes.get(id).map_or(&[][..], Vec::as_slice);
        let step = known.nodes.answered(named, &dropped, rules, words, usize::MAX, now);
        for node in dropped {
            let is_held = known.nodes.absent.get(&node).is_some_and(|absence| !absence.missing);
            if is_held {
                known.record.take_node(&node, &before.record);
            }
        }
        step.guarded.map(|guarded| shrink(Some(id), guarded, &known.nodes.absent))
    }

    /// What becomes of the clusters that the answer does not name.
    fn absent(&mut self, old: &DiscoveryState, answer: &SourceAnswer) {
        let Given { name, settings, rules, intents, now, .. } = *self.given;
        // A cluster whose record was set aside is reported, if badly: its last good record stands.
        let set_aside: BTreeSet<&str> = answer.rejected.iter().map(|rejected| &*rejected.record).collect();
        let is_named = |id: &str| answer.clusters.contains_key(id) || set_aside.contains(id);
        let mut named = 0;
        let mut dropped = BTreeSet::new();
        let mut released = Vec::new();
        for (id, known) in &self.state.clusters {
            match (is_named(id), &known.owner) {
                // What is new makes up for nothing that is gone.
                (true, None) => named += usize::from(old.clusters.contains_key(id)),
                (true, Some(_)) => {}
                (false, None) => drop(dropped.insert(id.clone())),
                // Another discovery's cluster that this one no longer reports is not this one's to track.
                (false, Some(owner)) => released.push((id.clone(), resolved(id, owner))),
            }
        }
        for (id, change) in released {
            if self.changes.len() + 1 >= MAX_CHANGES {
                self.more = true;
                break;
            }
            self.changes.push(change);
            self.state.clusters.remove(&id);
        }
        let room = MAX_CLUSTERS - self.items.len();
        let step = self.state.absences.answered(named, &dropped, rules, &intents.clusters, room, now);
        self.more |= step.more;
        if let Some(guarded) = step.guarded {
            self.changes.push(shrink(None, guarded, &self.state.absences.absent));
        }
        for (id, absence) in step.removed {
            let Some(known) = self.state.clusters.remove(&id) else { continue };
            let removed = Removal { at: now, actor: absence.confirmed_by };
            let item = item(name, &known, Some(absence.since), settings);
            self.items.insert(id, DiscoveredCluster { removed: Some(removed), ..item });
        }
        // What is missing from now on has its place; those with old settings take what is left.
        let generation = self.state.generation;
        for id in step.missing.iter().chain(&dropped) {
            let Some(known) = self.state.clusters.get_mut(id) else { continue };
            let is_new = step.missing.binary_search(id).is_ok();
            if known.generation == generation && !is_new {
                continue;
            }
            if !is_new && self.items.len() >= MAX_CLUSTERS {
                self.more = true;
                return;
            }
            known.generation = generation;
            let item = item(name, known, self.state.absences.missing_since(id), settings);
            self.items.insert(id.clone(), item);
        }
    }
}

fn resolved(cluster: &str, owner: &str) -> Change {
    Change::DiscoveryConflictResolved { cluster: cluster.into(), owner: owner.into() }
}

fn shrink(cluster: Option<&str>, guarded: Guarded, absent: &BTreeMap<String, Absence>) -> Change {
    let cluster = cluster.map(String::from);
    let held = absent.iter().filter(|(_, absence)| absence.confirmed_by.is_none());
    match guarded {
        Guarded::Holds(held_now) => {
            let sample = held.map(|(id, _)| id.clone()).take(MAX_NAMED).collect();
            Change::DiscoveryShrinkHeld(Shrink { sample, ..Shrink::of(cluster, held_now) })
        }
        Guarded::Confirmed(held, actor) => {
            Change::DiscoveryShrinkConfirmed(Shrink { actor: Some(actor), ..Shrink::of(cluster, held) })
        }
        Guarded::Resolved(held) => Change::DiscoveryShrinkResolved(Shrink::of(cluster, held)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::absence::Confirmation;
    use crate::discovery::{Failing, contested, failed};
    use crate::intent::Intent;
    use std::time::Duration;

    fn record(id: &str, address: &str) -> ClusterRecord {
        ClusterRecord {
            cluster_id: id.into(),
            nodes: [("n1".to_string(), address.to_string())].into(),
            ..ClusterRecord::default()
        }
    }

    fn known(id: &str) -> KnownCluster {
        KnownCluster { record: record(id, "http://a"), ..KnownCluster::default() }
    }

    fn answer(ids: &[&str]) -> SourceAnswer {
        SourceAnswer {
            clusters: ids.iter().map(|id| ((*id).to_string(), record(id, "http://a"))).collect(),
            ..SourceAnswer::default()
        }
    }

    const RULES: RemovalRules =
        RemovalRules { grace: Duration::from_millis(10), confirmations: 3, max_shrink: Some(50) };

    fn run(old: &DiscoveryState, answer: &SourceAnswer, now: i64) -> Run {
        run_with(old, answer, &ClusterSettings::default(), &BTreeMap::new(), Intents::default(), now)
    }

    fn run_with(
        old: &DiscoveryState,
        answer: &SourceAnswer,
        settings: &ClusterSettings,
        owners: &BTreeMap<String, Option<String>>,
        intents: Intents,
        now: i64,
    ) -> Run {
        let (rules, now) = (RULES, Timestamp(now));
        answered(old, answer, &Given { name: "fleet", settings, rules, owners, intents: &intents, now })
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
    fn what_is_missing_is_told_then_removed_or_comes_back() {
        let first = run(&DiscoveryState::default(), &answer(&["a", "b"]), 1);
        let missing = run(&first.state, &answer(&["a"]), 2);
        assert_eq!(missing.items[0].missing_since, Some(Timestamp(2)));
        assert_eq!(missing.state.absences.absent["b"].answers, 1);
        let still = run(&missing.state, &answer(&["a"]), 3);
        assert!(still.items.is_empty() && still.store, "the count alone is stored");
        let back = run(&still.state, &answer(&["a", "b"]), 4);
        assert_eq!((back.items.len(), back.items[0].missing_since), (1, None));
        assert!(back.state.absences.is_empty());
        let third = run(&still.state, &answer(&["a"]), 11);
        assert!(third.items.is_empty() && third.store, "often enough, and not for long enough");
        let counted = run(&third.state, &answer(&["a"]), 11);
        assert!(!counted.store, "the count ends at the confirmations");
        let over = run(&third.state, &answer(&["a"]), 12);
        let removal = Removal { at: Timestamp(12), actor: None };
        assert_eq!((over.items.len(), &over.items[0].removed), (1, &Some(removal)));
        assert!(!over.state.clusters.contains_key("b") && over.state.absences.absent.is_empty());
        let early = run(&missing.state, &answer(&["a"]), 100);
        assert!(early.items.is_empty(), "for long enough, and not often enough");
        let again = run(&over.state, &answer(&["a", "b"]), 13);
        assert_eq!((again.items.len(), again.items[0].removed.is_none()), (1, true));
    }

    #[test]
    fn what_would_shrink_the_source_too_far_is_held_until_it_is_confirmed_or_comes_back() {
        let all = ["a", "b", "c", "d"];
        let first = run(&DiscoveryState::default(), &answer(&all), 1);
        let replaced = run(&first.state, &answer(&["a", "x", "y", "z"]), 2);
        let hold = replaced.state.absences.held.unwrap();
        assert_eq!((hold.dropped, hold.known), (3, 4), "what is new makes up for nothing");
        let held = run(&first.state, &answer(&["a", "new"]), 2);
        assert_eq!(names(&held), ["discovery.shrink_held"]);
        let ids: Vec<_> = held.items.iter().map(|item| &*item.record.cluster_id).collect();
        assert_eq!(ids, ["new"], "what is new is applied");
        assert!(held.state.clusters.contains_key("d"));
        let mut later = held.clone();
        for now in 3..100 {
            later = run(&later.state, &answer(&["a", "new"]), now);
            assert!(later.changes.is_empty() && later.items.is_empty(), "told once, and nothing removed");
        }
        let hold = later.state.absences.held.clone().unwrap();
        assert_eq!((hold.dropped, hold.known, hold.since), (3, 5, Timestamp(2)));
        let confirm = |answer: &str, since, now| {
            let word =
                Confirmation { answer: answer.into(), held_since: Timestamp(since), actor: "ann".into() };
            let intents = Intents { clusters: vec![word], ..Intents::default() };
            let (settings, owners) = (ClusterSettings::default(), BTreeMap::new());
            run_with(&later.state, &self::answer(&["a", "new"]), &settings, &owners, intents, now)
        };
        assert!(confirm("0000000000000000", 2, 100).items.is_empty(), "another set");
        assert!(confirm(&hold.answer, 1, 100).items.is_empty(), "another hold");
        let confirmed = confirm(&hold.answer, 2, 100);
        assert_eq!(names(&confirmed), ["discovery.shrink_confirmed"]);
        assert_eq!(confirmed.items.len(), 3);
        let by_ann = |item: &DiscoveredCluster| {
            item.removed.as_ref().is_some_and(|removal| removal.actor.as_deref() == Some("ann"))
        };
        assert!(confirmed.items.iter().all(by_ann));
        assert_eq!(confirmed.state.clusters.len(), 2);
        let back = run(&later.state, &answer(&["a", "b", "c", "d", "new"]), 100);
        assert_eq!(names(&back), ["discovery.shrink_resolved"]);
        assert!(back.state.absences.is_empty());
        let some = run(&later.state, &answer(&["a", "b", "c", "new"]), 4);
        assert_eq!(names(&some), ["discovery.shrink_resolved"]);
        assert_eq!(
            some.items.iter().filter(|item| item.missing_since.is_some()).count(),
            1,
            "the rest goes its way"
        );
    }

    #[test]
    fn a_source_of_one_that_loses_it_loses_all() {
        let first = run(&DiscoveryState::default(), &answer(&["a"]), 1);
        let held = run(&first.state, &answer(&[]), 2);
        assert_eq!(names(&held), ["discovery.shrink_held"]);
        assert!(held.items.is_empty());
    }

    #[test]
    fn what_is_held_goes_its_way_once_the_guard_is_off() {
        let first = run(&DiscoveryState::default(), &answer(&["a", "b", "c"]), 1);
        let held = run(&first.state, &answer(&["a"]), 2);
        assert_eq!(names(&held), ["discovery.shrink_held"]);
        let (settings, owners, intents) = (ClusterSettings::default(), BTreeMap::new(), Intents::default());
        let (rules, now) = (RemovalRules { max_shrink: None, ..RULES }, Timestamp(3));
        let given =
            Given { name: "fleet", settings: &settings, rules, owners: &owners, intents: &intents, now };
        let off = answered(&held.state, &answer(&["a"]), &given);
        assert_eq!(names(&off), ["discovery.shrink_resolved"]);
        let missing: Vec<_> = off.items.iter().map(|item| item.missing_since).collect();
        assert_eq!(missing, [Some(Timestamp(2)); 2], "since the first answer without it");
    }

    /// The cluster `a` with these nodes, and a cluster `b`.
    fn with(nodes: &[&str]) -> SourceAnswer {
        let mut answer = answer(&["a", "b"]);
        let nodes = nodes.iter().map(|id| ((*id).to_string(), format!("http://{id}"))).collect();
        answer.clusters.get_mut("a").unwrap().nodes = nodes;
        answer
    }

    #[test]
    fn what_is_held_of_the_nodes_of_a_cluster_is_confirmed_for_that_cluster_alone() {
        let first = run(&DiscoveryState::default(), &with(&["n1", "n2", "n3"]), 1);
        let mut held = run(&first.state, &with(&["n1"]), 2);
        assert_eq!(names(&held), ["discovery.shrink_held"]);
        for now in 3..100 {
            held = run(&held.state, &with(&["n1"]), now);
        }
        let hold = held.state.clusters["a"].nodes.held.clone().unwrap();
        assert_eq!((hold.dropped, hold.known, hold.since), (2, 3, Timestamp(2)));
        let confirm = |cluster: Option<&str>| {
            let (answer, held_since) = (hold.answer.clone(), hold.since);
            let word = Confirmation { answer, held_since, actor: "ann".into() };
            let confirm = Intent::Confirm { cluster: cluster.map(String::from), word };
            let intents = Intents::at(Timestamp(100), [confirm]);
            let (settings, owners) = (ClusterSettings::default(), BTreeMap::new());
            run_with(&held.state, &with(&["n1"]), &settings, &owners, intents, 100)
        };
        for other in [None, Some("b")] {
            let still = confirm(other);
            assert!(still.changes.is_empty() && still.items.is_empty(), "{other:?}");
        }
        let confirmed = confirm(Some("a"));
        assert_eq!(names(&confirmed), ["discovery.shrink_confirmed"]);
        let [item] = &*confirmed.items else { panic!("{:?}", confirmed.items) };
        assert_eq!(item.record.nodes.keys().collect::<Vec<_>>(), ["n1"]);
        assert!(item.missing_nodes.is_empty(), "they were gone for long enough");
        assert!(confirmed.state.clusters["a"].nodes.held.is_none());
    }

    #[test]
    fn nodes_go_the_same_way_within_their_cluster() {
        let first = run(&DiscoveryState::default(), &with(&["n1", "n2", "n3"]), 1);
        let missing = run(&first.state, &with(&["n1", "n2"]), 2);
        assert_eq!(missing.items[0].missing_nodes, [("n3".to_string(), Timestamp(2))].into());
        assert!(!missing.items[0].record.nodes.contains_key("n3"));
        let held = run(&missing.state, &with(&["n1"]), 3);
        assert_eq!(names(&held), ["discovery.shrink_held"]);
        assert!(held.items.is_empty(), "its item is as it was: n2 is polled on, n3 is missing");
        assert!(held.state.clusters["a"].record.nodes.contains_key("n2"));
        let empty = run(&first.state, &with(&[]), 2);
        assert_eq!(names(&empty), ["discovery.shrink_held"]);
        assert_eq!(empty.state.clusters["a"].record.nodes.len(), 3);
        let third = run(&run(&missing.state, &with(&["n1", "n2"]), 3).state, &with(&["n1", "n2"]), 12);
        assert!(third.items[0].missing_nodes.is_empty() && !third.items[0].record.nodes.contains_key("n3"));
        let back = run(&missing.state, &with(&["n1", "n2", "n3"]), 3);
        assert!(back.items[0].missing_nodes.is_empty() && back.items[0].record.nodes.len() == 3);
    }

    #[test]
    fn what_operators_want_forgotten_goes_at_once_and_is_not_taken_from_the_source_again() {
        let first = run(&DiscoveryState::default(), &answer(&["a", "b"]), 1);
        let forget = |node: Option<&str>| Intent::Forget {
            cluster: "b".into(),
            node: node.map(String::from),
            until: Timestamp(10),
            actor: "ann".into(),
        };
        let (settings, owners) = (ClusterSettings::default(), BTreeMap::new());
        let with = |old: &DiscoveryState, node, now| {
            let intents = Intents::at(Timestamp(now), [forget(node)]);
            run_with(old, &answer(&["a", "b"]), &settings, &owners, intents, now)
        };
        let gone = with(&first.state, None, 2);
        let removal = Removal { at: Timestamp(2), actor: Some("ann".into()) };
        assert_eq!((gone.items.len(), &gone.items[0].removed), (1, &Some(removal)));
        assert!(!with(&gone.state, None, 3).store, "though the source reports it");
        let back = with(&gone.state, None, 10);
        assert_eq!((back.items.len(), back.items[0].removed.is_none()), (1, true));

        let gone = with(&first.state, Some("n1"), 2);
        let item = &gone.items[0];
        assert!(item.record.nodes.is_empty() && item.missing_nodes.is_empty() && item.removed.is_none());
        assert_eq!(item.forgotten_nodes, [("n1".to_string(), "ann".to_string())].into());
        assert!(!with(&gone.state, Some("n1"), 3).store);
        assert_eq!(with(&gone.state, Some("n1"), 10).items[0].record.nodes.len(), 1);

        // What is missing already stays so.
        let missing = run(&first.state, &answer(&["a"]), 2);
        let intents = Intents::at(Timestamp(3), [forget(Some("n1"))]);
        let gone = run_with(&missing.state, &answer(&["a"]), &settings, &owners, intents, 3);
        assert_eq!((gone.items.len(), gone.items[0].missing_since), (1, Some(Timestamp(2))));

        let intents = Intents::at(Timestamp(2), [forget(None)]);
        let (rules, now) = (RULES, Timestamp(2));
        let given =
            Given { name: "fleet", settings: &settings, rules, owners: &owners, intents: &intents, now };
        assert!(first.state.has_to_forget(&intents) && !gone.state.has_to_forget(&Intents::default()));
        let without_a_source = forgotten(&first.state, &given);
        assert_eq!(without_a_source.items.len(), 1);
        assert!(without_a_source.state.clusters.contains_key("a"));
    }

    #[test]
    fn a_cluster_whose_record_was_set_aside_is_not_missing() {
        let first = run(&DiscoveryState::default(), &answer(&["a", "b"]), 1);
        let mut bad = answer(&["a"]);
        bad.rejected.push(RejectedRecord { record: "b".into(), reason: "an address is no URL".into() });
        let next = run(&first.state, &bad, 2);
        assert_eq!(names(&next), ["discovery.record_rejected"]);
        assert!(next.state.absences.is_empty());
    }

    #[test]
    fn as_many_missing_clusters_as_bad_records_are_compared_in_no_time() {
        let ids: Vec<String> = (0..40_000).map(|n| format!("c{n:05}")).collect();
        let clusters = ids.iter().map(|id| (id.clone(), known(id))).collect();
        let old = DiscoveryState { clusters, ..DiscoveryState::default() };
        let rejected = |id: &String| RejectedRecord { record: format!("{id}x"), reason: "no nodes".into() };
        let bad = SourceAnswer { rejected: ids.iter().map(rejected).collect(), ..SourceAnswer::default() };
        let started = std::time::Instant::now();
        let next = run(&old, &bad, 2);
        assert_eq!(next.state.absences.absent.len(), ids.len());
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
        let refresh_interval = Duration::from_secs(5);
        let changed = ClusterSettings { refresh_interval, ..ClusterSettings::default() };
        let (owners, intents) = (BTreeMap::new(), Intents::default());
        let next = run_with(&missing.state, &answer(&["a"]), &changed, &owners, intents, 3);
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
            let settings = ClusterSettings::default();
            run_with(&noted.state, &answer(&["a", "b"]), &settings, &owners, Intents::default(), now)
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
