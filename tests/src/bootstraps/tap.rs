//! What stands between a process and its services: each call passes it, and one of them can be stopped.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::net::TcpListener;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;

use crate::system::Failure;

/// When a call is stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// Before the service hears of it.
    Before,
    /// When it has taken effect, before its answer.
    After,
}

impl Moment {
    /// Both.
    pub const ALL: [Moment; 2] = [Moment::Before, Moment::After];
}

/// A tap for DynamoDB, SQS and Kinesis. It ends when it is dropped.
pub struct Tap {
    /// `AWS_ENDPOINT_URL_...` of whoever is to go through it.
    pub environment: BTreeMap<String, String>,
    shared: Arc<Shared>,
    _serving: JoinSet<()>,
}

#[derive(Default)]
struct Shared {
    client: reqwest::Client,
    armed: Mutex<Armed>,
    /// Whether calls that were stopped may go on.
    released: watch::Sender<bool>,
    /// Calls that have not landed yet.
    in_the_air: watch::Sender<usize>,
}

/// One call in the air, until it is dropped.
struct InTheAir(Arc<Shared>);

impl Drop for InTheAir {
    fn drop(&mut self) {
        self.0.in_the_air.send_modify(|calls| *calls -= 1);
    }
}

#[derive(Default)]
struct Armed {
    calls: Vec<String>,
    stop: Option<(usize, Moment, oneshot::Sender<()>)>,
}

impl Tap {
    /// Starts one in front of the services of this environment.
    ///
    /// # Errors
    /// When there is no port to listen on, or a service is missing.
    pub async fn start(environment: &BTreeMap<String, String>) -> Result<Self, Failure> {
        let shared = Arc::new(Shared::default());
        let mut serving = JoinSet::new();
        let mut own = BTreeMap::new();
        for name in ["AWS_ENDPOINT_URL_DYNAMODB", "AWS_ENDPOINT_URL_SQS", "AWS_ENDPOINT_URL_KINESIS"] {
            let behind = environment.get(name).ok_or_else(|| format!("{name} is not set"))?.clone();
            let listener = TcpListener::bind("127.0.0.1:0").await?;
            own.insert(name.to_owned(), format!("http://{}", listener.local_addr()?));
            serving.spawn(serve(listener, behind, Arc::clone(&shared)));
        }
        Ok(Tap { environment: own, shared, _serving: serving })
    }

    /// From now on counts calls from 0, and stops the one of this number. Whoever waits is told when it is there.
    pub fn stop_at(&self, call: usize, moment: Moment) -> oneshot::Receiver<()> {
        let (there, told) = oneshot::channel();
        self.shared.released.send_replace(false);
        *self.armed() = Armed { calls: Vec::new(), stop: Some((call, moment, there)) };
        told
    }

    /// Lets the call that was stopped go on, and waits until all calls have landed.
    pub async fn release(&self) {
        self.shared.released.send_replace(true);
        // It ends with the tap, never before.
        let _ = self.shared.in_the_air.subscribe().wait_for(|calls| *calls == 0).await;
    }

    /// The operations that were called since the last [`stop_at`](Self::stop_at), as `DynamoDB_20120810.GetItem`.
    pub fn calls(&self) -> Vec<String> {
        self.armed().calls.clone()
    }

    fn armed(&self) -> std::sync::MutexGuard<'_, Armed> {
        self.shared.armed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn serve(listener: TcpListener, behind: String, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let (shared, behind) = (Arc::clone(&shared), behind.clone());
        let service = service_fn(move |request: Request<Incoming>| {
            // In a task of its own: a call goes on when whoever made it has gone.
            let call = tokio::spawn(pass(request, behind.clone(), Arc::clone(&shared)));
            async move {
                let failed = || {
                    let mut response = Response::new(Full::default());
                    *response.status_mut() = StatusCode::BAD_GATEWAY;
                    response
                };
                Ok::<_, Infallible>(call.await.ok().and_then(Result::ok).unwrap_or_else(failed))
            }
        });
        connections.spawn(async move {
            let builder = auto::Builder::new(TokioExecutor::new());
            let _ = builder.serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

async fn pass(
    request: Request<Incoming>,
    behind: String,
    shared: Arc<Shared>,
) -> Result<Response<Full<Bytes>>, Failure> {
    shared.in_the_air.send_modify(|calls| *calls += 1);
    let _landing = InTheAir(Arc::clone(&shared));
    let (head, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    let stop = {
        let mut armed = shared.armed.lock().unwrap_or_else(PoisonError::into_inner);
        let number = armed.calls.len();
        let operation = head.headers.get("x-amz-target").and_then(|target| target.to_str().ok());
        armed.calls.push(operation.unwrap_or_default().to_owned());
        armed.stop.take_if(|(call, ..)| *call == number)
    };
    let path = head.uri.path_and_query().map_or("/", |path| path.as_str());
    let mut headers = head.headers;
    headers.remove("host");
    let forward = shared.client.request(head.method, format!("{behind}{path}")).headers(headers).body(body);
    let sent = || async { answer(forward.send().await?).await };
    let Some((_, moment, there)) = stop else { return sent().await };
    let reached = async || {
        let _ = there.send(());
        shared.released.subscribe().wait_for(|released| *released).await.map(|_| ())
    };
    match moment {
        Moment::Before => {
            reached().await?;
            sent().await
        }
        Moment::After => {
            let response = sent().await?;
            reached().await?;
            Ok(response)
        }
    }
}

async fn answer(response: reqwest::Response) -> Result<Response<Full<Bytes>>, Failure> {
    let mut answer = Response::builder().status(response.status());
    for (name, value) in response.headers() {
        if name != "transfer-encoding" && name != "content-length" && name != "connection" {
            answer = answer.header(name, value);
        }
    }
    Ok(answer.body(Full::new(response.bytes().await?))?)
}
