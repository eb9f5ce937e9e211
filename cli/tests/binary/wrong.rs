//! What is wrong is said in one line, with exit code 1 (2 where it can't be meant so), by every command that talks to a
//! deployment.

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
const COMMANDS: [&str; 27] = [
    "get clusters",
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
    "doctor cluster a",
    "dlq list",
    "dlq show 5fd1b2",
    "dlq redrive",
    "dlq purge --yes",
    "apply -f FILE",
    "refresh a",
    "discover fleet",
    "discovery test -f FILE",
    "discovery confirm fleet",
    "forget a --yes",
    "unforget a",
    "restore-check --restored-to 2026-01-02T03:04:05Z --dry-run",
];

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
fn of_all(url: &str, then: impl Fn(&str, (Option<i32>, String, String))) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("fleet.yaml");
    std::fs::write(&file, OBJECT).unwrap();
    for typed in COMMANDS {
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
    }
}

#[test]
fn where_nothing_listens_every_command_says_so() {
    of_all("http://127.0.0.1:1", |typed, told| {
        is_one_line(told, typed, &["nothing listens at http://127.0.0.1:1"]);
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
    of_all(&url, |typed, told| {
        // Nobody is asked where nothing names the log group.
        let words: &[&str] =
            if typed == "runs a" { &["REPLICANTE_REFRESH_LOGS is not set"] } else { &["AccessDenied"] };
        is_one_line(told, typed, words);
    });
    let mut doctor = replicante(&["doctor"]);
    doctor.env("AWS_ENDPOINT_URL", &url).env("AWS_REGION", "us-east-1").env("AWS_ACCESS_KEY_ID", "a");
    let (code, out, _) = told(doctor.env("AWS_SECRET_ACCESS_KEY", "s"));
    assert!(code == Some(4) && out.contains("these credentials may not"), "{out}");
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
    ] {
        // Several are like it.
        refused(command, "is it orders-1 or orders-2?");
    }
    for command in
        [&["get", "discovery", "flet"][..], &["discover", "flet"], &["discovery", "confirm", "flet"]]
    {
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
    ] {
        let words: Vec<&str> = typed.split(' ').collect();
        let (code, out, errors) = told(&mut replicante(&words));
        assert_eq!((code, out.as_str()), (Some(2), ""), "{typed}: {errors}");
        assert!(errors.starts_with("error: ") && !errors.contains("panicked"), "{typed}: {errors}");
    }
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
