//! Answers that are there already: in the cache, or being made for another call with the same request.

mod key;
mod wish;

pub(super) use key::of_call;

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::{StreamExt, stream};
use tokio::time::Instant;
use tower::{Layer, Service};

use super::flight::{self, Airborne, Keeping, Plan, Reader};
use super::{Call, Reply, Tallied, Tally};
use crate::domain::{Answer, CallId, Error, Event, FinishReason, KeptAnswer, ModelName, Origin, PicoUsd, Reason};
use crate::protocol::Delivery;
use crate::route::Tables;
use crate::store::{Age, AnswerKey, AnswerSettings, Answers, Owner, Whose};
use crate::telemetry::{CallTrace, Work};
use wish::Wish;

/// What all workers share of it. Clones are the same.
#[derive(Clone, Debug)]
pub struct Reuse(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    settings: AnswerSettings,
    answers: Answers,
    /// What is being made, each under a number of its own.
    airborne: Mutex<HashMap<Course, (u64, Airborne)>>,
    launched: AtomicU64,
    tally: Tally,
}

impl Reuse {
    /// What `answers` has, as `settings` say. `tally` counts.
    pub fn new(settings: AnswerSettings, answers: Answers, tally: Tally) -> Self {
        Self(Arc::new(Inner { settings, answers, airborne: Mutex::default(), launched: AtomicU64::new(0), tally }))
    }

    /// The answers that are kept.
    pub fn answers(&self) -> &Answers {
        &self.0.answers
    }

    /// Whether calls are answered from the cache where they do not say so themselves.
    pub fn is_enabled(&self) -> bool {
        self.0.settings.enabled
    }

    /// What was done since the start.
    pub fn tallied(&self) -> Tallied {
        self.0.tally.now()
    }

    fn airborne(&self) -> MutexGuard<'_, HashMap<Course, (u64, Airborne)>> {
        self.0.airborne.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The events of an answer that was kept.
    fn hit(&self, id: CallId, kept: KeptAnswer) -> Reply {
        self.0.tally.call(Origin::Hit);
        let events = kept.events(id, Origin::Hit);
        events.iter().for_each(|event| self.0.tally.told(event));
        Reply::new(stream::iter(events.into_iter().map(Ok)))
    }
}

/// What calls must have in common to be given an answer while it is made: beside what shapes it, what may end it before it
/// is complete, and what may begin it anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Course {
    key: AnswerKey,
    max_cost: Option<PicoUsd>,
    restarts: bool,
}

impl Course {
    fn of(call: &Call, key: AnswerKey) -> Self {
        let restarts = call.request.restart_on_interruption && call.delivery == Delivery::Stream;
        Self { key, max_cost: call.request.max_cost, restarts }
    }
}

/// Puts the answers before what makes them.
#[derive(Clone, Debug)]
pub(super) struct Reusing {
    reuse: Reuse,
    tables: Tables,
    total: Duration,
}

impl Reusing {
    pub(super) fn new(reuse: Reuse, tables: Tables, total: Duration) -> Self {
        Self { reuse, tables, total }
    }
}

impl<S> Layer<S> for Reusing {
    type Service = Reused<S>;

    fn layer(&self, inner: S) -> Reused<S> {
        Reused { inner, with: self.clone() }
    }
}

/// A service whose answers are given again.
#[derive(Clone, Debug)]
pub(super) struct Reused<S> {
    inner: S,
    with: Reusing,
}

impl<S> Service<Call> for Reused<S>
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
        let wish = Wish::of(&call.request, &self.with.reuse.0.settings);
        let key = wish.as_ref().and_then(|_| self.with.key(&call));
        let (Some(wish), Some(key)) = (wish, key) else {
            if wish::only_cached(&call.request) {
                let error = if self.with.reuse.is_enabled() { missing() } else { switched_off() };
                return Box::pin(std::future::ready(Err(error)));
            }
            self.with.reuse.0.tally.call(Origin::Bypassed);
            return Box::pin(self.inner.call(call));
        };
        let (with, inner) = (self.with.clone(), self.inner.clone());
        Box::pin(async move {
            // Where it takes a while to look for an answer, one that is made meanwhile would be missed and made twice.
            if with.reuse.answers().is_shared()
                && let Some(reader) = with.join(Course::of(&call, key), &wish)
            {
                return with.joined(reader, (call.id, &call.trace)).await;
            }
            let (kept, age) = with.find(key, &call, &wish).await;
            if let Some(kept) = kept {
                return Ok(with.reuse.hit(call.id, kept));
            }
            if wish.only {
                with.reuse.0.tally.call(Origin::Missed);
                return Err(missing());
            }
            let course = Course::of(&call, key);
            with.fly(inner, call, course, (&wish, age)).await
        })
    }
}

impl Reusing {
    fn key(&self, call: &Call) -> Option<AnswerKey> {
        let request = &call.request;
        let shape = self.tables.current().shape(request.model.as_ref(), &request.fallback_models)?;
        key::of_answer(request, call.caller.name.as_str(), &shape)
    }

    /// The answer that is kept, and how old one is that is begun now.
    async fn find(&self, key: AnswerKey, call: &Call, wish: &Wish) -> (Option<KeptAnswer>, Age) {
        let answers = self.reuse.answers();
        // In memory it takes no time that a span would show.
        let _span = answers.is_shared().then(|| call.trace.work(Work::CacheLookup));
        if !wish.asks {
            return (None, answers.age(key).await);
        }
        let model = call.request.model.as_ref().map_or("", ModelName::as_str);
        answers.find(key, Whose { caller: call.caller.name.as_str(), model }, wish.max_age).await
    }

    /// Joins what is being made for another call.
    fn join(&self, course: Course, wish: &Wish) -> Option<Reader> {
        (wish.asks && !wish.only).then(|| self.reuse.airborne().get(&course)?.1.read()).flatten()
    }

    /// Joins what is being made for another call, or begins to make it.
    async fn fly<S>(&self, inner: S, call: Call, course: Course, (wish, age): (&Wish, Age)) -> Result<Reply, Error>
    where
        S: Service<Call, Response = Reply, Error = Error> + Send + 'static,
        S::Future: Send + 'static,
    {
        let id = call.id;
        let trace = call.trace.clone();
        let (reader, joined) = {
            // Held until the flight can be found, so that there is one.
            let mut airborne = self.reuse.airborne();
            let other = airborne.get(&course).filter(|_| wish.asks).and_then(|(_, flight)| flight.read());
            match other {
                Some(reader) => (reader, true),
                None => {
                    let listed = Listed::new(&self.reuse, course);
                    let number = listed.number;
                    let (flight, reader) = self.launch(inner, call, listed, (wish.ttl, age));
                    airborne.insert(course, (number, flight));
                    (reader, false)
                }
            }
        };
        if joined {
            return self.joined(reader, (id, &trace)).await;
        }
        self.reuse.0.tally.call(Origin::Missed);
        Ok(self.told(reader.begun().await?, id, Origin::Missed))
    }

    async fn joined(&self, reader: Reader, (id, trace): (CallId, &CallTrace)) -> Result<Reply, Error> {
        trace.joins(reader.maker());
        self.reuse.0.tally.call(Origin::Coalesced);
        Ok(self.told(reader.begun().await?, id, Origin::Coalesced))
    }

    fn told(&self, reader: Reader, id: CallId, origin: Origin) -> Reply {
        let tally = self.reuse.0.tally.clone();
        Reply::new(reader.map(move |event| {
            let event = event.map(|event| told(event, id, origin))?;
            tally.told(&event);
            Ok(event)
        }))
    }

    fn launch<S>(&self, mut inner: S, mut call: Call, listed: Listed, (ttl, age): (Duration, Age)) -> (Airborne, Reader)
    where
        S: Service<Call, Response = Reply, Error = Error> + Send + 'static,
        S::Future: Send + 'static,
    {
        // Its first caller's deadline is not that of the others.
        (call.received, call.patience) = (Instant::now(), Some(self.total));
        let (keep, maker) = (Arc::clone(&call.keep), call.trace.maker());
        let caller = call.caller.name.to_string();
        let model = call.request.model.as_ref().map(ToString::to_string).unwrap_or_default();
        let landed = move |answer: &Answer| -> Option<Keeping> {
            if !is_lasting(answer.end.finish.reason) {
                return None;
            }
            let owner = Owner { caller, model };
            let keeping = listed.reuse.answers().keep(listed.course.key, owner, KeptAnswer::of(answer), ttl, age)?;
            Some(Box::pin(async move {
                keeping.await;
                // Whoever comes now finds it there, and until now found the flight.
                drop(listed);
            }))
        };
        let until = call.received + self.total;
        let plan = Plan { until, stays: false, maker, keep, landed: Box::new(landed) };
        flight::launch(async move { inner.call(call).await }, plan)
    }
}

/// The entry under which a flight is found; dropped, it is found no more.
struct Listed {
    reuse: Reuse,
    course: Course,
    number: u64,
}

impl Listed {
    fn new(reuse: &Reuse, course: Course) -> Self {
        Self { reuse: reuse.clone(), course, number: reuse.0.launched.fetch_add(1, Ordering::Relaxed) }
    }
}

impl Drop for Listed {
    fn drop(&mut self) {
        let mut airborne = self.reuse.airborne();
        if airborne.get(&self.course).is_some_and(|(number, _)| *number == self.number) {
            airborne.remove(&self.course);
        }
    }
}

/// Whether an answer that ended so would end so again.
fn is_lasting(reason: FinishReason) -> bool {
    match reason {
        FinishReason::Stop
        | FinishReason::StopSequence
        | FinishReason::MaxTokens
        | FinishReason::ContextWindow
        | FinishReason::ToolCalls
        | FinishReason::ContentFilter
        | FinishReason::Refusal => true,
        // A part of an answer, for reasons that are not the request's, or nobody knows why.
        FinishReason::Pause | FinishReason::CostLimit | FinishReason::Other => false,
    }
}

/// An event as the call `id` is told it.
pub(super) fn told(event: Event, id: CallId, origin: Origin) -> Event {
    match event {
        Event::Started(mut started) => {
            started.origin = origin;
            Event::Started(started)
        }
        Event::Completed(mut end) => {
            match origin {
                Origin::Bypassed | Origin::Missed => end.origin = origin,
                Origin::Hit | Origin::Coalesced | Origin::Replayed(_) => *end = end.spared(id, origin),
            }
            Event::Completed(end)
        }
        other => other,
    }
}

fn missing() -> Error {
    Error::new(Reason::CacheMiss, "the cache has no answer to this request, and `cache.mode` is ONLY_IF_CACHED")
}

/// The same for a server that keeps no answers: what is asked for is never there.
fn switched_off() -> Error {
    let message = "this server keeps no answers (its `cache.enabled` is false), and `cache.mode` is ONLY_IF_CACHED";
    Error::new(Reason::CacheMiss, message)
}
