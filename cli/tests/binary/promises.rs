//! What `--help` promises: exit codes, Ctrl-C, closed pipes, colours, and errors that say where.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use crate::{drain, quiet, replicante, up, wait_for};

const GOOD: &str = "apiVersion: replicante.io/v0\nkind: Discovery\nmetadata: { name: fleet }\nspec:\n  \
                    interval: 60s\n  source: { file: { path: /nowhere.json } }\n";
const TYPO: &str = "apiVersion: replicante.io/v0\nkind: Discovery\nmetadata: { name: fleet }\nspec:\n  \
                    intervall: 60s\n  source: { file: { path: /nowhere.json } }\n";

fn signal(child: &Child, name: &str) {
    let sent = Command::new("kill").args([format!("-{name}"), child.id().to_string()]).status().unwrap();
    assert!(sent.success());
}

/// Waits for the end, but not for ever.
fn end(child: &mut Child) -> ExitStatus {
    let began = Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        if began.elapsed() > Duration::from_secs(60) {
            child.kill().unwrap();
            panic!("it does not end");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Exit code, output and errors.
fn run(command: &mut Command) -> (Option<i32>, String, String) {
    let output = command.output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

fn file(folder: &Path, text: &str) -> PathBuf {
    let path = folder.join("fleet.yaml");
    std::fs::write(&path, text).unwrap();
    path
}

#[test]
fn exit_codes_are_0_for_what_worked_1_for_what_failed_and_2_for_wrong_usage() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(run(&mut replicante(&["--help"])).0, Some(0));
    assert_eq!(run(&mut replicante(&["--version"])).0, Some(0));
    let (code, out, errors) = run(replicante(&["get", "clusters", "--data"]).arg(folder.path()));
    assert_eq!((code, out.as_str()), (Some(1), ""), "{errors}");
    assert!(errors.starts_with("error: reading ") && errors.contains("up --data"), "{errors}");
    for wrong in [&["frobnicate"][..], &["events", "--type", "agent.dwn"], &["up", "--tick", "0s"], &[]] {
        let (code, out, errors) = run(&mut replicante(wrong));
        assert_eq!((code, out.as_str()), (Some(2), ""), "{wrong:?}: {errors}");
        assert!(errors.contains("Usage") || errors.contains("--help"), "{wrong:?}: {errors}");
    }
}

#[test]
fn ctrl_c_ends_up_with_0_and_a_hang_up_does_not_under_nohup() {
    let folder = tempfile::tempdir().unwrap();
    // As nohup starts it: the hang-up is ignored already.
    let mut shell = Command::new("sh");
    shell.args(["-c", "trap '' HUP; exec \"$0\" up --data \"$1\"", env!("CARGO_BIN_EXE_replicante")]);
    let mut child = quiet(shell.arg(folder.path())).spawn().unwrap();
    let lines = wait_for("AWS_ENDPOINT_URL_DYNAMODB", &mut child);
    drain(lines, child.stderr.take().unwrap());
    signal(&child, "HUP");
    std::thread::sleep(Duration::from_millis(500));
    assert!(child.try_wait().unwrap().is_none(), "the hang-up ended it");
    signal(&child, "INT");
    assert_eq!(end(&mut child).code(), Some(0));
}

#[test]
fn a_signal_ends_up_while_it_waits_for_its_input() {
    let folder = tempfile::tempdir().unwrap();
    let mut child =
        replicante(&["up", "-f", "-", "--data"]).arg(folder.path()).stdin(Stdio::piped()).spawn().unwrap();
    let input = child.stdin.take();
    std::thread::sleep(Duration::from_millis(500));
    // Not INT: who starts the tests in the background has that one ignored, and so has every child that does not watch it.
    signal(&child, "TERM");
    assert!(!end(&mut child).success(), "nothing was done");
    drop(input);
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let mut child =
        replicante(&["fleet", "--port", "0", "--clusters", "3", "--changes", "10ms"]).spawn().unwrap();
    // As `| head` does.
    drop(wait_for("discovery answers at", &mut child));
    assert_eq!(end(&mut child).code(), Some(0));
    let mut errors = String::new();
    std::io::Read::read_to_string(&mut child.stderr.take().unwrap(), &mut errors).unwrap();
    assert_eq!(errors, "");
}

#[test]
fn colours_are_for_terminals_and_no_color_turns_them_off_in_logs_too() {
    let painted = |args: &[&str], variables: &[(&str, &str)]| {
        let folder = tempfile::tempdir().unwrap();
        let mut command = replicante(args);
        let (_, _, errors) = run(command.arg("--data").arg(folder.path()).envs(variables.iter().copied()));
        assert!(!errors.is_empty());
        errors.contains('\u{1b}')
    };
    let (error, log) = (&["get", "clusters"][..], &["up", "--for", "1s"][..]);
    assert!(!painted(error, &[]) && !painted(log, &[("RUST_LOG", "debug")]), "a pipe is no terminal");
    // What makes a terminal of a pipe, where it is one of colours.
    let forced = ("CLICOLOR_FORCE", "1");
    assert!(painted(error, &[forced]) && painted(log, &[forced, ("RUST_LOG", "debug")]));
    assert!(!painted(error, &[forced, ("NO_COLOR", "1")]));
    assert!(!painted(log, &[forced, ("RUST_LOG", "debug"), ("NO_COLOR", "1")]));
}

#[test]
fn a_port_or_a_folder_that_another_uses_is_named() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    let (code, _, errors) = run(&mut replicante(&["fleet", "--port", &port]));
    assert_eq!(code, Some(1));
    assert!(errors.contains(&port), "{errors}");

    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let mut first = up(&file(folder.path(), GOOD), &data);
    let (code, _, errors) = run(replicante(&["up", "--data"]).arg(&data));
    assert_eq!(code, Some(1));
    assert!(errors.contains("in use by another `replicante up`"), "{errors}");
    signal(&first, "TERM");
    assert_eq!(end(&mut first).code(), Some(0));
}

#[test]
fn a_typo_in_a_file_is_shown_with_its_line_whether_up_runs_or_not() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let good = file(folder.path(), GOOD);
    let typo = folder.path().join("typo.yaml");
    std::fs::write(&typo, TYPO).unwrap();
    let apply = |file: &Path| run(replicante(&["apply", "--data"]).arg(&data).arg("-f").arg(file));
    let expected = format!("{}:5: unknown field `spec.intervall`", typo.display());
    let (code, out, errors) = apply(&typo);
    assert_eq!((code, out.as_str()), (Some(1), ""));
    assert!(errors.contains(&expected), "nothing runs: {errors}");

    let mut running = up(&good, &data);
    let (code, out, errors) = apply(&typo);
    assert_eq!((code, out.as_str()), (Some(1), ""));
    assert!(errors.contains(&expected) && errors.contains("nothing was applied"), "{errors}");
    assert_eq!(apply(&good), (Some(0), "Discovery default/fleet unchanged\n".into(), String::new()));
    signal(&running, "INT");
    assert_eq!(end(&mut running).code(), Some(0));
}

#[test]
fn files_are_validated_with_nothing_to_connect_to() {
    let folder = tempfile::tempdir().unwrap();
    let (good, typo) = (folder.path().join("good.yaml"), folder.path().join("typo.yaml"));
    std::fs::write(&good, GOOD).unwrap();
    std::fs::write(&typo, TYPO).unwrap();
    let validate = |files: &[&Path], more: &[&str]| {
        run(replicante(&["validate", "-f"]).args(files).args(more).current_dir(folder.path()))
    };
    let right = (Some(0), "Discovery default/fleet is right\n".to_owned(), String::new());
    assert_eq!(validate(&[&good], &[]), right);
    let (code, out, errors) = validate(&[&typo], &[]);
    assert!(code == Some(1) && out.is_empty() && errors.contains("did you mean `interval`?"), "{errors}");
    let (code, out, errors) = validate(&[&good, &good], &[]);
    assert!(code == Some(1) && out.is_empty() && errors.contains("is given again"), "{errors}");
    let (code, _, errors) = validate(&[&good], &["--tick", "2m"]);
    assert!(code == Some(1) && errors.contains("at least 2m, one tick of the scheduler"), "{errors}");
    assert_eq!(run(&mut replicante(&["validate"])).0, Some(2));
}
