//! The HTTP client for upstreams that are asked over HTTP/2: calls share connections.
//!
//! A call never waits for another one to end: where every connection has as many streams as the upstream or we allow, one
//! more is opened. So there is no queue that nobody sees, and what happens to a connection happens to a bounded number of
//! calls.

use std::collections::HashMap;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Poll, ready};
use std::time::Duration;

use http::header::HOST;
use http::uri::{Authority, Scheme};
use http::{Uri, Version};
use http_body_util::BodyExt;
use hyper::client::conn::http2;
use hyper_util::client::legacy::connect::Connection as _;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tower::Service;

use super::connector::{Connection, Connector, POOL_IDLE, TooSlow};
use super::counted::Counted;
use super::departure::Departing;
use super::{BoxError, Outgoing, Sending, TransportError, Trust};
use crate::count::{Count, Held};

/// The most streams on one connection, whatever the upstream allows.
const STREAMS: u32 = 100;
/// What an upstream may send ahead of who reads it, in bytes: on a stream, and on a connection as much as all of its streams
/// may, so that readers who stand still keep nobody else waiting.
const STREAM_WINDOW: u32 = 256 * 1024;
const CONNECTION_WINDOW: u32 = STREAMS * STREAM_WINDOW;
/// The largest head of an answer, in bytes.
const HEAD_BYTES: u32 = 64 * 1024;
/// How often a connection is asked whether it is alive, and how long it may take to say so.
const ASK_EVERY: Duration = Duration::from_secs(20);
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// How often a call asks again that an upstream has refused to begin.
const REFUSALS: usize = 3;
/// How often it is looked whether a new connection's settings have come.
const LOOK_EVERY: Duration = Duration::from_millis(1);
/// Stands for a limit of streams that the upstream has not told yet, and is none with which there could be a call.
const UNTOLD: usize = 0;

/// The connections of a worker to all upstreams that are asked over HTTP/2.
#[derive(Debug)]
pub(super) struct Multiplexed {
    trust: Trust,
    /// By whether it is over TLS, the authority, and how long a connection may take.
    hosts: Mutex<HashMap<(bool, Authority, Duration), Arc<Host>>>,
    open: Count,
    /// How long an unused connection is kept, at least.
    idle: Duration,
}

impl Multiplexed {
    /// No connections yet; `open` counts them.
    pub(super) fn new(trust: Trust, open: Count) -> Self {
        Self { trust, hosts: Mutex::default(), open, idle: POOL_IDLE }
    }

    /// Sends a request, on a connection that there is or on one more.
    pub(super) fn send(&self, outgoing: Outgoing) -> Sending {
        let Outgoing { mut request, connect_timeout, departure, proxy: _ } = outgoing;
        let host = match self.host(request.uri(), connect_timeout) {
            Ok(host) => host,
            Err(error) => return Box::pin(std::future::ready(Err(TransportError::Connect(error)))),
        };
        // The address says it.
        request.headers_mut().remove(HOST);
        Box::pin(async move {
            let mut refusals = 0;
            loop {
                let Seat { mut sender, held, is_new } = host.seat(request.uri()).await?;
                let sent = request.clone().map(|body| Departing::new(body, departure.clone()));
                let mut error = match sender.try_send_request(sent).await {
                    Ok(answer) => return Ok(answer.map(|body| Counted::new(body, held).map_err(lost).boxed_unsync())),
                    Err(error) => error,
                };
                // A connection may have ended unseen: what comes back was not sent.
                let is_unsent = error.take_message().is_some() && !is_new;
                let error = error.into_error();
                refusals += usize::from(was_refused(&error));
                if !is_unsent && !(was_refused(&error) && refusals <= REFUSALS) {
                    return Err(lost(error));
                }
            }
        })
    }

    fn host(&self, address: &Uri, timeout: Duration) -> Result<Arc<Host>, BoxError> {
        let is_tls = address.scheme() == Some(&Scheme::HTTPS);
        let authority = address.authority().ok_or("the address has no host")?;
        let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        let place = (is_tls, authority.clone(), timeout);
        if let Some(host) = hosts.get(&place) {
            return Ok(Arc::clone(host));
        }
        let connector = Connector::new(self.trust.towards(address)?, Version::HTTP_2, timeout, self.open.clone());
        let host = Host {
            is_tls,
            connector,
            timeout,
            idle: self.idle,
            making: tokio::sync::Mutex::default(),
            made: Mutex::default(),
        };
        Ok(Arc::clone(hosts.entry(place).or_insert(Arc::new(host))))
    }
}

/// An upstream, and the connections to it.
#[derive(Debug)]
struct Host {
    is_tls: bool,
    connector: Connector,
    timeout: Duration,
    idle: Duration,
    /// One is made at a time: who waits for it finds room on it when it is there.
    making: tokio::sync::Mutex<()>,
    made: Mutex<Vec<Arc<Shared>>>,
}

/// A connection that calls share.
#[derive(Debug)]
struct Shared {
    sender: http2::SendRequest<Departing>,
    /// Those that are open.
    streams: Count,
    /// The most, as the upstream has said it last.
    most: AtomicUsize,
    /// Whether a call has come since it was looked last.
    was_taken: AtomicBool,
}

/// The room for a call on a connection.
struct Seat {
    sender: http2::SendRequest<Departing>,
    held: Held,
    /// Whether it is the first on its connection.
    is_new: bool,
}

type Driven = http2::Connection<Connection, Departing, TokioExecutor>;

impl Host {
    /// Room for a call, within the time that a connection may take.
    async fn seat(self: &Arc<Self>, address: &Uri) -> Result<Seat, TransportError> {
        if let Some(seat) = self.free() {
            return Ok(seat);
        }
        let made = tokio::time::timeout(self.timeout, self.one_more(address)).await;
        made.unwrap_or(Err(TransportError::ConnectTimeout(self.timeout)))
    }

    /// Room where there is a connection: on the first that has some, so that the last ones fall idle.
    fn free(&self) -> Option<Seat> {
        self.made().iter().find_map(|shared| shared.seat())
    }

    async fn one_more(self: &Arc<Self>, address: &Uri) -> Result<Seat, TransportError> {
        let _turn = self.making.lock().await;
        if let Some(seat) = self.free() {
            return Ok(seat);
        }
        let connection = self.connector.clone().call(address.clone()).await.map_err(not_made)?;
        if self.is_tls && !connection.connected().is_negotiated_h2() {
            return Err(not_made("it does not speak HTTP/2".into()));
        }
        let (sender, mut driven) = speaking().handshake(connection).await.map_err(|error| not_made(error.into()))?;
        let most = settled(&mut driven).await.map_err(not_made)?;
        let shared = Arc::new(Shared {
            sender: sender.clone(),
            streams: Count::default(),
            most: AtomicUsize::new(most),
            was_taken: AtomicBool::new(true),
        });
        let seat = Seat { sender, held: shared.streams.one(), is_new: true };
        self.made().push(Arc::clone(&shared));
        tokio::spawn(drive(driven, shared, Arc::downgrade(self), self.idle));
        Ok(seat)
    }

    fn made(&self) -> MutexGuard<'_, Vec<Arc<Shared>>> {
        self.made.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets nobody have this connection any more.
    fn forget(&self, gone: &Arc<Shared>) {
        self.made().retain(|shared| !Arc::ptr_eq(shared, gone));
    }
}

impl Shared {
    fn seat(&self) -> Option<Seat> {
        if self.sender.is_closed() {
            return None;
        }
        let held = self.streams.one_of(self.most.load(Ordering::Relaxed))?;
        self.was_taken.store(true, Ordering::Relaxed);
        Some(Seat { sender: self.sender.clone(), held, is_new: false })
    }

    /// Ends when no call has had this connection for a while, and none can have it any more.
    async fn unused(self: &Arc<Self>, host: &Weak<Host>, idle: Duration) {
        loop {
            tokio::time::sleep(idle).await;
            let host = host.upgrade();
            // Seats are taken behind this lock, so that none is while this looks.
            let mut made = host.as_ref().map(|host| host.made());
            let was_taken = self.was_taken.swap(false, Ordering::Relaxed);
            if self.streams.now() == 0 && !was_taken {
                if let Some(made) = &mut made {
                    made.retain(|shared| !Arc::ptr_eq(shared, self));
                }
                return;
            }
        }
    }
}

fn speaking() -> http2::Builder<TokioExecutor> {
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .initial_max_send_streams(UNTOLD)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_header_list_size(HEAD_BYTES)
        // What still comes for a call that was given up is a fault to the library once it has forgotten the stream, and so many
        // faults, counted for as long as a connection lives, end it with all its calls. Whoever hedges and cancels gets there.
        .max_local_error_reset_streams(None)
        .keep_alive_interval(ASK_EVERY)
        .keep_alive_timeout(ANSWER_WITHIN)
        .keep_alive_while_idle(true);
    builder
}

/// Waits for the upstream's settings, and returns the most streams that it takes. That they have come is told by nobody, so it is
/// looked again and again: without them, calls of a burst would wait in the library for room that the upstream does not give.
async fn settled(driven: &mut Driven) -> Result<usize, BoxError> {
    let mut look = tokio::time::interval(LOOK_EVERY);
    poll_fn(|context| {
        loop {
            if let Poll::Ready(ended) = Pin::new(&mut *driven).poll(context) {
                return Poll::Ready(Err(ended.err().map_or("it has closed the connection".into(), BoxError::from)));
            }
            if let Some(most) = most(driven) {
                return Poll::Ready(Ok(most));
            }
            ready!(look.poll_tick(context));
        }
    })
    .await
}

fn most(driven: &Driven) -> Option<usize> {
    let most = driven.current_max_send_streams();
    let ours = usize::try_from(STREAMS).unwrap_or(usize::MAX);
    (most != UNTOLD).then_some(most.min(ours))
}

/// Keeps a connection going until it ends or nobody uses it.
async fn drive(mut driven: Driven, shared: Arc<Shared>, host: Weak<Host>, idle: Duration) {
    let going = poll_fn(|context| {
        let ended = Pin::new(&mut driven).poll(context);
        shared.most.store(most(&driven).unwrap_or_default(), Ordering::Relaxed);
        // What was lost is told to the calls that had it.
        ended.map(drop)
    });
    tokio::select! {
        () = going => {}
        () = shared.unused(&host, idle) => {}
    }
    if let Some(host) = host.upgrade() {
        host.forget(&shared);
    }
}

/// Whether the upstream has said that it did nothing for a call: it was going away when the call came, or had no room for it. So
/// balancers end connections, and whoever asks them often meets that often; by HTTP/2's own rules it may be asked again.
fn was_refused(error: &hyper::Error) -> bool {
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        if let Some(error) = cause.downcast_ref::<h2::Error>() {
            let refused = error.is_reset() && error.reason() == Some(h2::Reason::REFUSED_STREAM);
            return error.is_remote() && (error.is_go_away() || refused);
        }
        source = cause.source();
    }
    false
}

fn lost(error: hyper::Error) -> TransportError {
    TransportError::Lost(error.into())
}

fn not_made(error: BoxError) -> TransportError {
    match error.downcast::<TooSlow>() {
        Ok(too_slow) => TransportError::ConnectTimeout(too_slow.0),
        Err(error) => TransportError::Connect(error),
    }
}

#[cfg(test)]
mod tests;
