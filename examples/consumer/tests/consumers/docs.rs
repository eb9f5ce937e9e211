//! The pages quote the examples, and name files that are there.

use std::path::Path;

const CONSUMERS: &str = include_str!("../../../../docs/consumers.md");
const GUARANTEES: &str = include_str!("../../../../docs/guarantees.md");
const RUST: [&str; 3] = [
    include_str!("../../src/main.rs"),
    include_str!("../../src/shards.rs"),
    include_str!("../../src/store.rs"),
];
const PYTHON: [&str; 1] = [include_str!("../../../consumer.py")];

/// The fenced blocks of this language.
fn blocks(language: &str) -> Vec<&'static str> {
    let fence = format!("```{language}\n");
    CONSUMERS.split(fence.as_str()).skip(1).filter_map(|rest| rest.split("```").next()).collect()
}

/// Lines without their indentation.
fn lines(text: &str) -> String {
    text.lines().map(|line| format!("{}\n", line.trim())).collect()
}

#[test]
fn what_the_page_quotes_stands_in_the_examples() {
    for (language, sources) in [("rust", &RUST[..]), ("python", &PYTHON[..])] {
        let blocks = blocks(language);
        assert!(!blocks.is_empty(), "nothing is quoted in {language}");
        for block in blocks {
            let quoted = lines(block);
            assert!(
                sources.iter().any(|source| lines(source).contains(&quoted)),
                "not in the example:\n{block}"
            );
        }
    }
}

#[test]
fn what_the_pages_link_to_is_there() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs");
    for page in [CONSUMERS, GUARANTEES] {
        let links = page.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        let files: Vec<&str> = links
            .filter(|link| !link.starts_with("http"))
            .filter_map(|link| link.split('#').next())
            .filter(|file| !file.is_empty())
            .collect();
        assert!(!files.is_empty());
        for file in files {
            assert!(docs.join(file).exists(), "{file} is not there");
        }
    }
}
