//! The scene: what the fleet did, and what the stream told of it.

use std::collections::{BTreeMap, VecDeque};

use anstyle::{AnsiColor, Color, Style};
use replicante_model::RecordName;
use replicante_model::change::Change;

use crate::check::Folds;
use crate::order::Seen;
use crate::view::event::{Line, NAME, Times};
use crate::view::style::paint;
use crate::view::text::{clean, count, fit, pad, width};

/// Lines that are kept for the screen.
const KEPT: usize = 200;

/// One line of what is going on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// An event of the stream.
    Event(Line),
    /// What happened to the fleet.
    Fleet {
        /// When.
        time: String,
        /// What.
        what: String,
    },
}

impl Entry {
    /// The line, painted, in at most `most` columns where that is given.
    pub fn show(&self, most: Option<usize>) -> String {
        match self {
            Entry::Event(line) => line.show(most),
            Entry::Fleet { time, what } => {
                let cyan = Style::new().fg_color(Some(Color::Ansi(AnsiColor::Cyan)));
                let front = format!("{time}  {}  ", pad("fleet", NAME));
                let what = match most {
                    Some(most) => fit(what, most.saturating_sub(width(&front))),
                    None => what.as_str().into(),
                };
                paint(cyan, &format!("{front}{what}"))
            }
        }
    }
}

/// What happened so far.
#[derive(Debug, Default)]
pub struct Scene {
    /// The views that the events tell.
    pub folds: Folds,
    /// Events, by type.
    pub by_type: BTreeMap<&'static str, u64>,
    /// The last lines, oldest first.
    pub recent: VecDeque<Entry>,
    /// First sights that are still going on: their line, their time, and how many events followed.
    first_sights: BTreeMap<RecordName, (Line, String, u64)>,
}

impl Scene {
    /// All events.
    pub fn events(&self) -> u64 {
        self.by_type.values().sum()
    }

    /// Takes events in their order; returns the lines they make. The first sight of a cluster is dozens of events
    /// of one moment: they make one line.
    pub fn events_seen(&mut self, events: &[Seen]) -> Vec<Entry> {
        let mut lines = Vec::new();
        for seen in events {
            self.folds.apply(seen);
            *self.by_type.entry(seen.event.change.name()).or_default() += 1;
            let line = Line::of(seen, Times::Clock);
            if let Some((_, time, more)) = self.first_sights.get_mut(&seen.record) {
                if *time == seen.event.time {
                    *more += 1;
                    continue;
                }
                lines.extend(self.first_sights.remove(&seen.record).map(first_sight));
            }
            if matches!(seen.event.change, Change::ClusterNew { .. }) {
                self.first_sights.insert(seen.record.clone(), (line, seen.event.time.clone(), 0));
            } else {
                lines.push(Entry::Event(line));
            }
        }
        // A commit's events are published together: what was read to the end is complete.
        lines.extend(std::mem::take(&mut self.first_sights).into_values().map(first_sight));
        self.keep(&lines);
        lines
    }

    /// Takes what happened to the fleet.
    pub fn fleet(&mut self, time: String, what: &str) -> Entry {
        let entry = Entry::Fleet { time, what: clean(what).into_owned() };
        self.keep(std::slice::from_ref(&entry));
        entry
    }

    fn keep(&mut self, lines: &[Entry]) {
        self.recent.extend(lines.iter().cloned());
        let over = self.recent.len().saturating_sub(KEPT);
        self.recent.drain(..over);
    }
}

fn first_sight((mut line, _, more): (Line, String, u64)) -> Entry {
    if more > 0 {
        line.what.push_str(&format!("; and {} of its first refresh", count(more, "event")));
    }
    Entry::Event(line)
}
