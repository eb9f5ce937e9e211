//! `demo`: all of it, in one process, on a simulated fleet that changes while one watches.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use replicante_aws::{Start, Stream, Table};
use replicante_fleet::{Changes, Fleet, FleetConfig, WorldConfig};
use replicante_local::{Local, LocalConfig, Runner, Stopped};
use replicante_model::Timestamp;
use replicante_model::time::human;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::args::{Pace, pace, positive, range};
use crate::commands::fleet::next;
use crate::demo::frame::{self, Progress};
use crate::demo::scene::{Entry, Scene};
use crate::demo::screen::Screen;
use crate::demo::summary::{Outline, summary};
use crate::error::CliError;
use crate::history::History;
use crate::order::Seen;
use crate::signals::{Interrupts, until};
use crate::tally::SharedTally;
use crate::view::clusters::list;
use crate::view::event::{Times, time};
use crate::view::style::Tone;
use crate::{files, logs, out};

/// The schedulers' tick, and the shortest interval.
const TICK: Duration = Duration::from_secs(1);
/// How often discovery is asked.
const DISCOVERY: Duration = Duration::from_secs(5);
/// Between two looks at the stream; the services are in this process.
const LOOK: Duration = Duration::from_millis(200);
/// Between two frames.
const FRAME: Duration = Duration::from_millis(200);
/// Between two status lines where there is no screen.
const STATUS: Duration = Duration::from_secs(5);
/// How long work in flight may take to finish: longer than the demo's agents are waited for.
const GRACE: Duration = Duration::from_secs(10);

/// Values of `demo`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    replicante demo                           until Ctrl-C\n  \
    replicante demo --for 30s                 ends by itself, with a summary\n  \
    replicante demo --for 30s | tee demo.log  plain lines: one an event\n  \
    replicante demo --changes 200ms --seed 7  another fleet, and a wild one\n\n\
    Exits with 1 when the stream does not fold to the stored views, or lacks an event.")]
pub struct DemoArgs {
    /// Ends by itself after so long
    #[arg(long = "for", value_parser = positive, value_name = "TIME")]
    pub lasting: Option<Duration>,
    /// Clusters at the start
    #[arg(long, default_value_t = 24)]
    pub clusters: usize,
    /// Nodes of each cluster
    #[arg(long, default_value = "3-7", value_parser = range, value_name = "FROM-TO")]
    pub nodes: RangeInclusive<usize>,
    /// The same seed gives the same fleet and the same changes
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// How often each cluster is refreshed: at least 1s
    #[arg(long, default_value = "2s", value_parser = interval_of, value_name = "TIME")]
    pub interval: Duration,
    /// Mean time between two changes of the fleet, or `off`
    #[arg(long, default_value = "1s", value_parser = pace, value_name = "TIME")]
    pub changes: Pace,
    /// Writes the functions' logs to a file; RUST_LOG sets the level
    #[arg(long, value_name = "FILE")]
    pub log: Option<PathBuf>,
}

fn interval_of(text: &str) -> Result<Duration, String> {
    match positive(text)? {
        span if span < TICK => Err(format!("expected {} or more", human(TICK))),
        span => Ok(span),
    }
}

/// Runs the command.
///
/// # Errors
/// When something can't start, or the stream does not fold to what is stored.
pub async fn run(args: DemoArgs) -> Result<(), CliError> {
    let live = out::is_screen() && out::size().is_some();
    logs::start(args.log.as_deref(), live)?;
    let mut interrupts = Interrupts::watch()?;
    let fleet = Fleet::start(FleetConfig {
        world: WorldConfig {
            seed: args.seed,
            clusters: args.clusters,
            nodes: args.nodes.clone(),
            ..WorldConfig::default()
        },
        ..FleetConfig::default()
    })
    .await?;
    let local =
        Local::start(&LocalConfig { tick: TICK, overrides: settings(), ..LocalConfig::default() }).await?;
    let table = Table::new(&local.clients, &local.settings.table);
    let objects = files::parse_text("demo", &discovery(&fleet, args.interval), TICK)?;
    files::apply(&table, &objects, "demo", false).await?;

    let mut show = Show::start(&args, live)?;
    let (stop, stopping) = watch::channel(false);
    let (told, mut events) = mpsc::unbounded_channel();
    let stream = Stream::new(&local.clients, &local.settings.stream);
    let history = History::open(&stream, Start::Oldest).await?.pausing(LOOK);
    let reader = tokio::spawn(read(history, told, stopping));
    let runner = Runner::start(&local, show.tally.observer(|_| {}));
    let mut changes = args.changes.0.map(|mean| fleet.start_changes(args.seed, mean));

    let watched = watch_it(&args, &mut show, &mut events, &mut changes, &mut interrupts).await;
    drop(changes);
    show.leave();
    watched?;
    out::note("finishing what is in flight, then folding the stream ... (Ctrl-C ends at once)");
    let finish = async {
        if runner.stop(GRACE).await == Stopped::LeftWork {
            out::note(format_args!(
                "some work did not finish in {}: what it owes is not there yet",
                human(GRACE)
            ));
        }
        // The reader ends with what is stored now; it has ended already when it failed.
        let _ = stop.send(true);
        let mut history =
            reader.await.map_err(|error| CliError::Failed(format!("reading the stream: {error}")))??;
        while let Ok(seen) = events.try_recv() {
            show.events(&seen)?;
        }
        // Whatever still waits lacks what comes before it: there is a gap.
        show.events(&history.order.settle())?;
        let mut check = show.scene.folds.check(&table).await?;
        check.note(&history.order.oddities());
        check.expect(args.clusters);
        Ok::<_, CliError>((history.order.copies, check))
    };
    let (copies, check) = tokio::select! {
        finished = finish => finished?,
        () = interrupts.next() => return Err(CliError::Failed("ended before the stream was checked".into())),
    };
    show.end(copies, &check)?;
    fleet.shutdown().await;
    if check.holds() {
        Ok(())
    } else {
        Err(CliError::Failed(
            "the stream does not hold all that is stored, each once and in order; the lines above say what is wrong"
                .into(),
        ))
    }
}

/// What returns is to be seen within the seconds that a demonstration lasts.
fn settings() -> BTreeMap<String, String> {
    BTreeMap::from([("REPLICANTE_BACK_OFF".into(), "10s".into())])
}

/// Shows what happens until the end.
async fn watch_it(
    args: &DemoArgs,
    show: &mut Show,
    events: &mut mpsc::UnboundedReceiver<Vec<Seen>>,
    changes: &mut Option<Changes>,
    interrupts: &mut Interrupts,
) -> Result<(), CliError> {
    let end = args.lasting.map(|span| Instant::now() + span);
    let mut frames = interval(if show.screen.is_some() { FRAME } else { STATUS });
    frames.set_missed_tick_behavior(MissedTickBehavior::Delay);
    frames.tick().await;
    loop {
        tokio::select! {
            () = interrupts.next() => return Ok(()),
            () = until(end) => return Ok(()),
            applied = next(changes) => match applied {
                Some(Ok(applied)) => show.fleet(&applied.to_string())?,
                Some(Err(error)) => show.fleet(&format!("not applied: {error}"))?,
                None => *changes = None,
            },
            seen = events.recv() => match seen {
                Some(seen) => show.events(&seen)?,
                // The reader has failed: it says why when it is waited for.
                None => return Ok(()),
            },
            _ = frames.tick() => show.status()?,
        }
    }
}

/// Reads the stream until it is told to stop, and then to its end.
async fn read(
    mut history: History,
    told: mpsc::UnboundedSender<Vec<Seen>>,
    stopping: watch::Receiver<bool>,
) -> Result<History, replicante_aws::AwsError> {
    loop {
        let last = *stopping.borrow();
        let seen = history.rest().await?;
        if !seen.is_empty() {
            // Nobody listens when the command has ended.
            let _ = told.send(seen);
        }
        if last {
            return Ok(history);
        }
        history.pause().await;
    }
}

/// The object that an operator would apply for the fleet.
fn discovery(fleet: &Fleet, interval: Duration) -> String {
    format!(
        "apiVersion: replicante.io/v0\nkind: Discovery\nmetadata: {{ name: demo }}\nspec:\n  interval: {}\n  \
         source: {{ http: {{ url: \"{}\" }} }}\n  refresh: {{ interval: {} }}\n  \
         agents: {{ timeout: 1s, connect_timeout: 1s, node_timeout: 2s }}\n",
        human(DISCOVERY),
        fleet.discovery_url(),
        human(interval),
    )
}

/// What is shown, and where.
struct Show {
    scene: Scene,
    tally: SharedTally,
    screen: Option<Screen>,
    started: Instant,
    lasting: Option<Duration>,
}

impl Show {
    fn start(args: &DemoArgs, live: bool) -> Result<Self, CliError> {
        let screen = if live { Some(Screen::enter()?) } else { None };
        let mut show = Show {
            scene: Scene::default(),
            tally: SharedTally::default(),
            screen,
            started: Instant::now(),
            lasting: args.lasting,
        };
        if show.screen.is_some() {
            show.status()?;
        } else {
            out::line(format_args!(
                "demo: {} simulated clusters, each refreshed every {}; a line for each event, and for what \
                 happens to the fleet",
                args.clusters,
                human(args.interval)
            ))?;
        }
        Ok(show)
    }

    fn events(&mut self, seen: &[Seen]) -> Result<(), CliError> {
        let lines = self.scene.events_seen(seen);
        self.lines(&lines)
    }

    fn fleet(&mut self, what: &str) -> Result<(), CliError> {
        let now = time(&Timestamp::now().rfc3339(), Times::Clock);
        let line = self.scene.fleet(now, what);
        self.lines(&[line])
    }

    /// Where there is no screen lines are written as they come.
    fn lines(&self, lines: &[Entry]) -> Result<(), CliError> {
        if self.screen.is_some() {
            return Ok(());
        }
        lines.iter().try_for_each(|line| out::line(line.show(None)))
    }

    fn status(&mut self) -> Result<(), CliError> {
        let progress = Progress { elapsed: self.started.elapsed(), lasting: self.lasting };
        let tally = self.tally.with(|tally| tally.clone());
        match &mut self.screen {
            None => {
                let rows = frame::rows(&self.scene, &tally);
                let line = frame::status(&rows, &self.scene, &tally, progress);
                let now = time(&Timestamp::now().rfc3339(), Times::Clock);
                out::line(Tone::Quiet.paint(&format!("{now}  {line}")))
            }
            Some(screen) => {
                let size = out::size().unwrap_or((frame::WIDTH, 30));
                let lines = frame::frame(&self.scene, &tally, progress, Timestamp::now(), size);
                screen.draw(&lines)
            }
        }
    }

    /// Gives the terminal back.
    fn leave(&mut self) {
        self.screen = None;
    }

    fn end(&self, copies: u64, check: &crate::check::Check) -> Result<(), CliError> {
        let tally = self.tally.with(|tally| tally.clone());
        let rows = frame::rows(&self.scene, &tally);
        for line in list(&rows, Timestamp::now(), out::size().map(|(width, _)| width)) {
            out::line(line)?;
        }
        out::line("")?;
        let outline = Outline {
            rows: &rows,
            tally: &tally,
            by_type: &self.scene.by_type,
            copies,
            check,
            program: out::program(),
            width: out::size().map_or(frame::WIDTH, |(width, _)| width),
        };
        summary(&outline).into_iter().try_for_each(out::line)
    }
}
