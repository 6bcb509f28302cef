//! What of the cache a call may use.

use std::time::Duration;

use crate::domain::{CacheMode, Request};
use crate::store::AnswerSettings;

/// What of the cache a call uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wish {
    /// Whether an answer that is there already is taken.
    pub(super) asks: bool,
    /// Whether nothing else is.
    pub(super) only: bool,
    /// How old it may be; none: as old as it is kept.
    pub(super) max_age: Option<Duration>,
    /// How long the answer is kept that is made.
    pub(super) ttl: Duration,
}

impl Wish {
    /// What `request` and the configuration want; none: the cache has nothing to do with it.
    pub(super) fn of(request: &Request, settings: &AnswerSettings) -> Option<Self> {
        let cache = request.cache;
        let is_wanted = match cache.mode {
            CacheMode::Bypass => false,
            CacheMode::Refresh | CacheMode::OnlyIfCached => true,
            // What is sampled is asked for again to get another answer.
            CacheMode::Default => settings.sampled || cache.ttl.is_some() || request.sampling.temperature == Some(0.0),
        };
        (settings.enabled && is_wanted).then(|| Self {
            asks: cache.mode != CacheMode::Refresh,
            only: cache.mode == CacheMode::OnlyIfCached,
            max_age: cache.ttl,
            ttl: cache.ttl.unwrap_or(settings.ttl),
        })
    }
}

/// Whether nothing but an answer from the cache is wanted.
pub(super) fn only_cached(request: &Request) -> bool {
    request.cache.mode == CacheMode::OnlyIfCached
}
