//! What operators look at and do at night: `status` and `dlq`.

use std::time::Duration;

use replicante_aws::{Queue, Table};
use replicante_model::{RecordName, Timestamp};
use replicante_protocol::head::Head;
use replicante_protocol::task::Task;
use serde_json::Value;

use crate::history::Rig;

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[test]
fn dead_letters_are_critical_until_they_are_put_back_or_deleted() {
    let rig = Rig::start();
    let (code, out, errors) = rig.run(&["status"]);
    assert!(code == Some(0) && out.starts_with("replicante  all is well"), "{out}{errors}");
    let (code, _, errors) = rig.run(&["dlq", "list"]);
    assert!(code == Some(0) && errors.contains("no dead letters"), "{errors}");

    let queue = Queue::new(&rig.local.clients, &rig.local.settings.refresh_queue);
    let dead =
        rig.runtime.block_on(queue.dead_letters()).unwrap().expect("the queue has a dead-letter queue");
    let tasks: Vec<(Task, u64)> = (0..25)
        .map(|number| {
            (Task::scheduled(RecordName::cluster("default", format!("c-{number}")), Timestamp(1)), 0)
        })
        .collect();
    for some in tasks.chunks(10) {
        let sent = rig.runtime.block_on(dead.send(some));
        assert!(sent.accepted.iter().all(|accepted| *accepted), "{:?}", sent.refused);
    }
    let (code, out, _) = rig.run(&["status"]);
    assert!(code == Some(4) && out.contains("25 dead letters of refresh tasks"), "{code:?} {out}");
    let (code, out, _) = rig.run(&["status", "-o", "json"]);
    assert_eq!((code, json(&out)["refresh"]["dead_letters"].as_u64()), (Some(4), Some(25)));

    // Looked at twice: whoever looks hides nothing from the next.
    for _ in 0..2 {
        let (code, out, errors) = rig.run(&["dlq", "list", "-o", "json"]);
        assert_eq!((code, json(&out).as_array().map(Vec::len)), (Some(0), Some(25)), "{errors}");
    }
    let (_, out, _) = rig.run(&["dlq", "list"]);
    assert!(out.starts_with("ID ") && out.contains("cluster/default/c-24"), "{out}");

    let (_, out, _) = rig.run(&["dlq", "list", "-o", "json"]);
    let id = json(&out)[0]["id"].as_str().unwrap().to_owned();
    let (code, out, errors) = rig.run(&["dlq", "show", &id[..12]]);
    assert!(code == Some(0) && out.starts_with(&id) && out.contains("its record is gone"), "{out}{errors}");
    let (code, out, _) = rig.run(&["dlq", "show", &id, "-o", "json"]);
    let body = json(json(&out)["body"].as_str().unwrap());
    assert_eq!((code, body["kind"].as_str()), (Some(0), Some("cluster")), "the whole message: {out}");
    let (code, _, errors) = rig.run(&["dlq", "show", "nobody"]);
    assert!(code == Some(1) && errors.contains("no dead letter has the id nobody"), "{errors}");
    let (code, _, errors) = rig.run(&["dlq", "show", ""]);
    assert!(code == Some(1) && errors.contains("and 20 more") && errors.lines().count() == 1, "{errors}");
    // Whoever looks hides nothing from the next.
    let (_, out, _) = rig.run(&["dlq", "list", "-o", "json"]);
    assert_eq!(json(&out).as_array().map(Vec::len), Some(25));
    let (code, out, errors) = rig.run(&["dlq", "redrive", "--id", &id[..12]]);
    assert_eq!((code, out.as_str()), (Some(0), "1 task put back\n"), "{errors}");
    let depth = |queue: &Queue| rig.runtime.block_on(queue.depth()).unwrap();
    assert_eq!((depth(&dead).waiting, depth(&queue).waiting), (24, 1));
    let (code, _, errors) = rig.run(&["dlq", "redrive", "--id", "nobody"]);
    assert!(code == Some(1) && errors.contains("no dead letter has the id nobody"), "{errors}");

    let (code, out, errors) = rig.run(&["dlq", "redrive", "--queue", "refresh"]);
    assert_eq!((code, out.as_str()), (Some(0), "24 tasks put back\n"), "{errors}");
    assert_eq!((depth(&dead).waiting, depth(&queue).waiting), (0, 25));

    let body = tasks[0].0.clone();
    rig.runtime.block_on(dead.send(&[(body, 0)]));
    let (code, _, errors) = rig.run(&["dlq", "purge"]);
    assert!(
        code == Some(2) && errors.contains("1 dead letter will be deleted") && errors.contains("--yes"),
        "{errors}"
    );
    assert_eq!(depth(&dead).waiting, 1, "nothing is deleted unless somebody says so");
    let (code, out, _) = rig.run(&["dlq", "purge", "--yes"]);
    assert_eq!((code, out.as_str()), (Some(0), "1 dead letter deleted\n"));
    assert_eq!(depth(&dead).waiting, 0);
    assert_eq!(rig.run(&["status"]).0, Some(0));
}

#[test]
fn a_task_that_nobody_takes_up_in_time_fails() {
    let rig = Rig::start();
    let table = Table::new(&rig.local.clients, &rig.local.settings.table);
    let record = RecordName::cluster("default", "orders");
    let head = Head::new(record.clone(), Duration::from_secs(60), true, Timestamp::now());
    assert!(rig.runtime.block_on(table.create_head(&head)).unwrap());
    let (code, out, errors) = rig.run(&["refresh", "orders", "--wait", "--timeout", "200ms"]);
    assert_eq!((code, out.as_str()), (Some(1), ""), "{errors}");
    assert!(
        errors.starts_with("error: nobody took up the refresh of cluster/default/orders within 200ms"),
        "{errors}"
    );
    let queue = Queue::new(&rig.local.clients, &rig.local.settings.refresh_queue);
    assert_eq!(rig.runtime.block_on(queue.depth()).unwrap().waiting, 1);

    // Its task would be dropped while somebody holds the record: none is sent.
    let task = Task::manual(record, "ann");
    let claimed = rig.runtime.block_on(table.claim(&task, "h", Timestamp::now(), Duration::from_secs(60)));
    assert!(claimed.is_ok());
    let (code, out, errors) = rig.run(&["refresh", "orders", "--wait", "--timeout", "200ms", "-o", "json"]);
    assert_eq!((code, &json(&out)["outcome"]), (Some(1), &Value::from("timeout")), "{errors}");
    assert_eq!(rig.runtime.block_on(queue.depth()).unwrap().waiting, 1);
}
