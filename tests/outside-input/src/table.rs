//! A table that holds what it is told to, behind the real client: reads give it, writes change nothing.

use std::collections::BTreeMap;
use std::mem::ManuallyDrop;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use http::{Request, Response};
use lambda_runtime::Context;
use replicante_aws::{Broken, Clients, Endpoints, Transport};
use replicante_settings::Settings;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

/// Items by their keys.
pub(crate) type Items = BTreeMap<(String, String), Value>;

/// The table, and what was published to the stream. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shelf(Arc<Mutex<Content>>);

#[derive(Debug, Default)]
struct Content {
    items: Items,
    published: Vec<Vec<u8>>,
    calls: usize,
}

impl Shelf {
    /// Clients whose calls end here.
    pub fn clients(&self) -> Clients {
        let nowhere = || "http://127.0.0.1:9".to_owned();
        let endpoints = Endpoints { dynamodb: nowhere(), sqs: nowhere(), kinesis: nowhere() };
        Clients::through(&endpoints, Arc::new(self.clone()))
    }

    /// Holds these items and nothing else, and has seen no call.
    pub fn hold(&self, items: Items) {
        *self.0.lock().unwrap() = Content { items, ..Content::default() };
    }

    /// What was published, and how many calls there were.
    pub fn seen(&self) -> (Vec<Vec<u8>>, usize) {
        let content = self.0.lock().unwrap();
        (content.published.clone(), content.calls)
    }
}

impl Transport for Shelf {
    fn carry(&self, request: Request<Bytes>) -> BoxFuture<'static, Result<Response<Bytes>, Broken>> {
        let target = request.headers()["x-amz-target"].to_str().unwrap().to_owned();
        let asked: Value = serde_json::from_slice(request.body()).unwrap();
        let (status, answer) = self.0.lock().unwrap().answer(target.split_once('.').unwrap().1, &asked);
        let response =
            Response::builder().status(status).header("content-type", "application/x-amz-json-1.0");
        std::future::ready(Ok(response.body(answer.to_string().into()).unwrap())).boxed()
    }
}

impl Content {
    fn answer(&mut self, operation: &str, asked: &Value) -> (u16, Value) {
        self.calls += 1;
        let text = |value: &Value| value["S"].as_str().unwrap_or_default().to_owned();
        let item = self.items.get(&(text(&asked["Key"]["pk"]), text(&asked["Key"]["sk"])));
        match operation {
            "GetItem" => (200, item.map_or(json!({}), |item| json!({ "Item": item }))),
            "UpdateItem" => match item {
                Some(item) => (200, json!({ "Attributes": item })),
                None => {
                    let refused = "com.amazonaws.dynamodb.v20120810#ConditionalCheckFailedException";
                    (400, json!({ "__type": refused, "message": "The conditional request failed" }))
                }
            },
            "Query" => {
                let partition = text(&asked["ExpressionAttributeValues"][":pk"]);
                let items: Vec<&Value> =
                    self.items.iter().filter(|(key, _)| key.0 == partition).map(|(_, item)| item).collect();
                (200, json!({ "Items": items, "Count": items.len(), "ScannedCount": items.len() }))
            }
            "PutRecords" => {
                let mut results = Vec::new();
                for record in asked["Records"].as_array().unwrap() {
                    self.published.push(STANDARD.decode(record["Data"].as_str().unwrap()).unwrap());
                    let number = self.published.len().to_string();
                    results.push(json!({ "SequenceNumber": number, "ShardId": "shard" }));
                }
                (200, json!({ "FailedRecordCount": 0, "Records": results }))
            }
            _ => (200, json!({})),
        }
    }
}

/// Settings of a function, which may connect nowhere.
pub(crate) fn settings() -> Settings {
    let lookup = |name: &str| match name {
        "REPLICANTE_TABLE" => Some("table".to_owned()),
        "REPLICANTE_STREAM" => Some("stream".into()),
        "REPLICANTE_DISCOVERY_QUEUE_URL" | "REPLICANTE_REFRESH_QUEUE_URL" => {
            Some("http://127.0.0.1:9/queue".into())
        }
        "REPLICANTE_DENY_NETWORKS" => Some("0.0.0.0/0,::/0".into()),
        _ => None,
    };
    Settings::read(&lookup).unwrap()
}

/// A runtime of one thread, as functions have.
pub(crate) fn runtime() -> ManuallyDrop<Runtime> {
    ManuallyDrop::new(tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap())
}

/// The context of an invocation that has time.
pub(crate) fn context() -> Context {
    let end = (SystemTime::now() + Duration::from_secs(20)).duration_since(SystemTime::UNIX_EPOCH).unwrap();
    let mut context = Context::default();
    context.deadline = u64::try_from(end.as_millis()).unwrap();
    context
}

/// Text, a number, and bytes as attributes.
pub(crate) fn s(text: &str) -> Value {
    json!({ "S": text })
}

pub(crate) fn n(number: u64) -> Value {
    json!({ "N": number.to_string() })
}

pub(crate) fn b(bytes: &[u8]) -> Value {
    json!({ "B": STANDARD.encode(bytes) })
}
