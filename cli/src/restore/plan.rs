//! What is to be done with a restored table: pure.

use replicante_aws::RestoreMark;
use replicante_model::restart::restart_epoch;
use replicante_model::{Kind, RecordName, Timestamp};
use replicante_protocol::head::Head;

use crate::restore::survey::Survey;
use crate::restore::told::{EARLIER, Told};
use crate::view::text::{clean, list};

/// Names that one line lists.
const NAMES: usize = 3;

/// Whether the epochs were raised for this restore.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Not yet. The mark, if any, came with the backup, or is to be overridden.
    New(Option<RestoreMark>),
    /// It was begun, and has not come to its end.
    Begun(RestoreMark),
    /// It was done.
    Done(RestoreMark),
}

/// What the mark that stands in the table says. One from before the point in time that the table was restored to was
/// restored with it: it is of an earlier restore.
pub fn standing(mark: Option<&RestoreMark>, restored_to: Timestamp, again: bool) -> Standing {
    match mark {
        Some(mark) if mark.began > restored_to && !again => match mark.done {
            Some(_) => Standing::Done(mark.clone()),
            None => Standing::Begun(mark.clone()),
        },
        mark => Standing::New(mark.cloned()),
    }
}

/// What is to be done.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Whether it goes on where an earlier one ended.
    pub standing: Standing,
    /// The point in time that the table was restored to.
    pub restored_to: Timestamp,
    /// The epoch that all records go on in.
    pub epoch: u64,
    /// What stands in the table.
    pub survey: Survey,
    /// What the stream tells since.
    pub told: Told,
}

impl Plan {
    /// Decides the epoch: that of the mark where it was begun, else above all that were seen.
    pub fn new(
        standing: Standing,
        survey: Survey,
        told: Told,
        restored_to: Timestamp,
        now: Timestamp,
    ) -> Self {
        let epoch = match &standing {
            Standing::Begun(mark) | Standing::Done(mark) => mark.epoch,
            Standing::New(known) => {
                let marked = known.as_ref().map_or(0, |mark| mark.epoch);
                restart_epoch(now, survey.highest().max(told.highest()).max(marked))
            }
        };
        Plan { standing, restored_to, epoch, survey, told }
    }

    /// The heads that are still to be raised.
    pub fn heads(&self) -> impl Iterator<Item = &Head> {
        self.survey.heads.iter().filter(|head| head.epoch < self.epoch)
    }

    /// The records that the stream knows and the table does not: they were found after the backup.
    pub fn unknown(&self, kind: Kind) -> Vec<&RecordName> {
        let of_kind = self.told.records.iter().filter(|(record, _)| record.kind == kind);
        let unknown = of_kind.filter(|(record, last)| !last.removed && !self.has_head(record));
        unknown.map(|(record, _)| record).collect()
    }

    fn has_head(&self, record: &RecordName) -> bool {
        // They stand in order.
        self.survey.heads.binary_search_by(|head| head.record.cmp(record)).is_ok()
    }

    /// The heads that the stream is ahead of, with the stream's last number: it has events that the table knows nothing
    /// of.
    pub fn behind(&self) -> Vec<(&Head, u64)> {
        let ahead = |head: &&Head| {
            let last = self.told.records.get(&head.record)?;
            let is_ahead = (last.epoch, last.sequence) > (head.epoch, head.sequence);
            is_ahead.then_some(last.sequence)
        };
        self.heads().filter_map(|head| Some((head, ahead(&head)?))).collect()
    }

    /// What people are told before they agree.
    pub fn lines(&self, table: &str) -> Vec<String> {
        let Plan { survey, told, restored_to, epoch, .. } = self;
        let mut lines = vec![format!("table {}, restored to {restored_to}", clean(table))];
        if let Standing::Begun(mark) = &self.standing {
            lines.push(format!(
                "  begun at {} by {}, and not finished: it goes on from there",
                mark.began,
                clean(&mark.actor)
            ));
        }
        let of = |kind: Kind| survey.heads.iter().filter(|head| head.record.kind == kind).count();
        lines.push(format!(
            "  {}, {}, {}",
            count(of(Kind::Cluster), "cluster", "clusters"),
            count(of(Kind::Discovery), "discovery", "discoveries"),
            count(survey.tombstones.len(), "tombstone", "tombstones"),
        ));
        if let (Some((first, _)), Some((last, _))) = (survey.worked().min(), survey.worked().max()) {
            lines.push(format!("  last worked on between {first} and {last}"));
        }
        if let Some((at, record)) = survey.worked_since(*restored_to) {
            lines.push(format!(
                "  {record} was worked on at {at}, after the restore: what was told since has numbers that the stream had"
            ));
        }
        let owing = self.heads().filter(|head| head.owed).count();
        if owing > 0 {
            let owe = if owing == 1 { "owes" } else { "owe" };
            lines.push(format!(
                "  {} {owe} events or items: they go out first",
                count(owing, "record", "records")
            ));
        }
        lines.push(format!(
            "stream: {} since {}",
            count(usize::try_from(told.events).unwrap_or(usize::MAX), "event", "events"),
            restored_to.minus(EARLIER)
        ));
        let behind = self.behind();
        if !behind.is_empty() {
            let of = |(head, last): &(&Head, u64)| format!("{} ({} of {last})", head.record, head.sequence);
            let names = list(behind.iter().map(of), NAMES);
            lines.push(format!(
                "  the table is behind it in {}: {names}",
                count(behind.len(), "record", "records")
            ));
        }
        let unknown = |kind: Kind| {
            let names: Vec<String> = self.unknown(kind).into_iter().map(ToString::to_string).collect();
            (!names.is_empty()).then(|| list(names, NAMES))
        };
        if let Some(names) = unknown(Kind::Cluster) {
            lines.push(format!(
                "  found after the backup: {names}; readers are told that they are removed, and what their source still \
                 reports returns"
            ));
        }
        if let Some(names) = unknown(Kind::Discovery) {
            lines.push(format!("  applied after the backup: {names}; apply them again"));
        }
        lines.push(format!(
            "{} and {} go on in epoch {epoch}; each cluster begins it with a snapshot of what is stored",
            count(self.heads().count(), "record", "records"),
            count(
                survey.tombstones.iter().filter(|tombstone| tombstone.epoch < *epoch).count(),
                "tombstone",
                "tombstones"
            ),
        ));
        lines
    }
}

/// A number of things, in words that fit it.
pub fn count(number: usize, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::restore::told::Last;
    use replicante_aws::Tombstone;
    use std::time::Duration;

    const NOW: Timestamp = Timestamp(1_767_319_445_000);
    const MINUTE: Duration = Duration::from_secs(60);

    fn mark(began: Timestamp, done: Option<Timestamp>) -> RestoreMark {
        let restored_to = began.minus(MINUTE);
        RestoreMark { restored_to, began, epoch: 1_767_000_000, actor: "ann".into(), again: None, done }
    }

    #[test]
    fn a_mark_of_before_the_backup_came_with_it_and_one_of_after_it_is_of_this_restore() {
        let earlier = mark(NOW.minus(9 * MINUTE), Some(NOW.minus(8 * MINUTE)));
        assert_eq!(standing(Some(&earlier), NOW, false), Standing::New(Some(earlier.clone())));
        let before = NOW.minus(10 * MINUTE);
        assert_eq!(standing(Some(&earlier), before, false), Standing::Done(earlier.clone()));
        assert_eq!(standing(Some(&earlier), before, true), Standing::New(Some(earlier)), "somebody said why");
        let begun = mark(NOW.minus(9 * MINUTE), None);
        assert_eq!(standing(Some(&begun), before, false), Standing::Begun(begun.clone()));
        assert_eq!(standing(None, NOW, false), Standing::New(None));
        let plan = Plan::new(Standing::Begun(begun), Survey::default(), Told::default(), before, NOW);
        assert_eq!(plan.epoch, 1_767_000_000, "it goes on in the epoch that it began with");
    }

    #[test]
    fn the_epoch_is_above_those_of_heads_tombstones_the_stream_and_an_earlier_restore() {
        let record = || RecordName::cluster("default", "orders");
        let plan = |head: u64, gone: u64, last: u64, marked: u64| {
            let mut known = Head::new(record(), MINUTE, true, NOW);
            known.epoch = head;
            let tombstones =
                vec![Tombstone { record: record(), fence: 1, epoch: gone, sequence: 7, told: 0 }];
            let last = Last { epoch: last, sequence: 1, time: NOW, removed: false };
            let told = Told { records: [(record(), last)].into(), ..Told::default() };
            let mark = RestoreMark { epoch: marked, ..mark(NOW, Some(NOW)) };
            let survey = Survey { heads: vec![known], tombstones };
            Plan::new(Standing::New(Some(mark)), survey, told, NOW, NOW).epoch
        };
        let far = 2_000_000_000;
        assert_eq!(plan(1, 1, 1, 1), 1_767_319_445);
        for epoch in [plan(far, 1, 1, 1), plan(1, far, 1, 1), plan(1, 1, far, 1), plan(1, 1, 1, far)] {
            assert_eq!(epoch, far + 1);
        }
    }

    #[test]
    fn people_are_told_what_will_be_done() {
        let name = |id: &str| RecordName::cluster("default", id);
        let created = NOW.minus(600 * MINUTE);
        let mut orders = Head::new(name("orders"), MINUTE, true, created);
        (orders.sequence, orders.owed, orders.queued_at) = (42, true, NOW.minus(90 * MINUTE));
        let mut zk = Head::new(name("zk"), MINUTE, true, created);
        (zk.sequence, zk.queued_at) = (7, NOW.minus(91 * MINUTE));
        let fleet = Head::new(RecordName::discovery("default", "fleet"), MINUTE, true, created);
        let tombstones = vec![Tombstone { record: name("old"), fence: 3, epoch: 5, sequence: 7, told: 0 }];
        let survey = Survey { heads: vec![fleet, orders.clone(), zk.clone()], tombstones };
        let last = |epoch: u64, sequence: u64, removed: bool| Last { epoch, sequence, time: NOW, removed };
        let records = [
            (name("orders"), last(orders.epoch, 46, false)),
            (name("zk"), last(zk.epoch, 7, false)),
            (name("new"), last(zk.epoch + 9, 3, false)),
            (name("short-lived"), last(zk.epoch + 9, 3, true)),
            (RecordName::discovery("default", "late"), last(9, 1, false)),
        ];
        let told = Told { records: records.into(), events: 12, unreadable: 0 };
        let plan = Plan::new(Standing::New(None), survey, told, NOW.minus(60 * MINUTE), NOW);
        insta::assert_snapshot!(plan.lines("replicante-restored").join("\n"), @"
        table replicante-restored, restored to 2026-01-02T01:04:05.000Z
          2 clusters, 1 discovery, 1 tombstone
          last worked on between 2026-01-02T00:33:05.000Z and 2026-01-02T00:34:05.000Z
          1 record owes events or items: they go out first
        stream: 12 events since 2026-01-02T00:49:05.000Z
          the table is behind it in 1 record: cluster/default/orders (42 of 46)
          found after the backup: cluster/default/new; readers are told that they are removed, and what their source still reports returns
          applied after the backup: discovery/default/late; apply them again
        3 records and 1 tombstone go on in epoch 1767319445; each cluster begins it with a snapshot of what is stored
        ");
    }
}
