//! An upstream, the connections to it, and the calls that wait for one.
//!
//! Who finds no room waits in a queue, and as many connections are made as the queue needs, each by a task that no call can
//! take with it when it is given up. A place goes to the first who waits, whether a connection was made or a call has ended; what
//! kept a connection from being made is told to those for whom it was made.

use std::collections::VecDeque;
use std::error::Error;
use std::fmt::Debug;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::uri::Scheme;
use http::{Uri, Version};
use tokio::sync::oneshot;
use tokio::time::Instant;
use tower::Service;

use super::connector::{Connection, Connector, TooSlow};
use super::{BoxError, TransportError};

/// A connection on which calls have room.
pub(super) trait Made: Sized + Debug + Send + 'static {
    /// The HTTP that is spoken on it.
    const VERSION: Version;
    /// How many calls one takes, as long as none was made.
    const ROOM: usize;
    /// What a call has of it.
    type Seat: Debug + Send + 'static;

    /// Begins to speak on a connection.
    fn over(connection: Connection, host: &Arc<Host<Self>>) -> impl Future<Output = Result<Self, NotMade>> + Send;

    /// How many calls it takes.
    fn room(&self) -> usize;

    /// Room for one more call on those that are there, if they have some. What is full stays, what calls have one at a time is taken out,
    /// and so is what turns out to have ended.
    fn free(made: &mut Vec<Self>, host: &Arc<Host<Self>>) -> Option<Self::Seat>;
}

/// An upstream.
#[derive(Debug)]
pub(super) struct Host<M: Made> {
    pub(super) address: Uri,
    connector: Connector,
    /// How long a connection may take to be made.
    pub(super) timeout: Duration,
    /// How long an unused one is kept, at most.
    pub(super) idle: Duration,
    state: Mutex<State<M>>,
}

#[derive(Debug)]
pub(super) struct State<M: Made> {
    /// The connections that may have room.
    pub(super) made: Vec<M>,
    /// How many calls a connection takes, as the last one said when it was made.
    room: usize,
    /// How many are being made.
    making: usize,
    /// Who waits, in the order in which they came.
    waiting: VecDeque<Waiting<M>>,
}

/// A call that waits for room.
#[derive(Debug)]
struct Waiting<M: Made> {
    since: Instant,
    promise: oneshot::Sender<Result<M::Seat, NotMade>>,
}

/// Why there is no connection.
#[derive(Clone, Debug)]
pub(super) enum NotMade {
    TooSlow(Duration),
    NoHttp2(Arc<dyn Error + Send + Sync>),
    Failed(Arc<dyn Error + Send + Sync>),
}

impl<M: Made> Host<M> {
    /// No connections yet; `connector` makes them.
    pub(super) fn new(address: Uri, connector: Connector, timeout: Duration, idle: Duration) -> Self {
        let state = State { made: Vec::new(), room: M::ROOM, making: 0, waiting: VecDeque::new() };
        Self { address, connector, timeout, idle, state: Mutex::new(state) }
    }

    pub(super) fn is_tls(&self) -> bool {
        self.address.scheme() == Some(&Scheme::HTTPS)
    }

    /// Room for a call, within the time that a connection may take. Who joins those for whom one is being made shares its fate, but is not
    /// told that it took too long.
    pub(super) async fn seat(self: &Arc<Self>) -> Result<M::Seat, TransportError> {
        let promised = {
            let mut state = self.state();
            if let Some(seat) = M::free(&mut state.made, self) {
                return Ok(seat);
            }
            let (promise, promised) = oneshot::channel();
            state.waiting.push_back(Waiting { since: Instant::now(), promise });
            self.make_what_is_needed(&mut state);
            promised
        };
        match tokio::time::timeout(self.timeout, promised).await {
            Ok(Ok(Ok(seat))) => Ok(seat),
            Ok(Ok(Err(NotMade::Failed(error)))) => Err(TransportError::Connect(error.into())),
            Ok(Ok(Err(NotMade::NoHttp2(error)))) => Err(TransportError::NoHttp2(error.into())),
            Ok(Ok(Err(NotMade::TooSlow(timeout)))) => Err(TransportError::ConnectTimeout(timeout)),
            // What cannot be: a promise that is not kept is answered.
            Ok(Err(gone)) => Err(TransportError::Connect(gone.into())),
            Err(_) => Err(TransportError::ConnectTimeout(self.timeout)),
        }
    }

    /// Hands room out to those who wait for it.
    pub(super) fn hand_out(self: &Arc<Self>) {
        let mut unwanted = Vec::new();
        let mut state = self.state();
        loop {
            // Those who went away want nothing.
            while state.waiting.front().is_some_and(|waiting| waiting.promise.is_closed()) {
                state.waiting.pop_front();
            }
            if state.waiting.is_empty() {
                break;
            }
            let Some(seat) = M::free(&mut state.made, self) else { break };
            let waiting = state.waiting.pop_front();
            // Dropped below: a place on a connection that calls share is given back by that, which locks this once more.
            unwanted.extend(waiting.and_then(|waiting| waiting.promise.send(Ok(seat)).err()));
        }
        self.make_what_is_needed(&mut state);
        drop(state);
    }

    fn make_what_is_needed(self: &Arc<Self>, state: &mut State<M>) {
        while state.making * state.room < state.waiting.len() {
            // Nobody needs one for those who went away.
            state.waiting.retain(|waiting| !waiting.promise.is_closed());
            if state.making * state.room >= state.waiting.len() {
                return;
            }
            state.making += 1;
            tokio::spawn(Arc::clone(self).make_one());
        }
    }

    async fn make_one(self: Arc<Self>) {
        let (making, begun) = (Making(Arc::clone(&self)), Instant::now());
        let made = tokio::time::timeout(self.timeout, self.connect()).await;
        drop(making);
        let failed = {
            let mut state = self.state();
            match made.unwrap_or(Err(NotMade::TooSlow(self.timeout))) {
                Ok(made) => {
                    state.room = made.room().max(1);
                    state.made.push(made);
                    None
                }
                Err(error) => {
                    let told = state.told_of(&error, begun);
                    Some((error, told))
                }
            }
        };
        if let Some((error, told)) = failed {
            told.into_iter().for_each(|waiting| drop(waiting.promise.send(Err(error.clone()))));
        }
        self.hand_out();
    }

    async fn connect(self: &Arc<Self>) -> Result<M, NotMade> {
        let connection = self.connector.clone().call(self.address.clone()).await;
        let connection = connection.map_err(|error| NotMade::because(error, M::VERSION))?;
        M::over(connection, self).await
    }

    /// What it has and who waits. A seat that locks this when it is dropped must not be dropped meanwhile.
    pub(super) fn state(&self) -> MutexGuard<'_, State<M>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<M: Made> State<M> {
    /// Those who wait and are to hear of `error`, which has ended what was begun then: for the others there are connections in the making.
    fn told_of(&mut self, error: &NotMade, begun: Instant) -> Vec<Waiting<M>> {
        self.waiting.retain(|waiting| !waiting.promise.is_closed());
        let left = self.waiting.len().saturating_sub(self.making * self.room).min(self.room);
        // Who came later has not waited for so long.
        let is_told = |waiting: &&Waiting<M>| !matches!(error, NotMade::TooSlow(_)) || waiting.since <= begun;
        let told = self.waiting.iter().take(left).take_while(is_told).count();
        self.waiting.drain(..told).collect()
    }
}

/// A connection that is being made, whatever becomes of whoever makes it.
struct Making<M: Made>(Arc<Host<M>>);

impl<M: Made> Drop for Making<M> {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.making = state.making.saturating_sub(1);
    }
}

impl NotMade {
    pub(super) fn no_http2(error: BoxError) -> Self {
        Self::NoHttp2(error.into())
    }

    /// What has kept a connection from being made on which `version` would be spoken.
    pub(super) fn because(error: BoxError, version: Version) -> Self {
        match error.downcast::<TooSlow>() {
            Ok(too_slow) => Self::TooSlow(too_slow.0),
            Err(error) if version == Version::HTTP_2 && offers_no_http2(&*error) => Self::no_http2(error),
            Err(error) => Self::Failed(error.into()),
        }
    }
}

/// Whether the upstream has said so itself in the TLS handshake, or has said something else in plain text.
fn offers_no_http2(error: &(dyn Error + Send + Sync + 'static)) -> bool {
    let mut source: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(cause) = source {
        let told = cause.downcast_ref::<rustls::Error>();
        if let Some(rustls::Error::AlertReceived(rustls::AlertDescription::NoApplicationProtocol)) = told {
            return true;
        }
        if let Some(error) = cause.downcast_ref::<h2::Error>() {
            return !error.is_io();
        }
        // What an I/O error was made of is not its source, but has one.
        let inner = cause.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        source = inner.map_or_else(|| cause.source(), |inner| Some(inner));
    }
    false
}
