//! The Runtime API of one process: it asks for the next invocation, and answers it.
//!
//! Source: the developer guide of Lambda, "Using the Lambda runtime API for custom runtimes", version 2018-06-01.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::{Mutex as AsyncMutex, mpsc, oneshot, watch};
use tokio::task::AbortHandle;

use crate::system::Failure;

/// What a process said of its start, or of an invocation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Said {
    /// The answer of the function.
    Response(Bytes),
    /// It failed, with `errorType` and `errorMessage`.
    Error(String, String),
}

/// One Runtime API. It ends when it is dropped.
pub(super) struct RuntimeApi {
    pub address: SocketAddr,
    shared: Arc<Shared>,
    invocations: mpsc::Sender<Invocation>,
    serving: AbortHandle,
}

struct Invocation {
    id: String,
    deadline: SystemTime,
    arn: String,
    payload: Bytes,
}

struct Shared {
    next: AsyncMutex<mpsc::Receiver<Invocation>>,
    /// How often the next invocation was asked for.
    asked: watch::Sender<u64>,
    init_error: watch::Sender<Option<Said>>,
    /// The invocation that is under way, and whom its answer goes to.
    under_way: Mutex<Option<(String, oneshot::Sender<Said>)>>,
}

impl RuntimeApi {
    pub async fn start() -> Result<Self, Failure> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let (invocations, next) = mpsc::channel(1);
        let shared = Arc::new(Shared {
            next: AsyncMutex::new(next),
            asked: watch::Sender::new(0),
            init_error: watch::Sender::new(None),
            under_way: Mutex::new(None),
        });
        let serving = tokio::spawn(serve(listener, Arc::clone(&shared))).abort_handle();
        Ok(RuntimeApi { address, shared, invocations, serving })
    }

    /// Waits until the process asks for its first invocation, or says why it can't start.
    pub async fn ready(&self) -> Result<(), Said> {
        let (mut asked, mut failed) = (self.shared.asked.subscribe(), self.shared.init_error.subscribe());
        tokio::select! {
            biased;
            said = failed.wait_for(Option::is_some) => match said.ok().and_then(|said| said.clone()) {
                Some(said) => Err(said),
                None => Ok(()),
            },
            _ = asked.wait_for(|asked| *asked > 0) => Ok(()),
        }
    }

    /// Hands an invocation to the process, which has `most` for it. The answer comes when the process gives one.
    pub async fn invoke(
        &self,
        function: &str,
        payload: &Value,
        most: Duration,
    ) -> Result<oneshot::Receiver<Said>, Failure> {
        let id = uuid::Uuid::new_v4().to_string();
        let (answer, answered) = oneshot::channel();
        if let Ok(mut under_way) = self.shared.under_way.lock() {
            *under_way = Some((id.clone(), answer));
        }
        let invocation = Invocation {
            id,
            deadline: SystemTime::now() + most,
            arn: format!("arn:aws:lambda:us-east-1:000000000000:function:{function}"),
            payload: serde_json::to_vec(payload)?.into(),
        };
        self.invocations.send(invocation).await.map_err(|_| "nobody asks for invocations")?;
        Ok(answered)
    }
}

impl Drop for RuntimeApi {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = tokio::task::JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let shared = Arc::clone(&shared);
        let service = service_fn(move |request| {
            let shared = Arc::clone(&shared);
            async move { Ok::<_, Infallible>(shared.answer(request).await) }
        });
        connections.spawn(async move {
            let builder = auto::Builder::new(TokioExecutor::new());
            // A process that is killed leaves its connection as it is.
            let _ = builder.serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

impl Shared {
    async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let (head, body) = request.into_parts();
        let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
        let Some(path) = head.uri.path().strip_prefix("/2018-06-01/runtime/") else {
            return status(StatusCode::NOT_FOUND);
        };
        match (head.method, path.split('/').collect::<Vec<_>>().as_slice()) {
            (Method::GET, ["invocation", "next"]) => self.next().await,
            (Method::POST, ["init", "error"]) => {
                self.init_error.send_replace(Some(error(&body)));
                status(StatusCode::ACCEPTED)
            }
            (Method::POST, ["invocation", id, "response"]) => self.said(id, Said::Response(body)),
            (Method::POST, ["invocation", id, "error"]) => self.said(id, error(&body)),
            _ => status(StatusCode::NOT_FOUND),
        }
    }

    async fn next(&self) -> Response<Full<Bytes>> {
        self.asked.send_modify(|asked| *asked += 1);
        let Some(next) = self.next.lock().await.recv().await else {
            return status(StatusCode::INTERNAL_SERVER_ERROR);
        };
        let deadline = next.deadline.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Response::builder()
            .header("content-type", "application/json")
            .header("lambda-runtime-aws-request-id", &next.id)
            .header("lambda-runtime-deadline-ms", deadline.as_millis().to_string())
            .header("lambda-runtime-invoked-function-arn", &next.arn)
            .header(
                "lambda-runtime-trace-id",
                format!("Root=1-{:08x}-{:024x};Sampled=0", deadline.as_secs(), 1),
            )
            .body(Full::new(next.payload))
            .unwrap_or_default()
    }

    /// Takes what is said of the invocation that is under way; of any other it is refused, as Lambda does.
    fn said(&self, id: &str, said: Said) -> Response<Full<Bytes>> {
        let under_way = self.under_way.lock().ok().and_then(|mut all| all.take_if(|(known, _)| known == id));
        match under_way {
            Some((_, answer)) => {
                // Whoever waited may have given up.
                let _ = answer.send(said);
                status(StatusCode::ACCEPTED)
            }
            None => status(StatusCode::BAD_REQUEST),
        }
    }
}

fn status(status: StatusCode) -> Response<Full<Bytes>> {
    let mut response = Response::default();
    *response.status_mut() = status;
    response
}

fn error(body: &[u8]) -> Said {
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    let field = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
    Said::Error(field("errorType"), field("errorMessage"))
}
