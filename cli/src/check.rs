//! The product's promise, checked: folding a cluster's events gives its stored view.

use std::collections::BTreeMap;

use replicante_aws::{AwsError, Table};
use replicante_model::fold::{Fold, FoldError};
use replicante_model::view::{ClusterState, ClusterView};
use replicante_model::{Kind, RecordName};

use crate::order::{Oddity, Seen};
use crate::records::heads;
use crate::view::text::list;

/// The views that the events so far tell.
#[derive(Debug, Default)]
pub struct Folds {
    clusters: BTreeMap<RecordName, Fold>,
    errors: BTreeMap<RecordName, FoldError>,
}

impl Folds {
    /// Applies an event. The first that does not fit its cluster is kept.
    pub fn apply(&mut self, seen: &Seen) {
        if seen.record.kind != Kind::Cluster {
            return;
        }
        let fold = self.clusters.entry(seen.record.clone()).or_default();
        if let Err(error) = fold.apply(&seen.event.change) {
            self.errors.entry(seen.record.clone()).or_insert(error);
        }
    }

    /// The view of each cluster.
    pub fn views(&self) -> impl Iterator<Item = (&RecordName, &ClusterView)> {
        self.clusters.iter().filter_map(|(record, fold)| Some((record, fold.view.as_ref()?)))
    }

    /// Compares with what is stored. Nobody may write meanwhile.
    ///
    /// # Errors
    /// When the table can't be read.
    pub async fn check(&self, table: &Table) -> Result<Check, AwsError> {
        let mut check = Check::default();
        let mut unstored: BTreeMap<_, _> = self.views().collect();
        for head in heads(table, Kind::Cluster).await? {
            let Some((head, state)) = table.look::<ClusterState>(&head.record).await? else { continue };
            let stored = state.and_then(|state| state.view);
            let folded = self.clusters.get(&head.record).and_then(|fold| fold.view.as_ref());
            unstored.remove(&head.record);
            if folded.is_none() && stored.is_none() {
                // Discovered, and not refreshed yet: there is nothing to compare.
                continue;
            }
            if folded == stored.as_ref() {
                check.equal += 1;
            } else {
                let error = self.errors.get(&head.record).map(ToString::to_string);
                let why = match error {
                    _ if head.owed => "its last events are not published yet".to_owned(),
                    Some(error) => error,
                    None => difference(folded, stored.as_ref()),
                };
                check.different.push(format!("{}: {why}", head.record));
            }
        }
        let invented = |record| format!("{record}: the stream has events of it, and nothing is stored");
        check.different.extend(unstored.into_keys().map(invented));
        Ok(check)
    }
}

/// How folded and stored views compare.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Check {
    /// Clusters whose views are equal.
    pub equal: usize,
    /// The others, with what is different.
    pub different: Vec<String>,
    /// What else is wrong: events that are missing, or that there was nothing to compare.
    pub faults: Vec<String>,
}

impl Check {
    /// Takes note of what a reader of the whole stream found odd: nothing may be.
    pub fn note(&mut self, oddities: &[Oddity]) {
        self.faults.extend(oddities.iter().map(ToString::to_string));
    }

    /// Takes note of how many clusters there should be something of: nothing compared is nothing shown.
    pub fn expect(&mut self, clusters: usize) {
        if clusters > 0 && self.equal + self.different.len() == 0 {
            self.faults
                .push(format!("of {clusters} clusters none was refreshed: there was nothing to compare"));
        }
    }

    /// Whether the promise held.
    pub fn holds(&self) -> bool {
        self.different.is_empty() && self.faults.is_empty()
    }
}

fn difference(folded: Option<&ClusterView>, stored: Option<&ClusterView>) -> String {
    match (folded, stored) {
        (None, _) => "it is stored, and the stream has no event of it".into(),
        (_, None) => "the stream has events of it, and nothing is stored".into(),
        (Some(folded), Some(stored)) => {
            let nodes = stored.nodes.keys().chain(folded.nodes.keys());
            let mut other: Vec<&String> =
                nodes.filter(|id| folded.nodes.get(*id) != stored.nodes.get(*id)).collect();
            other.sort_unstable();
            other.dedup();
            if other.is_empty() {
                "it differs in what is said of the cluster as a whole".into()
            } else {
                format!("it differs in {}", list(other, 3))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_compared_is_no_promise_held_where_there_are_clusters() {
        let mut check = Check::default();
        check.expect(0);
        assert!(check.holds());
        check.expect(24);
        assert!(!check.holds());
        let mut check = Check { equal: 1, ..Check::default() };
        check.expect(24);
        assert!(check.holds());
    }

    #[test]
    fn an_event_that_is_missing_breaks_the_promise() {
        let mut check = Check { equal: 1, ..Check::default() };
        check.note(&[]);
        assert!(check.holds());
        check.note(&[Oddity::Gap { record: "cluster/default/zk-01".into(), from: 2, to: 3 }]);
        assert!(!check.holds());
        assert_eq!(check.faults, ["cluster/default/zk-01: events 2 to 3 are missing from the stream"]);
    }
}
