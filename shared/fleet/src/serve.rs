//! Connections and bodies: how answers get onto the wire.

use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::fleet::Shared;
use crate::route::{Target, respond};

/// A listener that can be closed at once from elsewhere: from then on connections are refused.
pub(crate) struct Gate(Mutex<Option<TcpListener>>);

impl Gate {
    pub fn new(listener: TcpListener) -> Arc<Gate> {
        Arc::new(Gate(Mutex::new(Some(listener))))
    }

    /// Closes the listener. Whoever waits in `accept` is not woken: its task watches for the end itself.
    pub fn close(&self) {
        drop(self.0.lock().unwrap_or_else(PoisonError::into_inner).take());
    }

    /// The next connection; `None` once the gate is closed.
    async fn accept(&self) -> Option<io::Result<TcpStream>> {
        poll_fn(|cx| match &*self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(listener) => listener.poll_accept(cx).map(|taken| Some(taken.map(|(stream, _)| stream))),
            None => Poll::Ready(None),
        })
        .await
    }
}

/// Accepts connections until the gate is closed, `closed` loses its sender or the fleet stops.
pub(crate) async fn serve(
    shared: Arc<Shared>,
    gate: Arc<Gate>,
    target: Arc<Target>,
    closed: watch::Receiver<()>,
) {
    let stop = shared.stop.subscribe();
    let mut end = pin!(ended(stop, closed.clone()));
    loop {
        let accepted = tokio::select! {
            accepted = gate.accept() => accepted,
            () = &mut end => return gate.close(),
        };
        match accepted {
            Some(Ok(stream)) => {
                shared.connections.fetch_add(1, Ordering::Relaxed);
                tokio::spawn(connection(shared.clone(), stream, target.clone(), closed.clone()));
            }
            // Out of file descriptors, or the peer is gone already: the listener itself is fine.
            Some(Err(_)) => tokio::time::sleep(Duration::from_millis(5)).await,
            None => return,
        }
    }
}

/// Serves one connection, HTTP/1.1 or HTTP/2 with prior knowledge, until it or its agent ends.
async fn connection(
    shared: Arc<Shared>,
    stream: TcpStream,
    target: Arc<Target>,
    closed: watch::Receiver<()>,
) {
    // Without it small answers wait for the peer's acknowledgement; with a dead peer it fails, and so will the rest.
    let _ = stream.set_nodelay(true);
    let end = ended(shared.stop.subscribe(), closed);
    let service = service_fn(move |request| respond(shared.clone(), target.clone(), request));
    let builder = auto::Builder::new(TokioExecutor::new());
    tokio::select! {
        // How a connection ended is the client's business: it is told there.
        _ = builder.serve_connection(TokioIo::new(stream), service) => {}
        () = end => {}
    }
}

/// Returns when the fleet stops or the agent's listener is closed.
async fn ended(mut stop: watch::Receiver<bool>, mut closed: watch::Receiver<()>) {
    tokio::select! {
        _ = stop.wait_for(|stop| *stop) => {}
        // Nothing is ever sent: it changes by losing its sender.
        _ = closed.changed() => {}
    }
}

/// What a streamed answer is filled with.
static FILLER: [u8; 64 * 1024] = [b'x'; 64 * 1024];

/// The body of a response.
pub(crate) enum Content {
    /// All of it; nothing once it was sent.
    Whole(Bytes),
    /// `start`, then so many bytes, then the end of a JSON string and object. Its length is not announced.
    Filled { start: Bytes, left: u64, ended: bool },
}

impl Body for Content {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let next = match self.get_mut() {
            Content::Whole(bytes) => std::mem::take(bytes),
            Content::Filled { start, .. } if !start.is_empty() => std::mem::take(start),
            Content::Filled { left, .. } if *left > 0 => {
                // At most 64 KiB, so it fits.
                let length = (*left).min(FILLER.len() as u64);
                *left -= length;
                Bytes::from_static(&FILLER[..length as usize])
            }
            Content::Filled { ended: true, .. } => Bytes::new(),
            Content::Filled { ended, .. } => {
                *ended = true;
                Bytes::from_static(b"\"}")
            }
        };
        Poll::Ready((!next.is_empty()).then(|| Ok(Frame::data(next))))
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Content::Whole(bytes) => bytes.is_empty(),
            Content::Filled { ended, .. } => *ended,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Content::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Content::Filled { .. } => SizeHint::default(),
        }
    }
}
