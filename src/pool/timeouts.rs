//! How long one upstream request may take, and in what.

use std::time::Duration;

/// The bounds on one upstream request. The call's own deadline bounds them all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// Until a new connection stands, TLS included.
    pub connect: Duration,
    /// From sending the request to the first event of the answer.
    pub first_event: Duration,
    /// Between two events.
    pub idle: Duration,
    /// In place of `first_event` and `idle`, for answers that come whole.
    pub attempt: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            first_event: Duration::from_secs(30),
            idle: Duration::from_secs(30),
            attempt: Duration::from_secs(60),
        }
    }
}
