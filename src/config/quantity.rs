//! Durations and sizes as people write them.

use std::time::Duration;

use super::problem::Wrong;

/// The longest duration: 365 days. Longer ones are slips, and the arithmetic of timers stays far from its limits.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// The largest size: a tebibyte. Larger ones are slips.
const LARGEST: u64 = 1 << 40;

/// Reads `500ms`, `5s`, `1.5s`, `10m`, `1h30m`; `0` needs no unit.
///
/// # Errors
/// What is wrong with it.
pub(super) fn duration(text: &str) -> Result<Duration, Wrong> {
    const RIGHT: &str = "a duration is a number with a unit (ms, s, m, h), as in `500ms`, `30s` or `1h30m`";
    let mut rest = text.trim();
    if rest == "0" {
        return Ok(Duration::ZERO);
    }
    let mut total = Duration::ZERO;
    let mut empty = true;
    while !rest.is_empty() {
        let (number, behind) = number(rest).ok_or_else(|| Wrong::new("is no duration", RIGHT))?;
        let (unit, behind) = letters(behind);
        let seconds = match unit {
            "ms" => 0.001,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            "" => return Err(Wrong::new("has no unit", RIGHT)),
            _ => return Err(Wrong::new(format!("has the unknown unit `{unit}`"), RIGHT)),
        };
        let part = Duration::try_from_secs_f64(number * seconds).unwrap_or(Duration::MAX);
        total = total.saturating_add(part);
        rest = behind;
        empty = false;
    }
    match total {
        _ if empty => Err(Wrong::new("is no duration", RIGHT)),
        total if total > LONGEST => Err(Wrong::new("is longer than a year", RIGHT)),
        total => Ok(total),
    }
}

/// Reads a duration as a flag of the command line has it.
///
/// # Errors
/// What is wrong with it, and what would be right.
pub fn read_duration(text: &str) -> Result<Duration, String> {
    duration(text).map_err(|wrong| match wrong.right.as_str() {
        "" => wrong.rule,
        right => format!("{}; {right}", wrong.rule),
    })
}

/// Reads a duration above 0.
///
/// # Errors
/// What is wrong with it.
pub(super) fn some_duration(text: &str) -> Result<Duration, Wrong> {
    match duration(text)? {
        Duration::ZERO => Err(Wrong::new("must be above 0", "")),
        duration => Ok(duration),
    }
}

/// Reads `1048576`, `64KiB`, `32MiB`, `1GiB`, and the decimal `kB`, `MB`, `GB`; a number alone is bytes.
///
/// # Errors
/// What is wrong with it.
pub(super) fn size(text: &str) -> Result<u64, Wrong> {
    const RIGHT: &str = "a size is a whole number of bytes or with a unit (KiB, MiB, GiB, kB, MB, GB), as in `32MiB`";
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at_checked(digits).unwrap_or((text, ""));
    let number: u64 = number.parse().map_err(|_| Wrong::new("is no size", RIGHT))?;
    let bytes: u64 = match unit.trim() {
        "" | "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        "kB" | "KB" => 1_000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        unit => return Err(Wrong::new(format!("has the unknown unit `{unit}`"), RIGHT)),
    };
    match number.checked_mul(bytes).filter(|size| *size <= LARGEST) {
        None => Err(Wrong::new("is too large", RIGHT)),
        Some(0) => Err(Wrong::new("must be above 0", "")),
        Some(size) => Ok(size),
    }
}

/// A duration as it would be written.
pub fn show_duration(duration: Duration) -> String {
    let (seconds, millis) = (duration.as_secs(), duration.subsec_millis());
    if millis > 0 {
        return format!("{}ms", duration.as_millis());
    }
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, s) => format!("{s}s"),
        (0, m, 0) => format!("{m}m"),
        (0, m, s) => format!("{m}m{s}s"),
        (h, 0, 0) => format!("{h}h"),
        (h, m, 0) => format!("{h}h{m}m"),
        (h, m, s) => format!("{h}h{m}m{s}s"),
    }
}

/// A size as it would be written.
pub fn show_size(bytes: u64) -> String {
    for (unit, size) in [("GiB", 1_u64 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)] {
        if bytes >= size && bytes.is_multiple_of(size) {
            return format!("{}{unit}", bytes / size);
        }
    }
    format!("{bytes}B")
}

fn number(text: &str) -> Option<(f64, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, rest) = text.split_at_checked(end)?;
    Some((number.parse().ok()?, rest))
}

fn letters(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(text.len());
    let (unit, rest) = text.split_at_checked(end).unwrap_or((text, ""));
    (unit.trim(), rest)
}

/// Reads `true` or `false`.
pub(super) fn truth(text: &str) -> Result<bool, Wrong> {
    match text {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(Wrong::new(format!("`{text}` is no truth value"), "`true` or `false`")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_in_all_their_forms() {
        let cases = [
            ("5s", Ok(5_000)),
            ("500ms", Ok(500)),
            ("10m", Ok(600_000)),
            ("1h30m", Ok(5_400_000)),
            ("1m 30s", Ok(90_000)),
            ("1.5s", Ok(1_500)),
            ("0", Ok(0)),
            ("0s", Ok(0)),
            ("5", Err("has no unit")),
            ("", Err("is no duration")),
            ("s", Err("is no duration")),
            ("-5s", Err("is no duration")),
            ("1.2.3s", Err("is no duration")),
            ("5 seconds", Err("has the unknown unit `seconds`")),
            ("5S", Err("has the unknown unit `S`")),
            ("99999999h", Err("is longer than a year")),
        ];
        for (text, expected) in cases {
            let read = duration(text).map(|duration| duration.as_millis()).map_err(|wrong| wrong.rule);
            assert_eq!(read, expected.map_err(str::to_owned), "{text}");
        }
        assert_eq!(some_duration("0").unwrap_err().rule, "must be above 0");
    }

    #[test]
    fn sizes_in_all_their_forms() {
        let cases = [
            ("32MiB", Ok(32 << 20)),
            ("1GB", Ok(1_000_000_000)),
            ("64 KiB", Ok(64 << 10)),
            ("1000", Ok(1000)),
            ("12B", Ok(12)),
            ("0", Err("must be above 0")),
            ("32mib", Err("has the unknown unit `mib`")),
            ("1.5GiB", Err("has the unknown unit `.5GiB`")),
            ("-1", Err("is no size")),
            ("MiB", Err("is no size")),
            ("99999999999GiB", Err("is too large")),
        ];
        for (text, expected) in cases {
            let read = size(text).map_err(|wrong| wrong.rule);
            assert_eq!(read, expected.map_err(str::to_owned), "{text}");
        }
    }

    #[test]
    fn what_is_shown_can_be_read_again() {
        for text in ["500ms", "5s", "1m30s", "10m", "1h", "1h30m", "1h0m5s", "0s"] {
            let read = duration(text).unwrap();
            assert_eq!(duration(&show_duration(read)).unwrap(), read, "{text}");
        }
        for text in ["1B", "64KiB", "32MiB", "1GiB", "1000B"] {
            assert_eq!(show_size(size(text).unwrap()), *text);
        }
    }
}
