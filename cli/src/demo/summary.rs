//! The end of the demo: what it came to.

use std::collections::BTreeMap;

use replicante_protocol::machine::Outcome;

use crate::check::Check;
use crate::tally::{PerRefresh, Tally};
use crate::view::clusters::{Row, healths};
use crate::view::style::{Tone, bold};
use crate::view::text::{count, pad, tenths, thousands};

/// Columns of the terminal that the facts' names take, and those of one type in the list of events.
const MARGIN: usize = 11;
const TYPE: usize = 33;

/// What a demo came to.
#[derive(Debug)]
pub struct Outline<'a> {
    /// The clusters at the end.
    pub rows: &'a [Row],
    /// What the tasks came to.
    pub tally: &'a Tally,
    /// Events, by type.
    pub by_type: &'a BTreeMap<&'static str, u64>,
    /// Copies in the stream that were dropped.
    pub copies: u64,
    /// Whether the stream folds to what is stored.
    pub check: &'a Check,
    /// What to type before a command's name.
    pub program: &'a str,
    /// Columns of the terminal.
    pub width: usize,
}

/// The lines.
pub fn summary(outline: &Outline<'_>) -> Vec<String> {
    let Outline { rows, tally, .. } = outline;
    let nodes = rows.iter().map(|row| row.summary.nodes).sum();
    let ended = |outcome| thousands(tally.ended(outcome));
    let late = match (tally.late(50), tally.late(99)) {
        (Some(half), Some(most)) => {
            format!("a refresh began {} after it was due (p50), {} (p99);", tenths(half), tenths(most))
        }
        _ => "no refresh was due;".into(),
    };
    let mut lines = vec![
        bold("What it came to"),
        fact(
            "clusters",
            format!(
                "{} of {}: {}",
                thousands(rows.len() as u64),
                count(nodes, "node"),
                healths(rows.iter().map(|row| &row.summary))
            ),
        ),
        fact(
            "refreshes",
            format!(
                "{}: {} unchanged, {} with changes",
                thousands(tally.refreshed()),
                thousands(tally.unchanged().refreshes),
                thousands(tally.changed().refreshes),
            ),
        ),
        fact(
            "tasks",
            format!(
                "{} failed, {} discarded, {} duplicate",
                ended(Outcome::Failed),
                ended(Outcome::Discarded),
                ended(Outcome::Duplicate),
            ),
        ),
        fact("lateness", late),
        fact("", "up to 2s of it is the embedded queue's, which counts whole seconds".into()),
        fact("cost", cost("unchanged refresh", tally.unchanged())),
        fact("", cost("with changes", tally.changed())),
        fact(
            "events",
            format!(
                "{}, {}; copies dropped: {}",
                thousands(outline.by_type.values().sum()),
                if outline.check.faults.is_empty() { "each once and in order" } else { "but see below" },
                thousands(outline.copies)
            ),
        ),
    ];
    lines.extend(types(outline.by_type, outline.width));
    lines.push(String::new());
    lines.extend(verdict(outline.check));
    lines.push(String::new());
    lines.extend(next(outline.program));
    lines
}

fn fact(name: &str, what: String) -> String {
    format!("  {}  {what}", pad(name, 9))
}

fn cost(what: &str, each: PerRefresh) -> String {
    if each.refreshes == 0 {
        return format!("{what}: there was none");
    }
    format!(
        "{what}: {:.1} write and {:.1} read units, {:.1} Kinesis calls",
        each.write_units, each.read_units, each.stream_requests
    )
}

/// The types, most frequent first, in as many columns as fit.
fn types(by_type: &BTreeMap<&'static str, u64>, width: usize) -> Vec<String> {
    let mut types: Vec<(&str, u64)> = by_type.iter().map(|(name, number)| (*name, *number)).collect();
    types.sort_by_key(|(name, number)| (std::cmp::Reverse(*number), *name));
    let columns = (width.saturating_sub(MARGIN) / TYPE).clamp(1, 3);
    let rows = types.len().div_ceil(columns);
    let cell = |row: usize, column: usize| {
        let (name, number) = types.get(column * rows + row)?;
        Some(format!("{:>7} {}", thousands(*number), pad(name, TYPE - 8)))
    };
    let line = |row: usize| {
        let cells: String = (0..columns).filter_map(|column| cell(row, column)).collect();
        format!("{}{}", " ".repeat(MARGIN), cells.trim_end())
    };
    (0..rows).map(line).collect()
}

/// Whether the stream folds to what is stored.
pub fn verdict(check: &Check) -> Vec<String> {
    let all = check.equal + check.different.len();
    let text = format!("the stream folds to the stored view of {} of {all} clusters", check.equal);
    let tone = if check.holds() { Tone::Good } else { Tone::Bad };
    let mut lines = vec![tone.paint(&text)];
    lines.extend(check.different.iter().chain(&check.faults).map(|wrong| format!("  {wrong}")));
    lines
}

fn next(program: &str) -> Vec<String> {
    let command =
        |text: &str, what: &str| format!("  {}  {what}", bold(&format!("{program} {}", pad(text, 29))));
    vec![
        bold("What to do next"),
        command("fleet", "the simulated fleet alone,"),
        command("up -f examples/discovery.yaml", "and the system for it, or for yours;"),
        command("get clusters", "in another terminal: what is,"),
        command("events --since 1h", "and what changed"),
        "  README.md says how to deploy it on AWS.".into(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::given::{cluster_head, plain};
    use crate::view::record::row;

    fn show(check: &Check, width: usize) -> String {
        let by_type =
            BTreeMap::from([("shard.new", 336), ("agent.down", 5), ("cluster.new", 26), ("node.up", 2)]);
        let tally = Tally::default();
        let rows = [row(&cluster_head())];
        let outline = Outline {
            rows: &rows,
            tally: &tally,
            by_type: &by_type,
            copies: 3,
            check,
            program: "replicante",
            width,
        };
        plain(&summary(&outline))
    }

    #[test]
    fn the_summary_says_what_it_came_to_and_what_to_do_next() {
        insta::assert_snapshot!(show(&Check { equal: 1, ..Check::default() }, 120), @"
        What it came to
          clusters   1 of 3 nodes: 1 degraded
          refreshes  0: 0 unchanged, 0 with changes
          tasks      0 failed, 0 discarded, 0 duplicate
          lateness   no refresh was due;
                     up to 2s of it is the embedded queue's, which counts whole seconds
          cost       unchanged refresh: there was none
                     with changes: there was none
          events     369, each once and in order; copies dropped: 3
                       336 shard.new                      5 agent.down
                        26 cluster.new                    2 node.up

        the stream folds to the stored view of 1 of 1 clusters

        What to do next
          replicante fleet                          the simulated fleet alone,
          replicante up -f examples/discovery.yaml  and the system for it, or for yours;
          replicante get clusters                   in another terminal: what is,
          replicante events --since 1h              and what changed
          README.md says how to deploy it on AWS.
        ");
    }

    #[test]
    fn a_broken_promise_names_the_clusters() {
        let different = vec!["cluster/default/orders: it differs in node-1".to_owned()];
        let faults = vec!["cluster/default/orders: events 2 to 3 are missing from the stream".to_owned()];
        let text = show(&Check { equal: 0, different, faults }, 60);
        let verdict: Vec<&str> = text
            .lines()
            .filter(|line| ["orders", "folds", "369"].iter().any(|word| line.contains(word)))
            .collect();
        insta::assert_snapshot!(verdict.join("\n"), @"
          events     369, but see below; copies dropped: 3
        the stream folds to the stored view of 0 of 1 clusters
          cluster/default/orders: it differs in node-1
          cluster/default/orders: events 2 to 3 are missing from the stream
        ");
        assert!(text.lines().all(|line| line.len() <= 100));
    }
}
