//! A complete answer, and what follows from it: what is new, what changed, what is missing, what is removed, what is held.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    ClusterSettings, DiscoveryState, KnownCluster, MAX_CHANGES, MAX_CLUSTERS, Run, finish, item,
};
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
        run.state.generation += 1;
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
    run.absent(answer);
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
                let removed = Removal { since: since.unwrap_or(now), actor: Some(actor.clone()) };
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
            for node in nodes.keys() {
                known.record.nodes.remove(node);
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
            !is_absent && known.generation == generation && known.owner == owner && known.forgotten == *forgotten
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
        known.record.nodes.retain(|node, _| !forgotten.contains_key(node));
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
            if let Some(address) = before.record.nodes.get(&node).filter(|_| is_held) {
                known.record.nodes.insert(node, address.clone());
            }
        }
        step.guarded.map(|guarded| shrink(Some(id), guarded, &known.nodes.absent))
    }

    /// What becomes of the clusters that the answer does not name.
    fn absent(&mut self, answer: &SourceAnswer) {
        let Given { name, settings, rules, intents, now, .. } = *self.given;
        // A cluster whose record was set aside is reported, if badly: its last good record stands.
        let set_aside: BTreeSet<&str> = answer.rejected.iter().map(|rejected| &*rejected.record).collect();
        let is_named = |id: &str| answer.clusters.contains_key(id) || set_aside.contains(id);
        let mut named = 0;
        let mut dropped = BTreeSet::new();
        let mut released = Vec::new();
        for (id, known) in &self.state.clusters {
            match (is_named(id), &known.owner) {
                (true, None) => named += 1,
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
        let step =
            self.state.absences.answered(named, &dropped, rules, &intents.clusters, room, now);
        self.more |= step.more;
        if let Some(guarded) = step.guarded {
            self.changes.push(shrink(None, guarded, &self.state.absences.absent));
        }
        for (id, absence) in step.removed {
            let Some(known) = self.state.clusters.remove(&id) else { continue };
            let removed = Removal { since: absence.since, actor: absence.confirmed_by };
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

fn shrink(
    cluster: Option<&str>,
    guarded: Guarded,
    absent: &BTreeMap<String, Absence>,
) -> Change {
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
