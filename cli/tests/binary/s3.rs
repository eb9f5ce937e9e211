//! An object of S3 as a source: `up` reads it with the AWS SDK, as its environment says, and refreshes what it names.

use std::time::{Duration, Instant};

use replicante_fleet::{Fleet, FleetConfig, WorldConfig};

use crate::{drain, replicante, wait_for};

#[tokio::test(flavor = "multi_thread")]
async fn the_clusters_of_an_object_of_s3_are_discovered_and_refreshed() {
    let folder = tempfile::tempdir().unwrap();
    let (objects, data) = (folder.path().join("s3.yaml"), folder.path().join("data"));
    let yaml = "apiVersion: replicante.io/v0\nkind: Discovery\nmetadata: { name: from-s3 }\nspec:\n  interval: 1s\n  \
                refresh: { interval: 1s }\n  source: { file: { path: \"s3://inventory/clusters.json\" } }\n";
    std::fs::write(&objects, yaml).unwrap();
    let world = WorldConfig { clusters: 2, ..WorldConfig::default() };
    let fleet = Fleet::start(FleetConfig { world, ..FleetConfig::default() }).await.unwrap();
    let mut child = replicante(&["up", "-f"])
        .arg(&objects)
        .arg("--data")
        .arg(&data)
        // The fleet serves its list as that object. An endpoint that is an address has no host a bucket.
        .env("AWS_ENDPOINT_URL_S3", fleet.base_url())
        .env("AWS_REGION", "us-east-1")
        .env("AWS_ACCESS_KEY_ID", "test")
        .env("AWS_SECRET_ACCESS_KEY", "test")
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .spawn()
        .unwrap();
    let lines = wait_for("AWS_ENDPOINT_URL_DYNAMODB", &mut child);
    drain(lines, child.stderr.take().unwrap());
    let started = Instant::now();
    let shown = loop {
        let mut get = replicante(&["get", "clusters", "--data"]);
        let output = get.arg(&data).output().unwrap();
        let shown = String::from_utf8(output.stdout).unwrap();
        if shown.matches("healthy").count() == 2 || started.elapsed() > Duration::from_secs(60) {
            break shown;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(shown.matches("healthy").count(), 2, "{shown}");
}
