//! A stream on its way to a client that may not take it.
//!
//! hyper does not poll a body while its client's window is full, so a stream cannot notice by itself that its client
//! takes nothing, that its deadline has passed, nor that the server stops. A watch for each worker does: it looks at
//! every stream once a second and takes the reply out of one that must end, which frees the upstream and every permit
//! at once, even if the client never reads the status that waits for it.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::task::{Context, Poll, Wake, Waker, ready};
use std::time::Duration;

use futures_util::Stream;
use futures_util::task::AtomicWaker;
use tokio::time::Instant;
use tonic::Status;

use super::convert;
use super::told::Told;
use crate::domain::{Error, Event, Reason};
use crate::edge::Drain;
use crate::pipeline::Reply;
use crate::proto;
use crate::telemetry::{Waiting, Waits};

/// How often streams are looked at.
const ROUND: Duration = Duration::from_secs(1);

/// The streams of one worker.
#[derive(Clone, Debug)]
pub struct Watch {
    streams: Arc<Mutex<Vec<Weak<Mutex<Slot>>>>>,
    client_stall: Duration,
}

/// A stream to a client.
#[derive(Debug)]
pub(crate) struct Watched {
    slot: Arc<Mutex<Slot>>,
}

/// What a stream is made of, where the watch can reach it.
#[derive(Debug)]
struct Slot {
    /// Before `told`, as fields are dropped in their order: what the reply used is on record when the end is told.
    state: State,
    told: Told,
    sequence: i64,
    /// When the caller's own deadline passes.
    until: Option<Instant>,
    turn: Arc<Turn>,
    /// Tells `turn` that there is something to take.
    waker: Waker,
    /// The round that first found it to be the client's turn; none: it is ours.
    waiting: Option<Instant>,
    /// What the call waits for, its client among it.
    waits: Waits,
    client: Option<Waiting>,
}

/// Whose turn it is.
#[derive(Debug)]
struct Turn {
    /// The client's: it was given an event, or another is ready, and it does not ask for it.
    is_clients: AtomicBool,
    task: AtomicWaker,
}

#[derive(Debug)]
enum State {
    /// Events come.
    Running(Reply),
    /// It was ended from outside; the client is still to be told.
    Ended(Box<Status>),
    /// The client knows how it ended.
    Over,
}

impl Watch {
    /// A watch that ends streams whose clients take nothing for `client_stall`.
    pub fn new(client_stall: Duration) -> Self {
        Self { streams: Arc::default(), client_stall }
    }

    /// Sends `reply` to a client, which `told` describes and which waits `until` then.
    pub(super) fn send(&self, reply: Reply, told: Told, until: Option<Instant>) -> Watched {
        let turn = Arc::new(Turn { is_clients: AtomicBool::new(true), task: AtomicWaker::new() });
        let waker = Waker::from(Arc::clone(&turn));
        let state = State::Running(reply);
        let waits = told.waits();
        let slot = Slot { state, told, sequence: 0, until, turn, waker, waiting: None, waits, client: None };
        let slot = Arc::new(Mutex::new(slot));
        self.lock().push(Arc::downgrade(&slot));
        Watched { slot }
    }

    /// Looks at the streams until the drain ends them all. Runs as long as its worker.
    pub async fn run(self, drain: Drain) {
        loop {
            tokio::select! {
                () = tokio::time::sleep(ROUND) => self.round(Instant::now()),
                () = drain.ending() => break,
            }
        }
        // A call that was let in just before may still become a stream.
        loop {
            self.visit(|slot| slot.end(|| Error::new(Reason::ShuttingDown, "the server stops")));
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    fn round(&self, now: Instant) {
        let patience = self.client_stall;
        self.visit(|slot| {
            if !slot.turn.is_clients.load(Ordering::Relaxed) {
                return;
            }
            let since = *slot.waiting.get_or_insert(now);
            if slot.until.is_some_and(|until| until <= now) {
                slot.end(|| Error::new(Reason::DeadlineExceeded, "the caller's deadline passed while it took nothing"));
            } else if now.duration_since(since) >= patience {
                slot.end(|| Error::new(Reason::ClientStalled, format!("the client took nothing for {patience:?}")));
            }
        });
    }

    fn visit(&self, mut look: impl FnMut(&mut Slot)) {
        self.lock().retain(|stream| match stream.upgrade() {
            Some(slot) => {
                look(&mut slot.lock().unwrap_or_else(PoisonError::into_inner));
                true
            }
            None => false,
        });
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Weak<Mutex<Slot>>>> {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Slot {
    /// Gives up the reply, and with it everything that was taken for it.
    fn end(&mut self, why: impl FnOnce() -> Error) {
        if matches!(self.state, State::Running(_)) {
            // The reply goes first, so that what it used is on record, and then the end: the client may never ask for it.
            self.state = State::Over;
            self.state = State::Ended(Box::new(self.told.status(why())));
            self.told.give_back();
            self.turn.task.wake();
        }
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<proto::StreamCompleteResponse, Status>>> {
        self.turn.task.register(context.waker());
        self.turn.is_clients.store(false, Ordering::Relaxed);
        (self.waiting, self.client) = (None, None);
        let polled = match &mut self.state {
            State::Running(reply) => Pin::new(reply).poll_next(&mut Context::from_waker(&self.waker)),
            State::Ended(_) => Poll::Ready(None),
            State::Over => return Poll::Ready(None),
        };
        let event = ready!(polled);
        self.turn.is_clients.store(true, Ordering::Relaxed);
        Poll::Ready(match (event, std::mem::replace(&mut self.state, State::Over)) {
            (Some(Ok(event)), running) => {
                self.state = running;
                let sequence = self.sequence;
                self.sequence += 1;
                self.told.said(&event);
                if let Event::Completed(outcome) = &event {
                    self.told.completed(outcome);
                }
                let event = convert::event(&self.told.id, event, sequence, self.told.view);
                // Until it asks for the next one.
                self.client = Some(self.waits.begin());
                Some(Ok(event))
            }
            (Some(Err(error)), running) => {
                // Whatever runs still is on record only when it is given up, and the client is told what it used.
                drop(running);
                Some(Err(self.told.status(error)))
            }
            (None, State::Ended(status)) => Some(Err(*status)),
            (None, _) => None,
        })
    }
}

impl Wake for Turn {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.is_clients.store(true, Ordering::Relaxed);
        self.task.wake();
    }
}

impl Stream for Watched {
    type Item = Result<proto::StreamCompleteResponse, Status>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.slot.lock().unwrap_or_else(PoisonError::into_inner).poll(context)
    }
}
