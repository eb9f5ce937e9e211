//! A cluster as it was, and what is different between two moments.

use replicante_model::change::Change;
use replicante_model::past::Known;
use replicante_model::view::Health;
use replicante_model::{RecordName, Timestamp};

use crate::view::change::{describe, tone, window};
use crate::view::clusters::ago;
use crate::view::event::name;
use crate::view::style::{Tone, bold, of_health};
use crate::view::text::{clean, count, pad};
use crate::view::{cluster, text};

/// Columns of types.
const TYPE: usize = 22;

/// The lines of a cluster at a moment.
pub fn at(record: &RecordName, known: &Known, time: Timestamp, most: Option<usize>) -> Vec<String> {
    let health = known.view.health;
    let title = format!(
        "{}  {}  {}",
        bold(&clean(&name(record))),
        of_health(health).paint(health.map_or("new", Health::as_str)),
        Tone::Quiet.paint(&format!("at {time}")),
    );
    let changed = match ago(Some(known.changed), time) {
        then if then == "now" => "at that moment".to_owned(),
        then => format!("{} before", then.trim_end_matches(" ago")),
    };
    let position = known.position;
    let changed = format!("{changed} (event {} of epoch {})", position.sequence, position.epoch);
    let mut lines = vec![title, format!("  {}  {changed}", pad("changed", 9))];
    // What was known of it then: a window whose time is over ends with the next refresh.
    if let Some(known) = known.view.maintenance.as_ref().filter(|known| known.is_on(time)) {
        lines.push(format!(
            "  {}  {}",
            pad("expected", 9),
            clean(&format!("in maintenance {}", window(known)))
        ));
    }
    lines.extend(cluster::then(&known.view, most));
    lines
}

/// The lines of what is different.
pub fn difference(
    record: &RecordName,
    from: Timestamp,
    to: Timestamp,
    changes: &[Change],
    is_removed: bool,
) -> Vec<String> {
    let title =
        format!("{}  {}", bold(&clean(&name(record))), Tone::Quiet.paint(&format!("{from} -> {to}")),);
    let mut lines = vec![title];
    if is_removed {
        lines.push(format!("  {}", Tone::Bad.paint("removed")));
    } else if changes.is_empty() {
        lines.push("  no difference".into());
    }
    let width = changes.iter().map(|change| text::width(change.name())).max().unwrap_or(0).max(TYPE);
    lines.extend(changes.iter().map(|change| {
        let kind = tone(change).paint(&pad(change.name(), width)).to_string();
        format!("  {kind}  {}", clean(&describe(change)))
    }));
    if !changes.is_empty() {
        lines.push(Tone::Quiet.paint(&count(changes.len() as u64, "difference")).to_string());
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::given::{NOW, plain, state};
    use replicante_model::diff::diff;
    use replicante_model::maintenance::Maintenance;
    use replicante_model::reader::Position;
    use std::time::Duration;

    fn record() -> RecordName {
        RecordName::cluster("default", "orders")
    }

    #[test]
    fn a_cluster_of_the_past_is_shown_as_it_was() {
        let known = Known {
            view: state().view.unwrap(),
            changed: NOW.minus(Duration::from_secs(90)),
            position: Position { epoch: 1_767_315_845, sequence: 41 },
            missing: None,
        };
        insta::assert_snapshot!(plain(&at(&record(), &known, NOW, None)), @"
        orders  degraded  at 2026-01-02T02:04:05.000Z
          changed    90s before (event 41 of epoch 1767315845)
          conflict   node-2 says it is b7:9092

        NODE              STATUS      KIND   VERSION  AGENT             ADDRESS
        node-1 (b1:9092)  up          Kafka  3.7.0    agent 0.6.0 (v1)  http://10.0.0.1:8000
        node-2 (b2:9092)  up          Kafka  3.7.0    agent 0.6.0 (v1)  http://10.0.0.2:8000
        node-3 (b3:9092)  agent down  Kafka  3.7.0    agent 0.6.0 (v1)  http://10.0.0.3:8000
          node-3: connection refused

        SHARD     PRIMARY  OTHERS
        clicks/0  node-1
        orders/0  node-1   node-2 and node-3 (recovering)
        ");
        let mut known = known;
        let until = NOW.plus(Duration::from_secs(60));
        let window = Maintenance { since: NOW, until, reason: Some("new racks".into()), actor: "ann".into() };
        known.view.maintenance = Some(window);
        let page = |time| plain(&at(&record(), &known, time, None));
        let expected = page(NOW).lines().find(|line| line.contains("expected")).map(str::to_owned);
        insta::assert_snapshot!(expected.unwrap(), @"  expected   in maintenance until 2026-01-02T02:05:05.000Z by ann: new racks");
        assert!(!page(until).contains("expected"));
    }

    #[test]
    fn differences_are_told_as_changes() {
        let before = state().view.unwrap();
        let mut after = before.clone();
        after.health = Some(Health::Healthy);
        after.nodes.remove("node-3");
        after.record.remove("node-3");
        let from = NOW.minus(Duration::from_secs(3600));
        let changes = diff(Some(&before), &after);
        insta::assert_snapshot!(plain(&difference(&record(), from, NOW, &changes, false)), @"
        orders  2026-01-02T01:04:05.000Z -> 2026-01-02T02:04:05.000Z
          cluster.changed         node-3 removed
          node.removed            node-3: removed
          cluster.health_changed  degraded -> healthy
        3 differences
        ");
        insta::assert_snapshot!(plain(&difference(&record(), from, NOW, &[], false)), @"
        orders  2026-01-02T01:04:05.000Z -> 2026-01-02T02:04:05.000Z
          no difference
        ");
        insta::assert_snapshot!(plain(&difference(&record(), from, NOW, &[], true)), @"
        orders  2026-01-02T01:04:05.000Z -> 2026-01-02T02:04:05.000Z
          removed
        ");
    }
}
