//! The archive: the stream's records in a file, so that the history survives the process.
//!
//! The embedded stream keeps its records in memory. This layer stands before it: what PutRecords stores is
//! appended to a file *before* the caller is answered, in the order in which the stream took it. A kill between
//! the two costs a copy: the worker was not answered, and what it owes is published again, to the byte.
//!
//! One line a record: its partition key, a tab, its data. Events are one line of JSON and stand as they are;
//! other data is written as `base64:...`. A last line without an end was being written when the process was
//! killed: nobody was answered for it, and it is cut off.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use replicante_model::Timestamp;
use rustack_kinesis_core::handler::RustackKinesisHandler;
use rustack_kinesis_core::provider::RustackKinesis;
use rustack_kinesis_http::body::KinesisResponseBody;
use rustack_kinesis_http::dispatch::KinesisHandler;
use rustack_kinesis_model::error::{KinesisError, KinesisErrorCode};
use rustack_kinesis_model::input::{PutRecordInput, PutRecordsInput};
use rustack_kinesis_model::operations::KinesisOperation;
use rustack_kinesis_model::types::PutRecordsRequestEntry;
use serde::Deserialize;
use tokio::sync::Mutex;

use crate::error::LocalError;

const BINARY: &[u8] = b"base64:";
/// Records that are put back at once: PutRecords takes 500 records and 5 MiB.
const REPLAY: usize = 4;

/// The archive's file.
#[derive(Debug)]
pub struct Archive {
    path: PathBuf,
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
    fn append(&mut self, records: &[PutRecordsRequestEntry]) -> std::io::Result<()> {
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

/// The embedded stream behind its archive.
pub(crate) struct ArchivedStream {
    provider: Arc<RustackKinesis>,
    inner: RustackKinesisHandler,
    /// Held over storing and archiving, so that both have one order.
    archive: Option<Arc<Mutex<Archive>>>,
}

impl ArchivedStream {
    pub(crate) fn new(provider: Arc<RustackKinesis>, archive: Option<Archive>) -> Self {
        let inner = RustackKinesisHandler::new(Arc::clone(&provider));
        ArchivedStream { provider, inner, archive: archive.map(|archive| Arc::new(Mutex::new(archive))) }
    }

    /// Puts archived records back into the stream, as if they arrived now.
    pub(crate) async fn replay(
        provider: &RustackKinesis,
        stream: &str,
        records: Vec<(String, Vec<u8>)>,
    ) -> Result<(), LocalError> {
        let mut records = records.into_iter().peekable();
        while records.peek().is_some() {
            let entries: Vec<PutRecordsRequestEntry> = records
                .by_ref()
                .take(REPLAY)
                .map(|(partition_key, data)| PutRecordsRequestEntry {
                    data: Bytes::from(data),
                    partition_key,
                    ..Default::default()
                })
                .collect();
            let input = PutRecordsInput {
                records: entries,
                stream_name: Some(stream.to_owned()),
                ..Default::default()
            };
            let output =
                provider.put_records(input).await.map_err(|error| LocalError::Replay(error.to_string()))?;
            if output.failed_record_count.unwrap_or(0) > 0 {
                return Err(LocalError::Replay("the stream refused a record".into()));
            }
        }
        Ok(())
    }
}

type Answer = Pin<Box<dyn Future<Output = Result<http::Response<KinesisResponseBody>, KinesisError>> + Send>>;

impl KinesisHandler for ArchivedStream {
    fn handle_operation(&self, operation: KinesisOperation, body: Bytes) -> Answer {
        let Some(archive) = &self.archive else { return self.inner.handle_operation(operation, body) };
        let malformed = |error: serde_json::Error| {
            KinesisError::with_message(KinesisErrorCode::InvalidArgumentException, error.to_string())
        };
        let (archive, provider) = (Arc::clone(archive), Arc::clone(&self.provider));
        match operation {
            KinesisOperation::PutRecords => Box::pin(async move {
                let input: PutRecordsInput = serde_json::from_slice(&body).map_err(malformed)?;
                let records = input.records.clone();
                let mut archive = archive.lock().await;
                let output = provider.put_records(input).await?;
                keep(&mut archive, &records)?;
                drop(archive);
                respond(&output)
            }),
            KinesisOperation::PutRecord => Box::pin(async move {
                let input: PutRecordInput = serde_json::from_slice(&body).map_err(malformed)?;
                let record = PutRecordsRequestEntry {
                    data: input.data.clone(),
                    partition_key: input.partition_key.clone(),
                    ..Default::default()
                };
                let mut archive = archive.lock().await;
                let output = provider.put_record(input).await?;
                keep(&mut archive, std::slice::from_ref(&record))?;
                drop(archive);
                respond(&output)
            }),
            _ => self.inner.handle_operation(operation, body),
        }
    }
}

fn keep(archive: &mut Archive, records: &[PutRecordsRequestEntry]) -> Result<(), KinesisError> {
    archive.append(records).map_err(|error| {
        let message = format!("the archive {} can't be written: {error}", archive.path.display());
        KinesisError::with_message(KinesisErrorCode::InternalFailureException, message)
    })
}

fn respond(output: &impl serde::Serialize) -> Result<http::Response<KinesisResponseBody>, KinesisError> {
    let json = serde_json::to_vec(output).map_err(|error| {
        KinesisError::with_message(KinesisErrorCode::InternalFailureException, error.to_string())
    })?;
    Ok(rustack_kinesis_http::response::json_response(json, "local"))
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
