//! Secrets of Systems Manager: `up` sends them where they belong, and they are found nowhere else. Not in its logs at
//! their loudest, not in its data folder, not in what the other commands show.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::replicante;

const TOKEN: &str = "Bearer hunter2-0f6a1c";

/// A Systems Manager that gives `TOKEN` and a certificate with its key, and a source that takes note of each header
/// `authorization`. Both close each connection.
struct Outside {
    url: String,
    sent: Arc<Mutex<Vec<String>>>,
}

impl Outside {
    fn start(key: String) -> Outside {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let sent = Arc::new(Mutex::new(Vec::new()));
        let all = Arc::clone(&sent);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (key, all) = (key.clone(), Arc::clone(&all));
                std::thread::spawn(move || serve(stream, &key, &all));
            }
        });
        Outside { url, sent }
    }
}

fn serve(stream: TcpStream, key: &str, sent: &Mutex<Vec<String>>) -> Option<()> {
    let mut reader = BufReader::new(&stream);
    let (mut head, mut length) = (String::new(), 0);
    while reader.read_line(&mut head).ok()? > 2 {
        let line = head.lines().last()?;
        if let Some((name, value)) = line.split_once(": ") {
            match name.to_ascii_lowercase().as_str() {
                "content-length" => length = value.parse().ok()?,
                "authorization" if head.starts_with("POST /clusters") => {
                    sent.lock().unwrap().push(value.to_owned());
                }
                _ => {}
            }
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let answer = if head.starts_with("POST /clusters") {
        // Nobody listens there: the certificate is read before anybody finds out.
        let nodes = ["https://127.0.0.1:9"];
        json!({ "cursor": null, "clusters": [{ "cluster_id": "c", "nodes": nodes }] })
    } else {
        let asked: Value = serde_json::from_slice(&body).ok()?;
        let value = if asked["Name"] == "/replicante/token" { TOKEN } else { key };
        json!({ "Parameter": { "Name": asked["Name"], "Type": "SecureString", "Value": value } })
    };
    let answer = answer.to_string();
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n";
    write!(&stream, "{head}content-length: {}\r\n\r\n{answer}", answer.len()).ok()
}

fn output(what: &[&str], data: &Path) -> String {
    let output = replicante(what).arg("--data").arg(data).env("RUST_LOG", "trace").output().unwrap();
    [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat()
}

#[test]
fn a_secret_is_sent_and_is_in_no_log_no_event_no_file_and_no_output() {
    let pki = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/outbound/tests/pki");
    let pem = |file: &str| std::fs::read_to_string(pki.join(file)).unwrap();
    let key = pem("client.pem");
    let outside = Outside::start(key.clone());
    let folder = tempfile::tempdir().unwrap();
    let (objects, data) = (folder.path().join("objects.yaml"), folder.path().join("data"));
    let yaml = format!(
        "apiVersion: replicante.io/v0\nkind: Discovery\nmetadata: {{ name: fleet }}\nspec:\n  interval: 1s\n  \
         refresh: {{ interval: 1s }}\n  source:\n    http:\n      url: {}/clusters\n      \
         headers: {{ authorization: \"ssm:/replicante/token\" }}\n  \
         agents: {{ tls: {{ ca_bundle: \"file:{}\", client_certificate: \"ssm:/replicante/client\" }} }}\n",
        outside.url,
        pki.join("ca.pem").display(),
    );
    std::fs::write(&objects, yaml).unwrap();
    let log = folder.path().join("log");
    let file = || std::fs::File::options().create(true).append(true).open(&log).unwrap();
    let mut up = replicante(&["up", "-f"])
        .arg(&objects)
        .arg("--data")
        .arg(&data)
        .env("AWS_ENDPOINT_URL_SSM", &outside.url)
        .env("AWS_REGION", "us-east-1")
        .env("AWS_ACCESS_KEY_ID", "test")
        .env("AWS_SECRET_ACCESS_KEY", "test")
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .env("RUST_LOG", "trace")
        .stdout(file())
        .stderr(file())
        .spawn()
        .unwrap();
    let started = Instant::now();
    let shown = loop {
        let shown = if data.join("environment.json").exists() {
            output(&["get", "cluster", "c", "-o", "json"], &data)
        } else {
            String::new()
        };
        if shown.contains("connection refused") || started.elapsed() > Duration::from_secs(60) {
            break shown;
        }
        std::thread::sleep(Duration::from_millis(100));
    };
    let mut all = vec![("get cluster", shown.clone())];
    for what in [
        &["get", "clusters", "-o", "json"] as &[_],
        &["get", "discoveries", "-o", "json"],
        &["get", "discovery", "fleet", "-o", "json"],
        &["get", "discovery", "fleet"],
        &["events", "-o", "json"],
    ] {
        all.push((what[1], output(what, &data)));
    }
    up.kill().unwrap();
    up.wait().unwrap();

    assert!(shown.contains("connection refused"), "the certificate was read, and the agent asked: {shown}");
    assert!(outside.sent.lock().unwrap().iter().all(|sent| sent == TOKEN));
    assert!(!outside.sent.lock().unwrap().is_empty());
    let logged = std::fs::read_to_string(&log).unwrap();
    assert!(logged.contains("GetParameter") && logged.contains("TRACE"), "the log tells of all");
    all.push(("log", logged));
    for entry in std::fs::read_dir(&data).unwrap().flatten() {
        all.push((
            "data folder",
            String::from_utf8_lossy(&std::fs::read(entry.path()).unwrap()).into_owned(),
        ));
    }
    assert!(all.iter().any(|(_, text)| text.contains("ssm:/replicante/token")), "the object was looked at");
    let lines = key.lines().filter(|line| line.len() > 8 && !line.starts_with("-----"));
    for secret in lines.chain([TOKEN, "hunter2"]) {
        for (place, text) in &all {
            assert!(!text.contains(secret), "{place} holds {secret}");
        }
    }
}
