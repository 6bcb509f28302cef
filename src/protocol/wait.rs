//! How long a header says to wait, in each form in which upstreams write it.
//!
//! It knows the forms, not the headers; and no clock: whoever asks says what time it is. What cannot be read is none.

use std::time::{Duration, SystemTime};

/// The longest wait that is believed: a day. Anything longer is as good as this.
pub(super) const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);
/// From here on a number of seconds is a unix time (it is one of the year 2001), no wait.
const UNIX_SECONDS: f64 = 1e9;
/// From here on a unix time is one in milliseconds.
const UNIX_MILLIS: f64 = 1e12;

/// Seconds, with a fraction or not: `17`, `59.96`.
pub(super) fn seconds(text: &str) -> Option<Duration> {
    number(text).map(believed)
}

/// Milliseconds, with a fraction or not.
pub(super) fn millis(text: &str) -> Option<Duration> {
    number(text).map(|millis| believed(millis / 1000.0))
}

/// Seconds, or the unix time in seconds or milliseconds at which the wait is over.
pub(super) fn seconds_or_unix(text: &str, now: SystemTime) -> Option<Duration> {
    let number = number(text)?;
    if number < UNIX_SECONDS {
        return Some(believed(number));
    }
    let at = if number < UNIX_MILLIS { number } else { number / 1000.0 };
    // A time that does not fit into a duration is further away than anything that is believed.
    let at = Duration::try_from_secs_f64(at).ok().and_then(|at| SystemTime::UNIX_EPOCH.checked_add(at));
    Some(at.map_or(LONGEST, |at| until(at, now)))
}

/// Numbers with units, as Go prints durations: `120ms`, `6m0s`, `1h2m3.5s`.
pub(super) fn with_units(text: &str) -> Option<Duration> {
    let (mut rest, mut seconds) = (text.trim(), 0.0);
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let (number, behind) = rest.split_at(rest.find(|c: char| !c.is_ascii_digit() && c != '.')?);
        let (unit, behind) = behind.split_at(behind.find(|c: char| c.is_ascii_digit()).unwrap_or(behind.len()));
        seconds += number.parse::<f64>().ok()? * unit_in_seconds(unit)?;
        rest = behind;
    }
    Some(believed(seconds))
}

/// The date of HTTP at which the wait is over. A date in the past is no wait at all.
pub(super) fn until_http_date(text: &str, now: SystemTime) -> Option<Duration> {
    httpdate::parse_http_date(text.trim()).ok().map(|at| until(at, now))
}

/// The time of RFC 3339 at which the wait is over. A time in the past is no wait at all.
pub(super) fn until_rfc3339(text: &str, now: SystemTime) -> Option<Duration> {
    rfc3339(text.trim()).map(|at| until(at, now))
}

fn number(text: &str) -> Option<f64> {
    text.trim().parse::<f64>().ok().filter(|number| number.is_finite() && *number >= 0.0)
}

fn believed(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).map_or(LONGEST, |wait| wait.min(LONGEST))
}

fn until(at: SystemTime, now: SystemTime) -> Duration {
    at.duration_since(now).unwrap_or_default().min(LONGEST)
}

fn unit_in_seconds(unit: &str) -> Option<f64> {
    Some(match unit {
        "d" => 86_400.0,
        "h" => 3600.0,
        "m" => 60.0,
        "s" => 1.0,
        "ms" => 1e-3,
        // Go writes the micro sign; the Greek letter looks the same.
        "us" | "\u{b5}s" | "\u{3bc}s" => 1e-6,
        "ns" => 1e-9,
        _ => return None,
    })
}

/// The parser of the crate takes times in UTC only; any other offset is worked out here.
fn rfc3339(text: &str) -> Option<SystemTime> {
    if let Ok(at) = humantime::parse_rfc3339(text) {
        return Some(at);
    }
    let (local, offset) = text.split_at_checked(text.len().checked_sub("+00:00".len())?)?;
    let local = humantime::parse_rfc3339(&format!("{local}Z")).ok()?;
    let (hours, minutes) = offset.get(1..)?.split_once(':')?;
    let offset_seconds = two_digits(hours, 24)? * 3600 + two_digits(minutes, 60)? * 60;
    match offset.as_bytes().first() {
        Some(b'+') => local.checked_sub(Duration::from_secs(offset_seconds)),
        Some(b'-') => local.checked_add(Duration::from_secs(offset_seconds)),
        _ => None,
    }
}

fn two_digits(text: &str, below: u64) -> Option<u64> {
    let are_digits = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|number| are_digits && *number < below)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-11-23T10:00:00Z.
    fn now() -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_428_000)
    }

    fn check(read: impl Fn(&str) -> Option<Duration>, good: &[(&str, f64)], bad: &[&str]) {
        for (text, seconds) in good {
            // Fractions of a second come by way of a float: a nanosecond more or less is not meant.
            let wait = read(text).unwrap_or_else(|| panic!("{text:?} was not read"));
            assert!((wait.as_secs_f64() - seconds).abs() < 1e-6, "{text:?} is {wait:?}");
            assert!(wait <= LONGEST, "{text:?}");
        }
        for text in bad {
            assert_eq!(read(text), None, "{text:?}");
        }
    }

    #[test]
    fn numbers_are_seconds_or_milliseconds() {
        let bad = ["", "soon", "-1", "NaN", "inf", "1,5", "0x10", "12 s", "1;w=60"];
        check(seconds, &[("17", 17.0), (" 59.96 ", 59.96), ("0", 0.0), ("-0", 0.0), ("1e300", 86_400.0)], &bad);
        check(millis, &[("120", 0.12), ("0.5", 0.0005), ("90000000", 86_400.0)], &bad);
    }

    #[test]
    fn a_number_that_is_too_large_to_be_a_wait_is_a_time() {
        let good = [
            ("0", 0.0),
            ("59.96", 59.96),
            ("999999999", 86_400.0),
            ("1795428060", 60.0),
            ("1795428060.25", 60.25),
            ("1795428060500", 60.5),
            ("1795427999", 0.0),
            ("1895428000", 86_400.0),
            ("1e300", 86_400.0),
        ];
        check(|text| seconds_or_unix(text, now()), &good, &["", "later", "-1795428060", "NaN", "inf", "1s"]);
    }

    #[test]
    fn durations_with_units() {
        let good = [
            ("120ms", 0.12),
            ("1s", 1.0),
            ("59.96s", 59.96),
            ("6m0s", 360.0),
            ("2m59.56s", 179.56),
            ("1h2m3.5s", 3723.5),
            ("250us", 0.000_25),
            ("1.5\u{b5}s", 0.000_001_5),
            ("10ns", 0.0),
            ("0s", 0.0),
            ("1d", 86_400.0),
            ("30h", 86_400.0),
        ];
        let endless = format!("{}s", "9".repeat(400));
        let bad = ["", " ", "1", "s", "1x", "-1s", "1.2.3s", "1s ", "1 s", "6m0", "\u{b5}", "1h-2m", ".s"];
        check(with_units, &good, bad.iter().filter(|text| **text != "1s ").copied().collect::<Vec<_>>().as_slice());
        check(with_units, &[("1s ", 1.0), (endless.as_str(), 86_400.0)], &[]);
    }

    #[test]
    fn dates_of_http() {
        let good = [
            ("Mon, 23 Nov 2026 10:00:09 GMT", 9.0),
            ("Monday, 23-Nov-26 10:00:09 GMT", 9.0),
            ("Mon Nov 23 10:00:09 2026", 9.0),
            ("Mon, 23 Nov 2026 09:00:00 GMT", 0.0),
            ("Fri, 31 Dec 9999 23:59:59 GMT", 86_400.0),
        ];
        check(|text| until_http_date(text, now()), &good, &["", "Mon, 23 Nov", "Mon, 32 Nov 2026 10:00:09 GMT", "9"]);
    }

    #[test]
    fn times_of_rfc_3339() {
        let good = [
            ("2026-11-23T10:00:17Z", 17.0),
            ("2026-11-23T10:00:17.25Z", 17.25),
            ("2026-11-23T10:00:17+00:00", 17.0),
            ("2026-11-23T12:30:17+02:30", 17.0),
            ("2026-11-23T03:00:17.5-07:00", 17.5),
            ("2026-11-23T09:59:59Z", 0.0),
            ("1970-01-01T00:00:00+23:00", 0.0),
            ("9999-12-31T23:59:59Z", 86_400.0),
        ];
        let bad = [
            "",
            "Z",
            "17",
            "2026-11-23",
            "2026-11-23T10:00:17",
            "2026-13-23T10:00:17Z",
            "2026-02-30T10:00:17Z",
            "2026-11-23T25:00:17Z",
            "2026-11-23T10:00:17+24:00",
            "2026-11-23T10:00:17+0a:00",
            "2026-11-23T10:00:17++2:00",
            "2026-11-23T10:00:17*02:00",
            "2026-11-23T10:00:17\u{2212}2:00",
            "1969-12-31T23:59:59Z",
            "99999-01-01T00:00:00Z",
        ];
        check(|text| until_rfc3339(text, now()), &good, &bad);
    }
}
