//! Pauses: what operators want to be left alone for a while. The command line writes them, the schedulers go by them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::name::RecordName;
use crate::time::Timestamp;

/// A pause of one record, or of everything: no scheduler sends tasks for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pause {
    /// Since when.
    pub since: Timestamp,
    /// Until when. `None`: until somebody ends it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Who said so.
    pub actor: String,
    /// Who ended it before its time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_by: Option<String>,
}

impl Pause {
    /// Whether it is in force.
    pub fn is_on(&self, now: Timestamp) -> bool {
        self.end() > now
    }

    /// When it ends; the end of time, when nobody has said.
    pub fn end(&self) -> Timestamp {
        self.until.unwrap_or(Timestamp(i64::MAX))
    }
}

/// The pauses that are stored: those in force, and those that ended lately.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pauses {
    /// That of everything.
    pub all: Option<Pause>,
    /// Those of single records.
    pub records: BTreeMap<RecordName, Pause>,
}

impl Pauses {
    /// Both pauses that a record may have: that of everything, and its own.
    fn of(&self, record: &RecordName) -> impl Iterator<Item = &Pause> {
        self.all.iter().chain(self.records.get(record))
    }

    /// Until when a record was paused last, or is; zero when it never was.
    pub fn until(&self, record: &RecordName) -> Timestamp {
        self.of(record).map(Pause::end).max().unwrap_or(Timestamp::ZERO)
    }

    /// The pause that a record is under: of two, the one that ends later.
    pub fn on(&self, record: &RecordName, now: Timestamp) -> Option<&Pause> {
        self.of(record).filter(|pause| pause.is_on(now)).max_by_key(|pause| pause.end())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_767_319_445_000);

    fn pause(until: Option<i64>) -> Pause {
        let until = until.map(|millis| Timestamp(NOW.0 + millis));
        Pause { since: NOW, until, reason: None, actor: "ann".into(), ended_by: None }
    }

    #[test]
    fn a_pause_ends_at_its_end_and_one_without_lasts() {
        assert!(pause(Some(1)).is_on(NOW) && !pause(Some(0)).is_on(NOW));
        assert!(pause(None).is_on(Timestamp(i64::MAX - 1)));
    }

    #[test]
    fn of_the_pause_of_everything_and_a_records_own_the_later_end_counts() {
        let (orders, other) =
            (RecordName::cluster("default", "orders"), RecordName::discovery("default", "orders"));
        let mut pauses = Pauses::default();
        assert_eq!((pauses.until(&orders), pauses.on(&orders, NOW)), (Timestamp::ZERO, None));
        pauses.records.insert(orders.clone(), pause(Some(5)));
        assert_eq!(pauses.until(&orders), Timestamp(NOW.0 + 5));
        assert_eq!(pauses.until(&other), Timestamp::ZERO, "of another kind");
        pauses.all = Some(pause(Some(9)));
        assert_eq!(
            (pauses.until(&orders), pauses.until(&other)),
            (Timestamp(NOW.0 + 9), Timestamp(NOW.0 + 9))
        );
        pauses.all = Some(pause(Some(-9)));
        assert_eq!(pauses.on(&orders, NOW), Some(&pause(Some(5))), "that of everything has ended");
        assert_eq!(pauses.on(&other, NOW), None);
    }
}
