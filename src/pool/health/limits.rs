//! What the provider's rate limits leave: learned from its headers and from its refusals.
//!
//! Answers overtake each other, so what a header says is ordered by when its attempt was sent, not by when it came: a
//! provider counts a request when it takes it, and the head of a slow answer tells of a time long before that of a fast
//! one. Of the attempts that were sent after the one that told, each is counted down here.

use std::time::Duration;

use tokio::time::Instant;

use crate::domain::{Allowance, Quota};

/// How long a limit is believed that does not say when it resets. Most limits are per minute.
const BELIEVED_FOR: Duration = Duration::from_secs(60);
/// The longest that an endpoint is left alone at its own word. What asks for more has most likely got its units wrong, and
/// an account whose credit is spent says so in another way.
const LONGEST_HOLD: Duration = Duration::from_secs(60 * 60);

/// What is known about one endpoint's limits.
#[derive(Debug, Default)]
pub(super) struct Limits {
    held_until: Option<Instant>,
    sent: u64,
    requests: Option<Told>,
    tokens: Option<Told>,
}

/// Which attempt it is, counted from the first at the endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Number(u64);

/// What an answer told of one limit.
#[derive(Clone, Copy, Debug)]
struct Told {
    quota: Quota,
    by: Number,
    at: Instant,
}

impl Limits {
    /// The headers of the answer to attempt `by` said this. What an attempt that was sent later said stays.
    pub(super) fn learn(&mut self, by: Number, allowance: &Allowance, now: Instant) {
        for (known, told) in [(&mut self.requests, allowance.requests), (&mut self.tokens, allowance.tokens)] {
            if let Some(quota) = told
                && known.is_none_or(|known| known.by <= by)
            {
                *known = Some(Told { quota, by, at: now });
            }
        }
    }

    /// A request is sent, which the headers have not counted yet.
    pub(super) fn sent(&mut self) -> Number {
        self.sent = self.sent.saturating_add(1);
        Number(self.sent)
    }

    /// The endpoint asks to be left alone for `wait`.
    pub(super) fn hold(&mut self, wait: Duration, now: Instant) {
        self.held_until = self.held_until.max(now.checked_add(wait.min(LONGEST_HOLD)));
    }

    /// Until when it asked to be left alone; none: it may be asked.
    pub(super) fn held_until(&self, now: Instant) -> Option<Instant> {
        self.held_until.filter(|until| *until > now)
    }

    /// Whether so little is left that others should be asked first: a twentieth, which leaves room for what others send
    /// with the same key and for answers that are on their way; or one, since a twentieth of a small limit is none.
    pub(super) fn is_short(&self, now: Instant) -> bool {
        let Allowance { requests, tokens } = self.left(now);
        let is_nearly_used =
            |Quota { limit, remaining, .. }: Quota| limit.map_or(remaining == 0, |limit| remaining <= limit / 20);
        requests.is_some_and(|requests| requests.remaining <= 1 || is_nearly_used(requests))
            || tokens.is_some_and(is_nearly_used)
    }

    /// What is left, for people: windows that have passed since are left out.
    pub(super) fn left(&self, now: Instant) -> Allowance {
        let left = |told: &Told| told.left(now);
        let mut allowance =
            Allowance { requests: self.requests.as_ref().and_then(left), tokens: self.tokens.as_ref().and_then(left) };
        if let (Some(quota), Some(Told { by: Number(by), .. })) = (&mut allowance.requests, self.requests) {
            quota.remaining = quota.remaining.saturating_sub(self.sent.saturating_sub(by));
        }
        allowance
    }
}

impl Told {
    /// What it comes to now; none when its window has passed.
    fn left(&self, now: Instant) -> Option<Quota> {
        let ago = now.saturating_duration_since(self.at);
        let is_over = self.quota.resets_in.unwrap_or(BELIEVED_FOR) <= ago;
        let resets_in = self.quota.resets_in.map(|resets_in| resets_in.saturating_sub(ago));
        (!is_over).then_some(Quota { resets_in, ..self.quota })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn quota(remaining: u64, limit: impl Into<Option<u64>>, resets_in: u64) -> Quota {
        Quota { limit: limit.into(), remaining, resets_in: Some(SECOND * u32::try_from(resets_in).unwrap()) }
    }

    fn requests(quota: Quota) -> Allowance {
        Allowance { requests: Some(quota), tokens: None }
    }

    fn tokens(quota: Quota) -> Allowance {
        Allowance { requests: None, tokens: Some(quota) }
    }

    fn told(allowance: Allowance, now: Instant) -> Limits {
        let mut limits = Limits::default();
        let number = limits.sent();
        limits.learn(number, &allowance, now);
        limits
    }

    #[test]
    fn nothing_is_short_while_nothing_was_said() {
        let (mut limits, now) = (Limits::default(), Instant::now());
        let number = limits.sent();
        limits.learn(number, &Allowance::default(), now);
        assert!(!limits.is_short(now) && limits.left(now).is_silent());
    }

    #[test]
    fn a_twentieth_or_one_request_is_little() {
        let now = Instant::now();
        for (allowance, short) in [
            (requests(quota(51, 1000, 9)), false),
            (requests(quota(50, 1000, 9)), true),
            (requests(quota(2, 10, 9)), false),
            (requests(quota(1, 10, 9)), true),
            (requests(quota(2, None, 9)), false),
            (requests(quota(1, None, 9)), true),
            (tokens(quota(51, 1000, 9)), false),
            (tokens(quota(50, 1000, 9)), true),
            (tokens(quota(1, None, 9)), false),
            (tokens(quota(0, None, 9)), true),
            (tokens(quota(u64::MAX, u64::MAX, 9)), false),
        ] {
            assert_eq!(told(allowance, now).is_short(now), short, "{allowance:?}");
        }
    }

    #[test]
    fn what_is_sent_is_counted_down_until_an_answer_has_counted_it() {
        let now = Instant::now();
        let mut limits = told(requests(quota(4, 20, 60)), now);
        let (second, third) = (limits.sent(), limits.sent());
        assert!(!limits.is_short(now), "two of twenty");
        let _fourth = limits.sent();
        assert!(limits.is_short(now), "one of twenty");
        limits.learn(third, &requests(quota(9, 20, 60)), now);
        assert_eq!(limits.left(now).requests.unwrap().remaining, 8, "the fourth is not counted in it");
        limits.learn(second, &requests(quota(3, 20, 60)), now);
        assert_eq!(limits.left(now).requests.unwrap().remaining, 8, "an answer that was overtaken tells of the past");
    }

    #[test]
    fn nothing_is_short_once_the_window_has_passed() {
        let now = Instant::now();
        let limits = told(requests(quota(0, 20, 10)), now);
        assert_eq!(limits.left(now + 4 * SECOND), requests(quota(0, 20, 6)));
        assert!(limits.is_short(now + 9 * SECOND));
        assert!(!limits.is_short(now + 10 * SECOND) && limits.left(now + 10 * SECOND).is_silent());
    }

    #[test]
    fn a_limit_that_does_not_say_when_it_resets_is_believed_for_a_minute() {
        let now = Instant::now();
        let unsaid = requests(Quota { limit: Some(20), remaining: 0, resets_in: None });
        let limits = told(unsaid, now);
        assert_eq!(limits.left(now + 59 * SECOND), unsaid);
        assert!(limits.is_short(now + 59 * SECOND) && !limits.is_short(now + 60 * SECOND));
    }

    #[test]
    fn the_longest_wait_holds_within_reason() {
        let (mut limits, now) = (Limits::default(), Instant::now());
        assert_eq!(limits.held_until(now), None);
        limits.hold(10 * SECOND, now);
        limits.hold(2 * SECOND, now);
        assert_eq!(limits.held_until(now + 9 * SECOND), Some(now + 10 * SECOND));
        assert_eq!(limits.held_until(now + 10 * SECOND), None);
        limits.hold(Duration::MAX, now);
        assert_eq!(limits.held_until(now), Some(now + LONGEST_HOLD));
    }
}
