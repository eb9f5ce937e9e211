//! Every example of every `--help`, run on a deployment.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use clap::CommandFactory;
use replicante::args::Cli;
use replicante_aws::Table;
use replicante_model::change::{Change, ClusterHeader};
use replicante_model::view::Health;
use replicante_model::{RecordName, Timestamp};
use replicante_protocol::head::Head;

use crate::history::Rig;
use crate::removal::Deployment;
use crate::replicante;

#[path = "../../src/examples.rs"]
pub mod help;

use help::Example;

/// How an example is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum How {
    /// On a deployment: it ends by itself.
    Ends,
    /// It ends by Ctrl-C: on the same, or as a system of its own.
    Lasts,
    /// On a history that was made up: a deployment of this moment has none, and is never still.
    Past,
    /// With arguments that make it quick.
    Quick(&'static [&'static str]),
}

fn how(example: &Example) -> How {
    let words: Vec<&str> = example.words.iter().map(String::as_str).collect();
    let has = |word: &str| words.contains(&word);
    match &words[1..] {
        ["demo" | "up" | "fleet", ..] => How::Lasts,
        ["get" | "events", ..] if has("-w") || has("--follow") => How::Lasts,
        ["at" | "diff" | "restore-check", ..] => How::Past,
        ["bench", "refresh", ..] => How::Quick(&["--for", "200ms"]),
        ["bench", "size", ..] => How::Quick(&["--nodes", "10", "--shards", "100"]),
        ["bench", "schedule", ..] => How::Quick(&["--clusters", "100"]),
        ["bench", "history", ..] => How::Quick(&["--records", "1000", "--rate", "100", "--for", "1s"]),
        ["bench", "hanging", ..] => How::Quick(&["--clusters", "10", "--interval", "1s"]),
        _ => How::Ends,
    }
}

/// All examples that are tried so, each once: the help of a command may repeat what that of all its kind shows.
fn examples(wanted: impl Fn(How) -> bool) -> Vec<Example> {
    let mut seen = BTreeSet::new();
    let mut all = help::of(&Cli::command());
    all.retain(|example| wanted(how(example)) && seen.insert(example.words.clone()));
    all
}

/// What can't work on the deployment of this test, and what it says then.
const REFUSED: [(&str, &str); 7] = [
    ("--context prod", "the stack replicante can't be looked up"),
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
    let mut all = examples(|how| how == How::Ends);
    assert!(all.len() > 50, "{}", all.len());
    // Contexts come first, since others name them; then what looks: what acts may take away what is looked at.
    let looks = ["get", "events", "status", "doctor", "runs", "dlq", "capacity"];
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

/// Waits until it has said this, then ends it as Ctrl-C does: exit code and errors. `meanwhile` is done until then.
fn interrupted(
    mut child: Child,
    line: &str,
    says: &str,
    mut meanwhile: impl FnMut(),
) -> (Option<i32>, String) {
    let errors = read(child.stderr.take().unwrap());
    let out = child.stdout.take().unwrap();
    let (said, hears) = std::sync::mpsc::channel();
    let rest = std::thread::spawn(move || {
        let lines = BufReader::new(out).lines().map_while(Result::ok);
        lines.for_each(|line| drop(said.send(line)));
    });
    let began = Instant::now();
    let mut heard = String::new();
    // Of whatever is said, where it is not said what.
    while heard.is_empty() || !heard.contains(says) {
        match hears.recv_timeout(Duration::from_millis(500)) {
            Ok(line) => heard.push_str(&line),
            Err(_) => {
                let is_over = child.try_wait().unwrap().is_some();
                if is_over || began.elapsed() > Duration::from_secs(60) {
                    let _ = child.kill();
                    panic!("{line}: it never said `{says}`: {heard}\n{}", errors.join().unwrap());
                }
                meanwhile();
            }
        }
    }
    let sent = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(sent.success());
    let began = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        assert!(began.elapsed() < Duration::from_secs(60), "{line}: it does not end");
        std::thread::sleep(Duration::from_millis(10));
    };
    rest.join().unwrap();
    (status.code(), errors.join().unwrap())
}

#[test]
fn every_example_that_lasts_is_ended_by_ctrl_c_with_0() {
    let deployment = Deployment::start(&["orders", "zk-01"]);
    deployment.wait_for(&["orders", "zk-01"]);
    // Systems of their own have a folder of their own.
    let apart = tempfile::tempdir().unwrap();
    std::fs::create_dir(apart.path().join("examples")).unwrap();
    for file in ["examples/discovery.yaml", "mine.yaml", "FILE"] {
        std::fs::write(apart.path().join(file), DISCOVERY).unwrap();
    }
    let script = r#"[{"at": "2s", "change": {"change": "agent", "cluster": "zk-01", "node": "node-2", "state": "gone"}}]"#;
    std::fs::write(apart.path().join("history.json"), script).unwrap();
    let all = examples(|how| how == How::Lasts);
    assert!(all.len() > 10, "{}", all.len());
    let mut begins = true;
    for mut example in all {
        let command = example.words[1].clone();
        let folder = if ["get", "events"].contains(&command.as_str()) {
            deployment.folder.path()
        } else {
            apart.path()
        };
        if command == "fleet" {
            // That of the example may be in use.
            example.words.extend(["--port".into(), "0".into()]);
        }
        // Whoever follows events waits for one.
        let change = || {
            let (word, more): (_, &[&str]) =
                if begins { ("begin", &["--until", "1h"]) } else { ("end", &[]) };
            if command == "events" {
                let (code, _, errors) = deployment.run(&[&["maintenance", word, "zk-01"], more].concat());
                assert_eq!(code, Some(0), "{errors}");
                begins = !begins;
            }
        };
        // The demo compares what was refreshed: something has to be.
        let says = if command == "demo" { "cluster.new" } else { "" };
        let (code, told) = interrupted(start(folder, &example), &example.line, says, change);
        assert!(code == Some(0) && !told.contains("panicked"), "{}: {code:?} {told}", example.line);
    }
}

#[test]
fn every_example_of_the_past_is_answered_from_a_history() {
    let mut rig = Rig::start();
    let table = Table::new(&rig.local.clients, &rig.local.settings.table);
    let mut head =
        Head::new(RecordName::cluster("default", "zk-01"), Duration::from_secs(60), true, Timestamp::now());
    head.sequence = 2;
    assert!(rig.runtime.block_on(table.create_head(&head)).unwrap());
    let new = Change::ClusterNew { after: ClusterHeader::default(), nodes: Default::default() };
    rig.publish("zk-01", Timestamp::parse("2026-01-01T00:00:00Z").unwrap(), &[new]);
    let down = Change::ClusterHealthChanged { before: None, after: Some(Health::Down) };
    rig.publish("zk-01", Timestamp::now().minus(Duration::from_secs(90 * 60)), &[down]);
    let all = examples(|how| how == How::Past);
    assert!(all.len() > 5, "{}", all.len());
    for example in all {
        let args: Vec<&str> = example.words.iter().skip(1).map(String::as_str).collect();
        let yes: &[&str] = if args[0] == "restore-check" { &["--yes"] } else { &[] };
        let (code, out, errors) = rig.run(&[&args[..], yes].concat());
        assert_eq!(code, Some(0), "{}: {out}{errors}", example.line);
        let expected = match args[0] {
            "at" => "zk-01",
            "diff" => "cluster.health_changed",
            _ => "restore",
        };
        assert!(out.contains(expected), "{}: {out}{errors}", example.line);
    }
}

#[test]
fn every_example_of_a_measurement_measures() {
    for example in examples(|how| matches!(how, How::Quick(_))) {
        let How::Quick(more) = how(&example) else { unreachable!("it is one") };
        let args: Vec<&str> =
            example.words.iter().skip(1).map(String::as_str).chain(more.iter().copied()).collect();
        let (code, out, errors) = ended(replicante(&args).spawn().unwrap(), &example.line);
        // So little, and in a debug build: whether the figures are as they should be is not what is asked.
        let is_measured = code == Some(0) || errors.contains("a figure is not what it should be");
        assert!(
            is_measured && !out.is_empty() && !errors.contains("panicked"),
            "{}: {out}{errors}",
            example.line
        );
    }
}
