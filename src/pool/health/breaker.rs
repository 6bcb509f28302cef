//! The breaker: whether an endpoint, or a key, is asked at all. A state machine over the time that is handed in.
//!
//! ```text
//!            too many failures                    the pause is over
//!   CLOSED ───────────────────▶ OPEN ──────────────────────────────▶ HALF_OPEN
//!      ▲                          ▲              the probe fails          │
//!      │                          └───────────────────────────────────────┤
//!      └──────────────────────────────────────────────────────────────────┘
//!                                    a success
//! ```
//!
//! What an attempt may say depends on when it was let through. One that was sent before the breaker opened, or before it
//! closed again, tells of a time that is over: it neither opens nor closes anything. Otherwise a hundred calls that hang
//! in an outage would open the breaker again when they time out after its end, and one lucky answer among the failures
//! that opened it would close it at once.

use std::time::Duration;

use tokio::time::Instant;

use super::window::{Counts, Window};

/// So many failures in a row open, however far apart they are, if they are not of one moment: where a fifth of many calls
/// at a time fails, five in a row come about by chance every few seconds.
const IN_A_ROW: u32 = 5;
/// How long failures in a row must have gone on to be more than a moment.
const MOMENT: Duration = Duration::from_secs(1);
/// So many failures in a row open even within a moment.
const MANY_IN_A_ROW: u32 = 10;
/// So many failures in the window open when they are at least half of its results.
const IN_THE_WINDOW: u32 = 5;
/// The pause before the first probe. A failed probe doubles it.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// The longest time between the beginnings of two probes. A probe that says nothing for so long counts as lost, and
/// another may go: so an endpoint that was silent is found well within this time of its return, whatever the timeouts.
const LONGEST_PAUSE: Duration = Duration::from_secs(3);

/// The breaker of one endpoint or one key.
#[derive(Debug)]
pub(in crate::pool) struct Breaker {
    state: State,
    /// Passes and changes are numbered in one sequence: the last number.
    latest: u64,
    /// The number of the last change between closed and not closed. Older passes are stale.
    changed: u64,
}

#[derive(Debug)]
enum State {
    /// `broken` are the answers in a row that began and broke: each beginning would end the other failures in a row.
    Closed {
        window: Window,
        streak: Streak,
        broken: Streak,
    },
    Open {
        until: Instant,
        ejection: Ejection,
    },
    HalfOpen {
        probe: u64,
        begun: Instant,
        ejection: Ejection,
    },
}

/// Failures in a row.
#[derive(Clone, Copy, Debug, Default)]
struct Streak {
    failures: u32,
    since: Option<Instant>,
}

impl Streak {
    fn one_more(self, now: Instant) -> Self {
        Self { failures: self.failures.saturating_add(1), since: self.since.or(Some(now)) }
    }

    fn longer(self, other: Self) -> Self {
        if other.failures > self.failures { other } else { self }
    }

    fn is_no_chance(self, now: Instant) -> bool {
        let lasts = self.since.is_some_and(|since| now.saturating_duration_since(since) >= MOMENT);
        self.failures >= MANY_IN_A_ROW || (self.failures >= IN_A_ROW && lasts)
    }
}

/// Why calls go elsewhere, and for how long.
#[derive(Clone, Copy, Debug)]
struct Ejection {
    pause: Duration,
    /// What opened it were answers that began and then broke: that one begins shows nothing then, and only one that comes
    /// to its end closes it. Otherwise each probe would let in all the calls of the time that an answer takes to break.
    late: bool,
}

/// The state by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BreakerState {
    /// Calls go through.
    Closed,
    /// Calls go elsewhere.
    Open,
    /// One call goes through, to see whether it is well again.
    HalfOpen,
}

/// Whether a call may go through now. Ordered by how strict it is, so that the stricter of two is their maximum.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Admits {
    /// Any.
    All,
    /// One, as the probe.
    Probe,
    /// None.
    None {
        /// When a probe may go; while one is out, when it counts as lost.
        until: Instant,
    },
}

impl Admits {
    /// Until when nobody is admitted; none: somebody is.
    pub(super) fn opens_at(self) -> Option<Instant> {
        match self {
            Self::None { until } => Some(until),
            Self::All | Self::Probe => None,
        }
    }
}

/// What an attempt was let through with, and shows when it tells how it went: a number, by which the breaker knows its
/// probe and knows what is stale.
#[derive(Debug)]
pub(super) struct Pass {
    number: u64,
    /// Once it has told of its success: the failures in a row that this ended.
    success: Option<Streak>,
}

/// How surely a failure says that the next call would fail too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Severity {
    /// It may have been chance: it counts.
    Chance,
    /// A refused key or an unknown model does not mend by itself: one is enough, unless the window knows of successes. A
    /// caller who asks for what the account cannot afford, or for a file that is gone, is told the same, and must not
    /// take the endpoint away from all others by one call.
    Certain,
}

impl Breaker {
    /// Closed.
    pub(in crate::pool) fn new() -> Self {
        Self { state: State::closed(), latest: 0, changed: 0 }
    }

    /// The state at `now`.
    pub(super) fn state(&self, now: Instant) -> BreakerState {
        match self.state {
            State::Closed { .. } => BreakerState::Closed,
            State::Open { until, .. } if now < until => BreakerState::Open,
            State::Open { .. } | State::HalfOpen { .. } => BreakerState::HalfOpen,
        }
    }

    /// Whether a call may go through.
    pub(super) fn admits(&self, now: Instant) -> Admits {
        let until = match self.state {
            State::Closed { .. } => return Admits::All,
            State::Open { until, .. } => until,
            State::HalfOpen { begun, .. } => begun + LONGEST_PAUSE,
        };
        if now < until { Admits::None { until } } else { Admits::Probe }
    }

    /// Lets a call through, as the probe if there may be one. Where none is admitted it goes as a last resort: its
    /// success counts, and its failure changes nothing, or a stream of last resorts would put off the probe for ever.
    pub(super) fn take(&mut self, now: Instant) -> Pass {
        let number = match (self.admits(now), &self.state) {
            (Admits::Probe, &(State::Open { ejection, .. } | State::HalfOpen { ejection, .. })) => {
                self.latest += 1;
                self.state = State::HalfOpen { probe: self.latest, begun: now, ejection };
                self.latest
            }
            _ => self.changed,
        };
        Pass { number, success: None }
    }

    /// An answer has begun. That is a success already, unless it is known that answers break after that.
    pub(super) fn accepted(&mut self, pass: &mut Pass, now: Instant) {
        if let State::Open { ejection, .. } | State::HalfOpen { ejection, .. } = self.state
            && ejection.late
        {
            return;
        }
        self.answered(pass, now);
    }

    /// An attempt was answered. It may say so more than once, and counts once.
    pub(super) fn succeeded(&mut self, pass: &mut Pass, now: Instant) {
        if self.is_stale(pass) {
            return;
        }
        self.answered(pass, now);
        if let State::Closed { broken, .. } = &mut self.state {
            *broken = Streak::default();
        }
    }

    fn answered(&mut self, pass: &mut Pass, now: Instant) {
        if self.is_stale(pass) || pass.success.is_some() {
            return;
        }
        if !matches!(self.state, State::Closed { .. }) {
            self.change(State::closed());
            // What becomes of the answer that closed it is news.
            pass.number = self.changed;
        }
        if let State::Closed { window, streak, .. } = &mut self.state {
            window.count(Counts { results: 1, failures: 0 }, now);
            pass.success = Some(std::mem::take(streak));
        }
    }

    /// An attempt failed by a fault that is this breaker's business. One that was answered before is the same result
    /// still, and did not end the failures in a row.
    pub(super) fn failed(&mut self, pass: &Pass, severity: Severity, now: Instant) {
        if self.is_stale(pass) {
            return;
        }
        match &mut self.state {
            State::Closed { window, streak, broken } => {
                if pass.success.is_some() {
                    *broken = broken.one_more(now);
                }
                *streak = pass.success.map_or(*streak, |ended| streak.longer(ended)).one_more(now);
                window.count(Counts { results: u32::from(pass.success.is_none()), failures: 1 }, now);
                let Counts { results, failures } = window.counts(now);
                let too_many = failures >= IN_THE_WINDOW && failures.saturating_mul(2) >= results;
                // Where others were answered lately it may be about what this one asked for.
                let is_certain = severity == Severity::Certain && failures >= results;
                if is_certain || streak.is_no_chance(now) || broken.is_no_chance(now) || too_many {
                    let ejection = Ejection { pause: FIRST_PAUSE, late: pass.success.is_some() };
                    self.change(State::Open { until: now + FIRST_PAUSE, ejection });
                }
            }
            State::HalfOpen { probe, begun, ejection } if *probe == pass.number => {
                let pause = (ejection.pause * 2).min(LONGEST_PAUSE);
                // From the beginning of the probe: how long it took to fail does not put off the next.
                self.state = State::Open { until: *begun + pause, ejection: Ejection { pause, ..*ejection } };
            }
            State::Open { .. } | State::HalfOpen { .. } => {}
        }
    }

    /// An attempt says nothing: it was given up, or what went wrong was not this breaker's business. If it was the
    /// probe, another may go at once.
    pub(super) fn unknown(&mut self, pass: &Pass, now: Instant) {
        if let State::HalfOpen { probe, ejection, .. } = self.state
            && probe == pass.number
        {
            self.state = State::Open { until: now, ejection };
        }
    }

    fn is_stale(&self, pass: &Pass) -> bool {
        pass.number < self.changed
    }

    fn change(&mut self, state: State) {
        self.latest += 1;
        self.changed = self.latest;
        self.state = state;
    }
}

impl State {
    fn closed() -> Self {
        Self::Closed { window: Window::default(), streak: Streak::default(), broken: Streak::default() }
    }
}

#[cfg(test)]
mod tests;
