//! The only thing beside its request that an answer can depend on: what time it is, for headers that name one.

use std::time::{Duration, SystemTime};

/// The end of time, as far as it is told: the year 9000. Not long after it dates cannot be written any more.
const END: Duration = Duration::from_secs(221_845_392_000);

/// Says what time it is. Default: what the system says.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock(fn() -> SystemTime);

impl Default for Clock {
    fn default() -> Self {
        Self(SystemTime::now)
    }
}

impl Clock {
    pub(super) const fn new(now: fn() -> SystemTime) -> Self {
        Self(now)
    }

    /// What time it is, as one that can be written as a date, and so can what is a few years later.
    pub(super) fn now(self) -> SystemTime {
        (self.0)().clamp(SystemTime::UNIX_EPOCH, SystemTime::UNIX_EPOCH + END)
    }
}
