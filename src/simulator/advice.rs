//! What an answer's headers say about trying again and about rate limits.

use std::time::Duration;

use http::{HeaderMap, HeaderValue};

use super::clock::Clock;
use super::wire::Wire;

/// The limit of which something is left, in requests and in tokens.
pub(super) const LIMIT: u32 = 100;
/// How long it takes until all of it is there again.
pub(super) const WINDOW: Duration = Duration::from_secs(60);

/// What headers say. Nothing set: nothing.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Advice {
    /// A failure says when to try again.
    pub(super) retry_after: Option<RetryAfter>,
    /// A failure says it in milliseconds.
    pub(super) retry_after_ms: Option<u32>,
    /// A failure says that trying again cannot help.
    pub(super) no_retry: bool,
    /// How much of [`LIMIT`] is left: any answer says it.
    pub(super) left: Option<u32>,
}

/// How a failure says when to try again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RetryAfter {
    /// After so many seconds.
    Seconds(u32),
    /// At the date that is so many seconds ahead.
    Date(u32),
}

impl Advice {
    /// Says of a failure what there is to say of failures.
    pub(super) fn on_failure(self, clock: Clock, headers: &mut HeaderMap) {
        match self.retry_after {
            Some(RetryAfter::Seconds(seconds)) => put(headers, "retry-after", &seconds),
            Some(RetryAfter::Date(seconds)) => {
                let at = clock.now() + Duration::from_secs(seconds.into());
                put(headers, "retry-after", &httpdate::fmt_http_date(at));
            }
            None => {}
        }
        if let Some(millis) = self.retry_after_ms {
            put(headers, "retry-after-ms", &millis);
        }
        if self.no_retry {
            put(headers, "x-should-retry", &"false");
        }
    }

    /// Says of any answer what there is to say of all.
    pub(super) fn on_any(self, wire: &dyn Wire, clock: Clock, headers: &mut HeaderMap) {
        let Some(left) = self.left else { return };
        for (name, value) in wire.rate_limits(left, clock.now()) {
            put(headers, name, &value);
        }
    }
}

fn put(headers: &mut HeaderMap, name: &'static str, value: &impl ToString) {
    if let Ok(value) = HeaderValue::try_from(value.to_string()) {
        headers.insert(name, value);
    }
}
