//! Every command of docs/cli.md, on the services that the environment names (tests/emulators/run.sh names moto and
//! kinesis-local), else on embedded ones. What they show there is written below the target folder.
//!
//! The pages of docs/cli.md were captured once: here each of their commands still ends as it is said there.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use replicante_fleet::{AgentState, Change, Kind};
use replicante_model::view::{ClusterView, NodeStatus};
use replicante_tests::System;
use tokio::time::{Instant, sleep};

use crate::examples::help::words;
use crate::replicante;

/// Where the pages begin that were captured elsewhere: they are the same commands.
const ALSO: &str = "\n## On moto";
/// The clusters that the pages name.
const CLUSTERS: [&str; 3] = ["zk-01", "zk-02", "zk-06"];
/// What the pages look back by, and some more.
const HISTORY: Duration = Duration::from_secs(12);

/// A command of the pages, and how it ends there.
#[derive(Debug, PartialEq, Eq)]
struct Shown {
    typed: String,
    code: i32,
}

/// The commands of the pages, in their order.
fn shown(pages: &str) -> Vec<Shown> {
    let pages = pages.split(ALSO).next().unwrap_or_default();
    let mut all: Vec<Shown> = Vec::new();
    let mut lines = pages.lines();
    while let Some(line) = lines.next() {
        if let Some(typed) = line.strip_prefix("$ replicante ") {
            all.push(Shown { typed: typed.to_owned(), code: 0 });
        } else if line == "$ echo $?" {
            all.last_mut().unwrap().code = lines.next().unwrap().parse().unwrap();
        }
    }
    all
}

/// Whether a command may end so here, where the pages say something else.
fn is_expected(shown: &Shown, code: i32, errors: &str) -> bool {
    match shown.typed.split(' ').next() {
        // Deployments differ in how they are set up. What can't be found out is another matter.
        Some("doctor" | "status") => [0, 3, 4].contains(&code),
        Some("runs") => code == 1 && errors.contains("REPLICANTE_REFRESH_LOGS is not set"),
        _ => false,
    }
}

fn is_seen(view: &ClusterView, id: &str) -> bool {
    let node = view.nodes.get("node-2");
    id != "zk-01" || node.is_some_and(|node| matches!(node.status, NodeStatus::AgentDown { .. }))
}

fn captured() -> PathBuf {
    let is_elsewhere = std::env::vars().any(|(name, _)| name.starts_with("REPLICANTE_TEST_AWS_ENDPOINT_URL"));
    let name = if is_elsewhere { "cli-elsewhere.md" } else { "cli-embedded.md" };
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(name)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_command_of_the_pages_ends_as_they_say() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let all = shown(&std::fs::read_to_string(root.join("docs/cli.md")).unwrap());
    assert!(all.len() > 30, "{}", all.len());

    let system = System::start().await.unwrap();
    for id in CLUSTERS {
        system.add_cluster(id, Kind::Zookeeper, 3).unwrap();
    }
    let folder = tempfile::tempdir().unwrap();
    let discovery = format!(
        "apiVersion: replicante.io/v0\nkind: Discovery\nmetadata: {{ name: fleet }}\nspec:\n  interval: 2s\n  \
         refresh: {{ interval: 2s }}\n  source: {{ http: {{ url: \"{}\" }} }}\n",
        system.fleet.discovery_url()
    );
    let cluster =
        "apiVersion: replicante.io/v0\nkind: Cluster\nmetadata: { name: zk-06 }\nspec: { interval: 90m }\n";
    std::fs::write(folder.path().join("fleet.yaml"), &discovery).unwrap();
    std::fs::write(folder.path().join("zk-06.yaml"), cluster).unwrap();
    system.apply(&discovery).await.unwrap();
    let running = system.run();
    let all_are_seen = async |with: &dyn Fn(&ClusterView, &str) -> bool| {
        let end = Instant::now() + Duration::from_secs(60);
        for id in CLUSTERS {
            while !system.view(id).await.is_ok_and(|view| with(&view, id)) {
                assert!(Instant::now() < end, "{id} is not seen");
                sleep(Duration::from_millis(100)).await;
            }
        }
    };
    all_are_seen(&|_, _| true).await;
    sleep(HISTORY).await;
    system.fleet.apply(Change::agent("zk-01", "node-2", AgentState::Gone)).unwrap();
    all_are_seen(&is_seen).await;

    let mut pages = String::new();
    let mut wrong = Vec::new();
    for command in &all {
        let typed = words(&command.typed);
        let typed: Vec<&str> = typed.iter().map(String::as_str).collect();
        let mut run = tokio::process::Command::from(replicante(&typed));
        run.current_dir(folder.path()).envs(&system.local.environment).env("HOME", folder.path());
        // The agents and the list of this fleet are on this machine.
        run.env("REPLICANTE_CONFIG", "config.yaml").env("REPLICANTE_ALLOW_NETWORKS", "127.0.0.0/8");
        let output = tokio::time::timeout(Duration::from_secs(90), run.output()).await;
        let output = output.unwrap_or_else(|_| panic!("it does not end: {}", command.typed)).unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (out, errors, code) =
            (text(&output.stdout), text(&output.stderr), output.status.code().unwrap_or(-1));
        let end = if code == 0 { String::new() } else { format!("$ echo $?\n{code}\n") };
        write!(pages, "```console\n$ replicante {}\n{out}{errors}{end}```\n\n", command.typed).unwrap();
        if code != command.code && !is_expected(command, code, &errors) {
            wrong.push(format!("{} ended with {code}, not {}: {out}{errors}", command.typed, command.code));
        }
    }
    std::fs::write(captured(), pages).unwrap();
    running.stop(Duration::from_secs(25)).await.unwrap();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_commands_of_pages_are_found_with_how_they_end() {
    let pages = "```console\n$ replicante get clusters 'z*'\nNAME\n```\n```console\n$ replicante at a\nerror: x\n$ echo $?\n2\n```\n\n\
                 ## On moto and kinesis-local\n$ replicante status\n";
    let expected = [("get clusters 'z*'", 0), ("at a", 2)];
    let expected = expected.map(|(typed, code)| Shown { typed: typed.into(), code });
    assert_eq!(shown(pages), expected);
}
