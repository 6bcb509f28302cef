//! What the provider's rate limits leave: learned from its headers and from its refusals.

use std::time::Duration;

use tokio::time::Instant;

use crate::domain::{Allowance, Quota};

/// What is known about one endpoint's limits.
#[derive(Debug, Default)]
pub(super) struct Limits {
    held_until: Option<Instant>,
}

impl Limits {
    /// The headers of an answer said this.
    pub(super) fn learn(&mut self, _allowance: &Allowance, _now: Instant) {}

    /// A request is sent, which the headers have not counted yet.
    pub(super) fn sent(&mut self) {}

    /// The endpoint asks to be left alone for `wait`.
    pub(super) fn hold(&mut self, wait: Duration, now: Instant) {
        self.held_until = self.held_until.max(now.checked_add(wait));
    }

    /// Until when it asked to be left alone; none: it may be asked.
    pub(super) fn held_until(&self, now: Instant) -> Option<Instant> {
        self.held_until.filter(|until| *until > now)
    }

    /// Whether so little is left that others should be asked first.
    pub(super) fn is_short(&self, _now: Instant) -> bool {
        false
    }

    /// What is left, for people: windows that have passed since are left out.
    pub(super) fn left(&self, _now: Instant) -> Allowance {
        Allowance { requests: None::<Quota>, tokens: None }
    }
}
