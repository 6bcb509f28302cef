//! What response headers say about trying again.

use std::time::{Duration, SystemTime};

use http::HeaderMap;

/// The longest wait that is believed: a day. Anything longer is as good as this.
pub(super) const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// How long the upstream asks to wait: `retry-after-ms`, else `retry-after` in seconds, with a fraction or not, or as
/// an HTTP date. A date in the past is no wait at all.
pub(super) fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = |name: &str| headers.get(name)?.to_str().ok().map(str::trim);
    let number = |text: &str, unit: f64| {
        let seconds = text.parse::<f64>().ok().filter(|n| n.is_finite() && *n >= 0.0)? * unit;
        Some(Duration::try_from_secs_f64(seconds).map_or(LONGEST, |wait| wait.min(LONGEST)))
    };
    let date = |text: &str| {
        let at = httpdate::parse_http_date(text).ok()?;
        Some(at.duration_since(now).unwrap_or_default().min(LONGEST))
    };
    text("retry-after-ms")
        .and_then(|text| number(text, 0.001))
        .or_else(|| text("retry-after").and_then(|text| number(text, 1.0).or_else(|| date(text))))
}

/// Whether the upstream says that trying again cannot help (`x-should-retry: false`).
pub(super) fn is_futile(headers: &HeaderMap) -> bool {
    headers.get("x-should-retry").is_some_and(|value| value.as_bytes() == b"false")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| ((*name).parse().unwrap(), value.parse().unwrap())).collect()
    }

    #[test]
    fn waits_in_all_their_forms() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        type Case<'a> = (&'a [(&'static str, &'a str)], Option<Duration>);
        let cases: &[Case<'_>] = &[
            (&[("retry-after", "17")], Some(Duration::from_secs(17))),
            (&[("retry-after", "0.25")], Some(Duration::from_millis(250))),
            (&[("retry-after-ms", "120"), ("retry-after", "1")], Some(Duration::from_millis(120))),
            (&[("retry-after-ms", "soon"), ("retry-after", "1")], Some(Duration::from_secs(1))),
            (&[("retry-after", "Sun, 06 Nov 1994 08:49:39 GMT")], Some(Duration::from_secs(2))),
            (&[("retry-after", "Sun, 06 Nov 1994 08:00:00 GMT")], Some(Duration::ZERO)),
            (&[("retry-after", "1e300")], Some(LONGEST)),
            (&[("retry-after", "-1")], None),
            (&[("retry-after", "NaN")], None),
            (&[], None),
        ];
        for (pairs, expected) in cases {
            assert_eq!(retry_after(&headers(pairs), now), *expected, "{pairs:?}");
        }
    }
}
