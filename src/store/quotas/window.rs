//! What one caller has used lately, second by second, and today. It reads no clock.

use std::collections::VecDeque;
use std::time::Duration;

use super::{At, Limit, Quota, Reached, Use};

/// How long a minute is: the second that runs and the 60 before it, so that no 60 seconds have more than the limit.
pub(super) const SPAN: u64 = 61;
const DAY: u64 = 24 * 60 * 60;

/// What one caller has used.
#[derive(Debug, Default)]
pub(super) struct Windows {
    /// By seconds that something was used in, the oldest first.
    seconds: VecDeque<Second>,
    /// The day that counts, and what was spent in it.
    day: (u64, u64),
    /// What tokens have cost lately.
    price: Price,
}

/// What tokens have cost: a mean in which the last calls count most.
#[derive(Clone, Copy, Debug, Default)]
struct Price {
    tokens: u64,
    nano_usd: u64,
}

impl Price {
    /// Tokens after which what was before counts half.
    const LATELY: u64 = 100_000;

    fn add(&mut self, used: Use) {
        if self.tokens > Self::LATELY {
            (self.tokens, self.nano_usd) = (self.tokens / 2, self.nano_usd / 2);
        }
        self.tokens = self.tokens.saturating_add(used.tokens);
        self.nano_usd = self.nano_usd.saturating_add(used.nano_usd);
    }

    fn of(&self, tokens: u64) -> u64 {
        let cost = u128::from(self.nano_usd) * u128::from(tokens) / u128::from(self.tokens.max(1));
        u64::try_from(cost).unwrap_or(u64::MAX)
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Second {
    at: u64,
    requests: u64,
    tokens: u64,
}

impl Windows {
    /// What so many tokens of this caller are expected to cost; nothing as long as none have cost anything.
    pub(super) fn price(&self, tokens: u64) -> u64 {
        self.price.of(tokens)
    }

    /// Takes a request and what it is expected to use, if there is room for it.
    pub(super) fn reserve(&mut self, now: At, quota: Quota, expected: Use) -> Result<At, Reached> {
        self.move_to(now);
        let room = |limit: Option<u64>, wanted, of: fn(&Second) -> u64, which| match limit {
            Some(limit) => self.room(limit, wanted, of).map_err(|again| Reached { limit: which, again }),
            None => Ok(()),
        };
        room(quota.requests, 1, |second| second.requests, Limit::Requests)?;
        room(quota.tokens, expected.tokens, |second| second.tokens, Limit::Tokens)?;
        if quota.nano_usd.is_some_and(|most| self.day.1.saturating_add(expected.nano_usd) > most) {
            let fits = quota.nano_usd.is_some_and(|most| expected.nano_usd <= most);
            let again = fits.then(|| Duration::from_secs(DAY - now.0 % DAY));
            return Err(Reached { limit: Limit::Money, again });
        }
        Ok(self.add(now, expected))
    }

    /// Takes them, whether there is room or not.
    pub(super) fn add(&mut self, now: At, expected: Use) -> At {
        self.move_to(now);
        // A clock that is put back counts into the latest second that there is.
        let at = self.seconds.back().map_or(now.0, |last| last.at.max(now.0));
        if self.seconds.back().is_none_or(|last| last.at < at) {
            self.seconds.push_back(Second { at, ..Second::default() });
        }
        if let Some(second) = self.seconds.back_mut() {
            second.requests = second.requests.saturating_add(1);
            second.tokens = second.tokens.saturating_add(expected.tokens);
        }
        self.day.1 = self.day.1.saturating_add(expected.nano_usd);
        At(at)
    }

    /// Puts what was used in place of what was expected, in the second and the day in which it was.
    pub(super) fn correct(&mut self, at: At, expected: Use, used: Use) {
        self.price.add(used);
        if let Some(second) = self.seconds.iter_mut().find(|second| second.at == at.0) {
            second.tokens = second.tokens.saturating_sub(expected.tokens).saturating_add(used.tokens);
        }
        if self.day.0 == at.0 / DAY {
            self.day.1 = self.day.1.saturating_sub(expected.nano_usd).saturating_add(used.nano_usd);
        }
    }

    fn move_to(&mut self, now: At) {
        while self.seconds.front().is_some_and(|second| second.at + SPAN <= now.0) {
            self.seconds.pop_front();
        }
        let today = now.0 / DAY;
        if today > self.day.0 {
            self.day = (today, 0);
        }
    }

    /// Whether `wanted` more fit; else how long until they do, and none where they never will.
    fn room(&self, limit: u64, wanted: u64, of: fn(&Second) -> u64) -> Result<(), Option<Duration>> {
        let used = self.seconds.iter().map(of).fold(0, u64::saturating_add);
        let mut excess = used.saturating_add(wanted).saturating_sub(limit);
        if excess == 0 {
            return Ok(());
        }
        if wanted > limit {
            return Err(None);
        }
        let latest = self.seconds.back().map_or(0, |last| last.at);
        for second in &self.seconds {
            excess = excess.saturating_sub(of(second));
            if excess == 0 {
                return Err(Some(Duration::from_secs((second.at + SPAN).saturating_sub(latest).max(1))));
            }
        }
        Err(Some(Duration::from_secs(SPAN)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn requests(most: u64) -> Quota {
        Quota { requests: Some(most), ..Quota::default() }
    }

    #[test]
    fn at_three_times_the_limit_exactly_the_limit_is_let_in_minute_by_minute() {
        let mut windows = Windows::default();
        let mut admitted = Vec::new();
        for second in 0..305 {
            for _ in 0..50 {
                if windows.reserve(At(1000 + second), requests(1000), Use::default()).is_ok() {
                    admitted.push(second);
                }
            }
        }
        // In whatever 60 seconds one looks.
        for from in 0..245 {
            let within = admitted.iter().filter(|at| (from..from + 60).contains(*at)).count();
            assert!(within <= 1000, "from {from}: {within}");
        }
        assert_eq!(admitted.len(), 5000);
    }

    #[test]
    fn who_is_refused_is_told_when_there_is_room() {
        let mut windows = Windows::default();
        windows.reserve(At(100), requests(2), Use::default()).unwrap();
        windows.reserve(At(110), requests(2), Use::default()).unwrap();
        let refused = windows.reserve(At(110), requests(2), Use::default()).unwrap_err();
        let again = refused.again.unwrap().as_secs();
        assert!(windows.reserve(At(110 + again - 1), requests(2), Use::default()).is_err());
        windows.reserve(At(110 + again), requests(2), Use::default()).unwrap();
    }

    #[test]
    fn a_day_of_utc_begins_anew() {
        let quota = Quota { nano_usd: Some(10), ..Quota::default() };
        let mut windows = Windows::default();
        let spent = Use { tokens: 0, nano_usd: 10 };
        windows.reserve(At(DAY - 60), quota, spent).unwrap();
        let refused = windows.reserve(At(DAY - 60), quota, spent).unwrap_err();
        assert_eq!(refused, Reached { limit: Limit::Money, again: Some(Duration::from_secs(60)) });
        windows.reserve(At(DAY), quota, spent).unwrap();
    }

    #[test]
    fn a_clock_that_is_put_back_frees_nothing() {
        let mut windows = Windows::default();
        windows.reserve(At(1000), requests(1), Use::default()).unwrap();
        assert!(windows.reserve(At(500), requests(1), Use::default()).is_err());
        windows.add(At(500), Use::default());
        assert!(windows.seconds.len() == 1);
    }

    #[test]
    fn what_tokens_will_cost_is_what_they_have_cost_lately() {
        let mut windows = Windows::default();
        assert_eq!(windows.price(1000), 0);
        let mut spend = |tokens, nano_usd| {
            let at = windows.add(At(1000), Use::default());
            windows.correct(at, Use::default(), Use { tokens, nano_usd });
            windows.price(1000)
        };
        assert_eq!(spend(100, 300), 3000);
        assert_eq!(spend(0, 0), 3000);
        let dearer = (0..20).map(|_| spend(100_000, 600_000)).last().unwrap();
        assert!((5900..=6000).contains(&dearer), "{dearer}");
    }

    proptest! {
        #[test]
        fn what_is_settled_is_what_was_used(calls in prop::collection::vec((0_u64..100, 0_u64..100, 0_u64..3), 1..50)) {
            let mut windows = Windows::default();
            let mut now = 1000;
            let mut reserved = Vec::new();
            for (expected, used, later) in calls {
                now += later;
                let expected = Use { tokens: expected, nano_usd: expected };
                reserved.push((windows.add(At(now), expected), expected, Use { tokens: used, nano_usd: used }));
            }
            let recent = now.saturating_sub(SPAN - 1);
            let truth: u64 = reserved.iter().filter(|(at, ..)| at.0 >= recent).map(|(.., used)| used.tokens).sum();
            let spent: u64 = reserved.iter().map(|(.., used)| used.nano_usd).sum();
            reserved.into_iter().rev().for_each(|(at, expected, used)| windows.correct(at, expected, used));
            windows.move_to(At(now));
            prop_assert_eq!(windows.seconds.iter().map(|second| second.tokens).sum::<u64>(), truth);
            prop_assert_eq!(windows.day.1, spent);
            prop_assert!(windows.seconds.len() <= usize::try_from(SPAN).unwrap());
        }
    }
}
