//! What goes through the pipeline: a call, and the events that come back.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::Stream;
use tokio::time::Instant;

use crate::callers::Caller;
use crate::domain::{Answer, CallId, Error, Event, Request};
use crate::pool::Ledger;
use crate::protocol::Delivery;
use crate::telemetry::CallTrace;

/// What is held for a call as long as anything is made for it, also when its caller has gone.
pub trait Keep: fmt::Debug + Send + Sync {
    /// What was made for it has ended so. Whether anybody has waited for it is not known here.
    fn ended(&self, how: Result<&Answer, &Error>);
}

/// Holds nothing.
#[derive(Clone, Copy, Debug)]
pub struct Nothing;

impl Keep for Nothing {
    fn ended(&self, _: Result<&Answer, &Error>) {}
}

/// A call.
#[derive(Debug)]
pub struct Call {
    /// Our id of it.
    pub id: CallId,
    /// Who calls.
    pub caller: Arc<Caller>,
    /// What is asked. In a box: a call is handed on from layer to layer.
    pub request: Box<Request>,
    /// Whether its caller wants the answer as it is made or whole.
    pub delivery: Delivery,
    /// When it came.
    pub received: Instant,
    /// How long its caller waits, from then on; none: as long as it takes.
    pub patience: Option<Duration>,
    /// How often the caller's own client has sent it before: gRPC clients that try again by themselves say so.
    pub previous_attempts: u32,
    /// What was tried for it.
    pub ledger: Ledger,
    /// Makes the spans of attempts.
    pub trace: CallTrace,
    /// What is held for it.
    pub keep: Arc<dyn Keep>,
}

/// Events, or what ended them.
pub type Events = Pin<Box<dyn Stream<Item = Result<Event, Error>> + Send>>;

/// An answer. It is not over when it is returned: whatever was taken for it is given back when the events end or are
/// dropped.
pub struct Reply {
    events: Events,
}

impl Reply {
    /// An answer of these events.
    pub fn new(events: impl Stream<Item = Result<Event, Error>> + Send + 'static) -> Self {
        Self { events: Box::pin(events) }
    }
}

impl Stream for Reply {
    type Item = Result<Event, Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.events.as_mut().poll_next(context)
    }
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reply").finish_non_exhaustive()
    }
}
