//! The command line: its commands and what their values may be.

use std::ffi::OsString;
use std::ops::RangeInclusive;
use std::time::Duration;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser, Subcommand};
use clap_complete::Shell;
use replicante_model::Timestamp;
use replicante_model::time::{human, parse_human};

use crate::commands::apply::ApplyArgs;
use crate::commands::bench::BenchArgs;
use crate::commands::capacity::CapacityArgs;
use crate::commands::context::ContextArgs;
use crate::commands::delete::DeleteArgs;
use crate::commands::demo::DemoArgs;
use crate::commands::discovery::DiscoveryArgs;
use crate::commands::dlq::DlqArgs;
use crate::commands::doctor::DoctorArgs;
use crate::commands::events::EventsArgs;
use crate::commands::export::ExportArgs;
use crate::commands::fleet::FleetArgs;
use crate::commands::forget::{ForgetArgs, UnforgetArgs};
use crate::commands::get::GetArgs;
use crate::commands::maintenance::MaintenanceArgs;
use crate::commands::past::{AtArgs, DiffArgs};
use crate::commands::pause::{PauseArgs, ResumeArgs};
use crate::commands::restore_check::RestoreCheckArgs;
use crate::commands::runs::RunsArgs;
use crate::commands::status::StatusArgs;
use crate::commands::task::TaskArgs;
use crate::commands::up::UpArgs;
use crate::commands::validate::ValidateArgs;
use crate::error::CliError;
use crate::out;
use crate::view::text::clean;

/// An always current picture of many datastore clusters, and an ordered history of every change in them.
#[derive(Debug, Parser)]
#[command(
    name = "replicante",
    version,
    after_help = "First steps:\n  \
                  replicante demo --for 30s   shows it all on a simulated fleet\n  \
                  replicante up -f FILE       runs it on this machine, for your own\n\n\
                  Colours are for terminals alone; NO_COLOR turns them off.\n\
                  Exit codes: 0 it worked, 1 something failed, 2 wrong usage; status, doctor and\n\
                  discovery test also 3 warnings or differences, 4 something is bad."
)]
pub struct Cli {
    /// What commands take as `--context`, here before their name: clap hands it on to [`PlaceArgs`].
    ///
    /// [`PlaceArgs`]: crate::place::PlaceArgs
    #[arg(long, global = true, hide = true, value_name = "NAME")]
    pub context: Option<String>,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Watch it work on a simulated fleet that changes, with nothing installed
    Demo(DemoArgs),
    /// Run it on this machine, for your own discoveries
    Up(UpArgs),
    /// Name deployments, and choose the one in use
    Context(ContextArgs),
    /// Show what is known now: clusters, one cluster, discoveries
    Get(GetArgs),
    /// Show what changed, and when
    Events(EventsArgs),
    /// Show a cluster as it was at a moment of the past
    At(AtArgs),
    /// Show what is different in a cluster between two moments
    Diff(DiffArgs),
    /// Say whether Replicante itself is well, and what to do where it is not
    Status(StatusArgs),
    /// Show what the last tasks of a cluster or discovery did
    Runs(RunsArgs),
    /// Check how a deployment is set up, or why a node of a cluster is down
    Doctor(DoctorArgs),
    /// Look at the tasks that failed too often, and try them again
    Dlq(DlqArgs),
    /// Store discoveries, and what overrides them for one cluster
    #[command(visible_alias = "import")]
    Apply(ApplyArgs),
    /// Check files of objects, without any system
    Validate(ValidateArgs),
    /// Write all stored objects, as a file that apply takes back
    Export(ExportArgs),
    /// Delete an object: what it was about goes on without it
    Delete(DeleteArgs),
    /// Ask for a refresh of a cluster now
    #[command(after_help = "Examples:\n  replicante refresh zk-01\n  \
                            replicante refresh zk-01 --wait                until it is done, and how it ended\n  \
                            replicante refresh zk-01 --wait --timeout 10s && echo done\n\n\
                            What is waited for is a refresh that began after this was asked.\n\
                            With --wait exit code 1 also says that it failed, or did not end in time.")]
    Refresh(TaskArgs),
    /// Ask for a run of a discovery now
    #[command(after_help = "Examples:\n  replicante discover fleet\n  \
                            replicante discover fleet --wait              until it is done: how it ended, and what it found\n\n\
                            With --wait exit code 1 also says that its source failed, or that it did not end in time.")]
    Discover(TaskArgs),
    /// Try a discovery without storing anything, or confirm what it holds
    Discovery(DiscoveryArgs),
    /// Remove a cluster or a node, whatever its source says
    Forget(ForgetArgs),
    /// Take a forgotten cluster or node from its source again
    Unforget(UnforgetArgs),
    /// Say that what happens to a cluster for a while is expected
    Maintenance(MaintenanceArgs),
    /// Leave a cluster, a discovery or everything alone for a while
    Pause(PauseArgs),
    /// End a pause
    Resume(ResumeArgs),
    /// What a fleet needs of AWS, what that costs, and which quota is met first
    Capacity(CapacityArgs),
    /// Raise all epochs after the table was restored, before the functions run again
    RestoreCheck(RestoreCheckArgs),
    /// Run the simulated fleet alone, for `up` and for tests of your own
    Fleet(FleetArgs),
    /// Measure what this machine does, and what it costs
    Bench(BenchArgs),
    /// Write what a shell needs to complete commands and options
    #[command(
        after_help = "Examples:\n  replicante completions bash > ~/.local/share/bash-completion/completions/replicante\n  \
                      replicante completions zsh > ~/.zfunc/_replicante\n  \
                      replicante completions fish > ~/.config/fish/completions/replicante.fish"
    )]
    Completions {
        /// The shell
        shell: Shell,
    },
}

impl Cli {
    /// Reads the command line. Help and the version are written at once, and leave an exit code alone.
    ///
    /// # Errors
    /// When nothing is left to run. What is wrong is said in one line, where clap would write several.
    pub fn read(words: &[OsString]) -> Result<Self, CliError> {
        let error = match Cli::try_parse_from(words) {
            Ok(Cli { context: Some(context), command }) if !command.has_place() => {
                let name = path(words);
                return Err(CliError::Usage(format!(
                    "--context {}: {}talks to no deployment; leave it out",
                    clean(&context),
                    name
                )));
            }
            Ok(cli) => return Ok(cli),
            Err(error) => error,
        };
        let is_asked = matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
        if is_asked || error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
            // Nobody to tell is no reason to fail.
            let _ = error.print();
            return Err(CliError::Result(u8::from(error.exit_code() != 0) * 2));
        }
        let help = format!("{} {}--help", out::program(), path(words));
        Err(CliError::Usage(format!("{}; see {help}", in_one_line(&error.to_string()))))
    }
}

/// The names of the commands that are typed, each with a space behind it.
fn path(words: &[OsString]) -> String {
    let mut path = String::new();
    let mut command = &Cli::command();
    for word in words.iter().skip(1) {
        if let Some(found) = command.find_subcommand(word) {
            path.push_str(found.get_name());
            path.push(' ');
            command = found;
        }
    }
    path
}

/// What clap says, without what leads to the help: that of a paragraph goes on, the next paragraph follows a semicolon.
fn in_one_line(text: &str) -> String {
    let text = text.trim_start_matches("error: ");
    let paragraphs = text.split("\n\n").map(|paragraph| {
        let lines = paragraph.lines().map(str::trim).filter(|line| !line.is_empty());
        lines.collect::<Vec<_>>().join(" ")
    });
    let is_said = |paragraph: &String| {
        !paragraph.is_empty()
            && !paragraph.starts_with("Usage:")
            && !paragraph.starts_with("For more information")
    };
    let said: Vec<String> = paragraphs.filter(is_said).collect();
    clean(&said.join("; ")).into_owned()
}

impl Command {
    /// Whether it talks to a deployment that is there already.
    pub fn has_place(&self) -> bool {
        !matches!(
            self,
            Command::Demo(_)
                | Command::Up(_)
                | Command::Context(_)
                | Command::Validate(_)
                | Command::Capacity(_)
                | Command::Fleet(_)
                | Command::Bench(_)
                | Command::Completions { .. }
        )
    }

    /// Whether it shows something by itself until it is told to end.
    pub fn is_lasting(&self) -> bool {
        match self {
            Command::Demo(_) | Command::Up(_) | Command::Fleet(_) | Command::Bench(_) => true,
            Command::Get(args) => args.is_watch(),
            Command::Events(args) => args.follow,
            _ => false,
        }
    }
}

/// Reads a duration: `500ms`, `30s`, `1h30m`.
///
/// # Errors
/// Says what was expected.
pub fn duration(text: &str) -> Result<Duration, String> {
    parse_human(text)
}

/// Reads a duration that is not zero.
///
/// # Errors
/// Says what was expected.
pub fn positive(text: &str) -> Result<Duration, String> {
    match parse_human(text)? {
        Duration::ZERO => Err("it must be longer than zero".into()),
        span => Ok(span),
    }
}

/// Reads a duration within bounds.
///
/// # Errors
/// Names the bounds.
pub fn between(text: &str, least: Duration, most: Duration) -> Result<Duration, String> {
    match parse_human(text)? {
        span if (least..=most).contains(&span) => Ok(span),
        _ => Err(format!("expected {} to {}", human(least), human(most))),
    }
}

/// A moment, as people name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// So long ago.
    Ago(Duration),
    /// At this time.
    At(Timestamp),
}

impl Moment {
    /// The time that is meant, now.
    pub fn time(self, now: Timestamp) -> Timestamp {
        match self {
            Moment::Ago(span) => now.minus(span),
            Moment::At(time) => time,
        }
    }
}

/// Reads a moment: `2h` (ago), `now`, or a time with its offset from UTC.
///
/// # Errors
/// Says what was expected.
pub fn moment(text: &str) -> Result<Moment, String> {
    if text == "now" {
        return Ok(Moment::Ago(Duration::ZERO));
    }
    if let Ok(span) = parse_human(text) {
        return Ok(Moment::Ago(span));
    }
    // RFC 3339 lets a space stand between date and time, and the parser takes it.
    Timestamp::parse(text).map(Moment::At).map_err(|_| {
        if Timestamp::parse(&format!("{text}Z")).is_ok() {
            format!("this time may be any hour's: add Z for UTC ({text}Z), or an offset (+02:00)")
        } else {
            "expected how long ago (2h, 1d12h), `now`, or a time with its offset (2026-11-23T08:30:00Z)"
                .into()
        }
    })
}

/// Reads a range of counts: `3-7`, or one number.
///
/// # Errors
/// Says what was expected.
pub fn range(text: &str) -> Result<RangeInclusive<usize>, String> {
    let bad = || format!("`{text}` is no range: expected two numbers from 1 to 1000, like 3-7, or one");
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last): (usize, usize) =
        (first.trim().parse().map_err(|_| bad())?, last.trim().parse().map_err(|_| bad())?);
    if first == 0 || last < first || last > 1000 { Err(bad()) } else { Ok(first..=last) }
}

/// Reads the mean time between changes: a duration, or `off`.
///
/// # Errors
/// Says what was expected.
pub fn pace(text: &str) -> Result<Pace, String> {
    match text {
        "off" => Ok(Pace(None)),
        text => positive(text).map(|mean| Pace(Some(mean))).map_err(|problem| format!("{problem}; or `off`")),
    }
}

/// How often the fleet changes: the mean time between two changes, or never.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace(pub Option<Duration>);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_without_an_offset_is_refused_with_words() {
        let refused = |text: &str| moment(text).unwrap_err();
        insta::assert_snapshot!(refused("2026-11-23T08:30:00"), @"this time may be any hour's: add Z for UTC (2026-11-23T08:30:00Z), or an offset (+02:00)");
        for text in ["2026-11-23", "yesterday", "", "-2h", "08:30"] {
            assert_eq!(refused(text), refused("soon"), "{text}");
        }
        insta::assert_snapshot!(refused("soon"), @"expected how long ago (2h, 1d12h), `now`, or a time with its offset (2026-11-23T08:30:00Z)");
    }

    #[test]
    fn wrong_usage_is_said_in_one_line() {
        let said = |typed: &str| {
            let words: Vec<OsString> =
                std::iter::once("replicante").chain(typed.split(' ')).map(OsString::from).collect();
            Cli::read(&words).unwrap_err().to_string().replace("cargo run --release --", "replicante")
        };
        insta::assert_snapshot!(said("at a --time 08:30"), @"invalid value '08:30' for '--time <TIME>': expected how long ago (2h, 1d12h), `now`, or a time with its offset (2026-11-23T08:30:00Z); see replicante at --help");
        insta::assert_snapshot!(said("at"), @"the following required arguments were not provided: --time <TIME> <CLUSTER>; see replicante at --help");
        insta::assert_snapshot!(said("get clusters -o tabel"), @"invalid value 'tabel' for '--output <OUTPUT>' [possible values: table, wide, json, yaml]; tip: a similar value exists: 'table'; see replicante get clusters --help");
        insta::assert_snapshot!(said("evnts"), @"unrecognized subcommand 'evnts'; tip: a similar subcommand exists: 'events'; see replicante --help");
        insta::assert_snapshot!(said("maintenance begin a"), @"the following required arguments were not provided: --until <TIME>; see replicante maintenance begin --help");
        insta::assert_snapshot!(said("get clusters --helath down"), @"unexpected argument '--helath' found; tip: a similar argument exists: '--health'; see replicante get clusters --help");
        insta::assert_snapshot!(said("--context prod demo"), @"--context prod: demo talks to no deployment; leave it out");
        insta::assert_snapshot!(said("context list --context prod"), @"--context prod: context list talks to no deployment; leave it out");
        insta::assert_snapshot!(said("pause cluster a\nb\u{1b}[2J c"), @"unexpected argument 'c' found; see replicante pause cluster --help");
    }

    #[test]
    fn values_are_read_as_people_write_them() {
        assert_eq!(range("3-7").unwrap(), 3..=7);
        assert_eq!(range("5").unwrap(), 5..=5);
        assert_eq!(pace("off").unwrap(), Pace(None));
        assert_eq!(pace("2s").unwrap(), Pace(Some(Duration::from_secs(2))));
        for text in ["", "0", "7-3", "0-3", "1-2000", "a-b"] {
            assert!(range(text).is_err(), "{text}");
        }
        assert!(positive("0s").is_err() && pace("soon").is_err());
        assert_eq!(moment("2h"), Ok(Moment::Ago(Duration::from_secs(7200))));
        assert_eq!(moment("now").unwrap().time(Timestamp(5)), Timestamp(5));
        let at = Ok(Moment::At(Timestamp(1_795_422_600_000)));
        assert_eq!(moment("2026-11-23T08:30:00Z"), at);
        assert_eq!(moment("2026-11-23 09:30+01:00"), at);
    }
}

#[cfg(test)]
#[path = "document_tests.rs"]
mod document_tests;

#[cfg(test)]
#[path = "help_tests.rs"]
mod help_tests;
