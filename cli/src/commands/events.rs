//! `events`: the history, from the stream.

use std::collections::BTreeMap;
use std::time::Duration;

use clap::{Args, ValueEnum};
use replicante_aws::{AwsError, Start, Stream};
use replicante_model::change::{TYPE_PREFIX, TYPES};
use replicante_model::{Kind, RecordName, Timestamp};
use wildmatch::WildMatch;

use crate::args::{Moment, moment};
use crate::commands::get::unknown;
use crate::error::CliError;
use crate::history::History;
use crate::order::Seen;
use crate::out;
use crate::place::{Place, PlaceArgs};
use crate::records::heads;
use crate::signals::Interrupts;
use crate::view::event::{Line, Times};
use crate::view::style::Tone;
use crate::view::text::clean;

/// How much earlier than asked for reading starts: an event arrives after it was observed, on clocks that
/// need not agree.
pub const EARLIER: Duration = Duration::from_secs(300);

/// Values of `events`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    replicante events --cluster zk-01 --since 2h           what changed in a cluster, in order\n  \
    replicante events --type agent.down --type node.down   only what went down\n  \
    replicante events --from 2026-11-23T08:00:00Z --to 1h  what changed between two moments\n  \
    replicante events --follow --limit 10                  the last ten, then those to come\n  \
    replicante events --relative --since 10m               how long ago instead of when\n  \
    replicante events -o cloudevents --follow              CloudEvents 1.0, one a line\n  \
    replicante events -o json | jq -r .type | sort | uniq -c\n\n\
    Times are UTC. Copies are dropped, and the order of each cluster is kept.\n\
    Gaps are told on the standard error output.")]
pub struct EventsArgs {
    /// Only those of this cluster
    #[arg(short, long, value_name = "NAME")]
    pub cluster: Option<String>,
    /// Only those of this discovery
    #[arg(short, long, value_name = "NAME", conflicts_with = "cluster")]
    pub discovery: Option<String>,
    /// Only those of this namespace [default: all; of the named cluster or discovery: default]
    #[arg(short, long, value_name = "NAME")]
    pub namespace: Option<String>,
    /// Only those that were observed so long ago, or since: 2h, or a time with its offset
    #[arg(long, visible_alias = "from", value_parser = moment, value_name = "TIME")]
    pub since: Option<Moment>,
    /// Only those that were observed by then
    #[arg(long, value_parser = moment, value_name = "TIME", conflicts_with = "follow")]
    pub to: Option<Moment>,
    /// Only those of this type: `agent.down`, or of a group: `agent.*`, `*.down`; may be given again
    #[arg(short = 't', long = "type", value_name = "TYPE", value_parser = event_type)]
    pub types: Vec<String>,
    /// Goes on with those to come, until Ctrl-C
    #[arg(short, long)]
    pub follow: bool,
    /// How to show them
    #[arg(short, long, value_enum, default_value = "table")]
    pub output: Output,
    /// Says how long ago instead of when
    #[arg(long)]
    pub relative: bool,
    /// Only the last so many
    #[arg(short, long, value_name = "NUMBER")]
    pub limit: Option<usize>,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap takes the group's own text")]
    pub place: PlaceArgs,
}

/// How events are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people: time, cluster, type, what changed
    #[value(alias = "lines")]
    Table,
    /// For programs: the events as they were published, one a line
    Json,
    /// The same: each is a CloudEvent 1.0
    Cloudevents,
}

/// Reads a type, with or without its prefix; a group (`agent`) stands for all of its types, and so do * and ? for any
/// text and any character.
fn event_type(text: &str) -> Result<String, String> {
    let short = text.strip_prefix(TYPE_PREFIX).unwrap_or(text);
    if TYPES.iter().any(|name| stands_for(short, name)) {
        return Ok(short.to_owned());
    }
    let group = short.split('.').next().unwrap_or(short);
    let like: Vec<&str> = TYPES.into_iter().filter(|name| name.split('.').next() == Some(group)).collect();
    let known = if like.is_empty() {
        "cluster, agent, node, shard, discovery, or one of their types".to_owned()
    } else {
        like.join(", ")
    };
    Err(format!("there is no such type; expected {known}"))
}

/// Whether what was typed means a type: its name, its group, or a pattern of either.
fn stands_for(typed: &str, name: &str) -> bool {
    typed == name || name.split('.').next() == Some(typed) || WildMatch::new(typed).matches(name)
}

/// What is asked for.
#[derive(Debug)]
struct Filter {
    kind: Option<Kind>,
    namespace: Option<String>,
    id: Option<String>,
    types: Vec<String>,
    since: Option<Timestamp>,
    to: Option<Timestamp>,
}

impl Filter {
    fn of(args: &EventsArgs, now: Timestamp) -> Self {
        let (kind, id) = match (&args.cluster, &args.discovery) {
            (Some(id), _) => (Some(Kind::Cluster), Some(id.clone())),
            (None, Some(id)) => (Some(Kind::Discovery), Some(id.clone())),
            (None, None) => (None, None),
        };
        let named = id.as_ref().map(|_| "default".to_owned());
        Filter {
            kind,
            namespace: args.namespace.clone().or(named),
            id,
            types: args.types.clone(),
            since: args.since.map(|moment| moment.time(now)),
            to: args.to.map(|moment| moment.time(now)),
        }
    }

    /// The one record that is asked for.
    fn record(&self) -> Option<RecordName> {
        let (kind, namespace, id) = (self.kind?, self.namespace.as_ref()?, self.id.as_ref()?);
        Some(RecordName::new(kind, namespace, id))
    }

    /// Whether a record is one of those that are asked for.
    fn is_of(&self, record: &RecordName) -> bool {
        self.kind.is_none_or(|kind| kind == record.kind)
            && self.namespace.as_ref().is_none_or(|namespace| *namespace == record.namespace)
            && self.id.as_ref().is_none_or(|id| *id == record.id)
    }

    fn takes(&self, seen: &Seen) -> bool {
        let time = Timestamp::parse(&seen.event.time);
        let name = seen.event.change.name();
        self.is_of(&seen.record)
            && (self.types.is_empty() || self.types.iter().any(|typed| stands_for(typed, name)))
            && self.since.is_none_or(|since| time.as_ref().is_ok_and(|time| *time >= since))
            && self.to.is_none_or(|to| time.is_ok_and(|time| time <= to))
    }
}

/// Runs the command.
///
/// # Errors
/// When the stream can't be read, or nothing knows the cluster or discovery that is asked for.
pub async fn run(args: EventsArgs) -> Result<(), CliError> {
    if args.relative && args.output != Output::Table {
        return Err(CliError::Usage("--relative is for people: it needs -o table".into()));
    }
    let filter = Filter::of(&args, Timestamp::now());
    if let (Some(from), Some(to)) = (filter.since, filter.to)
        && from > to
    {
        return Err(CliError::Failed(format!("--from is later than --to: {from} is after {to}")));
    }
    let place = Place::find(&args.place).await?;
    // Where the history was loaded from a file its arrival times are those of the start of `up`.
    let start = match filter.since {
        Some(since) if !place.local => Start::Time(since.minus(EARLIER)),
        _ => Start::Oldest,
    };
    let stream = place.stream();
    let history = History::open_for(&stream, start, filter.record().as_ref()).await?.joining();
    let mut reading =
        Reading { args: &args, filter, stream, history, found: false, troubled: false, holds_all: None };
    if args.follow {
        let mut interrupts = Interrupts::watch()?;
        return tokio::select! {
            shown = reading.follow(&place) => shown,
            () = interrupts.next() => Ok(()),
        };
    }
    reading.past(&place).await
}

/// Reads the stream, and shows what is asked for.
struct Reading<'a> {
    args: &'a EventsArgs,
    filter: Filter,
    stream: Stream,
    history: History,
    /// Whether there was any event of the one record that is asked for, whatever its type and time.
    found: bool,
    /// Whether the last call failed, and it was said so.
    troubled: bool,
    /// Whether the stream holds all since the time that is asked for, once somebody wanted to know.
    holds_all: Option<bool>,
}

impl Reading<'_> {
    /// Shows what is stored.
    async fn past(&mut self, place: &Place) -> Result<(), CliError> {
        let mut last = self.args.limit.map(Last::new);
        let mut began = false;
        loop {
            let mut some = match self.history.next().await {
                Ok(some) => some,
                Err(error) => {
                    // Whoever has to read much is not thrown back by one call. Where nothing works that is no trouble,
                    // but the answer.
                    if !(began && self.args.follow && self.bears(&error)) {
                        return Err(error.into());
                    }
                    self.history.pause().await;
                    continue;
                }
            };
            (began, self.troubled) = (true, false);
            let end = some.is_empty();
            if end && !self.args.follow {
                // What is missing by now does not come any more.
                some = self.history.order.settle();
                some.sort_by_cached_key(place_in_time);
            }
            for seen in some {
                self.found |= self.filter.is_of(&seen.record);
                if self.filter.takes(&seen) {
                    match &mut last {
                        None => self.show(&seen)?,
                        Some(last) => last.add(seen),
                    }
                }
            }
            if end {
                break;
            }
        }
        self.odd().await;
        last.iter().flat_map(|last| last.events.values()).try_for_each(|seen| self.show(seen))?;
        if !self.found
            && let Some(record) = self.filter.record()
        {
            return known(place, &record).await;
        }
        Ok(())
    }

    /// Shows what is stored, then what comes.
    async fn follow(&mut self, place: &Place) -> Result<(), CliError> {
        self.past(place).await?;
        loop {
            self.history.pause().await;
            match self.news().await {
                Ok(()) => self.troubled = false,
                Err(CliError::Aws(error)) if self.bears(&error) => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Shows what came since, each as it is read.
    async fn news(&mut self) -> Result<(), CliError> {
        self.history.go_on().await?;
        loop {
            let mut some = self.history.next().await?;
            let end = some.is_empty();
            if end {
                some = self.history.order.settle_gaps(Timestamp::now());
            }
            self.odd().await;
            some.iter().filter(|seen| self.filter.takes(seen)).try_for_each(|seen| self.show(seen))?;
            if end {
                return Ok(());
            }
        }
    }

    /// Whether following goes on after this: it is said once, until something works again.
    fn bears(&mut self, error: &AwsError) -> bool {
        if error.is_passing() && !std::mem::replace(&mut self.troubled, true) {
            let note = format!("note: {error}; following goes on where it was as soon as that works again");
            out::note(Tone::Warn.paint(&clean(&note)));
        }
        error.is_passing()
    }

    fn show(&self, seen: &Seen) -> Result<(), CliError> {
        match self.args.output {
            Output::Json | Output::Cloudevents => out::raw(&seen.bytes),
            Output::Table => {
                let times = if self.args.relative { Times::Ago(Timestamp::now()) } else { Times::Full };
                out::line(Line::of(seen, times).show(None))
            }
        }
    }

    /// Tells what was odd, as far as it is about what is asked for.
    async fn odd(&mut self) {
        for oddity in self.history.order.oddities() {
            let asked = oddity
                .record()
                .is_none_or(|key| RecordName::parse_key(key).is_ok_and(|record| self.filter.is_of(&record)));
            // Reading that starts somewhere in the stream misses what was before it, as it should.
            if asked && !(oddity.is_late() && self.holds_all().await) {
                out::note(Tone::Warn.paint(&clean(&format!("note: {oddity}"))));
            }
        }
    }

    /// Whether the stream still holds all since the time that is asked for.
    async fn holds_all(&mut self) -> bool {
        let Some(since) = self.filter.since else { return false };
        if self.holds_all.is_none() {
            // Whoever may not ask is told nothing that need not be so.
            let kept = self.stream.describe().await.ok().map(|facts| facts.retention);
            self.holds_all = Some(kept.is_none_or(|kept| since >= Timestamp::now().minus(kept)));
        }
        self.holds_all.unwrap_or(true)
    }
}

/// There was no event of what is asked for: is it known at all? One that was removed is, by what it left behind.
async fn known(place: &Place, record: &RecordName) -> Result<(), CliError> {
    let table = place.table();
    let known = async { Ok(table.head(record).await?.is_some() || table.tombstone(record).await?.is_some()) };
    match known.await {
        Ok(true) => Ok(()),
        Ok(false) => Err(unknown(record, &heads(&table, record.kind).await?)),
        // Who may read the stream need not be allowed more.
        Err::<_, AwsError>(error) => {
            let note = format!(
                "note: the stream holds no event of {record}, and whether it is known can't be told: {error}"
            );
            out::note(Tone::Warn.paint(&clean(&note)));
            Ok(())
        }
    }
}

/// The last so many events, in the order of their times.
struct Last {
    events: BTreeMap<Placed, Seen>,
    limit: usize,
}

/// Where an event stands among those of all records: time, record, epoch and number.
type Placed = (Timestamp, RecordName, (u64, u64));

fn place_in_time(seen: &Seen) -> Placed {
    let time = Timestamp::parse(&seen.event.time).unwrap_or_default();
    (time, seen.record.clone(), seen.event.position().unwrap_or_default())
}

impl Last {
    fn new(limit: usize) -> Self {
        Last { events: BTreeMap::new(), limit }
    }

    fn add(&mut self, seen: Seen) {
        self.events.insert(place_in_time(&seen), seen);
        if self.events.len() > self.limit {
            self.events.pop_first();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::given::{NOW, events};
    use replicante_model::change::Change;

    #[test]
    fn the_last_are_the_latest_in_time_whatever_came_last() {
        let of = |id: &str, minutes: u64| {
            let change =
                Change::AgentNew { node: "n".into(), address: "a".into(), labels: Default::default() };
            let mut seen = events(&RecordName::cluster("default", id), &[change.clone(), change]);
            for seen in &mut seen {
                seen.event.time = NOW.plus(Duration::from_secs(60 * minutes)).rfc3339();
            }
            seen
        };
        let mut last = Last::new(3);
        for seen in [of("b", 2), of("a", 1), of("c", 0)].concat() {
            last.add(seen);
        }
        let left: Vec<String> = last.events.values().map(|seen| seen.event.id.clone()).collect();
        let ids: Vec<(&str, &str)> =
            left.iter().map(|id| (id.split('/').nth(2).unwrap(), id.rsplit('/').next().unwrap())).collect();
        assert_eq!(ids, [("a", "2"), ("b", "1"), ("b", "2")]);
    }

    #[test]
    fn a_type_may_be_short_or_full_or_a_whole_group() {
        assert_eq!(event_type("io.replicante.agent.down").unwrap(), "agent.down");
        assert_eq!(event_type("agent").unwrap(), "agent");
        assert_eq!(event_type("io.replicante.agent.*").unwrap(), "agent.*");
        let meant = |typed: &str| -> Vec<&str> {
            TYPES.into_iter().filter(|name| stands_for(&event_type(typed).unwrap(), name)).collect()
        };
        assert_eq!(meant("agent.*"), meant("agent"));
        assert_eq!(meant("*.down"), ["agent.down", "node.down"]);
        assert_eq!(meant("node.down"), ["node.down"]);
        assert_eq!(meant("*").len(), TYPES.len());
        assert!(event_type("agent.x*").unwrap_err().contains("agent.info_changed"));
        insta::assert_snapshot!(event_type("agent.dwn").unwrap_err(), @"there is no such type; expected agent.new, agent.up, agent.down, agent.info_new, agent.info_changed");
        insta::assert_snapshot!(event_type("x").unwrap_err(), @"there is no such type; expected cluster, agent, node, shard, discovery, or one of their types");
    }
}
