//! The pool as its table shows it, in the terms of whoever reads the table. It must know neither the contract nor a
//! terminal, and it reads no clock: ages are told.

use std::time::Duration;

use crate::cli::watch::Share;

/// The whole pool, as it was at one time.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct PoolView {
    /// Calls that the server serves.
    pub(super) calls: u64,
    /// Connections from callers.
    pub(super) callers: u64,
    /// Connections to providers.
    pub(super) providers: u64,
    /// Bytes of the requests that are being served.
    pub(super) bytes: u64,
    /// What is left for attempts beyond a call's first; none: there is no such bound.
    pub(super) retries: Option<Share>,
    /// The endpoints, in the server's order.
    pub(super) endpoints: Vec<EndpointView>,
}

/// One endpoint: a row.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct EndpointView {
    /// Provider and model.
    pub(super) name: String,
    /// Whether it is asked.
    pub(super) standing: Standing,
    /// Attempts that run.
    pub(super) in_flight: u64,
    /// The most of them; none: without a limit.
    pub(super) limit: Option<u64>,
    /// How long it takes to begin an answer; none: not known yet.
    pub(super) first_event: Option<Duration>,
    /// Attempts so far.
    pub(super) sent: u64,
    /// How many of them failed.
    pub(super) failed: u64,
    /// What is left of its provider's limit on requests; none: not said.
    pub(super) requests: Option<Left>,
    /// The same for tokens.
    pub(super) tokens: Option<Left>,
    /// The last failure; none: there was none.
    pub(super) failure: Option<Failure>,
}

/// Whether an endpoint is asked, and what keeps it from being asked. In the order in which one hides the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// Its provider does not take the key.
    KeyRefused,
    /// The account behind its key is out of credit.
    NoCredit,
    /// Its breaker is open.
    Open {
        /// Until one call tries it; none: not said.
        remaining: Option<Duration>,
    },
    /// Its provider asked to be left alone.
    Held {
        /// For so much longer.
        remaining: Duration,
    },
    /// One call at a time tries whether it is well again.
    Probing,
    /// As many attempts run as may.
    Full,
    /// It is asked like any other.
    Ok,
}

/// What is left of one limit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Left {
    /// How much.
    pub(super) remaining: u64,
    /// How much of the whole; none: the whole was not said.
    pub(super) share: Option<Share>,
}

/// A failed attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Failure {
    /// Why, in words.
    pub(super) reason: String,
    /// How long ago, when the view was taken.
    pub(super) age: Duration,
}
