//! The history of a stream, checked as a reader sees it.

use std::collections::{BTreeMap, HashMap};

use replicante_model::Timestamp;
use replicante_model::change::Change;
use replicante_model::event::Event;
use replicante_model::fold::Fold;
use replicante_model::reader::{Reader, Verdict};
use replicante_model::view::ClusterView;

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
    /// Reads the history as a reader does.
    ///
    /// # Errors
    /// Says which promise is broken: an event that is none or does not fit its schema, a copy that differs, a
    /// gap, a change that does not fit the view, an id under another key.
    pub fn check(&self) -> Result<Checked, String> {
        let mut checked = Checked::default();
        let mut reader = Reader::new();
        let mut folds: BTreeMap<String, Fold> = BTreeMap::new();
        let mut bytes: HashMap<String, &[u8]> = HashMap::new();
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
    /// The events of one record, in short: `agent.down n1`, `shard.changed n1 s1`, ...
    pub fn told(&self, key: &str) -> Vec<String> {
        self.events.get(key).into_iter().flatten().map(|event| tell(&event.change)).collect()
    }
}

/// A change in short.
fn tell(change: &Change) -> String {
    let (node, shard) = change.about();
    let parts = [Some(change.name()), node, shard];
    parts.into_iter().flatten().collect::<Vec<_>>().join(" ")
}
