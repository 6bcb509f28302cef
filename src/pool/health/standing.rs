//! An endpoint's health as others see it: a choice among endpoints, and an operator. Values only.

use std::time::Duration;

use tokio::time::Instant;

use super::BreakerState;
use crate::domain::{Allowance, Reason};

/// An endpoint as a choice sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Whether it may be asked.
    pub access: Access,
    /// Attempts in flight.
    pub in_flight: u32,
    /// How long it takes to begin an answer; none: not known yet, or not any more.
    pub latency: Option<Duration>,
    /// Whether little is left of its rate limits: others are asked first.
    pub is_short: bool,
    /// Until when it is asked only where nobody else is left, since of late it refuses most calls for their rate; none: it
    /// is asked in its turn.
    pub limited_until: Option<Instant>,
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
    /// Its breaker is open.
    Ejected {
        /// Until the next probe; while one is out, until it counts as lost.
        until: Instant,
    },
    /// The breaker of its key is open: the key is refused, or its account has no credit.
    LockedOut {
        /// As above.
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

/// What an operator sees of an endpoint.
#[derive(Clone, Debug, PartialEq)]
pub struct HealthReport {
    /// Its own breaker.
    pub breaker: BreakerState,
    /// The breaker of its key.
    pub key: BreakerState,
    /// How long until the breakers let a probe through; none: they keep nobody away.
    pub probe_after: Option<Duration>,
    /// Attempts in flight.
    pub in_flight: u32,
    /// The most of them; none: without a limit.
    pub limit: Option<u32>,
    /// The moving average of the time to the first event of streamed answers, as it was when the last one came; of
    /// whole answers where none was streamed.
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
