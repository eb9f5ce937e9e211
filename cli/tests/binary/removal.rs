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
            let (_, out, errors) = self.run(&["get", "clusters", "-o", "json"]);
            let all: Vec<Value> = serde_json::from_str(&out).unwrap_or_default();
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
    let clusters: Vec<Value> = clusters.iter().map(record).collect();
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
fn a_test_of_a_source_that_gives_no_answer_fails_with_its_reason() {
    let deployment = Deployment::start(&["a"]);
    std::fs::write(deployment.folder.path().join("clusters.json"), "<html>").unwrap();
    let objects = deployment.folder.path().join("fleet.yaml");
    let (code, _, errors) = deployment.run(&["discovery", "test", "-f", objects.to_str().unwrap()]);
    assert_eq!(code, Some(1));
    assert!(errors.contains("the source gave no complete answer: "), "{errors}");
}
