//! Files of objects: read and checked as a whole, so that nothing is half applied.

use std::collections::HashMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use replicante_aws::{AwsError, ObjectKind, ObjectWrite, Table};
use replicante_model::{RecordName, Timestamp};
use replicante_objects::{Object, ObjectError, Problem, parse};
use replicante_sources::kinds;

use crate::error::CliError;
use crate::progress;

/// Reads all objects of all files; `-` is the standard input.
///
/// # Errors
/// All errors of all files, by line.
pub fn read(files: &[PathBuf], tick: Duration) -> Result<Vec<Object>, CliError> {
    let mut objects = Vec::new();
    let mut errors = Vec::new();
    let mut seen: HashMap<RecordName, String> = HashMap::new();
    for path in files {
        let (name, text) = text(path)?;
        match parse(&name, &text, tick, &kinds()) {
            Err(found) => errors.extend(found),
            Ok(found) => {
                for located in found {
                    let place = format!("{name}:{}", located.line);
                    match seen.insert(located.value.name(), place) {
                        None => objects.push(located.value),
                        Some(first) => errors.push(repeated(&name, located.line, &located.value, &first)),
                    }
                }
            }
        }
    }
    if errors.is_empty() { Ok(objects) } else { Err(CliError::Objects(errors)) }
}

/// Reads objects from text that this program made.
///
/// # Errors
/// All errors of the text.
pub fn parse_text(name: &str, text: &str, tick: Duration) -> Result<Vec<Object>, CliError> {
    let objects = parse(name, text, tick, &kinds()).map_err(CliError::Objects)?;
    Ok(objects.into_iter().map(|located| located.value).collect())
}

fn text(path: &Path) -> Result<(String, String), CliError> {
    if path == Path::new("-") {
        let mut text = String::new();
        std::io::stdin()
            .read_to_string(&mut text)
            .map_err(|error| CliError::file("reading", "the standard input", error))?;
        return Ok(("-".into(), text));
    }
    let text = std::fs::read_to_string(path).map_err(|error| CliError::file("reading", path, error))?;
    Ok((path.display().to_string(), text))
}

fn repeated(file: &str, line: u64, object: &Object, first: &str) -> ObjectError {
    let problem = Problem::Syntax(format!("{} is given again, first at {first}", title(object)));
    ObjectError { file: file.into(), line, problem }
}

/// Kind and name of an object, as users write them.
pub fn title(object: &Object) -> String {
    let metadata = object.metadata();
    let kind = match object {
        Object::Discovery(_) => "Discovery",
        Object::Cluster(_) => "Cluster",
    };
    format!("{kind} {}/{}", metadata.namespace, metadata.name)
}

/// What applying an object does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// There was none.
    Created,
    /// It was another.
    Updated,
    /// It is stored just so.
    Unchanged,
}

impl Effect {
    /// The word.
    pub fn as_str(self) -> &'static str {
        match self {
            Effect::Created => "created",
            Effect::Updated => "updated",
            Effect::Unchanged => "unchanged",
        }
    }
}

/// Stores the objects that are not stored just so, as somebody's. Returns what became of each.
///
/// # Errors
/// When the table can't be read or written.
pub async fn apply(
    table: &Table,
    objects: &[Object],
    actor: &str,
    dry_run: bool,
) -> Result<Vec<Effect>, AwsError> {
    let mut effects = Vec::with_capacity(objects.len());
    let mut writes = Vec::new();
    progress::all("objects compared", objects.len() as u64);
    for object in objects {
        let write = ObjectWrite::from(object);
        let known = table.object(write.kind, &write.namespace, &write.name).await?;
        let effect = match &known {
            None => Effect::Created,
            Some(known) if known.json == write.json => Effect::Unchanged,
            Some(_) => Effect::Updated,
        };
        effects.push(effect);
        progress::step(1);
        if effect != Effect::Unchanged {
            writes.push(write);
        }
    }
    if !dry_run {
        progress::say("storing objects");
        table.apply(&writes, actor, Timestamp::now()).await?;
    }
    Ok(effects)
}

/// The stored object of a record, if there is one that this release can read.
///
/// # Errors
/// When the table can't be read.
pub async fn stored(table: &Table, record: &RecordName) -> Result<Option<Object>, AwsError> {
    let kind = match record.kind {
        replicante_model::Kind::Discovery => ObjectKind::Discovery,
        replicante_model::Kind::Cluster => ObjectKind::Cluster,
    };
    let object = table.object(kind, &record.namespace, &record.id).await?;
    Ok(object.and_then(|object| Object::from_json(&object.json).ok()))
}
