//! How well an endpoint is, learned from the attempts at it, and what an attempt holds while it runs.
//!
//! A fault is charged to what is at fault: the key, which all models of an account share; the endpoint; its limits; or
//! nobody here, where the request was wrong.

mod breaker;
mod concurrency;
mod fault;
mod latency;
mod limits;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::domain::{Allowance, Error, Reason};
use crate::protocol::Delivery;
pub(super) use breaker::Breaker;
use breaker::{Admits, Pass};
use concurrency::Concurrency;
use fault::{Fault, fault};
use latency::Latency;
use limits::Limits;

pub use breaker::BreakerState;
pub use concurrency::ConcurrencyRule;

/// What is known about one endpoint, shared by all workers.
#[derive(Debug)]
pub struct Health {
    key: Arc<Mutex<Breaker>>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    breaker: Breaker,
    concurrency: Concurrency,
    limits: Limits,
    streamed: Latency,
    whole: Latency,
    in_flight: u32,
    sent: u64,
    failed: u64,
    last_error: Option<(Reason, Instant)>,
}

/// An endpoint as a choice sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Whether it may be asked.
    pub access: Access,
    /// Attempts in flight.
    pub in_flight: u32,
    /// How long it takes to begin an answer; none: not known yet.
    pub latency: Option<Duration>,
    /// Whether little is left of its rate limits: others are asked first.
    pub is_short: bool,
}

/// Whether an endpoint may be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// It may.
    Free,
    /// By one call, to see whether it is well again.
    Probe,
    /// Its provider asked to wait.
    Held {
        /// Until then.
        until: Instant,
    },
    /// Its breaker is open, or that of its key.
    Ejected {
        /// Until the next probe.
        until: Instant,
    },
    /// As many attempts are in flight as may be.
    Full,
}

/// By which right an endpoint is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Right {
    /// Its standing allows it.
    Standing,
    /// Nothing else is left: the last endpoint is never ejected.
    LastResort,
}

/// What an attempt holds: its place among those in flight, and its pass through the breakers. How it ended is told
/// once; dropped, it was given up.
#[derive(Debug)]
#[must_use = "the place is given back when it is dropped"]
pub struct Lease {
    health: Arc<Health>,
    delivery: Delivery,
    key: Pass,
    own: Pass,
    sent: Instant,
    accepted: bool,
    settled: bool,
}

/// How an attempt ended, as far as its endpoint's health is concerned.
#[derive(Clone, Copy, Debug)]
pub(super) enum Settled<'a> {
    /// It answered.
    Finished,
    /// It failed.
    Failed(&'a Error),
    /// It was given up.
    Dropped,
}

/// What an operator sees of an endpoint.
#[derive(Clone, Debug, PartialEq)]
pub struct HealthReport {
    /// Its own breaker.
    pub breaker: BreakerState,
    /// The breaker of its key.
    pub key: BreakerState,
    /// Attempts in flight.
    pub in_flight: u32,
    /// The most of them; none: without a limit.
    pub limit: Option<u32>,
    /// The moving average of the time to the first event of streamed answers.
    pub latency: Option<Duration>,
    /// Attempts so far.
    pub sent: u64,
    /// How many of them failed.
    pub failed: u64,
    /// The last failure, and how long ago it was.
    pub last_error: Option<(Reason, Duration)>,
    /// How much longer its provider wants to be left alone.
    pub held_for: Option<Duration>,
    /// What is left of its rate limits.
    pub left: Allowance,
}

impl Health {
    pub(super) fn new(key: Arc<Mutex<Breaker>>, rule: ConcurrencyRule) -> Self {
        let state = State {
            breaker: Breaker::new(),
            concurrency: Concurrency::new(rule),
            limits: Limits::default(),
            streamed: Latency::default(),
            whole: Latency::default(),
            in_flight: 0,
            sent: 0,
            failed: 0,
            last_error: None,
        };
        Self { key, state: Mutex::new(state) }
    }

    /// How it stands at `now` for an answer by `delivery`.
    pub fn standing(&self, delivery: Delivery, now: Instant) -> Standing {
        let key = lock(&self.key).admits(now);
        let state = self.state();
        Standing {
            access: state.access(key, now),
            in_flight: state.in_flight,
            latency: state.latency(delivery).estimate(now),
            is_short: state.limits.is_short(now),
        }
    }

    /// Takes a place for an attempt that is sent at `now`; none when its standing has changed, or it is full.
    pub fn lease(self: &Arc<Self>, delivery: Delivery, right: Right, now: Instant) -> Option<Lease> {
        let mut key = lock(&self.key);
        let mut state = self.state();
        let (key, own) = match state.access(key.admits(now), now) {
            Access::Full => return None,
            Access::Free | Access::Probe => {
                let of_key = key.take(now)?;
                let Some(own) = state.breaker.take(now) else {
                    key.unknown(of_key, now);
                    return None;
                };
                (of_key, own)
            }
            Access::Held { .. } | Access::Ejected { .. } if right == Right::Standing => return None,
            Access::Held { .. } | Access::Ejected { .. } => {
                (key.take(now).unwrap_or(Pass::LastResort), state.breaker.take(now).unwrap_or(Pass::LastResort))
            }
        };
        state.in_flight = state.in_flight.saturating_add(1);
        state.sent = state.sent.saturating_add(1);
        state.limits.sent();
        let health = Arc::clone(self);
        Some(Lease { health, delivery, key, own, sent: now, accepted: false, settled: false })
    }

    /// The time within which this share (0 to 1) of the recent answers by `delivery` began; none: too few are known.
    pub fn quantile(&self, delivery: Delivery, share: f64) -> Option<Duration> {
        self.state().latency(delivery).quantile(share)
    }

    /// The shortest time in which a recent answer by `delivery` began; none: too few are known.
    pub fn fastest(&self, delivery: Delivery) -> Option<Duration> {
        self.state().latency(delivery).fastest()
    }

    /// What an operator sees.
    pub fn report(&self, now: Instant) -> HealthReport {
        let key = lock(&self.key).state(now);
        let state = self.state();
        HealthReport {
            breaker: state.breaker.state(now),
            key,
            in_flight: state.in_flight,
            limit: state.concurrency.limit(),
            latency: state.streamed.estimate(now).or_else(|| state.whole.estimate(now)),
            sent: state.sent,
            failed: state.failed,
            last_error: state.last_error.map(|(reason, at)| (reason, now.saturating_duration_since(at))),
            held_for: state.limits.held_until(now).map(|until| until.saturating_duration_since(now)),
            left: state.limits.left(now),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

impl State {
    fn access(&self, key: Admits, now: Instant) -> Access {
        if self.concurrency.limit().is_some_and(|limit| self.in_flight >= limit) {
            return Access::Full;
        }
        match (key, self.breaker.admits(now)) {
            (Admits::None { until: one }, Admits::None { until: other }) => {
                return Access::Ejected { until: one.max(other) };
            }
            (Admits::None { until }, _) | (_, Admits::None { until }) => return Access::Ejected { until },
            _ if self.limits.held_until(now).is_some() => {}
            (Admits::Probe, _) | (_, Admits::Probe) => return Access::Probe,
            (Admits::All, Admits::All) => {}
        }
        self.limits.held_until(now).map_or(Access::Free, |until| Access::Held { until })
    }

    /// An attempt ended without a first event. Only one that was waited for says how slow the endpoint is at least: a
    /// quick refusal says nothing.
    fn wait_was_in_vain(&mut self, how: Settled<'_>, delivery: Delivery, waited: Duration, now: Instant) {
        let silent = match how {
            Settled::Failed(error) => error.reason == Reason::ProviderTimeout,
            Settled::Dropped => true,
            Settled::Finished => false,
        };
        if silent {
            self.latency_mut(delivery).at_least(waited, now);
        }
    }

    fn latency(&self, delivery: Delivery) -> &Latency {
        match delivery {
            Delivery::Stream => &self.streamed,
            Delivery::Whole => &self.whole,
        }
    }

    fn latency_mut(&mut self, delivery: Delivery) -> &mut Latency {
        match delivery {
            Delivery::Stream => &mut self.streamed,
            Delivery::Whole => &mut self.whole,
        }
    }
}

impl Lease {
    /// The first event came: the endpoint works, whatever becomes of this answer.
    pub(super) fn accepted(&mut self, now: Instant) {
        if std::mem::replace(&mut self.accepted, true) {
            return;
        }
        if self.key != Pass::Regular {
            lock(&self.health.key).succeeded(self.key, now);
            self.key = Pass::Regular;
        }
        let mut state = self.health.state();
        if self.own != Pass::Regular {
            state.breaker.succeeded(self.own, now);
            self.own = Pass::Regular;
        }
        state.latency_mut(self.delivery).observe(now.saturating_duration_since(self.sent), now);
    }

    /// The headers of the answer told what is left.
    pub(super) fn learn(&self, allowance: &Allowance, now: Instant) {
        self.health.state().limits.learn(allowance, now);
    }

    /// Tells how the attempt ended and gives its place back. Only the first word counts.
    pub(super) fn settle(&mut self, how: Settled<'_>, now: Instant) {
        if std::mem::replace(&mut self.settled, true) {
            return;
        }
        // The locks are taken one after the other and never together with those of another endpoint.
        let mut key = lock(&self.health.key);
        let mut state = self.health.state();
        let age = now.saturating_duration_since(self.sent);
        if !self.accepted && !matches!(how, Settled::Finished) {
            state.wait_was_in_vain(how, self.delivery, age, now);
        }
        match how {
            Settled::Finished => {
                key.succeeded(self.key, now);
                state.breaker.succeeded(self.own, now);
                let in_flight = state.in_flight;
                state.concurrency.succeeded(in_flight);
            }
            Settled::Dropped => {
                key.unknown(self.key, now);
                state.breaker.unknown(self.own, now);
            }
            Settled::Failed(error) => {
                state.failed = state.failed.saturating_add(1);
                state.last_error = Some((error.reason, now));
                charge(fault(error), (&mut key, self.key), (&mut state, self.own), now);
                if fault::is_overload(error) {
                    state.concurrency.overloaded(age, now);
                }
            }
        }
        state.in_flight = state.in_flight.saturating_sub(1);
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.settle(Settled::Dropped, Instant::now());
    }
}

/// Charges a fault to what is at fault; for the others the attempt says nothing.
fn charge(fault: Fault, key: (&mut Breaker, Pass), own: (&mut State, Pass), now: Instant) {
    let ((key, key_pass), (state, own_pass)) = (key, own);
    match fault {
        Fault::Key(severity) => {
            key.failed(key_pass, severity, now);
            state.breaker.unknown(own_pass, now);
        }
        Fault::Endpoint(severity) => {
            key.unknown(key_pass, now);
            state.breaker.failed(own_pass, severity, now);
        }
        Fault::Limit { hold } => {
            // It answers, so it is well, though it wants to be left alone.
            key.succeeded(key_pass, now);
            state.breaker.succeeded(own_pass, now);
            if let Some(hold) = hold {
                state.limits.hold(hold, now);
            }
        }
        Fault::Request => {
            key.succeeded(key_pass, now);
            state.breaker.succeeded(own_pass, now);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
