//! Messages of the queues: batches as Lambda hands them over, of which some are no tasks.

use std::mem::ManuallyDrop;
use std::sync::{Arc, Mutex};

use aws_lambda_events::event::sqs::SqsEvent;
use lambda_runtime::LambdaEvent;
use replicante_model::name::RecordName;
use replicante_protocol::machine::Outcome;
use replicante_protocol::task::Task;
use replicante_refresh_worker::RefreshWorker;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::choices::Choices;
use crate::damage;
use crate::table::{Shelf, context, runtime, settings};

/// A worker whose table is empty: each task that it reads ends with a record that is not there.
struct Rig {
    /// Never dropped: at the end of a thread it can't be.
    runtime: ManuallyDrop<Runtime>,
    worker: RefreshWorker,
    read: Arc<Mutex<Vec<Task>>>,
}

impl Rig {
    fn new() -> Self {
        let read = Arc::<Mutex<Vec<Task>>>::default();
        let told = Arc::clone(&read);
        let worker = RefreshWorker::new(&Shelf::default().clients(), &settings());
        let worker = worker.observed(Arc::new(move |report| {
            assert_eq!(report.outcome, Outcome::Gone, "{report:?}");
            told.lock().unwrap().push(report.task.clone());
        }));
        Rig { runtime: runtime(), worker, read }
    }

    /// The tasks that were read, and the ids of the messages that failed.
    fn handle(&self, event: SqsEvent) -> (Vec<Task>, Vec<String>) {
        let response = self.runtime.block_on(self.worker.handle(LambdaEvent::new(event, context())));
        let failed = response.batch_item_failures.into_iter().map(|failure| failure.item_identifier);
        (std::mem::take(&mut self.read.lock().unwrap()), failed.collect())
    }
}

fn handle(bodies: &[Value]) -> (Vec<Task>, Vec<String>) {
    thread_local!(static RIG: Rig = Rig::new());
    let record = |(number, body): (usize, &Value)| {
        json!({
            "messageId": format!("m{number}"), "receiptHandle": "r", "body": body, "attributes": {},
            "messageAttributes": {}, "eventSource": "aws:sqs",
        })
    };
    let records: Vec<Value> = bodies.iter().enumerate().map(record).collect();
    let event = serde_json::from_value(json!({ "Records": records })).unwrap();
    let (read, failed) = RIG.with(|rig| rig.handle(event));
    assert_eq!(read.len() + failed.len(), bodies.len(), "each message is worked on or fails: {bodies:?}");
    for task in &read {
        assert_eq!(serde_json::from_str::<Task>(&serde_json::to_string(task).unwrap()).unwrap(), *task);
        assert_eq!(RecordName::parse_key(&task.record.key()).as_ref(), Ok(&task.record));
    }
    (read, failed)
}

/// Any body is a task that is worked on, or a message that fails.
pub fn check(body: &[u8]) {
    handle(&[json!(String::from_utf8_lossy(body)), Value::Null]);
}

/// Of a batch in which some messages are no tasks, all others are worked on.
pub fn batch(choices: &mut Choices<'_>) {
    let task = |choices: &mut Choices<'_>, number: usize| {
        let record = RecordName::cluster("default", format!("c{number}"));
        match choices.byte() % 2 {
            0 => Task::scheduled(record, replicante_model::Timestamp(1_767_319_445_000)),
            _ => Task::manual(record, "ann"),
        }
    };
    let (mut bodies, mut good) = (Vec::new(), Vec::new());
    for number in 0..=choices.below(6) {
        let task = task(choices, number);
        let mut body = serde_json::to_value(&task).unwrap();
        if choices.once_in(2) {
            body["id"] = json!(format!("damaged-{number}"));
            damage::document(&mut body, choices);
            let text = damage::text(&body, choices);
            bodies.push(json!(String::from_utf8_lossy(&text)));
        } else {
            bodies.push(json!(body.to_string()));
            good.push((format!("m{number}"), task));
        }
    }
    let (read, failed) = handle(&bodies);
    for (id, task) in good {
        assert!(read.contains(&task) && !failed.contains(&id), "{task:?} of {bodies:?}");
    }
}
