//! The load: what a fleet needs, on average, by the second.

use serde::Serialize;

use crate::capacity::Fleet;
use crate::capacity::counted::*;

/// Bytes of one write unit, of one read unit, of one PUT unit of the stream, and of what a shard takes in a second.
const WRITE_UNIT: f64 = 1024.0;
const READ_UNIT: f64 = 4096.0;
const PUT_UNIT: f64 = 25.0 * 1024.0;
const SHARD: f64 = 1024.0 * 1024.0;
const SHARD_EVENTS: f64 = 1_000.0;
/// A part of a snapshot has at most so many bytes.
const SNAPSHOT_PART: f64 = 248.0 * 1024.0;
/// Memory of workers and of the two schedulers in GiB, as the template has it.
const WORKER: f64 = 1.0;
const REFRESH_SCHEDULER: f64 = 0.5;
const DISCOVERY_SCHEDULER: f64 = 0.25;

/// What one refresh of a cluster costs, by what came of it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Refresh {
    /// Write units of one that changes nothing, the scheduler's mark included.
    pub unchanged_writes: f64,
    /// Read units of any.
    pub reads: f64,
    /// Write units of one that stores new readings.
    pub readings_writes: f64,
    /// Write units of one with changes.
    pub changed_writes: f64,
    /// Write units of one with a snapshot.
    pub snapshot_writes: f64,
}

/// What a fleet needs, by the second if nothing else is said.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Load {
    /// Refreshes.
    pub refreshes: f64,
    /// Nodes that are polled.
    pub node_refreshes: f64,
    /// What one refresh costs.
    pub refresh: Refresh,
    /// Write units of the table.
    pub writes: f64,
    /// Those of them that a system would need which keeps its state in memory: changes, snapshots, readings.
    pub kept_writes: f64,
    /// Read units of the table.
    pub reads: f64,
    /// Bytes that the table holds.
    pub stored_bytes: f64,
    /// Messages of the queues.
    pub messages: f64,
    /// Requests to the queues.
    pub requests: f64,
    /// Events.
    pub events: f64,
    /// Bytes of events.
    pub event_bytes: f64,
    /// PUT units of the stream: an event takes one for each 25 KB.
    pub put_units: f64,
    /// Shards, not by the second.
    pub shards: u64,
    /// Invocations of all functions.
    pub invocations: f64,
    /// Refresh workers at the same time.
    pub concurrency: f64,
    /// Seconds of one invocation of the refresh worker.
    pub invocation_seconds: f64,
    /// Functions of any kind at the same time.
    pub all_concurrency: f64,
    /// GB-seconds of all functions.
    pub gb_seconds: f64,
    /// Bytes of the logs.
    pub log_bytes: f64,
    /// Tasks of one pass of the refresh scheduler.
    pub due: f64,
}

/// What one refresh of a cluster of so many nodes costs.
pub fn refresh(nodes: u64) -> Refresh {
    let nodes = nodes as f64;
    let state = of(STATE, nodes);
    let committed = |events: f64| WRITES + commit(state, events, ITEM_KEYS);
    Refresh {
        unchanged_writes: WRITES,
        reads: units(state + ITEM_KEYS, READ_UNIT) + units(of(ITEM, nodes) + ITEM_KEYS, READ_UNIT),
        readings_writes: committed(0.0),
        changed_writes: committed(EVENTS * EVENT / PACKED),
        snapshot_writes: committed(of(SNAPSHOT_PACKED, nodes)),
    }
}

/// Write units of a commit of a state and events of so many bytes, as they are stored, each in one item with keys of so many.
/// Without events there is no item for them.
pub fn commit(state: f64, events: f64, keys: f64) -> f64 {
    let events = if events > 0.0 { units(events + keys, WRITE_UNIT) } else { 0.0 };
    COMMIT + units(state + keys, WRITE_UNIT) + events
}

impl Load {
    /// The load of a fleet.
    pub fn of(fleet: &Fleet) -> Self {
        let (clusters, nodes) = (fleet.clusters as f64, fleet.nodes as f64);
        let (interval, tick) = (fleet.interval.as_secs_f64(), TICK.as_secs_f64());
        let batch = fleet.batch as f64;
        let one = refresh(fleet.nodes);

        let refreshes = clusters / interval;
        let changes = (clusters * fleet.changes / 3600.0).min(refreshes);
        let snapshots = clusters / SNAPSHOT_AGE.as_secs_f64().max(interval);
        let readings = refreshes / (READINGS_AGE.as_secs_f64() / interval).ceil().max(1.0);
        // Each as if it fell together with no other: a little more than there is.
        let kept_writes = readings * (one.readings_writes - WRITES)
            + changes * (one.changed_writes - WRITES)
            + snapshots * (one.snapshot_writes - WRITES);
        let runs = 1.0 / tick;
        let known = KNOWN.0 + clusters * (KNOWN.1 + KNOWN.2 * nodes);

        let run_reads = units(known, READ_UNIT).max(1.0) + 2.0;

        let due = clusters * tick / interval.max(tick);
        let messages = refreshes + runs;

        let invocation = CALLS * CALL + REQUESTS * fleet.latency.as_secs_f64() + batch * nodes * PROCESSOR;
        let refresh_invocations = refreshes / batch;
        let concurrency = refresh_invocations * invocation;
        let scheduler = (PASS.0 + clusters * PASS.1 + due * PASS.2) / tick;
        let other_scheduler = PASS.0 / tick;
        let discovery = (RUN.0 + clusters * RUN.1) / tick;

        let parts = (of(SNAPSHOT, nodes) / SNAPSHOT_PART).ceil();
        let events = changes * EVENTS + snapshots * parts;
        let event_bytes = changes * EVENTS * EVENT + snapshots * of(SNAPSHOT, nodes);
        let invocations = refresh_invocations + runs + 2.0 / tick;
        Load {
            refreshes,
            node_refreshes: refreshes * nodes,
            refresh: one,
            writes: refreshes * one.unchanged_writes + kept_writes + runs * WRITES,
            kept_writes,
            reads: refreshes * one.reads + (pass_reads(clusters) + pass_reads(0.0) + run_reads) / tick,
            stored_bytes: clusters * (HEAD + 2.0 * of(STATE, nodes) + of(ITEM, nodes) + 3.0 * ITEM_KEYS)
                + 2.0 * known,
            messages,
            requests: sends(due) / tick + runs + 2.0 * (refreshes / batch + runs) + IDLE_POLLS / 60.0,
            events,
            event_bytes,
            put_units: changes * EVENTS + snapshots * parts * units(of(SNAPSHOT, nodes) / parts, PUT_UNIT),
            shards: whole((events / SHARD_EVENTS).max(event_bytes / SHARD).ceil().max(1.0)),
            invocations,
            concurrency,
            invocation_seconds: invocation,
            all_concurrency: concurrency + scheduler + other_scheduler + discovery,
            gb_seconds: concurrency * WORKER
                + scheduler * REFRESH_SCHEDULER
                + other_scheduler * DISCOVERY_SCHEDULER
                + discovery * WORKER,
            log_bytes: (messages + 2.0 / tick) * LOG.0 + invocations * LOG.1,
            due,
        }
    }
}

/// Read units of one pass over so many heads: all of them, eventually consistent, and the pauses. A partition without any
/// costs half a unit too.
pub fn pass_reads(heads: f64) -> f64 {
    SPREAD * (units(heads * HEAD / SPREAD, READ_UNIT).max(1.0) / 2.0) + PAUSES
}

/// Requests that one pass sends so many tasks with: those of a partition together, ten at a time. What falls to a partition
/// is as good as random.
pub fn sends(due: f64) -> f64 {
    let mean = due / SPREAD;
    if mean > 100.0 {
        return SPREAD * (mean / SEND_BATCH + 0.45);
    }
    let (mut requests, mut probability) = (0.0, (-mean).exp());
    for tasks in 1..300 {
        probability *= mean / f64::from(tasks);
        requests += probability * (f64::from(tasks) / SEND_BATCH).ceil();
    }
    SPREAD * requests
}

/// The size of something that has a part for each node.
fn of((base, each): (f64, f64), nodes: f64) -> f64 {
    base + each * nodes
}

/// Units begun.
fn units(bytes: f64, unit: f64) -> f64 {
    (bytes / unit).ceil()
}

/// A number that is whole and not negative.
pub fn whole(number: f64) -> u64 {
    // Saturates, which is what is wanted of figures beyond any fleet.
    number as u64
}
