//! What the configuration says about calls, in force with the table that it came with.

use std::num::NonZeroU32;
use std::time::Duration;

use crate::domain::{PicoUsd, PromptCache, Tokens};

/// What holds for every call.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rules {
    /// The bound on an answer, reasoning aside, where the caller set none.
    pub default_max_tokens: Tokens,
    /// How long a stream's caller is kept from knowing that somebody is at work.
    pub commit_after: Duration,
    /// The most that an answer may take on the wire, in bytes.
    pub max_answer_bytes: u64,
    /// What is tried again, and when.
    pub retry: Retry,
    /// The most that a call may cost over all its attempts; none: what its request says.
    pub max_call_cost: Option<PicoUsd>,
    /// What is wanted of the providers' caches of prompts, where neither request nor model says it.
    pub prompt_cache: PromptCache,
}

/// What is tried again, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retry {
    /// The requests to providers that a call may make, over all its targets. Default: 4.
    pub max_attempts: NonZeroU32,
    /// The longest pause before the same endpoint is asked a second time; it doubles with each failure there, and the
    /// pause that is taken is anything between 0 and it. Default: 500 ms.
    pub base_delay: Duration,
    /// The longest pause, and the longest that a provider's hint is waited for. Default: 30 s.
    pub max_delay: Duration,
}

impl Default for Retry {
    fn default() -> Self {
        Self {
            max_attempts: NonZeroU32::MIN.saturating_add(3),
            base_delay: Duration::from_millis(500),
            max_delay: Duration::from_secs(30),
        }
    }
}

/// When a second target is asked though the first has not failed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Hedge {
    /// The share of the first target's recent answers, above 0 and below 1, that had begun by the time at which the
    /// second is asked. Default: 0.95.
    pub quantile: f64,
    /// The second is never asked earlier than this. Default: 200 ms.
    pub min_delay: Duration,
    /// The share of the calls, above 0 and at most 1, that may ask a second target. Default: 0.05.
    pub max_share: f64,
}

impl Default for Hedge {
    fn default() -> Self {
        Self { quantile: 0.95, min_delay: Duration::from_millis(200), max_share: 0.05 }
    }
}
