//! The retry budget of the whole pool: what keeps an outage from being amplified.
//!
//! Every attempt beyond a call's first takes a token, whatever it is for. Successes and time put tokens back, so a pool
//! that mostly works heals its faults, and a pool that is down is asked about once for each call.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::time::Instant;

/// The tokens of the pool. Clones share them.
#[derive(Clone, Debug)]
pub struct RetryBudget(Arc<Mutex<Bucket>>);

#[derive(Debug)]
struct Bucket {
    tokens: f64,
    filled: Instant,
}

/// The most tokens that are kept.
const CAPACITY: f64 = 100.0;
/// What a success puts back.
const PER_SUCCESS: f64 = 0.4;
/// What a second puts back.
const PER_SECOND: f64 = 3.0;

impl RetryBudget {
    /// A full budget.
    pub fn full(now: Instant) -> Self {
        Self(Arc::new(Mutex::new(Bucket { tokens: CAPACITY, filled: now })))
    }

    /// An attempt has succeeded.
    pub fn succeeded(&self, now: Instant) {
        self.with(now, |bucket| bucket.tokens = (bucket.tokens + PER_SUCCESS).min(CAPACITY));
    }

    /// Takes a token for an attempt beyond the first; false when there is none.
    #[must_use]
    pub fn take(&self, now: Instant) -> bool {
        self.with(now, |bucket| {
            let left = bucket.tokens - 1.0;
            if left >= 0.0 {
                bucket.tokens = left;
            }
            left >= 0.0
        })
    }

    /// Whether a token is left.
    pub fn is_spent(&self, now: Instant) -> bool {
        self.tokens(now) < 1.0
    }

    /// The tokens that are left.
    pub fn tokens(&self, now: Instant) -> f64 {
        self.with(now, |bucket| bucket.tokens)
    }

    /// The most tokens that there can be.
    pub fn capacity(&self) -> f64 {
        CAPACITY
    }

    fn with<T>(&self, now: Instant, change: impl FnOnce(&mut Bucket) -> T) -> T {
        let mut bucket = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let passed = now.saturating_duration_since(bucket.filled).as_secs_f64();
        bucket.tokens = (bucket.tokens + passed * PER_SECOND).min(CAPACITY);
        bucket.filled = bucket.filled.max(now);
        change(&mut bucket)
    }
}
