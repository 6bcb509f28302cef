//! How old what a table shows is, and why there is nothing newer.

use std::time::Duration;

/// The longest time between two pictures, so that ages move on while nothing else does.
pub(crate) const REDRAW: Duration = Duration::from_secs(1);

/// How old what the table shows is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Freshness {
    /// As fresh as it was asked to be.
    Fresh,
    /// The server does not answer.
    Stale {
        /// How old the figures are.
        age: Duration,
        /// Why there are no newer ones.
        why: String,
    },
}

impl Freshness {
    /// That of figures that are `age` old where newer ones are asked for every `interval`, and the last question had this
    /// `trouble`. An answer that is merely late is not told at once: two more may be missing.
    pub(crate) fn of(age: Duration, interval: Duration, trouble: Option<&str>) -> Self {
        match trouble {
            Some(why) => Self::Stale { age, why: why.to_owned() },
            None if age > interval.saturating_mul(3).max(REDRAW * 2) => {
                Self::Stale { age, why: "it is slow".to_owned() }
            }
            None => Self::Fresh,
        }
    }

    /// That `server` does not answer, in words; nothing where it does. How old the figures are matters more than why.
    pub(crate) fn told(&self, server: &str) -> Option<String> {
        let Self::Stale { age, why } = self else { return None };
        let age = format!("{server} does not answer: figures of {} ago, still trying", super::words::time(*age));
        Some(if why.is_empty() { age } else { format!("{age} ({why})") })
    }
}
