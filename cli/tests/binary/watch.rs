//! `-w`: a list that is shown again and again.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::process::{Child, Command};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use replicante_aws::Table;
use replicante_model::{RecordName, Timestamp};
use replicante_protocol::head::Head;

use crate::history::Rig;

/// How long anything may take.
const SOON: Duration = Duration::from_secs(60);

/// What a process writes, line by line.
fn lines(from: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(from).lines().map_while(Result::ok) {
            let _ = sender.send(line);
        }
    });
    receiver
}

/// Reads until a line that holds the word.
fn wait_for(word: &str, lines: &Receiver<String>) {
    let began = Instant::now();
    let mut seen = Vec::new();
    while let Ok(line) = lines.recv_timeout(SOON.saturating_sub(began.elapsed())) {
        let said = line.contains(word);
        seen.push(line);
        if said {
            return;
        }
    }
    panic!("it never said `{word}`: {seen:?}");
}

fn ended(mut child: Child, signal: &str) -> Option<i32> {
    let sent = Command::new("kill").args([format!("-{signal}"), child.id().to_string()]).status().unwrap();
    assert!(sent.success());
    let began = Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status.code();
        }
        assert!(began.elapsed() < SOON, "it does not end");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn add(rig: &Rig, id: &str) {
    let table = Table::new(&rig.local.clients, &rig.local.settings.table);
    let record = RecordName::cluster("default", id);
    let head = Head::new(record, Duration::from_secs(60), true, Timestamp::now());
    assert!(rig.runtime.block_on(table.create_head(&head)).unwrap());
}

#[test]
fn what_changes_is_shown_by_the_next_look_until_a_signal_ends_it_with_0() {
    let rig = Rig::start();
    add(&rig, "a");
    for (command, signal) in
        [("clusters", "TERM"), ("discoveries", "TERM"), ("nodes", "TERM"), ("actions", "INT")]
    {
        let mut child = rig.command(&["get", command, "-w"]).spawn().unwrap();
        let out = lines(child.stdout.take().unwrap());
        let said = match command {
            "clusters" => "a ",
            "discoveries" => "there are no discoveries",
            _ => "none of 2 clusters has any ",
        };
        wait_for(said, &out);
        wait_for(said, &out);
        if command == "clusters" {
            add(&rig, "b");
            wait_for("b ", &out);
        }
        assert_eq!(ended(child, signal), Some(0), "{command}");
    }
}

#[test]
fn what_is_watched_is_for_people() {
    let rig = Rig::start();
    let (code, out, errors) = rig.run(&["get", "clusters", "-w", "-o", "json"]);
    assert_eq!((code, out.as_str(), errors.lines().count()), (Some(2), "", 1), "{errors}");
    assert!(errors.contains("--watch is for people"), "{errors}");
}

/// A way to a service that can be cut.
struct Way {
    url: String,
    is_cut: Arc<AtomicBool>,
    open: Arc<Mutex<Vec<TcpStream>>>,
}

impl Way {
    fn to(url: &str) -> Self {
        let to = url.strip_prefix("http://").unwrap().trim_end_matches('/').to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (is_cut, open) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Vec::new())));
        let way = Way { url, is_cut: Arc::clone(&is_cut), open: Arc::clone(&open) };
        std::thread::spawn(move || {
            for from in listener.incoming().map_while(Result::ok) {
                if is_cut.load(Ordering::SeqCst) {
                    continue;
                }
                let to = TcpStream::connect(&to).unwrap();
                for (from, to) in [(&from, &to), (&to, &from)] {
                    let (mut from, mut to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
                    open.lock().unwrap().push(from.try_clone().unwrap());
                    std::thread::spawn(move || {
                        let mut bytes = [0_u8; 64 * 1024];
                        while let Ok(read @ 1..) = from.read(&mut bytes) {
                            if to.write_all(&bytes[..read]).is_err() {
                                break;
                            }
                        }
                        let _ = to.shutdown(Shutdown::Both);
                    });
                }
            }
        });
        way
    }

    fn cut(&self, is_cut: bool) {
        self.is_cut.store(is_cut, Ordering::SeqCst);
        for connection in self.open.lock().unwrap().drain(..) {
            let _ = connection.shutdown(Shutdown::Both);
        }
    }
}

#[test]
fn a_table_that_is_away_for_a_while_is_told_and_looked_for_again() {
    let rig = Rig::start();
    add(&rig, "a");
    let way = Way::to(&rig.local.environment["AWS_ENDPOINT_URL_DYNAMODB"]);
    let watch = || {
        let mut command = rig.command(&["get", "clusters", "-w"]);
        command.env("AWS_ENDPOINT_URL_DYNAMODB", &way.url);
        let mut child = command.spawn().unwrap();
        let (out, errors) = (lines(child.stdout.take().unwrap()), lines(child.stderr.take().unwrap()));
        (child, out, errors)
    };
    let (child, out, errors) = watch();
    wait_for("a ", &out);
    way.cut(true);
    wait_for("it is tried again", &errors);
    add(&rig, "b");
    way.cut(false);
    wait_for("b ", &out);
    assert_eq!(ended(child, "TERM"), Some(0));

    // Who has seen nothing yet is told that there is nothing to be seen.
    way.cut(true);
    let (mut child, out, errors) = watch();
    wait_for("error: ", &errors);
    assert_eq!((child.wait().unwrap().code(), out.recv().ok()), (Some(1), None));
}
