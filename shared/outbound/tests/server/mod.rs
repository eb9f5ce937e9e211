//! A small HTTP/1.1 server for tests that can also misbehave. Shared with the tests of `replicante-agents`.
#![allow(dead_code, missing_docs, clippy::unwrap_used, clippy::expect_used)]

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// What the server does with one request.
pub enum Reply {
    /// Sends these bytes and keeps the connection.
    Raw(Vec<u8>),
    /// Sends these bytes and closes the connection.
    Last(Vec<u8>),
    /// Never answers.
    Hang,
    /// Announces a chunked body and sends it without end.
    Endless,
}

impl Reply {
    /// A whole answer with a JSON body.
    pub fn json(status: u16, body: impl AsRef<[u8]>) -> Self {
        Reply::answer(status, "content-type: application/json\r\n", body)
    }

    /// A whole answer; each header ends with a line end.
    pub fn answer(status: u16, headers: &str, body: impl AsRef<[u8]>) -> Self {
        let body = body.as_ref();
        let head = format!("HTTP/1.1 {status} Said\r\n{headers}content-length: {}\r\n\r\n", body.len());
        Reply::Raw([head.as_bytes(), body].concat())
    }
}

/// What was seen, in order.
#[derive(Default)]
pub struct Seen {
    pub connections: usize,
    /// Connections that neither side has closed.
    pub open: usize,
    /// Method and path, like `GET /x`.
    pub requests: Vec<String>,
    /// Whole heads, and bodies of requests that announce one.
    pub texts: Vec<String>,
}

pub struct Server {
    pub address: SocketAddr,
    seen: Arc<Mutex<Seen>>,
    listening: JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

impl Server {
    /// Listens on a free port; `reply` is given the method and path.
    pub async fn start(reply: impl Fn(&str) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Seen::default()));
        let reply = Arc::new(reply);
        let all = Arc::clone(&seen);
        let listening = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                {
                    let mut seen = all.lock().unwrap();
                    seen.connections += 1;
                    seen.open += 1;
                }
                let (seen, reply) = (Arc::clone(&all), Arc::clone(&reply));
                tokio::spawn(async move {
                    serve(stream, &seen, &*reply).await;
                    seen.lock().unwrap().open -= 1;
                });
            }
        });
        Server { address, seen, listening }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub fn requests(&self) -> Vec<String> {
        self.seen.lock().unwrap().requests.clone()
    }

    pub fn texts(&self) -> Vec<String> {
        self.seen.lock().unwrap().texts.clone()
    }

    pub fn open(&self) -> usize {
        self.seen.lock().unwrap().open
    }

    pub fn connections(&self) -> usize {
        self.seen.lock().unwrap().connections
    }
}

/// A port on which nothing listens.
pub async fn free_port() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}

async fn serve(mut stream: TcpStream, seen: &Mutex<Seen>, reply: &(dyn Fn(&str) -> Reply + Send + Sync)) {
    let mut buffer = Vec::new();
    while let Some(text) = request(&mut stream, &mut buffer).await {
        let line: String = text.split(' ').take(2).collect::<Vec<_>>().join(" ");
        {
            let mut seen = seen.lock().unwrap();
            seen.requests.push(line.clone());
            seen.texts.push(text);
        }
        match reply(&line) {
            Reply::Raw(bytes) => {
                if stream.write_all(&bytes).await.is_err() {
                    return;
                }
            }
            Reply::Last(bytes) => {
                let _ = stream.write_all(&bytes).await;
                return;
            }
            // Until the other side has gone.
            Reply::Hang => {
                let _ = stream.read(&mut [0; 64]).await;
                return;
            }
            Reply::Endless => {
                let head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
                let chunk = [b"400\r\n".as_slice(), &[b' '; 1024], b"\r\n"].concat();
                let mut next = head;
                while stream.write_all(&next).await.is_ok() {
                    next.clone_from(&chunk);
                }
                return;
            }
        }
    }
}

/// The next request, as text; `None` when the other side has gone.
async fn request(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<String> {
    let mut chunk = [0; 4096];
    loop {
        let text = String::from_utf8_lossy(buffer).into_owned();
        if let Some(end) = text.find("\r\n\r\n") {
            let head = text[..end].to_ascii_lowercase();
            let length: usize = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length: "))
                .map_or(0, |length| length.parse().unwrap());
            let whole = end + 4 + length;
            if buffer.len() >= whole {
                buffer.drain(..whole);
                return Some(text[..whole].to_owned());
            }
        }
        match stream.read(&mut chunk).await {
            Ok(0) | Err(_) => return None,
            Ok(count) => buffer.extend_from_slice(&chunk[..count]),
        }
    }
}
