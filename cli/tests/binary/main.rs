//! The command as it is run: a process, its exit code, and what it writes.

// Helpers of tests fail as tests do.
#![allow(clippy::unwrap_used)]
#![cfg(unix)]

mod context;
mod doctor;
mod elsewhere;
mod examples;
mod history;
mod kinesis;
mod operate;
mod page;
mod promises;
mod removal;
mod s3;
mod secrets;
mod shards;
mod sigkill;
mod watch;
mod wrong;

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, ChildStderr, ChildStdout, Command, Stdio};

/// The command, with no input and nothing of the environment that would change what it does.
fn replicante(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_replicante"));
    quiet(command.args(args));
    command
}

/// Takes away what decides on colours, logs and places.
fn quiet(command: &mut Command) -> &mut Command {
    let decides = |name: &str| {
        ["NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "RUST_LOG", "CARGO_PKG_NAME"].contains(&name)
            || name.starts_with("AWS_")
            || name.starts_with("REPLICANTE_")
    };
    for (name, _) in std::env::vars().filter(|(name, _)| decides(name)) {
        command.env_remove(name);
    }
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped())
}

/// Reads lines until one holds `word`. Fails with all that was written when the process ends before that.
fn wait_for(word: &str, child: &mut Child) -> std::io::Lines<BufReader<ChildStdout>> {
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut seen = Vec::new();
    loop {
        let Some(Ok(line)) = lines.next() else {
            let mut errors = String::new();
            child.stderr.take().unwrap().read_to_string(&mut errors).unwrap();
            panic!("it ended before it said `{word}`: {seen:?}\n{errors}");
        };
        let said = line.contains(word);
        seen.push(line);
        if said {
            return lines;
        }
    }
}

/// Whoever prints to a full pipe waits: what comes is read and dropped.
fn drain(lines: std::io::Lines<BufReader<ChildStdout>>, errors: ChildStderr) {
    std::thread::spawn(move || lines.for_each(drop));
    std::thread::spawn(move || BufReader::new(errors).lines().for_each(drop));
}

/// Starts `up` on the data folder and waits until it says that it runs.
fn up(objects: &Path, data: &Path) -> Child {
    let mut child = replicante(&["up", "-f"]).arg(objects).arg("--data").arg(data).spawn().unwrap();
    let lines = wait_for("AWS_ENDPOINT_URL_DYNAMODB", &mut child);
    drain(lines, child.stderr.take().unwrap());
    child
}
