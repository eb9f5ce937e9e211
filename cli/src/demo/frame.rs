//! The screen of the demo as lines: how it stands above, what happens below.

use std::time::Duration;

use replicante_model::summary::Summary;
use replicante_model::time::Timestamp;
use replicante_model::view::Health;

use crate::demo::scene::Scene;
use crate::tally::Tally;
use crate::view::clusters::{Row, healths, list};
use crate::view::style::{Tone, bold};
use crate::view::text::{count, cut, fit, short};

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
        pause: None,
        maintenance: Timestamp::ZERO,
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
        "{time}   {} of {}: {}   {}, {}",
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
    let head = status(&rows, scene, tally, progress);
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
    // Columns of a table have a least width, and long names shift their line.
    lines.iter().map(|line| cut(line, width).into_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::given::{NOW, events, plain};
    use crate::view::text::width;
    use replicante_model::RecordName;
    use replicante_model::change::{Change, ClusterHeader};

    fn scene() -> Scene {
        let mut scene = Scene::default();
        for (id, health) in
            [("zk-01", Health::Healthy), ("zk-02", Health::Healthy), ("zk-03", Health::Degraded)]
        {
            let new = Change::ClusterNew {
                after: ClusterHeader { display_name: None, discovery: Some("demo".into()) },
                nodes: [("node-1".to_string(), "http://a".to_string())].into(),
            };
            let health = Change::ClusterHealthChanged { before: None, after: Some(health) };
            scene.events_seen(&events(&RecordName::cluster("default", id), &[new, health]));
        }
        scene.fleet("02:04:05".into(), "zk-03/node-2: agent stopped");
        scene
    }

    fn draw(size: (usize, usize)) -> Vec<String> {
        let progress = Progress { elapsed: Duration::from_secs(12), lasting: Some(Duration::from_secs(30)) };
        frame(&scene(), &Tally::default(), progress, NOW, size)
    }

    #[test]
    fn the_screen_shows_how_it_stands_and_what_happens() {
        insta::assert_snapshot!(plain(&draw((100, 30))), @"
        12s of 30s   3 clusters of 0 nodes: 2 healthy, 1 degraded   0 refreshes, 6 events

        CLUSTER  HEALTH    KIND  NODES  UP  DOWN  SHARDS  PRIMARIES  REFRESHED
        zk-01    healthy   -         0   0     0       0          0  never
        zk-02    healthy   -         0   0     0       0          0  never
        zk-03    degraded  -         0   0     0       0          0  never

        What happens to the fleet, and the events that tell of it
        02:04:05  zk-01         cluster.new             1 node from discovery demo; and 1 event of its firs…
        02:04:05  zk-02         cluster.new             1 node from discovery demo; and 1 event of its firs…
        02:04:05  zk-03         cluster.new             1 node from discovery demo; and 1 event of its firs…
        02:04:05  fleet         zk-03/node-2: agent stopped
        ");
    }

    #[test]
    fn a_small_terminal_shows_those_in_trouble_first() {
        insta::assert_snapshot!(plain(&draw((72, 13))), @"
        12s of 30s   3 clusters of 0 nodes: 2 healthy, 1 degraded   0 refreshes…

        CLUSTER  HEALTH    KIND  NODES  UP  DOWN  SHARDS  PRIMARIES  REFRESHED
        zk-03    degraded  -         0   0     0       0          0  never
        and 2 more clusters; a higher terminal shows them

        What happens to the fleet, and the events that tell of it
        02:04:05  zk-01         cluster.new             1 node from discovery d…
        02:04:05  zk-02         cluster.new             1 node from discovery d…
        02:04:05  zk-03         cluster.new             1 node from discovery d…
        02:04:05  fleet         zk-03/node-2: agent stopped
        ");
    }

    #[test]
    fn a_frame_fits_every_terminal() {
        for (wide, high) in [(1, 1), (20, 5), (60, 9), (80, 24), (200, 60)] {
            let lines = draw((wide, high));
            assert!(lines.len() <= high, "{} lines on {wide}x{high}", lines.len());
            assert!(lines.iter().all(|line| width(&plain(std::slice::from_ref(line))) <= wide));
        }
    }
}
