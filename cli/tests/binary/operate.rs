//! What operators look at and do at night: `status` and `dlq`.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::time::{Duration, Instant};

use replicante_aws::{Queue, Table};
use replicante_model::{RecordName, Timestamp};
use replicante_protocol::head::Head;
use replicante_protocol::task::Task;
use serde_json::{Value, json};

use crate::history::Rig;

fn parsed(text: &str) -> Value {
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
    assert_eq!((code, parsed(&out)["refresh"]["dead_letters"].as_u64()), (Some(4), Some(25)));

    // Looked at twice: whoever looks hides nothing from the next.
    for _ in 0..2 {
        let (code, out, errors) = rig.run(&["dlq", "list", "-o", "json"]);
        assert_eq!((code, parsed(&out).as_array().map(Vec::len)), (Some(0), Some(25)), "{errors}");
    }
    let (_, out, _) = rig.run(&["dlq", "list"]);
    assert!(out.starts_with("ID ") && out.contains("cluster/default/c-24"), "{out}");

    let (_, out, _) = rig.run(&["dlq", "list", "-o", "json"]);
    let id = parsed(&out)[0]["id"].as_str().unwrap().to_owned();
    let (code, out, errors) = rig.run(&["dlq", "show", &id[..12]]);
    assert!(code == Some(0) && out.starts_with(&id) && out.contains("its record is gone"), "{out}{errors}");
    let (code, out, _) = rig.run(&["dlq", "show", &id, "-o", "json"]);
    let body = parsed(parsed(&out)["body"].as_str().unwrap());
    assert_eq!((code, body["kind"].as_str()), (Some(0), Some("cluster")), "the whole message: {out}");
    let (code, _, errors) = rig.run(&["dlq", "show", "nobody"]);
    assert!(code == Some(1) && errors.contains("no dead letter has the id nobody"), "{errors}");
    let (code, _, errors) = rig.run(&["dlq", "show", ""]);
    assert!(code == Some(1) && errors.contains("and 20 more") && errors.lines().count() == 1, "{errors}");
    // Whoever looks hides nothing from the next.
    let (_, out, _) = rig.run(&["dlq", "list", "-o", "json"]);
    assert_eq!(parsed(&out).as_array().map(Vec::len), Some(25));
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
fn dead_letters_that_somebody_looks_at_count_and_an_interrupted_look_lets_them_go() {
    let rig = Rig::start();
    let queue = Queue::new(&rig.local.clients, &rig.local.settings.refresh_queue);
    let dead =
        rig.runtime.block_on(queue.dead_letters()).unwrap().expect("the queue has a dead-letter queue");
    let task = Task::scheduled(RecordName::cluster("default", "orders"), Timestamp(1));
    assert!(rig.runtime.block_on(dead.send(&[(task, 0)])).refused.is_none());
    let depth = || rig.runtime.block_on(dead.depth()).unwrap();

    let mut list = rig.command(&["dlq", "list"]).spawn().unwrap();
    let began = Instant::now();
    while depth().in_flight == 0 {
        assert!(began.elapsed() < Duration::from_secs(60) && list.try_wait().unwrap().is_none());
        std::thread::sleep(Duration::from_millis(5));
    }
    let id = list.id().to_string();
    assert!(Command::new("kill").args(["-INT", &id]).status().unwrap().success());
    assert_eq!(list.wait().unwrap().code(), Some(130));
    assert_eq!((depth().waiting, depth().in_flight), (1, 0), "it is let go");

    // Somebody else looks at it.
    let held = rig.runtime.block_on(dead.hold(60)).unwrap();
    assert_eq!((held.len(), depth().waiting), (1, 0));
    let (code, out, _) = rig.run(&["status", "-o", "json"]);
    assert_eq!((code, parsed(&out)["refresh"]["dead_letters"].as_u64()), (Some(4), Some(1)));
    let (_, out, _) = rig.run(&["doctor"]);
    assert!(out.contains("which holds 1 dead letter"), "{out}");
    let hidden = "1 dead letter can't be seen now: somebody looks at them";
    let (code, out, errors) = rig.run(&["dlq", "list"]);
    assert!(code == Some(0) && out.is_empty() && errors.starts_with(hidden), "{errors}");
    for args in [&["dlq", "show", "x"][..], &["dlq", "redrive", "--id", "x"]] {
        let (code, _, errors) = rig.run(args);
        assert!(code == Some(1) && errors.contains(hidden) && errors.lines().count() == 1, "{errors}");
    }
    let (code, _, errors) = rig.run(&["dlq", "purge"]);
    assert!(code == Some(2) && errors.contains("1 dead letter will be deleted"), "{errors}");
    let (code, out, _) = rig.run(&["dlq", "purge", "-y"]);
    assert_eq!((code, out.as_str()), (Some(0), "1 dead letter deleted\n"));
}

#[test]
fn each_dead_letter_that_is_named_and_not_put_back_is_told() {
    let rig = Rig::start();
    let queue = Queue::new(&rig.local.clients, &rig.local.settings.refresh_queue);
    let dead =
        rig.runtime.block_on(queue.dead_letters()).unwrap().expect("the queue has a dead-letter queue");
    let task = Task::scheduled(RecordName::cluster("default", "orders"), Timestamp(1));
    rig.runtime.block_on(dead.send(&[(task, 0)]));
    let (_, out, _) = rig.run(&["dlq", "list", "-o", "json"]);
    let id = parsed(&out)[0]["id"].as_str().unwrap().to_owned();
    let (code, out, errors) = rig.run(&["dlq", "redrive", "--id", &id, "--id", "nosuch", "--id", "none"]);
    assert_eq!((code, out.as_str()), (Some(1), "1 task put back\n"));
    assert_eq!(errors, "error: no dead letter has the id none or nosuch: dlq list shows them\n");

    let port = dead.url().split(':').nth(2).and_then(|rest| rest.split('/').next()).unwrap();
    let body = json!({ "QueueUrl": dead.url(), "MessageBody": "no task" }).to_string();
    send(port, &body);
    let (_, out, _) = rig.run(&["dlq", "list", "-o", "json"]);
    let id = parsed(&out)[0]["id"].as_str().unwrap().to_owned();
    let (code, out, errors) = rig.run(&["dlq", "redrive", "--id", &id]);
    assert_eq!((code, out.as_str()), (Some(1), ""));
    let left = format!("1 dead letter left, no tasks that this release can read: {id}; see dlq show ID\n");
    assert_eq!(errors, format!("error: {left}"));
    let (code, out, errors) = rig.run(&["dlq", "redrive"]);
    assert_eq!((code, out, errors), (Some(0), "0 tasks put back\n".into(), left));
}

/// Sends a message that is no task. The embedded service looks at no signature.
fn send(port: &str, body: &str) {
    let mut connection = TcpStream::connect(format!("127.0.0.1:{port}")).unwrap();
    let head = format!(
        "POST / HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\nx-amz-target: AmazonSQS.SendMessage\r\n\
         content-type: application/x-amz-json-1.0\r\nauthorization: AWS4-HMAC-SHA256 Credential=a/20260101/us-east-1/sqs/aws4_request, \
         SignedHeaders=host, Signature=0\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    connection.write_all(head.as_bytes()).unwrap();
    connection.write_all(body.as_bytes()).unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
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
    assert_eq!((code, &parsed(&out)["outcome"]), (Some(1), &Value::from("timeout")), "{errors}");
    assert_eq!(rig.runtime.block_on(queue.depth()).unwrap().waiting, 1);
}
