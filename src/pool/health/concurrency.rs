//! How many attempts an endpoint may have in flight: a fixed limit, or one that finds itself (AIMD), where asked for.

use std::time::Duration;

use tokio::time::Instant;

/// What the configuration says about attempts in flight at one endpoint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ConcurrencyRule {
    /// The most; none: without a limit.
    pub most: Option<u32>,
    /// Whether the limit falls when the endpoint is overloaded and rises again while it is well.
    pub adaptive: bool,
}

/// The limit in force.
#[derive(Debug)]
pub(super) struct Concurrency {
    rule: ConcurrencyRule,
}

impl Concurrency {
    pub(super) fn new(rule: ConcurrencyRule) -> Self {
        Self { rule }
    }

    /// The limit now; none: without.
    pub(super) fn limit(&self) -> Option<u32> {
        self.rule.most
    }

    /// An attempt went well while this many, itself included, were in flight.
    pub(super) fn succeeded(&mut self, _in_flight: u32) {}

    /// The endpoint said that it has too much to do, or fell silent, for an attempt that was sent `age` ago.
    pub(super) fn overloaded(&mut self, _age: Duration, _now: Instant) {}
}
