//! A CloudFormation, CloudWatch Logs, or Lambda, that says what the test says, on a port of its own. Shared with the tests
//! of the command line.
#![allow(dead_code, missing_docs, clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::net::TcpListener;

/// What is answered.
#[derive(Clone, Debug, Default)]
pub struct Said {
    pub status: u16,
    /// The code of an error, where the service tells it in a header.
    pub code: Option<String>,
    pub body: String,
}

impl Said {
    /// A stack with these outputs.
    pub fn outputs(outputs: &[(&str, &str)]) -> Said {
        let member = |(key, value): &(&str, &str)| {
            format!("<member><OutputKey>{key}</OutputKey><OutputValue>{value}</OutputValue></member>")
        };
        let outputs: String = outputs.iter().map(member).collect();
        let body = format!(
            "<DescribeStacksResponse xmlns=\"http://cloudformation.amazonaws.com/doc/2010-05-15/\">\
             <DescribeStacksResult><Stacks><member><StackName>replicante</StackName>\
             <StackStatus>CREATE_COMPLETE</StackStatus><Outputs>{outputs}</Outputs></member></Stacks>\
             </DescribeStacksResult><ResponseMetadata><RequestId>1</RequestId></ResponseMetadata>\
             </DescribeStacksResponse>"
        );
        Said { status: 200, body, ..Said::default() }
    }

    /// A page of lines of a log, and the token of the next.
    pub fn lines(lines: &[(i64, &str)], next: Option<&str>) -> Said {
        let event = |(at, line): &(i64, &str)| serde_json::json!({ "timestamp": at, "message": line, "logStreamName": "x", "eventId": "1" });
        let events: Vec<_> = lines.iter().map(event).collect();
        let mut body = serde_json::json!({ "events": events, "searchedLogStreams": [] });
        if let Some(next) = next {
            body["nextToken"] = next.into();
        }
        Said { status: 200, body: body.to_string(), ..Said::default() }
    }

    /// A function of this timeout, with these variables.
    pub fn function(timeout: u64, variables: &[(&str, &str)]) -> Said {
        let variables: serde_json::Map<_, _> =
            variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).into())).collect();
        let body = serde_json::json!({
            "FunctionName": "x", "Runtime": "provided.al2023", "Timeout": timeout, "MemorySize": 512, "State": "Active",
            "LastUpdateStatus": "Successful", "Environment": { "Variables": variables }, "Layers": null,
        });
        Said { status: 200, body: body.to_string(), ..Said::default() }
    }

    /// An error of Lambda's: its code stands in a header.
    pub fn header_error(status: u16, code: &str, message: &str) -> Said {
        let body = serde_json::json!({ "Type": "User", "Message": message }).to_string();
        Said { status, body, code: Some(code.into()) }
    }

    /// An error of a service that speaks JSON.
    pub fn json_error(status: u16, code: &str, message: &str) -> Said {
        let body = serde_json::json!({ "__type": code, "message": message }).to_string();
        Said { status, body, ..Said::default() }
    }

    /// An error of CloudFormation's.
    pub fn error(status: u16, code: &str, message: &str) -> Said {
        let body = format!(
            "<ErrorResponse xmlns=\"http://cloudformation.amazonaws.com/doc/2010-05-15/\"><Error><Type>Sender</Type>\
             <Code>{code}</Code><Message>{message}</Message></Error><RequestId>1</RequestId></ErrorResponse>"
        );
        Said { status, body, ..Said::default() }
    }
}

pub struct Fake {
    pub url: String,
    said: Arc<Mutex<Vec<Said>>>,
    /// What is answered at paths that hold a word, before what comes next.
    said_at: Arc<Mutex<BTreeMap<String, Said>>>,
    /// Who signed, and the body; without one, the path.
    asked: Arc<Mutex<Vec<(String, String)>>>,
}

impl Fake {
    pub async fn start() -> Fake {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let fake = Fake { url, said: Arc::default(), said_at: Arc::default(), asked: Arc::default() };
        let shared = (Arc::clone(&fake.said), Arc::clone(&fake.said_at), Arc::clone(&fake.asked));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let shared = shared.clone();
                let service = service_fn(move |request| answer(request, shared.clone()));
                tokio::spawn(async move {
                    let builder = auto::Builder::new(TokioExecutor::new());
                    let _ = builder.serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        fake
    }

    /// What it answers from now on.
    pub fn say(&self, said: Said) {
        self.say_each([said]);
    }

    /// One after the other; the last one from then on.
    pub fn say_each(&self, said: impl IntoIterator<Item = Said>) {
        *self.said.lock().unwrap() = said.into_iter().collect();
    }

    /// At paths that hold the word, whenever that is asked for.
    pub fn say_at(&self, word: &str, said: Said) {
        self.said_at.lock().unwrap().insert(word.into(), said);
    }

    pub fn asked(&self) -> Vec<(String, String)> {
        self.asked.lock().unwrap().clone()
    }
}

type Shared = (Arc<Mutex<Vec<Said>>>, Arc<Mutex<BTreeMap<String, Said>>>, Arc<Mutex<Vec<(String, String)>>>);

async fn answer(
    request: Request<Incoming>,
    (said, said_at, asked): Shared,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let authorization =
        request.headers().get("authorization").map(|value| value.to_str().unwrap().to_owned());
    let path = request.uri().path().to_owned();
    let body = request.into_body().collect().await.unwrap().to_bytes();
    let body = String::from_utf8(body.to_vec()).unwrap();
    let at =
        said_at.lock().unwrap().iter().find(|(word, _)| path.contains(*word)).map(|(_, said)| said.clone());
    let body = if body.is_empty() { path } else { body };
    asked.lock().unwrap().push((authorization.unwrap_or_default(), body));
    let next = || {
        let mut said = said.lock().unwrap();
        if said.len() > 1 { said.remove(0) } else { said[0].clone() }
    };
    let Said { status, body, code } = at.unwrap_or_else(next);
    let mut answer = Response::builder().status(status);
    if let Some(code) = code {
        answer = answer.header("x-amzn-ErrorType", code);
    }
    Ok(answer.body(Full::new(body.into())).unwrap())
}
