//! The source `file`: a local file, JSON or YAML, in the form that `http` has.

use std::io::Read;
use std::path::Path;

use replicante_model::record::SourceAnswer;
use replicante_objects::FileSource;

use crate::answer::Collector;
use crate::error::{Failure, SourceError};
use crate::{Fetching, Source};

/// Reads a local file at each fetch. `.json` is read as JSON, everything else as YAML, of which JSON is a part.
pub(crate) struct File {
    spec: FileSource,
}

impl File {
    pub fn new(spec: FileSource) -> Self {
        File { spec }
    }
}

impl Source for File {
    fn fetch(&self) -> Fetching<'_> {
        Box::pin(async {
            let spec = self.spec.clone();
            // Both block: the disk, and the parser of some megabytes.
            let outcome = match tokio::task::spawn_blocking(move || read(&spec)).await {
                Ok(outcome) => outcome,
                Err(ended) => match ended.try_into_panic() {
                    Ok(panic) => std::panic::resume_unwind(panic),
                    Err(_) => Err(Failure::File("the process is ending".into())),
                },
            };
            outcome.map_err(|failure| SourceError { tried: format!("read {}", self.spec.path), failure })
        })
    }
}

fn read(spec: &FileSource) -> Result<SourceAnswer, Failure> {
    let unreadable = |error: std::io::Error| Failure::File(error.kind().to_string());
    let path = Path::new(&spec.path);
    // A pipe or a device would block or never end.
    if !path.metadata().map_err(unreadable)?.is_file() {
        return Err(Failure::File("it is no regular file".into()));
    }
    let mut bytes = Vec::new();
    let most = spec.limits.bytes;
    let file = std::fs::File::open(path).map_err(unreadable)?;
    file.take(most.saturating_add(1)).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > most {
        return Err(Failure::Limit { limit: "bytes", what: "bytes", most });
    }
    let mut collector = Collector::new(spec.limits.clone());
    let cursor = if path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("json")) {
        collector.add_json(&bytes)?
    } else {
        let malformed =
            |error: std::str::Utf8Error| Failure::Malformed { format: "YAML", problem: error.to_string() };
        collector.add_yaml(std::str::from_utf8(&bytes).map_err(malformed)?)?
    };
    match cursor {
        None => Ok(collector.finish()),
        Some(_) => Err(Failure::UnexpectedCursor),
    }
}

#[cfg(test)]
#[path = "file_tests.rs"]
mod tests;
