//! The commands that the documents name can be typed as they stand there.

use std::path::Path;

use clap::Parser;

use super::Cli;
use crate::examples::words;

/// The commands of ours in the blocks of a document, with the prompt of captured ones taken off.
fn commands(text: &str) -> Vec<String> {
    let (mut shell, mut found) = (false, Vec::new());
    for line in text.lines() {
        match line.strip_prefix("```") {
            Some(kind) => shell = !shell && (kind == "sh" || kind == "console"),
            None if shell => {
                let typed = line.strip_prefix("$ ").unwrap_or(line);
                let typed = typed.replace("cargo run --release -- ", "replicante ");
                // What such a command prints begins with the same word, and two spaces.
                if typed.starts_with("replicante ") && !typed.starts_with("replicante  ") {
                    found.push(typed);
                }
            }
            None => {}
        }
    }
    found
}

#[test]
fn every_command_of_the_documents_can_be_typed() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut files = vec![root.join("README.md"), root.join("localstack/README.md")];
    let docs = std::fs::read_dir(root.join("docs")).unwrap();
    files.extend(
        docs.map(|entry| entry.unwrap().path()).filter(|path| path.extension().is_some_and(|it| it == "md")),
    );
    let (mut typed, mut wrong) = (0, Vec::new());
    for file in files {
        for line in commands(&std::fs::read_to_string(&file).unwrap()) {
            typed += 1;
            let Err(error) = Cli::try_parse_from(words(&line.replace('"', "'"))) else { continue };
            // Captured to show what is refused.
            let is_shown = error.use_stderr() && file.ends_with("cli.md");
            if !is_shown {
                wrong.push(format!("{}: {line}: {error}", file.display()));
            }
        }
    }
    assert!(typed > 60, "they are found: {typed}");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_is_typed_is_told_from_what_is_printed() {
    let text = "replicante up\n```sh\nreplicante get clusters\nsam build\n```\n```console\n$ replicante status\nreplicante  all is well\n```\n";
    assert_eq!(commands(text), ["replicante get clusters", "replicante status"]);
}
