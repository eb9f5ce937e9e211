//! A server for the tests of sources that speak HTTP.

use std::convert::Infallible;
use std::future::pending;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request as Asked, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use replicante_model::record::TlsSettings;
use replicante_objects::{Endpoint, Limits};
use replicante_outbound::{AddressPolicy, Outbound};
use replicante_s3::Objects;
use tokio::net::TcpListener;

use crate::Outside;

/// What the server was asked.
#[derive(Clone, Debug)]
pub(crate) struct Question {
    pub method: String,
    /// Path and query.
    pub target: String,
    pub content_type: Option<String>,
    pub authorization: Option<String>,
    pub body: String,
}

/// What it answers; `None` never answers.
pub(crate) type Answer = Option<Response<Full<Bytes>>>;

/// A server that answers the question of each number as `answer` says.
pub(crate) struct Server {
    pub url: String,
    pub asked: Arc<Mutex<Vec<Question>>>,
}

impl Server {
    pub async fn start(answer: impl Fn(usize, &Question) -> Answer + Send + Sync + 'static) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/clusters?secret=hunter2", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (log, answer) = (Arc::clone(&asked), Arc::new(answer));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (log, answer) = (Arc::clone(&log), Arc::clone(&answer));
                let service = service_fn(move |asked: Asked<Incoming>| {
                    let (log, answer) = (Arc::clone(&log), Arc::clone(&answer));
                    async move {
                        let (parts, body) = asked.into_parts();
                        let header =
                            |name: &str| Some(parts.headers.get(name)?.to_str().unwrap().to_string());
                        let question = Question {
                            method: parts.method.to_string(),
                            target: parts.uri.to_string(),
                            content_type: header("content-type"),
                            authorization: header("authorization"),
                            body: String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec())
                                .unwrap(),
                        };
                        let number = {
                            let mut log = log.lock().unwrap();
                            log.push(question.clone());
                            log.len() - 1
                        };
                        match answer(number, &question) {
                            Some(answer) => Ok::<_, Infallible>(answer),
                            None => pending().await,
                        }
                    }
                });
                tokio::spawn(async move {
                    let _ = auto::Builder::new(TokioExecutor::new())
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
            }
        });
        Server { url, asked }
    }

    /// The endpoint, with default settings.
    pub fn endpoint(&self) -> Endpoint {
        Endpoint {
            url: self.url.parse().unwrap(),
            headers: Default::default(),
            timeout: Duration::from_secs(30),
            tls: TlsSettings::default(),
            limits: Limits::default(),
        }
    }

    pub fn bodies(&self) -> Vec<String> {
        self.asked.lock().unwrap().iter().map(|question| question.body.clone()).collect()
    }
}

pub(crate) fn reply(status: u16, content_type: &str, body: impl Into<Bytes>) -> Answer {
    let response = Response::builder().status(status).header("content-type", content_type);
    Some(response.body(Full::new(body.into())).unwrap())
}

/// The outside of a local run.
pub(crate) fn outside() -> Outside {
    Outside {
        outbound: Arc::new(Outbound::new(AddressPolicy::local())),
        objects: Objects::at("http://127.0.0.1:9"),
    }
}
