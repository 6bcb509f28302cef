//! What processes that use the same account tell each other about its limits. Values, and what is counted between two
//! exchanges; it must not know how they are exchanged.
//!
//! All that is sent at an endpoint is counted in one place, `total`, to which each process adds what it has sent since it was
//! last there. What the others have sent meanwhile is what `total` has grown by beside that.

use std::time::Duration;

use crate::domain::Quota;

/// What one process has to tell of an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LimitNews {
    /// Attempts that were sent from here since the last exchange.
    pub sent: u64,
    /// All attempts that were known of then.
    pub total: u64,
    /// How long its provider wants to be left alone.
    pub hold: Option<Duration>,
    /// What is left of its limit on requests, without those that were sent since it was told.
    pub requests: Option<Heard>,
    /// What is left of its limit on tokens.
    pub tokens: Option<Heard>,
}

/// What all processes together know of an endpoint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FleetLimits {
    /// All attempts that were told of.
    pub total: u64,
    /// How long its provider wants to be left alone.
    pub hold: Option<Duration>,
    /// What is left of its limit on requests.
    pub requests: Option<Heard>,
    /// What is left of its limit on tokens.
    pub tokens: Option<Heard>,
}

/// What somebody was told of a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heard {
    /// What is left.
    pub quota: Quota,
    /// How much longer this is worth something.
    pub lasts: Duration,
    /// How long ago the attempt was sent whose answer told it.
    pub ago: Duration,
}

/// How far this process and the others are at an endpoint.
#[derive(Debug, Default)]
pub(super) struct Fleet {
    /// All that was told of, when it was last asked.
    total: u64,
    /// How much of what was sent from here is in it.
    reported: u64,
    /// How much was sent from here when it was asked.
    asked: u64,
    /// What others have sent.
    others: u64,
    /// How often something was learned here: in all, when it was asked, and as far as the others know it.
    learned: [u64; 3],
    /// Whether others have told of the endpoint, or know it from here.
    is_shared: bool,
}

impl Fleet {
    pub(super) fn others(&self) -> u64 {
        self.others
    }

    pub(super) fn is_shared(&self) -> bool {
        self.is_shared
    }

    /// Something was learned here that the others do not know.
    pub(super) fn has_news(&mut self) {
        let [learned, ..] = &mut self.learned;
        *learned = learned.saturating_add(1);
    }

    /// `known`, with what was sent since, where that is worth telling.
    pub(super) fn news(&mut self, sent: u64, known: LimitNews) -> Option<LimitNews> {
        let [learned, asked, told] = &mut self.learned;
        *asked = *learned;
        self.asked = sent;
        if known.requests.is_none() {
            // Where no limit is known, nothing is counted down.
            self.reported = sent;
        }
        let unreported = sent.saturating_sub(self.reported);
        let is_known = known.hold.is_some() || known.requests.is_some() || known.tokens.is_some();
        let is_news = is_known && (learned != told || unreported > 0);
        is_news.then_some(LimitNews { sent: unreported, total: self.total, ..known })
    }

    /// Nothing stands there of the endpoint. What did is over, or was lost, and then it is news.
    pub(super) fn is_unknown(&mut self) {
        if std::mem::take(&mut self.is_shared) {
            self.has_news();
        }
    }

    /// All that was told of comes to `total`, with what was asked last in it. Returns how much was sent from here then.
    pub(super) fn agree(&mut self, total: u64) -> u64 {
        let own = self.asked.saturating_sub(self.reported);
        // A count that has become smaller has begun anew.
        let before = if total < self.total { 0 } else { self.total };
        self.others = self.others.saturating_add(total.saturating_sub(before).saturating_sub(own));
        (self.total, self.reported, self.is_shared) = (total, self.asked, true);
        let [_, asked, told] = &mut self.learned;
        *told = *asked;
        self.asked
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::super::limits::Limits;
    use super::*;
    use crate::domain::Allowance;

    const SECOND: Duration = Duration::from_secs(1);

    fn quota(remaining: u64) -> Quota {
        Quota { limit: Some(100), remaining, resets_in: Some(60 * SECOND) }
    }

    fn requests(remaining: u64) -> Allowance {
        Allowance { requests: Some(quota(remaining)), tokens: None }
    }

    fn heard(remaining: u64, ago: Duration) -> Option<Heard> {
        Some(Heard { quota: quota(remaining), lasts: 60 * SECOND, ago })
    }

    fn left(limits: &Limits, now: Instant) -> u64 {
        limits.left(now).requests.unwrap().remaining
    }

    /// What comes back of an exchange.
    fn exchange(limits: &mut Limits, fleet: &FleetLimits, now: Instant) {
        let _told = limits.news(now);
        limits.agree(fleet, now);
    }

    fn told(remaining: u64, now: Instant) -> Limits {
        let mut limits = Limits::default();
        let number = limits.sent(now);
        limits.learn(number, &requests(remaining), now);
        limits
    }

    #[test]
    fn what_others_send_is_counted_down_as_what_is_sent_here() {
        let now = Instant::now();
        let mut limits = told(50, now);
        let news = limits.news(now).unwrap();
        assert_eq!((news.sent, news.total, news.requests), (1, 0, heard(50, Duration::ZERO)));
        limits.agree(&FleetLimits { total: 1, ..Default::default() }, now);
        assert_eq!((left(&limits, now), limits.news(now)), (50, None), "nothing is told twice");
        limits.sent(now);
        let news = limits.news(now).unwrap();
        assert_eq!((news.sent, news.total, news.requests), (1, 1, heard(49, Duration::ZERO)));
        limits.sent(now);
        limits.agree(&FleetLimits { total: 12, ..Default::default() }, now);
        assert_eq!(left(&limits, now), 38, "two from here, one of which is told of, and ten from others");
        assert_eq!(limits.news(now).unwrap().sent, 1);
        limits.agree(&FleetLimits { total: 3, ..Default::default() }, now);
        assert_eq!(left(&limits, now), 36, "a count that has begun anew has two of others");
    }

    #[test]
    fn what_was_not_taken_is_told_again() {
        let now = Instant::now();
        let mut limits = told(50, now);
        let first = limits.news(now);
        limits.sent(now);
        let again = limits.news(now).unwrap();
        assert_eq!((first.unwrap().sent, again.sent), (1, 2));
        // What is learned while it is asked is news afterwards.
        let number = limits.sent(now);
        limits.learn(number, &requests(7), now);
        limits.agree(&FleetLimits { total: 2, ..Default::default() }, now);
        let later = limits.news(now).unwrap();
        assert_eq!((later.sent, later.requests.unwrap().quota.remaining), (1, 7));
    }

    #[test]
    fn of_two_that_were_told_the_one_counts_that_was_sent_later() {
        let now = Instant::now() + 60 * SECOND;
        let mut limits = told(50, now);
        let heard_of = FleetLimits { requests: heard(9, SECOND), ..Default::default() };
        exchange(&mut limits, &heard_of, now);
        assert_eq!(left(&limits, now), 50);
        let later = now + 5 * SECOND;
        exchange(&mut limits, &heard_of, later);
        assert_eq!(left(&limits, later), 9);
        limits.sent(later);
        assert_eq!(left(&limits, later), 8, "what is sent after it is counted down");
        // The answer to an attempt that was sent in between says something newer again.
        let mut limits = told(50, now);
        let number = limits.sent(later);
        exchange(&mut limits, &heard_of, later);
        limits.learn(number, &requests(20), later);
        assert_eq!(left(&limits, later), 20);
    }

    #[test]
    fn what_others_were_told_ends_when_it_does_there() {
        let now = Instant::now() + 60 * SECOND;
        let mut limits = Limits::default();
        let soon = Heard { quota: Quota { resets_in: Some(2 * SECOND), ..quota(0) }, lasts: 2 * SECOND, ago: SECOND };
        exchange(&mut limits, &FleetLimits { requests: Some(soon), ..Default::default() }, now);
        assert!(limits.is_short(now + SECOND) && !limits.is_short(now + 2 * SECOND));
        let unsaid = Heard { quota: Quota { resets_in: None, ..quota(0) }, ..soon };
        let mut limits = Limits::default();
        exchange(&mut limits, &FleetLimits { requests: Some(unsaid), ..Default::default() }, now);
        assert_eq!(limits.left(now + SECOND).requests.unwrap().resets_in, None);
        assert!(limits.is_short(now + SECOND) && !limits.is_short(now + 2 * SECOND));
    }

    #[test]
    fn one_that_others_are_to_leave_alone_is_left_alone_here() {
        let now = Instant::now();
        let mut limits = Limits::default();
        assert_eq!(limits.news(now), None);
        limits.agree(&FleetLimits { hold: Some(9 * SECOND), ..Default::default() }, now);
        assert_eq!(limits.held_until(now), Some(now + 9 * SECOND));
        assert_eq!(limits.news(now), None, "what came from others is no news to them");
        limits.hold(5 * SECOND, now);
        assert_eq!(limits.news(now), None, "nor is what is shorter");
        limits.hold(20 * SECOND, now);
        assert_eq!(limits.news(now).unwrap().hold, Some(20 * SECOND));
        limits.agree(&FleetLimits { hold: Some(Duration::MAX), ..Default::default() }, now);
        assert_eq!(limits.held_until(now), Some(now + 300 * SECOND), "within reason, whoever says so");
        limits.agree(&FleetLimits { hold: Some(Duration::MAX), ..Default::default() }, now + SECOND);
        assert_eq!(limits.held_until(now), Some(now + 301 * SECOND), "and as long as it is said");
        limits.agree(&FleetLimits { hold: Some(3 * SECOND), ..Default::default() }, now);
        assert_eq!(limits.held_until(now), Some(now + 20 * SECOND), "what was said here stays");
    }

    #[test]
    fn what_is_gone_elsewhere_counts_no_more_and_what_was_told_here_is_told_again() {
        let now = Instant::now() + 60 * SECOND;
        let mut limits = Limits::default();
        let poison = FleetLimits { hold: Some(3600 * SECOND), requests: heard(0, SECOND), ..Default::default() };
        exchange(&mut limits, &poison, now);
        assert!(limits.held_until(now).is_some() && limits.is_short(now));
        let _none = limits.news(now);
        limits.is_unknown_elsewhere();
        assert!(limits.held_until(now).is_none() && !limits.is_short(now), "it was never said here");
        assert_eq!(limits.news(now), None);
        // What was said here is not lost with it.
        let mut limits = told(50, now);
        limits.hold(5 * SECOND, now);
        exchange(&mut limits, &FleetLimits { total: 1, hold: Some(5 * SECOND), ..Default::default() }, now);
        limits.hold(4 * SECOND, now);
        assert_eq!(limits.news(now), None);
        limits.is_unknown_elsewhere();
        let news = limits.news(now).unwrap();
        assert_eq!((news.hold, news.requests), (Some(5 * SECOND), heard(50, Duration::ZERO)));
        limits.is_unknown_elsewhere();
        assert!(limits.news(now).is_some(), "as long as nobody knows it");
        exchange(&mut limits, &FleetLimits { total: 1, ..Default::default() }, now);
        limits.is_unknown_elsewhere();
        let later = now + 3600 * SECOND;
        assert_eq!(limits.news(later), None, "and nothing of it when it is over");
    }
}
