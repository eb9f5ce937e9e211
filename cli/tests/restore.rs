//! A table that is restored from a backup is behind the stream. With `restore-check` the promise holds again; without it
//! it does not.

// Helpers of tests fail as tests do.
#![allow(clippy::unwrap_used)]

use std::process::{Command, Output};
use std::time::Duration;

use replicante::restore::Check;
use replicante_aws::{FenceError, Restart, RestoreMark};
use replicante_fleet::{Change, Kind, StoreState};
use replicante_model::{Kind as RecordKind, RecordName, Timestamp};
use replicante_protocol::head::Head;
use replicante_protocol::task::Task;
use replicante_refresh_worker::RefreshWorker;
use replicante_tests::System;
use replicante_tests::backup::Backup;
use replicante_tests::faults::{Fault, Faults, Layer};

/// Missing with the first answer without it, removed with the second.
const SOON: &str = "  removal: { grace: 0s, confirmations: 2, max_shrink: off }\n";
const CLUSTERS: [&str; 10] =
    ["alone", "back", "brief", "changed", "gone", "kept", "late", "never", "off", "owes"];

/// A system whose table was restored: what was committed after the backup is in the stream alone.
struct Restored {
    system: System,
    restored_to: Timestamp,
    /// A record whose events were committed before the backup, and never published.
    owed: Head,
}

fn record(cluster: &str) -> RecordName {
    RecordName::cluster("default", cluster)
}

/// Changes a cluster, and kills its refresh between commit and delivery.
async fn owe(system: &System, cluster: &str) {
    let faults = Faults::default();
    let refresh = RefreshWorker::new(&system.clients_through(Layer::new(&faults)), &system.local.settings);
    system.fleet.apply(Change::store(cluster, "node-1", StoreState::Down)).unwrap();
    faults.aim("PutRecords ", Fault::CrashBefore);
    let event = system.event(&[Task::manual(record(cluster), "test")]);
    assert!(faults.run(refresh.handle(event)).await.is_none(), "it dies before it delivers");
    system.expire_lease(&record(cluster)).await.unwrap();
    let head = system.head(&record(cluster)).await.unwrap();
    assert!(head.owed && head.published < head.sequence);
}

async fn remove(system: &System, cluster: &str) {
    system.fleet.apply(Change::list(cluster, false)).unwrap();
    for _ in 0..2 {
        system.discover().await;
        system.refresh(cluster).await;
    }
    assert!(system.table.head(&record(cluster)).await.unwrap().is_none());
}

async fn restored() -> Restored {
    let mut system = System::start_embedded(None).await.unwrap();
    for cluster in ["alone", "back", "changed", "gone", "kept", "off", "owes"] {
        system.add_cluster(cluster, Kind::Redis, 2).unwrap();
    }
    system.apply_discovery(SOON).await.unwrap();
    system.discover().await;
    for cluster in CLUSTERS {
        system.refresh(cluster).await;
    }
    remove(&system, "back").await;
    let off =
        "apiVersion: replicante.io/v0\nkind: Cluster\nmetadata: { name: off }\nspec: { enabled: false }\n";
    system.apply(off).await.unwrap();
    system.add_cluster("never", Kind::Redis, 2).unwrap();
    system.discover().await;
    owe(&system, "owes").await;
    owe(&system, "alone").await;
    let owed = system.head(&record("alone")).await.unwrap();

    let backup = Backup::of(&system).await.unwrap();
    let restored_to = Timestamp::now();
    tokio::time::sleep(Duration::from_millis(10)).await;

    // What the table will know nothing of.
    for state in [StoreState::Down, StoreState::Up] {
        system.fleet.apply(Change::store("changed", "node-1", state)).unwrap();
        system.fleet.apply(Change::store("off", "node-1", state)).unwrap();
        for cluster in ["changed", "off", "owes", "never"] {
            system.refresh(cluster).await;
        }
    }
    remove(&system, "gone").await;
    system.fleet.apply(Change::list("back", true)).unwrap();
    for cluster in ["late", "brief"] {
        system.add_cluster(cluster, Kind::Redis, 2).unwrap();
    }
    system.discover().await;
    for cluster in CLUSTERS.into_iter().filter(|cluster| *cluster != "alone") {
        system.refresh(cluster).await;
    }
    system.check().await.unwrap();

    // What happened while nobody looked.
    system.fleet.apply(Change::list("brief", false)).unwrap();
    system.fleet.apply(Change::store("changed", "node-2", StoreState::Down)).unwrap();
    backup.restore(&mut system, "replicante-restored").await.unwrap();
    Restored { system, restored_to, owed }
}

impl Restored {
    /// The functions, enabled again.
    async fn run_on(&self) {
        for _ in 0..4 {
            self.system.discover().await;
            for cluster in CLUSTERS.into_iter().filter(|cluster| *cluster != "off") {
                self.system.refresh(cluster).await;
            }
            // It is disabled: a task of the scheduler's does nothing but deliver.
            self.system.run_refresh(Task::scheduled(record("off"), Timestamp::now())).await;
        }
    }

    fn check(&self) -> Check {
        Check {
            table: self.system.table.clone(),
            stream: self.system.stream.clone(),
            source: self.system.local.settings.source(),
            restored_to: self.restored_to,
            whole_stream: false,
            actor: "ann".into(),
            again: None,
        }
    }

    fn run(&self, more: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_replicante"));
        command.arg("restore-check").arg("--restored-to").arg(self.restored_to.rfc3339()).args(more);
        command.envs(&self.system.local.environment).env("REPLICANTE_ACTOR", "ann").output().unwrap()
    }

    async fn told(&self, cluster: &str) -> Vec<String> {
        self.system.check().await.unwrap().told(&record(cluster).key())
    }

    /// Ends all leases, as time would.
    async fn expire_leases(&self) {
        for kind in [RecordKind::Discovery, RecordKind::Cluster] {
            for shard in 0..64 {
                for head in self.system.table.heads(kind, shard).await.unwrap().heads {
                    self.system.table.forget_queued(&head).await.unwrap();
                }
            }
        }
    }
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[tokio::test(flavor = "multi_thread")]
async fn without_it_numbers_come_twice_with_another_content() {
    let restored = restored().await;
    restored.run_on().await;
    let broken = restored.system.check().await.unwrap_err().to_string();
    assert!(broken.contains("two copies of cluster/default/"), "{broken}");
}

#[tokio::test(flavor = "multi_thread")]
async fn with_it_readers_start_anew_and_the_stream_folds_to_what_is_stored() {
    let restored = restored().await;
    let dry = restored.run(&["--dry-run"]);
    assert!(dry.status.success(), "{}", said(&dry));
    assert_eq!(restored.system.table.restore_mark().await.unwrap(), None, "nothing is changed");

    let done = restored.run(&["--yes"]);
    let told = said(&done);
    assert!(done.status.success(), "{told}");
    for part in [
        "7 clusters, 1 discovery, 1 tombstone",
        "2 records owe events or items",
        "cluster/default/changed (22 of 32)",
        "cluster/default/brief",
    ] {
        assert!(told.contains(part), "{part}: {told}");
    }
    assert!(told.contains("raised 8 records and 1 tombstone, 3 clusters"), "{told}");

    restored.run_on().await;
    restored.system.check().await.unwrap();
    let epoch = restored.system.table.restore_mark().await.unwrap().unwrap().epoch;
    for cluster in ["changed", "kept", "never", "off", "owes"] {
        assert_eq!(restored.system.head(&record(cluster)).await.unwrap().epoch, epoch, "{cluster}");
    }
    let changed = restored.told("changed").await;
    let snapshot = changed.iter().position(|told| told == "cluster.snapshot").unwrap();
    let then = &changed[snapshot + 1..];
    assert!(then.contains(&"node.down node-2".to_owned()), "and then what happened meanwhile: {changed:?}");
    assert_eq!(restored.told("off").await.last().unwrap(), "cluster.snapshot", "enabled or not");
    assert_eq!(restored.told("kept").await.last().unwrap(), "cluster.snapshot");
    assert_eq!(restored.told("gone").await.last().unwrap(), "cluster.removed", "it is gone again");
    let brief = restored.told("brief").await;
    assert_eq!(brief[brief.len() - 2..], ["cluster.snapshot", "cluster.removed"]);
    for cluster in ["late", "back", "never"] {
        let told = restored.told(cluster).await;
        let removed = told.iter().rposition(|told| told == "cluster.removed").unwrap();
        assert_eq!(told[removed + 1], "cluster.new", "{cluster} returned: {told:?}");
    }

    let history = restored.system.history().await.unwrap();
    for sequence in restored.owed.published + 1..=restored.owed.sequence {
        let id = format!("\"cluster/default/alone/{}/{sequence}\"", restored.owed.epoch);
        let is_told = |(_, data): &(String, Vec<u8>)| String::from_utf8_lossy(data).contains(&id);
        assert!(history.records.iter().any(is_told), "{id} was committed before the backup, and is lost");
    }

    // Another round of changes goes on from there.
    restored.system.fleet.apply(Change::store("changed", "node-2", StoreState::Up)).unwrap();
    restored.run_on().await;
    assert_eq!(restored.told("changed").await.last().unwrap(), "cluster.health_changed");
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_refused_a_second_time_unless_somebody_says_why() {
    let restored = restored().await;
    assert!(restored.run(&["--yes"]).status.success());
    let first = restored.system.table.restore_mark().await.unwrap().unwrap();
    let again = restored.run(&["--yes"]);
    assert_eq!(again.status.code(), Some(1));
    assert!(said(&again).contains("--again"), "{}", said(&again));
    let again = restored.run(&["--yes", "--again", "the readers lost what they had"]);
    assert!(again.status.success(), "{}", said(&again));
    let second = restored.system.table.restore_mark().await.unwrap().unwrap();
    assert!(second.epoch > first.epoch, "{first:?} {second:?}");
    assert_eq!(second.again.as_deref(), Some("the readers lost what they had"));
    restored.run_on().await;
    restored.system.check().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_any_point_it_goes_on_from_there() {
    let restored = restored().await;
    let (mut kills, mut polls) = (0, 1);
    loop {
        let now = Timestamp::now();
        let check = restored.check();
        let mark = restored.system.table.restore_mark().await.unwrap();
        if mark.is_some_and(|mark| mark.done.is_some()) {
            // Killed after its last write.
            break;
        }
        let plan = check.plan(now).await.unwrap();
        if System::killed_after(polls, check.carry_out(&plan, now)).await {
            break;
        }
        restored.expire_leases().await;
        kills += 1;
        polls += 2;
    }
    assert!(kills > 5, "only {kills} points");
    assert_eq!(
        restored.system.table.restore_mark().await.unwrap().map(|mark| mark.done.is_some()),
        Some(true)
    );
    restored.run_on().await;
    restored.system.check().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_refused_while_the_functions_work() {
    let mut restored = restored().await;
    // A worker that was killed: its lease is alive.
    for polls in 1.. {
        System::killed_after(polls, restored.system.refresh("kept")).await;
        if restored.system.head(&record("kept")).await.unwrap().is_held(Timestamp::now()) {
            break;
        }
    }
    let problem = restored.check().plan(Timestamp::now()).await.unwrap_err().to_string();
    assert!(problem.starts_with("a worker holds cluster/default/kept until"), "{problem}");
    restored.expire_leases().await;
    restored.check().plan(Timestamp::now()).await.unwrap();
    // Work that was done after the point in time that the table was restored to.
    restored.restored_to = restored.restored_to.minus(Duration::from_secs(3600));
    restored.run_on().await;
    let problem = restored.check().plan(Timestamp::now()).await.unwrap_err().to_string();
    assert!(problem.starts_with("the functions work on this table"), "{problem}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_epoch_is_begun_by_whoever_holds_the_claim_and_never_goes_back() {
    let system = System::start_embedded(None).await.unwrap();
    system.add_cluster("kept", Kind::Redis, 1).unwrap();
    system.apply_discovery("").await.unwrap();
    system.discover().await;
    let (record, table) = (record("kept"), &system.table);
    let claim = async |holder: &str| {
        let task = Task::manual(record.clone(), "ann");
        table.claim(&task, holder, Timestamp::now(), Duration::from_secs(60)).await.unwrap()
    };
    let first = claim("first").await;
    let epoch = first.epoch + 10;
    system.expire_lease(&record).await.unwrap();
    let second = claim("second").await;
    let restart = Restart { epoch, body: None, sequence: 0, owed: false };
    let taken_over = table.restart(&record, first.fence, &restart).await;
    assert!(matches!(taken_over, Err(FenceError::TakenOver)), "{taken_over:?}");
    // Twice, as when a reply is lost.
    for _ in 0..2 {
        table.restart(&record, second.fence, &restart).await.unwrap();
    }
    let lower = Restart { epoch: epoch - 1, ..restart };
    assert!(matches!(table.restart(&record, second.fence, &lower).await, Err(FenceError::TakenOver)));
    let head = system.head(&record).await.unwrap();
    assert_eq!((head.epoch, head.sequence, head.lease_until), (epoch, 0, Timestamp::ZERO));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tombstone_is_only_ever_raised_and_a_mark_follows_the_one_that_was_read() {
    let system = System::start_embedded(None).await.unwrap();
    let (record, table) = (record("gone"), &system.table);
    let now = Timestamp::now();
    assert!(table.leave_tombstone(&record, 7, 3, now).await.unwrap());
    for (epoch, raised) in [(6, false), (7, false), (8, true), (8, false)] {
        assert_eq!(table.raise_tombstone(&record, epoch).await.unwrap(), raised, "{epoch}");
    }
    let tombstone = table.tombstone(&record).await.unwrap().unwrap();
    assert_eq!((tombstone.epoch, tombstone.sequence), (8, 0));
    assert!(!table.raise_tombstone(&self::record("never"), 9).await.unwrap());
    assert!(table.tombstone(&self::record("never")).await.unwrap().is_none());
    let alive = self::record("alive");
    assert!(table.create_head(&Head::new(alive.clone(), Duration::from_secs(60), true, now)).await.unwrap());
    assert!(!table.leave_tombstone(&alive, 9, 1, now).await.unwrap(), "it lives");
    assert!(table.tombstone(&alive).await.unwrap().is_none());

    let mark = |epoch| RestoreMark {
        restored_to: now,
        began: now,
        epoch,
        actor: "ann".into(),
        again: None,
        done: None,
    };
    assert!(table.mark_restore(&mark(1), None).await.unwrap());
    assert!(!table.mark_restore(&mark(2), None).await.unwrap(), "somebody else began");
    assert!(table.mark_restore(&mark(3), Some(&mark(1))).await.unwrap());
    assert!(!table.mark_restore(&mark(4), Some(&mark(1))).await.unwrap(), "it is another by now");
    assert_eq!(table.restore_mark().await.unwrap(), Some(mark(3)));
}
