//! Rate-limit headers: one set for requests, one for tokens, with the time until each is full again.
//!
//! The original writes that time as Go does (`6m0s`). Others who speak the protocol write plain seconds, the unix time
//! or the date of the reset; what is meant can be told from the value, so no dialect has to say it.

use std::time::{Duration, SystemTime};

use http::HeaderMap;

use crate::domain::Allowance;
use crate::protocol::allowance::Names;
use crate::protocol::wait;

static REQUESTS: Names =
    Names::new("x-ratelimit-limit-requests", "x-ratelimit-remaining-requests", "x-ratelimit-reset-requests");

static TOKENS: Names =
    Names::new("x-ratelimit-limit-tokens", "x-ratelimit-remaining-tokens", "x-ratelimit-reset-tokens");

/// What the headers of an answer say about the account's limits.
pub(super) fn allowance(headers: &HeaderMap, now: SystemTime) -> Allowance {
    let quota = |names: &Names| names.quota(headers, |text| reset(text, now));
    Allowance { requests: quota(&REQUESTS), tokens: quota(&TOKENS) }
}

fn reset(text: &str, now: SystemTime) -> Option<Duration> {
    wait::with_units(text).or_else(|| wait::seconds_or_unix(text, now)).or_else(|| wait::until_rfc3339(text, now))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Quota;

    fn said(pairs: &[(&str, &str)]) -> Allowance {
        let name = |name: &str| format!("x-ratelimit-{name}").parse::<http::HeaderName>().unwrap();
        let headers =
            pairs.iter().map(|(what, value)| (name(what), http::HeaderValue::from_bytes(value.as_bytes()).unwrap()));
        // 2026-11-23T10:00:00Z.
        allowance(&headers.collect(), SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_428_000))
    }

    #[test]
    fn requests_and_tokens_are_read() {
        let allowance = said(&[
            ("limit-requests", "500"),
            ("remaining-requests", "499"),
            ("reset-requests", "120ms"),
            ("limit-tokens", "30000"),
            ("remaining-tokens", "0"),
            ("reset-tokens", "6m0s"),
        ]);
        let (soon, late) = (Some(Duration::from_millis(120)), Some(Duration::from_secs(360)));
        assert_eq!(allowance.requests, Some(Quota { limit: Some(500), remaining: 499, resets_in: soon }));
        assert_eq!(allowance.tokens, Some(Quota { limit: Some(30_000), remaining: 0, resets_in: late }));
    }

    #[test]
    fn a_reset_is_read_in_whatever_form_it_comes() {
        for (text, millis) in [
            ("120ms", Some(120)),
            ("1s", Some(1000)),
            ("6m0s", Some(360_000)),
            ("59.96s", Some(59_960)),
            ("2m59.5s", Some(179_500)),
            ("0s", Some(0)),
            ("500\u{b5}s", Some(0)),
            ("60", Some(60_000)),
            ("0.25", Some(250)),
            ("1795428060", Some(60_000)),
            ("1795428060500", Some(60_500)),
            ("1795427000", Some(0)),
            ("2026-11-23T10:00:17Z", Some(17_000)),
            ("48h0m0s", Some(86_400_000)),
            ("1e99", Some(86_400_000)),
            ("-1", None),
            ("-1s", None),
            ("soon", None),
            ("", None),
            ("1x", None),
            ("NaN", None),
        ] {
            let tokens = said(&[("remaining-tokens", "7"), ("reset-tokens", text)]).tokens.unwrap();
            let resets_in = tokens.resets_in.map(|wait| u64::try_from(wait.as_millis()).unwrap());
            assert_eq!((tokens.remaining, tokens.limit, resets_in), (7, None, millis), "{text:?}");
        }
    }

    #[test]
    fn without_a_number_that_is_left_nothing_is_said() {
        for left in ["", "-1", "many", "1.5", "5, 6", "18446744073709551616"] {
            assert!(said(&[("remaining-requests", left), ("limit-requests", "5")]).is_silent(), "{left:?}");
        }
        assert!(said(&[("limit-tokens", "5"), ("reset-tokens", "1s")]).is_silent());
        assert!(said(&[("remaining-images", "0"), ("remaining", "0")]).is_silent());
        assert!(said(&[]).is_silent());
    }
}
