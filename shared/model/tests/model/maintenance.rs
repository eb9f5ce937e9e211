//! Maintenance windows: what is observed within one says so, and nothing is hidden.

use std::time::Duration;

use replicante_model::change::Change;
use replicante_model::maintenance::Maintenance;
use replicante_model::observation::Role;

use crate::examples::window;
use crate::given::{agent_down, heard, item, up};
use crate::history::History;

const MINUTE: Duration = Duration::from_secs(60);

fn shards() -> [(&'static str, Role); 1] {
    [("s1", Role::Primary)]
}

/// What the last events carry.
fn carried(history: &History, count: usize) -> Vec<Option<&str>> {
    history.events[history.events.len() - count..].iter().map(|event| event.maintenance.as_deref()).collect()
}

#[test]
fn what_is_observed_within_a_window_carries_its_end_and_is_told_all_the_same() {
    let well = heard([("n1", up("n1", &shards()))]);
    let mut history = History::after(item(&["n1"]), &well);
    assert!(history.events.iter().all(|event| event.maintenance.is_none()));

    history.maintenance = Some(window());
    assert_eq!(
        history.refresh(&well).changes,
        [Change::ClusterMaintenanceBegan { before: None, after: window() }]
    );
    let until = window().until.rfc3339();
    assert_eq!(carried(&history, 1), [Some(until.as_str())]);
    assert!(history.refresh(&well).is_nothing(), "once");

    history.pass(MINUTE);
    let down = history.refresh(&heard([("n1", agent_down())]));
    assert_eq!(down.names(), ["agent.down", "cluster.health_changed"]);
    assert_eq!(carried(&history, 2), [Some(until.as_str()); 2]);

    // Longer than was said at first.
    let longer = Maintenance { until: window().until.plus(MINUTE), ..window() };
    history.maintenance = Some(longer.clone());
    let down = heard([("n1", agent_down())]);
    let changed = Change::ClusterMaintenanceBegan { before: Some(window()), after: longer.clone() };
    assert_eq!(history.refresh(&down).changes, [changed]);
    assert_eq!(carried(&history, 1), [Some(longer.until.rfc3339().as_str())]);

    history.maintenance = None;
    let ended = history.refresh(&well);
    assert_eq!(ended.changes[0], Change::ClusterMaintenanceEnded { before: longer });
    assert_eq!(ended.names()[1..], ["agent.up", "cluster.health_changed"]);
    assert_eq!(carried(&history, 3), [None; 3]);
    assert_eq!(history.view().maintenance, None);
}

#[test]
fn a_cluster_that_is_first_seen_within_a_window_begins_in_it_and_a_snapshot_tells_it() {
    let mut history = History::of(item(&["n1"]));
    history.maintenance = Some(window());
    let first = history.refresh(&heard([("n1", up("n1", &shards()))]));
    assert_eq!(first.names()[..2], ["cluster.new", "cluster.maintenance_began"]);
    history.pass(Duration::from_secs(24 * 3600));
    let later = history.refresh(&heard([("n1", up("n1", &shards()))]));
    assert_eq!(later.names(), ["cluster.snapshot"]);
    assert_eq!(history.check_snapshots(), 1, "a reader that starts there knows of the window");
}

#[test]
fn a_window_is_over_at_its_end() {
    assert!(window().is_on(window().since) && !window().is_on(window().until));
}
