//! The measurements of `bench hanging`: how late agents that hang make the clusters that are well.
//!
//! A refresh lasts as long as its slowest agent, and a batch of tasks as long as its slowest refresh. So what hanging
//! agents use up is invocations: each that waits for a timeout is one less for the others. The fifth of the agents that
//! hangs is concentrated in a fifth of the clusters, since what is measured is the lateness of clusters that are well:
//! with one hanging agent in each cluster there would be none. That layout, `--spread`, is harder on the invocations
//! (every refresh may have to wait), and measures all clusters.
//!
//! Time is ten times as fast as by default, so that back-off gets to its longest within a minute: interval, timeouts
//! and back-off are a tenth, or what another interval says. What counts, the part of its time that an invocation spends
//! waiting, is the same. The tick and the queue's whole seconds are not scaled: they are the same in all runs.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use replicante_fleet::{AgentState, Change, WorldConfig};
use replicante_local::Runner;
use replicante_model::Timestamp;
use replicante_model::time::human;
use replicante_worker::{Observer, TaskReport};

use crate::bench::figures::{Figure, Wanted, figure};
use crate::bench::rig::{Rig, RigConfig};
use crate::error::CliError;
use crate::out;
use crate::tally::percentile;
use crate::view::text::thousands;

/// Nodes of each cluster, and the clusters of which one hangs.
const NODES: usize = 5;
const EACH: usize = 5;
/// Intervals until all is at rest, of each measurement, and until the longest back-off is reached.
const REST: u32 = 2;
const MEASURED: u32 = 4;
const BACKING_OFF: u32 = 8;
/// How long work in flight may take to finish.
const GRACE: Duration = Duration::from_secs(20);
/// The least of the refreshes that were due which a figure must rest on, in percent: what is later than the measurement
/// waits for is not among them. Slots at its ends make a few more or less.
const LEAST_SEEN: f64 = 90.0;
/// What the lateness of clusters that are well may grow by: a tenth, or so many milliseconds, whichever is more.
const MOST_GROWTH: f64 = 100.0;

/// What is measured.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    /// Clusters.
    pub clusters: usize,
    /// Invocations of the refresh worker at the same time.
    pub invocations: usize,
    /// The longest time between two polls of an agent that hangs.
    pub back_off: Duration,
    /// How often each cluster is refreshed.
    pub interval: Duration,
    /// One agent of each cluster hangs, instead of all agents of some.
    pub spread: bool,
}

impl Case {
    /// Timeouts in proportion to the interval: those that agents have by default, for one of 60 s.
    fn agents(&self) -> String {
        let part = |seconds| human(self.interval * seconds / 60);
        let (request, connect, node) = (part(10), part(3), part(15));
        format!("  agents: {{ timeout: {request}, connect_timeout: {connect}, node_timeout: {node} }}\n")
    }

    /// A refresh that took so long has waited for an agent.
    fn waited(&self) -> Duration {
        self.interval * 9 / 60
    }

    /// What is measured of so many intervals: one that is due near their end and late is not known yet then, and would be
    /// missing from the lateness just where it is large.
    fn span(&self, intervals: u32) -> Duration {
        self.interval * intervals - self.interval / 2
    }

    /// How many of the refreshes that were due are known. Of none, or of those alone that were in time, a lateness says
    /// nothing.
    fn seen(&self, began: &[Began], clusters: usize, intervals: u32, when: &str) -> Figure {
        let due = clusters as f64 * self.span(intervals).as_secs_f64() / self.interval.as_secs_f64();
        let known = began.iter().filter(|began| began.measured).count() as f64;
        let what = format!("refreshes of these that were measured, of those due, {when}");
        figure(what, 100.0 * known / due.max(1.0), "%", Some(Wanted::AtLeast(LEAST_SEEN)))
    }

    /// How many refreshes waited for a timeout at the same time, on average over so many intervals: each keeps an
    /// invocation busy, unless it shares a batch with another.
    fn waiting(&self, began: &[Began], intervals: u32) -> f64 {
        let waited: Duration =
            began.iter().map(|began| began.took).filter(|took| *took >= self.waited()).sum();
        waited.as_secs_f64() / self.span(intervals).as_secs_f64()
    }
}

/// A scheduled refresh: of a cluster that is measured or not, how late it began, and how long it took.
#[derive(Clone, Copy, Debug)]
struct Began {
    measured: bool,
    late: Duration,
    took: Duration,
}

/// The lateness of the measured clusters with no agent hanging, as some begin to hang, and once they are backed off.
///
/// # Errors
/// When something can't start, or a refresh fails.
pub async fn measure(case: &Case) -> Result<Vec<Figure>, CliError> {
    let agents = case.clusters * NODES;
    out::note(format_args!("{} agents in {} clusters: first sight ...", agents, case.clusters));
    let rig = Rig::start(RigConfig {
        world: WorldConfig { clusters: case.clusters, nodes: NODES..=NODES, ..WorldConfig::default() },
        interval: case.interval,
        spec: case.agents(),
        settings: BTreeMap::from([("REPLICANTE_BACK_OFF".into(), human(case.back_off))]),
    })
    .await?;
    let hanging = hanging(&rig, case.spread);
    let log = Log::default();
    let runner = Runner::with(&rig.local, log.observer(&hanging, case.spread), case.invocations);

    out::note("none hanging ...");
    tokio::time::sleep(case.interval * REST).await;
    let before = log.over(case, MEASURED).await;
    out::note(format_args!("{} agents begin to hang ...", agents / EACH));
    for node in hanging.iter().flat_map(|(cluster, nodes)| nodes.iter().map(move |node| (cluster, node))) {
        rig.fleet
            .apply(Change::agent(node.0, node.1, AgentState::Hanging))
            .map_err(|error| CliError::Failed(error.to_string()))?;
    }
    let begins = log.over(case, BACKING_OFF).await;
    out::note("... and go on ...");
    let after = log.over(case, MEASURED).await;
    runner.stop(GRACE).await;

    let whose = if case.spread { "all clusters" } else { "clusters that are well" };
    let measured = if case.spread { case.clusters } else { case.clusters - hanging.len() };
    let hang = thousands((agents / EACH) as u64);
    let mut figures = vec![
        figure("agents", agents as f64, "", None),
        case.seen(&before, measured, MEASURED, "none hanging"),
        figure(format!("lateness of {whose}, none hanging, p50"), late(&before, 50), "ms", None),
        figure(format!("lateness of {whose}, none hanging, p99"), late(&before, 99), "ms", None),
    ];
    let usual = late(&before, 99);
    let most = MOST_GROWTH.max(usual / 10.0);
    for (when, began, intervals) in
        [("begin to hang", &begins, BACKING_OFF), ("have been hanging", &after, MEASURED)]
    {
        let name = format!("lateness of {whose}, {hang} agents {when}");
        let p99 = late(began, 99);
        figures.push(case.seen(began, measured, intervals, &format!("{hang} agents {when}")));
        figures.push(figure(format!("{name}, p50"), late(began, 50), "ms", None));
        figures.push(figure(format!("{name}, p99"), p99, "ms", None));
        let growth = (p99 - usual).max(0.0);
        figures.push(figure(format!("{name}, growth of p99"), growth, "ms", Some(Wanted::AtMost(most))));
        let what = format!("refreshes that wait for a timeout at the same time, {hang} agents {when}, mean");
        figures.push(figure(what, case.waiting(began, intervals), "", None));
    }
    Ok(figures)
}

/// The agents that are to hang, by cluster: all of each fifth cluster, or one of each.
fn hanging(rig: &Rig, spread: bool) -> BTreeMap<String, Vec<String>> {
    rig.fleet.with_world(|world| {
        let clusters = world.clusters().iter().step_by(if spread { 1 } else { EACH });
        let most = if spread { 1 } else { NODES };
        clusters
            .map(|(id, cluster)| (id.clone(), cluster.nodes.keys().take(most).cloned().collect()))
            .collect()
    })
}

/// In milliseconds: of a hundred refreshes of measured clusters, `percent` did not begin later.
fn late(began: &[Began], percent: usize) -> f64 {
    let late = began.iter().filter(|began| began.measured).map(|began| began.late.as_millis());
    percentile(late, percent).unwrap_or(0) as f64
}

/// The scheduled refreshes that began.
#[derive(Clone, Debug, Default)]
struct Log(Arc<Mutex<Vec<(Timestamp, Began)>>>);

impl Log {
    fn observer(&self, hanging: &BTreeMap<String, Vec<String>>, spread: bool) -> Observer {
        let log = Arc::clone(&self.0);
        let left_out: Vec<String> = if spread { Vec::new() } else { hanging.keys().cloned().collect() };
        Arc::new(move |report: &TaskReport| {
            let (Some(stamp), Some(late)) = (report.task.stamp, report.late) else { return };
            // They are in order: a cluster's id comes from the world's map.
            let measured = left_out.binary_search(&report.task.record.id).is_err();
            let began = Began { measured, late, took: report.duration };
            log.lock().unwrap_or_else(PoisonError::into_inner).push((stamp, began));
        })
    }

    /// Waits for so many intervals; gives the refreshes that were due in [`Case::span`] of them.
    async fn over(&self, case: &Case, intervals: u32) -> Vec<Began> {
        let from = Timestamp::now();
        tokio::time::sleep(case.interval * intervals).await;
        let until = from.plus(case.span(intervals));
        let log = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        log.iter().filter(|(stamp, _)| (from..until).contains(stamp)).map(|(_, began)| *began).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CASE: Case = Case {
        clusters: 10,
        invocations: 1,
        back_off: Duration::ZERO,
        interval: Duration::from_secs(6),
        spread: false,
    };

    #[test]
    fn the_timeouts_of_agents_are_in_proportion_to_the_interval() {
        let of = |seconds| Case { interval: Duration::from_secs(seconds), ..CASE }.agents();
        insta::assert_snapshot!(of(6).trim(), @"agents: { timeout: 1s, connect_timeout: 300ms, node_timeout: 1s500ms }");
        insta::assert_snapshot!(of(60).trim(), @"agents: { timeout: 10s, connect_timeout: 3s, node_timeout: 15s }");
    }

    #[test]
    fn the_lateness_is_that_of_measured_clusters_alone() {
        let began =
            |measured, millis| Began { measured, late: Duration::from_millis(millis), took: Duration::ZERO };
        let log = [began(true, 10), began(true, 30), began(false, 9_000)];
        assert_eq!((late(&log, 50), late(&log, 99), late(&[], 99)), (10.0, 30.0, 0.0));
    }

    #[test]
    fn a_measurement_that_saw_too_little_is_none() {
        let began = Began { measured: true, late: Duration::ZERO, took: Duration::ZERO };
        // Two intervals, of which one and a half are measured: 15 refreshes of 10 clusters.
        let met = |count: usize| {
            let figure = CASE.seen(&vec![began; count], 10, 2, "none hanging");
            figure.wanted.is_some_and(|wanted| wanted.is_met(figure.value))
        };
        assert!(met(15) && met(14) && !met(13) && !met(0));
    }

    #[test]
    fn the_refreshes_that_wait_are_those_that_took_a_timeout() {
        let took =
            |millis| Began { measured: true, late: Duration::ZERO, took: Duration::from_millis(millis) };
        // Two intervals of 6 s, of which 9 s are measured.
        assert!((CASE.waiting(&[took(1000), took(2000), took(800), took(1500)], 2) - 0.5).abs() < 1e-9);
    }
}
