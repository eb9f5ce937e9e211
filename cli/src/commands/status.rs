//! `status`: is the system itself well?

use std::collections::BTreeMap;
use std::time::Duration;

use clap::Args;
use replicante_model::pause::Pause;
use replicante_model::summary::Summary;
use replicante_model::time::human;
use replicante_model::{Kind, RecordName, Timestamp};
use replicante_protocol::head::Head;
use replicante_protocol::schedule::{due, under_way};
use serde_json::json;

use crate::error::CliError;
use crate::health::{Finding, Lengths, Looked, Severity, findings};
use crate::out::{self, Output};
use crate::place::{Place, PlaceArgs};
use crate::progress;
use crate::records::heads;
use crate::view::clusters::healths;
use crate::view::event::name as name_of;
use crate::view::record::{json_of_pause, paused};
use crate::view::style::{Tone, bold};
use crate::view::text::{clean, count, list, pad, thousands};

/// Exit codes beside those of every command.
const WARNING: u8 = 3;
const CRITICAL: u8 = 4;
/// Pauses of single records that are shown.
const PAUSES: usize = 5;
/// Clusters in maintenance that are named.
const NAMES: usize = 5;

/// Values of `status`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    replicante status                        what is not well, worst first, and what to do\n  \
    replicante status -o json | jq .findings\n\n\
    It is about Replicante itself: a cluster that is down, and seen to be, is no finding.\n\
    Exit codes: 0 all is well, 3 there are warnings, 4 something is critical, 1 it could not be found out.")]
pub struct StatusArgs {
    /// How to show it
    #[arg(short, long, value_enum, default_value = "table")]
    pub output: Output,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap takes the group's own text")]
    pub place: PlaceArgs,
}

/// Runs the command.
///
/// # Errors
/// When the table or a queue can't be read; [`CliError::Result`] when something is not well.
pub async fn run(args: StatusArgs) -> Result<(), CliError> {
    let place = Place::find(&args.place).await?;
    let looked = look(&place).await?;
    let found = findings(&looked);
    if !args.output.wrote(|| as_json(&looked, &found))? {
        lines(&looked, &found).into_iter().try_for_each(out::line)?;
    }
    match found.first().map(|finding| finding.severity) {
        None => Ok(()),
        Some(Severity::Warning) => Err(CliError::Result(WARNING)),
        Some(Severity::Critical) => Err(CliError::Result(CRITICAL)),
    }
}

async fn look(place: &Place) -> Result<Looked, CliError> {
    let table = place.table();
    let mut looked = Looked {
        now: Timestamp::now(),
        tick: place.tick()?,
        lease: place.lease()?,
        heads: BTreeMap::new(),
        pauses: table.pauses().await?,
        queues: BTreeMap::new(),
    };
    for kind in [Kind::Cluster, Kind::Discovery] {
        looked.heads.insert(kind, heads(&table, kind).await?);
        progress::say("asking the queues");
        let queue = place.queue(kind)?;
        let dead = match queue.dead_letters().await? {
            // Whoever looks at dead letters hides them for a while: they are there all the same.
            Some(dead) => Some(dead.depth().await?.all()),
            None => None,
        };
        looked.queues.insert(kind, Lengths { tasks: queue.depth().await?, dead });
    }
    Ok(looked)
}

fn heads_of(looked: &Looked, kind: Kind) -> &[Head] {
    looked.heads.get(&kind).map(Vec::as_slice).unwrap_or_default()
}

/// How long after its time the latest of what is due is.
fn late(looked: &Looked, kind: Kind) -> Duration {
    let pending = heads_of(looked, kind).iter().filter(|head| head.enabled).map(|head| {
        let paused_until = looked.pauses.until(&head.record);
        under_way(head, paused_until).unwrap_or_else(|| due(head, paused_until))
    });
    pending.map(|stamp| looked.now.since(stamp)).max().unwrap_or_default()
}

fn lines(looked: &Looked, found: &[Finding]) -> Vec<String> {
    let verdict = match found.first().map(|finding| finding.severity) {
        None => Tone::Good.paint("all is well"),
        Some(Severity::Warning) => Tone::Warn.paint(&count(found.len() as u64, "warning")),
        Some(Severity::Critical) => Tone::Bad.paint("critical"),
    };
    let mut lines = vec![format!("{}  {verdict}", bold("replicante"))];
    let mut fact = |name: &str, what: String| lines.push(format!("  {}  {what}", pad(name, 11)));
    let clusters: Vec<Summary> =
        heads_of(looked, Kind::Cluster).iter().map(|head| Summary::parse(head.summary.as_deref())).collect();
    let number = thousands(clusters.len() as u64);
    fact("clusters", format!("{number}: {}", healths(&clusters)));
    fact("discoveries", thousands(heads_of(looked, Kind::Discovery).len() as u64));
    fact("latest", format!("{} after it was due", human(seconds(late(looked, Kind::Cluster)))));
    let now = looked.now;
    if let Some(pause) = looked.pauses.all.as_ref().filter(|pause| pause.is_on(now)) {
        let text = format!("everything {}", paused(pause));
        fact("paused", Tone::Warn.paint(&clean(&text)));
    }
    for (record, pause) in own_pauses(looked).take(PAUSES) {
        fact("paused", Tone::Warn.paint(&clean(&format!("{} {}", name_of(record), paused(pause)))));
    }
    let more = own_pauses(looked).count().saturating_sub(PAUSES) as u64;
    if more > 0 {
        fact(
            "paused",
            Tone::Warn.paint(&format!("and {}: -o json shows them all", count(more, "more record"))),
        );
    }
    if in_maintenance(looked).next().is_some() {
        let named = in_maintenance(looked)
            .map(|head| format!("{} until {}", name_of(&head.record), head.maintenance));
        fact("expected", clean(&format!("in maintenance: {}", list(named, NAMES))).into_owned());
    }
    for (kind, name) in [(Kind::Cluster, "refreshes"), (Kind::Discovery, "runs")] {
        let Lengths { tasks, dead } = looked.queues.get(&kind).copied().unwrap_or_default();
        let dead = dead.map(|dead| format!(", {}", count(dead, "dead letter"))).unwrap_or_default();
        let (waiting, flight, delayed) = (tasks.waiting, tasks.in_flight, tasks.delayed);
        fact(name, format!("{waiting} waiting, {flight} at work, {delayed} for later{dead}"));
    }
    for finding in found {
        let (word, tone) = match finding.severity {
            Severity::Critical => ("critical", Tone::Bad),
            Severity::Warning => ("warning", Tone::Warn),
        };
        lines.push(String::new());
        lines.push(format!("{}  {}", tone.paint(&pad(word, 8)), clean(&finding.what)));
        lines.push(format!("          {}", Tone::Quiet.paint(&clean(&finding.next))));
    }
    lines
}

/// Clusters whose maintenance window is not over.
fn in_maintenance(looked: &Looked) -> impl Iterator<Item = &Head> {
    heads_of(looked, Kind::Cluster).iter().filter(|head| head.maintenance > looked.now)
}

/// What is paused by its own name.
fn own_pauses(looked: &Looked) -> impl Iterator<Item = (&RecordName, &Pause)> {
    looked.pauses.records.iter().filter(|(_, pause)| pause.is_on(looked.now))
}

/// Without what is of no interest.
fn seconds(span: Duration) -> Duration {
    Duration::from_secs(span.as_secs())
}

fn as_json(looked: &Looked, found: &[Finding]) -> serde_json::Value {
    let queue = |kind| {
        let Lengths { tasks, dead } = looked.queues.get(&kind).copied().unwrap_or_default();
        json!({
            "waiting": tasks.waiting, "in_flight": tasks.in_flight, "delayed": tasks.delayed, "dead_letters": dead,
            "latest_ms": late(looked, kind).as_millis() as u64, "records": heads_of(looked, kind).len(),
        })
    };
    let status = match found.first().map(|finding| finding.severity) {
        None => "ok",
        Some(Severity::Warning) => "warning",
        Some(Severity::Critical) => "critical",
    };
    json!({
        "status": status, "at": looked.now.rfc3339(), "refresh": queue(Kind::Cluster), "discovery": queue(Kind::Discovery),
        "findings": found,
        "maintenance": in_maintenance(looked).map(|head| (head.record.key(), json!(head.maintenance.rfc3339())))
            .collect::<serde_json::Map<_, _>>(),
        "paused": {
            "all": looked.pauses.all.as_ref().filter(|pause| pause.is_on(looked.now)).map(json_of_pause),
            "records": own_pauses(looked).map(|(record, pause)| (record.key(), json_of_pause(pause)))
                .collect::<serde_json::Map<_, _>>(),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::given::{NOW, cluster_head, plain, written};
    use replicante_aws::Depth;
    use replicante_model::pause::Pauses;

    #[test]
    fn a_page_says_how_it_is_and_what_to_do() {
        let mut late = cluster_head();
        late.due = NOW.minus(Duration::from_secs(754));
        let tasks = Depth { waiting: 3, delayed: 20, in_flight: 1 };
        let mut looked = Looked {
            now: NOW,
            tick: Duration::from_secs(60),
            lease: Duration::from_secs(150),
            heads: BTreeMap::from([(Kind::Cluster, vec![cluster_head(), late])]),
            pauses: Pauses::default(),
            queues: BTreeMap::from([(Kind::Cluster, Lengths { tasks, dead: Some(1) })]),
        };
        insta::assert_snapshot!(plain(&lines(&looked, &findings(&looked))), @"
        replicante  critical
          clusters     2: 2 degraded
          discoveries  0
          latest       12m34s after it was due
          refreshes    3 waiting, 1 at work, 20 for later, 1 dead letter
          runs         0 waiting, 0 at work, 0 for later

        critical  the refresh scheduler does not do its work: 1 cluster due and not queued, the longest for 12m
                  is its schedule enabled? Look at the log of the refresh-scheduler

        critical  1 dead letter of refresh tasks: each failed too often
                  replicante dlq list
        ");
        let told = as_json(&looked, &findings(&looked));
        insta::assert_snapshot!(written(&told).0, @r#"
        {
          "at": "2026-01-02T02:04:05.000Z",
          "discovery": {
            "dead_letters": null,
            "delayed": 0,
            "in_flight": 0,
            "latest_ms": 0,
            "records": 0,
            "waiting": 0
          },
          "findings": [
            {
              "next": "is its schedule enabled? Look at the log of the refresh-scheduler",
              "severity": "critical",
              "what": "the refresh scheduler does not do its work: 1 cluster due and not queued, the longest for 12m"
            },
            {
              "next": "replicante dlq list",
              "severity": "critical",
              "what": "1 dead letter of refresh tasks: each failed too often"
            }
          ],
          "maintenance": {},
          "paused": {
            "all": null,
            "records": {}
          },
          "refresh": {
            "dead_letters": 1,
            "delayed": 20,
            "in_flight": 1,
            "latest_ms": 754000,
            "records": 2,
            "waiting": 3
          },
          "status": "critical"
        }
        "#);
        insta::assert_snapshot!(written(&told).1, @r#"
        at: "2026-01-02T02:04:05.000Z"
        discovery:
          dead_letters: null
          delayed: 0
          in_flight: 0
          latest_ms: 0
          records: 0
          waiting: 0
        findings:
        - next: is its schedule enabled? Look at the log of the refresh-scheduler
          severity: critical
          what: "the refresh scheduler does not do its work: 1 cluster due and not queued, the longest for 12m"
        - next: replicante dlq list
          severity: critical
          what: "1 dead letter of refresh tasks: each failed too often"
        maintenance: {}
        paused:
          all: null
          records: {}
        refresh:
          dead_letters: 1
          delayed: 20
          in_flight: 1
          latest_ms: 754000
          records: 2
          waiting: 3
        status: critical
        "#);
        assert_eq!((&told["status"], &told["refresh"]["latest_ms"]), (&json!("critical"), &json!(754_000)));
        let pause = Pause {
            since: NOW,
            until: None,
            reason: Some("racks".into()),
            actor: "ann".into(),
            ended_by: None,
        };
        looked.pauses.records.insert(cluster_head().record, pause.clone());
        looked.pauses.all = Some(Pause { until: Some(NOW.plus(Duration::from_secs(60))), ..pause });
        let page = plain(&lines(&looked, &findings(&looked)));
        let about: Vec<&str> =
            page.lines().filter(|line| line.contains("paused") || line.contains("latest")).collect();
        insta::assert_snapshot!(about.join("\n"), @"
        latest       0s after it was due
        paused       everything until 2026-01-02T02:05:05.000Z by ann: racks
        paused       orders since 2026-01-02T02:04:05.000Z by ann: racks
        ");
        looked.pauses = Pauses::default();
        for heads in looked.heads.values_mut() {
            heads[0].maintenance = NOW.plus(Duration::from_secs(60));
            heads[1].maintenance = NOW;
        }
        let page = plain(&lines(&looked, &findings(&looked)));
        let expected: Vec<&str> = page.lines().filter(|line| line.contains("maintenance")).collect();
        insta::assert_snapshot!(expected.join("\n"), @"  expected     in maintenance: orders until 2026-01-02T02:05:05.000Z");
        let told = as_json(&looked, &findings(&looked));
        assert_eq!(told["maintenance"], json!({ "cluster/default/orders": "2026-01-02T02:05:05.000Z" }));
        looked.heads.clear();
        looked.queues.clear();
        insta::assert_snapshot!(plain(&lines(&looked, &findings(&looked))), @"
        replicante  all is well
          clusters     0: none yet
          discoveries  0
          latest       0s after it was due
          refreshes    0 waiting, 0 at work, 0 for later
          runs         0 waiting, 0 at work, 0 for later
        ");
    }
}
