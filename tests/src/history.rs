//! The history of a stream, checked as a reader sees it.

use std::collections::{BTreeMap, HashMap};

use replicante_aws::{Start, Stream, Table};
use replicante_model::change::Change;
use replicante_model::event::Event;
use replicante_model::fold::Fold;
use replicante_model::name::SPREAD_SHARDS;
use replicante_model::reader::{Reader, Verdict};
use replicante_model::view::{ClusterState, ClusterView};
use replicante_model::{Kind, Timestamp};
use replicante_protocol::head::Head;

use crate::system::Failure;

/// All records of a stream, in the order in which they stand in it.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// Partition key and data.
    pub records: Vec<(String, Vec<u8>)>,
}

/// What a reader makes of a history: each event once, in order, by record.
#[derive(Debug, Default)]
pub struct Checked {
    /// The events of each record.
    pub events: BTreeMap<String, Vec<Event>>,
    /// What the events of each cluster fold to.
    pub views: BTreeMap<String, ClusterView>,
    /// Records of the stream that were copies.
    pub copies: usize,
}

impl History {
    /// The whole stream, from the start.
    ///
    /// # Errors
    /// When it can't be read.
    pub async fn read(stream: &Stream) -> Result<Self, Failure> {
        let mut history = History::default();
        for mut shard in stream.shards(Start::Oldest, None).await? {
            loop {
                let page = shard.next_page().await?;
                history.records.extend(page.records.into_iter().map(|record| (record.key, record.data)));
                if page.at_end {
                    break;
                }
            }
        }
        Ok(history)
    }

    /// Reads the history as a reader does.
    ///
    /// # Errors
    /// Says which promise is broken: an event that is none or does not fit its schema, a copy that differs, a
    /// gap, a change that does not fit the view, an id under another key, changes of an object out of order or told twice.
    pub fn check(&self) -> Result<Checked, String> {
        let mut checked = Checked::default();
        let mut reader = Reader::new();
        let mut folds: BTreeMap<String, Fold> = BTreeMap::new();
        let mut bytes: HashMap<String, &[u8]> = HashMap::new();
        let mut objects: HashMap<(&str, String), u64> = HashMap::new();
        for (key, data) in &self.records {
            let text = String::from_utf8_lossy(data);
            let event: Event = serde_json::from_slice(data).map_err(|error| format!("{error}: {text}"))?;
            replicante_event_schemas::validate(data).map_err(|error| format!("{error}: {text}"))?;
            let record = event.record().map_err(|error| error.to_string())?;
            if record.key() != *key {
                return Err(format!("{} stands under the key {key}", event.id));
            }
            if let Some(first) = bytes.insert(event.id.clone(), data)
                && first != data.as_slice()
            {
                return Err(format!("two copies of {} differ: {text}", event.id));
            }
            match reader.judge(key, &event, Timestamp::ZERO) {
                Verdict::Copy => {
                    checked.copies += 1;
                    continue;
                }
                Verdict::Wait => continue,
                Verdict::Apply => {}
                Verdict::Restart { missed } => return Err(format!("{key} lacks {missed:?}")),
                Verdict::Unreadable => return Err(format!("{} has no position", event.id)),
            }
            let fold = folds.entry(key.clone()).or_default();
            fold.apply(&event.change).map_err(|error| format!("{}: {error}", event.id))?;
            if let Change::ObjectApplied(change) | Change::ObjectDeleted(change) = &event.change {
                let epoch = event.epoch.clone();
                // A table that was restored tells again, in a new epoch, what came since.
                let last = objects.insert((key, epoch), change.version).unwrap_or(0);
                if change.version <= last {
                    return Err(format!(
                        "{}: change {} of its object, after {last}",
                        event.id, change.version
                    ));
                }
            }
            checked.events.entry(key.clone()).or_default().push(event);
        }
        if !reader.waiting().is_empty() {
            return Err(format!("numbers that never came: {:?}", reader.waiting()));
        }
        checked.views =
            folds.into_iter().filter_map(|(key, fold)| fold.view.map(|view| (key, view))).collect();
        Ok(checked)
    }
}

impl Checked {
    /// Compares with what is stored, while nobody writes. Nothing is lost: each head's last event was read. Nothing is
    /// invented: no record has events beyond its head, and stored and folded views are the same, in both directions.
    /// A head that still owes is excused from its last events being read. The last event of a record that has ended, or
    /// that has returned and told nothing yet, is that it was removed; a discovery that goes on in a new epoch may have told
    /// nothing yet.
    ///
    /// # Errors
    /// Says what is broken.
    pub async fn compare(&self, table: &Table) -> Result<(), Failure> {
        let mut unstored: BTreeMap<&String, &Vec<Event>> = self.events.iter().collect();
        for kind in [Kind::Discovery, Kind::Cluster] {
            for shard in 0..SPREAD_SHARDS {
                for head in table.heads(kind, shard).await?.heads {
                    unstored.remove(&head.record.key());
                    self.compare_one(table, &head).await?;
                }
            }
        }
        for (key, events) in unstored {
            if !ends(events) {
                let problem = "the stream has events of it, the last is no removal, and there is no head";
                return Err(format!("{key}: {problem}").into());
            }
        }
        Ok(())
    }

    async fn compare_one(&self, table: &Table, head: &Head) -> Result<(), Failure> {
        let key = head.record.key();
        let last = self.events.get(&key).and_then(|events| events.last()?.position());
        // A discovery begins an epoch without a word.
        let earlier =
            head.record.kind == Kind::Discovery || self.events.get(&key).is_some_and(|events| ends(events));
        let read = match last {
            Some((epoch, _)) if head.sequence == 0 && epoch < head.epoch && earlier => (head.epoch, 0),
            last => last.unwrap_or((head.epoch, 0)),
        };
        let (least, most) =
            if head.owed { (head.published, head.sequence) } else { (head.sequence, head.sequence) };
        if read.0 != head.epoch || !(least..=most).contains(&read.1) {
            return Err(format!("{key}: {read:?} is the last event in the stream, of {head:?}").into());
        }
        if head.record.kind == Kind::Cluster && read.1 == head.sequence {
            let state: Option<ClusterState> = table.look(&head.record).await?.and_then(|(_, state)| state);
            let (stored, folded) = (state.and_then(|state| state.view), self.views.get(&key));
            if stored.as_ref() != folded {
                return Err(
                    format!("{key}: the stream folds to\n{folded:#?}\nand stored is\n{stored:#?}").into()
                );
            }
        }
        Ok(())
    }

    /// The events of one record, in short: `agent.down n1`, `shard.changed n1 s1`, ... But for those of its object: each
    /// test applies some.
    pub fn told(&self, key: &str) -> Vec<String> {
        self.all_told(key).into_iter().filter(|told| !told.starts_with("object.")).collect()
    }

    /// The numbers of the changes of its object that the events of a record tell.
    pub fn changes_told(&self, key: &str) -> Vec<u64> {
        let number = |event: &Event| match &event.change {
            Change::ObjectApplied(change) | Change::ObjectDeleted(change) => Some(change.version),
            _ => None,
        };
        self.events.get(key).into_iter().flatten().filter_map(number).collect()
    }

    /// All of them.
    pub fn all_told(&self, key: &str) -> Vec<String> {
        self.events.get(key).into_iter().flatten().map(|event| tell(&event.change)).collect()
    }
}

/// Whether these are the events of a record that has ended.
fn ends(events: &[Event]) -> bool {
    events.last().is_some_and(|event| matches!(event.change, Change::ClusterRemoved { .. }))
}

/// A change in short.
fn tell(change: &Change) -> String {
    let (node, shard) = change.about();
    let parts = [Some(change.name()), node, shard];
    parts.into_iter().flatten().collect::<Vec<_>>().join(" ")
}
