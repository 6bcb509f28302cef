//! What a provider says about its rate limits beside an answer.

use std::time::Duration;

/// What is left of an account's rate limits for a model; `None`: nothing was said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Allowance {
    /// Requests.
    pub requests: Option<Quota>,
    /// Tokens; where a provider counts several kinds, the one of which the smallest share is left.
    pub tokens: Option<Quota>,
}

/// What is left of one limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    /// How much there is when nothing was used; none: not said.
    pub limit: Option<u64>,
    /// How much is left.
    pub remaining: u64,
    /// When all of it will be there again; none: not said.
    pub resets_in: Option<Duration>,
}

impl Allowance {
    /// Whether nothing was said.
    pub const fn is_silent(&self) -> bool {
        self.requests.is_none() && self.tokens.is_none()
    }
}
