//! Position and effect, in one place: a page of the stream is one transaction.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::path::Path;
use std::time::Duration;

use replicante_model::Timestamp;
use replicante_model::change::Change;
use replicante_model::event::Event;
use replicante_model::fold::Fold;
use replicante_model::reader::{Position, Reader, Verdict};
use rusqlite::{Connection, Transaction, params};

use crate::Failure;
use crate::shards::{Checkpoint, Page};

/// What stands in the file. `applied` is this example's effect, and so are the views; the rest is its place.
const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS shards (id TEXT PRIMARY KEY, last TEXT, ended INTEGER NOT NULL);
    CREATE TABLE IF NOT EXISTS records (
        name TEXT PRIMARY KEY, epoch INTEGER NOT NULL, sequence INTEGER NOT NULL,
        view TEXT NOT NULL, parts TEXT NOT NULL
    );
    CREATE TABLE IF NOT EXISTS applied (
        record TEXT NOT NULL, epoch INTEGER NOT NULL, sequence INTEGER NOT NULL, type TEXT NOT NULL, time TEXT NOT NULL
    );
    CREATE TABLE IF NOT EXISTS gaps (
        record TEXT NOT NULL, epoch INTEGER NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL
    );";

/// The file, and in memory what it says.
pub struct Store {
    database: Connection,
    reader: Reader,
    clusters: HashMap<String, Cluster>,
    reported: HashSet<(String, u64)>,
}

/// What is known of one cluster.
#[derive(Default)]
struct Cluster {
    fold: Fold,
    /// The parts of a snapshot that is not complete yet.
    parts: Vec<Change>,
}

impl Store {
    /// Opens the file, or makes it.
    pub fn open(path: &Path) -> Result<Self, Failure> {
        let database = Connection::open(path)?;
        database.execute_batch(SCHEMA)?;
        let (mut reader, mut clusters) = (Reader::new(), HashMap::new());
        let mut query = database.prepare("SELECT name, epoch, sequence, view, parts FROM records")?;
        let mut rows = query.query([])?;
        while let Some(row) = rows.next()? {
            let name: String = row.get(0)?;
            reader.join(&name, Position { epoch: row.get(1)?, sequence: row.get(2)? });
            let (view, parts): (String, String) = (row.get(3)?, row.get(4)?);
            let parts: Vec<Change> = serde_json::from_str(&parts)?;
            let mut fold = Fold::from(serde_json::from_str(&view)?);
            parts.iter().try_for_each(|part| fold.apply(part))?;
            clusters.insert(name, Cluster { fold, parts });
        }
        drop(rows);
        drop(query);
        Ok(Store { database, reader, clusters, reported: HashSet::new() })
    }

    /// How far each shard was read.
    pub fn checkpoints(&self) -> Result<BTreeMap<String, Checkpoint>, Failure> {
        let mut query = self.database.prepare("SELECT id, last, ended FROM shards")?;
        let rows = query
            .query_map([], |row| Ok((row.get(0)?, Checkpoint { last: row.get(1)?, ended: row.get(2)? })))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Takes a page: all of it and the place behind it, or, with an error, nothing. After an error the store is to be
    /// opened again: what it has in memory may be ahead of the file.
    pub fn take(&mut self, shard: &str, page: &Page, now: Timestamp) -> Result<(), Failure> {
        if page.records.is_empty() && !page.checkpoint.ended {
            return Ok(());
        }
        let transaction = self.database.transaction()?;
        let mut touched = BTreeSet::new();
        for (record, data) in &page.records {
            // Discoveries have no snapshots and no view: this example passes them over.
            if !record.starts_with("cluster/") {
                continue;
            }
            let event: Event = serde_json::from_slice(data)?;
            match self.reader.judge(record, &event, now) {
                Verdict::Copy | Verdict::Wait => continue,
                Verdict::Unreadable => return Err(format!("{}: no position", event.id).into()),
                Verdict::Restart { missed } => gap(&transaction, record, &event, missed)?,
                Verdict::Apply => {}
            }
            let at = self.reader.position(record);
            if at.sequence == 1 {
                self.clusters.remove(record);
            }
            let cluster = self.clusters.entry(record.clone()).or_default();
            cluster.apply(&event.change).map_err(|error| format!("{}: {error}", event.id))?;
            transaction.execute(
                "INSERT INTO applied VALUES (?1, ?2, ?3, ?4, ?5)",
                params![record, at.epoch, at.sequence, event.change.name(), event.time],
            )?;
            touched.insert(record);
        }
        for record in touched {
            let (at, cluster) = (self.reader.position(record), &self.clusters[record]);
            let view = serde_json::to_string(&cluster.fold.view)?;
            transaction.execute(
                "INSERT OR REPLACE INTO records VALUES (?1, ?2, ?3, ?4, ?5)",
                params![record, at.epoch, at.sequence, view, serde_json::to_string(&cluster.parts)?],
            )?;
        }
        let Checkpoint { last, ended } = &page.checkpoint;
        transaction
            .execute("INSERT OR REPLACE INTO shards VALUES (?1, ?2, ?3)", params![shard, last, ended])?;
        Ok(transaction.commit()?)
    }

    /// The records whose next number is missing for so long, with that number; each of them once. The time counts from
    /// when this process saw that the number is missing.
    pub fn overdue(&mut self, now: Timestamp, patience: Duration) -> Vec<(String, u64)> {
        let missing = self.reader.missing_for(now, patience);
        let missing = missing.into_iter().map(|(record, number)| (record.to_owned(), number));
        missing.filter(|missing| self.reported.insert(missing.clone())).collect()
    }
}

impl Cluster {
    fn apply(&mut self, change: &Change) -> Result<(), Failure> {
        self.fold.apply(change)?;
        if let Change::ClusterSnapshot(part) = change {
            if part.part == 1 {
                self.parts.clear();
            }
            self.parts.push(change.clone());
            if part.part == part.parts {
                self.parts.clear();
            }
        }
        Ok(())
    }
}

/// Notes what a snapshot stands for: the changes from the first to the last missed were not seen one by one.
fn gap(
    transaction: &Transaction<'_>,
    record: &str,
    event: &Event,
    missed: (u64, u64),
) -> Result<(), Failure> {
    eprintln!("{record}: numbers {} to {} were missed; a snapshot stands for them", missed.0, missed.1);
    let epoch = event.position().map(|(epoch, _)| epoch);
    transaction
        .execute("INSERT INTO gaps VALUES (?1, ?2, ?3, ?4)", params![record, epoch, missed.0, missed.1])?;
    Ok(())
}
