//! docs/events.md names every type that there is, and none that there is not.

use std::collections::BTreeSet;

use crate::examples::examples;

const DOCS: &str = include_str!("../../../../docs/events.md");

/// Types that the design has and no code emits yet: named in one line, outside of the tables.
const NOT_YET: [&str; 5] = [
    "cluster.removed",
    "node.removed",
    "discovery.shrink_held",
    "discovery.shrink_confirmed",
    "discovery.shrink_resolved",
];

/// The first cells of the tables' rows, and the second: a type and the original's code for it.
fn rows() -> Vec<(String, String)> {
    DOCS.lines()
        .filter(|line| line.starts_with("| `"))
        .filter_map(|line| {
            let mut cells = line.trim_matches('|').split('|').map(|cell| cell.trim().replace('`', ""));
            Some((cells.next()?, cells.next()?))
        })
        .filter(|(first, _)| first.contains('.'))
        .collect()
}

fn names() -> BTreeSet<String> {
    examples().iter().map(|change| change.name().to_string()).collect()
}

#[test]
fn every_type_has_one_row_in_the_docs_and_no_row_is_of_a_type_that_does_not_exist() {
    let listed: Vec<String> = rows().into_iter().map(|(name, _)| name).collect();
    let once: BTreeSet<String> = listed.iter().cloned().collect();
    assert_eq!(once.len(), listed.len(), "a type stands twice");
    assert_eq!(once, names());
}

#[test]
fn the_docs_name_no_type_that_does_not_exist() {
    let known = names();
    let (ours, not_yet) = (known.iter().map(String::as_str), NOT_YET.into_iter());
    let allowed: BTreeSet<&str> = ours.chain(not_yet).collect();
    let kinds = ["cluster.", "agent.", "node.", "shard.", "action.", "discovery.", "object."];
    let pieces = DOCS.split('`').skip(1).step_by(2);
    for word in pieces.map(|word| word.trim_start_matches("io.replicante.")) {
        let is_type = kinds.iter().any(|kind| word.starts_with(kind)) && !word.ends_with(".json");
        assert!(!is_type || allowed.contains(word), "`{word}` is no type");
    }
}

#[test]
fn the_originals_codes_stand_beside_the_types_that_had_one() {
    let codes = [
        ("cluster.new", "CLUSTER_NEW"),
        ("cluster.changed", "CLUSTER_CHANGED"),
        ("agent.new", "AGENT_NEW"),
        ("agent.up", "AGENT_UP"),
        ("agent.down", "AGENT_DOWN"),
        ("agent.info_new", "AGENT_INFO_NEW"),
        ("agent.info_changed", "AGENT_INFO_CHANGED"),
        ("node.new", "NODE_NEW"),
        ("node.changed", "NODE_CHANGED"),
        ("node.up", "NODE_UP"),
        ("node.down", "NODE_DOWN"),
        ("shard.new", "SHARD_ALLOCATION_NEW"),
        ("shard.changed", "SHARD_ALLOCATION_CHANGED"),
        ("action.new", "ACTION_NEW"),
        ("action.changed", "ACTION_CHANGED"),
        ("action.finished", "ACTION_FINISHED"),
        ("action.lost", "ACTION_LOST"),
    ];
    let with_code: Vec<(String, String)> = rows().into_iter().filter(|(_, code)| !code.is_empty()).collect();
    let expected: BTreeSet<(String, String)> =
        codes.iter().map(|(name, code)| ((*name).to_string(), (*code).to_string())).collect();
    assert_eq!(with_code.into_iter().collect::<BTreeSet<_>>(), expected);
}
