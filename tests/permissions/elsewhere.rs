//! S3 and Systems Manager for one function: they give what they are asked for, and take down that they were.

use std::convert::Infallible;

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use replicante_tests::Recorder;
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// Any object of S3: a list of one cluster.
const OBJECT: &str = r#"{"clusters":[{"cluster_id":"of-an-object","nodes":["https://127.0.0.1:9"]}]}"#;

/// Starts them. The URL of both.
pub async fn start(recorder: Recorder) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let recorder = recorder.clone();
            let service = service_fn(move |request| answer(request, recorder.clone()));
            tokio::spawn(async move {
                let builder = auto::Builder::new(TokioExecutor::new());
                let _ = builder.serve_connection(TokioIo::new(stream), service).await;
            });
        }
    });
    url
}

async fn answer(request: Request<Incoming>, recorder: Recorder) -> Result<Response<Full<Bytes>>, Infallible> {
    let target = request.headers().get("x-amz-target").map(|target| target.to_str().unwrap().to_owned());
    let (method, path) = (request.method().to_string(), request.uri().path().to_owned());
    let body = request.into_body().collect().await.unwrap().to_bytes();
    let text = match target.as_deref() {
        Some("AmazonSSM.GetParameter") => {
            let body: Value = serde_json::from_slice(&body).unwrap();
            let name = body["Name"].as_str().unwrap();
            let resource = format!("arn:aws:ssm:us-east-1:000000000000:parameter{name}");
            recorder.note("ssm:GetParameter", resource, None);
            json!({ "Parameter": { "Name": name, "Value": "a secret" } }).to_string()
        }
        None if method == "GET" && path.matches('/').count() == 2 => {
            recorder.note("s3:GetObject", format!("arn:aws:s3:::{}", &path[1..]), None);
            OBJECT.to_owned()
        }
        other => {
            recorder.note(other.unwrap_or("s3:another"), format!("{method} {path}"), None);
            String::new()
        }
    };
    Ok(Response::new(Full::new(text.into())))
}
