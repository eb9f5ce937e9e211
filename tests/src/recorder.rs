//! What a function asks of the services, as the permissions that its calls take.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use http::{Request, Response};
use replicante_aws::{Broken, Transport};
use serde_json::{Value, json};

use crate::faults::call::{Call, client};

/// Where the embedded services are, as ARNs say it.
const REGION_AND_ACCOUNT: &str = "us-east-1:000000000000";

/// What a role must allow for one call, or for one part of a transaction.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Permission {
    /// `discovery-worker`, ...
    pub function: &'static str,
    /// As IAM names it: `dynamodb:GetItem`. A batch is named after its entries.
    pub action: String,
    /// The ARN of what is asked.
    pub resource: String,
    /// The partition key, of the table alone.
    pub key: Option<String>,
}

impl Permission {
    /// One line of JSON.
    pub fn line(&self) -> String {
        let Permission { function, action, resource, key } = self;
        json!({ "function": function, "action": action, "resource": resource, "key": key }).to_string()
    }
}

/// Carries the calls of a function, and takes down what each needs, whatever comes of it. Clones take it down in the same
/// place, so that all functions may share one.
#[derive(Clone, Debug)]
pub struct Recorder {
    function: &'static str,
    client: reqwest::Client,
    taken: Arc<Mutex<BTreeSet<Permission>>>,
}

impl Recorder {
    /// A recorder for this function, with nothing taken down.
    pub fn of(function: &'static str) -> Self {
        Recorder { function, client: client(), taken: Arc::default() }
    }

    /// The same place, for another function.
    #[must_use]
    pub fn shared_by(&self, function: &'static str) -> Self {
        Recorder { function, ..self.clone() }
    }

    /// Takes down what was asked of a service in another way than through this transport.
    pub fn note(&self, action: &str, resource: String, key: Option<String>) {
        let permission = Permission { function: self.function, action: action.into(), resource, key };
        self.taken.lock().unwrap_or_else(PoisonError::into_inner).insert(permission);
    }

    /// What was taken down so far, of all functions that share it.
    pub fn taken(&self) -> BTreeSet<Permission> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn record(&self, call: &Call) {
        let body = call.body();
        match call.service.as_str() {
            "AmazonSQS" => {
                let action = format!("sqs:{}", call.operation.trim_end_matches("Batch"));
                let queue = text(&body["QueueUrl"]).rsplit('/').next().unwrap_or_default().to_owned();
                self.note(&action, format!("arn:aws:sqs:{REGION_AND_ACCOUNT}:{queue}"), None);
            }
            "Kinesis_20131202" => {
                let stream =
                    format!("arn:aws:kinesis:{REGION_AND_ACCOUNT}:stream/{}", text(&body["StreamName"]));
                self.note(&format!("kinesis:{}", call.operation), stream, None);
            }
            "DynamoDB_20120810" if call.operation == "TransactWriteItems" => {
                // IAM looks at each part by itself.
                for part in body["TransactItems"].as_array().into_iter().flatten() {
                    for (name, part) in part.as_object().into_iter().flatten() {
                        let action = if name == "ConditionCheck" {
                            "ConditionCheckItem".into()
                        } else {
                            format!("{name}Item")
                        };
                        self.item(&action, part);
                    }
                }
            }
            "DynamoDB_20120810" => self.item(&call.operation, &body),
            other => self.note(&format!("{other}:{}", call.operation), String::new(), None),
        }
    }

    /// A call, or a part of one, on an item or on a partition of the table.
    fn item(&self, operation: &str, body: &Value) {
        let key = match operation {
            "Query" if text(&body["KeyConditionExpression"]).starts_with("pk = :pk") => {
                &body["ExpressionAttributeValues"][":pk"]["S"]
            }
            "PutItem" => &body["Item"]["pk"]["S"],
            _ => &body["Key"]["pk"]["S"],
        };
        let table = format!("arn:aws:dynamodb:{REGION_AND_ACCOUNT}:table/{}", text(&body["TableName"]));
        self.note(&format!("dynamodb:{operation}"), table, key.as_str().map(Into::into));
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

impl Transport for Recorder {
    fn carry(&self, request: Request<Bytes>) -> BoxFuture<'static, Result<Response<Bytes>, Broken>> {
        let recorder = self.clone();
        async move {
            let call = Call::read(request);
            recorder.record(&call);
            call.forward(&recorder.client).await.map_err(|_| Broken::Unsent)
        }
        .boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(target: &str, body: &Value) -> Vec<(String, String, Option<String>)> {
        let recorder = Recorder::of("discovery-worker");
        let request = Request::builder().header("x-amz-target", target).body(body.to_string().into());
        recorder.record(&Call::read(request.unwrap()));
        let parts = |taken: Permission| (taken.action, taken.resource, taken.key);
        recorder.taken().into_iter().map(parts).collect()
    }

    #[test]
    fn a_transaction_takes_what_each_of_its_parts_takes() {
        let key = |pk: &str| json!({ "pk": { "S": pk }, "sk": { "S": "s" } });
        let body = json!({ "TransactItems": [
            { "Put": { "TableName": "t", "Item": key("cluster#01") } },
            { "ConditionCheck": { "TableName": "t", "Key": key("gone#cluster") } },
        ] });
        let table = "arn:aws:dynamodb:us-east-1:000000000000:table/t".to_owned();
        let expected = [
            ("dynamodb:ConditionCheckItem".to_owned(), table.clone(), Some("gone#cluster".to_owned())),
            ("dynamodb:PutItem".to_owned(), table, Some("cluster#01".to_owned())),
        ];
        assert_eq!(taken("DynamoDB_20120810.TransactWriteItems", &body), expected);
    }

    #[test]
    fn a_batch_takes_what_one_of_its_entries_takes_and_a_scan_has_no_key() {
        let sent =
            taken("AmazonSQS.SendMessageBatch", &json!({ "QueueUrl": "http://127.0.0.1:1/0/refresh" }));
        let queue = "arn:aws:sqs:us-east-1:000000000000:refresh".to_owned();
        assert_eq!(sent, [("sqs:SendMessage".to_owned(), queue, None)]);
        let scanned = taken("DynamoDB_20120810.Scan", &json!({ "TableName": "t" }));
        assert_eq!((scanned[0].0.as_str(), &scanned[0].2), ("dynamodb:Scan", &None));
    }
}
