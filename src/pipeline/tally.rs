//! How many calls were answered by what, and what that has spared: since the start, for all workers.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::domain::{Event, Origin, PicoSum, Saved};

/// What was done since the start. Clones are the same.
#[derive(Clone, Debug, Default)]
pub struct Tally(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    bypassed: AtomicU64,
    missed: AtomicU64,
    hit: Counted,
    coalesced: Counted,
    replayed: Counted,
}

#[derive(Debug, Default)]
struct Counted {
    calls: AtomicU64,
    tokens: AtomicU64,
    cost: Mutex<PicoSum>,
}

/// What was done since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tallied {
    /// Calls that the cache had nothing to do with.
    pub bypassed: u64,
    /// Calls that it could have answered and did not.
    pub missed: u64,
    /// Calls that were answered from the cache.
    pub hit: Spared,
    /// Calls that were answered by what was being made for another one.
    pub coalesced: Spared,
    /// Calls that were sent again, and answered by what was made for them before.
    pub replayed: Spared,
}

/// Calls that made nothing anew.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spared {
    /// How many.
    pub calls: u64,
    /// The tokens that were not used again, those of the prompts included.
    pub tokens: u64,
    /// What that would have cost, as far as prices are known.
    pub cost: PicoSum,
}

impl Tally {
    /// What was done until now.
    pub fn now(&self) -> Tallied {
        let Inner { bypassed, missed, hit, coalesced, replayed } = &*self.0;
        Tallied {
            bypassed: bypassed.load(Ordering::Relaxed),
            missed: missed.load(Ordering::Relaxed),
            hit: hit.now(),
            coalesced: coalesced.now(),
            replayed: replayed.now(),
        }
    }

    /// A call is answered so.
    pub(super) fn call(&self, by: Origin) {
        let count = match by {
            Origin::Bypassed => &self.0.bypassed,
            Origin::Missed => &self.0.missed,
            Origin::Hit => &self.0.hit.calls,
            Origin::Coalesced => &self.0.coalesced.calls,
            Origin::Replayed(_) => &self.0.replayed.calls,
        };
        count.fetch_add(1, Ordering::Relaxed);
    }

    /// Looks at an event that a call is told: the last one says what was spared.
    pub(super) fn told(&self, event: &Event) {
        let Event::Completed(end) = event else { return };
        let count = match end.origin {
            Origin::Bypassed | Origin::Missed => return,
            Origin::Hit => &self.0.hit,
            Origin::Coalesced => &self.0.coalesced,
            Origin::Replayed(_) => &self.0.replayed,
        };
        if let Some(saved) = &end.saved {
            count.spared(saved);
        }
    }
}

impl Counted {
    fn now(&self) -> Spared {
        Spared {
            calls: self.calls.load(Ordering::Relaxed),
            tokens: self.tokens.load(Ordering::Relaxed),
            cost: *self.cost.lock().unwrap_or_else(PoisonError::into_inner),
        }
    }

    fn spared(&self, saved: &Saved) {
        let tokens = u64::from(saved.usage.input().get()).saturating_add(saved.usage.output().get().into());
        self.tokens.fetch_add(tokens, Ordering::Relaxed);
        if let Some(cost) = &saved.cost {
            *self.cost.lock().unwrap_or_else(PoisonError::into_inner) += PicoSum::from(cost.amount);
        }
    }
}
