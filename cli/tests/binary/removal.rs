//! What operators do when a source lists less than it should, or more.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::{replicante, up};

/// A running deployment of clusters whose agents nobody can connect to.
pub struct Deployment {
    pub folder: tempfile::TempDir,
    up: std::process::Child,
}

impl Drop for Deployment {
    fn drop(&mut self) {
        let _ = self.up.kill();
        let _ = self.up.wait();
    }
}

impl Deployment {
    pub fn start(clusters: &[&str]) -> Self {
        Self::at(clusters, "http://127.0.0.1:1")
    }

    /// The same, with their agents at this address.
    pub fn at(clusters: &[&str], address: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        list_at(folder.path(), clusters, address);
        let objects = folder.path().join("fleet.yaml");
        let source = folder.path().join("clusters.json");
        let text = format!(
            "apiVersion: replicante.io/v0\nkind: Discovery\nmetadata: {{ name: fleet }}\nspec:\n  interval: 1s\n  \
             refresh: {{ interval: 1s }}\n  agents: {{ connect_timeout: 100ms }}\n  \
             removal: {{ grace: 0s, confirmations: 1 }}\n  source: {{ file: {{ path: {} }} }}\n",
            source.display()
        );
        std::fs::write(&objects, text).unwrap();
        let up = up(&objects, &folder.path().join(".replicante"));
        Deployment { folder, up }
    }

    pub fn run(&self, args: &[&str]) -> (Option<i32>, String, String) {
        let output =
            replicante(args).arg("--data").arg(self.folder.path().join(".replicante")).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    }

    /// Waits until the clusters are these, each refreshed at least once.
    pub fn wait_for(&self, clusters: &[&str]) {
        let began = Instant::now();
        loop {
            let (code, out, errors) = self.run(&["get", "clusters", "-o", "json"]);
            assert_eq!(code, Some(0), "{errors}");
            let all: Vec<Value> = serde_json::from_str(&out).unwrap();
            let ids: Vec<&str> = all.iter().filter_map(|cluster| cluster["id"].as_str()).collect();
            if ids == clusters && all.iter().all(|cluster| cluster["health"].is_string()) {
                return;
            }
            assert!(began.elapsed() < Duration::from_secs(60), "{out}{errors}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

fn list(folder: &Path, clusters: &[&str]) {
    list_at(folder, clusters, "http://127.0.0.1:1");
}

fn list_at(folder: &Path, clusters: &[&str], address: &str) {
    let record = |id: &&str| json!({ "cluster_id": id, "nodes": [address] });
    write(folder, &clusters.iter().map(record).collect());
}

fn write(folder: &Path, clusters: &Value) {
    // As a whole: a reader never sees half of it.
    let new = folder.join("new.json");
    std::fs::write(&new, json!({ "cursor": null, "clusters": clusters }).to_string()).unwrap();
    std::fs::rename(new, folder.join("clusters.json")).unwrap();
}

#[test]
fn what_a_source_forgets_is_held_shown_and_goes_on_the_operators_word_alone() {
    let deployment = Deployment::start(&["a", "b", "c"]);
    deployment.wait_for(&["a", "b", "c"]);
    let objects = deployment.folder.path().join("fleet.yaml");
    let test = || deployment.run(&["discovery", "test", "-f", objects.to_str().unwrap()]);
    let (code, out, errors) = test();
    assert_eq!(code, Some(0), "{out}{errors}");
    assert!(out.contains("nothing would change"), "{out}");
    list(deployment.folder.path(), &["a", "b", "c", "d"]);
    let (code, out, _) = test();
    assert!(
        (code == Some(3) && out.contains("+ d: new, 1 node")) || out.contains("nothing"),
        "{code:?} {out}"
    );
    deployment.wait_for(&["a", "b", "c", "d"]);

    list(deployment.folder.path(), &[]);
    let (code, out, errors) = test();
    assert_eq!(code, Some(4), "{out}{errors}");
    assert!(out.contains("4 of 4 clusters are gone: held until confirmed"), "{out}");
    let began = Instant::now();
    while !deployment.run(&["get", "discoveries"]).1.contains("4 no longer reported: held until confirmed") {
        assert!(began.elapsed() < Duration::from_secs(60), "{:?}", deployment.run(&["get", "discoveries"]));
    }
    let (code, out, errors) = deployment.run(&["discovery", "confirm", "fleet"]);
    assert_eq!(code, Some(0), "{errors}");
    assert!(out.contains("4 of 4") && out.lines().skip(1).eq(["  a", "  b", "  c", "  d"]), "{out}");
    let answer = out.split("(answer ").nth(1).unwrap()[..16].to_owned();
    assert!(errors.contains(&format!("discovery confirm fleet --answer {answer}")), "{errors}");

    let confirm = |more: &[&str]| deployment.run(&[&["discovery", "confirm", "fleet"], more].concat());
    let (code, _, errors) = confirm(&["--answer", "0000000000000000", "--yes"]);
    assert_eq!(code, Some(1));
    assert!(errors.contains("nothing was done"), "{errors}");
    let (code, _, errors) = confirm(&["--answer", &answer]);
    assert_eq!(code, Some(2));
    assert!(errors.contains("add --yes"), "{errors}");
    let (code, _, errors) = confirm(&["--cluster", "a", "--answer", &answer, "--yes"]);
    assert_eq!(code, Some(1));
    assert!(errors.contains("its clusters are held: leave --cluster out"), "{errors}");
    deployment.wait_for(&["a", "b", "c", "d"]);
    let (code, out, errors) = confirm(&["--answer", &answer, "--yes", "--actor", "ann"]);
    assert_eq!(code, Some(0), "{errors}");
    assert!(out.contains("4 are confirmed to be gone, as ann"), "{out}");
    deployment.wait_for(&[]);
    let (_, out, _) = deployment.run(&["events", "--since", "1h", "--type", "cluster.removed"]);
    assert_eq!(out.lines().filter(|line| line.contains("removed by ann")).count(), 4, "{out}");
    list(deployment.folder.path(), &["a", "b", "c", "d"]);
    deployment.wait_for(&["a", "b", "c", "d"]);
}

#[test]
fn what_an_operator_forgets_goes_though_it_is_listed_and_comes_back_when_it_is_taken_back() {
    let deployment = Deployment::start(&["a", "b"]);
    deployment.wait_for(&["a", "b"]);
    let (code, _, errors) = deployment.run(&["forget", "nobody", "--yes"]);
    assert_eq!(code, Some(1));
    assert!(errors.contains("there is no cluster `nobody`"), "{errors}");
    let (code, _, errors) = deployment.run(&["forget", "a", "n7", "--yes"]);
    assert_eq!(code, Some(1));
    assert!(errors.contains("has no node `n7`"), "{errors}");
    assert_eq!(deployment.run(&["forget", "a"]).0, Some(2), "there is nobody to ask");
    assert_eq!(deployment.run(&["forget", "a", "--until", "2020-01-01T00:00:00Z", "--yes"]).0, Some(2));
    assert_eq!(deployment.run(&["unforget", "a"]).0, Some(1), "it is not forgotten");
    let (code, out, errors) = deployment.run(&["forget", "a", "--yes", "--actor", "ann"]);
    assert_eq!(code, Some(0), "{errors}");
    assert!(out.contains("cluster/default/a is forgotten until "), "{out}");
    deployment.wait_for(&["b"]);
    let (_, out, _) = deployment.run(&["events", "--since", "1h", "--type", "cluster.removed"]);
    assert!(out.contains("removed by ann"), "{out}");
    assert_eq!(deployment.run(&["unforget", "a"]).0, Some(0));
    deployment.wait_for(&["a", "b"]);
}

#[test]
fn a_test_of_a_source_that_gives_no_answer_says_what_was_asked_why_and_the_way_out() {
    let deployment = Deployment::start(&["a"]);
    std::fs::write(deployment.folder.path().join("clusters.json"), "<html>").unwrap();
    let objects = deployment.folder.path().join("fleet.yaml");
    let (code, _, errors) = deployment.run(&["discovery", "test", "-f", objects.to_str().unwrap()]);
    assert_eq!(code, Some(1));
    for part in ["the source gave no complete answer: ", "clusters.json: malformed JSON: ", "; expected {"] {
        assert!(errors.contains(part), "{errors}");
    }
}

#[test]
fn a_task_that_is_waited_for_says_how_it_ended() {
    let deployment = Deployment::start(&["a"]);
    deployment.wait_for(&["a"]);
    let (code, out, errors) = deployment.run(&["refresh", "a", "--wait"]);
    assert_eq!((code, errors.as_str()), (Some(0), ""), "{out}");
    assert!(
        out.starts_with("cluster/default/a: done in ") && out.ends_with("unknown, 0 of 1 node up\n"),
        "{out}"
    );
    let (code, out, errors) = deployment.run(&["discover", "fleet", "--wait", "-o", "json"]);
    let told: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(
        (code, &told["outcome"], &told["head"]["clusters"]),
        (Some(0), &json!("ok"), &json!(1)),
        "{errors}"
    );

    // What a run finds is there once it is done.
    list(deployment.folder.path(), &["a", "b"]);
    let (code, out, errors) = deployment.run(&["discover", "fleet", "--wait"]);
    assert!(code == Some(0) && out.ends_with("2 clusters, 0 missing\n"), "{out}{errors}");

    std::fs::write(deployment.folder.path().join("clusters.json"), "<html>").unwrap();
    let (code, out, errors) = deployment.run(&["discover", "fleet", "--wait"]);
    assert_eq!((code, out.as_str()), (Some(1), ""));
    assert!(errors.starts_with("error: the run of discovery/default/fleet failed: "), "{errors}");
    let (code, out, _) = deployment.run(&["discover", "fleet", "--wait", "-o", "json"]);
    let told: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &told["outcome"]), (Some(1), &json!("failed")), "{out}");
    assert_eq!(deployment.run(&["refresh", "a", "--timeout", "1s"]).0, Some(2), "without --wait");
}

#[test]
fn lists_are_filtered_by_labels_of_the_source() {
    let deployment = Deployment::start(&["a", "b"]);
    deployment.wait_for(&["a", "b"]);
    let node = json!({ "node_id": "n", "agent_address": "http://127.0.0.1:1", "labels": { "rack": "r1" } });
    let clusters = json!([
        { "cluster_id": "a", "nodes": ["http://127.0.0.1:1"] }, { "cluster_id": "b", "nodes": [node] }
    ]);
    write(deployment.folder.path(), &clusters);
    let began = Instant::now();
    loop {
        let (code, out, errors) = deployment.run(&["get", "clusters", "-l", "rack=r1", "-o", "json"]);
        assert_eq!(code, Some(0), "{errors}");
        let all: Vec<Value> = serde_json::from_str(&out).unwrap();
        if all.iter().map(|cluster| cluster["id"].as_str()).eq([Some("b")]) {
            break;
        }
        assert!(began.elapsed() < Duration::from_secs(60) && all.is_empty(), "{out}{errors}");
        std::thread::sleep(Duration::from_millis(100));
    }
    let (code, out, errors) = deployment.run(&["get", "nodes", "-l", "rack=r1", "-o", "json"]);
    assert_eq!(code, Some(0), "{errors}");
    assert_eq!(out.matches("\"node\": \"n\"").count(), 1, "{out}");
    for what in ["shards", "actions"] {
        let (code, out, errors) = deployment.run(&["get", what, "-l", "rack=r1"]);
        assert!(code == Some(0) && out.is_empty() && errors.contains(what), "{out}{errors}");
    }
}

#[test]
fn what_is_exported_is_applied_again_unchanged_and_what_is_deleted_goes_on_without_its_object() {
    let deployment = Deployment::start(&["a"]);
    deployment.wait_for(&["a"]);
    let path = deployment.folder.path().join("a.yaml");
    let object =
        "apiVersion: replicante.io/v0\nkind: Cluster\nmetadata: { name: a }\nspec: { interval: 90m }\n";
    std::fs::write(&path, object).unwrap();
    let file = path.to_str().unwrap();
    let (code, out, errors) = deployment.run(&["apply", "-f", file]);
    assert_eq!((code, out.as_str()), (Some(0), "Cluster default/a created\n"), "{errors}");

    for output in ["yaml", "json"] {
        let (code, exported, errors) = deployment.run(&["export", "-o", output]);
        assert_eq!((code, errors.as_str()), (Some(0), ""));
        std::fs::write(&path, &exported).unwrap();
        let (code, out, errors) = deployment.run(&["import", "-f", file]);
        let same = "Discovery default/fleet unchanged\nCluster default/a unchanged\n";
        assert_eq!((code, out.as_str()), (Some(0), same), "{errors}{exported}");
        assert_eq!(deployment.run(&["export", "-o", output]).1, exported);
    }
    let (code, out, errors) = deployment.run(&["export", "-n", "prod"]);
    assert!(code == Some(0) && out.is_empty() && errors.contains("no object is stored"), "{out}{errors}");

    // Its discovery's word counts again.
    let interval = || {
        let (_, out, errors) = deployment.run(&["get", "clusters", "-o", "json"]);
        let all: Value = serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error}: {out}{errors}"));
        all[0]["interval_ms"].as_u64().unwrap()
    };
    assert_eq!(interval(), 90 * 60_000);
    assert_eq!(deployment.run(&["delete", "cluster", "a"]).0, Some(2), "there is nobody to ask");
    let (code, out, errors) = deployment.run(&["delete", "cluster", "a", "--yes"]);
    assert_eq!((code, out.as_str()), (Some(0), "Cluster default/a deleted\n"));
    assert!(errors.contains("is refreshed every 1s, as discovery fleet says"), "{errors}");
    assert_eq!(interval(), 1_000);
    let (code, _, errors) = deployment.run(&["delete", "cluster", "a", "--yes"]);
    assert!(
        code == Some(1) && errors.contains("there is no object Cluster default/a; to remove"),
        "{errors}"
    );
    let (code, _, errors) = deployment.run(&["delete", "discovery", "flete", "--yes"]);
    assert!(
        code == Some(1) && errors.contains("there is no object Discovery default/flete; is it fleet?"),
        "{errors}"
    );

    // Nothing of what it discovered goes, and nothing fails.
    let (code, out, errors) = deployment.run(&["delete", "discovery", "fleet", "--yes"]);
    assert_eq!((code, out.as_str()), (Some(0), "Discovery default/fleet deleted\n"), "{errors}");
    assert!(errors.contains("the 1 cluster that it discovered stays"), "{errors}");
    list(deployment.folder.path(), &["a", "b"]);
    let (code, _, errors) = deployment.run(&["discover", "fleet"]);
    assert!(code == Some(1) && errors.contains("has no object any more"), "{errors}");
    let (code, out, errors) = deployment.run(&["refresh", "a", "--wait"]);
    assert_eq!(code, Some(0), "{out}{errors}");
    let (_, out, _) = deployment.run(&["get", "discovery", "fleet"]);
    assert!(out.contains("none: its object was deleted"), "{out}");
    deployment.wait_for(&["a"]);
    // Forgetting works without it; applied again, it goes on.
    assert_eq!(deployment.run(&["forget", "a", "--yes"]).0, Some(0));
    deployment.wait_for(&[]);
    assert_eq!(deployment.run(&["import", "-f", file]).0, Some(0));
    deployment.wait_for(&["b"]);
    // Late it may be for a moment, on a machine that has much to do. No task failed.
    let dead: Value = serde_json::from_str(&deployment.run(&["dlq", "list", "-o", "json"]).1).unwrap();
    assert_eq!(dead, serde_json::json!([]));
    let (_, out, errors) = deployment.run(&["runs", "--discovery", "fleet", "--failed"]);
    assert!(out.is_empty() && errors.contains("no task of discovery/default/fleet failed"), "{out}{errors}");
}

#[test]
fn what_is_paused_says_so_works_by_hand_and_goes_on() {
    let deployment = Deployment::start(&["a", "b"]);
    deployment.wait_for(&["a", "b"]);
    let (code, _, errors) = deployment.run(&["resume", "cluster", "a"]);
    assert!(code == Some(1) && errors.contains("cluster/default/a is not paused"), "{errors}");
    let (code, _, errors) = deployment.run(&["pause", "cluster", "c"]);
    assert!(code == Some(1) && errors.contains("there is no cluster `c`"), "{errors}");
    assert_eq!(deployment.run(&["pause", "all", "--until", "2020-01-01T00:00:00Z"]).0, Some(2));
    assert_eq!(deployment.run(&["pause", "all", "--reason", " "]).0, Some(2));

    let why = ["--until", "2h", "--reason", "new racks", "--actor", "ann"];
    let (code, out, errors) = deployment.run(&[&["pause", "cluster", "a"], &why[..]].concat());
    assert!(code == Some(0) && out.starts_with("cluster/default/a is paused until "), "{out}{errors}");
    let (_, out, _) = deployment.run(&["get", "clusters"]);
    let of = |id: &str| out.lines().find(|line| line.starts_with(id)).unwrap();
    assert!(of("a").ends_with(", paused") && !of("b").contains("paused"), "{out}");
    let (_, out, _) = deployment.run(&["get", "clusters", "a", "-o", "json"]);
    let told: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(
        (&told[0]["paused"]["actor"], &told[0]["paused"]["reason"]),
        (&json!("ann"), &json!("new racks"))
    );
    let (_, out, _) = deployment.run(&["get", "cluster", "a"]);
    assert!(out.contains("paused until ") && out.contains("by ann: new racks (else every 1s)"), "{out}");
    let (code, out, errors) = deployment.run(&["refresh", "a", "--wait"]);
    assert_eq!(code, Some(0), "{out}{errors}");

    assert_eq!(deployment.run(&["pause", "all"]).0, Some(0));
    let (_, out, _) = deployment.run(&["get", "discoveries"]);
    assert!(out.contains(", paused"), "{out}");
    let (_, out, _) = deployment.run(&["status"]);
    assert!(out.contains("everything since ") && out.contains("  a until "), "{out}");
    let (code, out, errors) = deployment.run(&["resume", "all"]);
    assert_eq!((code, out.as_str()), (Some(0), "everything goes on, each record in its next slot\n"));
    assert!(errors.contains("1 record is still paused by name"), "{errors}");
    assert_eq!(deployment.run(&["resume", "cluster", "a"]).0, Some(0));
    // Its own schedule takes it up again.
    let at = || {
        let (_, out, _) = deployment.run(&["get", "clusters", "a", "-o", "json"]);
        let told: Value = serde_json::from_str(&out).unwrap();
        told[0]["at"].as_str().unwrap().to_owned()
    };
    let (before, began) = (at(), Instant::now());
    while at() == before {
        assert!(began.elapsed() < Duration::from_secs(60), "it does not go on");
    }
}

#[test]
fn a_maintenance_window_is_shown_and_told_until_it_ends() {
    let deployment = Deployment::start(&["a", "b"]);
    deployment.wait_for(&["a", "b"]);
    let maintenance = |args: &[&str]| deployment.run(&[&["maintenance"], args].concat());
    let (code, _, errors) = maintenance(&["end", "a"]);
    assert!(code == Some(1) && errors.contains("cluster/default/a is not in maintenance"), "{errors}");
    let (code, _, errors) = maintenance(&["begin", "c", "--until", "2h"]);
    assert!(code == Some(1) && errors.contains("there is no cluster `c`"), "{errors}");
    assert_eq!(maintenance(&["begin", "a"]).0, Some(2), "without an end");
    assert_eq!(maintenance(&["begin", "a", "--until", "2020-01-01T00:00:00Z"]).0, Some(2));

    let told = |kind: &str| {
        let began = Instant::now();
        loop {
            let (_, out, errors) = deployment.run(&["events", "--cluster", "a", "--type", kind]);
            if !out.is_empty() {
                return out;
            }
            assert!(began.elapsed() < Duration::from_secs(60), "{kind}: {errors}");
        }
    };
    let (code, out, errors) =
        maintenance(&["begin", "a", "--until", "2h", "--reason", "new racks", "--actor", "ann"]);
    assert!(
        code == Some(0) && out.starts_with("cluster/default/a is in maintenance until "),
        "{out}{errors}"
    );
    let out = told("cluster.maintenance_began");
    assert!(out.contains(" by ann: new racks [maintenance]"), "{out}");
    let (_, out, _) = deployment.run(&["get", "clusters"]);
    let of = |id: &str| out.lines().find(|line| line.starts_with(id)).unwrap();
    assert!(of("a").ends_with(", maintenance") && !of("b").contains("maintenance"), "{out}");
    let (_, out, _) = deployment.run(&["get", "cluster", "a"]);
    assert!(out.contains("in maintenance until ") && out.contains(" by ann: new racks"), "{out}");
    let (code, out, errors) = maintenance(&["end", "a", "--actor", "bob"]);
    assert_eq!(
        (code, out.as_str()),
        (Some(0), "cluster/default/a is no longer in maintenance\n"),
        "{errors}"
    );
    let out = told("cluster.maintenance_ended");
    assert!(out.contains("no longer in maintenance") && !out.contains("[maintenance]"), "{out}");
    let (_, out, _) = deployment.run(&["get", "cluster", "a"]);
    let (page, events) = out.split_once("\nWHEN ").unwrap();
    assert!(!page.contains("maintenance") && events.contains("maintenance_ended"), "{out}");
}

#[test]
fn what_is_stored_although_the_queue_refuses_its_task_is_said_to_be() {
    let deployment = Deployment::start(&["a"]);
    deployment.wait_for(&["a"]);
    // The same deployment, but for queues that do not exist.
    let environment = deployment.folder.path().join(".replicante/environment.json");
    let mut variables: Value = serde_json::from_slice(&std::fs::read(environment).unwrap()).unwrap();
    for queue in ["REPLICANTE_DISCOVERY_QUEUE_URL", "REPLICANTE_REFRESH_QUEUE_URL"] {
        variables[queue] = format!("{}-gone", variables[queue].as_str().unwrap()).into();
    }
    let without = deployment.folder.path().join("without");
    std::fs::create_dir(&without).unwrap();
    std::fs::write(without.join("environment.json"), variables.to_string()).unwrap();
    // The window can be ended only if it is stored.
    for args in [
        &["maintenance", "begin", "a", "--until", "2h"][..],
        &["maintenance", "end", "a"],
        &["forget", "a", "--yes"],
    ] {
        let output = replicante(args).arg("--data").arg(&without).output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{args:?}: {errors}");
        assert!(errors.starts_with("error: it is stored, and the next task of "), "{args:?}: {errors}");
        assert!(
            errors.contains(" finds it; asking for one now: ") && errors.lines().count() == 1,
            "{args:?}: {errors}"
        );
    }
}
