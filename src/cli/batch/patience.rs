//! When an item, or the server, is asked again, and when no more.

use std::time::Duration;

use tonic::Code;

use super::told::Failure;

/// The longest hint of a server that is waited for; an item that shall wait longer has failed.
const LONGEST_HINT: Duration = Duration::from_secs(120);
const FIRST_AGAIN: Duration = Duration::from_secs(1);
const LAST_AGAIN: Duration = Duration::from_secs(30);
const FIRST_RECONNECT: Duration = Duration::from_millis(250);
const LAST_RECONNECT: Duration = Duration::from_secs(10);

/// How long to wait before an item that failed is asked once more; none: it has failed. `asked` is how often it was
/// asked again before, `most` how often it may be, `dice` from 0 to 1.
pub(super) fn before_again(failure: &Failure, asked: u32, most: u32, dice: f64) -> Option<Duration> {
    let passes = match failure.code {
        Code::Unavailable => true,
        // A provider's or a caller's rate; what has no hint does not pass by waiting.
        Code::ResourceExhausted => failure.wait.is_some(),
        _ => false,
    };
    if !passes || asked >= most {
        return None;
    }
    match failure.wait {
        Some(hint) if hint > LONGEST_HINT => None,
        // Never earlier than was said, and not all at the same moment.
        Some(hint) => Some(hint.saturating_add(Duration::from_millis(500).mul_f64(dice))),
        None => Some(growing(FIRST_AGAIN, LAST_AGAIN, asked, dice)),
    }
}

/// How long to wait before the stream is begun anew, after this many that were lost in a row.
pub(super) fn before_reconnect(lost: u32, hint: Option<Duration>, dice: f64) -> Duration {
    let wait = growing(FIRST_RECONNECT, LAST_RECONNECT, lost, dice);
    hint.map_or(wait, |hint| hint.min(LONGEST_HINT).max(wait))
}

/// Twice as long each time up to a bound, of that the half to all.
fn growing(first: Duration, last: Duration, times: u32, dice: f64) -> Duration {
    let factor = 1_u32.checked_shl(times).unwrap_or(u32::MAX);
    let whole = first.saturating_mul(factor).min(last);
    whole.mul_f64(dice.clamp(0.0, 1.0).mul_add(0.5, 0.5))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_item_is_asked_again_where_that_can_help_and_not_too_often() {
        let second = Duration::from_secs(1);
        let cases = [
            (Code::Unavailable, None, 0, Some(second)),
            (Code::Unavailable, None, 2, Some(second * 4)),
            (Code::Unavailable, Some(second * 7), 0, Some(Duration::from_millis(7500))),
            (Code::Unavailable, None, 3, None),
            (Code::ResourceExhausted, Some(second), 1, Some(Duration::from_millis(1500))),
            (Code::ResourceExhausted, Some(second * 121), 0, None),
            (Code::ResourceExhausted, None, 0, None),
            (Code::InvalidArgument, Some(second), 0, None),
            (Code::DeadlineExceeded, None, 0, None),
        ];
        for (code, wait, asked, expected) in cases {
            let failure = Failure { code, reason: String::new(), wait };
            assert_eq!(before_again(&failure, asked, 3, 1.0), expected, "{code:?} {wait:?} {asked}");
        }
    }

    #[test]
    fn the_wait_for_a_server_grows_to_a_bound_and_is_not_shorter_than_it_says() {
        assert_eq!(before_reconnect(0, None, 1.0), FIRST_RECONNECT);
        assert_eq!(before_reconnect(2, None, 0.0), FIRST_RECONNECT * 2);
        assert_eq!(before_reconnect(99, None, 1.0), LAST_RECONNECT);
        assert_eq!(before_reconnect(0, Some(Duration::from_secs(3)), 0.5), Duration::from_secs(3));
        assert_eq!(before_reconnect(0, Some(Duration::from_secs(9999)), 0.5), LONGEST_HINT);
    }
}
