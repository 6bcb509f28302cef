//! What one caller has used lately, second by second, and today. It reads no clock.
//!
//! Seconds are those of a clock that only goes forward: one on the wall may be set ahead and back, and would keep a caller out
//! until it is there again. The day is the wall's, for that is what a day of UTC is; where it is put back, what was spent
//! stays spent until the next midnight.

use std::collections::VecDeque;
use std::time::Duration;

use super::{At, DAY, Limit, Quota, Reached, Use};

/// How long a minute is: the second that runs and the 60 before it, so that no 60 seconds have more than the limit.
pub(super) const SPAN: u64 = 61;

/// What one caller has used.
#[derive(Debug, Default)]
pub(super) struct Windows {
    /// By seconds that something was used in, the oldest first.
    seconds: VecDeque<Second>,
    /// The day that counts, and what was spent in it.
    day: (u64, u64),
    /// What calls have cost lately.
    price: Price,
    /// What is spent in a day counts.
    counts_money: bool,
}

/// What calls have cost: a mean in which the last ones count most.
#[derive(Clone, Copy, Debug, Default)]
struct Price {
    calls: u64,
    nano_usd: u64,
}

impl Price {
    /// Calls after which what was before counts half.
    const LATELY: u64 = 64;

    fn add(&mut self, used: Use) {
        if self.calls >= Self::LATELY {
            (self.calls, self.nano_usd) = (self.calls / 2, self.nano_usd / 2);
        }
        self.calls = self.calls.saturating_add(1);
        self.nano_usd = self.nano_usd.saturating_add(used.nano_usd);
    }

    fn of_one(self) -> u64 {
        self.nano_usd.checked_div(self.calls).unwrap_or(0)
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Second {
    at: u64,
    requests: u64,
    tokens: u64,
}

impl Windows {
    /// What a call of this caller is expected to cost; nothing as long as none has cost anything.
    pub(super) fn price(&self) -> u64 {
        self.price.of_one()
    }

    /// Takes a request and what it is expected to use, if there is room for it.
    pub(super) fn reserve(&mut self, now: At, quota: Quota, expected: Use) -> Result<At, Reached> {
        self.move_to(now);
        self.counts_money |= quota.nano_usd.is_some();
        let room = |limit: Option<u64>, wanted, of: fn(&Second) -> u64, which| match limit {
            Some(limit) => self.room(limit, wanted, of).map_err(|again| Reached { limit: which, again }),
            None => Ok(()),
        };
        room(quota.requests, 1, |second| second.requests, Limit::Requests)?;
        room(quota.tokens, expected.tokens, |second| second.tokens, Limit::Tokens)?;
        // What a call will cost is a guess: it alone keeps nobody out who has spent nothing yet.
        let spent = self.day.1;
        if quota.nano_usd.is_some_and(|most| spent > 0 && spent.saturating_add(expected.nano_usd) > most) {
            let again = Some(Duration::from_secs(DAY - now.wall % DAY));
            return Err(Reached { limit: Limit::Money, again });
        }
        Ok(self.add(now, expected))
    }

    /// Takes them, whether there is room or not.
    pub(super) fn add(&mut self, now: At, expected: Use) -> At {
        self.move_to(now);
        let second = self.second(now);
        second.requests = second.requests.saturating_add(1);
        second.tokens = second.tokens.saturating_add(expected.tokens);
        let at = second.at;
        self.day.1 = self.day.1.saturating_add(expected.nano_usd);
        At { second: at, wall: now.wall }
    }

    /// Puts what was used in place of what was expected, in the second and the day in which it was. Where these are over, what
    /// was used counts now: a call that takes longer than a minute, or over midnight, is no way around.
    pub(super) fn correct(&mut self, (at, now): (At, At), expected: Use, used: Use) {
        self.move_to(now);
        self.price.add(used);
        let found = self.seconds.iter_mut().find(|second| second.at == at.second);
        match found {
            Some(second) => {
                second.tokens = second.tokens.saturating_sub(expected.tokens).saturating_add(used.tokens);
            }
            None if used.tokens > 0 => {
                let second = self.second(now);
                second.tokens = second.tokens.saturating_add(used.tokens);
            }
            None => {}
        }
        // A day before the one that counts is over, and nothing of it is in the sum; one after it was put back into it.
        let reserved = if at.day() >= self.day.0 { expected.nano_usd } else { 0 };
        self.day.1 = self.day.1.saturating_sub(reserved).saturating_add(used.nano_usd);
    }

    /// The second that runs.
    fn second(&mut self, now: At) -> &mut Second {
        // Workers that look at the clock together may come in another order.
        let at = self.seconds.back().map_or(now.second, |last| last.at.max(now.second));
        match self.seconds.pop_back() {
            Some(last) if last.at == at => self.seconds.push_back(last),
            before => {
                self.seconds.extend(before);
                self.seconds.push_back(Second { at, ..Second::default() });
            }
        }
        let latest = self.seconds.len() - 1;
        #[expect(clippy::indexing_slicing, reason = "one was put there")]
        &mut self.seconds[latest]
    }

    /// Whether all of it may be forgotten: it would change nothing but a guess of what calls cost.
    pub(super) fn is_over(&mut self, now: At) -> bool {
        self.move_to(now);
        self.seconds.is_empty() && !(self.counts_money && self.day.1 > 0)
    }

    fn move_to(&mut self, now: At) {
        while self.seconds.front().is_some_and(|second| second.at + SPAN <= now.second) {
            self.seconds.pop_front();
        }
        let today = now.day();
        if today > self.day.0 {
            self.day.1 = 0;
        }
        self.day.0 = today;
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

    /// A moment at which both clocks show the same.
    #[expect(non_snake_case, reason = "it stands where a moment is made")]
    fn At(second: u64) -> At {
        At { second, wall: second }
    }

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
    fn a_clock_that_is_set_ahead_and_back_frees_nothing_and_keeps_nobody_out() {
        let quota = Quota { requests: Some(1), nano_usd: Some(10), ..Quota::default() };
        let spent = Use { tokens: 0, nano_usd: 10 };
        let moment =
            |second, days: i64| At { second, wall: (1000 * DAY).saturating_add_signed(days * 86_400) + second };
        let mut windows = Windows::default();
        windows.reserve(moment(1000, 0), quota, spent).unwrap();
        for days in [0, -1, -999] {
            assert!(windows.reserve(moment(1001, days), quota, spent).is_err(), "{days}");
        }
        assert_eq!((windows.seconds.len(), windows.day.1), (1, 10));
        // Years ahead, where a day begins, and back again: the minute is over after a minute, and the money after midnight.
        let mut windows = Windows::default();
        windows.reserve(moment(1000, 0), quota, spent).unwrap();
        windows.reserve(moment(1000 + SPAN, 1000), quota, spent).unwrap();
        let refused = windows.reserve(moment(1000 + 2 * SPAN, 0), quota, spent).unwrap_err();
        assert!(refused.limit == Limit::Money && refused.again.is_some_and(|again| again.as_secs() <= DAY));
        windows.reserve(moment(1000 + 3 * SPAN, 1), quota, spent).unwrap();
    }

    #[test]
    fn what_was_reserved_while_the_clock_was_ahead_is_put_right_all_the_same() {
        let quota = Quota { nano_usd: Some(10), ..Quota::default() };
        let mut windows = Windows::default();
        let ahead = At { second: 1000, wall: 50 * DAY };
        let reserved = windows.reserve(ahead, quota, Use { tokens: 0, nano_usd: 8 }).unwrap();
        windows.correct((reserved, At { second: 1001, wall: DAY }), Use { tokens: 0, nano_usd: 8 }, Use::default());
        assert_eq!(windows.day, (1, 0));
    }

    #[test]
    fn what_a_call_will_cost_is_what_calls_have_cost_lately() {
        let mut windows = Windows::default();
        assert_eq!(windows.price(), 0);
        let mut spend = |nano_usd| {
            let at = windows.add(At(1000), Use::default());
            windows.correct((at, At(1000)), Use::default(), Use { tokens: 1, nano_usd });
            windows.price()
        };
        assert_eq!(spend(300), 300);
        assert_eq!(spend(100), 200);
        let dearer = (0..1000).map(|_| spend(6000)).last().unwrap();
        assert!((5900..=6000).contains(&dearer), "{dearer}");
    }

    #[test]
    fn what_takes_longer_than_a_minute_counts_when_it_is_over() {
        let quota = Quota { tokens: Some(100), ..Quota::default() };
        let mut windows = Windows::default();
        let at = windows.reserve(At(1000), quota, Use { tokens: 10, nano_usd: 0 }).unwrap();
        windows.correct((at, At(1100)), Use { tokens: 10, nano_usd: 0 }, Use { tokens: 5000, nano_usd: 0 });
        assert!(windows.reserve(At(1100), quota, Use { tokens: 1, nano_usd: 0 }).is_err());
        assert!(windows.reserve(At(1100 + SPAN), quota, Use { tokens: 1, nano_usd: 0 }).is_ok());
    }

    #[test]
    fn what_is_spent_over_midnight_is_the_new_days() {
        let quota = Quota { nano_usd: Some(10), ..Quota::default() };
        let mut windows = Windows::default();
        let at = windows.reserve(At(DAY - 1), quota, Use { tokens: 0, nano_usd: 3 }).unwrap();
        windows.correct((at, At(DAY + 1)), Use { tokens: 0, nano_usd: 3 }, Use { tokens: 0, nano_usd: 10 });
        assert!(windows.reserve(At(DAY + 1), quota, Use { tokens: 0, nano_usd: 1 }).is_err());
    }

    #[test]
    fn a_guess_alone_keeps_nobody_out() {
        let quota = Quota { nano_usd: Some(10), ..Quota::default() };
        let mut windows = Windows::default();
        let dear = Use { tokens: 0, nano_usd: 1000 };
        windows.reserve(At(DAY), quota, dear).unwrap();
        let refused = windows.reserve(At(DAY + 1), quota, dear).unwrap_err();
        assert!(refused.again.is_some());
        windows.reserve(At(2 * DAY), quota, dear).unwrap();
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
            // What is over counts now, where anything was used.
            let truth: u64 = reserved.iter().map(|(.., used)| used.tokens).sum();
            prop_assume!(reserved.iter().all(|(at, ..)| at.second >= recent));
            let spent: u64 = reserved.iter().map(|(.., used)| used.nano_usd).sum();
            let now_is = At(now);
            reserved.into_iter().rev().for_each(|(at, expected, used)| windows.correct((at, now_is), expected, used));
            windows.move_to(At(now));
            prop_assert_eq!(windows.seconds.iter().map(|second| second.tokens).sum::<u64>(), truth);
            prop_assert_eq!(windows.day.1, spent);
            prop_assert!(windows.seconds.len() <= usize::try_from(SPAN).unwrap());
        }
    }
}
