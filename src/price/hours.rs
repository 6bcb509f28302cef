//! Times of the week at which another price holds, all of them UTC.

use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::Rates;

const DAY: u64 = 24 * 60;

/// What a token costs at the quiet times of a week.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OffPeak {
    /// When.
    pub windows: Vec<Window>,
    /// How much.
    pub price: Rates,
}

/// The same hours of some days of the week.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Window {
    /// The days, Monday is 1.
    pub weekdays: Vec<u8>,
    /// The hours.
    pub hours_utc: Vec<Hours>,
}

/// A stretch of a day in minutes: the first belongs to it, the last does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Hours {
    from: u64,
    to: u64,
}

impl OffPeak {
    /// Whether `at` is one of these times.
    pub(super) fn holds(&self, at: SystemTime) -> bool {
        // What lies before 1970 is no time at which anything was served.
        let Ok(since) = at.duration_since(UNIX_EPOCH) else { return false };
        let minutes = since.as_secs() / 60;
        // 1970 began on a Thursday.
        let weekday = (minutes / DAY + 3) % 7 + 1;
        let minute = minutes % DAY;
        self.windows.iter().any(|window| {
            window.weekdays.iter().any(|day| u64::from(*day) == weekday)
                && window.hours_utc.iter().any(|hours| (hours.from..hours.to).contains(&minute))
        })
    }
}

impl TryFrom<String> for Hours {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        const RIGHT: &str = "hours are written as `04:00-06:00`; a day ends at 00:00";
        let (from, to) = text.split_once('-').ok_or(RIGHT)?;
        let (from, to) = (minute(from).ok_or(RIGHT)?, minute(to).ok_or(RIGHT)?);
        let to = if to == 0 { DAY } else { to };
        if from < to { Ok(Self { from, to }) } else { Err(RIGHT) }
    }
}

impl From<Hours> for String {
    fn from(Hours { from, to }: Hours) -> Self {
        let clock = |minute: u64| format!("{:02}:{:02}", minute % DAY / 60, minute % 60);
        format!("{}-{}", clock(from), clock(to))
    }
}

fn minute(text: &str) -> Option<u64> {
    let (hour, minute) = text.split_once(':')?;
    let (hour, minute) = (hour.parse::<u64>().ok()?, minute.parse::<u64>().ok()?);
    (hour < 24 && minute < 60).then_some(hour * 60 + minute)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn hours_are_read_and_what_is_none_is_refused() {
        for text in ["00:00-01:00", "10:00-00:00", "00:00-00:00"] {
            assert_eq!(Hours::try_from(text.to_owned()).map(String::from).as_deref(), Ok(text));
        }
        for text in ["", "1", "06:00-04:00", "24:00-25:00", "04:60-05:00", "04:00-04:00"] {
            assert!(Hours::try_from(text.to_owned()).is_err(), "{text}");
        }
    }

    #[test]
    fn a_window_holds_on_its_days_from_its_first_minute_to_before_its_last() {
        let hours = ["04:00-06:00", "10:00-00:00"].map(|text| Hours::try_from(text.to_owned()).unwrap());
        let window = Window { weekdays: vec![1, 5], hours_utc: hours.to_vec() };
        let quiet = OffPeak { windows: vec![window], price: Rates::default() };
        // 2026-11-23 was a Monday.
        let monday = 1_795_392_000;
        for (second, holds) in [
            (monday + 4 * 3600 - 1, false),
            (monday + 4 * 3600, true),
            (monday + 6 * 3600 - 1, true),
            (monday + 6 * 3600, false),
            (monday + 86_399, true),
            (monday + 86_400 + 5 * 3600, false),
            (monday + 4 * 86_400 + 5 * 3600, true),
        ] {
            assert_eq!(quiet.holds(UNIX_EPOCH + Duration::from_secs(second)), holds, "{second}");
        }
    }
}
