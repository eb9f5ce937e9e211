//! `doctor`: is a deployment set up as it must be, and why is a node down?

pub mod cluster;

use std::collections::BTreeMap;

use clap::{Args, Subcommand};
use futures::future::join_all;
use replicante_aws::{AwsError, QueueFacts, Start};
use replicante_model::time::parse_human;
use replicante_model::{Kind, RecordName};
use replicante_settings::{Settings as Functions, SettingsError, TABLE};
use serde_json::{Value, json};

use crate::diagnosis::deployment::{Facts, Settings, checks};
use crate::diagnosis::functions::Configured;
use crate::diagnosis::{Check, Verdict, lines, worst};
use crate::error::CliError;
use crate::out::{self, Output};
use crate::place::{Place, PlaceArgs};
use crate::progress;

/// Exit codes beside those of every command, as of `status`.
const WARN: u8 = 3;
const BAD: u8 = 4;
/// The functions of a deployment: what they are for, what names them, and of which records they claim some.
const FUNCTIONS: [(&str, &str, Option<Kind>); 4] = [
    ("discovery scheduler", "REPLICANTE_DISCOVERY_SCHEDULER", None),
    ("refresh scheduler", "REPLICANTE_REFRESH_SCHEDULER", None),
    ("discovery worker", "REPLICANTE_DISCOVERY_WORKER", Some(Kind::Discovery)),
    ("refresh worker", "REPLICANTE_REFRESH_WORKER", Some(Kind::Cluster)),
];
/// A record that nobody has: it is read for the permission alone.
const NOBODY: &str = "replicante-doctor";

/// Values of `doctor`.
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "Examples:\n  \
    replicante doctor                    table, queues, stream, clock, functions, settings\n  \
    replicante doctor --context prod -o json | jq '.checks[] | select(.verdict != \"ok\")'\n  \
    replicante doctor cluster zk-01      why is a node down? Asks each agent from here\n\n\
    Each line is ok, warn or bad. It only reads: what the functions' roles allow, and whether\n\
    the queues take messages, is not checked. `status` says whether work is done.\n\
    Exit codes: 0 all is well, 3 warnings, 4 something is bad, 1 it could not be found out."
)]
pub struct DoctorArgs {
    /// What to look at [default: the deployment]
    #[command(subcommand)]
    pub what: Option<What>,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap takes the group's own text")]
    pub common: CommonArgs,
}

/// Values of all of `doctor`.
#[derive(Debug, Args)]
pub struct CommonArgs {
    /// How to show it
    #[arg(short, long, value_enum, default_value = "table")]
    pub output: Output,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap takes the group's own text")]
    pub place: PlaceArgs,
}

/// What can be looked at.
#[derive(Debug, Subcommand)]
pub enum What {
    /// Asks each agent of a cluster from here, as a worker does, and compares with what is stored
    Cluster(cluster::ClusterArgs),
}

/// Runs the command.
///
/// # Errors
/// When the place can't be found; [`CliError::Result`] when something is not well.
pub async fn run(args: DoctorArgs) -> Result<(), CliError> {
    if let Some(What::Cluster(args)) = args.what {
        return cluster::run(args).await;
    }
    let place = Place::find(&args.common.place).await?;
    let checks = checks(&look(&place).await);
    if !args.common.output.wrote(|| as_json(&checks))? {
        lines(&checks).into_iter().try_for_each(out::line)?;
    }
    verdict(&checks)
}

fn as_json(checks: &[Check]) -> Value {
    json!({ "verdict": worst(checks), "checks": checks })
}

/// The exit code of what was found.
fn verdict(checks: &[Check]) -> Result<(), CliError> {
    match worst(checks) {
        Verdict::Ok => Ok(()),
        Verdict::Warn => Err(CliError::Result(WARN)),
        Verdict::Bad => Err(CliError::Result(BAD)),
    }
}

async fn look(place: &Place) -> Facts {
    progress::say("checking");
    let table = place.table();
    let (described, ahead) = table.describe().await;
    let (queues, dead) = queues(place).await;
    let functions = functions(place).await;
    Facts {
        local: place.local,
        table: told(described),
        expiry: if place.local { Ok(None) } else { told(table.expiry().await) },
        ahead,
        queues,
        dead,
        stream: told(place.stream().describe().await),
        reads: reads(place).await,
        settings: [Kind::Discovery, Kind::Cluster]
            .map(|kind| (kind, settings(place, &functions, kind)))
            .into(),
        named: place.named(),
        functions,
    }
}

fn told<T, E: ToString>(result: Result<T, E>) -> Result<T, String> {
    result.map_err(|error| error.to_string())
}

type Found<T> = BTreeMap<Kind, Result<T, String>>;

async fn queues(place: &Place) -> (Found<QueueFacts>, Found<Option<u64>>) {
    let (mut queues, mut dead) = (BTreeMap::new(), BTreeMap::new());
    for kind in [Kind::Discovery, Kind::Cluster] {
        let queue = match place.queue(kind) {
            Ok(queue) => queue,
            Err(error) => {
                queues.insert(kind, Err(error.to_string()));
                continue;
            }
        };
        queues.insert(kind, told(queue.describe().await));
        let letters = async {
            match queue.dead_letters().await? {
                Some(letters) => Ok(Some(letters.depth().await?.all())),
                None => Ok(None),
            }
        };
        dead.insert(kind, told::<_, AwsError>(letters.await));
    }
    (queues, dead)
}

/// What the commands read, each once and little of it.
async fn reads(place: &Place) -> Vec<(&'static str, Result<String, String>)> {
    let table = place.table();
    let listed = async {
        let some = table.heads(Kind::Cluster, 0).await?;
        match some.unreadable.into_iter().next() {
            Some(damaged) => Err(damaged),
            None => Ok("lists of records can be read".to_owned()),
        }
    };
    let one = async {
        table.head(&RecordName::cluster("default", NOBODY)).await?;
        Ok::<_, AwsError>("single records can be read".to_owned())
    };
    let events = async {
        let mut readers = place.stream().shards(Start::Latest, None).await?;
        if let Some(reader) = readers.pop() {
            reader.limited(1).next_page().await?;
        }
        Ok::<_, AwsError>("events can be read".to_owned())
    };
    vec![
        ("list table", told(listed.await)),
        ("read table", told(one.await)),
        ("read stream", told(events.await)),
    ]
}

/// How the functions are configured that are known by name: those of a stack, or of the environment's variables. A local
/// deployment has none on Lambda.
async fn functions(place: &Place) -> Vec<Configured> {
    let known = FUNCTIONS.into_iter().filter_map(|(what, variable, claims)| {
        let name = place.variable(variable).filter(|_| !place.local)?;
        Some(async move {
            let is_setting = |name: &str| TABLE.iter().any(|setting| setting.name == name);
            let function = replicante_stack::function(place.clients().account(), &name, is_setting).await;
            Configured { what, claims, function }
        })
    });
    join_all(known).await
}

/// What is known here of the settings by which records of a kind are worked on: what their worker is told; else everything
/// of a local deployment; else what the environment says.
fn settings(place: &Place, functions: &[Configured], kind: Kind) -> Settings {
    let worker = functions.iter().find(|function| function.claims == Some(kind) && function.is_read());
    let said = |name: &str| match worker {
        Some(worker) => worker.setting(name),
        None => place.variable(name),
    };
    let span = |name: &str| said(name).and_then(|span| parse_human(&span).ok());
    let lease = match worker {
        Some(_) => (span("REPLICANTE_LEASE").unwrap_or_default(), false),
        None => (place.lease().unwrap_or_default(), said("REPLICANTE_LEASE").is_none()),
    };
    // Those of functions are told with each of them.
    let problem = match Functions::read(&said) {
        Err(wrong @ SettingsError::Refused { .. }) if functions.is_empty() => Some(wrong.to_string()),
        _ => None,
    };
    Settings {
        problem,
        lease,
        visibility: span("REPLICANTE_VISIBILITY_TIMEOUT"),
        max_receive: said("REPLICANTE_MAX_RECEIVE_COUNT").and_then(|times| times.parse().ok()),
        retention: span("REPLICANTE_STREAM_RETENTION"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::given::written;

    #[test]
    fn what_was_found_is_told_to_programs_with_the_worst_of_it_first() {
        let checks = [
            Check::ok("table", "active, with the keys pk and sk"),
            Check::warn("time to live", "it is off", "switch it on"),
        ];
        insta::assert_snapshot!(written(&as_json(&checks)).0, @r#"
        {
          "checks": [
            {
              "found": "active, with the keys pk and sk",
              "verdict": "ok",
              "what": "table"
            },
            {
              "found": "it is off",
              "next": "switch it on",
              "verdict": "warn",
              "what": "time to live"
            }
          ],
          "verdict": "warn"
        }
        "#);
        assert!(matches!(verdict(&checks), Err(CliError::Result(WARN))));
    }
}
