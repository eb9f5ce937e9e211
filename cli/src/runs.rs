//! The log of tasks that `up` keeps in its data folder: one line of JSON each, in two files of bounded size.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use replicante_model::event::Cause;
use replicante_model::time::millis;
use replicante_model::{RecordName, Timestamp};
use replicante_worker::TaskReport;
use serde::{Deserialize, Serialize};

/// The file that is written, and the one before it.
const FILE: &str = "runs.jsonl";
const BEFORE: &str = "runs.before.jsonl";
/// The most bytes of each: some ten thousands of tasks.
const FULL: u64 = 8 * 1024 * 1024;

/// The line that a worker writes of a task, as far as it is read.
#[derive(Deserialize)]
struct Logged {
    fields: Fields,
}

#[derive(Deserialize)]
struct Fields {
    message: String,
    record: String,
    cause: String,
    actor: Option<String>,
    outcome: String,
    duration_ms: i64,
    late_ms: Option<i64>,
    #[serde(default)]
    events: u64,
    error: Option<String>,
}

/// What a task did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// When it began: RFC 3339, UTC.
    pub at: String,
    /// Its record: `cluster/default/orders`.
    pub record: String,
    /// Why it was sent.
    pub cause: Cause,
    /// Who asked, for manual ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
    /// How it ended: `unchanged`, `changed`, `failed`, ...
    pub outcome: String,
    /// How long it took, in milliseconds.
    pub ms: i64,
    /// How long after its time it began, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub late_ms: Option<i64>,
    /// Events that it committed.
    #[serde(default)]
    pub events: u64,
    /// What failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl Run {
    /// What a line of a worker's log says, which was written at this time, when the task ended. `None`: it is of no task.
    pub fn of_line(line: &str, at: Timestamp) -> Option<Self> {
        let Logged { fields } = serde_json::from_str(line).ok()?;
        let cause = serde_json::from_value(fields.cause.to_lowercase().into()).ok()?;
        let took = Duration::from_millis(u64::try_from(fields.duration_ms).ok()?);
        (fields.message == "task").then(|| Run {
            at: at.minus(took).rfc3339(),
            record: fields.record,
            cause,
            actor: fields.actor,
            outcome: fields.outcome,
            ms: fields.duration_ms,
            late_ms: fields.late_ms,
            events: fields.events,
            error: fields.error,
        })
    }

    /// What a report says.
    pub fn of(report: &TaskReport) -> Self {
        Run {
            at: report.began.rfc3339(),
            record: report.task.record.key(),
            cause: report.task.cause,
            actor: report.task.actor.clone(),
            outcome: report.outcome.as_str().into(),
            ms: millis(report.duration),
            late_ms: report.late.map(millis),
            events: report.events,
            error: report.error.clone(),
        }
    }
}

/// Writes the log.
#[derive(Debug)]
pub struct RunLog {
    folder: PathBuf,
    file: File,
    size: u64,
    full: u64,
}

impl RunLog {
    /// Opens the log of a data folder, behind what it holds.
    ///
    /// # Errors
    /// When the file can't be opened.
    pub fn open(folder: &Path) -> std::io::Result<Self> {
        let mut file = File::options().create(true).read(true).append(true).open(folder.join(FILE))?;
        let mut size = file.seek(SeekFrom::End(0))?;
        let mut last = [b'\n'];
        if size > 0 {
            file.seek(SeekFrom::Current(-1))?;
            file.read_exact(&mut last)?;
        }
        if last != [b'\n'] {
            // A process that was killed in the middle of a line: the next one begins a new line.
            file.write_all(b"\n")?;
            size += 1;
        }
        Ok(RunLog { folder: folder.to_owned(), file, size, full: FULL })
    }

    /// Adds a line. A full file takes the place of the one before it.
    ///
    /// # Errors
    /// When the file can't be written.
    pub fn add(&mut self, run: &Run) -> std::io::Result<()> {
        let mut line = serde_json::to_vec(run)?;
        line.push(b'\n');
        let length = u64::try_from(line.len()).unwrap_or(u64::MAX);
        if self.size > 0 && self.size.saturating_add(length) > self.full {
            std::fs::rename(self.folder.join(FILE), self.folder.join(BEFORE))?;
            let full = self.full;
            *self = RunLog { full, ..Self::open(&self.folder)? };
        }
        self.file.write_all(&line)?;
        self.size += length;
        Ok(())
    }
}

/// The last so many tasks of a record that are asked for, oldest first. None where there is no log.
///
/// # Errors
/// When a file can't be read.
pub fn last(
    folder: &Path,
    record: &RecordName,
    most: usize,
    is_asked: impl Fn(&Run) -> bool,
) -> std::io::Result<Vec<Run>> {
    let key = record.key();
    let mut runs = Vec::new();
    for name in [BEFORE, FILE] {
        let text = match std::fs::read(folder.join(name)) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        // A line that was cut off, or is another release's, is passed over.
        let lines = text.split(|byte| *byte == b'\n');
        let read = lines.filter_map(|line| serde_json::from_slice::<Run>(line).ok());
        runs.extend(read.filter(|run| run.record == key && is_asked(run)));
    }
    runs.drain(..runs.len().saturating_sub(most));
    Ok(runs)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(number: i64, id: &str) -> Run {
        Run {
            at: number.to_string(),
            record: RecordName::cluster("default", id).key(),
            cause: Cause::Schedule,
            actor: None,
            outcome: "unchanged".into(),
            ms: 12,
            late_ms: Some(3),
            events: 0,
            error: None,
        }
    }

    fn times(folder: &Path, id: &str, most: usize) -> Vec<i64> {
        let runs = last(folder, &RecordName::cluster("default", id), most, |_| true).unwrap();
        runs.into_iter().map(|run| run.at.parse().unwrap()).collect()
    }

    #[test]
    fn the_last_tasks_of_a_record_are_found_again() {
        let folder = tempfile::tempdir().unwrap();
        assert!(times(folder.path(), "a", 9).is_empty(), "no log yet");
        let mut log = RunLog::open(folder.path()).unwrap();
        for number in 1..=6 {
            log.add(&run(number, if number % 2 == 0 { "a" } else { "b" })).unwrap();
        }
        assert_eq!(times(folder.path(), "a", 9), [2, 4, 6]);
        assert_eq!(times(folder.path(), "b", 2), [3, 5]);
        let failed = |run: &Run| run.outcome == "failed";
        assert!(last(folder.path(), &RecordName::cluster("default", "a"), 9, failed).unwrap().is_empty());
    }

    #[test]
    fn a_line_of_a_workers_log_says_what_a_task_did() {
        let line = r#"{"timestamp":"2026-01-02T02:04:05.678Z","level":"WARN","fields":{"message":"task",
            "record":"cluster/default/a","cause":"Manual","actor":"ann","outcome":"failed","duration_ms":1500,
            "write_units":2.0,"error":"throttled"}}"#;
        let at = Timestamp::parse("2026-01-02T02:04:07Z").unwrap();
        let expected = Run {
            at: "2026-01-02T02:04:05.500Z".into(),
            cause: Cause::Manual,
            actor: Some("ann".into()),
            outcome: "failed".into(),
            ms: 1500,
            late_ms: None,
            error: Some("throttled".into()),
            ..run(0, "a")
        };
        assert_eq!(Run::of_line(line, at), Some(expected));
        assert_eq!(Run::of_line(&line.replace("\"task\"", "\"pass\""), at), None);
        for other in ["", "START RequestId: 1", r#"{"fields":{"message":"task"}}"#] {
            assert_eq!(Run::of_line(other, at), None);
        }
    }

    #[test]
    fn the_log_stays_within_two_files_of_its_size() {
        let folder = tempfile::tempdir().unwrap();
        let mut log = RunLog::open(folder.path()).unwrap();
        log.full = 1000;
        for number in 0..100 {
            log.add(&run(number, "a")).unwrap();
        }
        let sizes = [FILE, BEFORE].map(|name| std::fs::metadata(folder.path().join(name)).unwrap().len());
        assert!(sizes.iter().all(|size| (1..=1000).contains(size)), "{sizes:?}");
        let kept = times(folder.path(), "a", 100);
        assert_eq!(kept.last(), Some(&99));
        assert!(kept.windows(2).all(|two| two[1] == two[0] + 1) && kept.len() > 6, "{kept:?}");
    }

    #[test]
    fn a_line_that_was_cut_off_costs_no_other() {
        let folder = tempfile::tempdir().unwrap();
        RunLog::open(folder.path()).unwrap().add(&run(1, "a")).unwrap();
        let mut file = File::options().append(true).open(folder.path().join(FILE)).unwrap();
        file.write_all(b"{\"at\":\"2026-").unwrap();
        RunLog::open(folder.path()).unwrap().add(&run(2, "a")).unwrap();
        assert_eq!(times(folder.path(), "a", 9), [1, 2]);
    }
}
