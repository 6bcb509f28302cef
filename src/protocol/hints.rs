//! What response headers say about trying again.

use std::time::{Duration, SystemTime};

use http::{HeaderMap, StatusCode};

use super::allowance::{text, until_reset};
use super::{HttpRefusal, wait};
use crate::domain::{Allowance, Error, Reason};

/// How long to wait after a refusal that means `error`: what the upstream asks for; else, where a rate was exceeded,
/// until what is used up is there again, which `allowance` reads.
pub(super) fn delay(
    refusal: &HttpRefusal<'_>,
    error: &Error,
    allowance: impl FnOnce(&HeaderMap, SystemTime) -> Allowance,
) -> Option<Duration> {
    let is_limit = error.reason == Reason::ProviderRateLimited;
    // A request that is larger than the whole limit fits no better later, and must not keep others out until then.
    if is_limit && error.details.futile {
        return None;
    }
    let is_rate = is_limit && refusal.status == StatusCode::TOO_MANY_REQUESTS;
    let reset = || is_rate.then(|| until_reset(&allowance(refusal.headers, refusal.now))).flatten();
    retry_after(refusal.headers, refusal.now).or_else(reset)
}

/// Whether the upstream says that trying again cannot help (`x-should-retry: false`).
pub(super) fn is_futile(headers: &HeaderMap) -> bool {
    headers.get("x-should-retry").is_some_and(|value| value.as_bytes() == b"false")
}

/// How long the upstream asks to wait: `retry-after-ms`, else `retry-after` in seconds, with a fraction or not, or as
/// an HTTP date. A date in the past is no wait at all.
fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let in_millis = text(headers, "retry-after-ms").and_then(wait::millis);
    in_millis.or_else(|| {
        let text = text(headers, "retry-after")?;
        wait::seconds(text).or_else(|| wait::until_http_date(text, now))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Quota;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| ((*name).parse().unwrap(), value.parse().unwrap())).collect()
    }

    fn now() -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777)
    }

    #[test]
    fn waits_in_all_their_forms() {
        type Case<'a> = (&'a [(&'static str, &'a str)], Option<Duration>);
        let cases: &[Case<'_>] = &[
            (&[("retry-after", "17")], Some(Duration::from_secs(17))),
            (&[("retry-after", " 17 ")], Some(Duration::from_secs(17))),
            (&[("retry-after", "0")], Some(Duration::ZERO)),
            (&[("retry-after", "0.25")], Some(Duration::from_millis(250))),
            (&[("retry-after-ms", "120")], Some(Duration::from_millis(120))),
            (&[("retry-after-ms", "120"), ("retry-after", "1")], Some(Duration::from_millis(120))),
            (&[("retry-after-ms", "soon"), ("retry-after", "1")], Some(Duration::from_secs(1))),
            (&[("retry-after-ms", "-5"), ("retry-after", "1")], Some(Duration::from_secs(1))),
            (&[("retry-after", "Sun, 06 Nov 1994 08:49:39 GMT")], Some(Duration::from_secs(2))),
            (&[("retry-after", "Sunday, 06-Nov-94 08:49:39 GMT")], Some(Duration::from_secs(2))),
            (&[("retry-after", "Sun Nov  6 08:49:39 1994")], Some(Duration::from_secs(2))),
            (&[("retry-after", "Sun, 06 Nov 1994 08:00:00 GMT")], Some(Duration::ZERO)),
            (&[("retry-after", "Sat, 06 Nov 2094 08:00:00 GMT")], Some(wait::LONGEST)),
            (&[("retry-after", "1e300")], Some(wait::LONGEST)),
            (&[("retry-after", "86401")], Some(wait::LONGEST)),
            (&[("retry-after-ms", "1e300")], Some(wait::LONGEST)),
            (&[("retry-after", "-1")], None),
            (&[("retry-after", "NaN")], None),
            (&[("retry-after", "inf")], None),
            (&[("retry-after", "5s")], None),
            (&[("retry-after", "")], None),
            (&[("retry-after", "Sun, 06 Nov")], None),
            (&[("retry-after", "Sun, 36 Nov 1994 08:49:39 GMT")], None),
            (&[], None),
        ];
        for (pairs, expected) in cases {
            assert_eq!(retry_after(&headers(pairs), now()), *expected, "{pairs:?}");
        }
        let mut headers = HeaderMap::new();
        headers.insert("retry-after", http::HeaderValue::from_bytes(b"\xff1").unwrap());
        assert_eq!(retry_after(&headers, now()), None);
    }

    #[test]
    fn without_a_hint_a_rate_limit_lasts_until_what_is_used_up_is_there_again() {
        let used_up = Quota { limit: Some(5), remaining: 0, resets_in: Some(Duration::from_secs(60)) };
        let limited = || Error::new(Reason::ProviderRateLimited, "limited");
        let after = |status: u16, error: &Error, pairs: &[(&'static str, &str)]| {
            let (status, headers) = (StatusCode::from_u16(status).unwrap(), headers(pairs));
            let refusal = HttpRefusal { status, headers: &headers, body: b"", now: now() };
            delay(&refusal, error, |_, _| Allowance { requests: Some(used_up), tokens: None })
                .map(|wait| wait.as_secs())
        };
        assert_eq!(after(429, &limited(), &[]), Some(60));
        assert_eq!(after(429, &limited(), &[("retry-after", "tomorrow")]), Some(60));
        assert_eq!(after(429, &limited(), &[("retry-after", "2")]), Some(2));
        assert_eq!(after(429, &limited(), &[("retry-after", "0")]), Some(0));
        assert_eq!(after(503, &limited(), &[]), None);
        assert_eq!(after(429, &Error::new(Reason::ProviderQuotaExhausted, "empty"), &[]), None);
        let too_large = limited().with(|details| details.futile = true);
        assert_eq!(after(429, &too_large, &[]), None);
        assert_eq!(after(429, &too_large, &[("retry-after", "3600")]), None, "one such request holds nobody else");
    }
}
