//! The stream that the examples read: embedded, or where `REPLICANTE_TEST_AWS_ENDPOINT_URL_KINESIS` says.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use aws_sdk_kinesis::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_kinesis::types::StreamStatus;
use aws_sdk_kinesis::{Client, Config};
use replicante_local::{Local, LocalConfig};

use crate::story::Put;

pub struct Stream {
    pub name: String,
    pub endpoint: String,
    /// The last record of each shard: its sequence number.
    pub last: BTreeMap<String, String>,
    client: Client,
    _local: Option<Local>,
}

fn named() -> Option<String> {
    let variables = ["REPLICANTE_TEST_AWS_ENDPOINT_URL_KINESIS", "REPLICANTE_TEST_AWS_ENDPOINT_URL"];
    variables.iter().find_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()))
}

impl Stream {
    pub async fn create() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("replicante-test-consumer-{}-{count}", std::process::id());
        let (endpoint, local) = match named() {
            Some(endpoint) => (endpoint, None),
            None => {
                let local = Local::start(&LocalConfig::default()).await.unwrap();
                (local.environment["AWS_ENDPOINT_URL_KINESIS"].clone(), Some(local))
            }
        };
        let config = Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::from_static("us-east-1"))
            .credentials_provider(Credentials::new("local", "local", None, None, "local"))
            .endpoint_url(&endpoint)
            .build();
        let client = Client::from_conf(config);
        client.create_stream().stream_name(&name).shard_count(1).send().await.unwrap();
        let stream = Stream { name, endpoint, last: BTreeMap::new(), client, _local: local };
        stream.active().await;
        stream
    }

    async fn active(&self) {
        loop {
            let described =
                self.client.describe_stream_summary().stream_name(&self.name).send().await.unwrap();
            let summary = described.stream_description_summary().unwrap();
            if *summary.stream_status() == StreamStatus::Active {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    pub async fn put(&mut self, puts: Vec<Put>) {
        for (key, data) in puts {
            let request = self.client.put_record().stream_name(&self.name).partition_key(key);
            let answer = request.data(Blob::new(data)).send().await.unwrap();
            self.last.insert(answer.shard_id, answer.sequence_number);
        }
    }

    /// Splits the one shard that is open, in halves.
    pub async fn split(&self) {
        let open = self.open().await;
        let [shard] = &open[..] else { panic!("one is open: {open:?}") };
        let middle = (u128::MAX / 2 + 1).to_string();
        let request = self.client.split_shard().stream_name(&self.name).shard_to_split(shard);
        request.new_starting_hash_key(middle).send().await.unwrap();
        self.active().await;
    }

    /// Merges the two shards that are open.
    pub async fn merge(&self) {
        let open = self.open().await;
        let [first, second] = &open[..] else { panic!("two are open: {open:?}") };
        let request = self.client.merge_shards().stream_name(&self.name);
        request.shard_to_merge(first).adjacent_shard_to_merge(second).send().await.unwrap();
        self.active().await;
    }

    async fn open(&self) -> Vec<String> {
        let listed = self.client.list_shards().stream_name(&self.name).send().await.unwrap();
        let open = listed.shards().iter().filter(|shard| {
            shard.sequence_number_range().is_none_or(|range| range.ending_sequence_number().is_none())
        });
        open.map(|shard| shard.shard_id().to_owned()).collect()
    }

    /// Whoever shares the services with others leaves nothing there.
    pub async fn remove(self) {
        self.client.delete_stream().stream_name(&self.name).send().await.unwrap();
    }
}
