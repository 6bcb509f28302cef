//! Rate-limit headers: one set for requests and three for tokens, with the time at which each is full again.
//!
//! Those of a priority tier (`anthropic-priority-*`) are not read: a request that is above them is served all the same.

use std::time::SystemTime;

use http::HeaderMap;

use crate::domain::Allowance;
use crate::protocol::allowance::{Names, tightest};
use crate::protocol::wait;

static REQUESTS: Names = Names::new(
    "anthropic-ratelimit-requests-limit",
    "anthropic-ratelimit-requests-remaining",
    "anthropic-ratelimit-requests-reset",
);

/// The first is the tightest in force where the provider says it; the others are what it is made of.
static TOKENS: [Names; 3] = [
    Names::new(
        "anthropic-ratelimit-tokens-limit",
        "anthropic-ratelimit-tokens-remaining",
        "anthropic-ratelimit-tokens-reset",
    ),
    Names::new(
        "anthropic-ratelimit-input-tokens-limit",
        "anthropic-ratelimit-input-tokens-remaining",
        "anthropic-ratelimit-input-tokens-reset",
    ),
    Names::new(
        "anthropic-ratelimit-output-tokens-limit",
        "anthropic-ratelimit-output-tokens-remaining",
        "anthropic-ratelimit-output-tokens-reset",
    ),
];

/// What the headers of an answer say about the account's limits.
pub(super) fn allowance(headers: &HeaderMap, now: SystemTime) -> Allowance {
    let quota = |names: &Names| names.quota(headers, |text| wait::until_rfc3339(text, now));
    Allowance { requests: quota(&REQUESTS), tokens: tightest(TOKENS.iter().filter_map(quota)) }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::domain::Quota;

    /// What is said by headers that are called `anthropic-ratelimit-` and so on.
    fn said(pairs: &[(&str, &str)]) -> Allowance {
        let name = |name: &str| format!("anthropic-ratelimit-{name}").parse::<http::HeaderName>().unwrap();
        let headers = pairs.iter().map(|(what, value)| (name(what), value.parse().unwrap())).collect();
        // 2026-11-23T10:00:00Z.
        allowance(&headers, SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_428_000))
    }

    fn quota(remaining: u64, limit: Option<u64>, resets_in: Option<u64>) -> Option<Quota> {
        Some(Quota { limit, remaining, resets_in: resets_in.map(Duration::from_secs) })
    }

    #[test]
    fn requests_and_the_tightest_of_the_tokens_are_read() {
        let allowance = said(&[
            ("requests-limit", "1000"),
            ("requests-remaining", "999"),
            ("requests-reset", "2026-11-23T10:00:01Z"),
            ("tokens-limit", "60000"),
            ("tokens-remaining", "30000"),
            ("tokens-reset", "2026-11-23T10:00:10Z"),
            ("input-tokens-limit", "50000"),
            ("input-tokens-remaining", "40000"),
            ("input-tokens-reset", "2026-11-23T10:00:12Z"),
            ("output-tokens-limit", "10000"),
            ("output-tokens-remaining", "100"),
            ("output-tokens-reset", "2026-11-23T10:00:59.5Z"),
        ]);
        assert_eq!(allowance.requests, quota(999, Some(1000), Some(1)));
        let resets_in = Some(Duration::from_millis(59_500));
        assert_eq!(allowance.tokens, Some(Quota { limit: Some(10_000), remaining: 100, resets_in }));
    }

    #[test]
    fn what_cannot_be_read_was_not_said() {
        type Case<'a> = (&'a [(&'a str, &'a str)], Option<Quota>);
        let cases: &[Case<'_>] = &[
            (&[("requests-remaining", "5")], quota(5, None, None)),
            (&[("requests-limit", "9"), ("requests-reset", "2026-11-23T10:00:01Z")], None),
            (&[("requests-remaining", "-1")], None),
            (&[("requests-remaining", "1.5")], None),
            (&[("requests-remaining", "")], None),
            (&[("requests-remaining", "18446744073709551616")], None),
            (&[("requests-remaining", "5"), ("requests-limit", "many")], quota(5, None, None)),
            (&[("requests-remaining", "5"), ("requests-reset", "60")], quota(5, None, None)),
            (&[("requests-remaining", "5"), ("requests-reset", "6m0s")], quota(5, None, None)),
            (&[("requests-remaining", "5"), ("requests-reset", "2026-11-23T10:00")], quota(5, None, None)),
            (&[("requests-remaining", "5"), ("requests-reset", "2026-11-23T09:00:00Z")], quota(5, None, Some(0))),
            (&[("requests-remaining", "5"), ("requests-reset", "2030-01-01T00:00:00Z")], quota(5, None, Some(86_400))),
        ];
        for (pairs, expected) in cases {
            let allowance = said(pairs);
            assert_eq!((allowance.requests, allowance.tokens), (*expected, None), "{pairs:?}");
        }
        assert!(said(&[]).is_silent());
    }

    #[test]
    fn a_priority_tier_is_not_the_accounts_limit() {
        let headers = HeaderMap::from_iter([
            ("anthropic-priority-input-tokens-limit".parse().unwrap(), "10".parse().unwrap()),
            ("anthropic-priority-input-tokens-remaining".parse().unwrap(), "0".parse().unwrap()),
        ]);
        assert!(allowance(&headers, SystemTime::UNIX_EPOCH).is_silent());
    }
}
