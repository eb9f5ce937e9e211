//! The screen of the demo as lines: how it stands above, what happens below.

use std::time::Duration;

use replicante_model::summary::Summary;
use replicante_model::time::Timestamp;
use replicante_model::view::Health;

use crate::demo::scene::Scene;
use crate::tally::Tally;
use crate::view::clusters::{Row, healths, list};
use crate::view::style::{Tone, bold};
use crate::view::text::{count, fit, short};

/// Columns that a terminal has when it does not say.
pub const WIDTH: usize = 100;

/// How far the demo is.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// Since its start.
    pub elapsed: Duration,
    /// When it ends by itself.
    pub lasting: Option<Duration>,
}

/// The clusters as the stream tells of them.
pub fn rows(scene: &Scene, tally: &Tally) -> Vec<Row> {
    let row = |(record, view): (&_, &_)| Row {
        summary: Summary::of_cluster(view),
        refreshed: tally.last.get(record).copied(),
        record: Clone::clone(record),
    };
    scene.folds.views().map(row).collect()
}

/// One line on how it stands.
pub fn status(rows: &[Row], scene: &Scene, tally: &Tally, progress: Progress) -> String {
    let nodes = rows.iter().map(|row| row.summary.nodes).sum();
    let time = match progress.lasting {
        Some(lasting) => format!("{} of {}", short(progress.elapsed), short(lasting)),
        None => short(progress.elapsed),
    };
    format!(
        "{} of {}: {}   {}, {}   {time}",
        count(rows.len() as u64, "cluster"),
        count(nodes, "node"),
        healths(rows.iter().map(|row| &row.summary)),
        count(tally.refreshed(), "refresh"),
        count(scene.events(), "event"),
    )
}

/// All lines of a screen of that size.
pub fn frame(
    scene: &Scene,
    tally: &Tally,
    progress: Progress,
    now: Timestamp,
    (width, height): (usize, usize),
) -> Vec<String> {
    let mut rows = rows(scene, tally);
    let head = format!("replicante demo   {}", status(&rows, scene, tally, progress));
    let mut lines = vec![bold(&fit(&head, width)), String::new()];

    // Head, two blank lines, two headings.
    let space = height.saturating_sub(5);
    let below = (space * 2 / 5).max(6).min(space);
    let fitting = space - below;
    let mut hidden = 0;
    if rows.len() > fitting {
        // Those in trouble first; the names keep their order.
        rows.sort_by_key(|row| row.summary.health == Some(Health::Healthy));
        let shown = fitting.saturating_sub(1);
        hidden = rows.len() - shown;
        rows.truncate(shown);
    }
    if rows.is_empty() && hidden == 0 {
        lines.push(Tone::Quiet.paint(&fit("waiting for the first discovery and its clusters", width)));
    } else {
        lines.extend(list(&rows, now, Some(width)));
    }
    if hidden > 0 {
        let more = format!("and {}; a higher terminal shows them", count(hidden as u64, "more cluster"));
        lines.push(Tone::Quiet.paint(&fit(&more, width)));
    }
    lines.push(String::new());
    lines.push(bold(&fit("What happens to the fleet, and the events that tell of it", width)));
    let room = height.saturating_sub(lines.len());
    let skipped = scene.recent.len().saturating_sub(room);
    lines.extend(scene.recent.iter().skip(skipped).map(|entry| entry.show(Some(width))));
    lines.truncate(height);
    lines
}
