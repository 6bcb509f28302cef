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

use super::flight::{self, Airborne, Plan, Reader};
use super::{Call, Reply};
use crate::domain::{Answer, CallId, Error, Event, FinishReason, KeptAnswer, Origin, PicoSum, Reason, Request};
use crate::route::Tables;
use crate::store::{AnswerKey, AnswerSettings, Answers, Owner};
use wish::Wish;

/// What all workers share of it. Clones are the same.
#[derive(Clone, Debug)]
pub struct Reuse(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    settings: AnswerSettings,
    answers: Answers,
    /// What is being made, each under a number of its own.
    airborne: Mutex<HashMap<AnswerKey, (u64, Airborne)>>,
    launched: AtomicU64,
    counts: Counts,
}

/// What was done since the start.
#[derive(Debug, Default)]
struct Counts {
    hits: AtomicU64,
    misses: AtomicU64,
    coalesced: AtomicU64,
    saved: Mutex<PicoSum>,
}

/// What was done since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReuseCounts {
    /// Calls that were answered from the cache.
    pub hits: u64,
    /// Calls that could have been and were not.
    pub misses: u64,
    /// Calls that were answered by what was being made for another one.
    pub coalesced: u64,
    /// What these would have cost.
    pub saved: PicoSum,
}

impl Reuse {
    /// Nothing is there yet.
    pub fn new(settings: AnswerSettings) -> Self {
        let answers = Answers::new(settings.max_bytes);
        Self(Arc::new(Inner {
            settings,
            answers,
            airborne: Mutex::default(),
            launched: AtomicU64::new(0),
            counts: Counts::default(),
        }))
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
    pub fn counts(&self) -> ReuseCounts {
        let Counts { hits, misses, coalesced, saved } = &self.0.counts;
        ReuseCounts {
            hits: hits.load(Ordering::Relaxed),
            misses: misses.load(Ordering::Relaxed),
            coalesced: coalesced.load(Ordering::Relaxed),
            saved: *saved.lock().unwrap_or_else(PoisonError::into_inner),
        }
    }

    fn airborne(&self) -> MutexGuard<'_, HashMap<AnswerKey, (u64, Airborne)>> {
        self.0.airborne.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn save(&self, event: &Event) {
        let Event::Completed(end) = event else { return };
        if let Some(cost) = end.saved.as_ref().and_then(|saved| saved.cost.as_ref()) {
            *self.0.counts.saved.lock().unwrap_or_else(PoisonError::into_inner) += PicoSum::from(cost.amount);
        }
    }

    /// The events of an answer that was kept.
    fn hit(&self, id: CallId, kept: KeptAnswer) -> Reply {
        self.0.counts.hits.fetch_add(1, Ordering::Relaxed);
        let events = kept.events(id, Origin::Hit);
        events.iter().for_each(|event| self.save(event));
        Reply::new(stream::iter(events.into_iter().map(Ok)))
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
        let key = wish.as_ref().and_then(|_| self.with.key(&call.request));
        let (Some(wish), Some(key)) = (wish, key) else {
            return match wish::only_cached(&call.request) {
                true => Box::pin(std::future::ready(Err(missing()))),
                false => Box::pin(self.inner.call(call)),
            };
        };
        let (with, inner) = (self.with.clone(), self.inner.clone());
        Box::pin(async move {
            if wish.asks
                && let Some(kept) = with.reuse.answers().find(key, wish.max_age)
            {
                return Ok(with.reuse.hit(call.id, kept));
            }
            with.reuse.0.counts.misses.fetch_add(1, Ordering::Relaxed);
            if wish.only {
                return Err(missing());
            }
            with.fly(inner, call, key, &wish).await
        })
    }
}

impl Reusing {
    fn key(&self, request: &Request) -> Option<AnswerKey> {
        let shape = self.tables.current().shape(request.model.as_ref(), &request.fallback_models)?;
        key::of_answer(request, "", &shape)
    }

    /// Joins what is being made for another call, or begins to make it.
    async fn fly<S>(&self, inner: S, call: Call, key: AnswerKey, wish: &Wish) -> Result<Reply, Error>
    where
        S: Service<Call, Response = Reply, Error = Error> + Send + 'static,
        S::Future: Send + 'static,
    {
        let id = call.id;
        let (reader, joined) = {
            // Held until the flight can be found, so that there is one.
            let mut airborne = self.reuse.airborne();
            let other = airborne.get(&key).filter(|_| wish.asks).and_then(|(_, flight)| flight.read());
            match other {
                Some(reader) => (reader, true),
                None => {
                    let listed = Listed::new(&self.reuse, key);
                    let number = listed.number;
                    let (flight, reader) = self.launch(inner, call, listed, wish.ttl);
                    airborne.insert(key, (number, flight));
                    (reader, false)
                }
            }
        };
        if joined {
            self.reuse.0.counts.coalesced.fetch_add(1, Ordering::Relaxed);
        }
        let reader = reader.begun().await?;
        Ok(self.told(reader, id, joined))
    }

    fn told(&self, reader: Reader, id: CallId, joined: bool) -> Reply {
        let (reuse, origin) = (self.reuse.clone(), if joined { Origin::Coalesced } else { Origin::Missed });
        Reply::new(reader.map(move |event| {
            let event = event.map(|event| told(event, id, origin))?;
            if joined {
                reuse.save(&event);
            }
            Ok(event)
        }))
    }

    fn launch<S>(&self, mut inner: S, mut call: Call, listed: Listed, ttl: Duration) -> (Airborne, Reader)
    where
        S: Service<Call, Response = Reply, Error = Error> + Send + 'static,
        S::Future: Send + 'static,
    {
        // Its first caller's deadline is not that of the others.
        (call.received, call.patience) = (Instant::now(), Some(self.total));
        let keep = Arc::clone(&call.keep);
        let model = call.request.model.as_ref().map(ToString::to_string).unwrap_or_default();
        let age = self.reuse.answers().age();
        let landed = move |answer: &Answer| {
            if is_lasting(answer.end.finish.reason) {
                let owner = Owner { caller: String::new(), model };
                listed.reuse.answers().keep(listed.key, owner, KeptAnswer::of(answer), ttl, age);
            }
            // Whoever comes now finds it there.
            drop(listed);
        };
        let until = call.received + self.total;
        let plan = Plan { until, stays: false, keep, landed: Box::new(landed) };
        flight::launch(async move { inner.call(call).await }, plan)
    }
}

/// The entry under which a flight is found; dropped, it is found no more.
struct Listed {
    reuse: Reuse,
    key: AnswerKey,
    number: u64,
}

impl Listed {
    fn new(reuse: &Reuse, key: AnswerKey) -> Self {
        Self { reuse: reuse.clone(), key, number: reuse.0.launched.fetch_add(1, Ordering::Relaxed) }
    }
}

impl Drop for Listed {
    fn drop(&mut self) {
        let mut airborne = self.reuse.airborne();
        if airborne.get(&self.key).is_some_and(|(number, _)| *number == self.number) {
            airborne.remove(&self.key);
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
