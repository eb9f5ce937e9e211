//! The list of clusters.

use replicante_model::pause::{Pause, Pauses};
use replicante_model::summary::Summary;
use replicante_model::time::human;
use replicante_model::view::Health;
use replicante_model::{RecordName, Timestamp};
use replicante_protocol::head::Head;

use crate::view::event::name;
use crate::view::record;
use crate::view::style::{Tone, of_health};
use crate::view::table::{Cell, table};
use crate::view::text::short;

/// One cluster of the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Its name.
    pub record: RecordName,
    /// What its head says of it.
    pub summary: Summary,
    /// When it was refreshed last, if ever.
    pub refreshed: Option<Timestamp>,
    /// The pause that it is under.
    pub pause: Option<Pause>,
    /// When its maintenance window ends; zero when there is none.
    pub maintenance: Timestamp,
}

const HEADING: [&str; 9] =
    ["CLUSTER", "HEALTH", "KIND", "NODES", "UP", "DOWN", "SHARDS", "PRIMARIES", "REFRESHED"];

/// The table, in at most `most` columns.
pub fn list(rows: &[Row], now: Timestamp, most: Option<usize>) -> Vec<String> {
    let rows: Vec<Vec<Cell>> = rows.iter().map(|row| cells(row, now)).collect();
    table(&HEADING, &rows, most)
}

/// The cells that every list of clusters begins with.
pub fn cells(row: &Row, now: Timestamp) -> Vec<Cell> {
    let summary = &row.summary;
    let down = summary.nodes_down + summary.agents_down;
    vec![
        Cell::text(name(&row.record)),
        health(summary.health),
        Cell::text(kinds(summary)),
        Cell::number(summary.nodes),
        Cell::number(summary.nodes.saturating_sub(down)),
        Cell::trouble(down, Tone::Bad),
        Cell::number(summary.shards),
        Cell::number(summary.primaries),
        refreshed(row, now),
    ]
}

/// How long ago it was worked on, and whether it is paused or in maintenance: then what is seen is no wonder.
pub fn refreshed(row: &Row, now: Timestamp) -> Cell {
    let mut text = ago(row.refreshed, now);
    for (word, is_on) in [(", paused", row.pause.is_some()), (", maintenance", row.maintenance > now)] {
        text.push_str(if is_on { word } else { "" });
    }
    let is_marked = row.pause.is_some() || row.maintenance > now;
    if is_marked { Cell::text(text).toned(Tone::Warn) } else { Cell::text(text) }
}

/// The health in its colour.
pub fn health(health: Option<Health>) -> Cell {
    Cell::text(health.map_or("new", Health::as_str)).toned(of_health(health))
}

/// The kinds of a cluster's nodes.
pub fn kinds(summary: &Summary) -> String {
    if summary.kinds.is_empty() { "-".into() } else { summary.kinds.join(",") }
}

/// How long ago.
pub fn ago(time: Option<Timestamp>, now: Timestamp) -> String {
    match time {
        None => "never".into(),
        Some(time) if now.since(time).as_secs() == 0 => "now".into(),
        Some(time) => format!("{} ago", short(now.since(time))),
    }
}

/// `22 healthy, 2 degraded`: what there is, worst last.
pub fn healths<'a>(summaries: impl IntoIterator<Item = &'a Summary>) -> String {
    let mut counts = [0_u64; 5];
    for summary in summaries {
        counts[match summary.health {
            Some(Health::Healthy) => 0,
            Some(Health::Degraded) => 1,
            Some(Health::Down) => 2,
            Some(Health::Unknown) => 3,
            None => 4,
        }] += 1;
    }
    let words = ["healthy", "degraded", "down", "unknown", "new"];
    let told = counts.iter().zip(words).filter(|(count, _)| **count > 0);
    let parts: Vec<String> = told.map(|(count, word)| format!("{count} {word}")).collect();
    if parts.is_empty() { "none yet".into() } else { parts.join(", ") }
}

/// The table with all columns, as wide as it is.
pub fn wide(heads: &[Head], pauses: &Pauses, now: Timestamp) -> Vec<String> {
    let mut heading = HEADING.to_vec();
    heading.extend(["TOOK", "EVERY", "DUE", "MISSING", "EVENTS", "NAME", "LAST PROBLEM"]);
    let cells = |head: &Head| {
        let row = record::row_at(head, pauses, now);
        let mut cells = cells(&row, now);
        let due = if !head.enabled {
            "disabled".into()
        } else if let Some(pause) = &row.pause {
            match pause.until {
                None => "paused".into(),
                Some(until) => format!("paused for {}", short(until.since(now))),
            }
        } else if head.due <= now {
            "now".into()
        } else {
            format!("in {}", short(head.due.since(now)))
        };
        let summary = &row.summary;
        cells.extend([
            Cell::text(format!("{} ms", summary.ms)),
            Cell::text(human(head.interval)),
            Cell::text(due),
            Cell::trouble(summary.missing, Tone::Warn),
            Cell::number(head.sequence),
            Cell::text(summary.name.as_deref().unwrap_or("-")),
            Cell::text(summary.reason.as_deref().unwrap_or("-")),
        ]);
        cells
    };
    let rows: Vec<Vec<Cell>> = heads.iter().map(cells).collect();
    table(&heading, &rows, None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::given::{NOW, cluster_head, head, plain};

    fn heads() -> Vec<Head> {
        let healthy = Summary {
            health: Some(Health::Healthy),
            kinds: vec!["Zookeeper".into()],
            nodes: 5,
            shards: 1,
            primaries: 1,
            ..Summary::default()
        };
        let mut new = head(RecordName::cluster("default", "zk-02"), Summary::default());
        (new.summary, new.enabled) = (None, false);
        vec![cluster_head(), head(RecordName::cluster("prod", "zk-01"), healthy), new]
    }

    #[test]
    fn clusters_are_listed_with_their_health() {
        let rows: Vec<Row> = heads().iter().map(record::row).collect();
        insta::assert_snapshot!(plain(&list(&rows, NOW, None)), @"
        CLUSTER     HEALTH    KIND       NODES  UP  DOWN  SHARDS  PRIMARIES  REFRESHED
        orders      degraded  Kafka          3   2     1       2          2  2s ago
        prod/zk-01  healthy   Zookeeper      5   5     0       1          1  2s ago
        zk-02       new       -              0   0     0       0          0  never
        ");
        insta::assert_snapshot!(healths(rows.iter().map(|row| &row.summary)), @"1 healthy, 1 degraded, 1 new");
    }

    #[test]
    fn the_wide_list_has_everything() {
        insta::assert_snapshot!(plain(&wide(&heads(), &Pauses::default(), NOW)), @"
        CLUSTER     HEALTH    KIND       NODES  UP  DOWN  SHARDS  PRIMARIES  REFRESHED  TOOK   EVERY  DUE       MISSING  EVENTS  NAME           LAST PROBLEM
        orders      degraded  Kafka          3   2     1       2          2  2s ago     12 ms  1m     in 58s          0      42  Orders [31mEU  -
        prod/zk-01  healthy   Zookeeper      5   5     0       1          1  2s ago     12 ms  1m     in 58s          0      42  -              -
        zk-02       new       -              0   0     0       0          0  never      0 ms   1m     disabled        0      42  -              -
        ");
    }
}
