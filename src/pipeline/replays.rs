//! A call that is sent again under its caller's own id: it joins the one that runs, or gets the answer that was made.

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};

use futures_util::{StreamExt, stream};
use tokio::time::Instant;
use tower::{Layer, Service};

use super::answers::{of_call, told};
use super::flight::{self, Airborne, Keeping, Plan, Reader};
use super::{Call, Reply, Tally};
use crate::domain::{Answer, CallId, Error, Event, KeptAnswer, OnDisconnect, Origin, Owned, Reason, RequestId};
use crate::store::{Claim, Finished, Health, Met, Named};
use crate::telemetry::Work;

/// How long a call waits before it looks again whether another process has made its answer.
const LOOKS_AGAIN: Duration = Duration::from_millis(200);
/// How long it goes on waiting when the server that they share does not answer: longer than a claim lasts there.
const WAITS_IN_VAIN: Duration = Duration::from_secs(6);

/// What all workers share of it. Clones are the same.
#[derive(Clone, Debug)]
pub struct Replays(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    running: Mutex<HashMap<Owned<RequestId>, Running>>,
    finished: Finished,
    tally: Tally,
}

/// A call that runs.
#[derive(Clone, Debug)]
struct Running {
    first: CallId,
    body: [u8; 32],
    flight: Airborne,
}

/// A call of another process, or one of which only the answer is known.
#[derive(Debug)]
pub enum Elsewhere {
    /// It runs there.
    Running(CallId),
    /// It is complete; when it ended, where that is known.
    Finished(Box<Answer>, Option<SystemTime>),
}

impl Replays {
    /// Calls that run are known here, and those that have ended in `finished`. `tally` counts.
    pub fn new(finished: Finished, tally: Tally) -> Self {
        Self(Arc::new(Inner { running: Mutex::default(), finished, tally }))
    }

    /// The latest call with this id that this process knows.
    pub fn call(&self, id: Owned<RequestId>) -> Option<CallId> {
        let running = self.running().get(&id).map(|running| running.first);
        running.or_else(|| self.0.finished.named(id).map(|named| named.call))
    }

    /// The answer that was made for this call, where this process has it.
    pub fn answer(&self, call: Owned<CallId>) -> Option<Answer> {
        self.0.finished.answer(call).map(|answer| replayed(call.id, answer))
    }

    /// What other processes know of the call that its caller calls so.
    pub async fn call_elsewhere(&self, id: Owned<RequestId>) -> Option<Elsewhere> {
        let found = self.0.finished.look_up(id).await?;
        match found.runs {
            true => Some(Elsewhere::Running(found.named.call)),
            false => self.answer_elsewhere(id.with(found.named.call)).await,
        }
    }

    /// The answer of this call, whoever has made it.
    pub async fn answer_elsewhere(&self, call: Owned<CallId>) -> Option<Elsewhere> {
        if let Some(answer) = self.answer(call) {
            return Some(Elsewhere::Finished(Box::new(answer), None));
        }
        let (answer, made) = self.0.finished.fetch(call).await?;
        Some(Elsewhere::Finished(Box::new(replayed(call.id, answer)), Some(made)))
    }

    /// Keeps the answer to a call that has no id of its caller's: it is found by ours, by every process that shares.
    pub async fn keep(&self, call: Owned<CallId>, answer: &Answer) {
        let answer = KeptAnswer::of(answer);
        let sharing = self.0.finished.share(call, &answer);
        self.0.finished.keep(call, answer);
        if let Some(sharing) = sharing {
            sharing.await;
        }
    }

    /// Gives back what other processes wait for, before this one ends.
    pub async fn end(&self) {
        self.0.finished.end().await;
    }

    /// How the server is that processes share them on; none: they share nothing.
    pub fn health(&self) -> Option<Health> {
        self.0.finished.health()
    }

    fn running(&self) -> MutexGuard<'_, HashMap<Owned<RequestId>, Running>> {
        self.0.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn replayed(call: CallId, answer: KeptAnswer) -> Answer {
    answer.answer(call, Origin::Replayed(call))
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
        let known = call.request.request_id.map(|id| Owned::new(&call.caller.name, id));
        let Some((id, body)) = known.and_then(|id| Some((id, of_call(&call.request)?))) else {
            return Box::pin(self.inner.call(call));
        };
        let found = self.with.find_or_launch(&self.inner, call, (id, body));
        let tally = self.with.replays.0.tally.clone();
        Box::pin(async move {
            match found? {
                Found::Whole(reply) => Ok(reply),
                Found::Made(reader) => Ok(Reply::new(reader.begun().await?)),
                Found::Running(reader, first) => {
                    tally.call(Origin::Replayed(first));
                    let reader = reader.begun().await?;
                    Ok(Reply::new(reader.map(move |event| {
                        let event = as_again(event?, first);
                        tally.told(&event);
                        Ok(event)
                    })))
                }
            }
        })
    }
}

/// What is found under an id.
enum Found {
    /// The answer.
    Whole(Reply),
    /// It is being made for another call.
    Running(Reader, CallId),
    /// It is being made for this one.
    Made(Reader),
}

/// The events of an answer that the call `first` was given.
fn again(first: CallId, kept: KeptAnswer, tally: &Tally) -> Reply {
    let origin = Origin::Replayed(first);
    tally.call(origin);
    let events = kept.events(first, origin);
    events.iter().for_each(|event| tally.told(event));
    Reply::new(stream::iter(events.into_iter().map(Ok)))
}

/// An event of the call `first` as one is told it that was sent again; where that one was such a call itself, it is left
/// as it is.
fn as_again(event: Event, first: CallId) -> Event {
    let origin = match &event {
        Event::Started(started) => started.origin,
        Event::Completed(end) => end.origin,
        _ => return event,
    };
    match origin {
        Origin::Replayed(_) => event,
        _ => told(event, first, Origin::Replayed(first)),
    }
}

impl Replaying {
    fn find_or_launch<S>(&self, inner: &S, call: Call, (id, body): (Owned<RequestId>, [u8; 32])) -> Result<Found, Error>
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
            call.trace.joins(reader.maker());
            return Ok(Found::Running(reader, other.first));
        }
        let finished = &self.replays.0.finished;
        if let Some(named) = finished.named(id)
            && let Some(answer) = finished.answer(id.with(named.call))
        {
            is_same(&named.body, &body)?;
            return Ok(Found::Whole(again(named.call, answer, &self.replays.0.tally)));
        }
        let first = call.id;
        let listed = Listed { replays: self.replays.clone(), id, named: Named { call: first, body } };
        let (flight, reader) = self.launch(inner.clone(), call, listed);
        running.insert(id, Running { first, body, flight });
        Ok(Found::Made(reader))
    }

    fn launch<S>(&self, mut inner: S, mut call: Call, listed: Listed) -> (Airborne, Reader)
    where
        S: Service<Call, Response = Reply, Error = Error> + Send + 'static,
        S::Future: Send + 'static,
    {
        // Who sends it again has a deadline of its own.
        (call.received, call.patience) = (Instant::now(), Some(self.total));
        let (keep, maker) = (Arc::clone(&call.keep), call.trace.maker());
        let trace = call.trace.clone();
        let stays = call.request.on_disconnect == OnDisconnect::Finish;
        let until = call.received + self.total;
        let (replays, id, named) = (listed.replays.clone(), listed.id, listed.named);
        let claimed = Arc::<Mutex<Option<Claim>>>::default();
        let held = Arc::clone(&claimed);
        let making = async move {
            // In memory it takes no time that a span would show.
            let span = replays.health().map(|_| trace.work(Work::ReplayLookup));
            let claimed = replays.claim(id, named).await?;
            drop(span);
            match claimed {
                Claimed::Made(reply) => Ok(reply),
                Claimed::Here(claim) => {
                    *held.lock().unwrap_or_else(PoisonError::into_inner) = claim;
                    inner.call(call).await
                }
            }
        };
        let landed = Box::new(move |answer: &Answer| {
            let claim = claimed.lock().unwrap_or_else(PoisonError::into_inner).take();
            listed.land(answer, claim)
        });
        flight::launch(making, Plan { until, stays, maker, keep, landed })
    }
}

/// Who makes a call.
enum Claimed {
    /// This process; with a claim, where processes share what they know.
    Here(Option<Claim>),
    /// Another one has, and this is the answer.
    Made(Reply),
}

impl Replays {
    /// Waits until no other process makes the call, and claims it unless its answer is there.
    async fn claim(&self, id: Owned<RequestId>, named: Named) -> Result<Claimed, Error> {
        let mut last_answer: Option<Instant> = None;
        loop {
            match self.0.finished.claim(id, named).await {
                None => return Ok(Claimed::Here(None)),
                Some(Met::Nobody(claim)) => return Ok(Claimed::Here(Some(claim))),
                Some(Met::Ended(other, answer)) => {
                    is_same(&other.body, &named.body)?;
                    self.0.finished.keep(id.with(other.call), (*answer).clone());
                    self.0.finished.name(id, other);
                    return Ok(Claimed::Made(again(other.call, *answer, &self.0.tally)));
                }
                Some(Met::Running(other)) => {
                    is_same(&other.body, &named.body)?;
                    last_answer = Some(Instant::now());
                }
                // Without the server each process knows its own calls only. One that runs elsewhere still does for a while.
                Some(Met::NoAnswer) if last_answer.is_none_or(|at| at.elapsed() > WAITS_IN_VAIN) => {
                    return Ok(Claimed::Here(None));
                }
                Some(Met::NoAnswer) => {}
            }
            tokio::time::sleep(LOOKS_AGAIN).await;
        }
    }
}

/// The entry under which a running call is found; dropped, it is found no more.
struct Listed {
    replays: Replays,
    id: Owned<RequestId>,
    named: Named,
}

impl Listed {
    fn land(self, answer: &Answer, claim: Option<Claim>) -> Option<Keeping> {
        // What another process has made is kept already, as the answer that it was.
        if matches!(answer.end.origin, Origin::Replayed(_)) {
            return None;
        }
        let finished = &self.replays.0.finished;
        let answer = KeptAnswer::of(answer);
        let sharing = claim.and_then(|claim| finished.share_claimed(claim, &answer));
        finished.keep(self.id.with(self.named.call), answer);
        finished.name(self.id, self.named);
        sharing.map(|sharing| -> Keeping { Box::pin(sharing) })
    }
}

impl Drop for Listed {
    /// It does not run any more. Where it has no answer its caller may still ask what became of it.
    fn drop(&mut self) {
        let finished = &self.replays.0.finished;
        if finished.named(self.id).is_none_or(|named| finished.answer(self.id.with(named.call)).is_none()) {
            finished.name(self.id, self.named);
        }
        let mut running = self.replays.running();
        if running.get(&self.id).is_some_and(|running| running.first == self.named.call) {
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
