//! What an attempt holds at its endpoint while it runs, and what the endpoint's health learns from how it went.

use std::sync::Arc;

use tokio::time::Instant;

use super::breaker::{Breaker, Pass, Severity};
use super::fault::{self, Fault};
use super::latency::LATE;
use super::limits::Number;
use super::{Health, State, lock};
use crate::domain::{Allowance, Error, Reason};
use crate::protocol::Delivery;

/// The share of its recent first events within which an endpoint is as fast as usual.
const USUAL: f64 = 0.95;

/// What an attempt holds: its place among those in flight, and its passes through the breakers. How it ended is told
/// once; dropped, it was given up.
#[derive(Debug)]
#[must_use = "the place is given back when it is dropped"]
pub struct Lease {
    pub(super) health: Arc<Health>,
    pub(super) delivery: Delivery,
    pub(super) passes: Passes,
    pub(super) number: Number,
    pub(super) sent: Instant,
    pub(super) accepted: bool,
    pub(super) settled: bool,
    pub(super) allotted: Allotted,
}

/// How long the attempt may be silent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Allotted {
    /// As long as the endpoint's own timeouts say.
    All,
    /// Less: its call has little time left, of which others shall have a share too.
    Share,
}

/// The passes of one attempt: through the breaker of the key, and through those of the endpoint.
#[derive(Debug)]
pub(super) struct Passes {
    pub key: Pass,
    pub own: Pass,
    pub rate: Pass,
}

/// How an attempt ended, as far as its endpoint's health is concerned.
#[derive(Clone, Copy, Debug)]
pub(in crate::pool) enum Settled<'a> {
    /// It answered.
    Finished,
    /// It failed.
    Failed(&'a Error),
    /// It was given up.
    Dropped,
}

impl Lease {
    /// The attempt may be silent for less than the endpoint's own timeouts say. Such a silence is charged only when it is
    /// long by the endpoint's own measure: a caller in a hurry must not take an endpoint away from all others.
    pub fn in_haste(mut self) -> Self {
        self.allotted = Allotted::Share;
        self
    }

    /// The first event came: the endpoint works, whatever becomes of this answer. The breakers hear of it now, not at
    /// the end of an answer that may take minutes.
    pub(in crate::pool) fn accepted(&mut self, now: Instant) {
        if self.settled || std::mem::replace(&mut self.accepted, true) {
            return;
        }
        let mut key = lock(&self.health.key);
        let mut state = self.health.state();
        key.accepted(&mut self.passes.key, now);
        state.breaker.accepted(&mut self.passes.own, now);
        state.rate.accepted(&mut self.passes.rate, now);
        state.latency_mut(self.delivery).observe(now.saturating_duration_since(self.sent), now);
    }

    /// The headers of the answer told what is left.
    pub(in crate::pool) fn learn(&self, allowance: &Allowance, now: Instant) {
        self.health.state().limits.learn(self.number, allowance, now);
    }

    /// Tells how the attempt ended and gives its place back. Only the first word counts.
    pub(in crate::pool) fn settle(&mut self, how: Settled<'_>, now: Instant) {
        if std::mem::replace(&mut self.settled, true) {
            return;
        }
        let mut key = lock(&self.health.key);
        let mut state = self.health.state();
        match how {
            Settled::Finished => {
                self.passes.succeeded(&mut key, &mut state, now);
                let in_flight = state.in_flight;
                state.concurrency.succeeded(in_flight);
            }
            Settled::Dropped => {
                self.passes.unknown(&mut key, &mut state, now);
            }
            Settled::Failed(error) => {
                state.failed = state.failed.saturating_add(1);
                state.last_error = Some((error.reason, now));
                let told = !self.was_cut_off(error, &state, now);
                let fault = if told { fault::fault(error) } else { Fault::Elsewhere };
                self.passes.failed(fault, &mut key, &mut state, now);
                if told && fault::is_overload(error) {
                    state.concurrency.overloaded(now.saturating_duration_since(self.sent), now);
                }
            }
        }
        if !self.accepted && how.is_silence() {
            state.latency_mut(self.delivery).at_least(now.saturating_duration_since(self.sent), now);
        }
        state.in_flight = state.in_flight.saturating_sub(1);
    }

    /// Whether the silence that ended the attempt says more about its caller's deadline than about the endpoint: it is
    /// shorter than what the endpoint is known to take, or would be noticed in one that nobody knows; or others were
    /// answered in the meantime, so that it was the request that takes longer. How long it takes after its first event is
    /// never known.
    fn was_cut_off(&self, error: &Error, state: &State, now: Instant) -> bool {
        if self.allotted == Allotted::All || error.reason != Reason::ProviderTimeout {
            return false;
        }
        let latency = state.latency(self.delivery);
        if !self.accepted && latency.has_answered_since(self.sent) {
            return true;
        }
        let usual = latency.quantile(USUAL, now);
        let long = usual.map_or(LATE, |usual| if self.accepted { usual.max(LATE) } else { usual });
        now.saturating_duration_since(self.sent) < long
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if !self.settled {
            self.settle(Settled::Dropped, Instant::now());
        }
    }
}

impl Settled<'_> {
    /// Whether somebody waited until then. A quick refusal says nothing about how slow the endpoint is.
    fn is_silence(self) -> bool {
        match self {
            Self::Failed(error) => error.reason == Reason::ProviderTimeout,
            Self::Dropped => true,
            Self::Finished => false,
        }
    }
}

impl Passes {
    fn succeeded(&mut self, key: &mut Breaker, state: &mut State, now: Instant) {
        self.well(key, state, now);
        state.rate.succeeded(&mut self.rate, now);
    }

    /// It works, whether or not there are too many calls.
    fn well(&mut self, key: &mut Breaker, state: &mut State, now: Instant) {
        key.succeeded(&mut self.key, now);
        state.breaker.succeeded(&mut self.own, now);
    }

    fn unknown(&self, key: &mut Breaker, state: &mut State, now: Instant) {
        key.unknown(&self.key, now);
        state.breaker.unknown(&self.own, now);
        state.rate.unknown(&self.rate, now);
    }

    /// Charges a fault to what is at fault. Of the rest the attempt says nothing, unless it shows that it works.
    fn failed(&mut self, fault: Fault, key: &mut Breaker, state: &mut State, now: Instant) {
        match fault {
            Fault::Key(severity) => {
                key.failed(&self.key, severity, now);
                state.breaker.unknown(&self.own, now);
                state.rate.unknown(&self.rate, now);
            }
            Fault::Endpoint(severity) => {
                key.unknown(&self.key, now);
                state.breaker.failed(&self.own, severity, now);
                state.rate.unknown(&self.rate, now);
            }
            Fault::Limit { hold, of_all } => {
                // It answers, so it is well, though it wants to be left alone.
                self.well(key, state, now);
                match of_all {
                    true => state.rate.failed(&self.rate, Severity::Chance, now),
                    false => state.rate.unknown(&self.rate, now),
                }
                if let Some(hold) = hold {
                    state.limits.hold(hold, now);
                }
            }
            Fault::Request => self.succeeded(key, state, now),
            Fault::Elsewhere => self.unknown(key, state, now),
        }
    }
}
