//! What the provider's rate limits leave: learned from its headers and from its refusals.
//!
//! Answers overtake each other, so what a header says is ordered by when its attempt was sent, not by when it came: a
//! provider counts a request when it takes it, and the head of a slow answer tells of a time long before that of a fast
//! one. Of the attempts that were sent after the one that told, each is counted down here; so are those of other processes,
//! as far as they have told of them.

use std::time::Duration;

use tokio::time::Instant;

use super::fleet::{Fleet, FleetLimits, Heard, LimitNews};
use crate::domain::{Allowance, Quota};

/// How long a limit is believed that does not say when it resets. Most limits are per minute.
const BELIEVED_FOR: Duration = Duration::from_secs(60);
/// The longest that an endpoint is left alone at its own word. What asks for more has most likely got its units wrong, and
/// an account whose credit is spent says so in another way.
pub const LONGEST_HOLD: Duration = Duration::from_secs(60 * 60);
/// The longest that it is left alone at the word of other processes, from when they were last asked, which is several times a
/// second: what is longer is renewed as long as it stands there, and what was never true ends soon when nobody answers.
const LONGEST_HOLD_OF_OTHERS: Duration = Duration::from_secs(5 * 60);
/// What others were told counts only where its attempt was sent later by more than this: their times come by way of a third
/// clock, and what was told here comes back as well.
const LATER_BY: Duration = Duration::from_millis(50);

/// What is known about one endpoint's limits.
#[derive(Debug, Default)]
pub(super) struct Limits {
    /// At its own word.
    held_until: Option<Instant>,
    /// At that of other processes.
    held_elsewhere: Option<Instant>,
    sent: u64,
    requests: Option<Told>,
    tokens: Option<Told>,
    fleet: Fleet,
}

/// Which attempt it is: when it was sent, and how many had been sent until then, from here and, as far as was known, from
/// other processes. They are ordered by their time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Number {
    at: Instant,
    own: u64,
    others: u64,
}

/// What an answer told of one limit.
#[derive(Clone, Copy, Debug)]
struct Told {
    quota: Quota,
    /// The attempt whose answer it was.
    by: Number,
    /// When it was told.
    at: Instant,
    whom: Whom,
}

/// Who was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Whom {
    /// This process.
    Us,
    /// Another one.
    Others,
}

impl Limits {
    /// The headers of the answer to attempt `by` said this. What an attempt that was sent later said stays.
    pub(super) fn learn(&mut self, by: Number, allowance: &Allowance, now: Instant) {
        for (known, told) in [(&mut self.requests, allowance.requests), (&mut self.tokens, allowance.tokens)] {
            if let Some(quota) = told
                && known.is_none_or(|known| known.by <= by)
            {
                *known = Some(Told { quota, by, at: now, whom: Whom::Us });
                self.fleet.has_news();
            }
        }
    }

    /// A request is sent, which the headers have not counted yet.
    pub(super) fn sent(&mut self, now: Instant) -> Number {
        self.sent = self.sent.saturating_add(1);
        self.number(now)
    }

    fn number(&self, at: Instant) -> Number {
        Number { at, own: self.sent, others: self.fleet.others() }
    }

    /// The endpoint asks to be left alone for `wait`.
    pub(super) fn hold(&mut self, wait: Duration, now: Instant) {
        let until = now.checked_add(wait.min(LONGEST_HOLD));
        if until > self.held_until.max(self.held_elsewhere) {
            self.fleet.has_news();
        }
        self.held_until = self.held_until.max(until);
    }

    /// What other processes do not know yet; none: nothing. Until [`Limits::agree`] says that they do, it is told again.
    pub(super) fn news(&mut self, now: Instant) -> Option<LimitNews> {
        let left = self.left(now);
        let heard = |quota: Option<Quota>, told: Option<Told>| {
            let (quota, told) = (quota?, told?);
            let lasts = quota.resets_in.unwrap_or_else(|| BELIEVED_FOR.saturating_sub(now - told.at));
            Some(Heard { quota, lasts, ago: now.saturating_duration_since(told.by.at) })
        };
        let (requests, tokens) = (heard(left.requests, self.requests), heard(left.tokens, self.tokens));
        let hold = self.held_until.filter(|until| *until > now).map(|until| until - now);
        self.fleet.news(self.sent, LimitNews { sent: 0, total: 0, hold, requests, tokens })
    }

    /// Whether other processes know of the endpoint.
    pub(super) fn is_shared(&self) -> bool {
        self.fleet.is_shared()
    }

    /// All processes together know this, of which they were asked at `asked`, right after [`Limits::news`].
    pub(super) fn agree(&mut self, fleet: &FleetLimits, asked: Instant) {
        let own = self.fleet.agree(fleet.total);
        self.held_elsewhere = fleet.hold.and_then(|hold| asked.checked_add(hold.min(LONGEST_HOLD_OF_OTHERS)));
        let others = self.fleet.others();
        for (known, heard) in [(&mut self.requests, &fleet.requests), (&mut self.tokens, &fleet.tokens)] {
            let Some(Heard { quota, lasts, ago }) = *heard else { continue };
            let by = Number { at: asked.checked_sub(ago).unwrap_or(asked), own, others };
            if known.is_none_or(|known| known.by.at + LATER_BY < by.at) {
                // One that does not say when it resets has been believed for a while elsewhere.
                let believed = BELIEVED_FOR.saturating_sub(lasts);
                let at = if quota.resets_in.is_none() { asked.checked_sub(believed).unwrap_or(asked) } else { asked };
                *known = Some(Told { quota, by, at, whom: Whom::Others });
            }
        }
    }

    /// The processes together know nothing of the endpoint: what this one was told itself it tells again, and what it had of
    /// the others does not count any more.
    pub(super) fn is_unknown_elsewhere(&mut self) {
        self.held_elsewhere = None;
        for known in [&mut self.requests, &mut self.tokens] {
            *known = known.filter(|known| known.whom == Whom::Us);
        }
        self.fleet.is_unknown();
    }

    /// Until when it asked to be left alone; none: it may be asked.
    pub(super) fn held_until(&self, now: Instant) -> Option<Instant> {
        self.held_until.max(self.held_elsewhere).filter(|until| *until > now)
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
        if let (Some(quota), Some(Told { by, .. })) = (&mut allowance.requests, self.requests) {
            let elsewhere = self.fleet.others().saturating_sub(by.others);
            let since = self.sent.saturating_sub(by.own).saturating_add(elsewhere);
            quota.remaining = quota.remaining.saturating_sub(since);
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
        let number = limits.sent(now);
        limits.learn(number, &allowance, now);
        limits
    }

    #[test]
    fn nothing_is_short_while_nothing_was_said() {
        let (mut limits, now) = (Limits::default(), Instant::now());
        let number = limits.sent(now);
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
        let (second, third) = (limits.sent(now), limits.sent(now));
        assert!(!limits.is_short(now), "two of twenty");
        let _fourth = limits.sent(now);
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
