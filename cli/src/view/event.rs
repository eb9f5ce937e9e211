//! Events as lines: time, cluster, type, what changed.

use replicante_model::event::Event;
use replicante_model::{Kind, RecordName, Timestamp};

use crate::order::Seen;
use crate::view::change::{describe, tone};
use crate::view::clusters::ago;
use crate::view::style::Tone;
use crate::view::table::{Cell, table};
use crate::view::text::{clean, fit, pad};

/// Columns of names where space is scarce; longer ones shift their line.
pub const NAME: usize = 12;

/// One line, before it is painted and cut.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// When it was observed.
    pub time: String,
    /// The cluster or discovery.
    pub name: String,
    /// The type.
    pub kind: String,
    /// What changed.
    pub what: String,
    /// How much of the time is shown.
    pub times: Times,
    /// How it is to be seen.
    pub tone: Tone,
}

/// How much of the time is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Times {
    /// Date and time, UTC, as in the event.
    Full,
    /// The time of the day in UTC, to the second.
    Clock,
    /// How long ago it is at this time.
    Ago(Timestamp),
}

impl Times {
    /// Columns of names and types beside such times; longer ones shift their line.
    fn columns(self) -> (usize, usize) {
        match self {
            Times::Full | Times::Ago(_) => (16, 27),
            Times::Clock => (NAME, 22),
        }
    }
}

impl Line {
    /// The line of an event.
    pub fn of(seen: &Seen, times: Times) -> Self {
        let event = &seen.event;
        Line {
            time: time(&event.time, times),
            name: clean(&name(&seen.record)).into_owned(),
            kind: event.change.name().into(),
            what: what(event),
            times,
            tone: tone(&event.change),
        }
    }

    /// The line, painted, in at most `most` columns where that is given.
    pub fn show(&self, most: Option<usize>) -> String {
        let (name, kind) = self.times.columns();
        let front = format!("{}  {}  ", self.time, pad(&self.name, name));
        let kind = pad(&self.kind, kind);
        let used = crate::view::text::width(&front) + crate::view::text::width(&kind) + 2;
        let what = match most {
            Some(most) => fit(&self.what, most.saturating_sub(used)),
            None => self.what.as_str().into(),
        };
        format!("{front}{}  {what}", self.tone.paint(&kind))
    }
}

/// The last events of one record, as a part of its page.
pub fn recent(events: &[Seen], now: Timestamp, most: Option<usize>) -> Vec<String> {
    if events.is_empty() {
        return vec![Tone::Quiet.paint("no event within the last hour")];
    }
    let row = |seen: &Seen| {
        let change = &seen.event.change;
        vec![
            Cell::text(ago(Timestamp::parse(&seen.event.time).ok(), now)),
            Cell::text(change.name()).toned(tone(change)),
            Cell::text(what(&seen.event)),
        ]
    };
    table(&["WHEN", "EVENT", "WHAT"], &events.iter().map(row).collect::<Vec<_>>(), most)
}

/// What an event tells: the change, who asked for what found it, and whether it was expected.
fn what(event: &Event) -> String {
    let mut what = describe(&event.change);
    // Some changes name whoever wanted them.
    let by = event.actor.as_ref().map(|actor| format!(" by {actor}"));
    if let Some(by) = by.filter(|by| !what.contains(by.as_str())) {
        what.push_str(&by);
    }
    if event.maintenance.is_some() {
        what.push_str(" [maintenance]");
    }
    clean(&what).into_owned()
}

/// The name of a record as lists show it: the default namespace goes without saying.
pub fn name(record: &RecordName) -> String {
    let id = match record.namespace.as_str() {
        "default" => record.id.clone(),
        namespace => format!("{namespace}/{}", record.id),
    };
    match record.kind {
        Kind::Cluster => id,
        Kind::Discovery => format!("discovery {id}"),
    }
}

/// An event's time as it is shown.
pub fn time(rfc3339: &str, times: Times) -> String {
    match times {
        Times::Full => clean(rfc3339).into_owned(),
        Times::Clock => clean(rfc3339.get(11..19).unwrap_or(rfc3339)).into_owned(),
        Times::Ago(now) => match Timestamp::parse(rfc3339) {
            // As wide as the widest, `119m ago`.
            Ok(time) => format!("{:>8}", ago(Some(time), now)),
            Err(_) => clean(rfc3339).into_owned(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::given::{NOW, events, plain};
    use replicante_model::change::Change;
    use replicante_model::view::Health;

    #[test]
    fn events_are_lines_of_time_cluster_type_and_change() {
        let changes = [
            Change::ClusterHealthChanged { before: Some(Health::Healthy), after: Some(Health::Degraded) },
            Change::AgentNew {
                node: "n\x1b[2J1".into(),
                address: "http://10.0.0.1:8000".into(),
                labels: Default::default(),
            },
        ];
        let mut seen = events(&RecordName::cluster("default", "zk-01"), &changes);
        seen.extend(events(&RecordName::cluster("prod", "a-very-long-name-of-a-cluster"), &changes[..1]));
        let failed = [Change::DiscoveryFailed { reason: "status 500".into() }];
        seen.extend(events(&RecordName::discovery("default", "fleet"), &failed));
        let lines = |times, most| {
            let lines: Vec<String> = seen.iter().map(|seen| Line::of(seen, times).show(most)).collect();
            plain(&lines)
        };
        insta::assert_snapshot!(lines(Times::Full, None), @"
        2026-01-02T02:04:05.000Z  zk-01             cluster.health_changed       healthy -> degraded
        2026-01-02T02:04:05.000Z  zk-01             agent.new                    n�[2J1 at http://10.0.0.1:8000
        2026-01-02T02:04:05.000Z  prod/a-very-long-name-of-a-cluster  cluster.health_changed       healthy -> degraded
        2026-01-02T02:04:05.000Z  discovery fleet   discovery.failed             status 500
        ");
        let later = NOW.plus(std::time::Duration::from_secs(725));
        insta::assert_snapshot!(lines(Times::Ago(later), None), @"
        12m ago  zk-01             cluster.health_changed       healthy -> degraded
        12m ago  zk-01             agent.new                    n�[2J1 at http://10.0.0.1:8000
        12m ago  prod/a-very-long-name-of-a-cluster  cluster.health_changed       healthy -> degraded
        12m ago  discovery fleet   discovery.failed             status 500
        ");
        insta::assert_snapshot!(plain(&recent(&seen[..2], later, None)), @"
        WHEN     EVENT                   WHAT
        12m ago  cluster.health_changed  healthy -> degraded
        12m ago  agent.new               n�[2J1 at http://10.0.0.1:8000
        ");
        assert_eq!(plain(&recent(&[], later, None)), "no event within the last hour");
        let mut asked_for = seen[..2].to_vec();
        for seen in &mut asked_for {
            seen.event.actor = Some("ann\n".into());
            seen.event.maintenance = Some(later.rfc3339());
        }
        asked_for[1].event.change =
            Change::ClusterRemoved { missing_since: None, actor: Some("ann\n".into()) };
        insta::assert_snapshot!(plain(&recent(&asked_for, later, None)), @"
        WHEN     EVENT                   WHAT
        12m ago  cluster.health_changed  healthy -> degraded by ann� [maintenance]
        12m ago  cluster.removed         removed by ann� [maintenance]
        ");
        let shown: Vec<String> =
            asked_for.iter().map(|seen| Line::of(seen, Times::Clock).show(None)).collect();
        insta::assert_snapshot!(plain(&shown), @"
        02:04:05  zk-01         cluster.health_changed  healthy -> degraded by ann� [maintenance]
        02:04:05  zk-01         cluster.removed         removed by ann� [maintenance]
        ");
        insta::assert_snapshot!(lines(Times::Clock, Some(60)), @"
        02:04:05  zk-01         cluster.health_changed  healthy -> …
        02:04:05  zk-01         agent.new               n�[2J1 at h…
        02:04:05  prod/a-very-long-name-of-a-cluster  cluster.health_changed  
        02:04:05  discovery fleet  discovery.failed        status 5…
        ");
    }
}
