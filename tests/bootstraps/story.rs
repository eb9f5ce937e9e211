//! The whole story of a fleet, each of whose acts is killed at one of its calls: what is told is what an undisturbed run
//! tells.

use std::collections::BTreeMap;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use replicante_model::{Kind, RecordName, Timestamp};
use replicante_protocol::task::Task;
use replicante_tests::System;
use replicante_tests::bootstraps::{Ended, Moment, Signals, Tap};
use replicante_tests::story::{CLUSTERS, REMOVAL, story};

use crate::rig::{LONG, deployed, disturbed, process};

/// Each chooses other calls.
const SEEDS: [u64; 3] = [1, 2, 3];

/// What a run of the story came to.
#[derive(Default)]
struct Told {
    /// What the stream tells of each record when all is over.
    events: BTreeMap<String, Vec<String>>,
    acts: Vec<Act>,
}

/// The work on one record after something changed.
struct Act {
    record: RecordName,
    /// What its first process called until it ended.
    calls: Vec<String>,
    killed: bool,
}

/// Services, fleet and bootstraps.
struct Rig {
    system: System,
    /// What the first process of each act goes through.
    tap: Tap,
}

impl Rig {
    /// `None` where no bootstraps are named.
    async fn start() -> Option<Self> {
        let mut system = deployed(&[]).await?;
        system.time_left = Duration::from_secs(30);
        system.apply_discovery(REMOVAL).await.unwrap();
        let tap = Tap::start(&system.local.environment).await.unwrap();
        Some(Rig { system, tap })
    }

    /// The clusters whose turn it is. One that has ended has no head.
    async fn clusters(&self) -> Vec<RecordName> {
        let mut there = Vec::new();
        for cluster in CLUSTERS {
            let record = RecordName::cluster("default", cluster);
            if self.system.table.head(&record).await.unwrap().is_some() {
                there.push(record);
            }
        }
        there
    }

    /// A task, of which somebody asked for every other one.
    async fn task(&self, act: usize, record: &RecordName) -> Task {
        if act.is_multiple_of(2) {
            let done = self.system.head(record).await.unwrap().done_due;
            return Task::scheduled(record.clone(), Timestamp(done.0 + 1));
        }
        Task::manual(record.clone(), "test")
    }

    /// A task that is killed at this call comes again, and once more for what an acknowledged one left undone. A call that
    /// was stopped before its service heard of it lands last of all.
    async fn act(&self, task: Task, kill: Option<(usize, Moment)>) -> Act {
        let record = task.record.clone();
        let again = || Task::manual(record.clone(), "test");
        let mut process = process(&self.system, &self.tap, record.kind).await;
        let at = kill.unwrap_or((usize::MAX, Moment::Before));
        let dies = async |it: Signals| it.kill().unwrap();
        let (ended, killed) = disturbed(&self.tap, &mut process, task.clone(), at, LONG, dies).await;
        let calls = self.tap.calls();
        match ended {
            Ended::Exited(how) if killed => assert_eq!(how, "signal 9"),
            Ended::Answered(body) if !killed => {
                assert_eq!(body, br#"{"batchItemFailures":[]}"#.as_slice(), "{task:?}");
            }
            ended => panic!("{task:?}, {at:?}: {ended:?}"),
        }
        if killed {
            self.work(task).await;
            self.work(again()).await;
            let told = self.told(&record).await;
            self.tap.release().await;
            self.work(again()).await;
            assert_eq!(self.told(&record).await, told, "what landed late counts: {record}, {at:?}");
        }
        self.told(&record).await;
        Act { record, calls, killed }
    }

    /// Another process does the task, when the lease of whoever died is over.
    async fn work(&self, task: Task) {
        self.system.expire_lease(&task.record).await.unwrap();
        let response = match task.record.kind {
            Kind::Discovery => self.system.run_discovery(task).await,
            Kind::Cluster => self.system.run_refresh(task).await,
        };
        assert!(response.batch_item_failures.is_empty(), "{:?}", self.system.reports());
    }

    /// The position of the last event that the record told, and it owes none. `None` when it has ended.
    async fn told(&self, record: &RecordName) -> Option<(u64, u64)> {
        let head = self.system.table.head(record).await.unwrap()?;
        assert!(!head.owed && head.published == head.sequence, "{head:?}");
        Some((head.epoch, head.sequence))
    }
}

/// The story, each act of which is killed where `kill` says for its number. `None` where no bootstraps are named.
async fn tell(mut kill: impl FnMut(usize) -> Option<(usize, Moment)>) -> Option<Told> {
    let rig = Rig::start().await?;
    let discovery = RecordName::discovery("default", "fleet");
    let mut told = Told::default();
    for changes in story() {
        for change in changes {
            rig.system.fleet.apply(change).unwrap();
        }
        let number = told.acts.len();
        told.acts.push(rig.act(rig.task(number, &discovery).await, kill(number)).await);
        for cluster in rig.clusters().await {
            let number = told.acts.len();
            told.acts.push(rig.act(rig.task(number, &cluster).await, kill(number)).await);
        }
    }
    let checked = rig.system.check().await.unwrap();
    let records = CLUSTERS.map(|cluster| RecordName::cluster("default", cluster));
    for record in records.into_iter().chain([discovery]) {
        told.events.insert(record.key(), checked.told(&record.key()));
    }
    Some(told)
}

#[tokio::test]
async fn a_story_whose_every_act_is_killed_at_one_of_its_calls_is_told_as_if_nothing_had_happened() {
    let Some(clean) = tell(|_| None).await else { return };
    let changes: usize = clean.events.values().map(Vec::len).sum();
    assert!(changes > 80, "{changes}");
    let mut killed: BTreeMap<String, usize> = BTreeMap::new();
    for seed in SEEDS {
        println!("seed {seed}");
        let mut random = StdRng::seed_from_u64(seed);
        let mut points = Vec::new();
        let story = tell(|act| {
            let calls = clean.acts.get(act).map_or(1, |act| act.calls.len());
            points.push((random.random_range(0..calls), Moment::ALL[random.random_range(0..2)]));
            points.last().copied()
        });
        let told = story.await.unwrap();
        assert_eq!(told.events, clean.events, "seed {seed}");
        let records = |told: &Told| told.acts.iter().map(|act| act.record.clone()).collect::<Vec<_>>();
        assert_eq!(records(&told), records(&clean), "seed {seed}");
        for (act, (call, moment)) in told.acts.iter().zip(points).filter(|(act, _)| act.killed) {
            *killed.entry(format!("{} {moment:?}", act.calls[call])).or_default() += 1;
        }
    }
    let (acts, deaths) = (SEEDS.len() * clean.acts.len(), killed.values().sum::<usize>());
    println!("{changes} events; {acts} acts, {deaths} of them killed: {killed:?}");
    // What follows a kill may make a call less.
    assert!(deaths > acts * 9 / 10, "{deaths} of {acts}");
    for operation in ["GetItem", "PutItem", "PutRecords", "Query", "UpdateItem"] {
        assert!(killed.keys().any(|call| call.contains(operation)), "{operation}");
    }
}
