//! The watch that a process keeps over itself: while it is likely to be cut off, it calls no agent down for want of a
//! connection, and leaves a notice for the discovery of each cluster that it refreshes.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use replicante_model::name::spread;
use replicante_model::notice::{COUNTS, Notice, RENEWED};
use replicante_model::observation::Observation;
use replicante_model::observer::{Observer, Suspicion, connected};
use replicante_model::record::{DiscoveredCluster, NodeId};
use replicante_model::view::ClusterState;
use replicante_model::{RecordName, Timestamp};
use replicante_worker::Context;
use tokio::time::{Instant, sleep_until};

/// How long a refresh that lacks connections waits for others of its batch to hear of theirs: they are judged together.
const TOGETHER: Duration = Duration::from_millis(500);

/// The watch of one process.
#[derive(Debug)]
pub(crate) struct Watch {
    /// The name of the process: fresh for each.
    instance: String,
    /// How long a suspicion holds back what seems down, at most.
    hold: Duration,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    observer: Observer,
    /// Whether it was likely to be cut off when that was last asked.
    suspect: bool,
    /// The discoveries that have a notice which counts, and when it was left.
    notices: BTreeMap<RecordName, Timestamp>,
}

impl Watch {
    pub(crate) fn new(hold: Duration) -> Self {
        Watch { instance: uuid::Uuid::new_v4().to_string(), hold, seen: Mutex::default() }
    }

    /// Takes down what a refresh heard. While the process is likely to be cut off, agents without a connection count
    /// as not polled. Returns whether it is, and they are held back.
    pub(crate) async fn hold_back(
        &self,
        context: &Context<'_>,
        item: &DiscoveredCluster,
        state: &ClusterState,
        observations: &mut BTreeMap<NodeId, Observation>,
    ) -> bool {
        let record = &context.head.record;
        let lacking = self.note(record, state, observations);
        if lacking > 0 && !self.lock().suspect {
            sleep_until((Instant::now() + TOGETHER).min(context.gather_until)).await;
        }
        let now = Timestamp::now();
        let held = self.suspicion(lacking > 0, now);
        if let Some(Suspicion { since, polled, failed }) = held {
            let mut count = 0_u64;
            for observation in observations.values_mut() {
                if connected(observation) == Some(false) {
                    *observation = Observation::NotPolled;
                    count += 1;
                }
            }
            tracing::warn!(%record, %since, polled, failed, held = count, "this process may be cut off");
        }
        let discovery = RecordName::discovery(&*record.namespace, &*item.discovery);
        for (discovery, notice) in self.notices(discovery, held, now) {
            if let Err(error) = context.table.leave_notice(&discovery, &notice).await {
                tracing::warn!(%discovery, %error, "the notice can't be left");
            }
        }
        held.is_some()
    }

    /// Takes down whom there was a connection to. Returns how many newly lack one.
    fn note(
        &self,
        record: &RecordName,
        state: &ClusterState,
        observations: &BTreeMap<NodeId, Observation>,
    ) -> usize {
        let (cluster, now) = (record.hash(), Timestamp::now());
        let mut lacking = 0;
        let mut seen = self.lock();
        for (id, observation) in observations {
            let silent = state.counters.nodes.get(id).is_some_and(|counters| counters.silent_since.is_some());
            match connected(observation) {
                // It was silent before: that it still is says nothing of this process.
                None | Some(false) if silent => {}
                None => {}
                Some(connected) => {
                    lacking += usize::from(!connected);
                    seen.observer.note(cluster, spread(id), connected, now);
                }
            }
        }
        lacking
    }

    /// What holds back what seems down, if anything does. Asked only where it matters.
    fn suspicion(&self, lacking: bool, now: Timestamp) -> Option<Suspicion> {
        let mut seen = self.lock();
        if !lacking && !seen.suspect {
            return None;
        }
        let suspicion = seen.observer.suspicion(now);
        seen.suspect = suspicion.is_some();
        suspicion.filter(|suspicion| suspicion.holds(self.hold, now))
    }

    /// The notices to leave: for the discovery at hand, unless it has a recent one; for all that have one, once there
    /// is nothing to tell any more.
    fn notices(
        &self,
        discovery: RecordName,
        held: Option<Suspicion>,
        now: Timestamp,
    ) -> Vec<(RecordName, Notice)> {
        let mut seen = self.lock();
        let notice = |suspicion, until| Notice { instance: self.instance.clone(), suspicion, until };
        let Some(suspicion) = held else {
            let over = Suspicion { since: now, polled: 0, failed: 0 };
            let left = std::mem::take(&mut seen.notices);
            return left.into_keys().map(|discovery| (discovery, notice(over, now))).collect();
        };
        if seen.notices.get(&discovery).is_some_and(|left| now.since(*left) < RENEWED) {
            return Vec::new();
        }
        seen.notices.insert(discovery.clone(), now);
        vec![(discovery, notice(suspicion, now.plus(COUNTS)))]
    }

    fn lock(&self) -> MutexGuard<'_, Seen> {
        // What happens under the lock leaves it sound at each point.
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
