//! The source `file`: a local file or an object of S3, JSON or YAML, in the form that `http` has.

use std::io::Read;
use std::path::Path;

use replicante_model::record::SourceAnswer;
use replicante_objects::{Fields, Limits};
use replicante_s3::ObjectError;
use serde::{Deserialize, Serialize};

use crate::answer::{Collector, FORM};
use crate::error::{Failure, SourceError};
use crate::{Fetching, Outside, Settings, Source};

/// A file, read at each fetch. `.json` is read as JSON, everything else as YAML, of which JSON is a part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct File {
    /// A local path, where a relative one starts at the working directory of the process that asks; or
    /// `s3://bucket/key`.
    pub path: String,
    /// What it may hold.
    #[serde(default)]
    pub limits: Limits,
}

impl Settings for File {
    const NAME: &'static str = "file";

    fn read(fields: &mut Fields<'_>) -> Option<Self> {
        const EXPECTED: &str = "the path of a local file or s3://bucket/key, JSON or YAML";
        let limits = fields.nested("limits", Limits::read).unwrap_or_default();
        if !fields.has("path") {
            fields.missing("path", EXPECTED);
        }
        let (path, entry) = fields.text("path", EXPECTED)?;
        let file = File { path: path.into(), limits };
        if path.contains('\0') || (path.contains("://") && file.object().is_none()) {
            fields.refuse(entry, EXPECTED);
            return None;
        }
        Some(file)
    }
}

impl File {
    /// Bucket and key, of an object of S3. What a bucket may be named, AWS says.
    fn object(&self) -> Option<(&str, &str)> {
        let (bucket, key) = self.path.strip_prefix("s3://")?.split_once('/')?;
        let in_name = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'-');
        let named = (3..=63).contains(&bucket.len()) && bucket.bytes().all(in_name);
        (named && (1..=1024).contains(&key.len())).then_some((bucket, key))
    }

    async fn ask(&self, outside: &Outside) -> Result<SourceAnswer, Failure> {
        let object = match self.object() {
            Some((bucket, key)) => {
                let got = outside.objects.get(bucket, key, self.limits.bytes).await;
                Some(got.map_err(no_object)?)
            }
            None => None,
        };
        let file = self.clone();
        // Both block: the disk, and the parser of some megabytes.
        let parsed = tokio::task::spawn_blocking(move || {
            let bytes = object.map_or_else(|| file.read_local(), Ok)?;
            file.parse(&bytes)
        });
        match parsed.await {
            Ok(outcome) => outcome,
            Err(ended) => match ended.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_) => Err(unreadable("the process is ending")),
            },
        }
    }

    fn read_local(&self) -> Result<Vec<u8>, Failure> {
        let unreadable = |error: std::io::Error| unreadable(&error.kind().to_string());
        let path = Path::new(&self.path);
        // A pipe or a device would block or never end.
        if !path.metadata().map_err(unreadable)?.is_file() {
            return Err(self::unreadable("it is no regular file"));
        }
        let mut bytes = Vec::new();
        let most = self.limits.bytes;
        let file = std::fs::File::open(path).map_err(unreadable)?;
        file.take(most.saturating_add(1)).read_to_end(&mut bytes).map_err(unreadable)?;
        if bytes.len() as u64 > most {
            return Err(Failure::Limit { limit: "bytes", what: "bytes", most });
        }
        Ok(bytes)
    }

    fn parse(&self, bytes: &[u8]) -> Result<SourceAnswer, Failure> {
        let mut collector = Collector::new(self.limits.clone());
        let extension = Path::new(&self.path).extension();
        let cursor = if extension.is_some_and(|extension| extension.eq_ignore_ascii_case("json")) {
            collector.add_json(bytes)?
        } else {
            let malformed = |error: std::str::Utf8Error| Failure::Malformed {
                format: "YAML",
                problem: error.to_string(),
            };
            collector.add_yaml(std::str::from_utf8(bytes).map_err(malformed)?)?
        };
        match cursor {
            None => Ok(collector.finish()),
            Some(_) => Err(Failure::UnexpectedCursor),
        }
    }
}

fn unreadable(problem: &str) -> Failure {
    let way_out = "check the discovery's `path`, and that the process may read it";
    Failure::Source { problem: format!("the file can't be read: {problem}"), way_out }
}

fn no_object(error: ObjectError) -> Failure {
    let way_out = match error {
        ObjectError::TooLarge(_) => "check what the object holds, or raise `limits.bytes`",
        ObjectError::Refused(_) => {
            "check the discovery's `path`, and that the function's role may read it (SourceBucket of the template)"
        }
        ObjectError::Unreachable(_) | ObjectError::Timeout => {
            "check the region, the credentials and the way to S3"
        }
    };
    Failure::Source { problem: error.to_string(), way_out }
}

impl Source for File {
    fn fetch<'a>(&'a self, outside: &'a Outside) -> Fetching<'a> {
        Box::pin(async move {
            let tried = format!("read {}", self.path);
            self.ask(outside).await.map_err(|failure| SourceError { tried, form: FORM, failure })
        })
    }

    fn shown(&self) -> String {
        match self.object() {
            Some(_) => format!("the object {}", self.path),
            None => format!("the file {}", self.path),
        }
    }
}

#[cfg(test)]
#[path = "file_tests.rs"]
mod tests;
