//! What is said in the end: for people, and as JSON for programs.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use super::figures::Tally;
use crate::cli::render::QUIET;
use crate::config::show_duration;

/// How a batch went.
#[derive(Debug)]
pub(super) struct Summary<'a> {
    pub(super) tally: &'a Tally,
    /// Results that an earlier run had made.
    pub(super) before: u64,
    /// How often an item that failed was asked again by this run.
    pub(super) again: u64,
    /// How long this run took.
    pub(super) took: Duration,
    pub(super) output: &'a Path,
}

impl Summary<'_> {
    /// In words, with colours.
    pub(super) fn text(&self) -> String {
        let tally = self.tally;
        let mut text = format!("{} items", tally.done());
        if self.before > 0 {
            let _ = write!(text, " {QUIET}({} by an earlier run){QUIET:#}", self.before);
        }
        let _ = write!(text, ": {} answered, {} failed", tally.answered, tally.failed);
        for (reason, count) in &tally.by_reason {
            let _ = write!(text, "\n  {count} {reason}");
        }
        let _ = write!(text, "\n{} + {} tokens · ", tally.input_tokens, tally.output_tokens);
        let _ = match (tally.unpriced, tally.cost.get()) {
            (0, _) => write!(text, "{} USD", tally.cost),
            (_, 0) => write!(text, "cost not known"),
            (without, _) => write!(text, "{} USD and what {without} items of unknown price cost", tally.cost),
        };
        let _ = write!(text, " · {} from the cache · {}", tally.cached, self.took());
        if self.again > 0 {
            let _ = write!(text, " · asked again {} times", self.again);
        }
        let _ = write!(text, "\n{}", self.output.display());
        if tally.failed > 0 {
            let _ = write!(
                text,
                "\n{QUIET}the same command with --retry-failed, and without --overwrite, asks again what failed{QUIET:#}"
            );
        }
        text
    }

    /// As JSON. Sums over many calls travel as decimal text.
    pub(super) fn json(&self) -> Value {
        let tally = self.tally;
        json!({
            "items": tally.done(),
            "answered": tally.answered,
            "failed": tally.failed,
            "failed_by_reason": tally.by_reason,
            "by_earlier_runs": self.before,
            "asked_again": self.again,
            "input_tokens": tally.input_tokens,
            "output_tokens": tally.output_tokens,
            "cost_usd": tally.cost.to_string(),
            "unpriced_items": tally.unpriced,
            "from_cache": tally.cached,
            "duration_seconds": self.took.as_secs_f64(),
            "output": self.output.display().to_string(),
        })
    }

    fn took(&self) -> String {
        match self.took.as_secs() {
            0..60 => format!("{:.1} s", self.took.as_secs_f64()),
            seconds => show_duration(Duration::from_secs(seconds)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::PicoSum;

    fn told(tally: &Tally, before: u64, again: u64) -> String {
        let took = Duration::from_millis(1500);
        let summary = Summary { tally, before, again, took, output: Path::new("out.jsonl") };
        anstream::adapter::strip_str(&summary.text()).to_string()
    }

    #[test]
    fn a_summary_says_what_became_of_the_items_and_what_to_do() {
        let mut tally = Tally {
            answered: 9,
            input_tokens: 90,
            output_tokens: 9,
            cost: PicoSum::new(2_000_000_000_000),
            cached: 1,
            ..Tally::default()
        };
        assert_eq!(
            told(&tally, 0, 0),
            "9 items: 9 answered, 0 failed\n90 + 9 tokens · 2 USD · 1 from the cache · 1.5 s\nout.jsonl"
        );
        tally.failed = 3;
        tally.by_reason = [("A".to_owned(), 1), ("B".to_owned(), 2)].into();
        tally.unpriced = 4;
        assert_eq!(
            told(&tally, 5, 6),
            "12 items (5 by an earlier run): 9 answered, 3 failed\n  1 A\n  2 B\n\
             90 + 9 tokens · 2 USD and what 4 items of unknown price cost · 1 from the cache · 1.5 s · \
             asked again 6 times\nout.jsonl\nthe same command with --retry-failed, and without --overwrite, asks again what \
             failed"
        );
        tally.cost = PicoSum::default();
        assert!(told(&tally, 0, 0).contains("cost not known"));
    }

    #[test]
    fn a_summary_for_programs() {
        let tally = Tally { answered: 1, cost: PicoSum::new(500_000_000_000), ..Tally::default() };
        let summary =
            Summary { tally: &tally, before: 0, again: 0, took: Duration::from_secs(2), output: Path::new("o") };
        let json = summary.json();
        assert_eq!((&json["items"], &json["cost_usd"], &json["failed"]), (&json!(1), &json!("0.5"), &json!(0)));
        assert_eq!(json["duration_seconds"], 2.0);
    }
}
