//! How well an endpoint is, learned from the attempts at it.
//!
//! A fault is charged to what is at fault: the key, which all models of an account share; the endpoint; its limits; or
//! nobody here, where the request was wrong.

mod breaker;
mod concurrency;
mod fault;
mod fleet;
mod latency;
mod lease;
mod limits;
mod standing;
#[cfg(test)]
mod tests;
mod window;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::domain::Reason;
use crate::protocol::Delivery;
use breaker::Admits;
pub(super) use breaker::Breaker;
use concurrency::Concurrency;
use latency::Latency;
pub(super) use lease::Settled;
use lease::{Allotted, Passes};
use limits::Limits;

pub use breaker::BreakerState;
pub use concurrency::ConcurrencyRule;
pub use fleet::{FleetLimits, Heard, LimitNews};
pub use lease::Lease;
pub use limits::LONGEST_HOLD;
pub use standing::{Access, HealthReport, Right, Standing};

/// What is known about one endpoint, shared by all workers.
///
/// The lock of the key is taken before that of the endpoint, and never those of two endpoints at a time.
#[derive(Debug)]
pub struct Health {
    key: Arc<Mutex<Breaker>>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    breaker: Breaker,
    /// Of refusals for the rate alone. It ejects nobody and only puts others first: an endpoint that asks for no pause, or
    /// for too short a one, would be asked first by every call, and each would pay for going elsewhere.
    rate: Breaker,
    concurrency: Concurrency,
    limits: Limits,
    streamed: Latency,
    whole: Latency,
    in_flight: u32,
    sent: u64,
    failed: u64,
    last_error: Option<(Reason, Instant)>,
}

impl Health {
    pub(super) fn new(key: Arc<Mutex<Breaker>>, rule: ConcurrencyRule) -> Self {
        let state = State {
            breaker: Breaker::new(),
            rate: Breaker::new(),
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
            limited_until: state.rate.admits(now).opens_at(),
        }
    }

    /// Takes a place for an attempt that is sent at `now`; none when its standing has changed, or it is full.
    pub fn lease(self: &Arc<Self>, delivery: Delivery, right: Right, now: Instant) -> Option<Lease> {
        let mut key = lock(&self.key);
        let mut state = self.state();
        match (state.access(key.admits(now), now), right) {
            (Access::Full, _)
            | (Access::Held { .. } | Access::Ejected { .. } | Access::LockedOut { .. }, Right::Standing) => {
                return None;
            }
            (Access::Free | Access::Probe, _)
            | (Access::Held { .. } | Access::Ejected { .. } | Access::LockedOut { .. }, Right::LastResort) => {}
        }
        let passes = Passes { key: key.take(now), own: state.breaker.take(now), rate: state.rate.take(now) };
        state.in_flight = state.in_flight.saturating_add(1);
        state.sent = state.sent.saturating_add(1);
        let number = state.limits.sent(now);
        let health = Arc::clone(self);
        Some(Lease {
            health,
            delivery,
            passes,
            number,
            sent: now,
            accepted: false,
            settled: false,
            allotted: Allotted::All,
        })
    }

    /// The time within which this share (0 to 1) of the recent answers by `delivery` began; none: too few are known.
    pub fn quantile(&self, delivery: Delivery, share: f64, now: Instant) -> Option<Duration> {
        self.state().latency(delivery).quantile(share, now)
    }

    /// Whether `left` is too little time for an answer by `delivery` to begin in. Now and then it is not, whatever is known,
    /// so that a time that has become shorter is noticed.
    pub fn is_out_of_reach(&self, delivery: Delivery, left: Duration, now: Instant) -> bool {
        self.state().latency_mut(delivery).is_out_of_reach(left, now)
    }

    /// Whether any attempt has ever begun to be answered.
    pub(super) fn has_answered(&self) -> bool {
        let state = self.state();
        state.streamed.is_measured() || state.whole.is_measured()
    }

    /// What an operator sees.
    pub fn report(&self, now: Instant) -> HealthReport {
        let (key, key_admits) = {
            let key = lock(&self.key);
            (key.state(now), key.admits(now))
        };
        let state = self.state();
        let ejected = key_admits.max(state.breaker.admits(now)).opens_at();
        HealthReport {
            breaker: state.breaker.state(now),
            key,
            probe_after: ejected.map(|until| until.saturating_duration_since(now)),
            in_flight: state.in_flight,
            limit: state.concurrency.limit(),
            latency: state.streamed.last().or_else(|| state.whole.last()),
            sent: state.sent,
            failed: state.failed,
            last_error: state.last_error.map(|(reason, at)| (reason, now.saturating_duration_since(at))),
            held_for: state.limits.held_until(now).map(|until| until.saturating_duration_since(now)),
            left: state.limits.left(now),
        }
    }

    /// Attempts so far, and what other processes do not know yet of its limits. Of what has never answered nothing is told
    /// but that it is to be left alone, and what is sent to it where the others know it: callers may ask for any name, and each
    /// would be kept by all.
    pub(super) fn limit_news(&self, now: Instant) -> (u64, Option<LimitNews>) {
        let has_answered = self.has_answered();
        let mut state = self.state();
        let is_known = has_answered || state.limits.is_shared();
        let news = state.limits.news(now).filter(|news| is_known || news.hold.is_some());
        (state.sent, news)
    }

    /// The processes together know nothing of its limits.
    pub(super) fn is_unknown_elsewhere(&self) {
        self.state().limits.is_unknown_elsewhere();
    }

    /// All processes together know this of its limits; they were asked at `asked`.
    pub(super) fn agree(&self, fleet: &FleetLimits, asked: Instant) {
        self.state().limits.agree(fleet, asked);
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
        let own = self.breaker.admits(now);
        match (key.max(own), self.limits.held_until(now)) {
            (Admits::None { until }, _) if key > own => Access::LockedOut { until },
            (Admits::None { until }, _) => Access::Ejected { until },
            (Admits::All | Admits::Probe, Some(until)) => Access::Held { until },
            (Admits::Probe, None) => Access::Probe,
            (Admits::All, None) => Access::Free,
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

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
