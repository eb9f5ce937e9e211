//! A function's binary as Lambda runs it: one invocation by the Runtime API, with a DynamoDB that holds nothing. What it
//! writes to its standard output is what CloudWatch gets.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, SystemTime};

/// What came of an invocation.
#[derive(Debug)]
pub struct Invoked {
    /// Whether the function answered, rather than told an error.
    pub answered: bool,
    /// Lines of its standard output. Empty when it went elsewhere.
    pub lines: Vec<String>,
}

impl Invoked {
    /// The lines of metrics.
    pub fn metrics(&self) -> Vec<serde_json::Value> {
        let read = |line: &String| serde_json::from_str::<serde_json::Value>(line).ok();
        self.lines.iter().filter_map(read).filter(|line| line.get("_aws").is_some()).collect()
    }
}

/// Runs the binary for one invocation with this payload.
pub fn invoke(binary: &str, payload: &str, log_format: &str, output: Stdio) -> Invoked {
    let (answers, answered) = channel();
    let runtime = serve(Some(payload.to_owned()), answers.clone());
    let dynamodb = serve(None, answers);
    let mut child = Command::new(binary)
        .env_clear()
        .env("AWS_LAMBDA_RUNTIME_API", &runtime)
        .env("AWS_LAMBDA_FUNCTION_NAME", "function")
        .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256")
        .env("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST")
        .env("AWS_LAMBDA_LOG_FORMAT", log_format)
        .env("AWS_ENDPOINT_URL", format!("http://{dynamodb}"))
        .env("AWS_REGION", "us-east-1")
        .env("AWS_ACCESS_KEY_ID", "test")
        .env("AWS_SECRET_ACCESS_KEY", "test")
        .env("REPLICANTE_DEPLOYMENT", "prod")
        .env("REPLICANTE_TABLE", "replicante")
        .env("REPLICANTE_STREAM", "replicante")
        .env("REPLICANTE_DISCOVERY_QUEUE_URL", format!("http://{dynamodb}/discovery"))
        .env("REPLICANTE_REFRESH_QUEUE_URL", format!("http://{dynamodb}/refresh"))
        .stdin(Stdio::null())
        .stdout(output)
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap();
    let outcome = answered.recv_timeout(Duration::from_secs(60));
    child.kill().unwrap();
    let written = child.wait_with_output().unwrap().stdout;
    let lines = String::from_utf8(written).unwrap().lines().map(str::to_owned).collect();
    Invoked { answered: outcome.unwrap() == "response", lines }
}

/// Serves until the test's process ends. Returns host and port.
fn serve(payload: Option<String>, answers: Sender<String>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap().to_string();
    let (payloads, next) = channel();
    payload.into_iter().for_each(|payload| payloads.send(payload).unwrap());
    let next = std::sync::Arc::new(std::sync::Mutex::new((next, payloads)));
    std::thread::spawn(move || {
        for connection in listener.incoming().map_while(Result::ok) {
            let (next, answers) = (std::sync::Arc::clone(&next), answers.clone());
            std::thread::spawn(move || {
                let mut reader = BufReader::new(connection.try_clone().unwrap());
                while let Some((target, operation)) = request(&mut reader) {
                    let guard = next.lock().unwrap();
                    answer(&connection, &target, &operation, &guard.0, &answers);
                }
            });
        }
    });
    at
}

/// The path of the next request, and which operation it asks for. `None` when there is none.
fn request(reader: &mut BufReader<TcpStream>) -> Option<(String, String)> {
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
    let target = line.split(' ').nth(1)?.to_owned();
    let (mut length, mut operation) = (0, String::new());
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).ok()?;
        let Some((name, value)) = header.trim().split_once(':') else { break };
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.trim().parse().ok()?,
            "x-amz-target" => operation = value.trim().to_owned(),
            _ => {}
        }
    }
    std::io::copy(&mut reader.take(length), &mut std::io::sink()).ok()?;
    Some((target, operation))
}

fn answer(
    mut connection: &TcpStream,
    target: &str,
    operation: &str,
    next: &Receiver<String>,
    answers: &Sender<String>,
) {
    let (status, headers, body) = if target.ends_with("/invocation/next") {
        // Behind the only one it waits, as a frozen environment does.
        let Ok(payload) = next.recv() else { return };
        let deadline = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_millis() + 60_000;
        let headers =
            format!("Lambda-Runtime-Aws-Request-Id: r1\r\nLambda-Runtime-Deadline-Ms: {deadline}\r\n");
        ("200 OK", headers, payload)
    } else if target.contains("/invocation/") {
        let _ = answers.send(target.rsplit('/').next().unwrap().to_owned());
        ("202 Accepted", String::new(), String::new())
    } else if operation.ends_with(".Query") {
        let body =
            r#"{"Count":0,"Items":[],"ConsumedCapacity":{"TableName":"replicante","CapacityUnits":0.5}}"#;
        ("200 OK", "Content-Type: application/x-amz-json-1.0\r\n".into(), body.into())
    } else {
        let body =
            r#"{"__type":"com.amazonaws.dynamodb.v20120810#ConditionalCheckFailedException","message":"no"}"#;
        ("400 Bad Request", "Content-Type: application/x-amz-json-1.0\r\n".into(), body.into())
    };
    let length = body.len();
    let _ = write!(connection, "HTTP/1.1 {status}\r\n{headers}Content-Length: {length}\r\n\r\n{body}");
}

/// What each function is held to: one line of metrics an invocation, whatever the format of the logs; and an answer
/// when nothing can be written at all.
pub fn check(binary: &str, payload: &str, function: &str, metric: &str) {
    for format in ["JSON", "Text"] {
        let invoked = invoke(binary, payload, format, Stdio::piped());
        assert!(invoked.answered, "{invoked:?}");
        let [metrics] = invoked.metrics().try_into().unwrap();
        assert_eq!((&metrics["Deployment"], &metrics["Function"]), (&"prod".into(), &function.into()));
        assert_eq!(metrics[metric], 1, "{metrics}");
        for line in invoked.lines.iter().filter(|_| format == "JSON") {
            let line: serde_json::Value = serde_json::from_str(line).unwrap();
            assert!(
                line["level"].is_string() && line["timestamp"].is_string(),
                "Lambda takes it for INFO: {line}"
            );
        }
        let logs: Vec<&String> = invoked.lines.iter().filter(|line| !line.contains("_aws")).collect();
        assert!(
            !logs.is_empty() && logs.iter().all(|line| line.starts_with('{') == (format == "JSON")),
            "{logs:?}"
        );
    }
    if let Ok(full) = std::fs::File::options().write(true).open("/dev/full") {
        let invoked = invoke(binary, payload, "JSON", full.into());
        assert!(invoked.answered, "it fails for want of a place to write to");
    }
}
