//! The archive: the stream's records in a file, so that the history survives the process.
//!
//! The embedded stream keeps its records in memory. What PutRecords stores is appended to this file *before* the caller
//! is answered, in the order in which the stream took it. A kill between the two costs a copy: the worker was not
//! answered, and what it owes is published again, to the byte.
//!
//! One line a record: its partition key, a tab, its data. Events are one line of JSON and stand as they are;
//! other data is written as `base64:...`. A last line without an end was being written when the process was
//! killed: nobody was answered for it, and it is cut off.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use replicante_model::Timestamp;
use rustack_kinesis_model::types::PutRecordsRequestEntry;
use serde::Deserialize;

use crate::error::LocalError;

const BINARY: &[u8] = b"base64:";

/// The archive's file.
#[derive(Debug)]
pub struct Archive {
    pub(crate) path: PathBuf,
    file: File,
    /// Where the last whole line ends.
    length: u64,
    /// A failed write may have left part of a line behind `length`.
    torn: bool,
}

impl Archive {
    /// Opens the archive, creating it when it is absent. An unfinished last line is cut off.
    ///
    /// # Errors
    /// When the file can't be opened or repaired.
    pub fn open(path: &Path) -> Result<Self, LocalError> {
        let failed = |action, source| LocalError::File { action, path: path.to_owned(), source };
        let file = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .open(path)
            .map_err(|error| failed("opening", error))?;
        let length = cut_unfinished(&file).map_err(|error| failed("repairing", error))?;
        Ok(Archive { path: path.to_owned(), file, length, torn: false })
    }

    /// Reads all records, in order: partition key and data. Events older than `retention` are left out, and
    /// dropped from the file.
    ///
    /// # Errors
    /// When the file can't be read or rewritten, or a line is no record.
    pub fn load(
        &mut self,
        now: Timestamp,
        retention: Duration,
    ) -> Result<Vec<(String, Vec<u8>)>, LocalError> {
        let path = self.path.clone();
        let failed = |action, source| LocalError::File { action, path: path.clone(), source };
        let oldest = now.minus(retention);
        let mut records = Vec::new();
        let mut expired = false;
        let lines =
            BufReader::new(File::open(&self.path).map_err(|error| failed("reading", error))?).split(b'\n');
        for (index, line) in lines.enumerate() {
            let line = line.map_err(|error| failed("reading", error))?;
            let record = decode(&line).map_err(|problem| LocalError::Archive {
                path: self.path.clone(),
                line: index + 1,
                problem,
            })?;
            match event_time(&record.1) {
                Some(time) if time < oldest => expired = true,
                _ => records.push(record),
            }
        }
        if expired {
            // A new file in its place, so that a kill leaves the one or the other whole.
            let fresh = self.path.with_extension("new");
            let mut file = File::create(&fresh).map_err(|error| failed("writing", error))?;
            let lines: Vec<u8> = records.iter().flat_map(|(key, data)| encode(key, data)).collect();
            file.write_all(&lines)
                .and_then(|()| file.sync_all())
                .and_then(|()| std::fs::rename(&fresh, &self.path))
                .map_err(|error| failed("replacing", error))?;
            self.file =
                OpenOptions::new().append(true).open(&self.path).map_err(|error| failed("opening", error))?;
            self.length = lines.len() as u64;
        }
        Ok(records)
    }

    /// Appends records: all of them, or none.
    pub(crate) fn append(&mut self, records: &[PutRecordsRequestEntry]) -> std::io::Result<()> {
        let lines: Vec<u8> =
            records.iter().flat_map(|record| encode(&record.partition_key, &record.data)).collect();
        self.whole(lines.len() as u64, |file| file.write_all(&lines))
    }

    /// Writes so many bytes at the end. What a failed write (the disk is full) left in part is cut off, at once or
    /// before the next one: a line that is written again must not be glued to it.
    fn whole(
        &mut self,
        bytes: u64,
        write: impl FnOnce(&mut File) -> std::io::Result<()>,
    ) -> std::io::Result<()> {
        if self.torn {
            self.file.set_len(self.length)?;
            self.torn = false;
        }
        let written = write(&mut self.file);
        match written {
            Ok(()) => self.length += bytes,
            Err(_) => self.torn = self.file.set_len(self.length).is_err(),
        }
        written
    }
}

/// Cuts off a last line without an end. Returns the length that is left.
fn cut_unfinished(mut file: &File) -> std::io::Result<u64> {
    let full = file.metadata()?.len();
    let mut end = full;
    let mut block = [0; 64 * 1024];
    while end > 0 {
        let size = end.min(block.len() as u64);
        file.seek(SeekFrom::Start(end - size))?;
        let Some(part) = usize::try_from(size).ok().and_then(|size| block.get_mut(..size)) else { break };
        file.read_exact(part)?;
        if let Some(last) = part.iter().rposition(|byte| *byte == b'\n') {
            end = end - size + last as u64 + 1;
            break;
        }
        end -= size;
    }
    if end < full {
        file.set_len(end)?;
    }
    Ok(end)
}

fn encode(key: &str, data: &[u8]) -> Vec<u8> {
    let mut line = Vec::with_capacity(key.len() + data.len() + 2);
    // Keys of ours are percent-encoded; a foreign one must not break the line.
    line.extend(key.bytes().map(|byte| if matches!(byte, b'\t' | b'\n') { b' ' } else { byte }));
    line.push(b'\t');
    if data.contains(&b'\n') || data.starts_with(BINARY) {
        line.extend_from_slice(BINARY);
        line.extend_from_slice(STANDARD.encode(data).as_bytes());
    } else {
        line.extend_from_slice(data);
    }
    line.push(b'\n');
    line
}

fn decode(line: &[u8]) -> Result<(String, Vec<u8>), String> {
    let tab = line.iter().position(|byte| *byte == b'\t').ok_or("it has no tab behind a partition key")?;
    let key = std::str::from_utf8(&line[..tab]).map_err(|error| error.to_string())?;
    let data = &line[tab + 1..];
    let data = match data.strip_prefix(BINARY) {
        Some(encoded) => STANDARD.decode(encoded).map_err(|error| error.to_string())?,
        None => data.to_vec(),
    };
    Ok((key.to_owned(), data))
}

/// The `time` of an event; `None` for data that is none.
fn event_time(data: &[u8]) -> Option<Timestamp> {
    #[derive(Deserialize)]
    struct Timed {
        time: String,
    }
    serde_json::from_slice::<Timed>(data).ok().and_then(|event| Timestamp::parse(&event.time).ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use proptest::collection::vec;
    use proptest::prelude::*;

    fn record(data: &'static str) -> PutRecordsRequestEntry {
        let data = Bytes::from_static(data.as_bytes());
        PutRecordsRequestEntry { data, partition_key: "k".into(), ..Default::default() }
    }

    #[test]
    fn a_write_that_fails_halfway_leaves_whole_lines_and_is_done_again_on_a_line_of_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("stream.events");
        let mut archive = Archive::open(&path).unwrap();
        archive.append(&[record("one")]).unwrap();
        let full = archive.whole(6, |file| {
            file.write_all(b"k\tt")?;
            Err(std::io::ErrorKind::StorageFull.into())
        });
        assert_eq!(full.unwrap_err().kind(), std::io::ErrorKind::StorageFull);
        assert_eq!(std::fs::read(&path).unwrap(), b"k\tone\n");
        archive.append(&[record("two")]).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"k\tone\nk\ttwo\n");

        // Where it could not be cut off at once it is cut off before the next write.
        std::fs::write(&path, b"k\tone\nk\ttwo\nk\tt").unwrap();
        archive.torn = true;
        archive.append(&[record("three")]).unwrap();
        let records = Archive::open(&path).unwrap().load(Timestamp(0), Duration::ZERO).unwrap();
        let data: Vec<&[u8]> = records.iter().map(|(_, data)| data.as_slice()).collect();
        assert_eq!(data, [b"one".as_slice(), b"two", b"three"]);
    }

    /// Data of all kinds: events, what looks like an encoded line, and bytes.
    fn data() -> impl Strategy<Value = Vec<u8>> {
        prop_oneof![
            "\\{\"time\":\"20(26|99)-01-02T02:04:05Z\"\\}".prop_map(String::into_bytes),
            "base64:[A-Za-z0-9+/=]{0,8}".prop_map(String::into_bytes),
            vec(any::<u8>(), 0..40),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_048))]

        #[test]
        fn what_is_appended_reads_back_to_the_byte(records in vec(("[a-z/%0-9 ü]{0,12}", data()), 0..8)) {
            let folder = tempfile::tempdir().unwrap();
            let mut archive = Archive::open(&folder.path().join("stream.events")).unwrap();
            let entry = |(partition_key, data): &(String, Vec<u8>)| PutRecordsRequestEntry {
                data: data.clone().into(),
                partition_key: partition_key.clone(),
                ..Default::default()
            };
            archive.append(&records.iter().map(entry).collect::<Vec<_>>()).unwrap();
            prop_assert_eq!(archive.load(Timestamp(0), Duration::ZERO).unwrap(), records);
        }

        #[test]
        fn a_damaged_archive_is_read_or_refused_with_its_line(bytes in prop_oneof![
            vec(any::<u8>(), 0..200),
            "((k\t(base64:)?[a-zA-Z0-9=\\{\\}\":]{0,9})?\n){0,6}[k\t]{0,3}".prop_map(String::into_bytes),
        ]) {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("stream.events");
            std::fs::write(&path, &bytes).unwrap();
            let mut archive = Archive::open(&path).unwrap();
            let lines = bytes.iter().filter(|byte| **byte == b'\n').count();
            match archive.load(Timestamp(0), Duration::ZERO) {
                Ok(records) => prop_assert_eq!(records.len(), lines, "what has no end is cut off"),
                Err(LocalError::Archive { line, path: named, .. }) => {
                    prop_assert!((1..=lines).contains(&line) && named == path);
                }
                Err(error) => prop_assert!(false, "{error}"),
            }
            // What is appended afterwards stands on a line of its own.
            archive.append(&[record("new")]).unwrap();
            prop_assert!(std::fs::read(&path).unwrap().split(|byte| *byte == b'\n').any(|line| line == b"k\tnew"));
        }
    }
}
