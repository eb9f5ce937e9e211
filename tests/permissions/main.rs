//! The functions go through a history in which each does all that it can do, and what each asked of the services is
//! written to a file: `permissions.jsonl` in the `tmp` folder of the target folder. `infra/permissions.py` holds the roles
//! of the template against it, in both directions.
#![expect(clippy::unwrap_used, reason = "a test that can't go on has failed")]

mod elsewhere;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use replicante_aws::{Account, Queue};
use replicante_discovery_scheduler::discovery_scheduler;
use replicante_discovery_worker::DiscoveryWorker;
use replicante_fleet::{AgentState, Change, Fleet, FleetConfig, Kind, Layout, StoreState, WorldConfig};
use replicante_local::{scheduled, sqs_event, task_event, within};
use replicante_model::absence::Confirmation;
use replicante_model::intent::Intent;
use replicante_model::maintenance::Maintenance;
use replicante_model::{Kind as RecordKind, RecordName, Timestamp};
use replicante_protocol::task::Task;
use replicante_refresh_scheduler::refresh_scheduler;
use replicante_refresh_worker::RefreshWorker;
use replicante_scheduler::Scheduler;
use replicante_tests::{Recorder, System};
use serde_json::json;

/// The clusters of the fleet, and how many nodes each has: enough for a worker to think that it is cut off.
const CLUSTERS: [&str; 3] = ["a", "b", "c"];
const NODES: usize = 4;

/// What is no longer reported is missing with the first answer, and removed with the second.
const SPEC: &str = "  removal: { grace: 0s, confirmations: 2, max_shrink: 50% }\n";

/// The four functions, each through its part of the recorder.
struct Functions {
    system: System,
    schedulers: [Scheduler; 2],
    discovery: DiscoveryWorker,
    refresh: RefreshWorker,
    recorder: Recorder,
}

impl Functions {
    async fn start() -> Self {
        let mut system = System::start_embedded(None).await.unwrap();
        let world = WorldConfig { clusters: 0, ..WorldConfig::default() };
        let config = FleetConfig { world, layout: Layout::PortEach, ..FleetConfig::default() };
        system.fleet = Fleet::start(config).await.unwrap();
        let recorder = Recorder::of("nobody");
        let settings = &system.local.settings;
        let clients = async |function| {
            let recorder = recorder.shared_by(function);
            let elsewhere = elsewhere::start(recorder.clone()).await;
            system.clients_through(Arc::new(recorder)).with_account(Account::at(&elsewhere))
        };
        Functions {
            schedulers: [
                discovery_scheduler(&clients("discovery-scheduler").await, settings),
                refresh_scheduler(&clients("refresh-scheduler").await, settings),
            ],
            discovery: DiscoveryWorker::new(&clients("discovery-worker").await, settings),
            refresh: RefreshWorker::new(&clients("refresh-worker").await, settings),
            system,
            recorder,
        }
    }

    /// Both schedules fire, and the queues hand their messages to the workers.
    async fn tick(&self) -> usize {
        for scheduler in &self.schedulers {
            scheduler.handle(scheduled("test")).await.unwrap();
        }
        let settings = &self.system.local.settings;
        let mut handled = 0;
        for (kind, url) in [
            (RecordKind::Discovery, &settings.discovery_queue),
            (RecordKind::Cluster, &settings.refresh_queue),
        ] {
            let queue = Queue::new(&self.system.local.clients, url);
            loop {
                let messages = queue.receive(0).await.unwrap();
                if messages.is_empty() {
                    break;
                }
                let event = within(sqs_event("replicante", &messages).unwrap(), Duration::from_secs(30));
                let response = match kind {
                    RecordKind::Discovery => self.discovery.handle(event).await,
                    RecordKind::Cluster => self.refresh.handle(event).await,
                };
                assert!(response.batch_item_failures.is_empty(), "{response:?}");
                let receipts: Vec<String> = messages.iter().map(|message| message.receipt.clone()).collect();
                queue.delete(&receipts).await.unwrap();
                handled += messages.len();
            }
        }
        handled
    }

    async fn discover(&self, name: &str) {
        assert_eq!(self.run(&[RecordName::discovery("default", name)]).await, 0, "{name}");
    }

    /// Refreshes all clusters that there are, in one invocation.
    async fn refresh(&self) {
        let mut records = Vec::new();
        for cluster in CLUSTERS.map(|cluster| RecordName::cluster("default", cluster)) {
            if self.system.table.head(&cluster).await.unwrap().is_some() {
                records.push(cluster);
            }
        }
        if !records.is_empty() {
            assert_eq!(self.run(&records).await, 0);
        }
    }

    /// Manual tasks of one kind. How many of them failed.
    async fn run(&self, records: &[RecordName]) -> usize {
        let task = |record: &RecordName| Task::manual(record.clone(), "test");
        let tasks: Vec<Task> = records.iter().map(task).collect();
        let event = within(task_event(&tasks).unwrap(), Duration::from_secs(60));
        let response = match records[0].kind {
            RecordKind::Discovery => self.discovery.handle(event).await,
            RecordKind::Cluster => self.refresh.handle(event).await,
        };
        response.batch_item_failures.len()
    }

    fn change(&self, change: Change) {
        self.system.fleet.apply(change).unwrap();
    }

    fn list(&self, clusters: &[&str], listed: bool) {
        for cluster in clusters {
            self.change(Change::list(*cluster, listed));
        }
    }

    /// What was told of a record, in short.
    async fn told(&self, record: RecordName) -> Vec<String> {
        self.system.check().await.unwrap().told(&record.key())
    }

    async fn object(&self, name: &str, source: &str) {
        // Agents need TLS material that lies with Systems Manager, and is none: nothing is sent to them.
        let yaml = format!(
            "apiVersion: replicante.io/v0\nkind: Discovery\nmetadata: {{ name: {name} }}\nspec:\n  interval: 5s\n  \
             source: {source}\n  agents: {{ tls: {{ client_certificate: \"ssm:/replicante/agents\" }} }}\n"
        );
        self.system.apply(&yaml).await.unwrap();
    }

    /// A chunk of a record's state is lost, by a hand in the table.
    async fn lose_a_chunk(&self, record: &RecordName) {
        let head = self.system.head(record).await.unwrap();
        let slot = head.body.unwrap().slot;
        let table = &self.system.local.settings.table;
        let key = json!({ "pk": { "S": format!("body#{}#{}", record.kind, record.path()) },
            "sk": { "S": format!("{slot:?}#s0") } });
        let answer = reqwest::Client::new()
            .post(&self.system.local.environment["AWS_ENDPOINT_URL_DYNAMODB"])
            .header("content-type", "application/x-amz-json-1.0")
            .header("x-amz-target", "DynamoDB_20120810.DeleteItem")
            .header(
                "authorization",
                "AWS4-HMAC-SHA256 Credential=local/20260101/us-east-1/dynamodb/aws4_request, \
                 SignedHeaders=host;x-amz-date, Signature=0",
            )
            .header("x-amz-date", "20260101T000000Z")
            .body(json!({ "TableName": table, "Key": key }).to_string())
            .send()
            .await
            .unwrap();
        assert!(answer.status().is_success(), "{}", answer.text().await.unwrap());
    }
}

fn cluster(id: &str) -> RecordName {
    RecordName::cluster("default", id)
}

fn fleet() -> RecordName {
    RecordName::discovery("default", "fleet")
}

#[tokio::test(flavor = "multi_thread")]
async fn what_each_function_asks_of_the_services_is_written_down() {
    let functions = Functions::start().await;
    first_sight(&functions).await;
    changes(&functions).await;
    gone_and_back(&functions).await;
    held_confirmed_and_forgotten(&functions).await;
    contested(&functions).await;
    cut_off(&functions).await;
    large(&functions).await;
    damaged(&functions).await;
    write_down(&functions);
}

/// By the schedulers: the discovery, then the clusters that it found.
async fn first_sight(functions: &Functions) {
    for cluster in CLUSTERS {
        functions.system.add_cluster(cluster, Kind::Zookeeper, NODES).unwrap();
    }
    functions.system.apply_discovery(SPEC).await.unwrap();
    let mut handled = 0;
    for _ in 0..60 {
        handled += functions.tick().await;
        if handled > CLUSTERS.len() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    for id in CLUSTERS {
        assert_eq!(functions.told(cluster(id)).await[0], "cluster.new");
    }
}

async fn changes(functions: &Functions) {
    let since = Timestamp::now();
    let window = Maintenance {
        since,
        until: since.plus(Duration::from_secs(3600)),
        reason: None,
        actor: "ann".into(),
    };
    assert!(functions.system.table.begin_maintenance(&cluster("a"), &window).await.unwrap());
    functions.change(Change::store("a", "node-1", StoreState::Down));
    functions.change(Change::AddNode { cluster: "b".into() });
    functions
        .system
        .apply(
            "apiVersion: replicante.io/v0\nkind: Cluster\nmetadata: { name: b }\nspec: { interval: 30m }\n",
        )
        .await
        .unwrap();
    functions.discover("fleet").await;
    functions.refresh().await;
    let told = functions.told(cluster("a")).await;
    for expected in ["cluster.maintenance_began", "node.down node-1"] {
        assert!(told.contains(&expected.to_owned()), "{told:?}");
    }
}

/// A cluster leaves, ends, and returns from its tombstone.
async fn gone_and_back(functions: &Functions) {
    functions.list(&["c"], false);
    for _ in 0..2 {
        functions.discover("fleet").await;
        functions.refresh().await;
    }
    assert!(functions.system.table.head(&cluster("c")).await.unwrap().is_none());
    functions.list(&["c"], true);
    functions.discover("fleet").await;
    functions.refresh().await;
    let told = functions.told(cluster("c")).await;
    let removed = told.iter().position(|told| told == "cluster.removed").unwrap();
    assert_eq!(told[removed + 1], "cluster.new");
}

async fn held_confirmed_and_forgotten(functions: &Functions) {
    let table = &functions.system.table;
    functions.list(&CLUSTERS, false);
    for _ in 0..2 {
        functions.discover("fleet").await;
    }
    let held = functions.system.discovery_state().await.unwrap().absences.held.unwrap();
    let word = Confirmation { answer: held.answer, held_since: held.since, actor: "ann".into() };
    let confirm = Intent::Confirm { cluster: None, word };
    table.put_intent(&fleet(), &confirm, Timestamp::now()).await.unwrap();
    for _ in 0..2 {
        functions.discover("fleet").await;
        functions.refresh().await;
    }
    functions.list(&CLUSTERS, true);
    let until = Timestamp::now().plus(Duration::from_secs(3600));
    let forget = Intent::Forget { cluster: "a".into(), node: None, until, actor: "ann".into() };
    table.put_intent(&fleet(), &forget, Timestamp::now()).await.unwrap();
    for _ in 0..2 {
        functions.discover("fleet").await;
        functions.refresh().await;
    }
    assert!(table.head(&cluster("a")).await.unwrap().is_none());
    table.delete_intent(&fleet(), &forget.key()).await.unwrap();
    functions.discover("fleet").await;
    functions.refresh().await;
    let told = functions.told(fleet()).await;
    for expected in ["discovery.shrink_held", "discovery.shrink_confirmed"] {
        assert!(told.iter().any(|told| told == expected), "{told:?}");
    }
}

/// Others name the same clusters, from an object of S3 and with a secret of the source's own; one of them fails.
async fn contested(functions: &Functions) {
    let url = functions.system.fleet.discovery_url();
    let header = "headers: { authorization: \"ssm:/replicante/token\" }";
    functions.object("second", &format!("{{ http: {{ url: \"{url}\", {header} }} }}")).await;
    functions.object("objects", "{ file: { path: \"s3://inventory/clusters.json\" } }").await;
    functions.object("failing", "{ http: { url: \"http://127.0.0.1:9\" } }").await;
    for name in ["second", "objects", "failing"] {
        for _ in 0..2 {
            functions.discover(name).await;
        }
    }
    let told = async |name| functions.told(RecordName::discovery("default", name)).await;
    assert_eq!(told("second").await, ["discovery.conflict"; 3]);
    assert_eq!(told("failing").await, ["discovery.failed"]);
    let cluster = cluster("of-an-object");
    assert_eq!(functions.run(std::slice::from_ref(&cluster)).await, 0);
    assert_eq!(functions.told(cluster).await[0], "cluster.new");
}

async fn cut_off(functions: &Functions) {
    for agents in [AgentState::Gone, AgentState::Up] {
        for cluster in CLUSTERS {
            let nodes: Vec<String> = functions
                .system
                .fleet
                .with_world(|world| world.cluster(cluster).unwrap().nodes.keys().cloned().collect());
            for node in nodes {
                functions.change(Change::agent(cluster, node, agents));
            }
        }
        for _ in 0..2 {
            functions.refresh().await;
            functions.discover("fleet").await;
        }
    }
    assert!(functions.told(fleet()).await.contains(&"discovery.observer_suspect".to_owned()));
}

/// A state of several chunks, which ends: all of them are deleted.
async fn large(functions: &Functions) {
    let add = |shards| Change::AddCluster { cluster: "big".into(), kind: Kind::Kafka, nodes: 2, shards };
    functions.change(add(Some(6_000)));
    functions.discover("fleet").await;
    assert_eq!(functions.run(&[cluster("big")]).await, 0);
    assert!(functions.system.head(&cluster("big")).await.unwrap().sequence > 1);
    functions.list(&["big"], false);
    for _ in 0..2 {
        functions.discover("fleet").await;
        functions.run(&[cluster("big")]).await;
    }
    assert!(functions.system.table.head(&cluster("big")).await.unwrap().is_none());
}

/// A chunk that is gone makes the worker look at the head again. Nothing comes after it: it has to be restored.
async fn damaged(functions: &Functions) {
    for record in [fleet(), cluster("b")] {
        functions.lose_a_chunk(&record).await;
        assert_eq!(functions.run(&[record]).await, 1);
    }
}

/// First what the names of the template's resources stand for, then a line for each permission.
fn write_down(functions: &Functions) {
    let settings = &functions.system.local.settings;
    let name_of = |url: &str| url.rsplit('/').next().unwrap().to_owned();
    let names = json!({ "names": {
        "Table": settings.table,
        "Stream": settings.stream,
        "DiscoveryQueue": name_of(&settings.discovery_queue),
        "RefreshQueue": name_of(&settings.refresh_queue),
    } });
    let mut lines = vec![names.to_string()];
    lines.extend(functions.recorder.taken().iter().map(replicante_tests::Permission::line));
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("permissions.jsonl");
    std::fs::write(&path, lines.join("\n") + "\n").unwrap();
    println!("{} permissions in {}", lines.len() - 1, path.display());
}
