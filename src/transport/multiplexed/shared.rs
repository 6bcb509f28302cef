//! A connection that calls share, and the place of a call on it.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::task::{Poll, ready};
use std::time::Duration;

use http::Version;
use hyper::client::conn::http2;
use hyper_util::client::legacy::connect::Connection as _;
use hyper_util::rt::{TokioExecutor, TokioTimer};

use crate::count::{Count, Held};
use crate::transport::BoxError;
use crate::transport::connector::Connection;
use crate::transport::counted::Counted;
use crate::transport::departure::Departing;
use crate::transport::host::{Host, Made, NotMade};

/// The most streams on one connection, whatever the upstream allows.
const STREAMS: usize = 100;
/// The most calls on one before it is left, as a balancer would do it: what a library counts for as long as a connection lives,
/// and an address that leads elsewhere by now, end with it.
const CALLS: usize = 10_000;
/// What an upstream may send ahead of who reads it, in bytes.
const STREAM_WINDOW: u32 = 256 * 1024;
/// The same for a connection: far more than all of its streams may, so that readers who stand still keep nobody else waiting.
/// h2 takes from it as well how many small frames may lie unread before it ends a connection: half of it in bytes, less what
/// is in them, of 256 for each.
const CONNECTION_WINDOW: u32 = 1 << 30;
/// The largest head of an answer, in bytes.
const HEAD_BYTES: u32 = 64 * 1024;
/// How often a connection is asked whether it is alive, and how long it may take to say so.
const ASK_EVERY: Duration = Duration::from_secs(20);
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// How often it is looked whether a new connection's settings have come.
const LOOK_EVERY: Duration = Duration::from_millis(1);
/// How often it is looked whether they have changed, and how long at most a connection is taken for full that has refused a call.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// Stands for a limit of streams that the upstream has not told yet, and is none with which there could be a call.
const UNTOLD: usize = 0;

/// What is sent: it keeps its place until it is.
pub(super) type Sent = Counted<Departing, Arc<Place>>;
type Driven = http2::Connection<Connection, Sent, TokioExecutor>;

/// A connection that calls share.
#[derive(Debug)]
pub(super) struct Shared {
    sender: http2::SendRequest<Sent>,
    /// Those that are open.
    streams: Count,
    /// The most, as the upstream has said it last.
    most: AtomicUsize,
    /// How many calls have come.
    calls: AtomicUsize,
    /// Whether a call was there since it was looked last.
    was_taken: AtomicBool,
}

/// The room for a call on a connection.
#[derive(Debug)]
pub(super) struct Seat {
    pub(super) sender: http2::SendRequest<Sent>,
    pub(super) place: Place,
}

/// A call's place on a connection. When it is dropped, whoever waits may have it.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) shared: Arc<Shared>,
    /// Whether it is the first on its connection.
    pub(super) is_new: bool,
    host: Weak<Host<Arc<Shared>>>,
    held: Option<Held>,
}

impl Drop for Place {
    fn drop(&mut self) {
        drop(self.held.take());
        if let Some(host) = self.host.upgrade() {
            host.hand_out();
        }
    }
}

impl Shared {
    /// Room for one more, if there is.
    fn seat(self: &Arc<Self>, host: &Arc<Host<Arc<Self>>>) -> Option<Seat> {
        if self.sender.is_closed() || self.calls.load(Ordering::Relaxed) >= CALLS {
            return None;
        }
        let held = Some(self.streams.one_of(self.most())?);
        let is_new = self.calls.fetch_add(1, Ordering::Relaxed) == 0;
        self.was_taken.store(true, Ordering::Relaxed);
        let place = Place { shared: Arc::clone(self), is_new, host: Arc::downgrade(host), held };
        Some(Seat { sender: self.sender.clone(), place })
    }

    fn most(&self) -> usize {
        self.most.load(Ordering::Relaxed)
    }

    /// The upstream has refused one more: nobody asks for it until there are fewer, or for a second at most.
    pub(super) fn is_full_now(&self) {
        self.most.fetch_min(self.streams.now().saturating_sub(1), Ordering::Relaxed);
    }

    /// The upstream takes no more calls on it.
    pub(super) fn is_left(&self) {
        self.calls.store(CALLS, Ordering::Relaxed);
    }

    /// Whether no call has it, and none has had it since this was asked last.
    fn is_unused(&self) -> bool {
        let is_taken = self.streams.now() > 0;
        !self.was_taken.swap(is_taken, Ordering::Relaxed) && !is_taken
    }
}

impl Made for Arc<Shared> {
    const VERSION: Version = Version::HTTP_2;
    const ROOM: usize = STREAMS;
    type Seat = Seat;

    /// It is there when the upstream's settings have come: without them, calls of a burst would wait in the library for room that
    /// the upstream does not give.
    async fn over(connection: Connection, host: &Arc<Host<Self>>) -> Result<Self, NotMade> {
        if host.is_tls() && !connection.connected().is_negotiated_h2() {
            return Err(NotMade::no_http2("TLS was made without it".into()));
        }
        let begun = async {
            let (sender, mut driven) = speaking().handshake(connection).await?;
            let most = settled(&mut driven).await?;
            Ok((sender, driven, most))
        };
        let (sender, driven, most) = begun.await.map_err(|error| NotMade::because(error, Self::VERSION))?;
        let shared = Self::new(Shared {
            sender,
            streams: Count::default(),
            most: AtomicUsize::new(most),
            calls: AtomicUsize::new(0),
            was_taken: AtomicBool::new(true),
        });
        // Kept going until it ends or nobody uses it.
        tokio::spawn(drive(driven, Self::clone(&shared), Arc::downgrade(host), host.idle));
        Ok(shared)
    }

    fn room(&self) -> usize {
        self.most()
    }

    /// On the first that has some, so that the last ones fall idle.
    fn free(made: &mut Vec<Self>, host: &Arc<Host<Self>>) -> Option<Seat> {
        made.iter().find_map(|shared| shared.seat(host))
    }
}

impl Host<Arc<Shared>> {
    /// Lets nobody have this connection any more.
    fn forget(&self, gone: &Arc<Shared>) {
        self.state().made.retain(|shared| !Arc::ptr_eq(shared, gone));
    }

    /// The same, if no call has it, and none has had it since it was asked last; whether it is so.
    fn forgets_unused(&self, shared: &Arc<Shared>) -> bool {
        // Places are taken behind this lock, so that none is while this looks.
        let mut state = self.state();
        let is_unused = shared.is_unused();
        if is_unused {
            state.made.retain(|one| !Arc::ptr_eq(one, shared));
        }
        is_unused
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
/// looked again and again.
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
    (most != UNTOLD).then_some(most.min(STREAMS))
}

/// Keeps a connection going until it ends or nobody uses it.
async fn drive(mut driven: Driven, shared: Arc<Shared>, host: Weak<Host<Arc<Shared>>>, idle: Duration) {
    let mut look = tokio::time::interval_at(tokio::time::Instant::now() + LOOK_AGAIN, LOOK_AGAIN);
    let mut told = shared.most();
    let going = poll_fn(|context| {
        let mut is_due = false;
        // Another limit wakes nobody, and a refusal is forgotten after a while.
        while look.poll_tick(context).is_ready() {
            is_due = true;
        }
        let ended = Pin::new(&mut driven).poll(context);
        let now = most(&driven).unwrap_or_default();
        if is_due || now != told {
            told = now;
            let before = shared.most.swap(now, Ordering::Relaxed);
            if let Some(host) = host.upgrade().filter(|_| now > before) {
                host.hand_out();
            }
        }
        // What was lost is told to the calls that had it.
        ended.map(drop)
    });
    let unused = async {
        // Unused for one interval at least and for two at most.
        let mut look = tokio::time::interval(idle / 2);
        loop {
            look.tick().await;
            let is_unused = host.upgrade().map_or_else(|| shared.is_unused(), |host| host.forgets_unused(&shared));
            if is_unused {
                return;
            }
        }
    };
    tokio::select! {
        () = going => {}
        () = unused => {}
    }
    if let Some(host) = host.upgrade() {
        host.forget(&shared);
    }
}
