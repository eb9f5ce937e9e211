//! Whether a deployment is set up as it must be: table, queues, stream, clocks, functions, settings.

use std::collections::BTreeMap;
use std::time::Duration;

use replicante_aws::{QueueFacts, StreamFacts, TableFacts};
use replicante_model::Kind;
use replicante_model::time::human;

use super::Check;
use super::functions::{self, Configured};
use crate::view::text::{count, short};

/// The attribute by which items expire.
const EXPIRES: &str = "expires";
/// A difference of clocks that is told. The answer's date has whole seconds.
const SKEW: Duration = Duration::from_secs(10);
/// A difference of clocks that AWS does not take: it refuses the signature.
const REFUSED: Duration = Duration::from_secs(300);
/// Receives before a message is dead: fewer, and a throttle alone makes dead letters.
const FEW_RECEIVES: u32 = 3;

/// What was found of a deployment. Errors are those of the calls, in one line.
#[derive(Clone, Debug)]
pub struct Facts {
    /// Whether it runs on this machine: then nothing expires, and the retention is that of a file.
    pub local: bool,
    /// What the table is.
    pub table: Result<TableFacts, String>,
    /// The attribute by which its items expire.
    pub expiry: Result<Option<String>, String>,
    /// How far the service's clock is ahead of this one, in milliseconds, where its answer says that.
    pub ahead: Option<i64>,
    /// What each queue is.
    pub queues: BTreeMap<Kind, Result<QueueFacts, String>>,
    /// How many dead letters each has.
    pub dead: BTreeMap<Kind, Result<Option<u64>, String>>,
    /// What the stream is.
    pub stream: Result<StreamFacts, String>,
    /// What was read, each with what it needs the permission for.
    pub reads: Vec<(&'static str, Result<String, String>)>,
    /// Its functions, where their names are known.
    pub functions: Vec<Configured>,
    /// What its table, stream, queues and name are, by the variables of the functions.
    pub named: BTreeMap<&'static str, String>,
    /// What the settings are by which records of each kind are worked on, as far as they are known here.
    pub settings: BTreeMap<Kind, Settings>,
}

impl Facts {
    fn settings(&self, kind: Kind) -> Settings {
        self.settings.get(&kind).cloned().unwrap_or_default()
    }
}

/// Settings of the functions, as far as they are known here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// What is wrong with one of them.
    pub problem: Option<String>,
    /// How long a claim holds a record, and whether that is only what the template says.
    pub lease: (Duration, bool),
    /// What the functions take for the queues' visibility timeout.
    pub visibility: Option<Duration>,
    /// What they take for how often a message is received before it is dead.
    pub max_receive: Option<u32>,
    /// What they take for the stream's retention.
    pub retention: Option<Duration>,
}

/// All checks, in the order of what rests on what.
pub fn checks(facts: &Facts) -> Vec<Check> {
    let mut checks = vec![table(facts)];
    checks.extend(expiry(facts));
    checks.extend(clock(facts));
    for (kind, queue) in &facts.queues {
        let (name, others) = (queue_name(*kind), &facts.settings(*kind));
        match queue {
            Err(error) => checks.push(unread(name, error)),
            Ok(queue) => {
                checks.push(redrive(name, queue, others, facts.dead.get(kind)));
                checks.push(lease(name, queue, others));
            }
        }
    }
    checks.push(stream(facts));
    checks.extend(facts.reads.iter().map(|(what, read)| match read {
        Ok(found) => Check::ok(*what, found),
        Err(error) => unread(what, error),
    }));
    checks.extend(functions::checks(&facts.functions, &facts.named));
    checks.push(functions::agree(&facts.functions).unwrap_or_else(|| settings(facts)));
    checks
}

/// Settings whose functions can't be asked.
fn settings(facts: &Facts) -> Check {
    match facts.settings(Kind::Cluster).problem {
        None if facts.local => Check::ok("settings", "they agree"),
        None => Check::ok(
            "settings",
            "those that are known here agree; no functions to ask: a stack of this release names them in its outputs",
        ),
        Some(problem) => {
            Check::bad("settings", problem, "correct it here, or where the functions are configured")
        }
    }
}

fn queue_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Cluster => "refresh queue",
        Kind::Discovery => "discovery queue",
    }
}

/// A call that failed, with the way out.
fn unread(what: &str, error: &str) -> Check {
    let is = |words: &[&str]| words.iter().any(|word| error.contains(word));
    let next = if is(&["AccessDenied", "AccessDeniedException", "not authorized", "UnauthorizedOperation"]) {
        "these credentials may not: see the permissions in docs/deploy.md"
    } else if is(&["ResourceNotFound", "NonExistentQueue", "QueueDoesNotExist"]) {
        "there is none of this name: is it the right stack, region and account?"
    } else if is(&["ExpiredToken", "UnrecognizedClient", "InvalidSignature", "InvalidClientTokenId"]) {
        "the credentials are not taken: sign in again, and look at this machine's clock"
    } else {
        "is it reachable from here, and are region and endpoint right?"
    };
    Check::bad(what, error, next)
}

fn table(facts: &Facts) -> Check {
    let table = match &facts.table {
        Err(error) => return unread("table", error),
        Ok(table) => table,
    };
    let is = |key: &Option<(String, String)>, name: &str| {
        key.as_ref().is_some_and(|(attribute, kind)| attribute == name && kind == "S")
    };
    if !is(&table.partition_key, "pk") || !is(&table.sort_key, "sk") {
        let told = |key: &Option<(String, String)>| {
            key.as_ref().map_or_else(|| "none".into(), |(name, kind)| format!("{name} ({kind})"))
        };
        let (partition, sort) = (told(&table.partition_key), told(&table.sort_key));
        return Check::bad(
            "table",
            format!("its keys are {partition} and {sort}, expected pk (S) and sk (S)"),
            "it is another table: keys can't be changed",
        );
    }
    match table.status.as_str() {
        "ACTIVE" => Check::ok("table", "active, with the keys pk and sk"),
        "UPDATING" => Check::warn("table", "it is being changed", "wait until it is active"),
        status => Check::bad("table", format!("it is {status}"), "nothing can be done until it is active"),
    }
}

fn expiry(facts: &Facts) -> Option<Check> {
    // Local runs delete nothing by itself, and need not.
    if facts.local || facts.table.is_err() {
        return None;
    }
    let next = "switch it on, by the attribute expires";
    Some(match &facts.expiry {
        Err(error) => unread("time to live", error),
        Ok(Some(attribute)) if attribute == EXPIRES => Check::ok("time to live", "by the attribute expires"),
        Ok(Some(other)) => Check::bad("time to live", format!("by the attribute {other}"), next),
        Ok(None) => Check::warn(
            "time to live",
            "it is off: what is left of removed clusters, notices and intents is kept for ever",
            next,
        ),
    })
}

fn clock(facts: &Facts) -> Option<Check> {
    let ahead = facts.ahead?;
    let by = Duration::from_millis(ahead.unsigned_abs());
    let found = if by <= SKEW {
        return Some(Check::ok("clock", format!("within {} of the table's", human(SKEW))));
    } else if ahead > 0 {
        format!("this machine is {} behind the table", short(by))
    } else {
        format!("this machine is {} ahead of the table", short(by))
    };
    let next = "set this machine's clock: what is asked for and shown is wrong by as much";
    Some(if by < REFUSED { Check::warn("clock", found, next) } else { Check::bad("clock", found, next) })
}

fn redrive(
    name: &str,
    queue: &QueueFacts,
    settings: &Settings,
    dead: Option<&Result<Option<u64>, String>>,
) -> Check {
    let Some(redrive) = &queue.redrive else {
        let next = "give it a dead-letter queue, or what always fails is tried until it is too old";
        return Check::bad(name, "it has no redrive policy", next);
    };
    let target = redrive.target.rsplit(':').next().unwrap_or(&redrive.target);
    let times = count(redrive.max_receive.into(), "receive");
    let found = format!("after {times} to {target}");
    if let Some(Err(error)) = dead {
        return unread(name, error);
    }
    if let Some(expected) = settings.max_receive.filter(|expected| *expected != redrive.max_receive) {
        let next = format!(
            "REPLICANTE_MAX_RECEIVE_COUNT is {expected}: make them equal, the time after which a task is given up is \
             counted from it"
        );
        return Check::warn(name, found, next);
    }
    if redrive.max_receive < FEW_RECEIVES {
        return Check::warn(name, found, "raise it to 5: what is throttled counts as received, too");
    }
    match dead {
        Some(Ok(Some(dead))) if *dead > 0 => {
            Check::warn(name, format!("{found}, which holds {}", count(*dead, "dead letter")), "dlq list")
        }
        _ => Check::ok(name, found),
    }
}

/// The order that the protocol rests on: a lease ends before its task comes again.
fn lease(name: &str, queue: &QueueFacts, settings: &Settings) -> Check {
    let what = format!("{name}'s time");
    let (lease, is_assumed) = settings.lease;
    let (shown, visibility) = (human(lease), human(queue.visibility));
    let of = if is_assumed { ", as in the template," } else { "" };
    if lease >= queue.visibility {
        let next = "raise the visibility timeout of the queue, or lower REPLICANTE_LEASE: a task that comes again finds \
                    its own lease, and is discarded";
        return Check::bad(
            what,
            format!("a lease of {shown}{of} is not shorter than its visibility timeout of {visibility}"),
            next,
        );
    }
    match settings.visibility.filter(|expected| *expected != queue.visibility) {
        Some(expected) => Check::warn(
            what,
            format!("its visibility timeout is {visibility}"),
            format!("REPLICANTE_VISIBILITY_TIMEOUT is {}: make them equal", human(expected)),
        ),
        None => {
            Check::ok(what, format!("a lease of {shown}{of} ends before a task comes again ({visibility})"))
        }
    }
}

fn stream(facts: &Facts) -> Check {
    let stream = match &facts.stream {
        Err(error) => return unread("stream", error),
        Ok(stream) => stream,
    };
    let kept = short(stream.retention);
    let found =
        format!("{}, {}, kept for {kept}", stream.status.to_lowercase(), count(stream.shards, "shard"));
    match stream.status.as_str() {
        "ACTIVE" => {}
        "UPDATING" => return Check::warn("stream", found, "it is being changed: it works meanwhile"),
        _ => return Check::bad("stream", found, "no event goes out until it is active"),
    }
    match facts
        .settings(Kind::Cluster)
        .retention
        .filter(|expected| !facts.local && *expected != stream.retention)
    {
        Some(expected) => Check::warn(
            "stream",
            found,
            format!(
                "REPLICANTE_STREAM_RETENTION is {}: make them equal, snapshots are told as often as it needs",
                human(expected)
            ),
        ),
        None => Check::ok("stream", found),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnosis::{Verdict, lines, worst};
    use crate::view::given::plain;
    use replicante_aws::Redrive;

    fn facts() -> Facts {
        let key = |name: &str| Some((name.to_owned(), "S".to_owned()));
        let queue = |name: &str| {
            let redrive =
                Redrive { target: format!("arn:aws:sqs:eu-central-1:1:{name}-dead"), max_receive: 5 };
            let (visibility, retention) = (Duration::from_secs(180), Duration::from_secs(345_600));
            Ok(QueueFacts { visibility, retention, redrive: Some(redrive) })
        };
        let settings = Settings { lease: (Duration::from_secs(75), true), ..Settings::default() };
        Facts {
            local: false,
            table: Ok(TableFacts { status: "ACTIVE".into(), partition_key: key("pk"), sort_key: key("sk") }),
            expiry: Ok(Some("expires".into())),
            ahead: Some(-900),
            queues: [(Kind::Discovery, queue("discovery")), (Kind::Cluster, queue("refresh"))].into(),
            dead: [(Kind::Discovery, Ok(Some(0))), (Kind::Cluster, Ok(Some(0)))].into(),
            stream: Ok(StreamFacts {
                status: "ACTIVE".into(),
                shards: 4,
                retention: Duration::from_secs(24 * 3600),
            }),
            reads: vec![("read table", Ok("24 clusters".into()))],
            functions: Vec::new(),
            named: BTreeMap::new(),
            settings: [Kind::Discovery, Kind::Cluster].map(|kind| (kind, settings.clone())).into(),
        }
    }

    /// What is not well when this is otherwise.
    fn told(change: impl Fn(&mut Facts)) -> String {
        let mut facts = facts();
        change(&mut facts);
        let mut checks = checks(&facts);
        checks.retain(|check| check.verdict != Verdict::Ok);
        plain(&lines(&checks))
    }

    #[test]
    fn a_deployment_as_the_template_makes_it_is_well() {
        let checks = checks(&facts());
        assert_eq!(worst(&checks), Verdict::Ok);
        insta::assert_snapshot!(plain(&lines(&checks)), @"
        ok    table                   active, with the keys pk and sk
        ok    time to live            by the attribute expires
        ok    clock                   within 10s of the table's
        ok    discovery queue         after 5 receives to discovery-dead
        ok    discovery queue's time  a lease of 1m15s, as in the template, ends before a task comes again (3m)
        ok    refresh queue           after 5 receives to refresh-dead
        ok    refresh queue's time    a lease of 1m15s, as in the template, ends before a task comes again (3m)
        ok    stream                  active, 4 shards, kept for 24h
        ok    read table              24 clusters
        ok    settings                those that are known here agree; no functions to ask: a stack of this release names them in its outputs
        ");
    }

    #[test]
    fn what_is_wrong_with_the_table_is_told() {
        let of = |change: fn(&mut TableFacts)| {
            told(move |facts| {
                if let Ok(table) = &mut facts.table {
                    change(table);
                }
            })
        };
        insta::assert_snapshot!(of(|table| table.sort_key = None), @"bad   table  its keys are pk (S) and none, expected pk (S) and sk (S); next: it is another table: keys can't be changed");
        insta::assert_snapshot!(of(|table| table.partition_key = Some(("pk".into(), "N".into()))), @"bad   table  its keys are pk (N) and sk (S), expected pk (S) and sk (S); next: it is another table: keys can't be changed");
        insta::assert_snapshot!(of(|table| table.status = "DELETING".into()), @"bad   table  it is DELETING; next: nothing can be done until it is active");
        insta::assert_snapshot!(told(|facts| facts.expiry = Ok(None)), @"warn  time to live  it is off: what is left of removed clusters, notices and intents is kept for ever; next: switch it on, by the attribute expires");
        insta::assert_snapshot!(told(|facts| facts.expiry = Ok(Some("ttl".into()))), @"bad   time to live  by the attribute ttl; next: switch it on, by the attribute expires");
        assert_eq!(told(|facts| (facts.local, facts.expiry) = (true, Ok(None))), "", "nothing expires there");
        let denied = "describing the table t failed: AccessDeniedException: no";
        insta::assert_snapshot!(told(|facts| facts.table = Err(denied.into())), @"bad   table  describing the table t failed: AccessDeniedException: no; next: these credentials may not: see the permissions in docs/deploy.md");
        let gone = "describing the table t failed: ResourceNotFoundException: no";
        insta::assert_snapshot!(told(|facts| facts.table = Err(gone.into())), @"bad   table  describing the table t failed: ResourceNotFoundException: no; next: there is none of this name: is it the right stack, region and account?");
    }

    #[test]
    fn what_is_wrong_with_queues_and_stream_is_told() {
        let of = |change: fn(&mut QueueFacts)| {
            told(move |facts| {
                if let Some(Ok(queue)) = facts.queues.get_mut(&Kind::Cluster) {
                    change(queue);
                }
            })
        };
        insta::assert_snapshot!(of(|queue| queue.redrive = None), @"bad   refresh queue  it has no redrive policy; next: give it a dead-letter queue, or what always fails is tried until it is too old");
        insta::assert_snapshot!(of(|queue| queue.visibility = Duration::from_secs(75)), @"bad   refresh queue's time  a lease of 1m15s, as in the template, is not shorter than its visibility timeout of 1m15s; next: raise the visibility timeout of the queue, or lower REPLICANTE_LEASE: a task that comes again finds its own lease, and is discarded");
        insta::assert_snapshot!(of(|queue| queue.redrive = Some(Redrive { target: "d".into(), max_receive: 1 })), @"warn  refresh queue  after 1 receive to d; next: raise it to 5: what is throttled counts as received, too");
        insta::assert_snapshot!(told(|facts| drop(facts.dead.insert(Kind::Cluster, Ok(Some(3))))), @"warn  refresh queue  after 5 receives to refresh-dead, which holds 3 dead letters; next: dlq list");
        insta::assert_snapshot!(told(|facts| drop(facts.dead.insert(Kind::Cluster, Err("asking failed: QueueDoesNotExist".into())))), @"bad   refresh queue  asking failed: QueueDoesNotExist; next: there is none of this name: is it the right stack, region and account?");
        insta::assert_snapshot!(told(|facts| {
            for settings in facts.settings.values_mut() {
                settings.visibility = Some(Duration::from_secs(120));
                settings.max_receive = Some(4);
                settings.retention = Some(Duration::from_secs(48 * 3600));
                settings.problem = Some("REPLICANTE_TICK is `soon`".into());
            }
        }), @"
        warn  discovery queue         after 5 receives to discovery-dead; next: REPLICANTE_MAX_RECEIVE_COUNT is 4: make them equal, the time after which a task is given up is counted from it
        warn  discovery queue's time  its visibility timeout is 3m; next: REPLICANTE_VISIBILITY_TIMEOUT is 2m: make them equal
        warn  refresh queue           after 5 receives to refresh-dead; next: REPLICANTE_MAX_RECEIVE_COUNT is 4: make them equal, the time after which a task is given up is counted from it
        warn  refresh queue's time    its visibility timeout is 3m; next: REPLICANTE_VISIBILITY_TIMEOUT is 2m: make them equal
        warn  stream                  active, 4 shards, kept for 24h; next: REPLICANTE_STREAM_RETENTION is 48h: make them equal, snapshots are told as often as it needs
        bad   settings                REPLICANTE_TICK is `soon`; next: correct it here, or where the functions are configured
        ");
        insta::assert_snapshot!(told(|facts| facts.stream = Ok(StreamFacts { status: "DELETING".into(), ..StreamFacts::default() })), @"bad   stream  deleting, 0 shards, kept for 0ms; next: no event goes out until it is active");
    }

    #[test]
    fn a_clock_that_is_off_is_told_and_from_five_minutes_on_it_is_bad() {
        let off = |ahead: i64| told(|facts| facts.ahead = Some(ahead));
        assert_eq!((off(10_000), off(-10_000)), (String::new(), String::new()));
        insta::assert_snapshot!(off(42_000), @"warn  clock  this machine is 42s behind the table; next: set this machine's clock: what is asked for and shown is wrong by as much");
        insta::assert_snapshot!(off(-360_000), @"bad   clock  this machine is 6m ahead of the table; next: set this machine's clock: what is asked for and shown is wrong by as much");
        assert_eq!(told(|facts| facts.ahead = None), "", "an answer without a date says nothing");
    }
}
