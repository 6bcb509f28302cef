//! An upstream, the connections to it, and the calls that wait for one.
//!
//! Who finds no room waits in a queue, and as many connections are made as the queue needs, each by a task that no call can
//! take with it when it is given up. A place goes to the first who waits, whether a connection was made or a call has ended; what
//! kept a connection from being made is told to those for whom it was made.

use std::collections::VecDeque;
use std::error::Error;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::uri::Scheme;
use http::{Uri, Version};
use hyper_util::client::legacy::connect::Connection as _;
use rustls::ClientConfig;
use tokio::sync::oneshot;
use tower::Service;

use super::shared::{STREAMS, Seat, Shared};
use crate::count::Count;
use crate::transport::connector::{Connector, TooSlow};
use crate::transport::{BoxError, TransportError};

/// An upstream.
#[derive(Debug)]
pub(super) struct Host {
    address: Uri,
    connector: Connector,
    /// How long a connection may take to be made.
    timeout: Duration,
    /// How long an unused one is kept, at most.
    pub(super) idle: Duration,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    made: Vec<Arc<Shared>>,
    /// How many calls a connection takes, as the last one said when it was made.
    room: usize,
    /// How many are being made.
    making: usize,
    /// Who waits, in the order in which they came.
    waiting: VecDeque<oneshot::Sender<Result<Seat, NotMade>>>,
}

/// Why there is no connection.
#[derive(Clone, Debug)]
enum NotMade {
    TooSlow(Duration),
    NoHttp2(Arc<dyn Error + Send + Sync>),
    Failed(Arc<dyn Error + Send + Sync>),
}

impl Host {
    pub(super) fn new(address: Uri, trust: ClientConfig, (timeout, idle): (Duration, Duration), open: Count) -> Self {
        let connector = Connector::new(trust, Version::HTTP_2, timeout, open);
        let state = State { made: Vec::new(), room: STREAMS, making: 0, waiting: VecDeque::new() };
        Self { address, connector, timeout, idle, state: Mutex::new(state) }
    }

    /// Room for a call, within the time that a connection may take. Who joins those for whom one is being made shares its fate.
    pub(super) async fn seat(self: &Arc<Self>) -> Result<Seat, TransportError> {
        let promised = {
            let mut state = self.state();
            if let Some(seat) = state.free(self) {
                return Ok(seat);
            }
            let (promise, promised) = oneshot::channel();
            state.waiting.push_back(promise);
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
            while state.waiting.front().is_some_and(oneshot::Sender::is_closed) {
                state.waiting.pop_front();
            }
            if state.waiting.is_empty() {
                break;
            }
            let Some(seat) = state.free(self) else { break };
            let promise = state.waiting.pop_front();
            // Given back below: a place that is dropped locks this once more.
            unwanted.extend(promise.and_then(|promise| promise.send(Ok(seat)).err()));
        }
        self.make_what_is_needed(&mut state);
        drop(state);
    }

    /// Lets nobody have this connection any more.
    pub(super) fn forget(&self, gone: &Arc<Shared>) {
        self.state().made.retain(|shared| !Arc::ptr_eq(shared, gone));
    }

    /// The same, if no call has it, and none has had it since it was asked last; whether it is so.
    pub(super) fn forgets_unused(&self, shared: &Arc<Shared>) -> bool {
        // Places are taken behind this lock, so that none is while this looks.
        let mut state = self.state();
        let is_unused = shared.is_unused();
        if is_unused {
            state.made.retain(|one| !Arc::ptr_eq(one, shared));
        }
        is_unused
    }

    fn make_what_is_needed(self: &Arc<Self>, state: &mut State) {
        while state.making * state.room < state.waiting.len() {
            // Nobody needs one for those who went away.
            state.waiting.retain(|promise| !promise.is_closed());
            if state.making * state.room >= state.waiting.len() {
                return;
            }
            state.making += 1;
            tokio::spawn(Arc::clone(self).make_one());
        }
    }

    async fn make_one(self: Arc<Self>) {
        let making = Making(Arc::clone(&self));
        let made = tokio::time::timeout(self.timeout, self.connect()).await;
        drop(making);
        let failed = {
            let mut state = self.state();
            match made.unwrap_or(Err(NotMade::TooSlow(self.timeout))) {
                Ok(shared) => {
                    state.room = shared.most().max(1);
                    state.made.push(shared);
                    None
                }
                Err(error) => {
                    // Those for whom it was made; the others may have more luck.
                    let told = state.room.min(state.waiting.len());
                    Some((error, state.waiting.drain(..told).collect::<Vec<_>>()))
                }
            }
        };
        if let Some((error, told)) = failed {
            told.into_iter().for_each(|promise| drop(promise.send(Err(error.clone()))));
        }
        self.hand_out();
    }

    async fn connect(self: &Arc<Self>) -> Result<Arc<Shared>, NotMade> {
        let connection = self.connector.clone().call(self.address.clone()).await.map_err(NotMade::from)?;
        if self.address.scheme() == Some(&Scheme::HTTPS) && !connection.connected().is_negotiated_h2() {
            return Err(NotMade::no_http2("TLS was made without it".into()));
        }
        Shared::over(connection, self).await.map_err(NotMade::from)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection that is being made, whatever becomes of whoever makes it.
struct Making(Arc<Host>);

impl Drop for Making {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.making = state.making.saturating_sub(1);
    }
}

impl State {
    /// Room where there is a connection: on the first that has some, so that the last ones fall idle.
    fn free(&self, host: &Arc<Host>) -> Option<Seat> {
        self.made.iter().find_map(|shared| shared.seat(host))
    }
}

impl NotMade {
    fn no_http2(error: BoxError) -> Self {
        Self::NoHttp2(error.into())
    }
}

impl From<BoxError> for NotMade {
    fn from(error: BoxError) -> Self {
        match error.downcast::<TooSlow>() {
            Ok(too_slow) => Self::TooSlow(too_slow.0),
            Err(error) if offers_no_http2(&*error) => Self::no_http2(error),
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
