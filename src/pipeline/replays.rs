//! A call that is sent again under its caller's own id: it joins the one that runs, or gets the answer that was made.

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::{StreamExt, stream};
use moka::sync::Cache;
use tokio::time::Instant;
use tower::{Layer, Service};

use super::answers::{of_call, told};
use super::flight::{self, Airborne, Plan, Reader};
use super::{Call, Reply};
use crate::domain::{Answer, CallId, Error, KeptAnswer, OnDisconnect, Origin, Reason, RequestId};

/// The calls whose ids are known: no more answers than that have room.
const MOST_CALLS: u64 = 100_000;

/// What all workers share of it. Clones are the same.
#[derive(Clone, Debug)]
pub struct Replays(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    running: Mutex<HashMap<RequestId, Running>>,
    finished: Cache<RequestId, Arc<Finished>>,
    /// The ids of the calls that these answers were made for.
    calls: Cache<CallId, RequestId>,
    /// Answers to calls without such an id.
    alone: Cache<CallId, Arc<KeptAnswer>>,
}

/// A call that runs.
#[derive(Clone, Debug)]
struct Running {
    first: CallId,
    body: [u8; 32],
    flight: Airborne,
}

/// One that is complete.
#[derive(Debug)]
struct Finished {
    first: CallId,
    body: [u8; 32],
    answer: KeptAnswer,
    bytes: u32,
}

impl Replays {
    /// None is known yet; answers are kept for `keep` after their end, in at most `max_bytes`.
    pub fn new(keep: Duration, max_bytes: u64) -> Self {
        let finished = Cache::builder()
            .max_capacity(max_bytes)
            .weigher(|_, finished: &Arc<Finished>| finished.bytes)
            .time_to_live(keep)
            // The newest is the one that is sent again.
            .eviction_policy(moka::policy::EvictionPolicy::lru())
            .build();
        let calls = Cache::builder().max_capacity(MOST_CALLS).time_to_live(keep).build();
        let alone = Cache::builder()
            .max_capacity(max_bytes)
            .weigher(|_, kept: &Arc<KeptAnswer>| u32::try_from(kept.bytes()).unwrap_or(u32::MAX))
            .time_to_live(keep)
            .eviction_policy(moka::policy::EvictionPolicy::lru())
            .build();
        Self(Arc::new(Inner { running: Mutex::default(), finished, calls, alone }))
    }

    /// The latest call with this id.
    pub fn call(&self, id: RequestId) -> Option<CallId> {
        let running = self.running().get(&id).map(|running| running.first);
        running.or_else(|| self.0.finished.get(&id).map(|finished| finished.first))
    }

    /// Keeps the answer to a call that has no id of its caller's: it is found by ours.
    pub fn keep(&self, call: CallId, answer: &Answer) {
        self.0.alone.insert(call, Arc::new(KeptAnswer::of(answer)));
    }

    /// The answer that was made for this call.
    pub fn answer(&self, call: CallId) -> Option<Answer> {
        if let Some(kept) = self.0.alone.get(&call) {
            return Some(KeptAnswer::clone(&kept).answer(call, Origin::Replayed(call)));
        }
        let id = self.0.calls.get(&call)?;
        // A later call with the same id has an answer of its own.
        let finished = self.0.finished.get(&id).filter(|finished| finished.first == call)?;
        Some(finished.answer.clone().answer(finished.first, Origin::Replayed(finished.first)))
    }

    fn running(&self) -> MutexGuard<'_, HashMap<RequestId, Running>> {
        self.0.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Puts what was made before what is to be made.
#[derive(Clone, Debug)]
pub(super) struct Replaying {
    replays: Replays,
    total: Duration,
}

impl Replaying {
    pub(super) fn new(replays: Replays, total: Duration) -> Self {
        Self { replays, total }
    }
}

impl<S> Layer<S> for Replaying {
    type Service = Replayed<S>;

    fn layer(&self, inner: S) -> Replayed<S> {
        Replayed { inner, with: self.clone() }
    }
}

/// A service whose calls may be sent again.
#[derive(Clone, Debug)]
pub(super) struct Replayed<S> {
    inner: S,
    with: Replaying,
}

impl<S> Service<Call> for Replayed<S>
where
    S: Service<Call, Response = Reply, Error = Error> + Clone + Send + 'static,
    S::Future: Send + 'static,
{
    type Response = Reply;
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Result<Reply, Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, call: Call) -> Self::Future {
        let known = call.request.request_id.zip(of_call(&call.request));
        let Some((id, body)) = known else { return Box::pin(self.inner.call(call)) };
        let found = self.with.find_or_launch(&self.inner, call, id, body);
        Box::pin(async move {
            match found? {
                Found::Whole(reply) => Ok(reply),
                Found::Running(reader, None) => Ok(Reply::new(reader.begun().await?)),
                Found::Running(reader, Some(first)) => {
                    let reader = reader.begun().await?;
                    let again = move |event| told(event, first, Origin::Replayed(first));
                    Ok(Reply::new(reader.map(move |event| event.map(again))))
                }
            }
        })
    }
}

enum Found {
    /// The answer.
    Whole(Reply),
    /// It is being made; for which other call, if for one.
    Running(Reader, Option<CallId>),
}

impl Replaying {
    fn find_or_launch<S>(&self, inner: &S, call: Call, id: RequestId, body: [u8; 32]) -> Result<Found, Error>
    where
        S: Service<Call, Response = Reply, Error = Error> + Clone + Send + 'static,
        S::Future: Send + 'static,
    {
        // Held until the flight can be found, so that there is one.
        let mut running = self.replays.running();
        if let Some(other) = running.get(&id)
            && let Some(reader) = other.flight.read()
        {
            is_same(&other.body, &body)?;
            return Ok(Found::Running(reader, Some(other.first)));
        }
        if let Some(finished) = self.replays.0.finished.get(&id) {
            is_same(&finished.body, &body)?;
            let events = finished.answer.clone().events(finished.first, Origin::Replayed(finished.first));
            return Ok(Found::Whole(Reply::new(stream::iter(events.into_iter().map(Ok)))));
        }
        let first = call.id;
        let listed = Listed { replays: self.replays.clone(), id, first, body };
        let (flight, reader) = self.launch(inner.clone(), call, listed);
        running.insert(id, Running { first, body, flight });
        Ok(Found::Running(reader, None))
    }

    fn launch<S>(&self, mut inner: S, mut call: Call, listed: Listed) -> (Airborne, Reader)
    where
        S: Service<Call, Response = Reply, Error = Error> + Send + 'static,
        S::Future: Send + 'static,
    {
        // Who sends it again has a deadline of its own.
        (call.received, call.patience) = (Instant::now(), Some(self.total));
        let keep = Arc::clone(&call.keep);
        let stays = call.request.on_disconnect == OnDisconnect::Finish;
        let landed = Box::new(move |answer: &Answer| listed.land(answer));
        let until = call.received + self.total;
        flight::launch(async move { inner.call(call).await }, Plan { until, stays, keep, landed })
    }
}

/// The entry under which a running call is found; dropped, it is found no more.
struct Listed {
    replays: Replays,
    id: RequestId,
    first: CallId,
    body: [u8; 32],
}

impl Listed {
    fn land(self, answer: &Answer) {
        let (answer, id) = (KeptAnswer::of(answer), self.id);
        let bytes = u32::try_from(answer.bytes()).unwrap_or(u32::MAX);
        let finished = Finished { first: self.first, body: self.body, answer, bytes };
        self.replays.0.calls.insert(self.first, id);
        self.replays.0.finished.insert(id, Arc::new(finished));
    }
}

impl Drop for Listed {
    fn drop(&mut self) {
        let mut running = self.replays.running();
        if running.get(&self.id).is_some_and(|running| running.first == self.first) {
            running.remove(&self.id);
        }
    }
}

fn is_same(one: &[u8; 32], other: &[u8; 32]) -> Result<(), Error> {
    if one == other {
        return Ok(());
    }
    let message =
        "`request_id` was used for another request; only `labels` and `user` may differ when a call is sent again";
    Err(Error::new(Reason::RequestIdReused, message))
}
