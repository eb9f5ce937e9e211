//! Whether the system itself is well: what heads and queues tell of it. Pure.

use std::collections::BTreeMap;
use std::time::Duration;

use replicante_aws::Depth;
use replicante_model::pause::Pauses;
use replicante_model::summary::Summary;
use replicante_model::{Kind, Timestamp};
use replicante_protocol::head::Head;
use replicante_protocol::schedule::{due, under_way};
use serde::Serialize;

use crate::view::event::name;
use crate::view::text::{count, list, short, thousands};

/// Turns of a schedule that may be missed before somebody is told: two ticks lie between a look and what is due.
const TURNS: u32 = 4;
/// Names that are told of many.
const NAMES: usize = 3;

/// What was looked at.
#[derive(Clone, Debug)]
pub struct Looked {
    /// When.
    pub now: Timestamp,
    /// How often the schedulers run.
    pub tick: Duration,
    /// The lease of the workers.
    pub lease: Duration,
    /// All heads of each kind.
    pub heads: BTreeMap<Kind, Vec<Head>>,
    /// What is paused, and was lately.
    pub pauses: Pauses,
    /// The queues of each kind.
    pub queues: BTreeMap<Kind, Lengths>,
}

/// How much is in a queue, and in its dead-letter queue where it has one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lengths {
    /// Tasks.
    pub tasks: Depth,
    /// Dead letters.
    pub dead: Option<u64>,
}

/// How bad something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// It does not do what it is for, or soon won't.
    Critical,
    /// Somebody should look at it.
    Warning,
}

/// Something that is not well.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// What it is.
    pub what: String,
    /// What to look at or to type next.
    pub next: String,
}

/// What is not well, worst first.
pub fn findings(looked: &Looked) -> Vec<Finding> {
    let mut found = Vec::new();
    for kind in [Kind::Cluster, Kind::Discovery] {
        let heads = looked.heads.get(&kind).map(Vec::as_slice).unwrap_or_default();
        found.extend(unscheduled(kind, heads, looked));
        found.extend(unserved(kind, heads, looked));
        found.extend(owed(kind, heads, looked));
        found.extend(dead(kind, looked));
    }
    let discoveries = looked.heads.get(&Kind::Discovery).map(Vec::as_slice).unwrap_or_default();
    found.extend(discoveries.iter().flat_map(discovery));
    let clusters = looked.heads.get(&Kind::Cluster).map(Vec::as_slice).unwrap_or_default();
    found.extend(failing(clusters));
    found.sort_by_key(|finding| finding.severity);
    found
}

fn critical(what: String, next: impl Into<String>) -> Finding {
    Finding { severity: Severity::Critical, what, next: next.into() }
}

fn warning(what: String, next: impl Into<String>) -> Finding {
    Finding { severity: Severity::Warning, what, next: next.into() }
}

/// `refresh` or `discovery`: what the functions and queues of a kind are called.
fn work(kind: Kind) -> &'static str {
    match kind {
        Kind::Cluster => "refresh",
        Kind::Discovery => "discovery",
    }
}

fn named<'h>(heads: impl IntoIterator<Item = &'h &'h Head>) -> String {
    list(heads.into_iter().map(|head| name(&head.record)), NAMES)
}

fn records(count: usize, kind: Kind) -> String {
    let word = match (kind, count) {
        (Kind::Cluster, 1) => "cluster",
        (Kind::Cluster, _) => "clusters",
        (Kind::Discovery, 1) => "discovery",
        (Kind::Discovery, _) => "discoveries",
    };
    format!("{} {word}", thousands(count as u64))
}

/// Records that are due and that no scheduler has taken up.
fn unscheduled(kind: Kind, heads: &[Head], looked: &Looked) -> Option<Finding> {
    let patience = looked.tick * TURNS;
    let due = |head: &Head| due(head, looked.pauses.until(&head.record));
    let is_left = |head: &&Head| {
        head.enabled && head.queued_due <= head.done_due && looked.now.since(due(head)) > patience
    };
    let left: Vec<&Head> = heads.iter().filter(is_left).collect();
    let oldest = left.iter().map(|head| due(head)).min()?;
    Some(critical(
        format!(
            "the {} scheduler does not do its work: {} due and not queued, the longest for {}",
            work(kind),
            records(left.len(), kind),
            short(looked.now.since(oldest))
        ),
        format!("is its schedule enabled? Look at the log of the {}-scheduler", work(kind)),
    ))
}

/// Records whose task was queued long ago, and that no worker has done.
fn unserved(kind: Kind, heads: &[Head], looked: &Looked) -> Option<Finding> {
    let patience = looked.tick * TURNS + looked.lease;
    let stamp = |head: &Head| under_way(head, looked.pauses.until(&head.record));
    let waits =
        |head: &&Head| head.enabled && stamp(head).is_some_and(|stamp| looked.now.since(stamp) > patience);
    let waiting: Vec<&Head> = heads.iter().filter(waits).collect();
    let oldest = waiting.iter().filter_map(|head| stamp(head)).min()?;
    let enabled = heads.iter().filter(|head| head.enabled).count();
    let what = format!(
        "{} of {} wait for a {} worker, the longest for {}: {}",
        thousands(waiting.len() as u64),
        records(enabled, kind),
        work(kind),
        short(looked.now.since(oldest)),
        named(&waiting),
    );
    let next =
        format!("errors or throttles of the {0}-worker? Raise its concurrency when it is busy", work(kind));
    Some(if waiting.len() * 2 > enabled { critical(what, next) } else { warning(what, next) })
}

/// Records whose last changes are not known to be in the stream, and that nobody works on.
fn owed(kind: Kind, heads: &[Head], looked: &Looked) -> Option<Finding> {
    let patience = looked.tick * TURNS;
    // Since its lease ended; a lease that was given back leaves when the task began.
    let since = |head: &Head| head.lease_until.max(Summary::parse(head.summary.as_deref()).at);
    let owes =
        |head: &&Head| head.owed && !head.is_held(looked.now) && looked.now.since(since(head)) > patience;
    let owing: Vec<&Head> = heads.iter().filter(owes).collect();
    if owing.is_empty() {
        return None;
    }
    Some(critical(
        format!(
            "{} with changes that are not in the stream yet: {}",
            records(owing.len(), kind),
            named(&owing)
        ),
        "is the stream throttled or out of reach? They are delivered first by the next task",
    ))
}

fn dead(kind: Kind, looked: &Looked) -> Option<Finding> {
    let dead = looked.queues.get(&kind)?.dead.filter(|dead| *dead > 0)?;
    let letters = count(dead, "dead letter");
    Some(critical(
        format!("{letters} of {} tasks: each failed too often", work(kind)),
        "replicante dlq list".to_owned(),
    ))
}

/// What a discovery says of itself.
fn discovery(head: &Head) -> Vec<Finding> {
    let summary = Summary::parse(head.summary.as_deref());
    let name = name(&head.record);
    let id = &head.record.id;
    let mut found = Vec::new();
    if !head.enabled {
        return found;
    }
    if let Some(reason) = &summary.reason {
        found.push(warning(format!("{name} fails: {reason}"), format!("replicante get discovery {id}")));
    }
    if summary.held > 0 {
        let what =
            format!("{name} holds what its source no longer reports: {}", count(summary.held, "record"));
        found.push(warning(
            what,
            format!("replicante get discovery {id}, then replicante discovery confirm {id}"),
        ));
    }
    if summary.unconnected > 0 {
        let what = format!(
            "workers of {name} are likely to be cut off: no connection to {}",
            count(summary.unconnected, "agent")
        );
        found.push(warning(what, "network, security groups and allow-lists of the refresh worker"));
    }
    if summary.rejected > 0 {
        let what = format!("{name}: {} set aside", count(summary.rejected, "bad record"));
        found.push(warning(what, format!("replicante get discovery {id}")));
    }
    if summary.conflicts > 0 {
        let what = format!("{name}: {} that another discovery owns", count(summary.conflicts, "cluster"));
        found.push(warning(what, format!("replicante get discovery {id}")));
    }
    found
}

/// Clusters whose last refresh failed: not what is wrong in them, but with seeing it.
fn failing(heads: &[Head]) -> Option<Finding> {
    let fails = |head: &&Head| {
        let summary = Summary::parse(head.summary.as_deref());
        head.enabled && summary.outcome == "failed"
    };
    let failing: Vec<&Head> = heads.iter().filter(fails).collect();
    let first = failing.first()?;
    let reason = Summary::parse(first.summary.as_deref()).reason;
    let why = reason.map(|reason| format!(" ({reason})")).unwrap_or_default();
    let what = format!(
        "the last refresh of {} failed: {}{why}",
        records(failing.len(), Kind::Cluster),
        named(&failing)
    );
    Some(warning(what, format!("replicante get cluster {}", first.record.id)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::given::{NOW, cluster_head, head};
    use replicante_model::RecordName;
    use replicante_model::pause::Pause;

    const MINUTE: Duration = Duration::from_secs(60);

    fn looked(clusters: Vec<Head>, discoveries: Vec<Head>) -> Looked {
        Looked {
            now: NOW,
            tick: MINUTE,
            lease: Duration::from_secs(150),
            heads: BTreeMap::from([(Kind::Cluster, clusters), (Kind::Discovery, discoveries)]),
            pauses: Pauses::default(),
            queues: BTreeMap::new(),
        }
    }

    fn clusters(change: impl Fn(usize, &mut Head)) -> Vec<Head> {
        let one = |number: usize| {
            let mut head = cluster_head();
            head.record.id = format!("c-{number}");
            (head.queued_due, head.done_due) = (NOW.minus(MINUTE), NOW.minus(MINUTE));
            change(number, &mut head);
            head
        };
        (0..5).map(one).collect()
    }

    fn told(looked: &Looked) -> String {
        let lines = findings(looked);
        let lines =
            lines.iter().map(|found| format!("{:?}: {}\n  {}", found.severity, found.what, found.next));
        lines.collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn a_system_that_is_well_has_nothing_to_tell_whatever_its_clusters_are() {
        let discovery =
            head(RecordName::discovery("default", "fleet"), Summary { clusters: 5, ..Summary::default() });
        let mut looked = looked(clusters(|_, _| {}), vec![discovery]);
        looked.queues.insert(Kind::Cluster, Lengths { dead: Some(0), ..Lengths::default() });
        assert_eq!(findings(&looked), []);
        // What is disabled is nobody's to do.
        let off = |_: usize, head: &mut Head| (head.enabled, head.due) = (false, Timestamp::ZERO);
        looked.heads.insert(Kind::Cluster, clusters(off));
        assert_eq!(findings(&looked), []);
    }

    #[test]
    fn a_scheduler_that_stands_still_is_told_after_four_turns_and_no_sooner() {
        let since = |span: Duration| looked(clusters(|_, head| head.due = NOW.minus(span)), vec![]);
        assert_eq!(told(&since(4 * MINUTE)), "");
        insta::assert_snapshot!(told(&since(10 * MINUTE)), @"
        Critical: the refresh scheduler does not do its work: 5 clusters due and not queued, the longest for 10m
          is its schedule enabled? Look at the log of the refresh-scheduler
        ");
    }

    #[test]
    fn what_is_paused_or_was_lately_does_not_wait_for_its_scheduler() {
        let mut looked = looked(clusters(|_, head| head.due = NOW.minus(10 * MINUTE)), vec![]);
        for until in [None, Some(NOW)] {
            looked.pauses.all = Some(Pause {
                since: NOW.minus(20 * MINUTE),
                until,
                reason: None,
                actor: "ann".into(),
                ended_by: None,
            });
            assert_eq!(told(&looked), "", "{until:?}");
        }
        looked.now = NOW.plus(10 * MINUTE);
        assert!(
            told(&looked).contains("5 clusters due and not queued"),
            "the pause is over: {}",
            told(&looked)
        );
    }

    #[test]
    fn tasks_that_nobody_does_are_told_and_are_critical_when_they_are_most() {
        let waiting = |most: usize| {
            looked(
                clusters(|number, head| {
                    if number < most {
                        head.queued_due = NOW.minus(12 * MINUTE);
                        head.done_due = NOW.minus(13 * MINUTE);
                    }
                }),
                vec![],
            )
        };
        insta::assert_snapshot!(told(&waiting(2)), @"
        Warning: 2 of 5 clusters wait for a refresh worker, the longest for 12m: c-0 and c-1
          errors or throttles of the refresh-worker? Raise its concurrency when it is busy
        ");
        assert_eq!(findings(&waiting(3))[0].severity, Severity::Critical);
    }

    #[test]
    fn what_is_owed_dead_letters_and_sources_are_told_worst_first() {
        let mut sick = head(
            RecordName::discovery("default", "fleet"),
            Summary {
                reason: Some("status 500".into()),
                held: 12,
                unconnected: 7,
                rejected: 1,
                conflicts: 2,
                ..Summary::default()
            },
        );
        sick.record.id = "fleet".into();
        let owing = |number: usize, head: &mut Head| {
            head.owed = number < 2;
            head.lease_until = if number == 0 { Timestamp::ZERO } else { NOW.minus(9 * MINUTE) };
            if number < 2 {
                // Given back, or run out.
                head.summary = Some(Summary { at: NOW.minus(9 * MINUTE), ..Summary::default() }.to_json());
            }
            if number == 4 {
                let failed = Summary {
                    outcome: "failed".into(),
                    reason: Some("throttled".into()),
                    ..Summary::default()
                };
                head.summary = Some(failed.to_json());
            }
        };
        let mut looked = looked(clusters(owing), vec![sick]);
        looked.queues.insert(Kind::Discovery, Lengths { dead: Some(3), ..Lengths::default() });
        insta::assert_snapshot!(told(&looked), @"
        Critical: 2 clusters with changes that are not in the stream yet: c-0 and c-1
          is the stream throttled or out of reach? They are delivered first by the next task
        Critical: 3 dead letters of discovery tasks: each failed too often
          replicante dlq list
        Warning: discovery fleet fails: status 500
          replicante get discovery fleet
        Warning: discovery fleet holds what its source no longer reports: 12 records
          replicante get discovery fleet, then replicante discovery confirm fleet
        Warning: workers of discovery fleet are likely to be cut off: no connection to 7 agents
          network, security groups and allow-lists of the refresh worker
        Warning: discovery fleet: 1 bad record set aside
          replicante get discovery fleet
        Warning: discovery fleet: 2 clusters that another discovery owns
          replicante get discovery fleet
        Warning: the last refresh of 1 cluster failed: c-4 (throttled)
          replicante get cluster c-4
        ");
        // Whoever holds it is at work on it.
        looked.heads.insert(
            Kind::Cluster,
            clusters(|_, head| {
                (head.owed, head.lease_until) = (true, NOW.plus(MINUTE));
            }),
        );
        assert!(!told(&looked).contains("not in the stream"));
    }
}
