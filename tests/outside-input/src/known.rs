//! Valid documents: what real agents answered, and the events that the model's tests keep.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use serde_json::Value;

fn folder(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)
}

/// All files below a folder whose name ends in `.json`, in the order of their paths.
fn files(folder: &Path, found: &mut Vec<Vec<u8>>) {
    let mut paths: Vec<_> = folder.read_dir().unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    for path in paths {
        if path.is_dir() {
            files(&path, found);
        } else if path.extension().is_some_and(|ending| ending == "json") {
            found.push(std::fs::read(path).unwrap());
        }
    }
}

/// The recorded bodies of agents of both protocols, as they are.
pub(crate) fn agents() -> &'static [Vec<u8>] {
    static BODIES: OnceLock<Vec<Vec<u8>>> = OnceLock::new();
    BODIES.get_or_init(|| {
        let mut bodies = Vec::new();
        files(&folder("tests/recorded"), &mut bodies);
        assert!(bodies.len() > 100);
        bodies
    })
}

/// The recorded bodies that are JSON.
pub(crate) fn agents_json() -> &'static [Value] {
    static BODIES: OnceLock<Vec<Value>> = OnceLock::new();
    BODIES.get_or_init(|| agents().iter().filter_map(|body| serde_json::from_slice(body).ok()).collect())
}

/// An event of each type.
pub(crate) fn events() -> &'static [Value] {
    static EVENTS: OnceLock<Vec<Value>> = OnceLock::new();
    EVENTS.get_or_init(|| {
        let mut events = Vec::new();
        files(&folder("shared/model/tests/golden/events"), &mut events);
        events.iter().map(|event| serde_json::from_slice(event).unwrap()).collect()
    })
}
