//! From a request to an answer: which part of the fleet it is for, and what that says now.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue, LOCATION};
use hyper::{Method, Request, Response, StatusCode};
use replicante_model::Timestamp;
use serde_json::json;
use tokio::sync::watch;

use crate::answer::{Answer, Endpoint};
use crate::change::Change;
use crate::discovery::Query;
use crate::fleet::{Layout, Shared};
use crate::serve::Content;

/// The largest body of a request that is read, in bytes.
const MAX_REQUEST: usize = 1024 * 1024;

/// The whole list as an object of S3, for `s3://inventory/clusters.json` with the fleet as the endpoint of S3.
const OBJECT: &str = "/inventory/clusters.json";

/// What listens at a port.
pub(crate) enum Target {
    /// Discovery, the fleet's own endpoints and, by path, every agent of a fleet on one port.
    Main,
    /// The agent of one node at one of its addresses.
    Agent { cluster: String, node: String, moves: u32 },
}

/// The answer is that the connection is closed: hyper does so when a service fails.
#[derive(Debug, thiserror::Error)]
#[error("this agent is gone")]
pub(crate) struct Gone;

/// What a request asks for, once its body was read.
enum Asked<'a> {
    Agent { cluster: &'a str, node: &'a str, moves: u32, endpoint: Endpoint, path: &'a str },
    Discovery(Query),
    Ready(Answer),
}

/// Answers one request.
pub(crate) async fn respond(
    shared: Arc<Shared>,
    target: Arc<Target>,
    request: Request<Incoming>,
) -> Result<Response<Content>, Gone> {
    let (head, body) = request.into_parts();
    let path = head.uri.path();
    let asked = match &*target {
        Target::Agent { cluster, node, moves } => {
            Asked::Agent { cluster, node, moves: *moves, endpoint: agent_endpoint(&head.method, path), path }
        }
        Target::Main => match path {
            "/clusters" | "/discover" | "/targets" | OBJECT | "/fleet" | "/fleet/changes" => {
                own(&shared, &head.method, path, body).await
            }
            _ => by_path(&shared, &head.method, path),
        },
    };
    let endpoint = match &asked {
        Asked::Agent { endpoint, .. } => *endpoint,
        Asked::Discovery(_) => Endpoint::Discovery,
        Asked::Ready(_) => Endpoint::Admin,
    };
    shared.requests[endpoint as usize].fetch_add(1, Ordering::Relaxed);
    response(answer(&shared, asked).await)
}

/// The agent of a fleet on one port: `/<cluster>/<node>/...`, or `/<cluster>/<node>~<moves>/...`.
fn by_path<'a>(shared: &Shared, method: &Method, path: &'a str) -> Asked<'a> {
    let parts = path[1..].split_once('/').and_then(|(cluster, rest)| Some((cluster, rest, rest.find('/')?)));
    let Some((cluster, rest, slash)) = parts.filter(|_| shared.layout == Layout::OnePort) else {
        return Asked::Ready(Answer::not_found());
    };
    let node = &rest[..slash];
    let (node, moves) = match node.rsplit_once('~') {
        Some((id, moves)) => (id, moves.parse().unwrap_or(u32::MAX)),
        None => (node, 0),
    };
    let path = &rest[slash..];
    Asked::Agent { cluster, node, moves, endpoint: agent_endpoint(method, path), path }
}

fn agent_endpoint(method: &Method, path: &str) -> Endpoint {
    if method == Method::GET { Endpoint::of_agent(path) } else { Endpoint::Other }
}

/// Discovery and the fleet's own endpoints.
async fn own(shared: &Arc<Shared>, method: &Method, path: &str, body: Incoming) -> Asked<'static> {
    let refused = |status, error: String| Asked::Ready(Answer::json(status, &json!({"error": error})));
    let body = match Limited::new(body, MAX_REQUEST).collect().await {
        Ok(body) => body.to_bytes(),
        Err(error) => return refused(400, format!("the body can't be read: {error}")),
    };
    match (path, method) {
        ("/clusters", &Method::GET) => Asked::Discovery(Query::All),
        ("/discover", &Method::GET) => Asked::Discovery(Query::Platform),
        ("/targets", &Method::GET) => Asked::Discovery(Query::Prometheus),
        (OBJECT, &Method::GET) => Asked::Discovery(Query::All),
        ("/clusters", &Method::POST) => match Query::from_body(&body) {
            Ok(query) => Asked::Discovery(query),
            Err(error) => refused(400, format!("expected a JSON object with a cursor: {error}")),
        },
        ("/fleet", &Method::GET) => Asked::Ready(Answer::json(200, &shared.truth())),
        ("/fleet/changes", &Method::POST) => match serde_json::from_slice::<Change>(&body) {
            Ok(change) => match shared.apply(change) {
                Ok(applied) => {
                    let told = applied.to_string();
                    Asked::Ready(Answer::json(200, &json!({"told": told, "applied": applied})))
                }
                Err(error) => refused(409, error.to_string()),
            },
            Err(error) => refused(400, format!("expected a change as JSON: {error}")),
        },
        _ => refused(405, format!("{path} does not take {method}")),
    }
}

/// Asks the world; while it hangs, asks again whenever the world has changed.
async fn answer(shared: &Arc<Shared>, asked: Asked<'_>) -> Answer {
    let mut waited = false;
    // Subscribed before the world is asked, so that no change is missed; while all answer, not at all.
    let mut changes: Option<watch::Receiver<u64>> = None;
    loop {
        let answer = match &asked {
            Asked::Agent { cluster, node, moves, endpoint, path } => {
                let now = Timestamp::now();
                let asked = (*endpoint, *path);
                let (answer, latency) = shared.read().world.answer_at(cluster, node, *moves, asked, now);
                if !waited && !latency.is_zero() {
                    tokio::time::sleep(latency).await;
                    waited = true;
                    continue;
                }
                answer
            }
            Asked::Discovery(query) => shared.discover(query),
            Asked::Ready(answer) => answer.clone(),
        };
        match (&answer, &mut changes) {
            (Answer::Hang, None) => changes = Some(shared.changes.subscribe()),
            (Answer::Hang, Some(changes)) => {
                // Without a sender there is no fleet, and this task is about to end.
                if changes.changed().await.is_err() {
                    return Answer::Close;
                }
            }
            _ => return answer,
        }
    }
}

fn response(answer: Answer) -> Result<Response<Content>, Gone> {
    let mut response = Response::new(Content::Whole(Default::default()));
    match answer {
        Answer::Reply { status, content_type, body } => {
            // Every status in this crate is a valid one.
            *response.status_mut() = StatusCode::from_u16(status).unwrap_or_default();
            if !content_type.is_empty() {
                response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
            }
            *response.body_mut() = Content::Whole(body.into());
        }
        Answer::Huge { start, bytes } => {
            response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            *response.body_mut() = Content::Filled { start: start.into(), left: bytes, ended: false };
        }
        Answer::Redirect(location) => {
            *response.status_mut() = StatusCode::TEMPORARY_REDIRECT;
            response.headers_mut().insert(LOCATION, HeaderValue::from_static(location));
        }
        Answer::Hang | Answer::Close => return Err(Gone),
    }
    Ok(response)
}
