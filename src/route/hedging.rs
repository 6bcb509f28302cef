//! When a second target is asked though the first has not failed, and how often that may be.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::Hedge;
use crate::pool::Endpoint;
use crate::protocol::Delivery;

/// The most hedges that may be saved up.
const SAVED: f64 = 10.0;

/// The hedges of one model. Each call saves a share of one; a hedge spends one.
#[derive(Debug)]
pub struct Hedging {
    rule: Hedge,
    saved: Mutex<f64>,
}

impl Hedging {
    /// By `rule`, with nothing saved.
    pub fn new(rule: Hedge) -> Self {
        Self { rule, saved: Mutex::new(0.0) }
    }

    /// A call has come.
    pub(super) fn save(&self) {
        self.with(|saved| *saved = (*saved + self.rule.max_share).min(SAVED));
    }

    /// Whether a hedge may be made now; it is spent then.
    pub(super) fn spend(&self) -> bool {
        self.with(|saved| {
            let is_enough = *saved >= 1.0;
            if is_enough {
                *saved -= 1.0;
            }
            is_enough
        })
    }

    /// The hedge that was spent last was not made.
    pub(super) fn give_back(&self) {
        self.with(|saved| *saved = (*saved + 1.0).min(SAVED));
    }

    /// How long to wait for the first event of `endpoint`; none: too little is known to call anything late.
    pub(super) fn delay(&self, endpoint: &Endpoint, delivery: Delivery, now: Instant) -> Option<Duration> {
        let usual = endpoint.health.quantile(delivery, self.rule.quantile, now)?;
        Some(usual.max(self.rule.min_delay))
    }

    fn with<T>(&self, change: impl FnOnce(&mut f64) -> T) -> T {
        change(&mut self.saved.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_than_the_share_of_calls_is_hedged() {
        let hedging = Hedging::new(Hedge { max_share: 0.25, ..Hedge::default() });
        let mut hedged = 0;
        for _ in 0..100 {
            hedging.save();
            hedged += u32::from(hedging.spend());
        }
        assert_eq!(hedged, 25);
        (0..4).for_each(|_| hedging.save());
        assert!(hedging.spend());
        hedging.give_back();
        assert!(hedging.spend() && !hedging.spend(), "one that was not made can still be made");
        (0..1000).for_each(|_| hedging.save());
        assert_eq!((0..1000).filter(|_| hedging.spend()).count(), 10);
    }
}
