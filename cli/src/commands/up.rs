//! `up`: the system on this machine, with what the operator applied.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, Once, PoisonError};
use std::time::Duration;

use clap::Args;
use replicante_aws::Table;
use replicante_local::{Local, LocalConfig, Runner, Stopped};
use replicante_model::Timestamp;
use replicante_model::event::Cause;
use replicante_model::summary::Summary;
use replicante_model::time::human;
use replicante_model::{Kind, RecordName};
use replicante_protocol::head::Head;
use replicante_protocol::machine::Outcome;
use replicante_worker::TaskReport;
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use crate::args::{between, duration};
use crate::commands::task::actor_of;
use crate::error::CliError;
use crate::place::DATA;
use crate::records::heads;
use crate::runs::{Run, RunLog};
use crate::signals::{Interrupts, until};
use crate::tally::SharedTally;
use crate::view::clusters::healths;
use crate::view::event::{Times, name, time};
use crate::view::style::{Tone, bold};
use crate::view::text::{clean, count, quoted};
use crate::{files, logs, out};

/// How long work in flight may take to finish; longer than any agent is waited for.
const GRACE: Duration = Duration::from_secs(20);
/// Between two status lines.
const STATUS: Duration = Duration::from_secs(10);
/// Between two looks at the discoveries.
const LOOK: Duration = Duration::from_secs(2);

/// Values of `up`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    replicante fleet                          something to try it on, elsewhere\n  \
    replicante up -f examples/discovery.yaml  kept in .replicante\n  \
    replicante up -f mine.yaml --data DIR     ... or in another folder\n  \
    RUST_LOG=info replicante up 2> up.log     goes on with what was applied before;\n  \
                                            the log has a line for each task\n\n\
    Exits with 0 after Ctrl-C. What was in flight then is finished, or left for the next start.")]
pub struct UpArgs {
    /// Objects to apply before it starts: YAML or JSON, `-` for the standard input
    #[arg(short, long = "file", value_name = "FILE", num_args = 1..)]
    pub files: Vec<PathBuf>,
    /// Folder for the table, the history, the log of tasks and the endpoints
    #[arg(long, default_value = DATA, value_name = "DIR")]
    pub data: PathBuf,
    /// How often the schedulers run, from 1s to 5m, and the shortest interval
    #[arg(long, default_value = "1s", value_parser = tick, value_name = "TIME")]
    pub tick: Duration,
    /// How long the history is kept: 24h to 365d
    #[arg(long, default_value = "30d", value_parser = retention, value_name = "TIME")]
    pub retention: Duration,
    /// Ends by itself after so long, as after Ctrl-C
    #[arg(long = "for", value_parser = duration, value_name = "TIME")]
    pub lasting: Option<Duration>,
}

fn tick(text: &str) -> Result<Duration, String> {
    between(text, Duration::from_secs(1), Duration::from_secs(300))
}

fn retention(text: &str) -> Result<Duration, String> {
    const DAY: u64 = 24 * 3600;
    between(text, Duration::from_secs(DAY), Duration::from_secs(365 * DAY))
}

/// Runs the command.
///
/// # Errors
/// When an object is wrong or the services can't start.
pub async fn run(args: UpArgs) -> Result<(), CliError> {
    logs::start(None, false)?;
    // Until here Ctrl-C ends the process by itself: the standard input may be waited for as long as one likes.
    let objects = files::read(&args.files, args.tick)?;
    let mut interrupts = Interrupts::watch()?;
    let config = LocalConfig {
        data: Some(args.data.clone()),
        tick: args.tick,
        retention: args.retention,
        ..LocalConfig::default()
    };
    // A task of its own: loading a long history must not keep Ctrl-C waiting.
    let starting = tokio::spawn(async move { Local::start(&config).await });
    let local = tokio::select! {
        started = starting => {
            started.map_err(|error| CliError::Failed(format!("starting the services: {error}")))??
        }
        () = interrupts.next() => {
            out::note("stopped before it began: state and history are as they were");
            return Ok(());
        }
    };
    let table = Table::new(&local.clients, &local.settings.table);
    let effects = files::apply(&table, &objects, &actor_of(None), false).await?;
    for (object, effect) in objects.iter().zip(effects) {
        out::line(format_args!("{} {}", files::title(object), effect.as_str()))?;
    }
    introduce(&args.data, &local)?;
    if heads(&table, Kind::Discovery).await?.is_empty() {
        let program = out::program();
        out::line(format_args!("no discovery is applied yet: {program} apply -f FILE, in another terminal"))?;
    }

    let tally = SharedTally::default();
    let (failed, failures) = mpsc::unbounded_channel();
    let runs = Mutex::new(
        RunLog::open(&args.data)
            .map_err(|error| CliError::file("opening the log of tasks in", &args.data, error))?,
    );
    let unwritten = Once::new();
    let observer = tally.observer(move |report| {
        let mut runs = runs.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = runs.add(&Run::of(report)) {
            // It is a log: work goes on without it.
            unwritten.call_once(|| out::note(format_args!("the log of tasks can't be written: {error}")));
        }
        drop(runs);
        if report.outcome == Outcome::Failed {
            // Nobody listens any more once the command ends.
            let _ = failed.send(failure(report));
        }
    });
    let runner = Runner::start(&local, observer);
    let shown = watch(&table, &tally, failures, args.lasting, &mut interrupts).await;
    stop(runner, &mut interrupts).await;
    shown
}

/// Shows how it goes until it is to end: on Ctrl-C, after its time, or when nobody reads any more.
async fn watch(
    table: &Table,
    tally: &SharedTally,
    mut failures: mpsc::UnboundedReceiver<String>,
    lasting: Option<Duration>,
    interrupts: &mut Interrupts,
) -> Result<(), CliError> {
    let end = lasting.map(|span| Instant::now() + span);
    let mut ticks = interval_at(Instant::now() + STATUS, STATUS);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut looks = interval_at(Instant::now() + LOOK, LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut before = Counts::default();
    let mut troubles = BTreeMap::new();
    loop {
        tokio::select! {
            () = interrupts.next() => return Ok(()),
            () = until(end) => return Ok(()),
            Some(line) = failures.recv() => out::line(line)?,
            _ = looks.tick() => {
                let heads = heads(table, Kind::Discovery).await?;
                news(&heads, &mut troubles).into_iter().try_for_each(out::line)?;
            }
            _ = ticks.tick() => {
                let now = Counts::of(tally);
                out::line(status(&heads(table, Kind::Cluster).await?, before, now))?;
                before = now;
            }
        }
    }
}

/// Stops, and says how.
async fn stop(runner: Runner, interrupts: &mut Interrupts) {
    out::note("stopping: what is in flight may finish; Ctrl-C again ends at once");
    tokio::select! {
        stopped = runner.stop(GRACE) => match stopped {
            Stopped::Finished => out::note("stopped: all work is finished, state and history are kept"),
            Stopped::LeftWork => out::note(format_args!(
                "stopped: some work did not finish in {}; the next start takes it up",
                human(GRACE)
            )),
        },
        () = interrupts.next() => out::note("stopped at once: the next start takes up what was in flight"),
    }
}

fn introduce(data: &Path, local: &Local) -> Result<(), CliError> {
    if local.replayed > 0 || local.requeued > 0 {
        let events = count(local.replayed as u64, "event");
        let records = count(local.requeued as u64, "record");
        out::line(format_args!("restored: {events} of history; the queued work of {records} starts anew"))?;
    }
    let program = out::program();
    let folder = data.display().to_string();
    let option = if data == Path::new(DATA) { String::new() } else { format!(" --data {}", quoted(&folder)) };
    out::line(format_args!(
        "running until Ctrl-C, with state and history in {folder}; in another terminal:"
    ))?;
    for (command, what) in [
        (format!("{program} get clusters{option}"), "the clusters and their health"),
        (format!("{program} get cluster NAME{option}"), "one of them"),
        (format!("{program} events --since 1h{option}"), "what changed; --follow waits for more"),
    ] {
        out::line(format_args!("  {}  {what}", bold(&format!("{command:<44}"))))?;
    }
    let environment = format!(". {}", quoted(&format!("{folder}/environment.sh")));
    out::line(format_args!(
        "  {}  for the AWS CLI and your own programs:",
        bold(&format!("{environment:<44}"))
    ))?;
    for (name, value) in local.environment.iter().filter(|(name, _)| name.starts_with("AWS_ENDPOINT")) {
        out::line(Tone::Quiet.paint(&format!("    export {name}='{value}'")))?;
    }
    Ok(())
}

fn failure(report: &TaskReport) -> String {
    let what = match report.task.record.kind {
        Kind::Cluster => "refresh of",
        Kind::Discovery => "run of",
    };
    let error = report.error.as_deref().unwrap_or("no reason was given");
    let by = if report.task.cause == Cause::Manual { " (asked for)" } else { "" };
    let now = time(&Timestamp::now().rfc3339(), Times::Clock);
    let text = format!("{what} {}{by} failed: {error}; it is tried again", name(&report.task.record));
    format!("{now}  {}", Tone::Bad.paint(&clean(&text)))
}

/// What is new about the discoveries' sources: that one fails, why, and that it works again. It is no failure of a
/// task: the last good answer stands.
fn news(heads: &[Head], troubles: &mut BTreeMap<RecordName, String>) -> Vec<String> {
    let clock = time(&Timestamp::now().rfc3339(), Times::Clock);
    let mut lines = Vec::new();
    for head in heads {
        let summary = Summary::parse(head.summary.as_deref());
        let mut parts: Vec<String> =
            summary.reason.into_iter().map(|reason| format!("fails: {reason}")).collect();
        for (number, word) in
            [(summary.rejected, "set aside"), (summary.conflicts, "owned by another discovery")]
        {
            if number > 0 {
                parts.push(format!("{} {word}", count(number, "record")));
            }
        }
        let now = parts.join("; ");
        let before = troubles.insert(head.record.clone(), now.clone()).unwrap_or_default();
        if now == before {
            continue;
        }
        let (tone, what) = match now.as_str() {
            "" => (Tone::Good, "all is well again"),
            now => (Tone::Bad, now),
        };
        let text = format!("{}: {what}", name(&head.record));
        lines.push(format!("{clock}  {}", tone.paint(&clean(&text))));
    }
    lines
}

/// What the status line counts.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    refreshes: u64,
    failed: u64,
    discarded: u64,
}

impl Counts {
    fn of(tally: &SharedTally) -> Self {
        tally.with(|tally| Counts {
            refreshes: tally.refreshed(),
            failed: tally.ended(Outcome::Failed),
            discarded: tally.ended(Outcome::Discarded),
        })
    }
}

fn status(heads: &[Head], before: Counts, now: Counts) -> String {
    let summaries: Vec<Summary> = heads.iter().map(|head| Summary::parse(head.summary.as_deref())).collect();
    let clock = time(&Timestamp::now().rfc3339(), Times::Clock);
    let mut text = format!(
        "{clock}  {}: {}; {} in the last {}",
        count(heads.len() as u64, "cluster"),
        healths(&summaries),
        count(now.refreshes - before.refreshes, "refresh"),
        human(STATUS)
    );
    for (number, word) in
        [(now.failed - before.failed, "failed"), (now.discarded - before.discarded, "discarded")]
    {
        if number > 0 {
            text.push_str(&format!(", {number} {word}"));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::given::{head, plain};

    fn fleet(reason: Option<&str>, rejected: u64) -> Vec<Head> {
        let summary = Summary { reason: reason.map(String::from), rejected, ..Summary::default() };
        vec![head(RecordName::discovery("default", "fleet"), summary)]
    }

    /// What is told, without the time.
    fn told(heads: &[Head], troubles: &mut BTreeMap<RecordName, String>) -> String {
        let lines = plain(&news(heads, troubles));
        lines.get(10..).unwrap_or_default().to_owned()
    }

    #[test]
    fn a_source_that_fails_is_told_once_and_so_is_its_return() {
        let mut troubles = BTreeMap::new();
        assert_eq!(told(&fleet(None, 0), &mut troubles), "");
        assert_eq!(told(&fleet(Some("status 500"), 0), &mut troubles), "discovery fleet: fails: status 500");
        assert_eq!(told(&fleet(Some("status 500"), 0), &mut troubles), "");
        assert_eq!(told(&fleet(None, 1), &mut troubles), "discovery fleet: 1 record set aside");
        assert_eq!(told(&fleet(None, 0), &mut troubles), "discovery fleet: all is well again");
    }

    #[test]
    fn the_status_line_counts_since_the_last() {
        let now = Counts { refreshes: 25, failed: 1, discarded: 0 };
        let before = Counts { refreshes: 24, failed: 0, discarded: 0 };
        let line = status(&[crate::view::given::cluster_head()], before, now);
        assert_eq!(&line[10..], "1 cluster: 1 degraded; 1 refresh in the last 10s, 1 failed");
    }
}
