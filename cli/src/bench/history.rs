//! The measurements of `bench history`: how fast the stream is read, and whether following it keeps up.

use std::process::Stdio;
use std::time::Duration;

use futures::future::try_join_all;
use replicante_aws::Stream;
use replicante_local::{Local, LocalConfig};
use replicante_model::change::Change;
use replicante_model::event::{Cause, Sealer};
use replicante_model::view::Health;
use replicante_model::{RecordName, Timestamp};
use serde::Deserialize;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::{Instant, interval, sleep, timeout};

use crate::bench::figures::{Figure, Wanted, figure};
use crate::error::CliError;
use crate::out;
use crate::view::text::thousands;

/// Clusters that the events are of.
const CLUSTERS: usize = 64;
/// Events of one commit: what one PutRecords takes.
const COMMIT: usize = 500;
/// How often events are published while they are followed.
const BEAT: Duration = Duration::from_millis(100);
/// What is waited at most for the last event.
const PATIENCE: Duration = Duration::from_secs(60);
/// Goals: events that are scanned in a second, and that following keeps up with.
const SCANNED: f64 = 20_000.0;
const FOLLOWED: f64 = 5_000.0;

/// Publishes so many events and reads them all; then follows so many a second for so long.
///
/// # Errors
/// When something can't start, or events are missing.
pub async fn measure(records: usize, rate: usize, span: Duration) -> Result<Vec<Figure>, CliError> {
    let local = Local::start(&LocalConfig::default()).await?;
    let stream = Stream::new(&local.clients, &local.settings.stream);
    let mut clusters: Vec<Cluster> = (0..CLUSTERS).map(Cluster::new).collect();
    out::note(format_args!("publishing {} events ...", thousands(records as u64)));
    for round in 0..records.div_ceil(COMMIT * CLUSTERS) {
        let left = records - round * COMMIT * CLUSTERS;
        let parts = clusters.iter_mut().enumerate().map(|(at, cluster)| {
            let events = left.saturating_sub(at * COMMIT).min(COMMIT);
            cluster.publish(&stream, events)
        });
        try_join_all(parts).await?;
    }
    let mut figures = Vec::new();
    for (what, args, lines) in [
        ("all events, as JSON", &["events", "-o", "json"][..], records),
        ("all events, as lines", &["events"], records),
        (
            "the events of one cluster",
            &["events", "--cluster", "c-0", "-o", "json"],
            clusters[0].next as usize,
        ),
    ] {
        out::note(format_args!("reading {what} ..."));
        let began = Instant::now();
        let mut child = replicante(&local, args)?;
        let seen = count(&mut child).await?;
        let seconds = began.elapsed().as_secs_f64();
        if seen != lines {
            return Err(CliError::Failed(format!("{seen} of {lines} events were read")));
        }
        let scanned = if args.contains(&"--cluster") { None } else { Some(Wanted::AtLeast(SCANNED)) };
        figures.push(figure(format!("{what}: {}", thousands(lines as u64)), seconds, "seconds", None));
        figures.push(figure(format!("{what}: rate"), lines as f64 / seconds, "events/s", scanned));
    }
    out::note(format_args!("following {rate} events a second ..."));
    figures.extend(follow(&local, &stream, &mut clusters, rate, span).await?);
    Ok(figures)
}

/// How late events are shown by `events --follow` while so many are published.
async fn follow(
    local: &Local,
    stream: &Stream,
    clusters: &mut [Cluster],
    rate: usize,
    span: Duration,
) -> Result<Vec<Figure>, CliError> {
    let mut child = replicante(local, &["events", "--follow", "--limit", "1", "-o", "json"])?;
    let output = child.stdout.take().ok_or_else(|| CliError::Failed("it has no output".into()))?;
    let mut lines = BufReader::new(output).lines();
    // The last one that is stored: it is where those to come begin.
    timeout(PATIENCE, lines.next_line())
        .await
        .map_err(|_| CliError::Failed("nothing was read".into()))?
        .map_err(broken)?;
    let beats = (span.as_millis() / BEAT.as_millis()) as usize;
    let beat = (rate as f64 * BEAT.as_secs_f64()) as usize;
    let reader = tokio::spawn(async move {
        let mut late = Vec::with_capacity(beats * beat);
        while late.len() < beats * beat {
            let line = timeout(PATIENCE, lines.next_line()).await;
            let Ok(Ok(Some(line))) = line else { break };
            let Ok(Timed { time }) = serde_json::from_str(&line) else { break };
            late.push(Timestamp::now().since(Timestamp::parse(&time).unwrap_or_default()));
        }
        late
    });
    let mut clock = interval(BEAT);
    let began = Instant::now();
    for turn in 0..beats {
        clock.tick().await;
        let count = clusters.len();
        let parts = clusters.iter_mut().enumerate().map(|(at, cluster)| {
            // What does not divide goes to others at each turn.
            let more = usize::from((at + turn) % count < beat % count);
            cluster.publish(stream, beat / count + more)
        });
        try_join_all(parts).await?;
    }
    let published = (beats * beat) as f64 / began.elapsed().as_secs_f64();
    let mut late = reader.await.map_err(|error| CliError::Failed(error.to_string()))?;
    child.start_kill().map_err(broken)?;
    if late.len() != beats * beat {
        return Err(CliError::Failed(format!("{} of {} events were shown", late.len(), beats * beat)));
    }
    late.sort_unstable();
    let part = |part: f64| late[((late.len() - 1) as f64 * part) as usize].as_secs_f64();
    Ok(vec![
        figure("followed: published", published, "events/s", Some(Wanted::AtLeast(FOLLOWED * 0.95))),
        figure("followed: shown after, p50", part(0.5), "seconds", None),
        figure("followed: shown after, p99", part(0.99), "seconds", None),
        // It looks every second; more than a few of them would be a backlog that grows.
        figure("followed: shown after, at most", part(1.0), "seconds", Some(Wanted::AtMost(5.0))),
    ])
}

#[derive(Deserialize)]
struct Timed {
    time: String,
}

/// A cluster of which events are made up.
struct Cluster {
    record: RecordName,
    /// Events so far.
    next: u64,
}

impl Cluster {
    fn new(number: usize) -> Self {
        Cluster { record: RecordName::cluster("default", format!("c-{number}")), next: 0 }
    }

    async fn publish(&mut self, stream: &Stream, events: usize) -> Result<(), CliError> {
        let sealer = Sealer {
            source: "/replicante/bench",
            record: &self.record,
            epoch: 1,
            sequence: self.next,
            time: Timestamp::now(),
            cause: Cause::Schedule,
            actor: None,
            maintenance: None,
        };
        let flip =
            Change::ClusterHealthChanged { before: Some(Health::Healthy), after: Some(Health::Degraded) };
        let sealed = sealer.seal(std::iter::repeat_n(&flip, events), events, usize::MAX);
        let sealed = sealed.map_err(|error| CliError::Failed(error.to_string()))?;
        let events: Vec<Vec<u8>> = sealed.into_iter().map(|event| event.bytes).collect();
        self.next += events.len() as u64;
        let (published, problem) =
            stream.publish(&self.record.key(), &events, Instant::now() + PATIENCE).await;
        match problem {
            Some(error) if published < events.len() => Err(error.into()),
            _ => Ok(()),
        }
    }
}

fn broken(error: std::io::Error) -> CliError {
    CliError::Failed(format!("running the command that is measured: {error}"))
}

/// This command, as a user starts it.
fn replicante(local: &Local, args: &[&str]) -> Result<Child, CliError> {
    let mut command = Command::new(std::env::current_exe().map_err(broken)?);
    command.args(args).envs(&local.environment).env_remove("CARGO_PKG_NAME").kill_on_drop(true);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn().map_err(broken)
}

/// Lines that it writes until it ends.
async fn count(child: &mut Child) -> Result<usize, CliError> {
    let output = child.stdout.take().ok_or_else(|| CliError::Failed("it has no output".into()))?;
    let mut lines = BufReader::with_capacity(1 << 20, output).split(b'\n');
    let mut seen = 0;
    while lines.next_segment().await.map_err(broken)?.is_some() {
        seen += 1;
    }
    let status = child.wait().await.map_err(broken)?;
    // The process has ended, and what it held is free.
    sleep(Duration::from_millis(100)).await;
    if status.success() { Ok(seen) } else { Err(CliError::Failed(format!("it ended with {status}"))) }
}
