//! What is wrong is said in one line, with exit code 1 (2 where it can't be meant so), by every command that talks to a
//! deployment.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::Command;
use std::time::Duration;

use replicante_aws::Table;
use replicante_model::change::Change;
use replicante_model::view::Health;
use replicante_model::{RecordName, Timestamp};
use replicante_protocol::head::Head;

use crate::history::Rig;
use crate::removal::Deployment;
use crate::replicante;

const OBJECT: &str = "apiVersion: replicante.io/v0\nkind: Discovery\nmetadata: { name: fleet }\nspec:\n  \
                      interval: 60s\n  source: { file: { path: /nowhere.json } }\n";

/// Each command that talks to a deployment; FILE holds an object.
const COMMANDS: [&str; 41] = [
    "get clusters",
    "get clusters a -w",
    "get cluster a",
    "get nodes",
    "get shards",
    "get actions",
    "get discoveries",
    "get discovery fleet",
    "events",
    "events --cluster a",
    "events --follow",
    "at a --time 1m",
    "diff a --from 1m",
    "status",
    "runs a",
    "doctor",
    "doctor cluster a",
    "dlq list",
    "dlq show 5fd1b2",
    "dlq redrive",
    "dlq purge --yes",
    "apply -f FILE",
    "export",
    "delete discovery fleet --yes",
    "delete cluster a --yes",
    "refresh a",
    "refresh a --wait",
    "discover fleet",
    "discovery test -f FILE",
    "discovery confirm fleet",
    "forget a --yes",
    "unforget a",
    "pause cluster a",
    "pause discovery fleet",
    "pause all",
    "resume cluster a",
    "resume discovery fleet",
    "resume all",
    "maintenance begin a --until 1h",
    "maintenance end a",
    "restore-check --restored-to 2026-01-02T03:04:05Z --dry-run",
];

/// Commands that run at once.
const AT_ONCE: usize = 16;

fn told(command: &mut Command) -> (Option<i32>, String, String) {
    let output = command.output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

/// One line, which names what is wrong.
fn is_one_line((code, out, errors): (Option<i32>, String, String), what: &str, words: &[&str]) {
    assert_eq!((code, out.as_str()), (Some(1), ""), "{what}: {errors}");
    assert!(errors.starts_with("error: ") && errors.lines().count() == 1, "{what}: {errors}");
    assert!(words.iter().any(|word| errors.contains(word)), "{what}: {errors}");
}

/// Each command, where the services are at this URL.
fn of_all(url: &str, then: impl Fn(&str, (Option<i32>, String, String)) + Sync) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("fleet.yaml");
    std::fs::write(&file, OBJECT).unwrap();
    let run = |typed: &str| {
        let words: Vec<&str> =
            typed.split(' ').map(|word| if word == "FILE" { file.to_str().unwrap() } else { word }).collect();
        let mut command = replicante(&words);
        command
            .current_dir(folder.path())
            .env("AWS_REGION", "us-east-1")
            .env("REPLICANTE_DEPLOYMENT", "test");
        command.env("AWS_ACCESS_KEY_ID", "a").env("AWS_SECRET_ACCESS_KEY", "s");
        for service in ["DYNAMODB", "KINESIS", "SQS"] {
            command.env(format!("AWS_ENDPOINT_URL_{service}"), url);
        }
        for queue in ["DISCOVERY", "REFRESH"] {
            command.env(format!("REPLICANTE_{queue}_QUEUE_URL"), format!("{url}/1/{queue}"));
        }
        then(typed, told(&mut command));
    };
    for some in COMMANDS.chunks(AT_ONCE) {
        std::thread::scope(|scope| some.iter().for_each(|typed| drop(scope.spawn(|| run(typed)))));
    }
}

/// `doctor` says of each thing that it can't be looked at.
fn is_bad(told: (Option<i32>, String, String), words: &str) {
    let (code, out, errors) = told;
    assert!(code == Some(4) && errors.is_empty() && out.contains(words), "doctor: {code:?} {out}{errors}");
}

/// Nobody is asked where nothing names the log group of the tasks.
const NO_LOG: &str = "REPLICANTE_REFRESH_LOGS is not set";

#[test]
fn where_nothing_listens_every_command_says_so() {
    of_all("http://127.0.0.1:1", |typed, told| {
        is_one_line(told, typed, &["nothing listens at http://127.0.0.1:1"]);
    });
}

#[test]
fn where_every_call_breaks_off_every_command_says_so() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || listener.incoming().for_each(drop));
    of_all(&url, |typed, told| match typed {
        "doctor" => is_bad(told, "failed: "),
        "runs a" => is_one_line(told, typed, &[NO_LOG]),
        _ => is_one_line(told, typed, &[" failed: "]),
    });
}

/// Services that permit nothing, after so long.
fn denying(after: Duration) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        let body = r#"{"__type":"com.amazon.coral.service#AccessDeniedException","message":"User: me is not authorized"}"#;
        for mut connection in listener.incoming().map_while(Result::ok) {
            std::thread::spawn(move || {
                let mut asked = [0_u8; 64 * 1024];
                let _ = connection.read(&mut asked);
                std::thread::sleep(after);
                let answer = format!(
                    "HTTP/1.1 400 Bad Request\r\ncontent-type: application/x-amz-json-1.0\r\nconnection: close\r\n\
                     content-length: {}\r\n\r\n{body}",
                    body.len()
                );
                let _ = connection.write_all(answer.as_bytes());
            });
        }
    });
    url
}

#[test]
fn what_is_not_permitted_is_said_by_every_command() {
    let url = denying(Duration::ZERO);
    of_all(&url, |typed, told| match typed {
        "doctor" => is_bad(told, "these credentials may not"),
        "runs a" => is_one_line(told, typed, &[NO_LOG]),
        _ => is_one_line(told, typed, &["AccessDenied"]),
    });
}

#[test]
fn whoever_may_use_the_table_alone_is_told_what_else_is_not_permitted() {
    let deployment = Deployment::start(&["a"]);
    deployment.wait_for(&["a"]);
    assert_eq!(deployment.run(&["maintenance", "begin", "a", "--until", "1h"]).0, Some(0));
    let written = deployment.folder.path().join(".replicante/environment.json");
    let environment: BTreeMap<String, String> =
        serde_json::from_slice(&std::fs::read(written).unwrap()).unwrap();
    let url = denying(Duration::ZERO);
    let denied = |service: &str, args: &[&str]| {
        let mut command = replicante(args);
        command.current_dir(deployment.folder.path()).envs(&environment);
        command.env(format!("AWS_ENDPOINT_URL_{service}"), &url);
        for queue in ["DISCOVERY", "REFRESH"] {
            // A queue is called where its URL says.
            if service == "SQS" {
                command.env(format!("REPLICANTE_{queue}_QUEUE_URL"), format!("{url}/1/{queue}"));
            }
        }
        told(&mut command)
    };
    for typed in [
        "refresh a",
        "refresh a --wait",
        "discover fleet",
        "dlq list",
        "dlq show 5fd1b2",
        "dlq redrive",
        "dlq purge --yes",
        "maintenance begin a --until 2h",
        "maintenance end a",
        "forget a --yes",
        "unforget a",
    ] {
        let words: Vec<&str> = typed.split(' ').collect();
        is_one_line(denied("SQS", &words), typed, &["AccessDenied"]);
    }
    for typed in ["events", "events --cluster a", "events --follow", "at a --time 1s", "diff a --from 1s"] {
        let words: Vec<&str> = typed.split(' ').collect();
        is_one_line(denied("KINESIS", &words), typed, &["AccessDenied"]);
    }
    let (code, out, _) = denied("KINESIS", &["get", "cluster", "a"]);
    assert!(
        code == Some(0) && out.contains("its events can't be read: ") && out.contains("AccessDenied"),
        "{out}"
    );
    is_bad(denied("SQS", &["doctor"]), "these credentials may not");
    is_bad(denied("KINESIS", &["doctor"]), "these credentials may not");
}

#[test]
fn names_that_are_not_there_are_answered_with_the_way_out() {
    let deployment = Deployment::start(&["orders-1", "orders-2"]);
    deployment.wait_for(&["orders-1", "orders-2"]);
    let refused = |args: &[&str], word: &str| {
        is_one_line(deployment.run(args), &args.join(" "), &[word]);
    };
    for command in [
        &["get", "cluster", "orders"][..],
        &["at", "orders", "--time", "1m"],
        &["diff", "orders", "--from", "1m"],
        &["refresh", "orders"],
        &["runs", "orders"],
        &["doctor", "cluster", "orders"],
        &["forget", "orders", "--yes"],
        &["unforget", "orders"],
        &["pause", "cluster", "orders"],
        &["resume", "cluster", "orders"],
        &["maintenance", "begin", "orders", "--until", "1h"],
        &["maintenance", "end", "orders"],
        &["get", "clusters", "orders"],
        &["get", "nodes", "orders"],
        &["get", "shards", "orders", "-o", "json"],
        &["get", "actions", "orders-*", "orders"],
        &["get", "clusters", "orders", "-w"],
    ] {
        // Several are like it.
        refused(command, "is it orders-1 or orders-2?");
    }
    for command in [
        &["get", "discovery", "flet"][..],
        &["get", "discoveries", "flet"],
        &["discover", "flet"],
        &["discovery", "confirm", "flet"],
        &["pause", "discovery", "flet"],
        &["resume", "discovery", "flet"],
    ] {
        refused(command, "is it fleet?");
    }
    refused(
        &["get", "cluster", "orders-1", "-n", "prod"],
        "there is one in namespace default: add -n default",
    );
    refused(&["dlq", "show", "nobody"], "no dead letter has the id nobody");
    refused(&["forget", "orders-1", "nobody", "--yes"], "nobody");
}

#[test]
fn a_time_that_is_none_is_refused_before_anything_is_asked() {
    for typed in [
        "events --since soon",
        "events --to 2026-11-23",
        "at a --time 08:30",
        "diff a --from -2h",
        "forget a --until soon",
        "restore-check --restored-to soon",
        "up --for soon",
        "pause all --until 08:30",
        "pause cluster a --until -2h",
        "maintenance begin a --until soon",
        "refresh a --wait --timeout 0s",
    ] {
        let words: Vec<&str> = typed.split(' ').collect();
        let (code, out, errors) = told(&mut replicante(&words));
        assert_eq!((code, out.as_str()), (Some(2), ""), "{typed}: {errors}");
        assert!(errors.starts_with("error: ") && errors.lines().count() == 1, "{typed}: {errors}");
        assert!(errors.trim_end().ends_with("--help"), "{typed}: {errors}");
    }
}

#[test]
fn whatever_can_not_be_meant_is_said_in_one_line() {
    for typed in [
        "evnts",
        "at a",
        "get clusters --helath down",
        "get clusters -o tabel",
        "get nodes -l rack",
        "export -w",
    ] {
        let words: Vec<&str> = typed.split(' ').collect();
        let (code, out, errors) = told(&mut replicante(&words));
        assert_eq!((code, out.as_str(), errors.lines().count()), (Some(2), "", 1), "{typed}: {errors}");
        assert!(errors.starts_with("error: ") && errors.contains("--help"), "{typed}: {errors}");
    }
    // What helps is more than a line.
    for (words, expected) in
        [(&["maintenance"][..], 2), (&[], 2), (&["at", "--help"], 0), (&["--version"], 0)]
    {
        let (code, out, errors) = told(&mut replicante(words));
        assert_eq!(code, Some(expected), "{words:?}");
        let (helps, is_empty) =
            if expected == 0 { (out, errors.is_empty()) } else { (errors, out.is_empty()) };
        assert!(
            is_empty && (helps.contains("Usage: replicante") || helps.starts_with("replicante ")),
            "{helps}"
        );
    }
}

#[test]
fn a_filter_that_takes_nothing_is_not_taken_for_an_empty_fleet() {
    let deployment = Deployment::start(&["orders-1", "orders-2"]);
    deployment.wait_for(&["orders-1", "orders-2"]);
    // Nobody answers at the address of the agents.
    for (typed, expected) in [
        ("get clusters --health healthy", "none of 2 clusters matches\n"),
        ("get clusters zk-*", "none of 2 clusters matches\n"),
        ("get clusters orders-1 --kind kafka", "none of 2 clusters matches\n"),
        ("get clusters -n prod", "no clusters in namespace prod: without -n there are 2 clusters\n"),
        ("get nodes --status up", "none of 2 nodes matches\n"),
        ("get nodes orders-1 --status up", "the one node does not match\n"),
        ("get nodes -l rack=r1", "none of 2 nodes matches\n"),
        ("get clusters -l rack=r1", "none of 2 clusters matches\n"),
        ("get discoveries --status failing", "the one discovery does not match\n"),
        (
            "get shards",
            "none of 2 clusters has any shards, as far as is known: get clusters shows them all\n",
        ),
        (
            "get actions orders-1 --unfinished",
            "the cluster has no actions, as far as is known: agents list those that they know\n",
        ),
    ] {
        let words: Vec<&str> = typed.split(' ').collect();
        assert_eq!(deployment.run(&words), (Some(0), String::new(), expected.to_owned()), "{typed}");
        let json = deployment.run(&[&words[..], &["-o", "json"]].concat());
        assert_eq!(json, (Some(0), "[]\n".to_owned(), String::new()), "{typed}");
    }
    let (code, out, errors) = deployment.run(&["get", "nodes", "--sort", "status", "-o", "yaml"]);
    assert!(code == Some(0) && out.contains("node:") && errors.is_empty(), "{out}{errors}");
}

#[test]
fn every_source_that_fails_a_test_is_named() {
    let deployment = Deployment::start(&["a"]);
    let folder = deployment.folder.path();
    let file = |name: &str, text: &str| {
        let path = folder.join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let (one, other) = (file("one.yaml", OBJECT), file("other.yaml", &OBJECT.replace("fleet", "other")));
    let test = |files: &[&str]| deployment.run(&[&["discovery", "test", "-f"], files].concat());
    let told = test(&[&one, &other]);
    assert!(
        told.2.contains("discovery/default/fleet: ") && told.2.contains("discovery/default/other: "),
        "{told:?}"
    );
    is_one_line(told, "two that fail", &["2 of 2 sources failed: "]);
    let cluster =
        "apiVersion: replicante.io/v0\nkind: Cluster\nmetadata: { name: a }\nspec: { interval: 90m }\n";
    is_one_line(
        test(&[&file("cluster.yaml", cluster)]),
        "a Cluster alone",
        &["there is no Discovery in these files"],
    );
}

#[test]
fn a_stream_that_was_trimmed_is_said_to_begin_late() {
    let mut rig = Rig::start();
    let record = RecordName::cluster("default", "a");
    let table = Table::new(&rig.local.clients, &rig.local.settings.table);
    let head = Head::new(record.clone(), Duration::from_secs(60), true, Timestamp::now());
    assert!(rig.runtime.block_on(table.create_head(&head)).unwrap());
    let change = Change::ClusterHealthChanged { before: Some(Health::Healthy), after: Some(Health::Down) };
    // What was before the fifth event is no longer there.
    rig.begin("a", 4);
    rig.publish("a", Timestamp::now().minus(Duration::from_secs(600)), &[change]);
    for command in [&["at", "a", "--time", "1m"][..], &["diff", "a", "--from", "2m", "--to", "1m"]] {
        is_one_line(rig.run(command), &command.join(" "), &["what the stream holds of it begins at"]);
    }
    // What there is of it is shown, and what is not is told.
    let (code, out, errors) = rig.run(&["events", "--cluster", "a"]);
    assert!(code == Some(0) && out.lines().count() == 1, "{out}{errors}");
    assert!(errors.contains("the stream begins at event 5") && errors.lines().count() == 1, "{errors}");
}

#[test]
fn that_something_goes_on_is_shown_on_a_terminal_alone() {
    let mut slow = replicante(&["get", "clusters"]);
    slow.env("AWS_ENDPOINT_URL", denying(Duration::from_millis(1500))).env("AWS_REGION", "us-east-1");
    let told =
        told(slow.env("AWS_ACCESS_KEY_ID", "a").env("AWS_SECRET_ACCESS_KEY", "s").env("TERM", "xterm"));
    assert!(!told.2.contains(['\r', '\u{1b}']), "{:?}", told.2);
    is_one_line(told, "get clusters", &["AccessDenied"]);
}
