//! Numbers and times in words that fit into a cell.

use std::time::Duration;

use super::Share;

/// What is not known, or does not apply.
pub(crate) const NOTHING: &str = "–";

/// `420 ms`, `1.3 s`, `12 s`, `4 min`, `3 h`, `2 d`: two digits say enough.
pub(crate) fn time(time: Duration) -> String {
    let (seconds, millis) = (time.as_secs(), time.subsec_millis());
    match seconds {
        0 => format!("{millis} ms"),
        1..10 => format!("{seconds}.{} s", millis / 100),
        10..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        7200..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} d", seconds / 86_400),
    }
}

/// `999`, `12.3k`, `4.5M`, `6.7G`.
pub(crate) fn count(number: u64) -> String {
    scaled(number, 1000, &["", "k", "M", "G", "T", "P", "E"])
}

/// `999 B`, `1.5 KiB`, `12.0 MiB`.
pub(crate) fn bytes(number: u64) -> String {
    scaled(number, 1024, &[" B", " KiB", " MiB", " GiB", " TiB", " PiB", " EiB"])
}

/// A share as a bar of `cells` cells. Something is never shown as nothing, and not all as all never either.
pub(crate) fn bar(share: Share, cells: u16) -> String {
    let filled =
        |cell: &u16| share.get() > 0.0 && (*cell == 0 || share.get() * f64::from(cells) >= f64::from(*cell) + 0.5);
    let full = share.get() >= 1.0;
    (0..cells).map(|cell| if filled(&cell) && (full || cell + 1 < cells || cells == 1) { '█' } else { '░' }).collect()
}

/// A share in percent.
pub(crate) fn percent(share: Share) -> String {
    match share.get() * 100.0 {
        few if few > 0.0 && few < 1.0 => "<1 %".to_owned(),
        most if most > 99.0 && most < 100.0 => "99 %".to_owned(),
        percent => format!("{percent:.0} %"),
    }
}

fn scaled(number: u64, step: u64, units: &[&str]) -> String {
    let mut below = 0_u64;
    let mut whole = number;
    for unit in units {
        if whole < step {
            let digit = below.saturating_mul(10) / step;
            let exact = whole == number && below == 0;
            return if exact || whole >= 100 { format!("{whole}{unit}") } else { format!("{whole}.{digit}{unit}") };
        }
        below = whole % step;
        whole /= step;
    }
    number.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_with_two_digits_or_so() {
        let cases = [
            (0, "0 ms"),
            (420, "420 ms"),
            (1_349, "1.3 s"),
            (9_999, "9.9 s"),
            (12_800, "12 s"),
            (119_000, "119 s"),
            (120_000, "2 min"),
            (7_199_000, "119 min"),
            (7_200_000, "2 h"),
            (172_800_000, "2 d"),
        ];
        for (millis, expected) in cases {
            assert_eq!(time(Duration::from_millis(millis)), expected);
        }
    }

    #[test]
    fn large_numbers_are_short() {
        for (number, expected) in
            [(0, "0"), (999, "999"), (1000, "1.0k"), (12_345, "12.3k"), (999_999, "999k"), (1 << 40, "1.0T")]
        {
            assert_eq!(count(number), expected);
        }
        for (number, expected) in [(1023, "1023 B"), (1536, "1.5 KiB"), (512 << 20, "512 MiB"), (u64::MAX, "15.9 EiB")]
        {
            assert_eq!(bytes(number), expected);
        }
    }

    #[test]
    fn a_bar_never_shows_something_as_nothing_nor_not_all_as_all() {
        let shown = |part, whole| {
            let share = Share::of_count(part, whole).unwrap();
            format!("{} {}", bar(share, 5), percent(share))
        };
        assert_eq!(shown(0, 100), "░░░░░ 0 %");
        assert_eq!(shown(1, 500), "█░░░░ <1 %");
        assert_eq!(shown(50, 100), "███░░ 50 %");
        assert_eq!(shown(999, 1000), "████░ 99 %");
        assert_eq!(shown(100, 100), "█████ 100 %");
        assert_eq!(shown(200, 100), "█████ 100 %");
        assert_eq!(Share::of_count(1, 0), None);
    }
}
