//! An example as a process, and the file that it keeps.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use replicante_model::view::ClusterView;
use rusqlite::{Connection, OptionalExtension};

use crate::story::Place;
use crate::stream::Stream;

/// Whatever is waited for takes seconds, on a machine that has little else to do.
const WITHIN: Duration = Duration::from_secs(180);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Example {
    Rust,
    Python,
}

/// What a transaction does first, and what later.
#[derive(Clone, Copy, Debug)]
pub enum Act {
    Effect,
    Position,
}

/// One consumer: its file stays when its process is killed.
pub struct Consumer {
    example: Example,
    folder: tempfile::TempDir,
    arguments: Vec<String>,
    running: Option<Child>,
}

impl Drop for Consumer {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Consumer {
    pub fn of(example: Example, arguments: &[&str]) -> Self {
        let arguments = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        Consumer { example, folder: tempfile::tempdir().unwrap(), arguments, running: None }
    }

    pub fn start(&mut self, stream: &Stream) {
        let (mut command, patience) = match self.example {
            Example::Rust => (Command::new(env!("CARGO_BIN_EXE_replicante-consumer")), "1s"),
            Example::Python => {
                let python = std::env::var("REPLICANTE_TEST_PYTHON")
                    .expect("REPLICANTE_TEST_PYTHON names a Python that has boto3");
                let mut command = Command::new(python);
                command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/../consumer.py"));
                (command, "1")
            }
        };
        let log = File::options().create(true).append(true).open(self.log()).unwrap();
        command.args(["--stream", &stream.name, "--page", "10", "--patience", patience]);
        command.arg("--database").arg(self.file()).args(&self.arguments);
        command.env("AWS_ENDPOINT_URL_KINESIS", &stream.endpoint).env("AWS_EC2_METADATA_DISABLED", "true");
        command.env("AWS_REGION", "us-east-1").env("AWS_DEFAULT_REGION", "us-east-1");
        command.env("AWS_ACCESS_KEY_ID", "local").env("AWS_SECRET_ACCESS_KEY", "local");
        command.env("NO_PROXY", "127.0.0.1").env_remove("AWS_PROFILE").env_remove("AWS_SESSION_TOKEN");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        assert!(self.running.is_none());
        self.running = Some(command.spawn().unwrap());
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.running.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("consumer.sqlite")
    }

    fn log(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    pub fn said(&self) -> String {
        std::fs::read_to_string(self.log()).unwrap_or_default()
    }

    fn open(&self) -> Connection {
        Connection::open(self.file()).unwrap()
    }

    /// Waits for something, for as long as the process runs.
    async fn until(&mut self, what: &str, is: impl Fn(&Self) -> bool) {
        let started = Instant::now();
        while !is(self) {
            let ended = self.running.as_mut().and_then(|child| child.try_wait().unwrap());
            let late = started.elapsed() > WITHIN;
            let problem =
                ended.map(|status| format!("it ended: {status}")).or(late.then(|| "it is late".into()));
            if let Some(problem) = problem {
                panic!("waiting for {what}, {problem}\n{}", self.said());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    pub async fn until_tables(&mut self) {
        let query = "SELECT 1 FROM sqlite_schema WHERE name = 'gaps'";
        let exists = |it: &Self| {
            it.file().exists()
                && it.open().query_row(query, [], |_| Ok(())).optional().is_ok_and(|row| row.is_some())
        };
        self.until("its tables", exists).await;
    }

    pub async fn until_said(&mut self, words: &str) {
        self.until(words, |it| it.said().contains(words)).await;
    }

    /// Waits until all that is in the stream was read.
    pub async fn until_read(&mut self, stream: &Stream) {
        self.until_tables().await;
        let last = stream.last.clone();
        self.until("the end of the stream", |it| {
            let rows: Vec<(String, Option<String>)> =
                it.rows("SELECT id, last FROM shards", |row| Ok((row.get(0)?, row.get(1)?)));
            let read: BTreeMap<_, _> = rows.into_iter().filter_map(|(id, last)| Some((id, last?))).collect();
            read == last
        })
        .await;
    }

    /// From now on the transaction that applies this event does not come to its end, but stops at this act: whoever is
    /// killed then is killed in its middle.
    pub fn hold(&self, act: Act, record: &str, (epoch, sequence): Place) {
        let trigger = match act {
            Act::Effect => format!(
                "AFTER INSERT ON applied
                 WHEN NEW.record = '{record}' AND NEW.epoch = {epoch} AND NEW.sequence = {sequence}"
            ),
            Act::Position => format!(
                "AFTER INSERT ON records
                 WHEN NEW.name = '{record}' AND (NEW.epoch, NEW.sequence) >= ({epoch}, {sequence})"
            ),
        };
        let sql = format!(
            "CREATE TABLE slow (number INTEGER);
             INSERT INTO slow WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n LIMIT 1000)
                 SELECT i FROM n;
             CREATE TRIGGER hold {trigger}
             BEGIN SELECT count(*) FROM slow a, slow b, slow c WHERE a.number + b.number + c.number < 0; END"
        );
        self.open().execute_batch(&sql).unwrap();
    }

    pub fn let_go(&self) {
        self.open().execute_batch("DROP TRIGGER hold; DROP TABLE slow").unwrap();
    }

    /// Whether a transaction is open.
    fn busy(&self) -> bool {
        let file = self.open();
        file.busy_timeout(Duration::ZERO).unwrap();
        file.execute_batch("BEGIN IMMEDIATE; ROLLBACK").is_err()
    }

    /// Waits until a transaction is held: open for longer than any other.
    pub async fn until_held(&mut self) {
        let mut times = 0;
        while times < 8 {
            self.until("the event that it is to be killed at", Self::busy).await;
            tokio::time::sleep(Duration::from_millis(40)).await;
            times = if self.busy() { times + 1 } else { 0 };
        }
    }

    fn rows<T>(&self, query: &str, read: impl Fn(&rusqlite::Row<'_>) -> rusqlite::Result<T>) -> Vec<T> {
        let file = self.open();
        let mut query = file.prepare(query).unwrap();
        query.query_map([], |row| read(row)).unwrap().map(Result::unwrap).collect()
    }

    /// What was applied of each record, in the order in which it was.
    pub fn applied(&self) -> BTreeMap<String, Vec<Place>> {
        let mut applied: BTreeMap<String, Vec<Place>> = BTreeMap::new();
        let query = "SELECT record, epoch, sequence FROM applied ORDER BY rowid";
        for (record, place) in self.rows(query, |row| Ok((row.get(0)?, (row.get(1)?, row.get(2)?)))) {
            applied.entry(record).or_default().push(place);
        }
        applied
    }

    /// Record, epoch, first and last number of each gap, in order.
    pub fn gaps(&self) -> Vec<(String, u64, u64, u64)> {
        let query = "SELECT record, epoch, first, last FROM gaps ORDER BY record, epoch, first";
        self.rows(query, |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))
    }

    /// The example's view of a cluster is this one: all of it, or as much as the example keeps.
    pub fn assert_view(&self, record: &str, view: &ClusterView) {
        match self.example {
            Example::Rust => {
                let query = format!("SELECT view FROM records WHERE name = '{record}'");
                let stored: Vec<String> = self.rows(&query, |row| row.get(0));
                let stored: ClusterView = serde_json::from_str(&stored[0]).unwrap();
                assert_eq!(&stored, view, "{record}");
            }
            Example::Python => {
                let query =
                    format!("SELECT node, status, reason FROM nodes WHERE record = '{record}' ORDER BY node");
                let stored: Vec<(String, String, Option<String>)> =
                    self.rows(&query, |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)));
                let nodes = view.nodes.iter();
                let expected: Vec<_> = nodes
                    .map(|(id, node)| {
                        let status = &node.status;
                        (id.clone(), status.as_str().to_owned(), status.reason().map(str::to_owned))
                    })
                    .collect();
                assert_eq!(stored, expected, "{record}");
            }
        }
    }
}
