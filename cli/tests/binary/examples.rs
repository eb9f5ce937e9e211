//! Every example of every `--help`, run on a deployment.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use clap::CommandFactory;
use replicante::args::Cli;

use crate::removal::Deployment;
use crate::replicante;

#[path = "../../src/examples.rs"]
mod help;

use help::Example;

/// What does not end by itself, lasts for minutes, or needs a system of its own; and who runs it instead.
const APART: [(&str, &str); 7] = [
    ("demo", "until Ctrl-C: promises.rs"),
    ("up", "until Ctrl-C: promises.rs"),
    ("fleet", "until Ctrl-C: the tests of the fleet"),
    ("bench", "minutes: CI measures"),
    ("restore-check", "a system that stands still: tests/restore.rs"),
    ("--follow", "until Ctrl-C: history.rs"),
    ("-w", "until Ctrl-C: promises.rs"),
];

/// What can't work on the deployment of this test, and what it says then.
const REFUSED: [(&str, &str); 9] = [
    ("--context prod", "the stack replicante can't be looked up"),
    ("at zk-01 --time", "nothing tells how"),
    ("diff zk-01 --from", "nothing tells how"),
    ("dlq show", "no dead letter has the id 5fd1b2"),
    ("dlq redrive --id", "no dead letter has the id 5fd1b2"),
    ("discovery confirm", "holds no such thing"),
    ("doctor cluster zk-01 --node", "has no node `node-2`"),
    ("forget orders mongo-3", "has no node `mongo-3`"),
    ("delete cluster orders", "there is no object Cluster default/orders"),
];

const DISCOVERY: &str = "apiVersion: replicante.io/v0\nkind: Discovery\nmetadata: { name: other }\nspec:\n  \
                         interval: 60s\n  source: { file: { path: clusters.json } }\n";

/// Waits for the end, but not for ever: exit code, output and errors.
fn ended(mut child: Child, line: &str) -> (Option<i32>, String, String) {
    // Whoever prints to a full pipe waits: both are read meanwhile.
    let out = read(child.stdout.take().unwrap());
    let errors = read(child.stderr.take().unwrap());
    let began = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if began.elapsed() > Duration::from_secs(60) {
            child.kill().unwrap();
            panic!("it does not end: {line}");
        }
        std::thread::sleep(Duration::from_millis(10));
    };
    (status.code(), out.join().unwrap(), errors.join().unwrap())
}

fn read(mut from: impl Read + Send + 'static) -> JoinHandle<String> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        from.read_to_end(&mut bytes).unwrap();
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

fn start(folder: &Path, example: &Example) -> Child {
    let args: Vec<&str> = example.words.iter().skip(1).map(String::as_str).collect();
    let mut child = command(folder, &args).stdin(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    if example.words.iter().any(|word| word == "-") {
        stdin.write_all(DISCOVERY.as_bytes()).unwrap();
    }
    child
}

/// The command of somebody who is in this folder, and has nothing else.
fn command(folder: &Path, args: &[&str]) -> Command {
    let mut command = replicante(args);
    command.current_dir(folder).env("HOME", folder).env("AWS_EC2_METADATA_DISABLED", "true");
    command.env("AWS_PROFILE", "nobody").env_remove("XDG_CONFIG_HOME");
    command
}

#[test]
fn every_example_that_ends_by_itself_does_what_its_help_says() {
    let deployment = Deployment::start(&["orders", "zk-01"]);
    deployment.wait_for(&["orders", "zk-01"]);
    let folder = deployment.folder.path();
    for name in ["discoveries", "objects"] {
        std::fs::create_dir(folder.join(name)).unwrap();
    }
    // What the shell would make of the star.
    for file in ["discovery.yaml", "discoveries/*.yaml", "objects/*.yaml"] {
        let text = DISCOVERY.replace("clusters.json", &folder.join("clusters.json").display().to_string());
        std::fs::write(folder.join(file), text).unwrap();
    }
    std::fs::write(folder.join("eu.json"), "{}").unwrap();
    // Commands stand first, options anywhere.
    let has = |example: &Example, word: &str| {
        example.words[1] == word || word.starts_with('-') && example.words.iter().any(|known| known == word)
    };
    let mut all = help::of(&Cli::command());
    all.retain(|example| !APART.iter().any(|(word, _)| has(example, word)));
    // The help of a command may repeat what that of all its kind shows.
    let mut seen = BTreeSet::new();
    all.retain(|example| seen.insert(example.words.clone()));
    assert!(all.len() > 50, "{}", all.len());
    // Contexts come first, since others name them; then what looks: what acts may take away what is looked at.
    let looks = ["get", "events", "at", "diff", "status", "doctor", "runs", "dlq", "capacity"];
    all.sort_by_key(|example| match example.words[1].as_str() {
        "context" => 0,
        word if looks.contains(&word) => 1,
        "forget" => 3,
        "unforget" => 4,
        "delete" => 5,
        _ => 2,
    });
    for example in &mut all {
        let (mut code, mut out, mut told) = ended(start(folder, example), &example.line);
        if code == Some(2) && told.ends_with("There is no terminal to ask at: add --yes\n") {
            example.words.push("--yes".into());
            (code, out, told) = ended(start(folder, example), &example.line);
        }
        let said = format!("{}\n{out}{told}", example.line);
        assert!(!told.contains("panicked") && !told.contains("For more information, try"), "{said}");
        let typed = example.words[1..].join(" ");
        let refused = REFUSED.iter().find(|(part, _)| typed.contains(part));
        match (code, refused) {
            (Some(1), Some((_, why))) => assert!(told.contains(why), "{said}"),
            // 3 and 4 tell what was found: agents that nobody can connect to.
            (Some(0 | 3 | 4), None) => {}
            _ => panic!("{code:?}: {said}"),
        }
        if typed.starts_with("context use") {
            // The others are for the deployment of this folder.
            assert_eq!(command(folder, &["context", "use", "--none"]).status().unwrap().code(), Some(0));
        }
    }
}
