//! The recordings of real agents, for tests.

use std::path::{Path, PathBuf};

pub(crate) struct Answer {
    /// The folder: what was going on.
    pub(crate) scenario: String,
    /// The file's name without its ending: node, transport and request.
    pub(crate) name: String,
    /// `None` where the agent did not answer.
    pub(crate) status: Option<u16>,
    pub(crate) body: Vec<u8>,
}

pub(crate) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/recorded")
}

/// All recorded answers of one protocol to one request (`info-agent`), in the order of their paths.
pub(crate) fn answers(api: &str, request: &str) -> Vec<Answer> {
    let mut found = Vec::new();
    let mut scenarios: Vec<_> =
        folder().join(api).read_dir().unwrap().map(|entry| entry.unwrap().path()).collect();
    scenarios.sort();
    for scenario in scenarios {
        let mut files: Vec<_> = scenario.read_dir().unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        for file in files.iter().filter(|file| file.extension().is_some_and(|ending| ending == "http")) {
            let name = file.file_stem().unwrap().to_str().unwrap().to_owned();
            if name.rsplit('.').next() != Some(request) {
                continue;
            }
            let text = std::fs::read_to_string(file).unwrap();
            let status = text.split("# -> ").nth(1).unwrap()[..3].parse().unwrap();
            let body = std::fs::read(file.with_extension("json")).unwrap_or_default();
            let scenario = scenario.file_name().unwrap().to_str().unwrap().to_owned();
            found.push(Answer { scenario, name, status: Some(status).filter(|status| *status != 0), body });
        }
    }
    found
}
