//! Figures in words that fit into a cell.

use std::time::Duration;

use super::histogram::{Estimate, Percentiles};
use crate::cli::watch::Share;
use crate::cli::watch::words::{NOTHING, bytes as whole_bytes, percent, time};

/// `0`, `0.07`, `4.2`, `42.3`, `423`, `4.2k`, `4.2M`: three digits say enough.
pub(super) fn number(value: f64) -> String {
    let mut scaled = value;
    for unit in ["", "k", "M", "G", "T"] {
        // What would be rounded up to a thousand is one.
        if scaled < 999.5 {
            let digits = match scaled {
                whole if unit.is_empty() && whole.fract() == 0.0 => 0,
                small if small < 0.995 => 2,
                middle if middle < 99.95 => 1,
                _ => 0,
            };
            let few = unit.is_empty() && scaled > 0.0 && scaled < 0.005;
            return if few { "<0.01".to_owned() } else { format!("{scaled:.digits$}{unit}") };
        }
        scaled /= 1000.0;
    }
    format!("{scaled:.0}P")
}

/// A rate: as a number, but that whole ones have a decimal as well, so that those below each other are read alike.
pub(super) fn rate(value: f64) -> String {
    if (0.995..99.95).contains(&value) { format!("{value:.1}") } else { number(value) }
}

/// A rate, or that it is not known.
pub(super) fn known_rate(value: Option<f64>) -> String {
    value.map_or(NOTHING.to_owned(), rate)
}

/// A number, or that it is not known.
pub(super) fn known(value: Option<f64>) -> String {
    value.map_or(NOTHING.to_owned(), number)
}

/// `$0.0012`, `$0.42`, `$12.30`, `$420`, `$12.3k`.
pub(super) fn usd(value: f64) -> String {
    match value {
        few if few > 0.0 && few < 0.00005 => "<$0.0001".to_owned(),
        few if few > 0.0 && few < 0.01 => format!("${few:.4}"),
        some if some < 999.5 => format!("${some:.2}"),
        many => format!("${}", number(many)),
    }
}

/// Dollars, or that they are not known.
pub(super) fn known_usd(value: Option<f64>) -> String {
    value.map_or(NOTHING.to_owned(), usd)
}

/// `0.42 ms`, `4.2 ms`, `420 ms`, `1.3 s`, `12 s`; `>160 s` where no more is known than that it is above.
pub(super) fn seconds(estimate: Option<Estimate>) -> String {
    let Some(estimate) = estimate else { return NOTHING.to_owned() };
    let seconds = estimate.get();
    let shown = match seconds * 1000.0 {
        few if few < 1.0 => format!("{few:.2} ms"),
        few if few < 9.95 => format!("{few:.1} ms"),
        // Rounded, where the shared words cut.
        millis if millis < 999.5 => format!("{millis:.0} ms"),
        _ => Duration::try_from_secs_f64(seconds).map_or(NOTHING.to_owned(), time),
    };
    if matches!(estimate, Estimate::Above(_)) { format!(">{shown}") } else { shown }
}

/// How long a window is: `0.2 s`, `2.0 s`, `10 s`, `5 min`.
pub(super) fn length(seconds: f64) -> String {
    if seconds < 9.95 {
        return format!("{seconds:.1} s");
    }
    Duration::try_from_secs_f64(seconds.round()).map_or(NOTHING.to_owned(), time)
}

/// All three.
pub(super) fn percentiles(of: &Percentiles) -> [String; 3] {
    [("p50", of.p50), ("p95", of.p95), ("p99", of.p99)].map(|(name, value)| format!("{name} {}", seconds(value)))
}

/// `34 %`.
pub(super) fn share(share: Option<f64>) -> String {
    share.and_then(|share| Share::of(share, 1.0)).map_or(NOTHING.to_owned(), percent)
}

/// `128 MiB`.
pub(super) fn bytes(bytes: f64) -> String {
    format!("{bytes:.0}").parse().map_or(NOTHING.to_owned(), whole_bytes)
}

/// Values as blocks from low to high, as high as their share of `ceiling`; nothing where nothing is known.
pub(super) fn sparkline(values: &[Option<f64>], ceiling: f64) -> String {
    const LEVELS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let level = |value: f64| {
        let above = (1..8).filter(|level| ceiling > 0.0 && value / ceiling * 8.0 > f64::from(*level)).count();
        LEVELS.get(above).copied().unwrap_or('█')
    };
    values.iter().map(|value| value.map_or(' ', level)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_three_digits_or_so() {
        for (value, expected) in [
            (0.0, "0"),
            (0.0004, "<0.01"),
            (0.07, "0.07"),
            (0.999, "1.0"),
            (3.0, "3"),
            (4.24, "4.2"),
            (42.34, "42.3"),
            (99.97, "100"),
            (423.4, "423"),
            (999.7, "1.0k"),
            (12_345.0, "12.3k"),
            (4.5e6, "4.5M"),
            (1e18, "1000P"),
        ] {
            assert_eq!(number(value), expected, "{value}");
        }
        assert_eq!((known(None), known_rate(None)), ("–".to_owned(), "–".to_owned()));
        assert_eq!([0.0, 0.07, 3.0, 14.23, 123.0].map(rate), ["0", "0.07", "3.0", "14.2", "123"]);
    }

    #[test]
    fn dollars_are_never_shown_as_none() {
        for (value, expected) in [
            (0.0, "$0.00"),
            (0.00001, "<$0.0001"),
            (0.0012, "$0.0012"),
            (0.42, "$0.42"),
            (12.3, "$12.30"),
            (999.9, "$1.0k"),
            (12_345.0, "$12.3k"),
        ] {
            assert_eq!(usd(value), expected, "{value}");
        }
    }

    #[test]
    fn times_are_told_as_far_as_they_are_known() {
        for (estimate, expected) in [
            (Estimate::About(0.00042), "0.42 ms"),
            (Estimate::About(0.0042), "4.2 ms"),
            (Estimate::About(0.42), "420 ms"),
            (Estimate::About(1.34), "1.3 s"),
            (Estimate::About(80.0), "80 s"),
            (Estimate::Above(160.0), ">2 min"),
            (Estimate::About(f64::INFINITY), "–"),
        ] {
            assert_eq!(seconds(Some(estimate)), expected, "{estimate:?}");
        }
        assert_eq!([0.21, 2.04, 9.96, 59.6, 300.0].map(length), ["0.2 s", "2.0 s", "10 s", "60 s", "5 min"]);
        assert_eq!(percentiles(&Percentiles::default()), ["p50 –", "p95 –", "p99 –"]);
    }

    #[test]
    fn a_sparkline_is_as_high_as_the_share_of_its_ceiling() {
        let values = [None, Some(0.0), Some(1.0), Some(4.0), Some(8.0), Some(9.0)];
        assert_eq!(sparkline(&values, 8.0), " ▁▁▄██");
        assert_eq!(sparkline(&[Some(0.0), Some(0.0)], 0.0), "▁▁");
    }
}
