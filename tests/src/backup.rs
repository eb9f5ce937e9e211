//! A backup of the table: its items at a moment, and a new table that they are put into, as a restore on AWS leaves it.

use replicante_aws::Table;
use serde_json::{Value, json};

use crate::system::{Failure, System};

/// What one call puts.
const AT_ONCE: usize = 25;

/// The items of a table at a moment.
#[derive(Clone, Debug)]
pub struct Backup {
    items: Vec<Value>,
}

impl Backup {
    /// Copies all items.
    ///
    /// # Errors
    /// When the table can't be read.
    pub async fn of(system: &System) -> Result<Self, Failure> {
        let mut items = Vec::new();
        let mut start = Value::Null;
        loop {
            let mut request = json!({ "TableName": system.table.name(), "ConsistentRead": true });
            if !start.is_null() {
                request["ExclusiveStartKey"] = start;
            }
            let page = call(system, "DynamoDB_20120810.Scan", &request).await?;
            items.extend(page["Items"].as_array().cloned().unwrap_or_default());
            start = page["LastEvaluatedKey"].clone();
            if start.is_null() {
                return Ok(Backup { items });
            }
        }
    }

    /// Puts the items into a new table of this name, and has the system work on that from now on. Its stream and its queues
    /// stay what they are.
    ///
    /// # Errors
    /// When the table can't be created or written.
    pub async fn restore(&self, system: &mut System, name: &str) -> Result<(), Failure> {
        system.local.clients.create_table(name).await?;
        for some in self.items.chunks(AT_ONCE) {
            let puts: Vec<Value> =
                some.iter().map(|item| json!({ "PutRequest": { "Item": item } })).collect();
            let left =
                call(system, "DynamoDB_20120810.BatchWriteItem", &json!({ "RequestItems": { name: puts } }))
                    .await?;
            if left["UnprocessedItems"].as_object().is_some_and(|left| !left.is_empty()) {
                return Err(format!("{name} did not take all items").into());
            }
        }
        system.local.settings.table = name.to_owned();
        system.local.environment.insert("REPLICANTE_TABLE".into(), name.to_owned());
        system.table = Table::new(&system.local.clients, name);
        system.restart_workers();
        Ok(())
    }
}

/// One call, as it is on the wire: `DynamoDB_20120810.Scan`, `AmazonSQS.ReceiveMessage`. For what the adapter has no use
/// for.
///
/// # Errors
/// When the service refuses it.
pub async fn call(system: &System, target: &str, request: &Value) -> Result<Value, Failure> {
    let (variable, service) = match target.split_once('_') {
        Some(("DynamoDB", _)) => ("AWS_ENDPOINT_URL_DYNAMODB", "dynamodb"),
        _ => ("AWS_ENDPOINT_URL_SQS", "sqs"),
    };
    let endpoint = system.local.environment.get(variable).ok_or("no endpoint")?;
    let authorization = format!(
        "AWS4-HMAC-SHA256 Credential=local/20260102/us-east-1/{service}/aws4_request, SignedHeaders=host, Signature=0"
    );
    let answer = reqwest::Client::new()
        .post(endpoint)
        .header("x-amz-target", target)
        .header("content-type", "application/x-amz-json-1.0")
        .header("authorization", authorization)
        .header("x-amz-date", "20260102T030405Z")
        .body(request.to_string())
        .send()
        .await?;
    let status = answer.status();
    let text = answer.text().await?;
    if !status.is_success() {
        return Err(format!("{target}: {status} {text}").into());
    }
    Ok(if text.is_empty() { Value::Null } else { serde_json::from_str(&text)? })
}
