//! `replicante apply`: one error, and nothing of any file is stored.

// Helpers of tests fail as tests do.
#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use replicante_aws::{ObjectKind, ObjectWrite, Table};
use replicante_local::{Local, LocalConfig};
use replicante_model::Timestamp;
use replicante_objects::parse;

fn apply(data: &Path, files: &[&Path]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_replicante"));
    command.arg("apply").arg("--data").arg(data);
    for file in files {
        command.arg("-f").arg(file);
    }
    command.output().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn one_error_and_nothing_of_any_file_is_stored() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let local =
        Local::start(&LocalConfig { data: Some(data.clone()), ..LocalConfig::default() }).await.unwrap();
    let table = Table::new(&local.clients, &local.settings.table);
    let object = |name: &str, spec: &str| {
        format!(
            "apiVersion: replicante.io/v0\nkind: Cluster\nmetadata: {{ name: {name} }}\nspec: {spec}\n---\n"
        )
    };
    let write = |name: &str, text: String| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let good = write("good.yaml", object("good", "{ interval: 30m }"));
    let bad = write("bad.yaml", object("fine", "{}") + &object("bad", "{ intervall: 30m }"));
    let refused = apply(&data, &[&good, &bad]);
    assert!(!refused.status.success());
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(said.contains("bad.yaml:9") && said.contains("intervall"), "{said}");
    let stored =
        async |name: &str| table.object(ObjectKind::Cluster, "default", name).await.unwrap().is_some();
    for name in ["good", "fine", "bad"] {
        assert!(!stored(name).await, "{name}");
    }
    assert!(apply(&data, &[&good]).status.success());
    assert!(stored("good").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_is_deleted_as_it_was_seen_or_not_at_all() {
    let local = Local::start(&LocalConfig::default()).await.unwrap();
    let table = Table::new(&local.clients, &local.settings.table);
    let apply = async |interval: &str| {
        let text = format!(
            "apiVersion: replicante.io/v0\nkind: Cluster\nmetadata: {{ name: orders }}\nspec: {{ interval: {interval} }}\n"
        );
        let objects = parse("x", &text, Duration::from_secs(60), &[]).unwrap();
        let writes: Vec<ObjectWrite> =
            objects.iter().map(|object| ObjectWrite::from(&object.value)).collect();
        table.apply(&writes, "ann", Timestamp::now()).await.unwrap();
        table.object(ObjectKind::Cluster, "default", "orders").await.unwrap().unwrap().version
    };
    let delete = async |version| {
        table
            .delete_object(ObjectKind::Cluster, "default", "orders", version, "ann", Timestamp::now())
            .await
            .unwrap()
    };
    let seen = apply("30m").await;
    let now = apply("40m").await;
    assert!(!delete(seen).await, "somebody applied another");
    assert!(table.object(ObjectKind::Cluster, "default", "orders").await.unwrap().is_some());
    assert!(delete(now).await);
    assert!(!delete(now).await, "there is none any more");
}
