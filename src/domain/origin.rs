//! Answers that are there already: what a caller wants of them, and what it is told of them.

use std::fmt;
use std::time::Duration;

use uuid::Uuid;

use super::{CallId, Cost, Usage};

/// The caller's own id of a call. The same request under the same id is the same call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RequestId(Uuid);

impl RequestId {
    /// The id that a UUID is.
    pub const fn new(id: Uuid) -> Self {
        Self(id)
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What becomes of a call whose caller has gone away.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnDisconnect {
    /// It ends at once.
    #[default]
    Cancel,
    /// It runs on to its end.
    Finish,
}

/// What a caller wants of the cache of answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ResponseCache {
    /// How it is used.
    pub mode: CacheMode,
    /// How long the answer may be kept, and how old one may be that is taken; none: as the configuration says.
    pub ttl: Option<Duration>,
}

/// How the cache of answers is used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CacheMode {
    /// As the configuration says.
    #[default]
    Default,
    /// Not at all.
    Bypass,
    /// It is filled and not asked.
    Refresh,
    /// It is asked, and nobody else.
    OnlyIfCached,
}

/// Where an answer comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Origin {
    /// It was made for this call, and the cache had nothing to do with it.
    #[default]
    Bypassed,
    /// It was made for this call, because the cache had none.
    Missed,
    /// It was in the cache.
    Hit,
    /// It was being made for another call.
    Coalesced,
    /// It was made for this earlier call with the same request id.
    Replayed(CallId),
}

/// What an answer that was there already has spared.
#[derive(Clone, Debug, PartialEq)]
pub struct Saved {
    /// What was used when it was made.
    pub usage: Usage,
    /// What that cost; none: no price was known.
    pub cost: Option<Cost>,
}
