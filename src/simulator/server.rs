//! The simulator on a real socket: HTTP/1.1 and HTTP/2, both wire formats and a list of models.
//!
//! Failures are real here: a reset is a TCP reset, or the stream's over HTTP/2; a silent upstream keeps its connection open and says nothing.
//! [`Upstream`] is the same for tests: it keeps what it received, plays scripts, can be down for a while, and stops when
//! it is dropped.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming as RequestBody;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::chat_wire::CREATED;
use super::door::Door;
use super::socket::Socket;
use super::{MODEL, Simulator};
use crate::transport::{Incoming, TransportError};

/// The largest request that is read.
const MAX_REQUEST_BYTES: usize = 64 * 1024 * 1024;
/// How many requests a log keeps.
const MAX_KEPT: usize = 256;
/// What stands for a connection timeout where the connection is made already.
const NO_CONNECT_TIMEOUT: Duration = Duration::ZERO;

/// Serves `simulator` until accepting fails; every connection ends when the future is dropped.
///
/// # Errors
/// The listener's own.
pub async fn serve(listener: TcpListener, simulator: Simulator) -> io::Result<Infallible> {
    run(listener, Arc::new(Desk::new(simulator))).await
}

/// A simulator on a loopback socket, for tests: it stops when it is dropped.
#[derive(Debug)]
pub struct Upstream {
    address: SocketAddr,
    desk: Arc<Desk>,
    door: tokio::sync::Mutex<Door>,
}

/// A request as it came.
#[derive(Clone, Debug)]
pub struct Received {
    /// The HTTP that it came in.
    pub version: Version,
    /// Its method.
    pub method: Method,
    /// Its path and query.
    pub path: String,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
}

impl Upstream {
    /// Starts on a free port of the loopback interface.
    ///
    /// # Errors
    /// When no port can be had.
    pub async fn start(simulator: Simulator) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let desk = Arc::new(Desk::new(simulator));
        let door = tokio::sync::Mutex::new(Door::Open(tokio::spawn(run(listener, desk.clone()))));
        Ok(Self { address, desk, door })
    }

    /// Goes down: loses all connections and refuses new ones until it is resumed. Its port is not free meanwhile.
    /// When this returns, no connection is open.
    pub async fn stop(&self) {
        self.door.lock().await.close(self.address).await;
        // The connections end with the task that accepted them, a moment later.
        self.desk.connections.subscribe().wait_for(|open| *open == 0).await.ok();
    }

    /// Comes back at the same address, with all that it knew: counts, requests and scripts.
    ///
    /// # Errors
    /// When the port was lost.
    pub async fn resume(&self) -> io::Result<()> {
        let serve = |listener| tokio::spawn(run(listener, self.desk.clone()));
        self.door.lock().await.open(self.address, serve)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The same as a base address: `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The simulator that answers, with its counts of answers.
    pub fn simulator(&self) -> &Simulator {
        &self.desk.simulator
    }

    /// Lets the next requests play these directives too, one text for each request; later ones play what is played
    /// always, or only their own.
    pub fn play<T: Into<String>>(&self, scripts: impl IntoIterator<Item = T>) {
        lock(&self.desk.repertoire).next.extend(scripts.into_iter().map(Into::into));
    }

    /// Lets every request play these directives too, until something else is said: an outage. Scripts for the next
    /// requests come first, each in place of this one.
    pub fn play_always(&self, script: impl Into<String>) {
        lock(&self.desk.repertoire).always = script.into();
    }

    /// Lets no request play anything but its own directives: forgets what was to be played always and next.
    pub fn play_never(&self) {
        *lock(&self.desk.repertoire) = Repertoire::default();
    }

    /// The last requests that came, at most 256, in order.
    pub fn received(&self) -> Vec<Received> {
        lock(&self.desk.kept).iter().cloned().collect()
    }

    /// How many requests came, kept or not, to be watched as it changes.
    pub fn requests(&self) -> watch::Receiver<usize> {
        self.desk.requests.subscribe()
    }

    /// How many connections are open, to be watched as it changes.
    pub fn connections(&self) -> watch::Receiver<usize> {
        self.desk.connections.subscribe()
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.door.get_mut().abandon();
    }
}

/// What all connections share.
#[derive(Debug)]
struct Desk {
    simulator: Simulator,
    repertoire: Mutex<Repertoire>,
    kept: Mutex<VecDeque<Received>>,
    requests: watch::Sender<usize>,
    connections: watch::Sender<usize>,
}

/// What requests play beside their own directives.
#[derive(Debug, Default)]
struct Repertoire {
    /// One script for each of the next requests.
    next: VecDeque<String>,
    /// The script of every later one.
    always: String,
}

impl Repertoire {
    fn take(&mut self) -> String {
        self.next.pop_front().unwrap_or_else(|| self.always.clone())
    }
}

impl Desk {
    fn new(simulator: Simulator) -> Self {
        Self {
            simulator,
            repertoire: Mutex::default(),
            kept: Mutex::default(),
            requests: watch::Sender::new(0),
            connections: watch::Sender::new(0),
        }
    }

    /// Keeps a request and answers it.
    async fn answer(&self, request: Request<RequestBody>) -> Result<Incoming, TransportError> {
        let (head, body) = request.into_parts();
        let body = match Limited::new(body, MAX_REQUEST_BYTES).collect().await {
            Ok(body) => body.to_bytes(),
            Err(_) => return Ok(page(StatusCode::PAYLOAD_TOO_LARGE, String::new())),
        };
        let path = head.uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
        self.keep(Received {
            version: head.version,
            method: head.method.clone(),
            path,
            headers: head.headers.clone(),
            body: body.clone(),
        });
        if head.method == Method::GET && head.uri.path().ends_with("/models") {
            return Ok(page(StatusCode::OK, models()));
        }
        let script = lock(&self.repertoire).take();
        self.simulator.send_scripted(Request::from_parts(head, body), NO_CONNECT_TIMEOUT, &script).await
    }

    fn keep(&self, received: Received) {
        let mut kept = lock(&self.kept);
        if kept.len() == MAX_KEPT {
            kept.pop_front();
        }
        kept.push_back(received);
        drop(kept);
        self.requests.send_modify(|requests| *requests += 1);
    }
}

async fn run(listener: TcpListener, desk: Arc<Desk>) -> io::Result<Infallible> {
    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await?;
        connections.spawn(connection(stream, desk.clone()));
        while connections.try_join_next().is_some() {}
    }
}

async fn connection(stream: TcpStream, desk: Arc<Desk>) {
    let _counted = Counted::new(&desk.connections);
    // A token shall leave when it is made; where this cannot be had, it leaves a little later.
    stream.set_nodelay(true).ok();
    let reset = Arc::new(AtomicBool::new(false));
    let io = TokioIo::new(Socket::new(stream, reset.clone()));
    let service = service_fn(|request: Request<RequestBody>| {
        let (desk, reset) = (desk.clone(), reset.clone());
        async move {
            // Other streams of a connection go on: HTTP/2 resets the one.
            let is_alone = request.version() != Version::HTTP_2;
            let lose = move || reset.fetch_or(is_alone, Ordering::Release);
            match desk.answer(request).await {
                Ok(response) => Ok(response.map(|body| {
                    body.map_err(move |error| {
                        lose();
                        error
                    })
                })),
                Err(error) => {
                    lose();
                    Err(error)
                }
            }
        }
    });
    // A connection ends in an error whenever a reset is played or a client goes away: neither is news.
    let mut server = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
    server.http1().timer(TokioTimer::new());
    server.serve_connection(io, service).await.ok();
}

/// One more, as long as it lives.
struct Counted<'a>(&'a watch::Sender<usize>);

impl<'a> Counted<'a> {
    fn new(count: &'a watch::Sender<usize>) -> Self {
        count.send_modify(|count| *count += 1);
        Self(count)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}

/// The list of models, in a shape that the clients of both wire formats read.
fn models() -> String {
    let model = json!({
        "id": MODEL, "object": "model", "type": "model", "display_name": "Simulator", "owned_by": MODEL,
        "created": CREATED, "created_at": "2023-11-14T22:13:20Z",
    });
    json!({ "object": "list", "data": [model], "has_more": false, "first_id": MODEL, "last_id": MODEL }).to_string()
}

fn page(status: StatusCode, text: String) -> Incoming {
    let body = Full::new(Bytes::from(text)).map_err(|never| match never {}).boxed_unsync();
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// What a mutex holds: a panic elsewhere leaves these lists whole.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
