//! `doctor`: what is wrong with a deployment, and why a node is down.

use std::io::{Read, Write};
use std::net::TcpListener;

use serde_json::Value;

use crate::history::Rig;
use crate::removal::Deployment;

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[test]
fn a_deployment_is_checked_and_what_is_wrong_is_named() {
    let rig = Rig::start();
    let (code, out, errors) = rig.run(&["doctor"]);
    assert_eq!((code, errors.as_str()), (Some(3), ""), "{out}");
    // The embedded services are as the template makes AWS's, but that nothing expires.
    let not_well: Vec<&str> = out.lines().filter(|line| !line.starts_with("ok ")).collect();
    assert!(matches!(not_well.as_slice(), [ttl] if ttl.starts_with("warn  time to live")), "{out}");
    for what in ["table", "clock", "refresh queue", "discovery queue", "stream", "read stream", "settings"] {
        assert!(out.contains(&format!("ok    {what} ")), "{what}: {out}");
    }
    let with = |name: &str, value: &str| {
        let mut command = rig.command(&["doctor", "-o", "json"]);
        let output = command.env(name, value).output().unwrap();
        let told = json(&String::from_utf8_lossy(&output.stdout));
        let bad =
            told["checks"].as_array().unwrap().iter().filter(|check| check["verdict"] == "bad").cloned();
        (output.status.code(), bad.collect::<Vec<Value>>())
    };
    let (code, bad) = with("REPLICANTE_TABLE", "another");
    assert_eq!(code, Some(4));
    assert!(bad.iter().any(|check| check["next"].as_str().unwrap().contains("none of this name")), "{bad:?}");
    let (code, bad) = with("REPLICANTE_LEASE", "30s");
    assert_eq!(code, Some(4), "as long as the visibility timeout");
    assert!(bad.iter().any(|check| check["what"] == "refresh queue's time"), "{bad:?}");
    assert!(bad.iter().any(|check| check["what"] == "settings"), "{bad:?}");
    let (code, bad) = with("REPLICANTE_STREAM", "another");
    assert!(code == Some(4) && bad.iter().any(|check| check["what"] == "stream"), "{bad:?}");
}

#[test]
fn a_node_that_is_down_is_asked_from_here_and_told_why() {
    let deployment = Deployment::start(&["a"]);
    deployment.wait_for(&["a"]);
    let (code, out, errors) = deployment.run(&["doctor", "cluster", "a"]);
    assert_eq!(code, Some(4), "{out}{errors}");
    assert!(
        out.starts_with("bad  ") && out.contains("the agent does not answer: connection refused"),
        "{out}"
    );
    assert!(out.contains("the workers see it agent down (connection refused)"), "{out}");
    let (code, out, _) = deployment.run(&["doctor", "cluster", "a", "-o", "json"]);
    let told = json(&out);
    assert_eq!((code, told["verdict"].as_str()), (Some(4), Some("bad")));
    assert_eq!(told["nodes"][0]["stored"]["status"], "agent_down");
    assert!(told["nodes"][0]["took_ms"].is_u64(), "{out}");
    let (code, _, errors) = deployment.run(&["doctor", "cluster", "b"]);
    assert!(code == Some(1) && errors.contains("there is no cluster `b`"), "{errors}");
    let (code, _, errors) = deployment.run(&["doctor", "cluster", "a", "--node", "x"]);
    assert!(code == Some(1) && errors.contains("has no node `x`"), "{errors}");
    let (code, out, _) = deployment.run(&["doctor"]);
    assert_eq!(code, Some(0), "{out}");
}

#[test]
fn what_answers_and_is_no_agent_is_told_as_the_worker_sees_it() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for mut connection in listener.incoming().map_while(Result::ok) {
            let mut asked = [0_u8; 4096];
            let _ = connection.read(&mut asked);
            let _ = connection.write_all(
                b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 4\r\nconnection: close\r\n\r\nbusy",
            );
        }
    });
    let deployment = Deployment::at(&["a"], &address);
    deployment.wait_for(&["a"]);
    let (code, out, errors) = deployment.run(&["doctor", "cluster", "a"]);
    assert_eq!(code, Some(4), "{out}{errors}");
    assert!(out.contains("HTTP 503"), "{out}");
}
