//! Streams that are lost: what their status means for the batch, and how long the server may be away.

use std::time::Duration;

use tokio::time::Instant;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use super::patience::before_reconnect;

/// A stream that was open for this long did work: what happened before it is another outage.
const WORKED: Duration = Duration::from_secs(10);

/// What the end of a stream means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// The server or the way to it is away; it may come back.
    Lost,
    /// One of the items may be what the server does not take.
    Suspect,
    /// No other stream would end differently.
    Refused,
}

/// Reads the status that a stream ended with.
pub(super) fn meaning(status: &Status) -> Meaning {
    // What this server did not say itself comes from something in between, or from the connection.
    let from_server = status.get_details_error_info().is_some();
    match status.code() {
        Code::Unauthenticated | Code::PermissionDenied | Code::Unimplemented => Meaning::Refused,
        Code::Unavailable | Code::Cancelled | Code::DeadlineExceeded | Code::Aborted => Meaning::Lost,
        Code::Unknown | Code::Internal if !from_server => Meaning::Lost,
        _ => Meaning::Suspect,
    }
}

/// How long the server has been away.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Outage {
    since: Option<Instant>,
    lost: u32,
}

impl Outage {
    /// A stream was lost. The time at which to begin another; none: the server has been away for too long. `open_for` is
    /// how long the stream was open.
    pub(super) fn lose(
        &mut self,
        now: Instant,
        open_for: Option<Duration>,
        hint: Option<Duration>,
        patience: Duration,
    ) -> Option<Instant> {
        if open_for.is_some_and(|open_for| open_for >= WORKED) {
            self.end();
        }
        let since = *self.since.get_or_insert(now);
        if now.saturating_duration_since(since) >= patience {
            return None;
        }
        let wait = before_reconnect(self.lost, hint, rand::random());
        self.lost = self.lost.saturating_add(1);
        // Once more at the very end, rather than not at all.
        Some(now.checked_add(wait)?.min(since.checked_add(patience)?))
    }

    /// A result came.
    pub(super) fn end(&mut self) {
        *self = Self::default();
    }

    /// Whether the last stream was lost and nothing has come since.
    pub(super) fn lasts(&self) -> bool {
        self.since.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outage_is_waited_for_as_long_as_was_said() {
        let (start, patience) = (Instant::now(), Duration::from_secs(60));
        let mut outage = Outage::default();
        let (mut now, mut times) = (start, 0);
        while let Some(next) = outage.lose(now, None, None, patience) {
            assert!(next > now && next <= start + patience, "{times}");
            (now, times) = (next, times + 1);
        }
        assert_eq!(now, start + patience);
        assert!((7..60).contains(&times), "{times}");
        // A stream that did work begins the count anew.
        assert!(outage.lose(now, Some(WORKED), None, patience).is_some());
    }

    #[test]
    fn the_end_of_a_stream_is_read_from_its_status() {
        let cases = [
            (Code::Unavailable, Meaning::Lost),
            (Code::Unknown, Meaning::Lost),
            (Code::Internal, Meaning::Lost),
            (Code::Aborted, Meaning::Lost),
            (Code::InvalidArgument, Meaning::Suspect),
            (Code::OutOfRange, Meaning::Suspect),
            (Code::ResourceExhausted, Meaning::Suspect),
            (Code::Unimplemented, Meaning::Refused),
            (Code::Unauthenticated, Meaning::Refused),
        ];
        for (code, expected) in cases {
            assert_eq!(meaning(&Status::new(code, "")), expected, "{code:?}");
        }
    }
}
