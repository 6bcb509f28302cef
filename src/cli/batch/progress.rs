//! How a batch goes, on standard error: a bar on a terminal, a line now and then elsewhere.

use std::io::IsTerminal as _;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use super::figures::Tally;
use crate::cli::tell;
use crate::config::show_duration;

/// How often a line is written where there is no terminal.
const EVERY: Duration = Duration::from_secs(10);
const LOOK: &str = "{bar:20} {pos}/{len}{wide_msg}";

/// Shows how it goes.
#[derive(Debug)]
pub(super) struct Progress {
    bar: Option<ProgressBar>,
    total: u64,
    /// Results that were there when it began.
    before: u64,
    began: Instant,
    told: Instant,
}

impl Progress {
    /// Begins with so many items in all, of which so many have a result.
    pub(super) fn start(total: u64, before: u64) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::new(total).with_position(before);
            match ProgressStyle::with_template(LOOK) {
                Ok(style) => bar.with_style(style),
                Err(_) => bar,
            }
        });
        let now = Instant::now();
        Self { bar, total, before, began: now, told: now }
    }

    /// Shows how it is now.
    pub(super) fn show(&mut self, tally: &Tally, left: usize) {
        let beside = beside(tally, self.pace(tally, left));
        match &self.bar {
            Some(bar) => {
                bar.set_position(tally.done());
                bar.set_message(beside);
            }
            None if self.told.elapsed() >= EVERY => {
                self.told = Instant::now();
                tell(format_args!("{}/{}{beside}", tally.done(), self.total));
            }
            None => {}
        }
    }

    /// Tells something without tearing the bar.
    pub(super) fn suspend(&self, tell: impl FnOnce()) {
        match &self.bar {
            Some(bar) => bar.suspend(tell),
            None => tell(),
        }
    }

    /// Takes the bar away, and says how long it took.
    pub(super) fn end(&self) -> Duration {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        self.began.elapsed()
    }

    fn pace(&self, tally: &Tally, left: usize) -> Option<Pace> {
        let done = tally.done().saturating_sub(self.before);
        let (done, left) = (u32::try_from(done).ok()?, u32::try_from(left).ok()?);
        let seconds = self.began.elapsed().as_secs_f64();
        if done == 0 || seconds <= 0.0 {
            return None;
        }
        let per_second = f64::from(done) / seconds;
        let left = Duration::try_from_secs_f64((f64::from(left) / per_second).ceil()).ok()?;
        Some(Pace { per_second, left })
    }
}

/// How fast it goes.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Pace {
    per_second: f64,
    left: Duration,
}

/// What stands behind the number of items that are done: what matters most first, for terminals may be narrow.
fn beside(tally: &Tally, pace: Option<Pace>) -> String {
    let mut parts = vec![String::new(), format!("{} failed", tally.failed)];
    if let Some(Pace { per_second, left }) = pace {
        parts.push(format!("{} left", show_duration(left)));
        parts.push(format!("{per_second:.1}/s"));
    }
    parts.push(format!("{} tokens", short(tally.tokens())));
    if tally.cost.get() > 0 {
        parts.push(format!("{} USD", tally.cost));
    }
    parts.join(" · ")
}

/// A large number in few letters.
fn short(number: i64) -> String {
    let scaled = |unit: i64, name: &str| {
        let tenths = number / (unit / 10);
        format!("{}.{}{name}", tenths / 10, tenths % 10)
    };
    match number {
        ..10_000 => number.to_string(),
        10_000..1_000_000 => scaled(1_000, "k"),
        1_000_000..1_000_000_000 => scaled(1_000_000, "M"),
        _ => scaled(1_000_000_000, "G"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::PicoSum;

    #[test]
    fn what_is_told_beside_the_bar() {
        let mut tally = Tally { failed: 2, input_tokens: 9_000, output_tokens: 999, ..Tally::default() };
        assert_eq!(beside(&tally, None), " · 2 failed · 9999 tokens");
        tally.cost = PicoSum::new(1_500_000_000);
        tally.output_tokens = 1_234_567;
        let pace = Pace { per_second: 12.34, left: Duration::from_secs(61) };
        assert_eq!(beside(&tally, Some(pace)), " · 2 failed · 1m1s left · 12.3/s · 1.2M tokens · 0.0015 USD");
    }

    #[test]
    fn numbers_are_short() {
        let cases = [(0, "0"), (9_999, "9999"), (10_000, "10.0k"), (999_999, "999.9k"), (2_500_000_000, "2.5G")];
        for (number, expected) in cases {
            assert_eq!(short(number), expected);
        }
    }

    #[test]
    fn the_look_of_the_bar_is_one() {
        assert!(ProgressStyle::with_template(LOOK).is_ok());
    }
}
