//! A call as it goes over the wire, and what can be done to it there.

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use replicante_aws::Broken;
use serde_json::{Value, json};

use super::Fault;
use crate::system::Failure;

/// One attempt of one call.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    /// `UpdateItem`, `PutRecords`, ...
    pub operation: String,
    /// `DynamoDB_20120810`, `AmazonSQS`, `Kinesis_20131202`.
    pub service: String,
    /// The same for all attempts of one call.
    pub id: String,
    request: Request<Bytes>,
}

impl Call {
    pub fn read(request: Request<Bytes>) -> Self {
        let text = |name: &str| {
            let value = request.headers().get(name).and_then(|value| value.to_str().ok());
            value.unwrap_or_default().to_owned()
        };
        // `DynamoDB_20120810.UpdateItem`, `AmazonSQS.SendMessageBatch`, `Kinesis_20131202.PutRecords`.
        let target = text("x-amz-target");
        let (service, operation) = target.split_once('.').unwrap_or_default();
        let (service, operation) = (service.to_owned(), operation.to_owned());
        Call { operation, service, id: text("amz-sdk-invocation-id"), request }
    }

    /// What it is and what it is about, the same in every run: `Query cluster#07`, `UpdateItem default/zk`.
    pub fn label(&self) -> String {
        let body = self.body();
        let about = match &*self.operation {
            "Query" => body["ExpressionAttributeValues"][":pk"]["S"].as_str().map(Into::into),
            "SendMessageBatch" => body["Entries"].as_array().map(|entries| {
                let task = |entry: &Value| entry["MessageBody"].as_str().map(serde_json::from_str::<Value>);
                let tasks = entries.iter().filter_map(task).flatten();
                let ids: Vec<_> = tasks.filter_map(|task| Some(task["id"].as_str()?.to_owned())).collect();
                ids.join(" ")
            }),
            _ => body["Key"]["sk"]["S"].as_str().map(Into::into),
        };
        format!("{} {}", self.operation, about.unwrap_or_default())
    }

    /// What it asks, as JSON.
    pub fn body(&self) -> Value {
        serde_json::from_slice(self.request.body()).unwrap_or_default()
    }

    /// Carries it out under a fault. `None`: its worker dies here.
    pub async fn carry(
        &self,
        client: &reqwest::Client,
        fault: Option<Fault>,
    ) -> Option<Result<Response<Bytes>, Broken>> {
        let answer = match fault {
            None => self.forward(client).await,
            Some(Fault::Unsent | Fault::UnsentForGood) => return Some(Err(Broken::Unsent)),
            Some(Fault::Unanswered | Fault::UnansweredForGood) => {
                let answered = self.forward(client).await;
                return Some(Err(answered.map_or(Broken::Unsent, |_| Broken::Unanswered)));
            }
            Some(Fault::CrashBefore) => return None,
            Some(Fault::CrashAfter) => {
                // What comes of it, the worker does not live to see.
                let _ = self.forward(client).await;
                return None;
            }
            Some(Fault::Throttled) => self.throttled(),
            Some(Fault::InPart) => self.forward_in_part(client).await,
            Some(Fault::OutOfOrder) => self.forward_reversed(client).await,
        };
        Some(answer.map_err(|_| Broken::Unsent))
    }

    /// Sends it, and reads its answer.
    pub async fn forward(&self, client: &reqwest::Client) -> Result<Response<Bytes>, Failure> {
        let (parts, body) = self.request.clone().into_parts();
        let request = client.request(parts.method, parts.uri.to_string()).headers(parts.headers).body(body);
        let answer = request.send().await?;
        let mut response = Response::builder().status(answer.status());
        if let Some(headers) = response.headers_mut() {
            headers.clone_from(answer.headers());
            // Of the body as it was sent.
            headers.remove(http::header::TRANSFER_ENCODING);
        }
        Ok(response.body(answer.bytes().await?)?)
    }

    /// The answer of a service of which too much was asked.
    fn throttled(&self) -> Result<Response<Bytes>, Failure> {
        let queue = self.operation.contains("Message");
        let code = if queue { "RequestThrottled" } else { "ProvisionedThroughputExceededException" };
        let body = json!({ "__type": code, "message": "a fault of the tests" }).to_string();
        let response = Response::builder()
            .status(StatusCode::BAD_REQUEST)
            .header("content-type", "application/x-amz-json-1.1")
            .header("x-amzn-errortype", code)
            .body(body.into())?;
        Ok(response)
    }

    /// Where the entries of a batch stand in its request, and where what came of them in the answer.
    fn entries(&self) -> Option<(&'static str, &'static str)> {
        match &*self.operation {
            "PutRecords" => Some(("Records", "Records")),
            "SendMessageBatch" => Some(("Entries", "Successful")),
            _ => None,
        }
    }

    /// Whether it is a batch of several entries, each of which may be refused.
    pub fn is_batch(&self) -> bool {
        let body = self.body();
        self.entries().is_some_and(|(entries, _)| body[entries].as_array().is_some_and(|all| all.len() > 1))
    }

    /// Sends a batch without every second entry, from the first on, which the answer calls refused.
    async fn forward_in_part(&self, client: &reqwest::Client) -> Result<Response<Bytes>, Failure> {
        let Some((entries, results)) = self.entries() else { return self.forward(client).await };
        let mut refused = Vec::new();
        let fewer = self.with_body(|body| {
            let all = body[entries].take();
            let mut taken = Vec::new();
            for (n, entry) in all.as_array().into_iter().flatten().enumerate() {
                if n % 2 == 0 { refused.push(entry.clone()) } else { taken.push(entry.clone()) }
            }
            body[entries] = taken.into();
        })?;
        let answer = fewer.forward(client).await?;
        with_json(answer, |body| match self.operation.as_str() {
            "PutRecords" => {
                let taken = body[results].take();
                let mut taken = taken.as_array().cloned().unwrap_or_default().into_iter();
                let mut all = Vec::new();
                for _ in &refused {
                    all.push(json!({
                        "ErrorCode": "ProvisionedThroughputExceededException",
                        "ErrorMessage": "a fault of the tests",
                    }));
                    all.extend(taken.next());
                }
                body["FailedRecordCount"] = refused.len().into();
                body[results] = all.into();
            }
            _ => {
                let failed = refused.iter().map(|entry| {
                    let fault = "a fault of the tests";
                    json!({ "Id": entry["Id"], "Code": "InternalError", "Message": fault, "SenderFault": false })
                });
                body["Failed"] = failed.collect();
            }
        })
    }

    /// Sends a batch with its entries in the opposite order, and gives the answer in the order of the request.
    async fn forward_reversed(&self, client: &reqwest::Client) -> Result<Response<Bytes>, Failure> {
        let Some((entries, results)) = self.entries() else { return self.forward(client).await };
        let reversed = self.with_body(|body| reverse(&mut body[entries]))?;
        with_json(reversed.forward(client).await?, |body| reverse(&mut body[results]))
    }

    fn with_body(&self, change: impl FnOnce(&mut Value)) -> Result<Self, Failure> {
        let mut body: Value = serde_json::from_slice(self.request.body())?;
        change(&mut body);
        let mut call = self.clone();
        *call.request.body_mut() = body.to_string().into();
        call.request.headers_mut().remove(http::header::CONTENT_LENGTH);
        Ok(call)
    }
}

fn reverse(list: &mut Value) {
    if let Some(list) = list.as_array_mut() {
        list.reverse();
    }
}

fn with_json(answer: Response<Bytes>, change: impl FnOnce(&mut Value)) -> Result<Response<Bytes>, Failure> {
    if !answer.status().is_success() {
        return Ok(answer);
    }
    let (mut parts, body) = answer.into_parts();
    let mut body: Value = serde_json::from_slice(&body)?;
    change(&mut body);
    parts.headers.remove(http::header::CONTENT_LENGTH);
    // A checksum of the body as it was.
    parts.headers.remove("x-amz-crc32");
    Ok(Response::from_parts(parts, body.to_string().into()))
}

/// A client for local services: without TLS, whose authorities take long to load.
pub(crate) fn client() -> reqwest::Client {
    let plain = reqwest::Client::builder().tls_certs_only([]).no_proxy();
    plain.build().unwrap_or_default()
}
