//! What one refresh costs and how large things are: counted, and held by a test against counts.
//!
//! Sources: `tests/end_to_end/cost.rs` and `cli/tests/capacity.rs` count units, requests and bytes on the embedded
//! services, which count as AWS does; docs/benchmarks.md has the times. What could not be measured here is an assumption,
//! and says so.

use std::time::Duration;

/// Write units of an unchanged refresh: the scheduler's mark, claim, release.
pub const WRITES: f64 = 3.0;
/// Write units of a commit, besides those of the slot that it names.
pub const COMMIT: f64 = 1.0;
/// The readings that change all the time are stored when the stored ones are so old: `REPLICANTE_READINGS_AGE`.
pub const READINGS_AGE: Duration = Duration::from_secs(300);
/// How often a cluster has a snapshot at least: the stream keeps its records for a day or longer.
pub const SNAPSHOT_AGE: Duration = Duration::from_secs(6 * 3600);
/// How often a schedule fires.
pub const TICK: Duration = Duration::from_secs(60);
/// Messages of one request to a queue.
pub const SEND_BATCH: f64 = 10.0;
/// Partitions of the heads of a kind.
pub const SPREAD: f64 = 64.0;

/// Bytes that an item has beside its data: keys, fence, names.
pub const ITEM_KEYS: f64 = 100.0;
/// Bytes of a stored state, as it is compressed: of any, and for each node. The sizes are those of simulated Redis clusters,
/// whose names are alike; yours may be larger.
pub const STATE: (f64, f64) = (600.0, 32.0);
/// Bytes of a discovery item, likewise.
pub const ITEM: (f64, f64) = (255.0, 3.0);
/// Bytes of a head.
pub const HEAD: f64 = 430.0;
/// Bytes of a discovery's state: of any, for each cluster, and for each of its nodes.
pub const KNOWN: (f64, f64, f64) = (290.0, 4.0, 2.0);
/// Events of a change: something goes down or comes up, and what follows from it. An assumption.
pub const EVENTS: f64 = 3.0;
/// Bytes of an event.
pub const EVENT: f64 = 490.0;
/// How much smaller a few events are stored than published.
pub const PACKED: f64 = 3.3;
/// Bytes of a snapshot as it is published: of any, and for each node.
pub const SNAPSHOT: (f64, f64) = (600.0, 490.0);
/// Bytes of a snapshot as it is stored, likewise.
pub const SNAPSHOT_PACKED: (f64, f64) = (650.0, 14.0);

/// Calls to the table that a refresh waits for, one after the other: claim, state, discovery item, release.
pub const CALLS: f64 = 4.0;
/// Seconds of a call to the table: an assumption.
pub const CALL: f64 = 0.005;
/// Requests to an agent, one after the other. The agents of a cluster are asked at the same time.
pub const REQUESTS: f64 = 4.0;
/// Seconds of processor time for each node at the 0.58 processors that a function of 1 GiB has. From 2,990 node refreshes a
/// second on 2 processors, services and agents included: more than it can be.
pub const PROCESSOR: f64 = 0.00115;
/// Node refreshes a second of a server of 2 processors, from the same measurement, with a third kept back.
pub const SERVER: f64 = 2_000.0;
/// Read units of a pass for the pauses, as long as there are at most some twenty.
pub const PAUSES: f64 = 0.5;
/// Seconds of a scheduler's pass: at least, for each head that it reads, and for each that it moves on.
pub const PASS: (f64, f64, f64) = (0.1, 0.000_02, 0.000_25);
/// Seconds of a discovery's run: at least, and for each cluster. Assumptions.
pub const RUN: (f64, f64) = (1.0, 0.000_05);
/// Bytes of the log: of a task, and of an invocation's metrics. What they may have at most.
pub const LOG: (f64, f64) = (400.0, 1_500.0);
/// Requests a minute of Lambda to two queues that are empty. An assumption.
pub const IDLE_POLLS: f64 = 30.0;
/// Metrics of our own that are not zero. An assumption.
pub const METRICS: f64 = 40.0;
