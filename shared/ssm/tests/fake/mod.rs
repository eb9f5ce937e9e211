//! A Systems Manager with parameters of the test's choice, on a port of its own: AWS JSON 1.1. Shared with the
//! end-to-end tests.
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
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// What is said of a parameter.
#[derive(Clone, Debug)]
pub enum Said {
    /// Its value.
    Value(String),
    /// An error of this code and status. Its message holds what may not be shown.
    Error(u16, &'static str),
    /// Nothing, ever.
    Hang,
}

pub struct Fake {
    pub url: String,
    /// By name. `ParameterNotFound` for what is not there.
    pub said: Arc<Mutex<BTreeMap<String, Said>>>,
    asked: Arc<Mutex<Vec<Value>>>,
}

impl Fake {
    pub async fn start() -> Fake {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (said, asked) = (Arc::new(Mutex::new(BTreeMap::new())), Arc::new(Mutex::new(Vec::new())));
        let shared = (Arc::clone(&said), Arc::clone(&asked));
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
        Fake { url, said, asked }
    }

    pub fn say(&self, name: &str, said: Said) {
        self.said.lock().unwrap().insert(name.to_owned(), said);
    }

    /// The requests for a parameter since the start: one an attempt.
    pub fn asked(&self, name: &str) -> usize {
        self.asked.lock().unwrap().iter().filter(|asked| asked["Name"] == name).count()
    }

    pub fn last(&self) -> Value {
        self.asked.lock().unwrap().last().cloned().unwrap()
    }
}

type Shared = (Arc<Mutex<BTreeMap<String, Said>>>, Arc<Mutex<Vec<Value>>>);

async fn answer(
    request: Request<Incoming>,
    (said, asked): Shared,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let header = |name: &str| request.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
    assert_eq!(header("x-amz-target").as_deref(), Some("AmazonSSM.GetParameter"));
    assert!(header("authorization").unwrap().contains("/ssm/aws4_request"));
    let body = request.into_body().collect().await.unwrap().to_bytes();
    let body: Value = serde_json::from_slice(&body).unwrap();
    let name = body["Name"].as_str().unwrap().to_owned();
    asked.lock().unwrap().push(body);
    let found = said.lock().unwrap().get(&name).cloned();
    let (status, json) = match found {
        Some(Said::Value(value)) => {
            let parameter = json!({ "Name": name, "Type": "SecureString", "Value": value, "Version": 1 });
            (200, json!({ "Parameter": parameter }))
        }
        Some(Said::Error(status, code)) => {
            let message = "User: arn:aws:sts::123456789012:assumed-role/worker may not";
            (status, json!({ "__type": code, "message": message }))
        }
        Some(Said::Hang) => std::future::pending().await,
        None => (400, json!({ "__type": "ParameterNotFound" })),
    };
    let response = Response::builder().status(status).header("content-type", "application/x-amz-json-1.1");
    Ok(response.body(Full::new(Bytes::from(json.to_string()))).unwrap())
}
