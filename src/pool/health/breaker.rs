//! The breaker: whether an endpoint, or a key, is asked at all. A state machine over the time that is handed in.
//!
//! ```text
//!            too many failures                    the pause is over
//!   CLOSED ───────────────────▶ OPEN ──────────────────────────────▶ HALF_OPEN
//!      ▲                          ▲              the probe fails          │
//!      │                          └───────────────────────────────────────┤
//!      └──────────────────────────────────────────────────────────────────┘
//!                                 the probe succeeds
//! ```

use std::time::Duration;

use tokio::time::Instant;

/// The breaker of one endpoint or one key.
#[derive(Debug)]
pub(in crate::pool) struct Breaker {
    state: State,
}

#[derive(Debug)]
enum State {
    Closed { failures: u32 },
    Open { until: Instant, pause: Duration },
    HalfOpen { pause: Duration, probing: bool },
}

/// The state by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BreakerState {
    /// Calls go through.
    Closed,
    /// Calls go elsewhere.
    Open,
    /// One call goes through, to see whether it is well again.
    HalfOpen,
}

/// Whether a call may go through now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Admits {
    /// Any.
    All,
    /// One, as the probe.
    Probe,
    /// None until then; while a probe is out, as long as nobody knows better.
    None {
        /// When a probe may go.
        until: Instant,
    },
}

/// By which right an attempt goes through. It is given back with how the attempt went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pass {
    /// The breaker was closed.
    Regular,
    /// It is the probe.
    Probe,
    /// The breaker was not closed, but nothing else was left.
    LastResort,
}

/// How surely a failure says that the next call would fail too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Severity {
    /// It may have been chance: it counts.
    Chance,
    /// A refused key or an unknown model does not mend by itself: one is enough.
    Certain,
}

impl Breaker {
    /// Closed.
    pub(in crate::pool) fn new() -> Self {
        Self { state: State::Closed { failures: 0 } }
    }

    /// The state at `now`.
    pub(super) fn state(&self, now: Instant) -> BreakerState {
        match self.state {
            State::Closed { .. } => BreakerState::Closed,
            State::Open { until, .. } if now < until => BreakerState::Open,
            State::Open { .. } | State::HalfOpen { .. } => BreakerState::HalfOpen,
        }
    }

    /// Whether a call may go through.
    pub(super) fn admits(&self, now: Instant) -> Admits {
        match self.state {
            State::Closed { .. } => Admits::All,
            State::Open { until, .. } if now < until => Admits::None { until },
            State::Open { .. } | State::HalfOpen { probing: false, .. } => Admits::Probe,
            State::HalfOpen { pause, .. } => Admits::None { until: now + pause },
        }
    }

    /// Lets a call through; none when it must go elsewhere.
    pub(super) fn take(&mut self, now: Instant) -> Option<Pass> {
        match self.admits(now) {
            Admits::All => Some(Pass::Regular),
            Admits::None { .. } => None,
            Admits::Probe => {
                let (State::Open { pause, .. } | State::HalfOpen { pause, .. }) = self.state else { return None };
                self.state = State::HalfOpen { pause, probing: true };
                Some(Pass::Probe)
            }
        }
    }

    /// An attempt went well.
    pub(super) fn succeeded(&mut self, _pass: Pass, _now: Instant) {
        self.state = State::Closed { failures: 0 };
    }

    /// An attempt failed by a fault that is this breaker's business.
    pub(super) fn failed(&mut self, _pass: Pass, severity: Severity, now: Instant) {
        let pause = Duration::from_secs(1);
        match &mut self.state {
            State::Closed { failures } => {
                *failures += 1;
                if *failures >= 5 || severity == Severity::Certain {
                    self.state = State::Open { until: now + pause, pause };
                }
            }
            State::Open { .. } | State::HalfOpen { .. } => self.state = State::Open { until: now + pause, pause },
        }
    }

    /// An attempt says nothing: it was given up, or what went wrong was not this breaker's business.
    pub(super) fn unknown(&mut self, pass: Pass, _now: Instant) {
        if let (State::HalfOpen { probing, .. }, Pass::Probe) = (&mut self.state, pass) {
            *probing = false;
        }
    }
}
